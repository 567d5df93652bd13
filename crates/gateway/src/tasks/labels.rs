//! The labelled examples of one task, in memory and on disk: who said it, of which request, when, for whom.
//!
//! Owns de-duplication (one label an input and tenant), rank (a person outranks a file, a file outranks a model), retention
//! and erasure. Refuses private requests: its callers never bring one.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use api::Error;
use classify::Encoder;
use learn::task::Truth;
use serde::{Deserialize, Serialize};

use super::described::Described;
use crate::journal::Journal;

/// The file is written anew when it holds more than this share of lines that no longer count.
const STALE_SHARE: usize = 2;
/// So many stale lines are never worth it.
const STALE_MIN: usize = 1000;
/// Texts that are encoded at a time.
const ENCODED_AT_ONCE: usize = 64;
/// Bytes of the longest input that is kept.
pub(crate) const INPUT_BYTES_MAX: usize = 32 << 10;

/// Who said that a label is right; the later outranks the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    /// A model that answered the request.
    Model,
    /// A file that the operator brought.
    Import,
    /// A person, of this one request.
    Human,
}

impl By {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Import => "import",
            Self::Human => "human",
        }
    }
}

/// A labelled request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Label {
    /// Whose request it was; empty for what the operator brought for everybody.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) tenant: String,
    pub(crate) input: String,
    #[serde(rename = "label")]
    pub(crate) truth: Truth,
    pub(crate) by: By,
    /// The model that said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// The logarithm of the probability that the model gave its own answer, where it told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) logprob: Option<f64>,
    /// The decision that the answer came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) decision: Option<String>,
    /// Milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// Drawn from the task's requests without looking at them: certificates are tested on these alone. While a version
    /// serves, what it does not accept is labelled far more often than what it does, and people judge what went wrong.
    #[serde(default)]
    pub(crate) drawn: bool,
}

impl Label {
    pub(crate) fn id(&self) -> LabelId {
        label_id(&self.tenant, &self.input)
    }
}

/// Names a labelled request.
pub(crate) type LabelId = [u8; 16];

/// The name of a request: the same words of the same tenant, in whatever white space, are one request.
pub(crate) fn label_id(tenant: &str, input: &str) -> LabelId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(tenant.len() as u64).to_le_bytes());
    hasher.update(tenant.as_bytes());
    for word in input.split_whitespace() {
        hasher.update(word.as_bytes());
        hasher.update(b" ");
    }
    let mut short = [0; 16];
    hasher.finalize_xof().fill(&mut short);
    short
}

/// A label as it lies on disk.
#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    label: Label,
    /// The input's vector, where it was known, and the encoder that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vector: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    encoder: String,
}

/// A label and the vector of its input.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) label: Label,
    /// `None` until somebody has encoded it with the encoder in use.
    pub(crate) vector: Option<Described>,
}

/// What became of a label that was brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// The request was not labelled before.
    New,
    /// It had another label, which this one takes the place of.
    Changed,
    /// It has this label already, from as good a source.
    Known,
    /// It has a label from a better source.
    Outranked,
}

/// Which labels to erase; a field that is `None` is no condition.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Erasure {
    pub(crate) tenant: Option<String>,
    /// Labels from before this moment.
    pub(crate) before_ms: Option<u64>,
    /// Labels of inputs that hold this text.
    pub(crate) text: Option<String>,
    pub(crate) by: Option<By>,
}

impl Erasure {
    fn meets(&self, label: &Label) -> bool {
        self.tenant.as_ref().is_none_or(|tenant| *tenant == label.tenant)
            && self.before_ms.is_none_or(|before| label.at_ms < before)
            && self.text.as_ref().is_none_or(|text| label.input.contains(text))
            && self.by.is_none_or(|by| by == label.by)
    }
}

/// The labels of one task.
#[derive(Debug)]
pub(crate) struct Labels {
    journal: Journal,
    encoder: String,
    kept: HashMap<LabelId, Kept>,
    /// Lines on disk, those that no longer count included.
    lines: usize,
    /// Length and time of the file as we know it: another process may write it as well.
    seen: Option<(u64, SystemTime)>,
}

