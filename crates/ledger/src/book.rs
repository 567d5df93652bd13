//! The book: an append-only log of settled exchanges, one writer thread, acknowledged after fdatasync.
//!
//! Owns the folder of segments while it is open. Refuses to block whoever settles: a full queue is an error that is
//! counted, not a wait.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use api::{Error, Fault};
use tracing::warn;

use crate::read::Damage;
use crate::record::Record;
use crate::writer::{self, Segment};

/// Limits of a book.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A segment that would grow beyond this is followed by a new one, in bytes.
    pub segment_bytes_max: u64,
    /// Records that may wait for the disk; more are refused.
    pub queue_records_max: usize,
}

impl Default for Options {
    /// 16 MiB, about 30,000 records, is read in one piece by reports; 16,384 waiting records are about 10 MB.
    fn default() -> Self {
        Self { segment_bytes_max: 16 << 20, queue_records_max: 16_384 }
    }
}

/// What was found when a book was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Whole records in the newest segment. Older ones were finished before it was begun.
    pub records: u64,
    /// Bytes of an unfinished write that were cut off. None of it was ever acknowledged.
    pub trimmed_bytes: u64,
    /// Damage in the newest segment: it stays as it is, reports tell it, and writing goes on in a new segment.
    pub damage: Vec<Damage>,
}

/// Totals since the book was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records taken into the queue.
    pub accepted: u64,
    /// Records that are on disk for good.
    pub committed: u64,
    /// Records refused because the queue was full or the book closed.
    pub refused: u64,
    /// Accepted records that were given up: too large, or the disk still failed when the book was closed.
    pub lost: u64,
    /// Failed attempts to write. Each is tried again with its records.
    pub failures: u64,
}

/// An open book. Dropping it writes what is waiting and releases the folder.
#[derive(Debug)]
pub struct Book {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
    queue_records_max: usize,
    /// Locked as long as the book is open.
    lock: File,
}

/// What callers and the writer thread share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    /// Work for the writer.
    pub(crate) work: Condvar,
    /// A commit succeeded or failed.
    pub(crate) done: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) queue: VecDeque<Record>,
    pub(crate) counts: Counts,
    /// Somebody waits until this many accepted records are settled on disk.
    pub(crate) wanted: u64,
    pub(crate) closing: bool,
    /// Why the last attempt failed; `None` after one that did not.
    pub(crate) failure: Option<String>,
}

impl State {
    /// Accepted records that need no more waiting for.
    pub(crate) fn settled(&self) -> u64 {
        self.counts.committed + self.counts.lost
    }
}

impl Shared {
    /// No code between lock and unlock panics, so a poisoned state is still whole.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Opens the book in `dir`, which is made if it is not there, with the default limits.
    ///
    /// # Errors
    /// Another process has it open, or the folder or its newest segment cannot be read and written.
    pub fn open(dir: &Path) -> Result<(Self, Recovered), Error> {
        Self::open_with(dir, Options::default())
    }

    /// [`Book::open`] with other limits.
    ///
    /// # Errors
    /// As [`Book::open`].
    pub fn open_with(dir: &Path, options: Options) -> Result<(Self, Recovered), Error> {
        fs::create_dir_all(dir).map_err(|error| unusable(dir, error))?;
        let lock = lock(dir)?;
        let (segment, recovered) =
            Segment::recover(dir, options.segment_bytes_max).map_err(|error| unusable(dir, error))?;
        if recovered.trimmed_bytes > 0 {
            warn!(bytes = recovered.trimmed_bytes, "cut an unfinished write off the book");
        }
        for damage in &recovered.damage {
            warn!(%damage, "the book is damaged here; writing goes on in a new segment");
        }
        let shared = Arc::new(Shared::default());
        let for_writer = Arc::clone(&shared);
        let writer = thread::Builder::new()
            .name("book".to_owned())
            .spawn(move || writer::run(&for_writer, segment))
            .map_err(|error| unusable(dir, error))?;
        let queue_records_max = options.queue_records_max;
        Ok((Self { shared, writer: Some(writer), queue_records_max, lock }, recovered))
    }

    /// Hands a record to the writer. Never waits for the disk.
    ///
    /// # Errors
    /// The queue is full, because the disk is slow or failing; the record is not kept, and counted as refused.
    pub fn append(&self, record: Record) -> Result<(), Error> {
        let mut state = self.shared.lock();
        if state.queue.len() >= self.queue_records_max {
            state.counts.refused += 1;
            let waiting = state.queue.len();
            let why = state.failure.clone().unwrap_or_else(|| "the disk is slow".to_owned());
            return Err(Error::new(
                Fault::Unavailable,
                "book_full",
                "The gateway cannot keep its records; its operator should look at the disk of the book.",
            )
            .with_detail(format_args!("{waiting} records are waiting: {why}")));
        }
        state.queue.push_back(record);
        state.counts.accepted += 1;
        // The writer sleeps only on an empty queue, or lets a batch gather for a moment that needs no interruption.
        let wake = state.queue.len() == 1;
        drop(state);
        if wake {
            self.shared.work.notify_one();
        }
        Ok(())
    }

    /// Waits, at most `timeout`, until every record accepted so far is on disk for good. Blocks: not for the runtime's
    /// threads.
    ///
    /// # Errors
    /// An attempt to write failed meanwhile, records were given up, or the time is over.
    pub fn flush(&self, timeout: Duration) -> Result<(), Error> {
        let give_up = Instant::now() + timeout;
        let mut state = self.shared.lock();
        let wanted = state.counts.accepted;
        let (failures, lost) = (state.counts.failures, state.counts.lost);
        state.wanted = state.wanted.max(wanted);
        self.shared.work.notify_one();
        while state.settled() < wanted {
            let left = give_up.saturating_duration_since(Instant::now());
            if state.counts.failures > failures {
                let why = state.failure.clone().unwrap_or_default();
                return Err(Error::internal(format_args!("the book could not be written: {why}")));
            }
            if left.is_zero() {
                let waiting = wanted - state.settled();
                return Err(Error::internal(format_args!(
                    "{waiting} records are not on disk after {timeout:?}"
                )));
            }
            state = self.shared.done.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.counts.lost > lost {
            return Err(Error::internal("records were given up"));
        }
        Ok(())
    }

    /// Totals since the book was opened.
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// Why the last attempt to write failed; `None` while the disk works.
    pub fn failure(&self) -> Option<String> {
        self.shared.lock().failure.clone()
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            warn!("the book's writer ended by a panic");
        }
        // Closing the file would not do: a process being spawned elsewhere holds a copy of it until its exec.
        if let Err(error) = self.lock.unlock() {
            warn!(%error, "the book's folder stays locked until the process ends");
        }
    }
}

fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("book.lock");
    // The file's content means nothing, so an existing one is left as it is.
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| unusable(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::new(
            Fault::Unavailable,
            "book_in_use",
            "Another gateway keeps its book in the same state folder: stop it, or give this one its own `files.state`.",
        )
        .with_detail(path.display())),
        Err(TryLockError::Error(error)) => Err(unusable(&path, error)),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to `map_err`")]
fn unusable(path: &Path, error: std::io::Error) -> Error {
    Error::new(
        Fault::Unavailable,
        "book_unusable",
        "The book cannot be opened: check that `files.state` is a folder that this user can write to.",
    )
    .with_detail(format_args!("{}: {error}", path.display()))
}
