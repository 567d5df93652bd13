//! The bytes of uploaded files, each under its hash in `files/` of the store's folder.
//!
//! A file is there and durable before anything names it, and goes once no copy of the sources does.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk;

const FILES: &str = "files";

/// Where the file of a hash lies.
pub(crate) fn path(dir: &Path, blake3: &str) -> PathBuf {
    dir.join(FILES).join(blake3)
}

/// Keeps a file's bytes and gives their hash.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn keep(dir: &Path, bytes: &[u8]) -> io::Result<String> {
    let blake3 = blake3::hash(bytes).to_hex().to_string();
    let path = path(dir, &blake3);
    // A file that was damaged since is written anew.
    if fs::read(&path).is_ok_and(|there| there == bytes) {
        return Ok(blake3);
    }
    let folder = dir.join(FILES);
    if !folder.is_dir() {
        fs::create_dir(&folder)?;
        disk::sync_folder(dir)?;
    }
    disk::replace(&path, bytes)?;
    Ok(blake3)
}

/// Removes the files that nothing names any more.
///
/// # Errors
/// The folder cannot be read, or a file in it cannot be removed.
pub(crate) fn sweep(dir: &Path, named: &HashSet<String>) -> io::Result<()> {
    let entries = match fs::read_dir(dir.join(FILES)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(|name| named.contains(name)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