impl Labels {
    /// Reads the labels below a task's folder, where nothing need be yet.
    pub(crate) fn open(folder: &Path, encoder: &str) -> io::Result<Self> {
        let journal = Journal::new(folder.join("labels.jsonl"));
        let mut labels =
            Self { journal, encoder: encoder.to_owned(), kept: HashMap::new(), lines: 0, seen: None };
        labels.refresh()?;
        Ok(labels)
    }

    /// Reads the file again if another process has written it. Before anything is written this must be called under the
    /// [`Lock`]: what is not known here would be lost when the file is written anew.
    pub(crate) fn refresh(&mut self) -> io::Result<()> {
        let there = stamp(self.journal.path());
        if there == self.seen {
            return Ok(());
        }
        self.seen = there;
        let lines = self.journal.read::<Line>()?;
        self.lines = lines.len();
        self.kept.clear();
        for line in lines {
            let vector = (line.encoder == self.encoder).then_some(line.vector).flatten();
            let vector = vector.and_then(|text| Described::read(&text));
            self.put(Kept { label: line.label, vector });
        }
        Ok(())
    }

    /// Takes in labels and writes those that change something; on disk when this returns.
    pub(crate) fn add(&mut self, brought: Vec<Kept>) -> io::Result<Vec<Added>> {
        let mut lines = Vec::new();
        let mut added = Vec::with_capacity(brought.len());
        for kept in brought {
            let id = kept.label.id();
            let what = self.put(kept);
            if matches!(what, Added::New | Added::Changed) {
                lines.extend(self.kept.get(&id).map(|kept| self.line(kept)));
            }
            added.push(what);
        }
        if !lines.is_empty() {
            self.journal.append(&lines)?;
            self.lines += lines.len();
            self.seen = stamp(self.journal.path());
        }
        Ok(added)
    }

    fn put(&mut self, kept: Kept) -> Added {
        let id = kept.label.id();
        let Some(before) = self.kept.get_mut(&id) else {
            self.kept.insert(id, kept);
            return Added::New;
        };
        if kept.label.by < before.label.by {
            return Added::Outranked;
        }
        if kept.label.by == before.label.by && kept.label.truth == before.label.truth {
            return Added::Known;
        }
        let vector = kept.vector.or_else(|| before.vector.take());
        let drawn = kept.label.drawn || before.label.drawn;
        *before = Kept { label: Label { drawn, ..kept.label }, vector };
        Added::Changed
    }

    fn line(&self, kept: &Kept) -> Line {
        let vector = kept.vector.as_ref().map(Described::written);
        let encoder = if vector.is_some() { self.encoder.clone() } else { String::new() };
        Line { label: kept.label.clone(), vector, encoder }
    }

    /// Erases for good; says how many.
    pub(crate) fn erase(&mut self, erasure: &Erasure) -> io::Result<usize> {
        self.keep_only(|label| !erasure.meets(label))
    }

    /// Forgets the traffic that is older than `keep`, and what goes beyond `examples_max`: models' labels first, the oldest
    /// first. What the operator brought in files is kept however old it is. Says how many were forgotten.
    pub(crate) fn forget(&mut self, now_ms: u64, keep: Duration, examples_max: usize) -> io::Result<usize> {
        let keep_ms = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        let oldest = now_ms.saturating_sub(keep_ms);
        let too_old = |label: &Label| label.by != By::Import && label.at_ms < oldest;
        let old = self.kept.values().filter(|kept| too_old(&kept.label)).count();
        let over = (self.kept.len() - old).saturating_sub(examples_max);
        if old + over == 0 {
            return Ok(0);
        }
        let mut ranked: Vec<(By, u64, LabelId)> = self
            .kept
            .iter()
            .filter(|(_, kept)| !too_old(&kept.label))
            .map(|(id, kept)| (kept.label.by, kept.label.at_ms, *id))
            .collect();
        ranked.sort_unstable();
        let going: std::collections::HashSet<LabelId> =
            ranked.into_iter().take(over).map(|(_, _, id)| id).collect();
        self.keep_only(|label| !too_old(label) && !going.contains(&label.id()))
    }

