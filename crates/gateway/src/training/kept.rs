//! A trained classifier on disk: one line of JSON with the small parts, then the large ones as little-endian 32-bit numbers.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use api::{Head, Linear, Signal, SignalSet};
use classify::{Gist, Rarity, Stage};
use serde::{Deserialize, Serialize};

/// What training makes.
pub(super) struct Kept {
    pub(super) rarity: Rarity,
    pub(super) cheap: Stage,
    /// Only where it tells something better.
    pub(super) deep: Option<Stage>,
    pub(super) told_deep: SignalSet,
    /// One for each exemplar, in the order in which they are read.
    pub(super) gists: Vec<Gist>,
}

/// The small parts.
#[derive(Serialize, Deserialize)]
struct Header {
    rarity: usize,
    stages: Vec<StageHeader>,
    told_deep: Vec<Signal>,
    /// How many terms each gist has.
    gists: Vec<usize>,
}

#[derive(Serialize, Deserialize)]
struct StageHeader {
    bias: Vec<f32>,
    weights: usize,
    kind: Head,
    signals: Vec<(Signal, Head)>,
}

impl StageHeader {
    fn of(stage: &Stage) -> Self {
        Self {
            bias: stage.linear.bias().to_vec(),
            weights: stage.linear.weights().len(),
            kind: stage.kind.clone(),
            signals: stage.signals.clone(),
        }
    }

    fn stage(self, floats: &mut &[u8]) -> Option<Stage> {
        let linear = Linear::new(self.bias, take(floats, self.weights)?)?;
        Some(Stage { linear, kind: self.kind, signals: self.signals })
    }
}

impl Kept {
    /// Reads what [`Kept::write`] wrote; `None` where it is not there or not whole.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let bytes = fs::read(path).ok()?;
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let header: Header = serde_json::from_slice(&bytes[..end]).ok()?;
        let mut floats = &bytes[end + 1..];
        let rarity = Rarity::from_kept(take(&mut floats, header.rarity)?)?;
        let mut stages = header.stages.into_iter();
        let cheap = stages.next()?.stage(&mut floats)?;
        let deep = match stages.next() {
            Some(deep) => Some(deep.stage(&mut floats)?),
            None => None,
        };
        let gists: Option<Vec<Gist>> =
            header.gists.into_iter().map(|terms| gist(&mut floats, terms)).collect();
        let told_deep = header.told_deep.into_iter().collect();
        let gists = gists.filter(|_| floats.is_empty())?;
        Some(Self { rarity, cheap, deep, told_deep, gists })
    }

    /// Writes it beside, then renames it into place.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let stages: Vec<&Stage> = std::iter::once(&self.cheap).chain(&self.deep).collect();
        let header = Header {
            rarity: self.rarity.values().len(),
            stages: stages.iter().map(|stage| StageHeader::of(stage)).collect(),
            told_deep: Signal::ALL.iter().copied().filter(|signal| self.told_deep.has(*signal)).collect(),
            gists: self.gists.iter().map(|gist| gist.terms().len()).collect(),
        };
        let beside = path.with_extension("tmp");
        let mut file = io::BufWriter::new(File::create(&beside)?);
        serde_json::to_writer(&mut file, &header)?;
        file.write_all(b"\n")?;
        let floats = stages.iter().flat_map(|stage| stage.linear.weights());
        for value in self.rarity.values().iter().chain(floats) {
            file.write_all(&value.to_le_bytes())?;
        }
        for (place, weight) in self.gists.iter().flat_map(Gist::terms) {
            file.write_all(&place.to_le_bytes())?;
            file.write_all(&weight.to_le_bytes())?;
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(beside, path)
    }
}

/// The next gist, of so many terms.
fn gist(bytes: &mut &[u8], terms: usize) -> Option<Gist> {
    let (own, rest) = bytes.split_at_checked(terms.checked_mul(8)?)?;
    *bytes = rest;
    let four = |bytes: &[u8]| [bytes[0], bytes[1], bytes[2], bytes[3]];
    let cell = |eight: &[u8]| (u32::from_le_bytes(four(eight)), f32::from_le_bytes(four(&eight[4..])));
    Some(Gist::from_kept(own.chunks_exact(8).map(cell).collect()))
}

/// The next `count` floats.
fn take(bytes: &mut &[u8], count: usize) -> Option<Vec<f32>> {
    let (own, rest) = bytes.split_at_checked(count.checked_mul(4)?)?;
    *bytes = rest;
    Some(own.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect())
}

/// Removes classifiers of earlier exemplars: each takes some twenty megabytes. The one before stays, for whoever goes back.
pub(super) fn forget_others(newest: &Path) -> io::Result<()> {
    let Some(folder) = newest.parent() else { return Ok(()) };
    let mut others = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_classifier = name.to_str().is_some_and(|name| name.starts_with("classifier-"));
        if is_classifier && entry.path() != newest {
            others.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    others.sort();
    others.pop();
    others.into_iter().try_for_each(|(_, path)| fs::remove_file(path))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn only_the_newest_classifier_and_the_one_before_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let names =
            ["classifier-a.json", "classifier-b.bin", "classifier-c.bin", "classifier-new.bin", "book"];
        for (age, name) in names.iter().rev().enumerate() {
            let file = File::create(folder.path().join(name)).expect("a file");
            let then = SystemTime::now() - Duration::from_secs(3600 * age as u64);
            file.set_modified(then).expect("a time");
        }
        forget_others(&folder.path().join("classifier-new.bin")).expect("room");
        let mut left: Vec<String> = fs::read_dir(folder.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        assert_eq!(left, ["book", "classifier-c.bin", "classifier-new.bin"]);
    }
}
