//! `pointsman task`: train and look at local models for closed tasks.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use api::Embed;
use serde::Deserialize;

use crate::Failure;
use crate::cli::TaskCommand;
use crate::commands::{load_settings, say};
use crate::house::{in_words, now_ms};
use crate::renew::load_encoder;
use crate::settings::Settings;
use crate::tasks::{Task, Tasks, check_name};

/// Does what the user asked for.
pub(crate) fn task(config: &Path, command: TaskCommand) -> Result<(), Failure> {
    let settings = load_settings(config)?;
    match command {
        TaskCommand::Train { name, data } => train(&settings, &name, &data),
        TaskCommand::List => list(&settings),
        TaskCommand::Ask { name, text } => ask(&settings, &name, &text),
    }
}

fn train(settings: &Settings, name: &str, data: &Path) -> Result<(), Failure> {
    check_name(name).map_err(Failure::Wrong)?;
    let examples = read_examples(data)?;
    let encoder = load_encoder(settings).map_err(Failure::Unavailable)?;
    let (task, report) =
        Task::train(name, &examples, &encoder, now_ms()).map_err(|error| Failure::Wrong(in_words(&error)))?;
    let path = task.write(&settings.files.state).map_err(|error| {
        Failure::Unavailable(format!("{} cannot be written: {error}", settings.files.state.display()))
    })?;
    say(&format!(
        "task/{name}: {} examples, {} labels\ncross-validated: accuracy {:.3}, macro-F1 {:.3}, calibration error {:.3}\n\
         hands on below a confidence of {:.2}\nwritten to {}; a running gateway takes it up by itself",
        report.examples,
        report.classes,
        report.accuracy,
        report.macro_f1,
        report.ece,
        task.threshold,
        path.display()
    ));
    Ok(())
}

fn list(settings: &Settings) -> Result<(), Failure> {
    let encoder = load_encoder(settings).map_err(Failure::Unavailable)?;
    let (tasks, problems) = Tasks::load(&settings.files.state, encoder.fingerprint());
    say(&format!("{:<32}{:>8}{:>8}{:>10}", "task", "labels", "classes", "accuracy"));
    for task in tasks.iter() {
        let classes = task.head.labels.len();
        say(&format!(
            "{:<32}{:>8}{:>8}{:>10.3}",
            format!("task/{}", task.name),
            task.labels,
            classes,
            task.accuracy
        ));
    }
    for problem in problems {
        say(&format!("left out: {problem}"));
    }
    Ok(())
}

fn ask(settings: &Settings, name: &str, text: &str) -> Result<(), Failure> {
    let encoder = load_encoder(settings).map_err(Failure::Unavailable)?;
    let (tasks, _) = Tasks::load(&settings.files.state, encoder.fingerprint());
    let task = tasks.get(name).map_err(|error| Failure::Wrong(in_words(&error)))?;
    let vectors = encoder.embed(&[text]).map_err(|error| Failure::Unavailable(in_words(&error)))?;
    let vector = vectors.first().map(Vec::as_slice).unwrap_or_default();
    let (label, confidence, usual) = task.ask(vector);
    say(&format!("{label}\nconfidence {confidence:.3}, in distribution {usual:.3}"));
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    text: String,
    label: String,
}

/// Reads lines of `{"text", "label"}`.
///
/// # Errors
/// The first ten lines that are none, with their numbers.
pub(crate) fn read_examples(path: &Path) -> Result<Vec<(String, String)>, Failure> {
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