    fn keep_only(&mut self, keep: impl Fn(&Label) -> bool) -> io::Result<usize> {
        let before = self.kept.len();
        self.kept.retain(|_, kept| keep(&kept.label));
        let gone = before - self.kept.len();
        if gone > 0 {
            self.rewrite()?;
        }
        Ok(gone)
    }

    /// Writes the file anew if most of it no longer counts.
    pub(crate) fn tidy(&mut self) -> io::Result<()> {
        let stale = self.lines.saturating_sub(self.kept.len());
        if stale > STALE_MIN.max(self.kept.len() * STALE_SHARE) { self.rewrite() } else { Ok(()) }
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let lines: Vec<Line> = self.sorted().into_iter().map(|kept| self.line(kept)).collect();
        self.journal.replace(&lines)?;
        self.lines = lines.len();
        self.seen = stamp(self.journal.path());
        Ok(())
    }

    /// All labels, the oldest first, in an order that is the same in every process.
    pub(crate) fn sorted(&self) -> Vec<&Kept> {
        let mut all: Vec<(&LabelId, &Kept)> = self.kept.iter().collect();
        all.sort_by_key(|(id, kept)| (kept.label.at_ms, **id));
        all.into_iter().map(|(_, kept)| kept).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Kept> {
        self.kept.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// How many labels there are by who said them: `human`, `import`, and the models' names.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for kept in self.kept.values() {
            let by = kept.label.model.clone().filter(|_| kept.label.by == By::Model);
            *counts.entry(by.unwrap_or_else(|| kept.label.by.name().to_owned())).or_default() += 1;
        }
        counts
    }

    /// Encodes the inputs that have no vector of this encoder yet, and keeps the vectors. Blocks.
    ///
    /// # Errors
    /// The encoder failed, or the file cannot be written.
    pub(crate) fn encode(&mut self, encoder: &Encoder) -> Result<usize, Error> {
        let missing: Vec<(LabelId, String)> = self
            .kept
            .iter()
            .filter(|(_, kept)| kept.vector.is_none())
            .map(|(id, kept)| (*id, kept.label.input.clone()))
            .collect();
        for some in missing.chunks(ENCODED_AT_ONCE) {
            let texts: Vec<&str> = some.iter().map(|(_, text)| text.as_str()).collect();
            for ((id, _), vector) in some.iter().zip(encoder.describe(&texts)?) {
                if let Some(kept) = self.kept.get_mut(id) {
                    kept.vector = Some(Described::of(&vector));
                }
            }
        }
        if !missing.is_empty() {
            self.rewrite().map_err(Error::internal)?;
        }
        Ok(missing.len())
    }

    /// Names the content, for an artefact that is trained from it.
    pub(crate) fn fingerprint<'a>(used: impl Iterator<Item = &'a Label>) -> String {
        let mut hasher = blake3::Hasher::new();
        for label in used {
            hasher.update(&label.id());
            hasher.update(serde_json::to_string(&label.truth).unwrap_or_default().as_bytes());
            hasher.update(b"\n");
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }
}

/// What tells that a file was written: its length and time.
fn stamp(path: &Path) -> Option<(u64, SystemTime)> {
    let found = fs::metadata(path).ok()?;
    Some((found.len(), found.modified().ok()?))
}

