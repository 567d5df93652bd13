//! `pointsman task train`: from labels to a version that may serve.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use api::Error;
use learn::task::Truth;
use serde::Deserialize;

use super::{declared, open, unwritable};
use crate::Failure;
use crate::commands::say;
use crate::house::{in_words, now_ms};
use crate::settings::Settings;
use crate::tasks::labels::{By, Kept, Label};
use crate::tasks::training::{self, Outcome, step_back};
use crate::tasks::tuned::Bases;
use crate::tasks::version::Version;
use crate::tasks::{Task, folder, vector_scheme};

pub(super) fn train(
    settings: &Settings,
    name: &str,
    data: Option<&Path>,
    background: bool,
) -> Result<(), Failure> {
    policy::tasks::check_name(name).map_err(|why| Failure::Wrong(format!("`{name}`: {why}")))?;
    if background {
        step_back().map_err(|error| Failure::Unavailable(format!("no lower priority: {error}")))?;
    }
    let examples = data.map(read_examples).transpose()?;
    let (encoder, tasks) = open(settings)?;
    let task = match tasks.get(name) {
        Ok(task) => task,
        // Without labels there is nothing to train, and a misspelt name must not leave an empty task behind.
        Err(error) if examples.is_none() => return Err(Failure::Wrong(in_words(&error))),
        Err(_) => undeclared(settings, name, &vector_scheme(&encoder))?,
    };
    if let Some(examples) = examples {
        import(&task, examples)?;
    }
    let (policies, _) = declared(settings)?;
    let bases = Bases { settings, policies: &policies };
    let (version, outcome) =
        training::train(&task, &encoder, &bases, now_ms()).map_err(|error| failure(&task, &error))?;
    say(&told(&task, &version, outcome));
    Ok(())
}

fn undeclared(settings: &Settings, name: &str, encoder: &str) -> Result<Arc<Task>, Failure> {
    let folder = folder(&settings.files.state).join(name);
    let opened = Task::open(folder.clone(), policy::tasks::TaskSpec::named(name), encoder);
    opened.map(Arc::new).map_err(|error| unwritable(&folder, &error))
}

/// Takes in the operator's examples; they outrank what models say.
fn import(task: &Task, examples: Vec<(String, Truth)>) -> Result<(), Failure> {
    let at_ms = now_ms();
    let kept = |(input, truth): (String, Truth)| {
        let label = Label {
            tenant: String::new(),
            input,
            truth,
            by: By::Import,
            model: None,
            logprob: None,
            decision: None,
            at_ms,
            drawn: true,
        };
        Kept { label, vector: None }
    };
    let kept = examples.into_iter().map(kept).collect();
    task.with_labels(|labels| labels.add(kept)).map_err(|error| unwritable(task.folder(), &error))?;
    Ok(())
}

fn failure(task: &Task, error: &Error) -> Failure {
    let said = format!("task/{}: {}", task.name, in_words(error));
    if error.fault == api::Fault::Unprocessable { Failure::Wrong(said) } else { Failure::Unavailable(said) }
}

fn told(task: &Task, version: &Version, outcome: Outcome) -> String {
    let card = &version.card;
    let mut text = format!(
        "task/{} version {}: {} examples, {} labels, {} in {:.1} s\n",
        task.name, version.number, card.examples, card.labels, card.chosen, version.train_s
    );
    text.push_str(&super::show::figures(version));
    text.push_str(&super::show::certificate(&version.certificate));
    let spec = task.spec();
    text.push_str(&match outcome {
        Outcome::Serves => "it answers; a running gateway takes it up by itself".to_owned(),
        Outcome::Canary => format!(
            "it answers {:.0} % of the task's requests at first, beside the version before",
            spec.canary.share * 100.0
        ),
        Outcome::NotCertified => format!(
            "it does not answer: its certificate covers less than {:.0} % of requests (certificate.coverage_min)",
            spec.certificate.coverage_min * 100.0
        ),
    });
    text
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    text: String,
    label: Truth,
}

/// Reads lines of `{"text", "label"}`; a label is a text, a list of texts, or a number.
///
/// # Errors
/// The first ten lines that are none, with their numbers.
pub(crate) fn read_examples(path: &Path) -> Result<Vec<(String, Truth)>, Failure> {
    const TOLD_MAX: usize = 10;
    let wrong =
        |error: std::io::Error| Failure::Wrong(format!("{}: cannot be read: {error}", path.display()));
    let file = File::open(path).map_err(wrong)?;
    let mut examples = Vec::new();
    let mut mistakes = Vec::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(wrong)?;
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str::<Example>(&line) {
            Ok(Example { text, label: Truth::Many(mut labels) }) => {
                labels.sort();
                labels.dedup();
                examples.push((text, Truth::Many(labels)));
            }
            Ok(example) => examples.push((example.text, example.label)),
            Err(error) => mistakes.push(format!(
                "{}:{}: a line must be {{\"text\": \"...\", \"label\": \"...\"}}: {error}",
                path.display(),
                number + 1
            )),
        }
        if mistakes.len() == TOLD_MAX {
            break;
        }
    }
    if mistakes.is_empty() { Ok(examples) } else { Err(Failure::Wrong(mistakes.join("\n"))) }
}
