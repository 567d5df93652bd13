//! The bytes of the book: frames in numbered files. Owns the format and the judgement whether bytes are whole, torn or
//! damaged; refuses to interpret payloads.
//!
//! A segment `book-<n>.log` begins with [`MAGIC`], whose last byte is the format's version, and the time of its creation
//! in milliseconds since 1970 (u64, little endian). Frames follow: [`MARK`], the payload's length (u32, little endian),
//! the CRC-32 of length and payload (u32, little endian), the payload. Payloads are JSON, so the mark, which is no
//! UTF-8, cannot occur in one: after damage the next frame can be found.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crc32fast::Hasher;

/// What every segment begins with.
pub(crate) const MAGIC: [u8; 8] = *b"PMBOOK\x00\x01";
/// [`MAGIC`] and the time of creation.
pub(crate) const HEADER_BYTES: usize = 16;
/// The most bytes of one payload: a length beyond it is damage, not a reason to wait for more.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 1 << 20;

const MARK: [u8; 4] = [0xFF, b'P', b'M', 0xFE];
const FRAME_BYTES: usize = 12;

/// A segment's first bytes.
pub(crate) fn header(created_ms: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..].copy_from_slice(&created_ms.to_le_bytes());
    header
}

/// When the segment was begun, `None` if its header is not one of this version.
pub(crate) fn created_ms(bytes: &[u8]) -> Option<u64> {
    let (header, _) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let (magic, created) = header.split_first_chunk::<8>()?;
    (*magic == MAGIC).then(|| created.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)))?
}

/// Appends `payload` to `bytes` as a frame; `false`, and nothing appended, if it is over [`PAYLOAD_BYTES_MAX`].
pub(crate) fn frame(payload: &[u8], bytes: &mut Vec<u8>) -> bool {
    let Ok(length) = u32::try_from(payload.len()) else { return false };
    if payload.len() > PAYLOAD_BYTES_MAX {
        return false;
    }
    let length = length.to_le_bytes();
    bytes.extend_from_slice(&MARK);
    bytes.extend_from_slice(&length);
    bytes.extend_from_slice(&checksum(&length, payload).to_le_bytes());
    bytes.extend_from_slice(payload);
    true
}

fn checksum(length: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(length);
    hasher.update(payload);
    hasher.finalize()
}

/// What is found at a place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// A whole frame that ends at `end`.
    Frame { payload: &'a [u8], end: usize },
    /// The segment's end.
    End,
    /// A frame that was begun and is the last thing here: a write was cut off, and never acknowledged.
    Torn,
    /// Bytes that no interrupted write leaves behind. Reading can go on at `resume`.
    Damaged { why: &'static str, resume: usize },
}

/// What is at `at`.
pub(crate) fn next(bytes: &[u8], at: usize) -> Next<'_> {
    let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else { return Next::End };
    let why = match whole(rest) {
        Ok(payload) => return Next::Frame { payload, end: at + FRAME_BYTES + payload.len() },
        Err(why) => why,
    };
    match resume(bytes, at) {
        Some(resume) => Next::Damaged { why: why.text(), resume },
        None if why == Flaw::Short || rest.iter().all(|byte| *byte == 0) => Next::Torn,
        None => Next::Damaged { why: why.text(), resume: bytes.len() },
    }
}

/// The place of the first whole frame after `at`.
pub(crate) fn resume(bytes: &[u8], at: usize) -> Option<usize> {
    let from = at + 1;
    let rest = bytes.get(from..)?;
    let marks = rest.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    marks.map(|(place, _)| from + place).find(|place| whole(&bytes[*place..]).is_ok())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// The bytes end before the frame does.
    Short,
    Mark,
    Length,
    Checksum,
}

impl Flaw {
    fn text(self) -> &'static str {
        match self {
            Self::Short => "a record is cut off",
            Self::Mark => "no record begins here",
            Self::Length => "a record's length is impossible",
            Self::Checksum => "a record's checksum does not match",
        }
    }
}

/// The payload of the frame that `bytes` begin with.
fn whole(bytes: &[u8]) -> Result<&[u8], Flaw> {
    let known = bytes.len().min(MARK.len());
    if bytes[..known] != MARK[..known] {
        return Err(Flaw::Mark);
    }
    let Some((head, rest)) = bytes.split_first_chunk::<FRAME_BYTES>() else { return Err(Flaw::Short) };
    let [_, _, _, _, l0, l1, l2, l3, c0, c1, c2, c3] = *head;
    let length_bytes = [l0, l1, l2, l3];
    let length = u32::from_le_bytes(length_bytes) as usize;
    if length > PAYLOAD_BYTES_MAX {
        return Err(Flaw::Length);
    }
    let payload = rest.get(..length).ok_or(Flaw::Short)?;
    if checksum(&length_bytes, payload) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err(Flaw::Checksum);
    }
    Ok(payload)
}

/// The path of segment `number`.
pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("book-{number}.log"))
}

/// The numbers of the segments in `dir`, in order.
pub(crate) fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("book-")?.strip_suffix(".log"));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes created, renamed and removed files of `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(payloads: &[&str]) -> Vec<u8> {
        let mut bytes = header(5).to_vec();
        for payload in payloads {
            assert!(frame(payload.as_bytes(), &mut bytes));
        }
        bytes
    }

    /// Payloads and flaws in order.
    fn scan(bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        let mut at = HEADER_BYTES;
        loop {
            match next(bytes, at) {
                Next::Frame { payload, end } => {
                    found.push(String::from_utf8_lossy(payload).into_owned());
                    at = end;
                }
                Next::End => return found,
                Next::Torn => {
                    found.push("torn".to_owned());
                    return found;
                }
                Next::Damaged { resume, .. } => {
                    found.push("damaged".to_owned());
                    at = resume;
                }
            }
        }
    }

    #[test]
    fn a_cut_anywhere_leaves_whole_records_and_a_torn_one() {
        let bytes = frames(&["one", "", "three"]);
        for end in HEADER_BYTES..bytes.len() {
            let found = scan(&bytes[..end]);
            let whole = found.iter().filter(|text| *text != "torn").count();
            let ends = [HEADER_BYTES, HEADER_BYTES + 15, HEADER_BYTES + 27];
            assert!(ends.contains(&end) || found.last().is_some_and(|text| text == "torn"), "{end}");
            assert_eq!(whole, ends.iter().filter(|place| **place <= end).count() - 1, "{end}");
        }
    }

    #[test]
    fn a_flipped_bit_never_passes_for_a_record_and_hides_no_other() {
        let bytes = frames(&["one", "two", "three"]);
        for place in HEADER_BYTES..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[place] ^= 1 << bit;
                let found = scan(&flipped);
                let hit = match place - HEADER_BYTES {
                    0..15 => 0,
                    15..30 => 1,
                    _ => 2,
                };
                let flaw = if hit == 2 && found[2] == "torn" { "torn" } else { "damaged" };
                let mut expected = vec!["one", "two", "three"];
                expected[hit] = flaw;
                assert_eq!(found, expected, "byte {place} bit {bit}");
            }
        }
    }

    #[test]
    fn zeros_after_a_crash_are_torn_and_the_header_is_read() {
        let mut bytes = frames(&["one"]);
        bytes.extend_from_slice(&[0; 4096]);
        assert_eq!(scan(&bytes), ["one", "torn"]);
        assert_eq!(created_ms(&bytes), Some(5));
        assert_eq!(created_ms(&bytes[1..]), None);
        assert_eq!(created_ms(&bytes[..15]), None);
        assert!(!frame(&vec![b'x'; PAYLOAD_BYTES_MAX + 1], &mut bytes));
    }
}
