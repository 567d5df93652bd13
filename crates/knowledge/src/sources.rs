//! What a store is made from: the roots of its corpus, those that were added, the files that were uploaded, and what was
//! taken out of each.
//!
//! Every generation holds a copy, and the store's folder the newest, so that no single damaged file can make a store
//! forget a document that was acknowledged. A copy is one line of JSON and one with its BLAKE3 hash: whether it is whole can be told
//! without a manifest. Names of documents follow from what stands here, and adding a root never renames another's.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use api::{Error, Fault};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::attributes;
use crate::corpus::Corpus;
use crate::errors;
use crate::scope::contains;
use crate::store::Upload;

/// The file's name, in a generation and in the store's folder.
pub(crate) const SOURCES: &str = "sources.json";

/// More than any of ours: a damaged file must not fill the memory.
const SOURCES_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A name is a term of the index, and appears in answers.
pub(crate) const NAME_BYTES_MAX: usize = 512;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sources {
    /// The generation that is made from it: of two copies the one of the higher number counts.
    pub(crate) generation: u64,
    /// Grows with everything that is named.
    named: u64,
    /// In the order in which they were named.
    pub(crate) roots: Vec<Root>,
    /// Uploaded files by their names.
    pub(crate) uploads: BTreeMap<String, Kept>,
}

/// A folder or a file that documents are read from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Root {
    /// Its number.
    pub(crate) id: u64,
    /// Where it is, from the root of the file system.
    pub(crate) path: String,
    /// What stands before the names of its documents: empty or a folder's name with `/`.
    pub(crate) prefix: String,
    /// Part of the corpus that the store was built from; otherwise it was added.
    pub(crate) base: bool,
    /// When it was added: of two documents of one name the one that was named last counts. 0 for the base.
    pub(crate) named: u64,
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) file_bytes_max: u64,
    pub(crate) line_bytes_max: usize,
    /// Documents and folders that were taken out, and stay out until the root is named again.
    pub(crate) removed: Vec<String>,
}

/// An uploaded file, kept under its hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The BLAKE3 hash of its bytes, in hexadecimal digits.
    pub(crate) blake3: String,
    pub(crate) bytes: u64,
    /// When it was uploaded, as [`Root::named`].
    pub(crate) named: u64,
    pub(crate) attributes: Map<String, Value>,
    /// Documents in it that were taken out.
    pub(crate) removed: Vec<String>,
}

impl Root {
    /// Names the root in the sources of documents.
    pub(crate) fn origin(&self) -> String {
        format!("r{}", self.id)
    }

    fn reads_as(&self, corpus: &Corpus, path: &str) -> bool {
        is_same(&self.path, path)
            && self.include == corpus.include
            && self.exclude == corpus.exclude
            && self.file_bytes_max == corpus.file_bytes_max
            && self.line_bytes_max == corpus.line_bytes_max
    }
}

impl Sources {
    /// Exactly this corpus.
    ///
    /// # Errors
    /// A root is not there.
    pub(crate) fn of(corpus: &Corpus) -> Result<Self, Error> {
        let mut sources = Self::default();
        sources.name(corpus, true)?;
        Ok(sources)
    }

    /// `corpus` in place of the one that it was built from; all else stays, names too.
    ///
    /// # Errors
    /// A root is not there.
    pub(crate) fn rebase(&mut self, corpus: &Corpus) -> Result<(), Error> {
        let paths = corpus.roots.iter().map(|root| whole_path(root)).collect::<Result<Vec<_>, _>>()?;
        self.roots.retain(|root| !root.base || paths.iter().any(|path| root.reads_as(corpus, path)));
        self.name(corpus, true)?;
        Ok(())
    }

    /// `corpus` beside what is there. Gives the numbers of its roots.
    ///
    /// # Errors
    /// A root is not there.
    pub(crate) fn add(&mut self, corpus: &Corpus) -> Result<Vec<u64>, Error> {
        self.name(corpus, false)
    }

