//! Writing documents into a collection.
//!
//! Milvus has no transactions, so the order of writes is what holds. Of a document that is replaced, the new passages are
//! written over the old ones of the same numbers, then the old ones that are left over are taken out, and its first
//! passage is written last: until that is acknowledged the next feed takes the document for changed and writes it again.
//! A reader never misses the document, and may for a moment see passages of both versions.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use api::{Embed, Error};

use crate::build::{Progress, Stage};
use crate::chunk::chunks;
use crate::corpus::{Document, Found, Skipped};
use crate::languages::Language;
use crate::schema::Row;
use crate::store::FeedReport;
use crate::words::analyzer;

use super::collection::{count, counted, for_each_page};
use super::expression::{list, quoted};
use super::layout::{self, Kept, Table};
use super::proto::{Delete, Upsert, consistency};
use super::rpc::Rpc;

/// Documents that are looked up at a time.
const DOCUMENTS_AT_A_TIME: usize = 64;
/// Bytes of text that wait to be looked up, more or less.
const TEXT_BYTES_AT_A_TIME: usize = 8 * 1024 * 1024;
/// Passages that the encoder is given at a time.
const BATCH_PASSAGES: usize = 32;
/// Rows and bytes of one write, more or less.
const ROWS_AT_A_TIME: usize = 256;
const ROW_BYTES_AT_A_TIME: usize = 4 * 1024 * 1024;
/// Names in one expression.
const NAMES_AT_A_TIME: usize = 256;
/// Skipped things that a report names one by one; the rest is counted.
const SKIPPED_NAMED_MAX: usize = 1_000;

/// A change of a collection that is under way.
pub(super) struct Feeding<'a> {
    rpc: &'a Rpc,
    collection: &'a str,
    embed: &'a dyn Embed,
    progress: &'a dyn Fn(Progress),
    /// Nothing is there that could be unchanged or left over.
    is_empty: bool,
    waiting: Vec<Document>,
    waiting_bytes: usize,
    /// Rows of which nothing follows.
    tails: Vec<Kept>,
    /// The first rows of documents whose others are written or in `tails`.
    heads: Vec<Kept>,
    bytes: usize,
    /// Documents that had more passages before: their names, and how many they have now.
    shrunk: Vec<(String, usize)>,
    /// BLAKE3 hashes of the names of all documents that came, halved: enough to tell what is gone.
    came: HashSet<u128>,
    state: Progress,
    pub(super) report: FeedReport,
}

/// A document as it is held.
#[derive(Default)]
struct Held {
    hash: String,
    is_one_version: bool,
    rows: u64,
    passages: u64,
    above: u64,
}

impl<'a> Feeding<'a> {
    pub(super) fn new(
        rpc: &'a Rpc,
        collection: &'a str,
        is_empty: bool,
        embed: &'a dyn Embed,
        progress: &'a dyn Fn(Progress),
        bytes_total: u64,
    ) -> Self {
        let state =
            Progress { stage: Stage::Indexing, bytes_done: 0, bytes_total, documents: 0, passages: 0 };
        Self {
            rpc,
            collection,
            embed,
            progress,
            is_empty,
            waiting: Vec::new(),
            waiting_bytes: 0,
            tails: Vec::new(),
            heads: Vec::new(),
            bytes: 0,
            shrunk: Vec::new(),
            came: HashSet::new(),
            state,
            report: FeedReport::default(),
        }
    }

