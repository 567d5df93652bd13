//! The documents of a corpus: which files belong to it, and what they say, one at a time.
//!
//! Owns the walk, the patterns and the limits. What cannot be read is listed with its reason and never stops a build;
//! only a root that is not there does. Symbolic links are not followed: they may lead out of the corpus.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use api::{Error, Fault};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde_json::{Map, Value};
use walkdir::{DirEntry, WalkDir};

use crate::attributes;
use crate::errors;
use crate::extract::{self, Extracted, Form, encoding, jsonl};
use crate::scope::contains;
use crate::sources::{Kept, NAME_BYTES_MAX, Root};

/// What to index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corpus {
    /// Folders, or single files.
    pub roots: Vec<PathBuf>,
    /// Patterns such as `docs/**/*.md`, matched against the path below its root: with any here, only files that match
    /// one are read. `*` stays within a folder, `**` does not.
    pub include: Vec<String>,
    /// Patterns of files that are left out, whatever `include` says.
    pub exclude: Vec<String>,
    /// A larger file is passed over and listed. JSON Lines files may have any size.
    pub file_bytes_max: u64,
    /// A longer line of a JSON Lines file is passed over and listed.
    pub line_bytes_max: usize,
}

impl Corpus {
    /// All readable files below `roots`, each of at most 16 MiB, with lines of JSON of at most 4 MiB.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self {
            roots,
            include: Vec::new(),
            exclude: Vec::new(),
            file_bytes_max: 16 * 1024 * 1024,
            line_bytes_max: 4 * 1024 * 1024,
        }
    }
}

impl Corpus {
    /// Whether the patterns are patterns, without looking at any file.
    ///
    /// # Errors
    /// The first that is none; its `param` is `include` or `exclude`.
    pub fn check(&self) -> Result<(), Error> {
        patterns("include", &self.include)?;
        patterns("exclude", &self.exclude)?;
        Ok(())
    }
}

/// Something that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1, where the file is one of lines.
    pub line: Option<u64>,
    /// What is wrong with it.
    pub why: String,
    /// It should have been read: not merely a file of another kind in a folder, or a symbolic link.
    pub bad: bool,
}

/// A document and what it is called.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its path below its root, or its id in a JSON Lines file.
    pub(crate) name: String,
    /// The root that it was read from or the uploads, and the file: `r2:handbook/guide.md`, `u:guide.md`.
    pub(crate) source: String,
    /// The hash of all that goes into the index for it.
    pub(crate) hash: String,
    /// The file as its owner knows it, and the line: for a list of what is passed over.
    pub(crate) read_at: (PathBuf, Option<u64>),
    /// What filters can ask of it.
    pub(crate) attributes: Map<String, Value>,
    pub(crate) extracted: Extracted,
}

impl Document {
    pub(crate) fn new(name: String, attributes: Map<String, Value>, extracted: Extracted) -> Self {
        let mut hasher = blake3::Hasher::new();
        let attributes_text = Value::Object(attributes.clone()).to_string();
        for part in [&name, &extracted.title, &attributes_text, &extracted.text] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let hash = hasher.finalize().to_hex().to_string();
        Self { name, source: String::new(), hash, read_at: (PathBuf::new(), None), attributes, extracted }
    }
}

/// A file of the corpus.
#[derive(Debug)]
struct Entry {
    path: PathBuf,
    name: String,
    form: Form,
    bytes: u64,
}

/// The files of one root in the order of their names, or one uploaded file, found but not yet read.
#[derive(Debug)]
pub(crate) struct Files {
    /// Names the root or the uploads in the sources of documents.
    pub(crate) origin: String,
    entries: Vec<Entry>,
    /// What the walk passed over.
    pub(crate) skipped: Vec<Skipped>,
    file_bytes_max: u64,
    line_bytes_max: usize,
    /// Documents, files and folders that are left out.
    removed: Vec<String>,
    /// What an uploaded file came with.
    attributes: Map<String, Value>,
    /// The BLAKE3 hash of an uploaded file.
    blake3: Option<String>,
}

/// What uploads are called in the sources of documents.
pub(crate) const UPLOADS: &str = "u";

/// What reading gives, piece by piece.
#[derive(Debug)]
pub(crate) enum Found {
    /// A document.
    Document(Document),
    /// Something that is none.
    Skipped(Skipped),
}

