//! The decisions of the recent past, by id: what was measured, what was planned and why, how it ended. Kept in two files
//! of the state folder, the older of which goes when the newer is full. Refuses text of requests and answers.
//!
//! A thread of its own writes, so that no request waits for a disk. Where it cannot keep up, decisions are left out and
//! counted; the book, which holds the money, is another matter.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use api::{Plan, Signals};
use ledger::Record;
use serde::{Deserialize, Serialize};

use crate::opinions::Opinions;
use crate::stated::Stated;

/// Decisions that may wait for the disk.
const WAITING_MAX: usize = 4096;
/// The writer rests this long after each batch: to wake it for every request cost more than all else about the log.
const REST: Duration = Duration::from_millis(20);
const NEWER: &str = "decisions.jsonl";
const OLDER: &str = "decisions.1.jsonl";

/// A line of the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// How the exchange ended: its id is the decision's.
    pub(crate) record: Record,
    pub(crate) told: Told,
}

/// Where an answer came from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    /// From a target of a plan.
    Decided(Arc<Decision>),
    /// From the cache: the id of the decision that led to the stored answer.
    Cached(String),
    /// A second answer to compare with: what the first was worth against it.
    Shadow(Compared),
}

/// A decision and what it rested on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Decision {
    /// The configuration that decided.
    pub(crate) revision: String,
    pub(crate) stated: Arc<Stated>,
    pub(crate) signals: Arc<Signals>,
    #[serde(default, skip_serializing_if = "Opinions::is_empty")]
    pub(crate) opinions: Opinions,
    pub(crate) plan: Arc<Plan>,
}

/// Two answers to one request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Compared {
    /// The decision whose answer the client has.
    pub(crate) decision: String,
    /// The model that gave it.
    pub(crate) model: String,
    /// How much the answers agree, 0 to 1: equal or not under a contract, the cosine of their vectors otherwise.
    pub(crate) agreement: Option<f32>,
}

enum Message {
    Entry(Box<Entry>),
    Flush(SyncSender<()>),
}

/// The log of decisions.
#[derive(Debug)]
pub(crate) struct Decisions {
    folder: PathBuf,
    writer: Option<SyncSender<Message>>,
}

impl Decisions {
    /// Opens the log below `state`; with `bytes_max` 0 nothing is kept.
    ///
    /// # Errors
    /// The folder or the file cannot be written.
    pub(crate) fn open(state: &Path, bytes_max: u64) -> io::Result<Self> {
        let folder = folder(state);
        if bytes_max == 0 {
            return Ok(Self { folder, writer: None });
        }
        fs::create_dir_all(&folder)?;
        let file = Log::open(&folder, bytes_max / 2)?;
        let (writer, inbox) = mpsc::sync_channel(WAITING_MAX);
        thread::Builder::new().name("decisions".to_owned()).spawn(move || write_all(file, &inbox))?;
        Ok(Self { folder, writer: Some(writer) })
    }

    /// Whether decisions are kept at all.
    pub(crate) fn kept(&self) -> bool {
        self.writer.is_some()
    }

    /// Adds a decision; never waits. False where the disk cannot keep up.
    pub(crate) fn add(&self, entry: Entry) -> bool {
        let Some(writer) = &self.writer else { return true };
        writer.try_send(Message::Entry(Box::new(entry))).is_ok()
    }

    /// Waits until everything added so far can be read. Blocks.
    pub(crate) fn flush(&self) {
        let Some(writer) = &self.writer else { return };
        let (done, flushed) = mpsc::sync_channel(1);
        if writer.send(Message::Flush(done)).is_ok() {
            let _ = flushed.recv();
        }
    }

    /// The decision of this id, where it is still kept. Blocks.
    pub(crate) fn find(&self, id: &str) -> io::Result<Option<Entry>> {
        self.flush();
        find(&self.folder, id)
    }

    /// The latest decisions, newest first. Blocks.
    pub(crate) fn latest(&self, count: usize) -> io::Result<Vec<Entry>> {
        self.flush();
        let mut latest: Vec<Entry> = Vec::new();
        for name in [NEWER, OLDER] {
            let mut kept = std::collections::VecDeque::with_capacity(count);
            for line in lines(&self.folder.join(name))? {
                if kept.len() == count {
                    kept.pop_front();
                }
                kept.push_back(line?);
            }
            latest.extend(kept.iter().rev().filter_map(|line| serde_json::from_slice(line).ok()));
            latest.truncate(count);
            if latest.len() == count {
                break;
            }
        }
        Ok(latest)
    }
}

/// The folder of the log below the state folder.
pub(crate) fn folder(state: &Path) -> PathBuf {
    state.join("decisions")
}

