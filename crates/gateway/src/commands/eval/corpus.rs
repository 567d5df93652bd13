//! The index of a folder in the layout of BEIR, kept for the next time or made for this one.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use classify::Encoder;
use indicatif::{ProgressBar, ProgressStyle};
use knowledge::beir::Beir;
use knowledge::{Corpus, Embedded, Feed, Progress, Store};
use serde_json::Value;

use crate::Failure;
use crate::commands::{failed, is_watched};

/// An index, and the folder that goes with it where it was made for this run alone.
pub(super) struct Indexed {
    pub(super) store: Embedded,
    pub(super) documents: u64,
    pub(super) passages: u64,
    /// The corpus as plain JSON Lines.
    corpus: PathBuf,
    _folder: tempfile::TempDir,
}

impl Indexed {
    /// Builds the index, or takes what is in `kept` as far as it is right.
    pub(super) fn of(beir: &Beir, kept: Option<&Path>, encoder: &Encoder) -> Result<Self, Failure> {
        use api::Embed as _;
        let folder = tempfile::tempdir().map_err(|error| Failure::Unavailable(error.to_string()))?;
        let place = kept.map_or_else(|| folder.path().join("index"), Path::to_owned);
        let (store, _) = Embedded::open(&place, Some(encoder.fingerprint())).map_err(failed)?;
        let file = beir.unpacked(folder.path()).map_err(failed)?;
        let bar = if is_watched() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        let told = |progress: Progress| {
            bar.set_length(progress.bytes_total);
            bar.set_position(progress.bytes_done);
            bar.set_message(format!("{} passages", progress.passages));
        };
        let corpus = Corpus::new(vec![file.clone()]);
        let report = store.feed(&Feed::Build(&corpus), encoder, &told).map_err(failed)?;
        bar.finish_and_clear();
        let (documents, passages) = (report.documents, report.passages);
        Ok(Self { store, documents, passages, corpus: file, _folder: folder })
    }

    /// The texts of these documents, by their ids.
    pub(super) fn texts(&self, wanted: &HashSet<&str>) -> Result<HashMap<String, String>, Failure> {
        let unread =
            |error: std::io::Error| Failure::Unavailable(format!("{}: {error}", self.corpus.display()));
        let mut texts = HashMap::new();
        for line in BufReader::new(File::open(&self.corpus).map_err(unread)?).lines() {
            // What is no document was passed over by the index as well.
            let Ok(Value::Object(line)) = serde_json::from_str(&line.map_err(unread)?) else { continue };
            let text = |key: &str| line.get(key).and_then(Value::as_str);
            if let (Some(id), Some(text)) = (text("_id").filter(|id| wanted.contains(id)), text("text")) {
                texts.insert(id.to_owned(), text.to_owned());
            }
        }
        Ok(texts)
    }
}