impl Files {
    /// Walks a root.
    ///
    /// # Errors
    /// A pattern that is none, or a root that is not there.
    pub(crate) fn find(root: &Root) -> Result<Self, Error> {
        let include = patterns("include", &root.include)?;
        let exclude = patterns("exclude", &root.exclude)?;
        let mut found = Self {
            origin: root.origin(),
            entries: Vec::new(),
            skipped: Vec::new(),
            file_bytes_max: root.file_bytes_max,
            line_bytes_max: root.line_bytes_max,
            removed: root.removed.clone(),
            attributes: Map::new(),
            blake3: None,
        };
        let path = Path::new(&root.path);
        path.metadata()
            .map_err(|error| errors::corpus("A folder or file to index is not there.", path, Some(error)))?;
        for entry in WalkDir::new(path).sort_by_file_name().into_iter().filter_entry(is_visible) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let file = error.path().unwrap_or(path).to_owned();
                    found.skipped.push(Skipped {
                        file,
                        line: None,
                        why: format!("cannot be read: {error}"),
                        bad: true,
                    });
                    continue;
                }
            };
            let below = name_below(path, entry.path());
            let wanted = include.as_ref().is_none_or(|set| set.is_match(&below))
                && !exclude.as_ref().is_some_and(|set| set.is_match(&below));
            if wanted && !entry.file_type().is_dir() {
                found.take(&entry, format!("{}{below}", root.prefix));
            }
        }
        Ok(found)
    }

    /// An uploaded file that is kept at `path`.
    pub(crate) fn uploaded(name: &str, kept: &Kept, path: PathBuf) -> Self {
        let limits = Corpus::new(Vec::new());
        let mut files = Self {
            origin: UPLOADS.to_owned(),
            entries: Vec::new(),
            skipped: Vec::new(),
            file_bytes_max: limits.file_bytes_max,
            line_bytes_max: limits.line_bytes_max,
            removed: kept.removed.clone(),
            attributes: kept.attributes.clone(),
            blake3: Some(kept.blake3.clone()),
        };
        match Form::of(name) {
            Some(form) => files.entries.push(Entry { path, name: name.to_owned(), form, bytes: kept.bytes }),
            None => {
                let why = Form::ALLOWED.to_owned();
                files.skipped.push(Skipped { file: PathBuf::from(name), line: None, why, bad: true });
            }
        }
        files
    }

    fn take(&mut self, entry: &DirEntry, name: String) {
        let path = entry.path().to_owned();
        // Whoever names a file wants it read; a folder may hold anything.
        let named = entry.depth() == 0;
        let refused = |why: &str, bad| Skipped { file: path.clone(), line: None, why: why.to_owned(), bad };
        if entry.path_is_symlink() && entry.depth() > 0 {
            return self.skipped.push(refused("is a symbolic link, which is not followed", false));
        }
        let Some(form) = Form::of(&name) else { return self.skipped.push(refused(Form::ALLOWED, named)) };
        match path.metadata() {
            Ok(metadata) if metadata.is_file() => {
                self.entries.push(Entry { path, name, form, bytes: metadata.len() });
            }
            Ok(_) => self.skipped.push(refused("is not a regular file", named)),
            Err(error) => self.skipped.push(refused(&format!("cannot be read: {error}"), true)),
        }
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.bytes).sum()
    }

    /// Reads every file, handing each document, and each thing that is none, to `take` with the bytes of these files that
    /// were read so far.
    ///
    /// # Errors
    /// The first of `take`.
    pub(crate) fn read(&self, take: &mut dyn FnMut(Found, u64) -> Result<(), Error>) -> Result<(), Error> {
        let mut bytes_done = 0;
        for entry in &self.entries {
            let mut take_wanted = |read: Result<Document, Skipped>, line: Option<u64>, bytes: u64| {
                let read = read.map(|document| Document {
                    source: format!("{}:{}", self.origin, entry.name),
                    read_at: (self.shown(entry), line),
                    ..document
                });
                let found = match read {
                    Ok(document) if self.leaves_out(&document.name, &entry.name) => return Ok(()),
                    Ok(document) if document.name.len() > NAME_BYTES_MAX => {
                        let why = format!("its name is longer than {NAME_BYTES_MAX} bytes");
                        Found::Skipped(Skipped { file: self.shown(entry), line, why, bad: true })
                    }
                    Ok(document) => Found::Document(document),
                    Err(skipped) => Found::Skipped(skipped),
                };
                take(found, bytes_done + bytes)
            };
            match entry.form {
                _ if !self.is_as_uploaded(entry) => {
                    let why = String::from("its bytes are not those that were uploaded: upload it again");
                    take_wanted(
                        Err(Skipped { file: self.shown(entry), line: None, why, bad: true }),
                        None,
                        entry.bytes,
                    )?;
                }
                Form::JsonLines => self.read_lines(entry, &mut take_wanted)?,
                form => take_wanted(self.read_whole(entry, form), None, entry.bytes)?,
            }
            bytes_done += entry.bytes;
        }
        Ok(())
    }

    fn leaves_out(&self, document: &str, file: &str) -> bool {
        self.removed.iter().any(|outer| contains(outer, document) || contains(outer, file))
    }

    /// Whether an uploaded file still is what came; a file of a root may change.
    fn is_as_uploaded(&self, entry: &Entry) -> bool {
        let Some(blake3) = &self.blake3 else { return true };
        let mut hasher = blake3::Hasher::new();
        let read = File::open(&entry.path).and_then(|file| hasher.update_reader(file).map(|_| ()));
        read.is_ok() && hasher.finalize().to_hex().as_str() == blake3
    }

    /// The name of an uploaded file whose bytes are not those that came.
    pub(crate) fn damaged_upload(&self) -> Option<&str> {
        let damaged = self.entries.iter().find(|entry| !self.is_as_uploaded(entry));
        damaged.map(|entry| entry.name.as_str())
    }

    /// The file as its owner knows it.
    fn shown(&self, entry: &Entry) -> PathBuf {
        if self.blake3.is_some() { PathBuf::from(&entry.name) } else { entry.path.clone() }
    }

    fn read_whole(&self, entry: &Entry, form: Form) -> Result<Document, Skipped> {
        let refused = |why: String| Skipped { file: self.shown(entry), line: None, why, bad: true };
        let mut bytes = Vec::new();
        let read = File::open(&entry.path)
            .and_then(|file| file.take(self.file_bytes_max + 1).read_to_end(&mut bytes));
        read.map_err(|error| refused(format!("cannot be read: {error}")))?;
        if bytes.len() as u64 > self.file_bytes_max {
            return Err(refused(format!("is larger than {} bytes", self.file_bytes_max)));
        }
        let extracted = extract::read(form, bytes).map_err(refused)?;
        // A Markdown document's text is its source.
        let own = if form == Form::Markdown { attributes::front_matter(&extracted.text) } else { Map::new() };
        Ok(Document::new(entry.name.clone(), attributes::kept(own, &self.attributes), extracted))
    }

    fn read_lines(
        &self,
        entry: &Entry,
        take: &mut dyn FnMut(Result<Document, Skipped>, Option<u64>, u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let refused = |line, why: String| Err(Skipped { file: self.shown(entry), line, why, bad: true });
        let mut lines = match File::open(&entry.path) {
            Ok(file) => Lines { reader: BufReader::new(file), bytes_max: self.line_bytes_max, bytes_read: 0 },
            Err(error) => return take(refused(None, format!("cannot be read: {error}")), None, 0),
        };
        for number in 1.. {
            let line = match lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => {
                    let refused = refused(Some(number), format!("cannot be read: {error}"));
                    return take(refused, Some(number), lines.bytes_read);
                }
            };
            let line = line.and_then(encoding::utf8);
            if line.as_ref().is_ok_and(|line| line.trim().is_empty()) {
                continue;
            }
            let document = match line.and_then(|line| jsonl::record(&line)) {
                Ok(record) => {
                    let name = record.id.unwrap_or_else(|| format!("{}:{number}", entry.name));
                    let attributes = attributes::kept(record.attributes, &self.attributes);
                    Ok(Document::new(name, attributes, record.extracted))
                }
                Err(why) => refused(Some(number), why),
            };
            take(document, Some(number), lines.bytes_read)?;
        }
        Ok(())
    }
}

