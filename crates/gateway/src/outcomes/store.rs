//! What is known of how models fared, on disk: one JSONL file a source in `outcomes/` of the state folder. Imported files
//! are replaced whole; feedback is appended by the gateway alone. Refuses private requests: its callers never bring one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use api::{Embed, Error};
use classify::Encoder;
use learn::routing::{Outcome, Trial};
use serde::{Deserialize, Serialize};

use crate::decider::vector;
use crate::journal::{Journal, unpacked};

/// The source that `/v1/feedback` writes.
pub(crate) const FEEDBACK: &str = "feedback";
/// Feedback beyond this is forgotten, oldest first.
pub(crate) const FEEDBACK_ROWS_MAX: usize = 20_000;

/// A request and its outcomes, as kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Names the request; a later row of the same name takes its place.
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) group: String,
    pub(crate) prompt: String,
    pub(crate) models: BTreeMap<String, Fared>,
    /// The prompt's vector: base64 of little-endian 32-bit floats, and the encoder that made it.
    pub(crate) vector: String,
    pub(crate) encoder: String,
}

/// How a model fared: JSON has no word for what is not a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fared {
    pub(crate) score: Option<f64>,
    pub(crate) cost: Option<f64>,
}

impl From<Outcome> for Fared {
    fn from(outcome: Outcome) -> Self {
        let known = |value: f64| Some(value).filter(|value| value.is_finite());
        Self { score: known(outcome.score), cost: known(outcome.cost) }
    }
}

impl From<Fared> for Outcome {
    fn from(fared: Fared) -> Self {
        Self { score: fared.score.unwrap_or(f64::NAN), cost: fared.cost.unwrap_or(f64::NAN) }
    }
}

/// A source and what it holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) rows: usize,
    pub(crate) models: Vec<String>,
}

/// The outcomes of one state folder.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    folder: PathBuf,
}

impl Store {
    /// The store below a state folder, which need not be there yet.
    pub(crate) fn new(state: &Path) -> Self {
        Self { folder: state.join("outcomes") }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.jsonl"))
    }

    fn journal(&self, name: &str) -> Journal {
        Journal::new(self.path(name))
    }

    /// The names of all sources, sorted.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "jsonl") {
                names.extend(path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
            }
        }
        names.sort();
        Ok(names)
    }

    /// What each source holds.
    pub(crate) fn sources(&self) -> io::Result<Vec<Source>> {
        let source = |name: String| {
            let rows = self.rows(&name)?;
            let mut models: Vec<String> = rows.iter().flat_map(|row| row.models.keys().cloned()).collect();
            models.sort();
            models.dedup();
            Ok(Source { name, rows: rows.len(), models })
        };
        self.names()?.into_iter().map(source).collect()
    }

    /// The rows of a source, each id once.
    fn rows(&self, name: &str) -> io::Result<Vec<Row>> {
        let mut rows: Vec<Row> = Vec::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for row in self.journal(name).read::<Row>()? {
            match places.get(&row.id) {
                Some(place) => rows[*place] = row,
                None => {
                    places.insert(row.id.clone(), rows.len());
                    rows.push(row);
                }
            }
        }
        Ok(rows)
    }

    /// Replaces a source, all or nothing.
    pub(crate) fn replace(&self, name: &str, rows: &[Row]) -> io::Result<()> {
        self.journal(name).replace(rows)
    }

    /// Forgets a source; false where there was none.
    pub(crate) fn remove(&self, name: &str) -> io::Result<bool> {
        match fs::remove_file(self.path(name)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Adds a verdict. Only the gateway calls this, one at a time.
    pub(crate) fn append_feedback(&self, row: &Row) -> io::Result<()> {
        self.journal(FEEDBACK).append([row])
    }

    /// Keeps the newest verdicts only.
    pub(crate) fn trim_feedback(&self) -> io::Result<()> {
        let path = self.path(FEEDBACK);
        if !path.exists() {
            return Ok(());
        }
        let rows = self.rows(FEEDBACK)?;
        match rows.len().checked_sub(FEEDBACK_ROWS_MAX) {
            None | Some(0) => Ok(()),
            Some(old) => self.replace(FEEDBACK, &rows[old..]),
        }
    }

    /// Names the content of all sources: what is learnt from them is kept under it.
    pub(crate) fn fingerprint(&self) -> io::Result<Option<String>> {
        let names = self.names()?;
        if names.is_empty() {
            return Ok(None);
        }
        let mut hasher = blake3::Hasher::new();
        for name in names {
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
            hasher.update_reader(File::open(self.path(&name))?)?;
        }
        Ok(Some(hasher.finalize().to_hex()[..32].to_owned()))
    }

    /// Everything, to learn from. Prompts whose vectors another encoder made are encoded anew.
    ///
    /// # Errors
    /// A file cannot be read, or the encoder failed.
    pub(crate) fn trials(&self, encoder: &Encoder) -> Result<Vec<Trial>, Error> {
        let mut trials = Vec::new();
        for name in self.names().map_err(Error::internal)? {
            for row in self.rows(&name).map_err(Error::internal)? {
                let kept = (row.encoder == encoder.fingerprint()).then(|| unpacked(&row.vector)).flatten();
                let vector = match kept {
                    Some(vector) => vector,
                    None => vector(encoder, &row.prompt)?,
                };
                let group = if row.group.is_empty() { name.clone() } else { row.group };
                let models = row.models.into_iter().map(|(model, fared)| (model, fared.into())).collect();
                trials.push(Trial { id: row.id, group, prompt: row.prompt, vector, models });
            }
        }
        Ok(trials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::packed;

    fn row(id: &str, score: f64) -> Row {
        Row {
            id: id.to_owned(),
            group: String::new(),
            prompt: format!("prompt of {id}"),
            models: BTreeMap::from([("m".to_owned(), Fared { score: Some(score), cost: None })]),
            vector: packed(&[0.25, -1.5]),
            encoder: "e".to_owned(),
        }
    }

    #[test]
    fn sources_come_back_as_they_were_kept_and_later_rows_win() {
        let state = tempfile::tempdir().expect("a folder");
        let store = Store::new(state.path());
        assert_eq!(store.fingerprint().expect("readable"), None);
        store.replace("bench", &[row("a", 1.0), row("b", 0.0)]).expect("kept");
        let before = store.fingerprint().expect("readable");
        store.append_feedback(&row("c", 1.0)).expect("kept");
        store.append_feedback(&row("c", 0.0)).expect("kept");
        assert_ne!(store.fingerprint().expect("readable"), before);
        let sources = store.sources().expect("readable");
        let told: Vec<(&str, usize)> =
            sources.iter().map(|source| (source.name.as_str(), source.rows)).collect();
        assert_eq!(told, [("bench", 2), ("feedback", 1)]);
        assert_eq!(store.rows(FEEDBACK).expect("readable"), [row("c", 0.0)]);
        assert!(store.remove("bench").expect("removed") && !store.remove("bench").expect("gone"));
    }
}
