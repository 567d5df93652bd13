//! A corpus into a new generation of its index.
//!
//! Memory is bounded by one document, one batch of passages and Tantivy's buffer, whatever the corpus. Until the last
//! rename the old generation serves untouched; a build that fails or is killed leaves nothing that counts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use api::{Embed, Error, Fault};
use tantivy::indexer::NoMergePolicy;
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{IndexWriter, TantivyDocument};

use crate::chunk::{Chunk, chunks};
use crate::corpus::{Corpus, Document, Files, Found, Skipped};
use crate::errors::{not_built, unwritable};
use crate::generation::Shelf;
use crate::languages::Language;
use crate::manifest::Manifest;
use crate::schema::{self, Fields, Row};
use crate::vectors::Vectors;
use crate::words::{ANALYSIS, Analysis};

/// The folder of a generation that Tantivy writes.
pub(crate) const TEXT: &str = "text";

/// Passages that the encoder is given at a time.
const BATCH_PASSAGES: usize = 32;

/// What Tantivy gathers before it writes a segment.
const WRITER_BYTES: usize = 128 * 1024 * 1024;

/// Skipped things that a report names one by one; the rest is counted.
const SKIPPED_NAMED_MAX: usize = 1_000;

/// How far a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it does now.
    pub stage: Stage,
    /// Bytes of files that were read.
    pub bytes_done: u64,
    /// Bytes of all files of the corpus.
    pub bytes_total: u64,
    /// Documents read so far.
    pub documents: u64,
    /// Passages indexed so far.
    pub passages: u64,
}

/// What a build does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Hashing the corpus.
    Fingerprinting,
    /// Reading, cutting, embedding and indexing.
    Indexing,
    /// Merging what was written into one segment.
    Merging,
    /// Hashing and syncing all files, and putting the new generation in its place.
    Publishing,
}

/// What a build did.
#[derive(Clone, Debug, PartialEq)]
pub struct BuildReport {
    /// The new generation's number.
    pub generation: u64,
    /// Documents in the index.
    pub documents: u64,
    /// Passages in the index.
    pub passages: u64,
    /// Bytes of the documents' text.
    pub text_bytes: u64,
    /// What was passed over, the first thousand.
    pub skipped: Vec<Skipped>,
    /// How many things were passed over.
    pub skipped_total: u64,
    /// Time inside the encoder.
    pub embedding: Duration,
    /// Time of the whole build.
    pub elapsed: Duration,
}

/// The fingerprint of a corpus as it is now: compare it with [`Manifest::corpus`] to see whether an index is out of date.
/// Reads every file.
///
/// # Errors
/// A pattern that is none, or a root that is not there.
pub fn fingerprint(corpus: &Corpus) -> Result<String, Error> {
    Ok(Files::find(corpus)?.fingerprint())
}

/// Builds a new generation of the index in `dir` and puts it in its place. Blocks for as long as the encoder needs.
///
/// # Errors
/// The corpus has no document or cannot be read, the encoder fails, the folder cannot be written, or another build
/// of this index is running. The generation that served before still does.
pub fn build(
    corpus: &Corpus,
    dir: &Path,
    embed: &dyn Embed,
    progress: &dyn Fn(Progress),
) -> Result<BuildReport, Error> {
    let started = Instant::now();
    let files = Files::find(corpus)?;
    let shelf = Shelf(dir);
    let unfinished = shelf.begin()?;
    let mut build = Build::new(&files, unfinished.path.join(TEXT), embed, progress)?;
    build.tell(Stage::Fingerprinting);
    let corpus_hash = files.fingerprint();
    build.tell(Stage::Indexing);
    files.read(&mut |found, bytes_done| build.take(found, bytes_done))?;
    build.flush()?;
    if build.state.documents == 0 {
        let message =
            "The corpus has no document that can be indexed: Markdown, text, HTML or JSON Lines with words.";
        let error = Error::new(Fault::Unprocessable, "corpus_empty", message);
        let skipped = build.report.skipped.first();
        return Err(match skipped {
            Some(first) => error.with_detail(format!("{} {}", first.file.display(), first.why)),
            None => error,
        });
    }
    build.tell(Stage::Merging);
    let (state, mut report) = build.finish()?;
    progress(Progress { stage: Stage::Publishing, ..state });
    let manifest = Manifest {
        schema: schema::VERSION,
        generation: unfinished.generation,
        built_at_unix_s: SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs(),
        embedder: embed.fingerprint().to_owned(),
        dimensions: embed.dimensions(),
        corpus: corpus_hash,
        documents: state.documents,
        passages: state.passages,
        text_bytes: report.text_bytes,
        files: Default::default(),
    };
    manifest.write(&unfinished.path).map_err(|error| unwritable(&unfinished.path, error))?;
    report.generation = unfinished.generation;
    unfinished.publish()?;
    report.elapsed = started.elapsed();
    Ok(report)
}

/// A passage that waits for its vector.
struct Waiting {
    document: Arc<Document>,
    language: Language,
    chunk: Chunk,
}

