//! The generations of an index below one folder: `gen-7` serves, `gen-6` is kept, `gen-8.tmp` is being built,
//! `damaged-5` was set aside.
//!
//! The newest `gen-N` is the one that counts: a generation appears by one rename, so there is no moment at which a
//! pointer and what it points to disagree. Only the holder of the lock writes. Setting aside is a rename too, and
//! happens for bytes that are wrong, never for bytes that could not be read.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use api::{Error, Fault};

use crate::disk;
use crate::errors::{unreadable, unwritable};

const LOCK: &str = "lock";
const GOOD: &str = "gen-";
const UNFINISHED: &str = ".tmp";
const DAMAGED: &str = "damaged-";

/// Generations that stay: the one that serves and the one before.
const KEPT: usize = 2;

/// Whether a folder of this name in an index's folder is a whole generation: for whoever watches for a new one.
pub fn is_generation(name: &str) -> bool {
    name.strip_prefix(GOOD).is_some_and(|number| number.parse::<u64>().is_ok())
}

/// The folder of an index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shelf<'a>(pub(crate) &'a Path);

/// What lies on the shelf.
#[derive(Debug, Default)]
struct Inventory {
    good: Vec<u64>,
    unfinished: Vec<PathBuf>,
    damaged: Vec<u64>,
}

impl<'a> Shelf<'a> {
    /// The numbers of whole generations, newest first; none where there is no such folder.
    pub(crate) fn newest_first(self) -> Result<Vec<u64>, Error> {
        Ok(self.inventory().map_err(|error| unreadable(self.0, error))?.good)
    }

    /// Where a generation lies.
    pub(crate) fn path(self, generation: u64) -> PathBuf {
        self.0.join(format!("{GOOD}{generation}"))
    }

    /// Where a generation lies that was set aside.
    fn damaged(self, generation: u64) -> PathBuf {
        self.0.join(format!("{DAMAGED}{generation}"))
    }

    /// The folders of the generations that were set aside, newest first.
    pub(crate) fn set_aside_before(self) -> Result<Vec<PathBuf>, Error> {
        let inventory = self.inventory().map_err(|error| unreadable(self.0, error))?;
        Ok(inventory.damaged.into_iter().map(|number| self.damaged(number)).collect())
    }

    /// Renames a damaged generation out of the way and says where it is. Of those that were set aside before, the
    /// newest stays.
    pub(crate) fn set_aside(self, generation: u64) -> Result<PathBuf, Error> {
        let aside = self.damaged(generation);
        let set_aside = || {
            if aside.exists() {
                disk::remove_tree(&aside)?;
            }
            disk::rename(&self.path(generation), &aside)?;
            for old in self.inventory()?.damaged.iter().skip(KEPT) {
                disk::remove_tree(&self.damaged(*old))?;
            }
            disk::sync_folder(self.0)
        };
        set_aside().map_err(|error: io::Error| unwritable(&aside, error))?;
        Ok(aside)
    }

    /// Takes the right to change what lies here, and clears away what changes that were cut short left behind.
    ///
    /// # Errors
    /// Another change is under way, or the folder cannot be written.
    pub(crate) fn hold(self) -> Result<Holder<'a>, Error> {
        fs::create_dir_all(self.0).map_err(|error| unwritable(self.0, error))?;
        let path = self.0.join(LOCK);
        let lock = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|error| unwritable(&path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = "Another change of this index is under way; wait for its end and try again.";
                return Err(Error::new(Fault::Unavailable, "index_busy", message).with_detail(path.display()));
            }
            Err(TryLockError::Error(error)) => return Err(unwritable(&path, error)),
        }
        let clear = || {
            for left in self.inventory()?.unfinished {
                tracing::info!(path = %left.display(), "removing a change of the index that was cut short");
                disk::remove_tree(&left)?;
            }
            Ok(())
        };
        clear().map_err(|error: io::Error| unwritable(self.0, error))?;
        Ok(Holder { shelf: self, _lock: lock })
    }

    fn inventory(self) -> io::Result<Inventory> {
        let mut inventory = Inventory::default();
        let entries = match fs::read_dir(self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(inventory),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some(number) = name.strip_prefix(DAMAGED).and_then(|number| number.parse().ok()) {
                inventory.damaged.push(number);
            }
            let Some(rest) = name.strip_prefix(GOOD) else { continue };
            match rest.strip_suffix(UNFINISHED) {
                Some(_) => inventory.unfinished.push(entry.path()),
                None => inventory.good.extend(rest.parse::<u64>()),
            }
        }
        inventory.good.sort_unstable_by(|a, b| b.cmp(a));
        inventory.damaged.sort_unstable_by(|a, b| b.cmp(a));
        Ok(inventory)
    }
}

