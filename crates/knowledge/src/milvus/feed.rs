//! Writing documents into a collection.
//!
//! Milvus has no transactions, so the order of writes is what holds. Of a document that is replaced, the new passages are
//! written over the old ones of the same numbers, then the old ones that are left over are taken out, and its first
//! passage is written last: until that is acknowledged the next feed takes the document for changed and writes it again.
//! A reader never misses the document, and may for a moment see passages of both versions.

use std::collections::{HashMap, HashSet};

use api::{Embed, Error};

use crate::build::{Progress, Stage};
use crate::corpus::{Document, Found, Skipped, UPLOADS};
use crate::feed::{Reads, SKIPPED_NAMED_MAX};
use crate::rows::Rows;
use crate::schema::Row;
use crate::store::FeedReport;
use crate::words::analyzer;

use super::collection::{count, counted, for_each_page};
use super::expression::{is_unsayable, list, quoted};
use super::layout::{self, Kept, Table, Whole};
use super::proto::{Delete, Upsert, consistency};
use super::rpc::Rpc;

/// Documents that are looked up at a time.
const DOCUMENTS_AT_A_TIME: usize = 64;
/// Bytes of text that wait to be looked up, more or less.
const TEXT_BYTES_AT_A_TIME: usize = 8 * 1024 * 1024;
/// Rows and bytes of one write, more or less.
const ROWS_AT_A_TIME: usize = 256;
const ROW_BYTES_AT_A_TIME: usize = 4 * 1024 * 1024;
/// Names in one expression.
const NAMES_AT_A_TIME: usize = 256;

