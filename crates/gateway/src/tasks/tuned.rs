//! Tasks whose answers are written by a small generative model in this process, with an adapter of the task's own.
//!
//! Owns training (by the program `pointsman-tune`, so that this one need not carry what training takes), the test that the
//! certificate rests on, and the answer. Several adapters share one base model.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use api::{Error, Fault};
use learn::task::{Answer, HeldOut, Truth};
use local::Question;
use policy::tasks::TaskSpec;
use policy::{Model, ModelKind, Policies};
use serde::{Deserialize, Serialize};

use super::labels::Kept;
use crate::answered::same_answer;
use crate::house::llama_options;
use crate::settings::Settings;

/// The program that trains.
const TUNE: &str = "pointsman-tune";
/// Tokens of the longest answer that is no label of a set.
const ANSWER_TOKENS_MAX: u64 = 48;
/// Held-out answers that a certificate is tested on, at most: each takes a part of a second.
const TESTED_MAX: usize = 600;
/// One answer of the test.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// An adapter, as a version names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Adapted {
    /// The model that it is laid on, by its name in `models.toml`.
    pub(crate) base: String,
    /// The adapter's file, in the folder of the versions.
    pub(crate) file: String,
    /// The answers to choose from; empty where they are written freely.
    pub(crate) choices: Vec<String>,
}

/// The models that adapters can be laid on.
#[derive(Clone, Copy)]
pub(crate) struct Bases<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) policies: &'a Policies,
}

impl Bases<'_> {
    /// The base that a task names, or the first one there is, and how it is loaded.
    ///
    /// # Errors
    /// No model of this catalogue runs in the process.
    pub(crate) fn of(&self, spec: &TaskSpec) -> Result<(String, local::Options), Error> {
        let catalogue = self.policies.catalogue();
        let in_process = |model: &&std::sync::Arc<Model>| matches!(model.kind, ModelKind::Llama { .. });
        let model = match &spec.adapter.base {
            Some(name) => catalogue.get(name),
            None => catalogue.models().iter().find(in_process),
        };
        let options =
            model.and_then(|model| Some((model.name.to_string(), llama_options(self.settings, model)?)));
        options.ok_or_else(|| {
            let message = "No model of models.toml runs in this process (kind = \"llama\"): a task of the kind \
                           short_answer needs one.";
            Error::new(Fault::Unprocessable, "no_base", message)
        })
    }
}

/// What training makes: the adapter's file is written, the answers are of examples that it was not trained on.
pub(crate) struct Tuned {
    pub(crate) adapted: Adapted,
    pub(crate) tested: Vec<Kept>,
    pub(crate) held_out: Vec<HeldOut>,
    pub(crate) trained_on: usize,
    /// What the program says of its work.
    pub(crate) told: String,
}

/// Trains an adapter on most of the labels and asks it about the others. Blocks for minutes.
///
/// # Errors
/// `pointsman-tune` is not there or fails; the base cannot be loaded; too few labels.
pub(crate) fn tune(
    kept: Vec<Kept>,
    spec: &TaskSpec,
    bases: &Bases<'_>,
    versions: &Path,
    number: u32,
) -> Result<Tuned, Error> {
    let (base, options) = bases.of(spec)?;
    let (mut tested, trained): (Vec<Kept>, Vec<Kept>) =
        kept.into_iter().partition(|kept| is_held_out(kept, spec.adapter.hold_out));
    if trained.is_empty() || tested.is_empty() {
        return Err(unfit("there are too few labels to train on some and test on others"));
    }
    // The newest come from traffic as it is now.
    let surplus = tested.len().saturating_sub(TESTED_MAX);
    tested.drain(..surplus);
    fs::create_dir_all(versions).map_err(Error::internal)?;
    let file = format!("{number:04}.gguf");
    let told = run(&options.path, &trained, &versions.join(&file), spec.adapter.minutes)?;
    let adapted = Adapted { base, file, choices: spec.labels.clone() };
    let model = local::Model::load(&options)?;
    let name = "tested";
    model.load_adapter(name, &versions.join(&adapted.file))?;
    let runtime = runtime()?;
    let mut held_out = Vec::with_capacity(tested.len());
    for kept in &tested {
        let asked =
            runtime.block_on(ask(&model, name, &adapted, &kept.label.input, Instant::now() + ANSWER_TIME));
        held_out.push(judged(asked?, &kept.label.truth));
    }
    Ok(Tuned { adapted, tested, held_out, trained_on: trained.len(), told })
}