    fn name(&mut self, corpus: &Corpus, base: bool) -> Result<Vec<u64>, Error> {
        let mut ids = Vec::new();
        let alone = corpus.roots.len() == 1 && self.roots.is_empty() && self.uploads.is_empty();
        for root in &corpus.roots {
            let path = whole_path(root)?;
            if let Some(known) = self.roots.iter_mut().find(|known| known.reads_as(corpus, &path)) {
                if base {
                    known.base = true;
                } else {
                    self.named += 1;
                    known.named = self.named;
                    known.removed.clear();
                }
                ids.push(known.id);
                continue;
            }
            let prefix = self.prefix(root, &path, alone);
            self.named += 1;
            self.roots.push(Root {
                id: self.named,
                path,
                prefix,
                base,
                named: if base { 0 } else { self.named },
                include: corpus.include.clone(),
                exclude: corpus.exclude.clone(),
                file_bytes_max: corpus.file_bytes_max,
                line_bytes_max: corpus.line_bytes_max,
                removed: Vec::new(),
            });
            ids.push(self.named);
        }
        Ok(ids)
    }

    /// What stands before the names of a new root's documents: the only root's stand for themselves, others' below the
    /// root's own name, with a number where two have the same.
    fn prefix(&self, root: &Path, path: &str, alone: bool) -> String {
        if let Some(known) = self.roots.iter().find(|known| is_same(&known.path, path)) {
            return known.prefix.clone();
        }
        if alone || Path::new(path).is_file() {
            return String::new();
        }
        let own = root.file_name().map(|name| name.to_string_lossy().into_owned());
        let own = own.or_else(|| {
            let true_path = root.canonicalize().ok()?;
            Some(true_path.file_name()?.to_string_lossy().into_owned())
        });
        let own = own.unwrap_or_else(|| String::from("root"));
        let taken = |prefix: &str| self.roots.iter().any(|known| known.prefix == prefix);
        let numbered = (2_u64..).map(|number| format!("{own}-{number}/"));
        let mut free = [format!("{own}/")].into_iter().chain(numbered).filter(|prefix| !taken(prefix));
        free.next().unwrap_or_default()
    }

    /// A file beside what is there, kept under `blake3`.
    pub(crate) fn keep(&mut self, upload: &Upload, blake3: String) {
        self.named += 1;
        let kept = Kept {
            blake3,
            bytes: upload.bytes.len() as u64,
            named: self.named,
            attributes: upload.attributes.clone(),
            removed: Vec::new(),
        };
        self.uploads.insert(upload.name.clone(), kept);
    }

    /// Takes out the documents of these names and those in folders of them, for as long as their root is not named
    /// again.
    pub(crate) fn remove(&mut self, names: &[String]) {
        let covered = |name: &str| names.iter().any(|outer| contains(outer, name));
        self.uploads.retain(|name, _| !covered(name));
        self.roots.retain(|root| {
            let whole = root.prefix.trim_end_matches('/');
            root.base || whole.is_empty() || !covered(whole)
        });
        let lists = self.roots.iter_mut().map(|root| &mut root.removed);
        for list in lists.chain(self.uploads.values_mut().map(|kept| &mut kept.removed)) {
            list.retain(|inner| !covered(inner));
            list.extend(names.iter().cloned());
            list.sort_unstable();
            list.dedup();
        }
    }