    /// Takes what was read.
    pub(super) fn take(&mut self, found: Found, bytes_done: u64) -> Result<(), Error> {
        self.state.bytes_done = bytes_done;
        match found {
            Found::Skipped(skipped) => self.skip(skipped),
            Found::Document(document) => {
                if let Some(why) = layout::refused_name(&document.name) {
                    self.skip(Skipped { file: document.name.into(), line: None, why });
                    return Ok(());
                }
                self.waiting_bytes += document.extracted.text.len();
                self.came.insert(name_hash(&document.name));
                self.waiting.push(document);
                if self.waiting.len() >= DOCUMENTS_AT_A_TIME || self.waiting_bytes >= TEXT_BYTES_AT_A_TIME {
                    self.write_waiting()?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn skip(&mut self, skipped: Skipped) {
        self.report.skipped_total += 1;
        if self.report.skipped.len() < SKIPPED_NAMED_MAX {
            self.report.skipped.push(skipped);
        }
    }

    /// Whether any document came.
    pub(super) fn has_documents(&self) -> bool {
        !self.came.is_empty()
    }

    /// Writes all that waits.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        self.write_waiting()?;
        self.write_rows()
    }

    /// Writes the documents that wait and are not held as they are.
    fn write_waiting(&mut self) -> Result<(), Error> {
        let documents = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let held = if self.is_empty { HashMap::new() } else { self.held(&documents)? };
        for document in documents {
            self.state.documents += 1;
            let before = held.get(&document.name);
            if before.is_some_and(|before| before.is_whole(&document.hash)) {
                continue;
            }
            self.write(&document, before.map_or(0, |before| before.above))?;
        }
        (self.progress)(self.state);
        Ok(())
    }

    /// What is held of these documents.
    fn held(&self, documents: &[Document]) -> Result<HashMap<String, Held>, Error> {
        let mut all: HashMap<String, Held> = HashMap::new();
        let names = documents.iter().map(|document| document.name.as_str());
        let expression = format!("{} in {}", layout::NAME, list(names));
        let fields = [layout::ID, layout::NAME, layout::NUMBER, layout::HASH, layout::PASSAGES];
        for_each_page(self.rpc, self.collection, &expression, &fields, &mut |table| {
            for (row, name) in table.texts(layout::NAME).iter().enumerate() {
                all.entry(name.clone()).or_default().see(table, row);
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// Writes a document that is new or changed, of whose former version the numbers end before `above`.
    fn write(&mut self, document: &Document, above: u64) -> Result<(), Error> {
        let chunks = chunks(&document.extracted, self.embed);
        let language = Language::of(&document.extracted.text);
        let mut analyzer = analyzer(language);
        let mut rows = Vec::with_capacity(chunks.len());
        for (number, chunk) in chunks.iter().enumerate() {
            let row = Row {
                file: &document.name,
                title: &document.extracted.title,
                section: &chunk.section,
                body: &document.extracted.text[chunk.span.clone()],
                span: (chunk.span.start, chunk.span.end),
                hash: &document.hash,
                language,
                attributes: &document.attributes,
                vector: &[],
            };
            match Kept::of(&row, number, &mut analyzer) {
                Ok(row) => rows.push(row),
                Err(why) => {
                    self.came.remove(&name_hash(&document.name));
                    self.skip(Skipped { file: document.name.clone().into(), line: None, why });
                    return Ok(());
                }
            }
        }
        let passages = rows.len();
        self.report.written += 1;
        let texts: Vec<String> =
            chunks.iter().map(|chunk| chunk.embedded_text(&document.extracted.title)).collect();
        let mut head = None;
        let mut rows = rows.into_iter();
        for texts in texts.chunks(BATCH_PASSAGES) {
            let vectors = self.vectors(texts)?;
            for (mut row, vector) in rows.by_ref().zip(vectors) {
                row.vector = vector;
                row.passages = passages;
                row.text_bytes = document.extracted.text.len();
                self.bytes += row.bytes();
                if row.number == 0 {
                    head = Some(row);
                } else {
                    self.tails.push(row);
                }
            }
            if self.is_full() {
                self.write_rows()?;
            }
        }
        self.heads.extend(head);
        if above > passages as u64 {
            self.shrunk.push((document.name.clone(), passages));
        }
        if self.is_full() { self.write_rows() } else { Ok(()) }
    }

    fn vectors(&mut self, texts: &[String]) -> Result<Vec<api::Vector>, Error> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let started = Instant::now();
        let vectors = self.embed.embed(&texts)?;
        self.report.embedding += started.elapsed();
        self.report.embedded += texts.len() as u64;
        self.state.passages += texts.len() as u64;
        if vectors.len() != texts.len() {
            let detail = format!("the encoder gave {} vectors for {} texts", vectors.len(), texts.len());
            return Err(Error::internal(detail));
        }
        Ok(vectors)
    }

    fn is_full(&self) -> bool {
        self.tails.len() + self.heads.len() >= ROWS_AT_A_TIME || self.bytes >= ROW_BYTES_AT_A_TIME
    }

    /// Writes the rows that wait, in the order that the module tells of.
    fn write_rows(&mut self) -> Result<(), Error> {
        let tails = std::mem::take(&mut self.tails);
        self.upsert(&tails)?;
        for (name, passages) in std::mem::take(&mut self.shrunk) {
            let left_over =
                format!("{} == {} and {} >= {passages}", layout::NAME, quoted(&name), layout::NUMBER);
            self.delete(left_over)?;
        }
        let heads = std::mem::take(&mut self.heads);
        self.upsert(&heads)?;
        self.bytes = 0;
        Ok(())
    }

    fn upsert(&self, rows: &[Kept]) -> Result<(), Error> {
        let mut rest = rows;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |row: &&Kept| {
                bytes += row.bytes();
                bytes < ROW_BYTES_AT_A_TIME
            };
            let some = rest.iter().take(ROWS_AT_A_TIME).take_while(fits).count().max(1);
            let (now, later) = rest.split_at(some);
            self.rpc.insist(&Upsert {
                collection: self.collection.to_owned(),
                columns: layout::columns(now, self.embed.dimensions()),
                rows: u32::try_from(now.len()).map_err(Error::internal)?,
            })?;
            rest = later;
        }
        Ok(())
    }

    fn delete(&self, expression: String) -> Result<(), Error> {
        delete(self.rpc, self.collection, expression)
    }

    /// Takes out the documents that did not come.
    pub(super) fn remove_others(&mut self) -> Result<(), Error> {
        let mut gone: HashSet<String> = HashSet::new();
        let (rpc, collection, came) = (self.rpc, self.collection, &self.came);
        for_each_page(rpc, collection, "", &[layout::ID, layout::NAME], &mut |table| {
            let others = table.texts(layout::NAME).iter().filter(|name| !came.contains(&name_hash(name)));
            gone.extend(others.cloned());
            Ok(())
        })?;
        let gone: Vec<String> = gone.into_iter().collect();
        for names in gone.chunks(NAMES_AT_A_TIME) {
            self.delete(format!("{} in {}", layout::NAME, list(names.iter().map(String::as_str))))?;
        }
        self.report.removed += gone.len() as u64;
        Ok(())
    }
}

impl Held {
    fn see(&mut self, table: &Table, row: usize) {
        let hash = table.text(layout::HASH, row);
        let number = table.number(layout::NUMBER, row);
        self.is_one_version = self.rows == 0 || (self.is_one_version && self.hash == hash);
        self.hash = hash;
        self.rows += 1;
        self.above = self.above.max(number + 1);
        self.passages = table.number(layout::PASSAGES, row);
    }

    /// Whether all of a document's passages are there, and no others.
    fn is_whole(&self, hash: &str) -> bool {
        self.is_one_version && self.hash == hash && self.rows == self.passages && self.above == self.passages
    }
}

/// Takes out the documents of these names, and those in folders of them; says how many.
pub(super) fn remove(rpc: &Rpc, collection: &str, names: &[String]) -> Result<u64, Error> {
    let names = names.iter().map(|name| name.trim_end_matches('/'));
    let names: Vec<&str> = names.filter(|name| layout::refused_name(name).is_none()).collect();
    let mut removed = 0;
    for names in names.chunks(NAMES_AT_A_TIME) {
        let within = format!("array_contains_any({}, {})", layout::WITHIN, list(names.iter().copied()));
        let firsts = format!("{within} and {} == 0", layout::NUMBER);
        removed += counted(&Table(rpc.call(count(collection, firsts, consistency::STRONG))?.columns));
        delete(rpc, collection, within)?;
    }
    Ok(removed)
}

fn delete(rpc: &Rpc, collection: &str, expression: String) -> Result<(), Error> {
    let collection = collection.to_owned();
    rpc.insist(&Delete { collection, expression, consistency: consistency::STRONG })?;
    Ok(())
}

/// What a collection holds: documents, passages and bytes of text.
pub(super) fn totals(rpc: &Rpc, collection: &str) -> Result<(u64, u64, u64), Error> {
    let (mut documents, mut text_bytes) = (0_u64, 0_u64);
    let firsts = format!("{} == 0", layout::NUMBER);
    for_each_page(rpc, collection, &firsts, &[layout::ID, layout::TEXT_BYTES], &mut |table| {
        for row in 0..table.texts(layout::ID).len() {
            documents += 1;
            text_bytes = text_bytes.saturating_add(table.number(layout::TEXT_BYTES, row));
        }
        Ok(())
    })?;
    let passages = counted(&Table(rpc.call(count(collection, String::new(), consistency::STRONG))?.columns));
    Ok((documents, passages, text_bytes))
}

fn name_hash(name: &str) -> u128 {
    let hash = blake3::hash(name.as_bytes());
    hash.as_bytes().first_chunk().map_or(0, |half| u128::from_le_bytes(*half))
}
