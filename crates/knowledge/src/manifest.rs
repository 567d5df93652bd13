//! What a generation says of itself, and the check that it is what it says.
//!
//! `manifest.json` names every file of the generation with its length and BLAKE3 hash; `seal` holds the hash of
//! `manifest.json`. A generation whose bytes do not agree with both is damaged. Trouble in reading (no permission, too
//! many open files, a failing disk) is not damage: it says nothing about the bytes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use api::Error;
use serde::{Deserialize, Serialize};

use crate::disk;
use crate::errors::unreadable;

const MANIFEST: &str = "manifest.json";
const SEAL: &str = "seal";

/// More than any manifest of ours: a damaged file must not fill the memory.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What a generation of the index is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The layout's number: an index of another one is built anew.
    pub schema: u32,
    /// Grows with every change.
    pub generation: u64,
    /// When it was made, in seconds since 1970.
    pub built_at_unix_s: u64,
    /// [`api::Embed::fingerprint`] of the encoder that made the vectors; empty where there are none.
    pub embedder: String,
    /// The length of every vector, 0 where there are none.
    pub dimensions: usize,
    /// The hash of all that is in it: the same for the same documents, however they came together.
    pub corpus: String,
    /// Documents in the index.
    pub documents: u64,
    /// Passages in the index.
    pub passages: u64,
    /// Bytes of the documents' text.
    pub text_bytes: u64,
    /// Every file of the generation but the manifest and its seal, by its path with `/` between folders.
    pub files: BTreeMap<String, FileSum>,
}

/// What a file must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    /// Its length.
    pub bytes: u64,
    /// Its BLAKE3 hash in hexadecimal digits.
    pub blake3: String,
}

/// Why a generation cannot be used.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// Its bytes are not what was written.
    Damaged(String),
    /// Its bytes could not be read.
    Unreadable(Error),
}

impl From<Error> for Unfit {
    fn from(error: Error) -> Self {
        Self::Unreadable(error)
    }
}

impl Manifest {
    /// Lists and hashes the files of a generation that is being built, and writes the manifest and its seal.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub(crate) fn write(mut self, generation: &Path) -> io::Result<Self> {
        self.files = BTreeMap::new();
        sum_files(generation, "", &mut self.files)?;
        let mut text = serde_json::to_vec_pretty(&self)?;
        text.push(b'\n');
        disk::write(&generation.join(SEAL), format!("{}\n", blake3::hash(&text)).as_bytes())?;
        disk::write(&generation.join(MANIFEST), &text)?;
        Ok(self)
    }

    /// Reads a generation's manifest and checks it against its seal.
    pub(crate) fn read(generation: &Path) -> Result<Self, Unfit> {
        let text = read_small(generation, MANIFEST)?;
        let seal = read_small(generation, SEAL)?;
        if seal.trim_ascii_end() != blake3::hash(&text).to_hex().as_bytes() {
            return Err(Unfit::Damaged(format!("{MANIFEST} does not agree with its {SEAL}")));
        }
        serde_json::from_slice(&text).map_err(|error| Unfit::Damaged(format!("{MANIFEST}: {error}")))
    }

    /// Checks every file of the generation.
    pub(crate) fn check(&self, generation: &Path) -> Result<(), Unfit> {
        for (name, sum) in &self.files {
            let path = generation.join(name);
            let unfit = |error| unfit(&path, name, error);
            let mut file = File::open(&path).map_err(unfit)?;
            let bytes = file.metadata().map_err(unfit)?.len();
            if bytes != sum.bytes {
                return Err(Unfit::Damaged(format!("{name} has {bytes} bytes instead of {}", sum.bytes)));
            }
            if hash(&mut file).map_err(unfit)? != sum.blake3 {
                return Err(Unfit::Damaged(format!("{name} has other bytes than were written")));
            }
        }
        Ok(())
    }
}

fn read_small(generation: &Path, name: &str) -> Result<Vec<u8>, Unfit> {
    let path = generation.join(name);
    let mut text = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(MANIFEST_BYTES_MAX).read_to_end(&mut text));
    read.map_err(|error| unfit(&path, name, error))?;
    Ok(text)
}

/// Only a file that is not there, or is something else than a file, is damage.
pub(crate) fn unfit(path: &Path, name: &str, error: io::Error) -> Unfit {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            Unfit::Damaged(format!("{name} is missing"))
        }
        _ => Unfit::Unreadable(unreadable(path, error)),
    }
}

fn hash(file: &mut File) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize().to_hex().to_string())
}

fn sum_files(folder: &Path, prefix: &str, files: &mut BTreeMap<String, FileSum>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            sum_files(&entry.path(), &format!("{name}/"), files)?;
            continue;
        }
        let mut file = File::open(entry.path())?;
        let bytes = file.metadata()?.len();
        files.insert(name, FileSum { bytes, blake3: hash(&mut file)? });
    }
    Ok(())
}