    /// Whether the same is read from both.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        self.roots == other.roots && self.uploads == other.uploads
    }

    /// As it stands in a file.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub(crate) fn sealed(&self) -> io::Result<Vec<u8>> {
        let mut text = serde_json::to_vec(self)?;
        let seal = blake3::hash(&text);
        text.extend_from_slice(format!("\n\"{seal}\"\n").as_bytes());
        Ok(text)
    }

    /// Reads the copy in `folder`.
    pub(crate) fn read(folder: &Path) -> Copy {
        let path = folder.join(SOURCES);
        let mut text = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(SOURCES_BYTES_MAX).read_to_end(&mut text));
        match read {
            Ok(_) => Self::unsealed(&text).map_or(Copy::Damaged, Copy::Whole),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Copy::Missing
            }
            Err(error) => Copy::Unreadable(errors::unreadable(&path, error)),
        }
    }

    fn unsealed(text: &[u8]) -> Option<Self> {
        let end = text.iter().position(|&byte| byte == b'\n')?;
        let (said, seal) = text.split_at(end);
        if seal != format!("\n\"{}\"\n", blake3::hash(said)).as_bytes() {
            return None;
        }
        serde_json::from_slice(said).ok()
    }
}

/// What was found where a copy should be.
#[derive(Debug)]
pub(crate) enum Copy {
    /// It is as it was written.
    Whole(Sources),
    /// It is not.
    Damaged,
    /// It is not there.
    Missing,
    /// It cannot be read: that says nothing about its bytes.
    Unreadable(Error),
}

/// A root's path from the root of the file system, its links left as they are: what they lead to may change.
fn whole_path(root: &Path) -> Result<String, Error> {
    let missing = |error| errors::corpus("A folder or file to index is not there.", root, Some(error));
    root.metadata().map_err(missing)?;
    let path: PathBuf = std::path::absolute(root).map_err(missing)?;
    let path: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    path.into_os_string()
        .into_string()
        .map_err(|_| errors::corpus("The path of a folder to index must be UTF-8: rename it.", root, None))
}

fn is_same(one: &str, other: &str) -> bool {
    let canonical = |path: &str| Path::new(path).canonicalize().ok();
    one == other || canonical(one).is_some_and(|one| Some(one) == canonical(other))
}

/// Checks what came with files that are to be kept.
///
/// # Errors
/// A name that is none, a name that is there twice, attributes that cannot be kept.
pub(crate) fn check_uploads(uploads: &[Upload]) -> Result<(), Error> {
    let mut names = std::collections::HashSet::new();
    for (place, upload) in uploads.iter().enumerate() {
        if let Some(why) = wrong_name(&upload.name) {
            let message = format!("The name of a file {why}; allowed: `guide.md`, `handbook/2026/guide.md`.");
            return Err(Error::field(format!("files[{place}].name"), message));
        }
        if !names.insert(upload.name.as_str()) {
            let message = format!("The file `{}` is there twice: send each name once.", upload.name);
            return Err(Error::field(format!("files[{place}].name"), message));
        }
        attributes::check(&upload.attributes)
            .map_err(|why| Error::field(format!("files[{place}].attributes"), why))?;
    }
    Ok(())
}

/// Why a name cannot be a document's.
fn wrong_name(name: &str) -> Option<String> {
    if name.len() > NAME_BYTES_MAX {
        return Some(format!("is longer than {NAME_BYTES_MAX} bytes"));
    }
    if name.chars().any(|c| c.is_control() || c == '\\') {
        return Some(String::from("has control characters or backslashes"));
    }
    match name.split('/').find(|part| matches!(*part, "" | "." | "..")) {
        Some("") => Some(String::from("has an empty part")),
        Some(part) => Some(format!("has the part `{part}`")),
        None => None,
    }
}

/// Names to take out, without the `/` that a folder may end in.
///
/// # Errors
/// One is empty or longer than any name.
pub(crate) fn clean_names(names: &[String]) -> Result<Vec<String>, Error> {
    let clean = names.iter().map(|name| name.trim_end_matches('/'));
    for (place, name) in clean.clone().enumerate() {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            let message =
                format!("A name must have 1 to {NAME_BYTES_MAX} bytes: a document's or a folder's.");
            return Err(
                Error::new(Fault::BadRequest, "invalid_value", message).with_param(format!("names[{place}]"))
            );
        }
    }
    Ok(clean.map(str::to_owned).collect())
}
