//! A trained model of a task with its certificate, on disk; and which of them serves.
//!
//! Every training leaves a file of its own, so that going back is a change of one number. Refuses to train (`training.rs`)
//! and to watch (`watch.rs`).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use learn::task::Model;
use serde::{Deserialize, Serialize};

use super::tuned::Adapted;
use crate::journal::write_whole;

/// Versions that are kept; the oldest go first, but never one that serves.
const VERSIONS_KEPT: usize = 8;

/// A trained model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) number: u32,
    /// The encoder that made the vectors; the model is of no use with another.
    pub(crate) encoder: String,
    /// Names the labels that it was trained from.
    pub(crate) data: String,
    /// Milliseconds since 1970.
    pub(crate) trained_at_ms: u64,
    /// How long the training took, embedding left out.
    pub(crate) train_s: f64,
    /// Labels by who said them.
    pub(crate) labels: BTreeMap<String, usize>,
    pub(crate) card: Card,
    pub(crate) certificate: Issued,
    pub(crate) brain: Brain,
}

/// What answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Brain {
    /// A head over the vector and the words of the input.
    Head(Box<Model>),
    /// An adapter of a generative model.
    Adapter(Adapted),
}

impl Brain {
    /// The labels that it answers with, empty where any answer is possible.
    pub(crate) fn labels(&self) -> &[String] {
        match self {
            Self::Head(model) => model.labels(),
            Self::Adapter(adapted) => &adapted.choices,
        }
    }
}

/// How it fared on examples held out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Card {
    pub(crate) examples: usize,
    pub(crate) labels: usize,
    pub(crate) accuracy: f64,
    pub(crate) macro_f1: f64,
    pub(crate) ece: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mean_absolute_error: Option<f64>,
    /// What was chosen, in words.
    pub(crate) chosen: String,
}

/// The certificate as it was issued: among answers that are accepted, and while requests and reference are as they were, at
/// most `level` disagree with the reference, with this confidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Issued {
    pub(crate) level: f64,
    pub(crate) confidence: f64,
    /// Answers with at least this trust are accepted; `None` where nothing could be certified.
    pub(crate) threshold: Option<f32>,
    /// The share of held-out examples that is accepted, and how many of those were wrong.
    pub(crate) coverage: f64,
    pub(crate) disagreement: f64,
    /// Held-out examples tested.
    pub(crate) n: usize,
    pub(crate) issued_at_ms: u64,
    pub(crate) expires_at_ms: u64,
    pub(crate) slices: Vec<Slice>,
}

/// The certificate looked at for some of the requests: not certified each by itself, only shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Slice {
    pub(crate) name: String,
    pub(crate) n: usize,
    pub(crate) accepted: usize,
    pub(crate) disagreement: f64,
    /// The upper bound of the disagreement at the certificate's confidence.
    pub(crate) bound: f64,
}

impl Issued {
    /// Whether an answer of this trust may be served now.
    pub(crate) fn accepts(&self, trust: f32, now_ms: u64) -> bool {
        self.in_force(now_ms) && self.threshold.is_some_and(|threshold| trust >= threshold)
    }

    pub(crate) fn in_force(&self, now_ms: u64) -> bool {
        self.threshold.is_some() && now_ms < self.expires_at_ms
    }
}

impl Version {
    /// Reads the version of this number.
    ///
    /// # Errors
    /// In words: it is not there, not readable, or of another encoder.
    pub(crate) fn read(folder: &Path, number: u32, encoder: &str) -> Result<Self, String> {
        let path = path(folder, number);
        let wrong = |why: String| format!("{}: {why}", path.display());
        let bytes = fs::read(&path).map_err(|error| wrong(error.to_string()))?;
        let version: Self = serde_json::from_slice(&bytes)
            .map_err(|error| wrong(format!("not a trained task of this build: {error}; train it again")))?;
        if version.encoder != encoder {
            return Err(wrong("trained with another encoder; train it again".to_owned()));
        }
        Ok(version)
    }

    /// The adapter that it answers with, if it is one.
    pub(crate) fn adapter(&self) -> Option<&Adapted> {
        match &self.brain {
            Brain::Adapter(adapted) => Some(adapted),
            Brain::Head(_) => None,
        }
    }

    /// The figures that decide about it, in words.
    pub(crate) fn in_words(&self) -> String {
        let Self { number, card, certificate, .. } = self;
        let told = match certificate.threshold {
            Some(threshold) => format!(
                "at most {:.1} % disagreement certified for {:.0} % of requests (trust >= {threshold:.3}, n {})",
                certificate.level * 100.0,
                certificate.coverage * 100.0,
                certificate.n
            ),
            None => format!("no threshold keeps disagreement under {:.1} %", certificate.level * 100.0),
        };
        format!("version {number}: {} examples, accuracy {:.3}; {told}", card.examples, card.accuracy)
    }

    /// Keeps the version under its number, and forgets old ones that `standing` does not name.
    pub(crate) fn write(&self, folder: &Path, standing: &Standing) -> io::Result<PathBuf> {
        let path = path(folder, self.number);
        write_whole(&path, |file| Ok(serde_json::to_writer(file, self)?))?;
        let numbers = numbers(folder)?;
        let old = numbers.len().saturating_sub(VERSIONS_KEPT);
        for number in numbers.into_iter().take(old).filter(|number| !standing.names(*number)) {
            let path = self::path(folder, number);
            match fs::remove_file(path.with_extension("gguf")) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => fs::remove_file(path)?,
            }
        }
        Ok(path)
    }
}