struct Build<'a> {
    path: PathBuf,
    fields: Fields,
    writer: IndexWriter<TantivyDocument>,
    embed: &'a dyn Embed,
    progress: &'a dyn Fn(Progress),
    waiting: Vec<Waiting>,
    state: Progress,
    report: BuildReport,
}

impl<'a> Build<'a> {
    fn new(
        files: &Files,
        path: PathBuf,
        embed: &'a dyn Embed,
        progress: &'a dyn Fn(Progress),
    ) -> Result<Self, Error> {
        std::fs::create_dir(&path).map_err(|error| unwritable(&path, error))?;
        let (fields, writer) =
            open_writer(&path, embed.dimensions()).map_err(|error| not_built(&path, error))?;
        let state = Progress {
            stage: Stage::Indexing,
            bytes_done: 0,
            bytes_total: files.bytes(),
            documents: 0,
            passages: 0,
        };
        let report = BuildReport {
            generation: 0,
            documents: 0,
            passages: 0,
            text_bytes: 0,
            skipped: Vec::new(),
            skipped_total: 0,
            embedding: Duration::ZERO,
            elapsed: Duration::ZERO,
        };
        let mut build = Self { path, fields, writer, embed, progress, waiting: Vec::new(), state, report };
        for skipped in &files.skipped {
            build.skip(skipped.clone());
        }
        Ok(build)
    }

    fn tell(&mut self, stage: Stage) {
        self.state.stage = stage;
        (self.progress)(self.state);
    }

    fn take(&mut self, found: Found, bytes_done: u64) -> Result<(), Error> {
        self.state.bytes_done = bytes_done;
        match found {
            Found::Skipped(skipped) => self.skip(skipped),
            Found::Document(document) => self.add(document)?,
        }
        Ok(())
    }

    fn skip(&mut self, skipped: Skipped) {
        self.report.skipped_total += 1;
        if self.report.skipped.len() < SKIPPED_NAMED_MAX {
            self.report.skipped.push(skipped);
        }
    }

    fn add(&mut self, document: Document) -> Result<(), Error> {
        self.state.documents += 1;
        self.report.text_bytes += document.extracted.text.len() as u64;
        let chunks = chunks(&document.extracted, self.embed);
        let language = Language::of(&document.extracted.text);
        let document = Arc::new(document);
        for chunk in chunks {
            self.waiting.push(Waiting { document: document.clone(), language, chunk });
            if self.waiting.len() >= BATCH_PASSAGES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Embeds and indexes the passages that wait.
    fn flush(&mut self) -> Result<(), Error> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let texts: Vec<String> = waiting
            .iter()
            .map(|passage| passage.chunk.embedded_text(&passage.document.extracted.title))
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let started = Instant::now();
        let vectors = self.embed.embed(&texts)?;
        self.report.embedding += started.elapsed();
        if vectors.len() != waiting.len() {
            let detail = format!("the encoder gave {} vectors for {} texts", vectors.len(), waiting.len());
            return Err(Error::internal(detail));
        }
        for (Waiting { document, language, chunk }, vector) in waiting.iter().zip(&vectors) {
            let row = Row {
                file: &document.name,
                title: &document.extracted.title,
                section: &chunk.section,
                body: &document.extracted.text[chunk.span.clone()],
                span: (chunk.span.start, chunk.span.end),
                hash: &document.hash,
                language: *language,
                attributes: &document.attributes,
                vector,
            };
            let added = self.writer.add_document(self.fields.document(&row));
            added.map_err(|error| not_built(&self.path, error))?;
        }
        self.state.passages += waiting.len() as u64;
        (self.progress)(self.state);
        Ok(())
    }

    /// Commits, and merges all into one segment: the fewer there are, the faster is every search.
    fn finish(mut self) -> Result<(Progress, BuildReport), Error> {
        let mut finish = || {
            self.writer.commit()?;
            let segments = self.writer.index().searchable_segment_ids()?;
            if segments.len() > 1 {
                self.writer.merge(&segments).wait()?;
                self.writer.garbage_collect_files().wait()?;
            }
            Ok(())
        };
        finish().map_err(|error| not_built(&self.path, error))?;
        self.writer.wait_merging_threads().map_err(|error| not_built(&self.path, error))?;
        self.report.documents = self.state.documents;
        self.report.passages = self.state.passages;
        Ok((self.state, self.report))
    }
}

fn open_writer(path: &Path, dimensions: usize) -> tantivy::Result<(Fields, IndexWriter<TantivyDocument>)> {
    let schema = schema::schema(dimensions);
    let fields = Fields::of(&schema)?;
    let index = tantivy::Index::builder()
        .schema(schema)
        .register_plugin(Arc::new(Vectors::new(dimensions)))
        .create_in_dir(path)?;
    index.tokenizers().register(ANALYSIS, TextAnalyzer::from(Analysis::default()));
    // One thread keeps passages in the order of the corpus; the encoder takes nearly all of the time.
    let writer = index.writer_with_num_threads(1, WRITER_BYTES)?;
    writer.set_merge_policy(Box::new(NoMergePolicy));
    Ok((fields, writer))
}