/// The decision of this id in a log's folder. Blocks.
pub(crate) fn find(folder: &Path, id: &str) -> io::Result<Option<Entry>> {
    // A line begins with its id: the others need no parsing.
    let head = format!("{{\"record\":{{\"id\":{}", serde_json::Value::from(id));
    for name in [NEWER, OLDER] {
        for line in lines(&folder.join(name))? {
            let line = line?;
            if !line.starts_with(head.as_bytes()) {
                continue;
            }
            // A line that a crash has torn is none.
            if let Ok(entry) = serde_json::from_slice::<Entry>(&line) {
                return Ok(Some(entry));
            }
        }
    }
    Ok(None)
}

/// The lines of a file; none where there is no file.
fn lines(path: &Path) -> io::Result<impl Iterator<Item = io::Result<Vec<u8>>>> {
    let file = match File::open(path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    Ok(file.into_iter().flat_map(|file| BufReader::new(file).split(b'\n')))
}

/// The file that is being written.
struct Log {
    folder: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl Log {
    fn open(folder: &Path, bytes_max: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).append(true).open(folder.join(NEWER))?;
        let bytes = file.metadata()?.len();
        if bytes > 0 {
            // What a crash has torn ends here, not in the next line.
            file.write_all(b"\n")?;
        }
        Ok(Self { folder: folder.to_owned(), file, bytes, bytes_max })
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + lines.len() as u64 > self.bytes_max {
            fs::rename(self.folder.join(NEWER), self.folder.join(OLDER))?;
            self.file = OpenOptions::new().create(true).append(true).open(self.folder.join(NEWER))?;
            self.bytes = 0;
        }
        self.bytes += lines.len() as u64;
        self.file.write_all(lines)
    }
}

/// Writes until the gateway ends: all that waits at once, since a call to the system costs more than a line.
fn write_all(mut log: Log, inbox: &Receiver<Message>) {
    const BATCH_BYTES: usize = 64 << 10;
    let mut failing = false;
    while let Ok(first) = inbox.recv() {
        let mut batch = Vec::new();
        let mut waiting = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Entry(entry) => {
                    if serde_json::to_writer(&mut batch, &entry).is_ok() {
                        batch.push(b'\n');
                    }
                }
                Message::Flush(done) => waiting.push(done),
            }
            next = if batch.len() < BATCH_BYTES { inbox.try_recv().ok() } else { None };
        }
        let written = log.write(&batch);
        match &written {
            Err(error) if !failing => tracing::error!(%error, "decisions cannot be written"),
            _ => {}
        }
        failing = written.is_err();
        let urgent = !waiting.is_empty();
        for done in waiting {
            let _ = done.send(());
        }
        if !urgent {
            thread::sleep(REST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str) -> Entry {
        let record = Record { id: id.to_owned(), ..Record::default() };
        Entry { record, told: Told::Cached("origin".to_owned()) }
    }

    #[test]
    fn what_is_added_is_found_until_the_files_are_full() {
        let state = tempfile::tempdir().expect("a folder");
        let log = Decisions::open(state.path(), 4000).expect("a log");
        for number in 0..40 {
            assert!(log.add(entry(&format!("id-{number:02}"))));
            // Each batch on its own, so that the files turn over as they do under light load.
            log.flush();
        }
        let latest: Vec<String> =
            log.latest(3).expect("readable").into_iter().map(|entry| entry.record.id).collect();
        assert_eq!(latest, ["id-39", "id-38", "id-37"]);
        assert!(log.find("id-39").expect("readable").is_some());
        assert!(log.find("id-00").expect("readable").is_none(), "the oldest are gone");
        assert!(log.find("id-4").expect("readable").is_none(), "half an id is none");
        let bytes: u64 = [NEWER, OLDER]
            .iter()
            .map(|name| fs::metadata(folder(state.path()).join(name)).expect("a file").len())
            .sum();
        assert!(bytes <= 4000, "{bytes}");
    }

    #[test]
    fn a_torn_line_hides_nothing_else() {
        let state = tempfile::tempdir().expect("a folder");
        let log = Decisions::open(state.path(), 1 << 20).expect("a log");
        log.add(entry("before"));
        log.flush();
        let path = folder(state.path()).join(NEWER);
        let mut file = OpenOptions::new().append(true).open(&path).expect("the file");
        file.write_all(b"{\"record\":{\"id\":\"torn").expect("room");
        let log = Decisions::open(state.path(), 1 << 20).expect("a log");
        log.add(entry("after"));
        assert!(log.find("before").expect("readable").is_some());
        assert!(log.find("after").expect("readable").is_some());
    }

    #[test]
    fn a_log_that_is_off_keeps_nothing() {
        let state = tempfile::tempdir().expect("a folder");
        let log = Decisions::open(state.path(), 0).expect("no log");
        log.add(entry("x"));
        assert!(!log.kept() && log.find("x").expect("readable").is_none());
    }
}