/// Where the versions of a task's folder are.
pub(crate) fn versions(folder: &Path) -> PathBuf {
    folder.join("versions")
}

fn path(folder: &Path, number: u32) -> PathBuf {
    versions(folder).join(format!("{number:04}.json"))
}

/// The numbers of the versions that are kept, ascending.
pub(crate) fn numbers(folder: &Path) -> io::Result<Vec<u32>> {
    let entries = match fs::read_dir(versions(folder)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "json") {
            numbers.extend(path.file_stem().and_then(|stem| stem.to_str()?.parse::<u32>().ok()));
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Which versions of a task answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// The one that answers.
    pub(crate) serving: Option<u32>,
    /// A new one, which answers a share until it has proved itself.
    pub(crate) canary: Option<u32>,
    /// Those that answered before, the latest last: where rolling back leads.
    pub(crate) earlier: Vec<u32>,
    /// Why nothing serves, where something did.
    pub(crate) demoted: Option<Demotion>,
    /// Requests changed at this moment: what was labelled before proves nothing about those that come now.
    #[serde(default)]
    pub(crate) drifted_at_ms: Option<u64>,
}

/// A version that no longer answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Demotion {
    pub(crate) version: u32,
    pub(crate) why: String,
    pub(crate) at_ms: u64,
}

impl Standing {
    /// Reads it from a task's folder; where there is none nothing serves.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub(crate) fn read(folder: &Path) -> io::Result<Self> {
        match fs::read(folder.join(STANDING)) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        write_whole(&folder.join(STANDING), |file| Ok(serde_json::to_writer_pretty(file, self)?))
    }

    fn names(&self, number: u32) -> bool {
        self.serving == Some(number) || self.canary == Some(number) || self.earlier.last() == Some(&number)
    }

    /// Makes a version the one that answers.
    pub(crate) fn promote(&mut self, number: u32) {
        // An older version on trial has nothing to prove any more.
        self.canary = self.canary.filter(|canary| *canary > number);
        self.earlier.retain(|earlier| *earlier != number);
        if let Some(before) = self.serving.replace(number).filter(|before| *before != number) {
            self.earlier.push(before);
        }
        self.demoted = None;
    }

    /// Takes a version out of service.
    pub(crate) fn demote(&mut self, number: u32, why: &str, at_ms: u64) {
        if self.canary == Some(number) {
            self.canary = None;
            return;
        }
        if self.serving == Some(number) {
            self.serving = None;
            // It was trained before the trouble, too.
            self.canary = None;
            self.demoted = Some(Demotion { version: number, why: why.to_owned(), at_ms });
        }
    }

    /// Goes back to the version that answered before the present one; says which.
    pub(crate) fn roll_back(&mut self) -> Option<u32> {
        let before = self.earlier.pop()?;
        self.serving = Some(before);
        self.canary = None;
        self.demoted = None;
        Some(before)
    }
}

/// The file that says which version serves; the gateway watches it.
pub(crate) const STANDING: &str = "standing.json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_and_go_and_come_back() {
        let mut standing = Standing::default();
        standing.promote(1);
        standing.promote(2);
        standing.canary = Some(3);
        standing.demote(3, "unsure", 5);
        assert_eq!((standing.serving, standing.canary), (Some(2), None));
        standing.canary = Some(4);
        standing.promote(4);
        assert_eq!(
            (standing.serving, standing.canary, standing.earlier.as_slice()),
            (Some(4), None, &[1, 2][..])
        );
        standing.canary = Some(3);
        standing.promote(4);
        assert_eq!(standing.canary, None, "older than what serves");
        standing.canary = Some(5);
        standing.demote(4, "disagrees", 9);
        assert_eq!((standing.serving, standing.canary), (None, None));
        assert_eq!(standing.demoted.as_ref().map(|demoted| demoted.version), Some(4));
        assert_eq!(standing.roll_back(), Some(2));
        assert_eq!((standing.serving, standing.demoted.as_ref()), (Some(2), None));
        assert_eq!((standing.roll_back(), standing.roll_back()), (Some(1), None));
    }

    #[test]
    fn a_standing_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Standing::read(folder.path()).expect("nothing yet"), Standing::default());
        let mut standing = Standing::default();
        standing.promote(7);
        standing.demote(7, "why", 1);
        standing.write(folder.path()).expect("written");
        assert_eq!(Standing::read(folder.path()).expect("readable"), standing);
        fs::write(folder.path().join(STANDING), "{").expect("written");
        assert!(Standing::read(folder.path()).is_err());
    }

    #[test]
    fn an_expired_certificate_accepts_nothing() {
        let issued = Issued {
            level: 0.05,
            confidence: 0.95,
            threshold: Some(0.7),
            coverage: 0.8,
            disagreement: 0.01,
            n: 100,
            issued_at_ms: 0,
            expires_at_ms: 10,
            slices: Vec::new(),
        };
        assert!(issued.accepts(0.7, 9) && !issued.accepts(0.69, 9) && !issued.accepts(0.9, 10));
        assert!(!Issued { threshold: None, ..issued }.accepts(1.0, 0));
    }
}