/// A change of a collection that is under way.
pub(super) struct Feeding<'a> {
    rpc: &'a Rpc,
    collection: &'a str,
    rows: Rows<'a>,
    dimensions: usize,
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
    /// Halves of the BLAKE3 hashes of the names of all documents that came, with the time when their source was named.
    came: HashMap<u128, u64>,
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
            rows: Rows::new(embed, true),
            dimensions: embed.dimensions(),
            progress,
            is_empty,
            waiting: Vec::new(),
            waiting_bytes: 0,
            tails: Vec::new(),
            heads: Vec::new(),
            bytes: 0,
            shrunk: Vec::new(),
            came: HashMap::new(),
            state,
            report: FeedReport::default(),
        }
    }

    /// Takes what was read from a source that was named at this time. Sources come in the opposite order: of two
    /// documents of one name the first counts.
    pub(super) fn take(&mut self, found: Found, named: u64, bytes_done: u64) -> Result<(), Error> {
        self.state.bytes_done = bytes_done;
        let document = match found {
            Found::Document(document) => document,
            Found::Skipped(skipped) => {
                self.skip(skipped);
                return Ok(());
            }
        };
        let refuse = |document: Document, why: String| {
            let (file, line) = document.read_at;
            Skipped { file, line, why, bad: true }
        };
        if let Some(why) = layout::refused_name(&document.name) {
            self.skip(refuse(document, why));
            return Ok(());
        }
        if let Some(first) = self.came.get(&name_hash(&document.name)) {
            if *first == named {
                let why = format!("a document named `{}` is there already", document.name);
                self.skip(refuse(document, why));
            }
            return Ok(());
        }
        self.came.insert(name_hash(&document.name), named);
        self.waiting_bytes += document.extracted.text.len();
        self.waiting.push(document);
        if self.waiting.len() >= DOCUMENTS_AT_A_TIME || self.waiting_bytes >= TEXT_BYTES_AT_A_TIME {
            self.write_waiting()?;
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
            self.write(document, before.map_or(0, |before| before.above))?;
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
    fn write(&mut self, document: Document, above: u64) -> Result<(), Error> {
        let (name, read_at) = (document.name.clone(), document.read_at.clone());
        let whole = Whole::of(&document);
        let mut analysis = None;
        let mut kept: Result<Vec<Kept>, String> = Ok(Vec::new());
        let mut sink = |rows: &[Row<'_>]| {
            for row in rows {
                if let Ok(before) = &mut kept {
                    // All of a document is in one language.
                    let analysis = analysis.get_or_insert_with(|| analyzer(row.language));
                    match Kept::of(row, &whole, before.len(), analysis) {
                        Ok(row) => before.push(row),
                        Err(why) => kept = Err(why),
                    }
                }
            }
            Ok(())
        };
        self.rows.take(document, &mut sink)?;
        self.rows.flush(&mut sink)?;
        self.state.passages = self.rows.passages;
        let mut kept = match kept {
            Ok(kept) => kept,
            Err(why) => {
                // What cannot be kept in its new version is not kept in its old one.
                self.came.remove(&name_hash(&name));
                let (file, line) = read_at;
                self.skip(Skipped { file, line, why, bad: true });
                return Ok(());
            }
        };
        self.report.written += 1;
        let passages = kept.len();
        for row in &mut kept {
            row.passages = passages;
            self.bytes += row.bytes();
        }
        let mut rows = kept.into_iter();
        self.heads.extend(rows.next());
        self.tails.extend(rows);
        if above > passages as u64 {
            self.shrunk.push((name, passages));
        }
        if self.tails.len() + self.heads.len() >= ROWS_AT_A_TIME || self.bytes >= ROW_BYTES_AT_A_TIME {
            self.write_rows()?;
        }
        Ok(())
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
                columns: layout::columns(now, self.dimensions),
                rows: u32::try_from(now.len()).map_err(Error::internal)?,
            })?;
            rest = later;
        }
        Ok(())
    }

    fn delete(&self, expression: String) -> Result<(), Error> {
        delete(self.rpc, self.collection, expression)
    }

    /// Takes out what is gone, as far as it was read for.
    pub(super) fn take_out(&mut self, reads: &Reads) -> Result<(), Error> {
        for expression in readable(reads) {
            let mut gone: HashSet<String> = HashSet::new();
            let (rpc, collection, came) = (self.rpc, self.collection, &self.came);
            for_each_page(rpc, collection, &expression, &[layout::ID, layout::NAME], &mut |table| {
                let names = table.texts(layout::NAME).iter();
                gone.extend(names.filter(|name| !came.contains_key(&name_hash(name))).cloned());
                Ok(())
            })?;
            let gone: Vec<String> = gone.into_iter().collect();
            for names in gone.chunks(NAMES_AT_A_TIME) {
                self.delete(format!("{} in {}", layout::NAME, list(names.iter().map(String::as_str))))?;
            }
            self.report.removed += gone.len() as u64;
        }
        Ok(())
    }

    /// What was done, but for what is held now.
    pub(super) fn told(self) -> FeedReport {
        FeedReport { embedded: self.rows.passages, embedding: self.rows.embedding, ..self.report }
    }
}

/// Expressions that are true, one of them at least, of the documents that would have come if they still were in what was
/// read.
fn readable(reads: &Reads) -> Vec<String> {
    let in_parts = |names: &mut dyn Iterator<Item = &str>, expression: &dyn Fn(String) -> String| {
        let names: Vec<&str> = names.filter(|name| !is_unsayable(name)).collect();
        names.chunks(NAMES_AT_A_TIME).map(|names| expression(list(names.iter().copied()))).collect()
    };
    match reads {
        Reads::All => vec![String::new()],
        Reads::Roots(ids) => {
            let origins: Vec<String> = ids.iter().map(|id| format!("r{id}")).collect();
            in_parts(&mut origins.iter().map(String::as_str), &|list| format!("{} in {list}", layout::ORIGIN))
        }
        Reads::Uploads(names) => in_parts(&mut names.iter().map(String::as_str), &|list| {
            format!("{} == {} and {} in {list}", layout::ORIGIN, quoted(UPLOADS), layout::FILE)
        }),
        Reads::Without(names) => in_parts(&mut names.iter().map(String::as_str), &|list| {
            let within = |field| format!("array_contains_any({field}, {list})");
            format!("{} or {}", within(layout::WITHIN), within(layout::FILE_WITHIN))
        }),
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
