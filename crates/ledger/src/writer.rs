//! The book's one writer: gathers records into commits, each one write and one fdatasync.
//!
//! Owns the newest segment's file. After a failed write or sync the kernel may have dropped the pages, so the commit is
//! never continued in place: the file is cut back to its last durable byte and the same records go into a new segment.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use tracing::{error, info};

use crate::book::{Recovered, Shared};
use crate::read::Damage;
use crate::record::Record;
use crate::segment::{self, HEADER_BYTES, Next};

/// How long a record may wait for company before a commit that nobody is waiting for.
const GATHER: Duration = Duration::from_millis(20);
/// The most records of one commit.
const COMMIT_RECORDS_MAX: usize = 1024;
/// How long a failing disk is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// Writes until the book is closed and nothing is waiting.
pub(crate) fn run(shared: &Shared, mut segment: Segment) {
    while let Some(records) = gather(shared) {
        let commit = Commit::of(&records);
        while let Err(failure) = segment.write(&commit.bytes) {
            error!(%failure, records = commit.records, "the book could not be written; trying again");
            if failed(shared, &failure, commit.records) {
                return;
            }
        }
        let mut state = shared.lock();
        if state.failure.take().is_some() {
            info!("the book can be written again");
        }
        state.counts.committed += commit.records;
        state.counts.lost += commit.lost;
        drop(state);
        shared.done.notify_all();
    }
}

/// Waits for records; `None` when the book is closed and none are left.
fn gather(shared: &Shared) -> Option<Vec<Record>> {
    let mut state = shared.lock();
    let mut gathered = false;
    loop {
        let urgent =
            state.closing || state.wanted > state.settled() || state.queue.len() >= COMMIT_RECORDS_MAX;
        if !state.queue.is_empty() && (urgent || gathered) {
            let count = state.queue.len().min(COMMIT_RECORDS_MAX);
            return Some(state.queue.drain(..count).collect());
        }
        if state.queue.is_empty() {
            if state.closing {
                return None;
            }
            state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        } else {
            state = shared.work.wait_timeout(state, GATHER).unwrap_or_else(PoisonError::into_inner).0;
            gathered = true;
        }
    }
}

/// Tells of a failed commit and waits before the next try; `true` when the book is closed and its records are given up.
fn failed(shared: &Shared, failure: &io::Error, records: u64) -> bool {
    let mut state = shared.lock();
    state.counts.failures += 1;
    state.failure = Some(failure.to_string());
    shared.done.notify_all();
    if !state.closing {
        let waited = shared.work.wait_timeout_while(state, RETRY, |state| !state.closing);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        return false;
    }
    let waiting = state.queue.len() as u64;
    state.counts.lost += records + waiting;
    state.queue.clear();
    drop(state);
    shared.done.notify_all();
    error!(records = records + waiting, "records of the book are lost: the disk failed until the end");
    true
}

/// Frames of some records.
struct Commit {
    bytes: Vec<u8>,
    records: u64,
    lost: u64,
}

impl Commit {
    fn of(records: &[Record]) -> Self {
        let mut commit = Self { bytes: Vec::with_capacity(records.len() * 640), records: 0, lost: 0 };
        for record in records {
            let framed =
                serde_json::to_vec(record).is_ok_and(|payload| segment::frame(&payload, &mut commit.bytes));
            if framed {
                commit.records += 1;
            } else {
                commit.lost += 1;
                error!(id = record.id, "a record is too large for the book and lost");
            }
        }
        commit
    }
}

/// The newest segment.
pub(crate) struct Segment {
    dir: PathBuf,
    number: u64,
    /// `None` after a failure: the next write begins a new segment.
    file: Option<File>,
    /// Bytes that are on disk for good.
    durable_bytes: u64,
    bytes_max: u64,
}

impl Segment {
    /// The newest segment of `dir` made fit for writing: what a crash left unfinished is cut off, damage is left alone and
    /// followed by a new segment, and an empty folder gets its first.
    pub(crate) fn recover(dir: &Path, bytes_max: u64) -> io::Result<(Self, Recovered)> {
        let mut recovered = Recovered::default();
        let newest = segment::numbers(dir)?.last().copied();
        let mut segment = Self {
            dir: dir.to_owned(),
            number: newest.unwrap_or(1),
            file: None,
            durable_bytes: 0,
            bytes_max,
        };
        let Some(number) = newest else {
            segment.begin()?;
            return Ok((segment, recovered));
        };
        let path = segment::path(dir, number);
        let bytes = std::fs::read(&path)?;
        let whole = scan(&path, &bytes, &mut recovered);
        recovered.trimmed_bytes = (bytes.len() - whole) as u64;
        segment.durable_bytes = whole as u64;
        if whole < HEADER_BYTES {
            // Its creation was cut off: nothing was ever in it.
            segment.begin()?;
        } else if recovered.damage.is_empty() {
            let mut file = OpenOptions::new().write(true).open(&path)?;
            file.set_len(whole as u64)?;
            file.sync_all()?;
            file.seek(SeekFrom::End(0))?;
            segment.file = Some(file);
        } else {
            recovered.trimmed_bytes = 0;
            segment.begin()?;
        }
        Ok((segment, recovered))
    }

    /// Appends `bytes` and returns when they are on disk for good.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let added = bytes.len() as u64;
        let has_records = self.durable_bytes > HEADER_BYTES as u64;
        if self.file.is_none() || (has_records && self.durable_bytes + added > self.bytes_max) {
            self.begin()?;
        }
        let Some(file) = &mut self.file else {
            return Err(io::Error::other("the book has no segment"));
        };
        let written = file.write_all(bytes).and_then(|()| file.sync_data());
        match written {
            Ok(()) => {
                self.durable_bytes += added;
                Ok(())
            }
            Err(failure) => {
                // Should this fail too, the unfinished write stays and reports tell it as damage.
                let _ = file.set_len(self.durable_bytes).and_then(|()| file.sync_all());
                self.file = None;
                Err(failure)
            }
        }
    }

    /// Begins the next segment; one that never held a record is begun again under its own number.
    fn begin(&mut self) -> io::Result<()> {
        self.file = None;
        let number = if self.durable_bytes > HEADER_BYTES as u64 { self.number + 1 } else { self.number };
        let path = segment::path(&self.dir, number);
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        file.write_all(&segment::header(u64::try_from(now.as_millis()).unwrap_or(u64::MAX)))?;
        file.sync_all()?;
        segment::sync_dir(&self.dir)?;
        (self.number, self.file, self.durable_bytes) = (number, Some(file), HEADER_BYTES as u64);
        Ok(())
    }
}

/// Counts the whole records and the damage of a segment; returns where its last whole record ends, or its damage does.
fn scan(path: &Path, bytes: &[u8], recovered: &mut Recovered) -> usize {
    let mut at = HEADER_BYTES;
    let mut damaged = |offset: usize, why: &str| {
        recovered.damage.push(Damage { file: path.to_owned(), offset: offset as u64, why: why.to_owned() });
    };
    if segment::created_ms(bytes).is_none() {
        if bytes.len() < HEADER_BYTES || bytes.iter().all(|byte| *byte == 0) {
            return 0;
        }
        damaged(0, "the header is not one that this version writes");
        at = segment::resume(bytes, 0).unwrap_or(bytes.len());
    }
    loop {
        match segment::next(bytes, at) {
            Next::Frame { end, .. } => {
                recovered.records += 1;
                at = end;
            }
            Next::End | Next::Torn => return at,
            Next::Damaged { why, resume } => {
                damaged(at, why);
                at = resume;
            }
        }
    }
}
