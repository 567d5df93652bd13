//! An opened generation, and what it says of itself. `search` searches it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::Error;
use tantivy::directory::Directory;
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{ReloadPolicy, Searcher};

use crate::build::TEXT;
use crate::documents::{DOCUMENTS, Documents, Listing};
use crate::errors::unreadable;
use crate::frozen::Frozen;
use crate::generation::Shelf;
use crate::languages::Language;
use crate::manifest::{Manifest, Unfit};
use crate::schema::{self, Fields};
use crate::scope::Scope;
use crate::store::Listed;
use crate::vectors::{Component, Vectors};
use crate::words::{ANALYSIS, Analysis, analyzer};

/// How often a generation may vanish under the reader, because a build replaced it, before that is trouble.
const ATTEMPTS: usize = 5;

/// What was found where an index should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// The newest generation, whole.
    Ready,
    /// The newest generation was damaged and set aside; the one before it is whole and serves until it is renewed.
    Fallback {
        /// Where the damaged one lies.
        set_aside: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is none: build it.
    Missing,
    /// All there was is damaged and set aside: renew it.
    Damaged {
        /// Where the newest lies.
        set_aside: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It is whole, but of another encoder or of another layout: renew it.
    Stale {
        /// What differs.
        why: String,
    },
}

/// Opens the newest good generation in `dir`, after checking every byte of it. Damaged ones are set aside. Without an
/// `embedder` it must be one without vectors.
///
/// # Errors
/// The files cannot be read, or a damaged generation cannot be set aside. Nothing is set aside because it could not be
/// read.
pub(crate) fn open(dir: &Path, embedder: Option<&str>) -> Result<(Option<Index>, Opened), Error> {
    let shelf = Shelf(dir);
    let mut aside: Option<(PathBuf, String)> = None;
    let mut vanished = 0;
    while let Some(generation) = shelf.newest_first()?.first().copied() {
        let path = shelf.path(generation);
        match Index::open(&path, embedder.unwrap_or_default()) {
            Ok(Ok(index)) => {
                let opened = match aside {
                    None => Opened::Ready,
                    Some((set_aside, why)) => Opened::Fallback { set_aside, why },
                };
                return Ok((Some(index), opened));
            }
            Ok(Err(why)) => {
                let opened = match aside {
                    None => Opened::Stale { why },
                    Some((set_aside, why)) => Opened::Damaged { set_aside, why },
                };
                return Ok((None, opened));
            }
            Err(Unfit::Unreadable(error)) => return Err(error),
            Err(Unfit::Damaged(why)) => {
                // A build may have replaced it while it was read: then its files are gone, not damaged.
                if shelf.newest_first()?.first() != Some(&generation) && vanished < ATTEMPTS {
                    vanished += 1;
                    continue;
                }
                let set_aside = shelf.set_aside(generation)?;
                tracing::error!(path = %set_aside.display(), why, "a generation of the index is damaged and set aside");
                aside.get_or_insert((set_aside, why));
            }
        }
    }
    let opened = match aside {
        None => Opened::Missing,
        Some((set_aside, why)) => Opened::Damaged { set_aside, why },
    };
    Ok((None, opened))
}

/// What an index holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// The generation's number, where the store has generations.
    pub generation: Option<u64>,
    /// Documents.
    pub documents: u64,
    /// Passages.
    pub passages: u64,
    /// Bytes of the documents' text.
    pub text_bytes: u64,
    /// Bytes of its files, where they are on this host.
    pub file_bytes: Option<u64>,
    /// Tantivy's segments, where it has some.
    pub segments: Option<usize>,
    /// The length of every vector, 0 where words alone are searched.
    pub dimensions: usize,
}

/// An opened generation. It never changes, and serves on after newer ones took its place. Searching blocks for
/// milliseconds: call it off the runtime's threads.
pub struct Index {
    path: PathBuf,
    listing: Listing,
    pub(crate) manifest: Manifest,
    pub(crate) searcher: Searcher,
    pub(crate) fields: Fields,
    pub(crate) vectors: Vec<Component>,
    /// Of each language that its passages are written in.
    pub(crate) analyzers: Vec<(Language, TextAnalyzer)>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Index {
    /// Checks and opens a generation; the inner error says what makes a whole one stale.
    fn open(path: &Path, embedder: &str) -> Result<Result<Self, String>, Unfit> {
        let manifest = Manifest::read(path)?;
        if manifest.schema != schema::VERSION {
            return Ok(Err(format!(
                "its layout is {} and this program's is {}",
                manifest.schema,
                schema::VERSION
            )));
        }
        manifest.check(path)?;
        if manifest.embedder != embedder {
            return Ok(Err(format!(
                "its vectors are of `{}` and this encoder is `{embedder}`",
                manifest.embedder
            )));
        }
        let text = path.join(TEXT);
        // The bytes are as they were written: what fails from here on is not damage.
        let unreadable = |error: tantivy::TantivyError| Unfit::Unreadable(unreadable(&text, error));
        let directory = Frozen::open(&text).map_err(|error| unreadable(error.into()))?;
        let opened = || {
            let mut index = tantivy::Index::open(directory)?;
            if manifest.dimensions > 0 {
                index.register_plugin(Arc::new(Vectors::new(manifest.dimensions)));
            }
            let beside = Frozen::open(path)?.open_read(Path::new(DOCUMENTS))?;
            let listing = Listing(beside.read_bytes()?);
            index.tokenizers().register(ANALYSIS, TextAnalyzer::from(Analysis::default()));
            let fields = Fields::of(&index.schema())?;
            let searcher = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?.searcher();
            let segments = searcher.segment_readers().iter().filter(|_| manifest.dimensions > 0);
            let vectors = segments
                .map(|segment| Component::open(segment, manifest.dimensions))
                .collect::<Result<_, _>>()?;
            let languages = Language::present(&searcher, fields.language)?;
            let analyzers = languages.into_iter().map(|language| (language, analyzer(language))).collect();
            Ok((listing, searcher, fields, vectors, analyzers))
        };
        let (listing, searcher, fields, vectors, analyzers) = opened().map_err(unreadable)?;
        Ok(Ok(Self { path: path.to_owned(), listing, manifest, searcher, fields, vectors, analyzers }))
    }

    /// What the generation says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where its files lie, as long as it is not too old.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its documents by name.
    ///
    /// # Errors
    /// The bytes are not those that were written any more.
    pub(crate) fn all_documents(&self) -> Result<Documents, Unfit> {
        let sum = self.manifest.files.get(DOCUMENTS).map_or("", |sum| sum.blake3.as_str());
        self.listing.documents(sum).map_err(|error| Unfit::Damaged(error.to_string()))
    }

    /// Documents within `scope` by name, those after `after`, at most `limit`.
    ///
    /// # Errors
    /// Reading fails.
    pub fn documents(&self, scope: &Scope, after: Option<&str>, limit: usize) -> Result<Vec<Listed>, Error> {
        self.listing.page(scope, after, limit).map_err(|error| unreadable(&self.path, error))
    }

    /// What it holds.
    pub fn stats(&self) -> Stats {
        Stats {
            generation: Some(self.manifest.generation),
            documents: self.manifest.documents,
            passages: self.manifest.passages,
            text_bytes: self.manifest.text_bytes,
            file_bytes: Some(self.manifest.files.values().map(|file| file.bytes).sum()),
            segments: Some(self.searcher.segment_readers().len()),
            dimensions: self.manifest.dimensions,
        }
    }
}
