//! What is asked, and the gateway that is asked: the shipped policy with the bench's model as its only target.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use tests::Setup;
use tests::bench::Question;

/// What a request looks like.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// A concrete external model, each text a new one.
    Direct,
    /// The same request again and again.
    Repeated,
    /// `auto`, with about this many tokens, each text a new one.
    Auto(usize),
    /// A policy whose one question words and form answer, so that the encoder is not asked; the same texts.
    Words(usize),
}

impl Shape {
    /// The request of this number.
    pub(crate) fn question(self, number: usize) -> Question {
        let (model, text) = match self {
            Self::Direct => ("bench", format!("What is the capital of country number {number}?")),
            Self::Repeated => ("bench", "What is the capital of France?".to_owned()),
            Self::Auto(tokens) | Self::Words(tokens) => {
                let filler = "The council met again on Tuesday to discuss the new bridge over the river. ";
                let text = filler.repeat((tokens * 4).saturating_sub(60) / filler.len());
                (
                    if matches!(self, Self::Auto(_)) { "auto" } else { "words" },
                    format!("{text}Write a short story, number {number}, in the style of an old sailor."),
                )
            }
        };
        let body = serde_json::json!({ "model": model, "messages": [{ "role": "user", "content": text }] });
        Question { path: "/v1/chat/completions", body: Bytes::from(body.to_string()) }
    }
}

/// The gateway's files, with the provider at `port` as its only external model.
pub(crate) fn setup(port: u16) -> Setup {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    Setup::of(&include_str!("models.toml").replace("PORT", &port.to_string()))
        .with_file("policy.toml", &policy(&root.join("config/policy.toml")))
}

/// The shipped policy with the bench's model as its only target: the questions are what is measured.
fn policy(path: &Path) -> String {
    let shipped = fs::read_to_string(path).expect("the shipped policy");
    let lines = shipped.lines().map(|line| match line.split_once(" = ") {
        Some(("targets.local", _)) => "targets.local = [\"task\"]".to_owned(),
        Some((key @ ("targets.retrieval" | "targets.external"), _)) => {
            format!("{key} = [\"bench\"]")
        }
        Some(("reference_model", _)) => "reference_model = \"bench\"".to_owned(),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n") + WORDS
}

/// One question that needs no encoder.
const WORDS: &str = r#"
[policy.words]
targets.external = ["bench"]
[[policy.words.question]]
id = "context"
ask = "Is the text there that it is about?"
when = "context_given >= 0.5 && context_sufficient >= 0.5"
yes = "external"
no = "external"
"#;