/// Lines of bounded length.
struct Lines {
    reader: BufReader<File>,
    bytes_max: usize,
    bytes_read: u64,
}

impl Lines {
    /// The next line without its end, or why it is passed over; `None` at the end.
    fn next(&mut self) -> std::io::Result<Option<Result<Vec<u8>, String>>> {
        let mut line = Vec::new();
        let bytes = (&mut self.reader).take(self.bytes_max as u64 + 1).read_until(b'\n', &mut line)?;
        self.bytes_read += bytes as u64;
        if bytes == 0 {
            return Ok(None);
        }
        if line.len() > self.bytes_max && line.last() != Some(&b'\n') {
            self.bytes_read += self.reader.skip_until(b'\n')? as u64;
            return Ok(Some(Err(format!("is longer than {} bytes", self.bytes_max))));
        }
        Ok(Some(Ok(line)))
    }
}

/// Hidden files and folders are not part of a corpus, unless one is itself a root.
fn is_visible(entry: &DirEntry) -> bool {
    entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.')
}

fn name_below(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).ok().filter(|below| !below.as_os_str().is_empty());
    let below = below.or_else(|| path.file_name().map(Path::new)).unwrap_or(path);
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

fn patterns(key: &str, patterns: &[String]) -> Result<Option<GlobSet>, Error> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let wrong = |pattern: &str, error: globset::Error| {
        let message = format!("`{key}`: `{pattern}` is not a pattern: {}.", error.kind());
        Error::new(Fault::BadRequest, "invalid_value", message).with_param(key)
    };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern).literal_separator(true).build();
        set.add(glob.map_err(|error| wrong(pattern, error))?);
    }
    set.build().map(Some).map_err(|error| wrong(&patterns.join(", "), error))
}
