//! Writing that stays written: what is synced before it is renamed, and renamed before it counts.
//!
//! Every step that a kill may come before or after is one of these functions, so that the tests can kill at each.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

const HALF_WRITTEN: &str = ".tmp";

/// Puts `bytes` in place of the file's contents: all of them or, where this is cut short, none.
///
/// # Errors
/// The file or one beside it cannot be written.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(HALF_WRITTEN);
    write(Path::new(&beside), bytes)?;
    rename(Path::new(&beside), path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Writes a file and makes its bytes durable, not yet its name.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    step();
    let mut file = File::create(path)?;
    let (first, second) = bytes.split_at(bytes.len() / 2);
    file.write_all(first)?;
    step();
    file.write_all(second)?;
    file.sync_all()
}

/// Renames, atomically; durable after [`sync_folder`].
///
/// # Errors
/// It cannot be renamed.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    step();
    fs::rename(from, to)?;
    step();
    Ok(())
}

/// Makes the files below `folder` durable, and their names.
///
/// # Errors
/// One cannot be read or synced.
pub(crate) fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_folder(folder)
}

/// Makes the names in `folder` durable.
///
/// # Errors
/// It cannot be synced.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes a folder with all that is in it.
///
/// # Errors
/// Something in it cannot be removed.
pub(crate) fn remove_tree(folder: &Path) -> io::Result<()> {
    step();
    fs::remove_dir_all(folder)
}

/// A moment at which the process may be killed.
pub(crate) fn step() {
    #[cfg(test)]
    crate::testing::step();
}