/// Keeps two processes from writing into one task's folder at once, until it is dropped.
pub(crate) struct Lock(#[expect(dead_code, reason = "the lock goes when the file is closed")] File);

impl Lock {
    /// Waits for the lock. Blocks for as long as another process writes, which is never long.
    pub(crate) fn take(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let file = File::options().create(true).truncate(false).write(true).open(folder.join("lock"))?;
        file.lock()?;
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(tenant: &str, input: &str, truth: &str, by: By, at_ms: u64) -> Kept {
        let label = Label {
            tenant: tenant.to_owned(),
            input: input.to_owned(),
            truth: Truth::One(truth.to_owned()),
            by,
            model: (by == By::Model).then(|| "big".to_owned()),
            logprob: None,
            decision: None,
            at_ms,
            drawn: by != By::Human,
        };
        Kept { label, vector: Some(Described::of(&[0.5, -0.5])) }
    }

    fn open(folder: &Path) -> Labels {
        Labels::open(folder, "e").expect("readable")
    }

    #[test]
    fn a_better_source_wins_and_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut labels = open(folder.path());
        for (truth, by, expected) in [
            ("a", By::Model, Added::New),
            ("a", By::Model, Added::Known),
            ("b", By::Model, Added::Changed),
            ("c", By::Human, Added::Changed),
            ("b", By::Model, Added::Outranked),
            ("b", By::Import, Added::Outranked),
            ("d", By::Human, Added::Changed),
        ] {
            let added = labels.add(vec![label("t", "where is  my card", truth, by, 1)]).expect("kept");
            assert_eq!(added, [expected], "{truth} {by:?}");
        }
        // Another tenant's request is another request; white space makes no difference.
        labels.add(vec![label("u", "where is my card", "a", By::Model, 2)]).expect("kept");
        let again = open(folder.path());
        assert_eq!(again.len(), 2);
        assert_eq!(again.kept[&label_id("t", "where is my\ncard")].label.truth, Truth::One("d".to_owned()));
        assert!(again.iter().all(|kept| kept.vector.is_some()));
        assert!(
            Labels::open(folder.path(), "other").expect("readable").iter().all(|kept| kept.vector.is_none())
        );
    }

    #[test]
    fn what_is_erased_is_gone_from_the_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut labels = open(folder.path());
        labels
            .add(vec![
                label("t", "secret one", "a", By::Model, 1),
                label("t", "two", "a", By::Human, 5),
                label("u", "three", "b", By::Model, 9),
            ])
            .expect("kept");
        let erasure = Erasure { text: Some("secret".to_owned()), ..Erasure::default() };
        assert_eq!(labels.erase(&erasure).expect("erased"), 1);
        assert!(!fs::read_to_string(folder.path().join("labels.jsonl")).expect("there").contains("secret"));
        let erasure = Erasure { tenant: Some("t".to_owned()), before_ms: Some(5), ..Erasure::default() };
        assert_eq!(labels.erase(&erasure).expect("erased"), 0);
        assert_eq!(labels.erase(&Erasure { before_ms: Some(6), ..Erasure::default() }).expect("erased"), 1);
        assert_eq!(open(folder.path()).len(), 1);
    }

    #[test]
    fn what_is_old_or_too_much_is_forgotten_models_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut labels = open(folder.path());
        let day = 86_400_000;
        labels
            .add(vec![
                label("", "file", "a", By::Import, 0),
                label("t", "old", "a", By::Human, day),
                label("t", "m1", "a", By::Model, 9 * day),
                label("t", "m2", "a", By::Model, 10 * day),
                label("t", "h", "a", By::Human, 8 * day),
            ])
            .expect("kept");
        let forgotten = labels.forget(10 * day, Duration::from_secs(5 * 86_400), 3).expect("forgotten");
        assert_eq!(forgotten, 2);
        let left: Vec<&str> = labels.sorted().iter().map(|kept| kept.label.input.as_str()).collect();
        assert_eq!(left, ["file", "h", "m2"]);
        assert_eq!(open(folder.path()).len(), 3);
    }

    #[test]
    fn a_file_full_of_stale_lines_is_written_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut labels = open(folder.path());
        for turn in 0..=STALE_MIN + 1 {
            let truth = if turn % 2 == 0 { "a" } else { "b" };
            labels.put(label("t", "same", truth, By::Model, turn as u64));
            labels.lines += 1;
        }
        labels.tidy().expect("tidied");
        assert_eq!(labels.lines, 1);
    }
}