/// What a command waits on answers with.
///
/// # Errors
/// The system has no more handles.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(Error::internal)
}

/// The same labels are held out in every training, so that none that was ever trained on proves anything.
fn is_held_out(kept: &Kept, share: f32) -> bool {
    let [a, b, c, d, ..] = kept.label.id();
    f64::from(u32::from_le_bytes([a, b, c, d])) < f64::from(share) * f64::from(u32::MAX)
}

fn judged(answer: Answer, truth: &Truth) -> HeldOut {
    let right = match (&answer.said, truth) {
        (Truth::One(said), Truth::One(truth)) => same_answer(said, truth),
        _ => false,
    };
    HeldOut {
        said: answer.said,
        confidence: answer.confidence,
        trust: answer.trust,
        likeness: answer.likeness,
        typicality: answer.typicality,
        right,
    }
}

/// Runs the program that trains, beside this one or on the path.
fn run(base: &Path, trained: &[Kept], out: &Path, minutes: u64) -> Result<String, Error> {
    let data = out.with_extension("jsonl");
    let mut lines = String::new();
    for kept in trained {
        if let Truth::One(label) = &kept.label.truth {
            let line = serde_json::json!({ "text": kept.label.input, "label": label });
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
    }
    fs::write(&data, lines).map_err(Error::internal)?;
    let ran = Command::new(program())
        .arg("--base")
        .arg(base)
        .arg("--data")
        .arg(&data)
        .arg("--out")
        .arg(out)
        .args(["--minutes", &minutes.to_string()])
        .stdin(Stdio::null())
        .output();
    let forgotten = fs::remove_file(&data);
    let ran = ran.map_err(|error| {
        let message = format!(
            "`{TUNE}` cannot be run ({error}): build it with `make tune`, and put it beside `pointsman` or on the path."
        );
        Error::new(Fault::Unavailable, "no_tune", message)
    })?;
    forgotten.map_err(Error::internal)?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr);
        let last = said.lines().last().unwrap_or("it said nothing");
        return Err(unfit(last.trim_start_matches("pointsman-tune: ")));
    }
    Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned())
}

fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(TUNE)));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(TUNE))
}

fn unfit(why: &str) -> Error {
    Error::new(Fault::Unprocessable, "cannot_train", why.to_owned())
}

/// Lays the adapters on their base that are wanted now, if the one of this name is not there. Blocks for a second where it
/// is not.
///
/// # Errors
/// One of them does not fit.
pub(crate) fn lay_on(
    model: &local::Model,
    name: &str,
    wanted: &BTreeMap<String, PathBuf>,
) -> Result<(), Error> {
    if model.adapter(name).is_some() { Ok(()) } else { model.set_adapters(wanted.clone()) }
}

/// What the model says with an adapter. How typical a request is is not known: only how sure the answer.
///
/// # Errors
/// The queue is full, the input too long, the deadline past.
pub(crate) async fn ask(
    model: &local::Model,
    adapter: &str,
    adapted: &Adapted,
    input: &str,
    deadline: Instant,
) -> Result<Answer, Error> {
    let question = Question {
        adapter: Some(adapter),
        layout: None,
        shots: &[],
        input,
        choices: Some(adapted.choices.as_slice()).filter(|choices| !choices.is_empty()),
        tokens_max: ANSWER_TOKENS_MAX,
    };
    let answer = model.short_answer(&question, deadline).await?;
    #[expect(clippy::cast_possible_truncation, reason = "a confidence needs no more digits than f32 has")]
    let confidence = answer.confidence as f32;
    Ok(Answer {
        said: Truth::One(answer.text),
        confidence,
        likeness: 0.0,
        typicality: 1.0,
        trust: confidence,
        probabilities: Vec::new(),
        nearest: Vec::new(),
    })
}
