//! An opened generation: searching it, and what it says of itself.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::{Error, Fault, Findings, Passage};
use serde_json::{Map, Value};
use tantivy::schema::document::CompactDocValue;
use tantivy::schema::{IndexRecordOption, OwnedValue, Value as _};
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{DocAddress, DocId, DocSet, ReloadPolicy, Searcher, TERMINATED, TantivyDocument, Term};

use crate::build::TEXT;
use crate::coverage::{Features, Near, PASSAGES_READ, Weighed};
use crate::errors::{not_searched, unreadable};
use crate::frozen::Frozen;
use crate::fuse::{Fused, fuse};
use crate::generation::Shelf;
use crate::lexical;
use crate::manifest::{Manifest, Unfit};
use crate::scan;
use crate::schema::{self, Fields};
use crate::scope::Scope;
use crate::vectors::{Component, Vectors};
use crate::words::{ANALYSIS, analyzer, question_words};

/// How often a generation may vanish under the reader, because a build replaced it, before that is trouble.
const ATTEMPTS: usize = 5;

/// What was found where an index should be.
#[derive(Debug)]
pub enum Opened {
    /// The newest generation, whole.
    Ready(Index),
    /// The newest generation was damaged and set aside; the one before it is whole and serves until a rebuild.
    Fallback {
        /// The older generation.
        index: Index,
        /// Where the damaged one lies.
        set_aside: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is none: build it.
    Missing,
    /// All there was is damaged and set aside: build it.
    Damaged {
        /// Where the newest lies.
        set_aside: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It is whole, but of another encoder or of another layout: build it.
    Stale {
        /// What differs.
        why: String,
    },
}

/// Opens the newest good generation in `dir`, after checking every byte of it. Damaged ones are set aside.
///
/// # Errors
/// The files cannot be read, or a damaged generation cannot be set aside. Nothing is set aside because it could not be
/// read.
pub fn open(dir: &Path, embedder_fingerprint: &str) -> Result<Opened, Error> {
    let shelf = Shelf(dir);
    let mut aside: Option<(PathBuf, String)> = None;
    let mut vanished = 0;
    while let Some(generation) = shelf.newest_first()?.first().copied() {
        let path = shelf.path(generation);
        match Index::open(&path, embedder_fingerprint) {
            Ok(Ok(index)) => {
                return Ok(match aside {
                    None => Opened::Ready(index),
                    Some((set_aside, why)) => Opened::Fallback { index, set_aside, why },
                });
            }
            Ok(Err(why)) => {
                return Ok(match aside {
                    None => Opened::Stale { why },
                    Some((set_aside, why)) => Opened::Damaged { set_aside, why },
                });
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
    Ok(match aside {
        None => Opened::Missing,
        Some((set_aside, why)) => Opened::Damaged { set_aside, why },
    })
}

/// The attributes that a passage was stored with.
fn attributes(stored: Option<CompactDocValue<'_>>) -> Map<String, Value> {
    let object = stored.and_then(|stored| stored.as_object());
    object.into_iter().flatten().map(|(key, value)| (key.to_owned(), plain(value))).collect()
}

fn plain(value: CompactDocValue<'_>) -> Value {
    match OwnedValue::from(value) {
        OwnedValue::Str(text) => Value::String(text),
        OwnedValue::Bool(yes) => Value::Bool(yes),
        OwnedValue::U64(number) => number.into(),
        OwnedValue::I64(number) => number.into(),
        OwnedValue::F64(number) => number.into(),
        _ => Value::Null,
    }
}

/// How to search.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchOptions {
    /// The most passages to give back.
    pub passages_max: usize,
    /// How many of each ranking are fused.
    pub candidates: usize,
    /// The share of the vectors in the fused score, 0 to 1. At 0.6 the fused ranking is nowhere more than 0.004
    /// nDCG@10 below the better of its parts (SciFact train, Cranfield, NaturalQuestions, SQuAD); at 0.5 it is 0.012
    /// below on NaturalQuestions, and otherwise the same within 0.005.
    pub weight_dense: f32,
    /// What may be found.
    pub scope: Scope,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self { passages_max: 5, candidates: 100, weight_dense: 0.6, scope: Scope::everything() }
    }
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
    /// The length of every vector.
    pub dimensions: usize,
}

/// An opened generation. It never changes, and serves on after newer ones took its place. Searching blocks for
/// milliseconds: call it off the runtime's threads.
pub struct Index {
    manifest: Manifest,
    searcher: Searcher,
    fields: Fields,
    vectors: Vec<Component>,
    analyzer: TextAnalyzer,
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
            index.register_plugin(Arc::new(Vectors::new(manifest.dimensions)));
            let analyzer = analyzer();
            index.tokenizers().register(ANALYSIS, analyzer.clone());
            let fields = Fields::of(&index.schema())?;
            let searcher = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?.searcher();
            let segments = searcher.segment_readers().iter();
            let vectors = segments
                .map(|segment| Component::open(segment, manifest.dimensions))
                .collect::<Result<_, _>>()?;
            Ok((searcher, fields, vectors, analyzer))
        };
        let (searcher, fields, vectors, analyzer) = opened().map_err(unreadable)?;
        Ok(Ok(Self { manifest, searcher, fields, vectors, analyzer }))
    }

    /// What the generation says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
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

    /// The best passages for `question`, and whether the index covers it. `vector` is the question's; without it only
    /// words count.
    ///
    /// # Errors
    /// The vector is of another length than the index's, or reading fails.
    pub fn search(
        &self,
        question: &str,
        vector: Option<&[f32]>,
        options: &SearchOptions,
    ) -> Result<Findings, Error> {
        if let Some(vector) = vector.filter(|vector| vector.len() != self.manifest.dimensions) {
            let detail =
                format!("a vector of {} numbers, the index has {}", vector.len(), self.manifest.dimensions);
            return Err(Error::new(Fault::Internal, "wrong_vector", "The index is of another encoder.")
                .with_detail(detail));
        }
        self.search_checked(question, vector, options).map_err(|error| not_searched(&error))
    }

    fn search_checked(
        &self,
        question: &str,
        vector: Option<&[f32]>,
        options: &SearchOptions,
    ) -> tantivy::Result<Findings> {
        let words = question_words(&mut self.analyzer.clone(), question);
        let bm25 = lexical::rank(&self.searcher, &self.fields, &words, &options.scope, options.candidates)?;
        let dense = match vector {
            Some(vector) => Some(self.nearest(vector, &options.scope, options.candidates)?),
            None => None,
        };
        let fused = fuse(&bm25, dense.as_deref(), options.weight_dense);
        let passages_max = options.passages_max.max(PASSAGES_READ);
        let mut passages = Vec::with_capacity(passages_max);
        for fused in fused.iter().take(passages_max) {
            passages.push(self.passage(fused, vector)?);
        }
        let near = vector.map(|vector| Near {
            by_vector: dense.as_ref().and_then(|dense| dense.first()).map_or(0.0, |(cosine, _)| *cosine),
            by_words: bm25.first().map_or(0.0, |(_, place)| self.cosine(*place, vector)),
        });
        let features = self.features(near, &words, &passages)?;
        passages.truncate(options.passages_max);
        Ok(Findings { passages, coverage: features.probability() })
    }

    fn nearest(
        &self,
        vector: &[f32],
        scope: &Scope,
        limit: usize,
    ) -> tantivy::Result<Vec<(f32, DocAddress)>> {
        let admitted = match lexical::within(&self.fields, scope) {
            None => None,
            Some(terms) => Some(self.having_any(&terms)?),
        };
        let segments = self.searcher.segment_readers();
        let admit = |segment: u32, document: DocId| {
            !segments[segment as usize].is_deleted(document)
                && admitted.as_ref().is_none_or(|admitted| admitted[segment as usize][document as usize])
        };
        Ok(scan::nearest(&self.vectors, vector, limit, admit))
    }

    /// For each segment, which of its documents have one of `terms`.
    fn having_any(&self, terms: &[Term]) -> tantivy::Result<Vec<Vec<bool>>> {
        let mut all = Vec::new();
        for segment in self.searcher.segment_readers() {
            let mut has = vec![false; segment.max_doc() as usize];
            let inverted = segment.inverted_index(self.fields.within)?;
            for term in terms {
                let Some(mut postings) = inverted.read_postings(term, IndexRecordOption::Basic)? else {
                    continue;
                };
                let mut document = postings.doc();
                while document != TERMINATED {
                    has[document as usize] = true;
                    document = postings.advance();
                }
            }
            all.push(has);
        }
        Ok(all)
    }

    fn cosine(&self, place: DocAddress, vector: &[f32]) -> f32 {
        let component = self.vectors.get(place.segment_ord as usize);
        component.map_or(0.0, |component| component.cosine(place.doc_id, vector))
    }

    fn passage(&self, fused: &Fused, vector: Option<&[f32]>) -> tantivy::Result<Passage> {
        let document: TantivyDocument = self.searcher.doc(fused.place)?;
        let text =
            |field| document.get_first(field).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        let number =
            |field| document.get_first(field).and_then(|value| value.as_u64()).unwrap_or_default() as usize;
        Ok(Passage {
            file: text(self.fields.file),
            section: text(self.fields.section),
            span: (number(self.fields.start), number(self.fields.end)),
            text: text(self.fields.body),
            score: fused.score,
            bm25: fused.bm25,
            cosine: fused.cosine.or_else(|| Some(self.cosine(fused.place, vector?))).unwrap_or_default(),
            highlights: Vec::new(),
            attributes: attributes(document.get_first(self.fields.attributes)),
        })
    }

    fn features(
        &self,
        near: Option<Near>,
        words: &[String],
        passages: &[Passage],
    ) -> tantivy::Result<Features> {
        let mut analyzer = self.analyzer.clone();
        let passages: Vec<HashSet<String>> = passages
            .iter()
            .take(PASSAGES_READ)
            .map(|passage| format!("{}\n{}\n{}", passage.file, passage.section, passage.text))
            .map(|text| crate::words::words(&mut analyzer, &text).into_iter().collect())
            .collect();
        Ok(Features::of(near, &self.weighed(words)?, self.idf(0.0), &passages))
    }

    /// Different words, with their idf in the passages' bodies.
    fn weighed(&self, words: &[String]) -> tantivy::Result<Vec<Weighed>> {
        let mut different: Vec<&String> = words.iter().collect();
        different.sort_unstable();
        different.dedup();
        let mut weighed = Vec::with_capacity(different.len());
        for word in different {
            let having = self.searcher.doc_freq(&Term::from_field_text(self.fields.body, word))?;
            weighed.push(Weighed { word: word.clone(), idf: self.idf(having as f32) });
        }
        Ok(weighed)
    }

    /// The idf, as BM25 has it, of a word that `having` passages have.
    fn idf(&self, having: f32) -> f32 {
        let passages = self.searcher.num_docs() as f32;
        (1.0 + (passages - having + 0.5) / (having + 0.5)).ln()
    }
}
