//! What the operator's files point to: environment variables, and files of secrets, which may change while the gateway
//! runs.
//!
//! Owns where such a file is and whether it has changed. Refuses to keep what stands in one: only its hash is compared.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use policy::file::Place;

/// A file of secrets is read this far: whatever is longer is no key.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// What surrounds one of the operator's files.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// Relative paths count from here.
    folder: PathBuf,
    asked: RefCell<BTreeSet<PathBuf>>,
}

impl Surroundings {
    /// Those of `file`.
    pub(crate) fn of(file: &Path) -> Self {
        Self { folder: file.parent().unwrap_or(Path::new(".")).to_owned(), asked: RefCell::default() }
    }

    /// What stands at `place`.
    pub(crate) fn look_up(&self, place: Place<'_>) -> Option<String> {
        match place {
            Place::Variable(name) => std::env::var(name).ok(),
            Place::File(path) => {
                let path = self.folder.join(path);
                let text = read(&path);
                self.asked.borrow_mut().insert(path);
                text
            }
        }
    }

    /// The files that have been asked for, as they are now.
    pub(crate) fn secrets(&self) -> Secrets {
        Secrets::of(self.asked.borrow().iter().cloned())
    }
}

fn read(path: &Path) -> Option<String> {
    let size = fs::metadata(path).ok()?.len();
    (size <= SECRET_BYTES_MAX).then(|| fs::read_to_string(path).ok())?
}

/// Files of secrets as they were at some time; equal where nothing has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Secrets(BTreeMap<PathBuf, Option<blake3::Hash>>);

impl Secrets {
    fn of(files: impl Iterator<Item = PathBuf>) -> Self {
        let hashed = |path: PathBuf| {
            let hash = read(&path).map(|text| blake3::hash(text.as_bytes()));
            (path, hash)
        };
        Self(files.map(hashed).collect())
    }

    /// The same files as they are now. Blocks.
    pub(crate) fn again(&self) -> Self {
        Self::of(self.0.keys().cloned())
    }

    /// These and the others.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Whether there is nothing to look after.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_secrets_is_found_beside_the_file_that_names_it_and_its_change_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let surroundings = Surroundings::of(&folder.path().join("models.toml"));
        assert_eq!(surroundings.look_up(Place::File("key")), None);
        let before = surroundings.secrets();
        fs::write(folder.path().join("key"), "one\n").unwrap();
        assert_eq!(surroundings.look_up(Place::File("key")).as_deref(), Some("one\n"));
        let written = before.again();
        assert_ne!(before, written);
        assert_eq!(written, written.again());
        fs::write(folder.path().join("key"), "x".repeat(100_000)).unwrap();
        assert_eq!(surroundings.look_up(Place::File("key")), None, "too long for a key");
        assert!(!format!("{written:?}").contains("one"));
    }
}