/// The right to change what lies on a shelf.
#[derive(Debug)]
pub(crate) struct Holder<'a> {
    pub(crate) shelf: Shelf<'a>,
    _lock: File,
}

impl Holder<'_> {
    /// Begins a generation of a number that none has had, above `after`.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) fn begin(&self, after: u64) -> Result<Unfinished<'_>, Error> {
        let begin = || {
            let inventory = self.shelf.inventory()?;
            let last = inventory.good.iter().chain(&inventory.damaged).max().copied().unwrap_or(0);
            let generation = last.max(after) + 1;
            let path = self.shelf.0.join(format!("{GOOD}{generation}{UNFINISHED}"));
            fs::create_dir(&path)?;
            Ok(Unfinished { shelf: self.shelf, generation, path, published: false })
        };
        begin().map_err(|error: io::Error| unwritable(self.shelf.0, error))
    }
}

/// A generation that is being built. Dropped before it is published, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Unfinished<'a> {
    shelf: Shelf<'a>,
    /// The number that it will have.
    pub(crate) generation: u64,
    /// Where it is written.
    pub(crate) path: PathBuf,
    published: bool,
}

impl Unfinished<'_> {
    /// Makes every byte durable, puts the generation in its place and drops the ones that are too old.
    pub(crate) fn publish(mut self) -> Result<(), Error> {
        let publish = || {
            disk::sync_tree(&self.path)?;
            disk::rename(&self.path, &self.shelf.path(self.generation))?;
            disk::sync_folder(self.shelf.0)
        };
        publish().map_err(|error: io::Error| unwritable(&self.path, error))?;
        self.published = true;
        for old in self.shelf.newest_first()?.into_iter().skip(KEPT) {
            let path = self.shelf.path(old);
            let left = self.shelf.0.join(format!("{GOOD}{old}{UNFINISHED}"));
            // Renamed first: a removal that is cut short must not leave half a generation under a good name. The new
            // one serves already, so that an old one that stays is a matter for the log.
            if let Err(error) = disk::rename(&path, &left).and_then(|()| disk::remove_tree(&left)) {
                tracing::warn!(path = %path.display(), %error, "an old generation of the index cannot be removed");
            }
        }
        Ok(())
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.published {
            // The next build tries again.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_follow_each_other_and_two_stay() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf(folder.path());
        assert_eq!(shelf.newest_first().unwrap(), Vec::<u64>::new());
        for generation in 1..=4 {
            let holder = shelf.hold().unwrap();
            let unfinished = holder.begin(0).unwrap();
            assert_eq!(unfinished.generation, generation);
            assert_eq!(shelf.hold().unwrap_err().code, "index_busy");
            unfinished.publish().unwrap();
        }
        assert_eq!(shelf.newest_first().unwrap(), [4, 3]);
        shelf.set_aside(4).unwrap();
        assert_eq!(shelf.newest_first().unwrap(), [3]);
        // A number is never used twice, so that a set-aside generation keeps its name.
        let holder = shelf.hold().unwrap();
        assert_eq!(holder.begin(0).unwrap().generation, 5);
        assert_eq!(holder.begin(7).unwrap().generation, 8);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn what_a_killed_build_left_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("gen-9.tmp");
        fs::create_dir_all(left.join("text")).unwrap();
        assert_eq!(Shelf(folder.path()).newest_first().unwrap(), Vec::<u64>::new());
        let holder = Shelf(folder.path()).hold().unwrap();
        assert!(!left.exists());
        assert_eq!(holder.begin(0).unwrap().generation, 1);
    }

    #[test]
    fn no_more_than_two_damaged_generations_stay() {
        let folder = tempfile::tempdir().unwrap();
        for generation in 1..=4 {
            fs::create_dir(Shelf(folder.path()).path(generation)).unwrap();
            Shelf(folder.path()).set_aside(generation).unwrap();
        }
        assert_eq!(Shelf(folder.path()).inventory().unwrap().damaged, [4, 3]);
    }
}
