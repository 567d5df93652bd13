//! Reading the book, while a gateway writes it or not. Refuses to write: what is damaged is told and stays as it is.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use api::{Error, Fault};

use crate::record::Record;
use crate::segment::{self, HEADER_BYTES, Next};

/// A place of the book that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment's file.
    pub file: PathBuf,
    /// The byte at which the damage begins.
    pub offset: u64,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.file.display(), self.offset, self.why)
    }
}

impl std::error::Error for Damage {}

/// The records of the book in `dir` in the order in which they were settled, those admitted before `since_ms`
/// (milliseconds since 1970) left out. A damaged place is an `Err` item, after which reading goes on at the next whole
/// record. Each segment is read into memory as its turn comes.
///
/// # Errors
/// There is no such folder, or it cannot be listed.
pub fn read(dir: &Path, since_ms: Option<u64>) -> Result<Records, Error> {
    let numbers = segment::numbers(dir).map_err(|error| unreadable(dir, &error))?;
    let paths: Vec<PathBuf> = numbers.iter().map(|number| segment::path(dir, *number)).collect();
    let since_ms = since_ms.unwrap_or(0);
    let first = first_needed(&paths, since_ms);
    Ok(Records { waiting: paths.into_iter().skip(first).collect(), current: None, since_ms })
}

fn unreadable(dir: &Path, error: &io::Error) -> Error {
    let message = match error.kind() {
        io::ErrorKind::NotFound => "There is no book yet: it begins with the first `pointsman serve`.",
        _ => "The book's folder cannot be read: check its permissions.",
    };
    Error::new(Fault::Unavailable, "book_unreadable", message)
        .with_detail(format_args!("{}: {error}", dir.display()))
}

/// Every record of a segment was admitted before the next segment was begun, so all segments before the last one that
/// was begun by `since_ms` can be passed over.
fn first_needed(paths: &[PathBuf], since_ms: u64) -> usize {
    let begun = |path: &PathBuf| {
        let mut header = [0; HEADER_BYTES];
        File::open(path).and_then(|mut file| file.read_exact(&mut header)).ok()?;
        segment::created_ms(&header)
    };
    paths.iter().rposition(|path| begun(path).is_some_and(|created| created < since_ms)).unwrap_or(0)
}

/// The records of a book: see [`read()`].
#[derive(Debug)]
pub struct Records {
    waiting: VecDeque<PathBuf>,
    current: Option<Open>,
    since_ms: u64,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    bytes: Vec<u8>,
    at: usize,
    /// A record that is cut off at the end of the newest segment is one that is being written.
    newest: bool,
}

impl Open {
    fn damage(&self, why: impl fmt::Display) -> Damage {
        Damage { file: self.path.clone(), offset: self.at as u64, why: why.to_string() }
    }

    /// The next record or damage of this segment.
    fn next(&mut self) -> Option<Result<Record, Damage>> {
        if self.at == 0 {
            if segment::created_ms(&self.bytes).is_some() {
                self.at = HEADER_BYTES;
            } else if self.newest && self.bytes.len() < HEADER_BYTES {
                return None;
            } else {
                let damage = self.damage("the header is not one that this version writes");
                self.at = segment::resume(&self.bytes, 0).unwrap_or(self.bytes.len());
                return Some(Err(damage));
            }
        }
        match segment::next(&self.bytes, self.at) {
            Next::End => None,
            Next::Torn if self.newest => None,
            Next::Torn => {
                let damage = self.damage("the segment ends in the middle of a record");
                self.at = self.bytes.len();
                Some(Err(damage))
            }
            Next::Damaged { why, resume } => {
                let damage = self.damage(why);
                self.at = resume;
                Some(Err(damage))
            }
            Next::Frame { payload, end } => {
                let record = serde_json::from_slice(payload).map_err(|error| self.damage(error));
                self.at = end;
                Some(record)
            }
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(open) = &mut self.current {
                match open.next() {
                    Some(Ok(record)) if record.at_ms < self.since_ms => continue,
                    Some(item) => return Some(item),
                    None => self.current = None,
                }
            }
            let path = self.waiting.pop_front()?;
            match fs::read(&path) {
                Ok(bytes) => {
                    self.current = Some(Open { path, bytes, at: 0, newest: self.waiting.is_empty() });
                }
                Err(error) => return Some(Err(Damage { file: path, offset: 0, why: error.to_string() })),
            }
        }
    }
}
