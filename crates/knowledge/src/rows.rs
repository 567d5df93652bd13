//! Documents into rows that a store can keep: cut into passages, embedded a batch at a time.
//!
//! The one way from a document to what is indexed, whatever keeps it. Memory is bounded by one document and one batch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::{Embed, Error, Vector};

use crate::chunk::{Chunk, chunks};
use crate::corpus::Document;
use crate::languages::Language;
use crate::schema::Row;

/// Passages that the encoder is given at a time.
const BATCH_PASSAGES: usize = 32;

/// What takes rows: an index that is being written, a cluster.
pub(crate) type Sink<'a> = dyn FnMut(&[Row<'_>]) -> Result<(), Error> + 'a;

/// See the module.
pub(crate) struct Rows<'a> {
    embed: &'a dyn Embed,
    with_vectors: bool,
    waiting: Vec<Waiting>,
    /// Passages that were handed on.
    pub(crate) passages: u64,
    /// Time inside the encoder.
    pub(crate) embedding: Duration,
}

/// A passage that waits for its batch.
struct Waiting {
    document: Arc<Document>,
    language: Language,
    chunk: Chunk,
}

impl<'a> Rows<'a> {
    /// With `embed`'s vectors, or with none: then it is asked for nothing.
    pub(crate) fn new(embed: &'a dyn Embed, with_vectors: bool) -> Self {
        Self { embed, with_vectors, waiting: Vec::new(), passages: 0, embedding: Duration::ZERO }
    }

    /// Cuts a document, hands full batches to `sink`, and says how many passages the document has.
    ///
    /// # Errors
    /// The encoder fails, or the first of `sink`.
    pub(crate) fn take(&mut self, document: Document, sink: &mut Sink<'_>) -> Result<u64, Error> {
        let chunks = match self.with_vectors {
            true => chunks(&document.extracted, self.embed),
            false => chunks(&document.extracted, &Lengths),
        };
        let count = chunks.len() as u64;
        let language = Language::of(&document.extracted.text);
        let document = Arc::new(document);
        for chunk in chunks {
            self.waiting.push(Waiting { document: document.clone(), language, chunk });
            if self.waiting.len() >= BATCH_PASSAGES {
                self.flush(sink)?;
            }
        }
        Ok(count)
    }

    /// Embeds the passages that wait and hands them on.
    ///
    /// # Errors
    /// The encoder fails, or `sink` does.
    pub(crate) fn flush(&mut self, sink: &mut Sink<'_>) -> Result<(), Error> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let vectors = self.vectors(&waiting)?;
        let rows = waiting.iter().enumerate().map(|(place, Waiting { document, language, chunk })| Row {
            file: &document.name,
            title: &document.extracted.title,
            section: &chunk.section,
            body: &document.extracted.text[chunk.span.clone()],
            span: (chunk.span.start, chunk.span.end),
            hash: &document.hash,
            language: *language,
            attributes: &document.attributes,
            vector: vectors.get(place).map_or(&[], Vec::as_slice),
        });
        let rows: Vec<Row<'_>> = rows.collect();
        self.passages += rows.len() as u64;
        sink(&rows)
    }

    /// One for each, or none at all.
    fn vectors(&mut self, waiting: &[Waiting]) -> Result<Vec<Vector>, Error> {
        if !self.with_vectors {
            return Ok(Vec::new());
        }
        let texts: Vec<String> = waiting.iter().map(Waiting::embedded_text).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let started = Instant::now();
        let vectors = self.embed.embed(&texts)?;
        self.embedding += started.elapsed();
        if vectors.len() != waiting.len() {
            let detail = format!("the encoder gave {} vectors for {} texts", vectors.len(), waiting.len());
            return Err(Error::internal(detail));
        }
        Ok(vectors)
    }
}

impl Waiting {
    /// What the encoder reads: the words, below the title and the headings that they stand under.
    fn embedded_text(&self) -> String {
        let title = &self.document.extracted.title;
        let section: &str = &self.chunk.section;
        let plain = &self.chunk.plain;
        match (title.is_empty() || section.starts_with(title.as_str()), section.is_empty()) {
            (true, true) => plain.clone(),
            (true, false) => format!("{section}\n{plain}"),
            (false, true) => format!("{title}\n{plain}"),
            (false, false) => format!("{title} > {section}\n{plain}"),
        }
    }
}

/// Sizes where there is no encoder whose window must not be overrun: four bytes are about a token of English.
struct Lengths;

impl Embed for Lengths {
    fn embed(&self, _: &[&str]) -> Result<Vec<Vector>, Error> {
        Err(Error::internal("an index without vectors asked for some"))
    }
    fn dimensions(&self) -> usize {
        0
    }
    fn fingerprint(&self) -> &str {
        ""
    }
    fn count_tokens(&self, text: &str) -> usize {
        text.len().div_ceil(4)
    }
    fn window_tokens(&self) -> usize {
        256
    }
}
