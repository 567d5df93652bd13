//! The operator's examples of each kind of request: `config/exemplars/KIND.jsonl`, one JSON object a line.
//!
//! Owns reading and checking them. Refuses to guess: an unknown key, kind or signal is a mistake with its line, and all
//! mistakes are told at once.

use std::fs;
use std::path::{Path, PathBuf};

use api::{Kind, Signal};
use serde::Deserialize;

use crate::view::View;

/// The signals that are answered with yes or no and learnt from the exemplars.
pub const TRAINED: [Signal; 10] = [
    Signal::Mimicry,
    Signal::Reasoning,
    Signal::SeveralTasks,
    Signal::Regression,
    Signal::Creative,
    Signal::Knowledge,
    Signal::ContextGiven,
    Signal::ContextSufficient,
    Signal::Conflict,
    Signal::TimeSensitive,
];

/// One example of a kind of request.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// What the user says.
    pub text: String,
    /// The application's instructions.
    pub system: Option<String>,
    /// What kind of request it is.
    pub kind: Kind,
    /// The yes-or-no signals that are true of it; the others of [`TRAINED`] are not.
    pub signals: Vec<Signal>,
    /// The file that it stands in.
    pub file: PathBuf,
    /// Its line there, from 1.
    pub line: usize,
}

impl Exemplar {
    /// The exemplar as a request.
    pub fn view(&self) -> View {
        View::of(self.system.as_deref(), &self.text)
    }
}

/// A line as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    text: String,
    system: Option<String>,
    #[serde(default)]
    signals: Vec<String>,
}

/// Reads every `KIND.jsonl` in `folder`, in the order of the kinds' names and of the lines.
///
/// # Errors
/// All mistakes, each as `file:line: what is wrong and what is allowed`.
pub fn read_exemplars(folder: &Path) -> Result<Vec<Exemplar>, Vec<String>> {
    let mut mistakes = Vec::new();
    let mut exemplars = Vec::new();
    for file in files(folder, &mut mistakes) {
        match fs::read_to_string(&file) {
            Ok(content) => read_file(&file, &content, &mut exemplars, &mut mistakes),
            Err(error) => mistakes.push(format!("{}: cannot be read: {error}", file.display())),
        }
    }
    if mistakes.is_empty() && exemplars.is_empty() {
        mistakes.push(format!(
            "{}: no exemplars; put one file for each kind here, {}.jsonl and so on",
            folder.display(),
            Kind::Chat
        ));
    }
    if mistakes.is_empty() { Ok(exemplars) } else { Err(mistakes) }
}

fn files(folder: &Path, mistakes: &mut Vec<String>) -> Vec<PathBuf> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            mistakes.push(format!("{}: cannot be read: {error}", folder.display()));
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    files.sort();
    files
}

fn read_file(file: &Path, content: &str, exemplars: &mut Vec<Exemplar>, mistakes: &mut Vec<String>) {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let Ok(kind) = stem.parse::<Kind>() else {
        let allowed = names(Kind::ALL.iter().map(|kind| kind.name()));
        mistakes.push(format!("{}: `{stem}` is no kind of request; allowed are {allowed}", file.display()));
        return;
    };
    for (place, line) in content.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let at = format!("{}:{}", file.display(), place + 1);
        match read_line(line) {
            Ok((written, signals)) => exemplars.push(Exemplar {
                text: written.text,
                system: written.system,
                kind,
                signals,
                file: file.to_owned(),
                line: place + 1,
            }),
            Err(wrong) => mistakes.push(format!("{at}: {wrong}")),
        }
    }
}

fn read_line(line: &str) -> Result<(Written, Vec<Signal>), String> {
    let written: Written = serde_json::from_str(line).map_err(|error| {
        format!("{error}; a line is {{\"text\": \"...\", \"system\": \"...\", \"signals\": [\"...\"]}}")
    })?;
    if written.text.trim().is_empty() {
        return Err("`text` is empty".to_owned());
    }
    let mut signals = Vec::with_capacity(written.signals.len());
    for name in &written.signals {
        match name.parse::<Signal>() {
            Ok(signal) if TRAINED.contains(&signal) => signals.push(signal),
            _ => {
                let allowed = names(TRAINED.iter().map(|signal| signal.name()));
                return Err(format!("`signals` has `{name}`; allowed are {allowed}"));
            }
        }
    }
    Ok((written, signals))
}

fn names(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], expected: Result<usize, &[&str]>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        match (read_exemplars(folder.path()), expected) {
            (Ok(read), Ok(count)) => assert_eq!(read.len(), count),
            (Err(mistakes), Err(parts)) => {
                assert_eq!(mistakes.len(), parts.len(), "{mistakes:?}");
                for (mistake, part) in mistakes.iter().zip(parts) {
                    assert!(mistake.contains(part), "{mistake} lacks {part}");
                }
            }
            (got, expected) => panic!("got {got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        check(&[("code.jsonl", "{\"text\":\"a\",\"signals\":[\"creative\"]}\n\n{\"text\":\"b\"}\n")], Ok(2));
        check(
            &[
                ("code.jsonl", "{\"text\":\"a\"}\n{\"text\":\"\"}\n{\"txt\":1}\nno"),
                ("cooking.jsonl", "{}"),
                ("chat.jsonl", "{\"text\":\"a\",\"signals\":[\"noise\"]}"),
                ("README.md", "not read"),
            ],
            Err(&[
                "chat.jsonl:1: `signals` has `noise`; allowed are mimicry, reasoning",
                "code.jsonl:2: `text` is empty",
                "code.jsonl:3: unknown field `txt`",
                "code.jsonl:4: ",
                "`cooking` is no kind of request; allowed are chat, reasoning",
            ]),
        );
        check(&[], Err(&["no exemplars"]));
    }

    #[test]
    fn a_missing_folder_is_a_mistake() {
        let mistakes = read_exemplars(Path::new("does/not/exist")).unwrap_err();
        assert!(mistakes[0].starts_with("does/not/exist: cannot be read"));
    }
}
