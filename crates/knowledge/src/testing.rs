//! For tests alone: an encoder that hashes words into a few dimensions, so that texts with common words are near, and
//! passages in Tantivy without any files.

use std::sync::Arc;

use api::{Embed, Error, Vector};
use serde_json::{Map, Value};
use tantivy::indexer::NoMergePolicy;
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{IndexWriter, Searcher, Term};

use crate::languages::Language;
use crate::schema::{Fields, Row, schema};
use crate::vectors::Vectors;
use crate::words::{ANALYSIS, Analysis};

/// A passage to write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    pub(crate) file: String,
    pub(crate) title: String,
    pub(crate) section: String,
    pub(crate) body: String,
    pub(crate) language: Language,
    pub(crate) attributes: Map<String, Value>,
    /// Of two dimensions where it is empty.
    pub(crate) vector: Vec<f32>,
}

/// Passages in memory, `per_segment` to a segment, without the ones in these places.
pub(crate) fn written(rows: &[Written], per_segment: usize, deleted: &[usize]) -> (Searcher, Fields) {
    let dimensions = rows.first().map_or(0, |row| row.vector.len()).max(2);
    let schema = schema(dimensions);
    let fields = Fields::of(&schema).unwrap();
    let index = tantivy::Index::builder()
        .schema(schema)
        .register_plugin(Arc::new(Vectors::new(dimensions)))
        .create_in_ram()
        .unwrap();
    index.tokenizers().register(ANALYSIS, TextAnalyzer::from(Analysis::default()));
    let mut writer: IndexWriter = index.writer_with_num_threads(1, 20_000_000).unwrap();
    writer.set_merge_policy(Box::new(NoMergePolicy));
    for rows in rows.chunks(per_segment) {
        for row in rows {
            let zeros = vec![0.0; dimensions];
            let row = Row {
                file: &row.file,
                title: &row.title,
                section: &row.section,
                body: &row.body,
                span: (0, row.body.len()),
                hash: "",
                language: row.language,
                attributes: &row.attributes,
                vector: if row.vector.is_empty() { &zeros } else { &row.vector },
            };
            writer.add_document(fields.document(&row)).unwrap();
        }
        writer.commit().unwrap();
    }
    for place in deleted {
        if let Some(row) = rows.get(*place) {
            writer.delete_term(Term::from_field_text(fields.file, &row.file));
        }
    }
    writer.commit().unwrap();
    (index.reader().unwrap().searcher(), fields)
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct HashEmbed {
    pub(crate) fingerprint: String,
    pub(crate) dimensions: usize,
}

impl Default for HashEmbed {
    fn default() -> Self {
        Self { fingerprint: String::from("hash-64"), dimensions: 64 }
    }
}

impl Embed for HashEmbed {
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vector>, Error> {
        Ok(texts.iter().map(|text| self.one(text)).collect())
    }
    fn dimensions(&self) -> usize {
        self.dimensions
    }
    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
    fn count_tokens(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }
    fn window_tokens(&self) -> usize {
        256
    }
}

impl HashEmbed {
    pub(crate) fn one(&self, text: &str) -> Vector {
        let mut vector = vec![0.0_f32; self.dimensions];
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        for word in words {
            let hash = blake3::hash(word.to_lowercase().as_bytes());
            let place = u16::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]) as usize;
            vector[place % self.dimensions] += if hash.as_bytes()[2] & 1 == 0 { 1.0 } else { -1.0 };
        }
        vector[0] += 0.01;
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        vector.iter().map(|x| x / length).collect()
    }
}

thread_local! {
    static STEPS_LEFT: std::cell::Cell<Option<u64>> = const { std::cell::Cell::new(None) };
}

/// After so many more steps of writing on this thread the process is killed.
pub(crate) fn kill_after(steps: u64) {
    STEPS_LEFT.set(Some(steps));
}

/// See [`crate::disk::step`].
pub(crate) fn step() {
    match STEPS_LEFT.get() {
        Some(0) => std::process::abort(),
        left => STEPS_LEFT.set(left.map(|left| left - 1)),
    }
}
