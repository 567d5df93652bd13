//! Is a shared library's file whole? A cut one is mapped by the loader all the same, and the process dies of a bus error
//! when it touches what is missing.
//!
//! Owns the check of an ELF file's tables against its length. Refuses other formats on Linux, and looks at nothing
//! elsewhere: other systems' loaders check for themselves.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Checks that all of a library's segments and sections are in its file.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn check_whole(path: &Path) -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let end = needed_bytes(&mut file).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends inside its own tables".to_owned(),
        _ => error.to_string(),
    })?;
    if end > length { Err(format!("it is {length} bytes long and should be {end}")) } else { Ok(()) }
}

/// The length that the file's own tables ask for (ELF-64, little-endian: the header, then the program headers).
fn needed_bytes(file: &mut (impl Read + Seek)) -> io::Result<u64> {
    const HEADER_BYTES: usize = 64;
    const SEGMENT_BYTES: usize = 56;
    let mut header = [0_u8; HEADER_BYTES];
    file.read_exact(&mut header)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Err(io::Error::other("it is no 64-bit ELF library"));
    }
    let (segments_at, sections_at) = (number(&header, 32, 8), number(&header, 40, 8));
    let segments = number(&header, 56, 2);
    let mut end = sections_at.saturating_add(number(&header, 58, 2) * number(&header, 60, 2));
    file.seek(SeekFrom::Start(segments_at))?;
    for _ in 0..segments {
        let mut segment = [0_u8; SEGMENT_BYTES];
        file.read_exact(&mut segment)?;
        end = end.max(number(&segment, 8, 8).saturating_add(number(&segment, 32, 8)));
    }
    Ok(end)
}

/// A little-endian number of `bytes` bytes at `place`.
fn number(table: &[u8], place: usize, bytes: usize) -> u64 {
    table[place..place + bytes].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_cut_library_is_seen() {
        let own = std::env::current_exe().unwrap();
        assert_eq!(check_whole(&own), Ok(()));
        let bytes = std::fs::read(own).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lib.so");
        for (length, told) in [(0, "ends inside"), (100, "ends inside"), (bytes.len() - 1, "should be")] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(check_whole(&path).unwrap_err().contains(told), "{length}");
        }
        std::fs::write(&path, [b'x'; 200]).unwrap();
        assert!(check_whole(&path).unwrap_err().contains("no 64-bit ELF"));
    }
}
