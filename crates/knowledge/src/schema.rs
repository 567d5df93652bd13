//! The fields of a passage in the index.

use serde_json::{Map, Value, json};
use tantivy::schema::{
    Field, IndexRecordOption, JsonObjectOptions, OwnedValue, STORED, STRING, Schema, TextFieldIndexing,
    TextOptions,
};
use tantivy::{TantivyDocument, TantivyError};

use crate::languages::Language;
use crate::vectors;
use crate::words::{ANALYSIS, marked};

/// Grows with every change of fields, analysis, vectors or manifest: an index of another number is built anew.
pub(crate) const VERSION: u32 = 2;

/// The field of the attributes, as its columns are called.
pub(crate) const ATTRIBUTES: &str = "attributes";

/// The fields, by their use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    /// The document's name, whole.
    pub(crate) file: Field,
    /// The document's name and each folder above it: what a scope is checked against.
    pub(crate) within: Field,
    /// Words alone, each after a mark of its language: what is shown stands in `heading` and `text`.
    pub(crate) title: Field,
    pub(crate) section: Field,
    pub(crate) body: Field,
    /// The headings above the passage, and what it says.
    pub(crate) heading: Field,
    pub(crate) text: Field,
    /// Bytes of the passage in the document's text.
    pub(crate) start: Field,
    pub(crate) end: Field,
    /// The language whose stems and stop words its words went through.
    pub(crate) language: Field,
    /// What filters ask.
    pub(crate) attributes: Field,
    /// None where words alone are searched.
    pub(crate) vector: Option<Field>,
}

/// A passage as it goes into the index.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) file: &'a str,
    pub(crate) title: &'a str,
    pub(crate) section: &'a str,
    pub(crate) body: &'a str,
    pub(crate) span: (usize, usize),
    /// The hash of the whole document: for stores that keep it beside each passage.
    pub(crate) hash: &'a str,
    pub(crate) language: Language,
    pub(crate) attributes: &'a Map<String, Value>,
    pub(crate) vector: &'a [f32],
}

/// The schema for vectors of `dimensions`, with none for no vectors.
pub(crate) fn schema(dimensions: usize) -> Schema {
    let words = |records| {
        TextOptions::default().set_indexing_options(
            TextFieldIndexing::default().set_tokenizer(ANALYSIS).set_index_option(records),
        )
    };
    let mut schema = Schema::builder();
    schema.add_text_field("file", STRING | STORED);
    schema.add_text_field("within", STRING);
    schema.add_text_field("title", words(IndexRecordOption::WithFreqs));
    schema.add_text_field("section", words(IndexRecordOption::WithFreqs));
    // Positions are for phrases.
    schema.add_text_field("body", words(IndexRecordOption::WithFreqsAndPositions));
    schema.add_text_field("heading", STORED);
    schema.add_text_field("text", STORED);
    schema.add_u64_field("start", STORED);
    schema.add_u64_field("end", STORED);
    schema.add_text_field("language", STRING | STORED);
    // Columns for filters: they are not words.
    schema.add_json_field(ATTRIBUTES, JsonObjectOptions::default().set_fast("raw").set_stored());
    if dimensions > 0 {
        schema.add_custom_field("vector", vectors::TYPE, json!({ "dimensions": dimensions }));
    }
    schema.build()
}

impl Fields {
    /// The fields of an index.
    ///
    /// # Errors
    /// The schema is not ours.
    pub(crate) fn of(schema: &Schema) -> Result<Self, TantivyError> {
        Ok(Self {
            file: schema.get_field("file")?,
            within: schema.get_field("within")?,
            title: schema.get_field("title")?,
            section: schema.get_field("section")?,
            body: schema.get_field("body")?,
            heading: schema.get_field("heading")?,
            text: schema.get_field("text")?,
            start: schema.get_field("start")?,
            end: schema.get_field("end")?,
            language: schema.get_field("language")?,
            attributes: schema.get_field(ATTRIBUTES)?,
            vector: schema.get_field("vector").ok(),
        })
    }

    /// A passage as Tantivy takes it.
    pub(crate) fn document(&self, row: &Row<'_>) -> TantivyDocument {
        let mut document = TantivyDocument::new();
        document.add_text(self.file, row.file);
        for folder in folders(row.file) {
            document.add_text(self.within, folder);
        }
        for (field, words) in [(self.title, row.title), (self.section, row.section), (self.body, row.body)] {
            if !words.is_empty() {
                document.add_text(field, marked(words, row.language));
            }
        }
        if !row.section.is_empty() {
            document.add_text(self.heading, row.section);
        }
        document.add_text(self.text, row.body);
        document.add_u64(self.start, row.span.0 as u64);
        document.add_u64(self.end, row.span.1 as u64);
        document.add_text(self.language, row.language.code());
        if !row.attributes.is_empty() {
            let attributes = row.attributes.iter().map(|(key, value)| (key.clone(), attribute(value)));
            document.add_object(self.attributes, attributes.collect());
        }
        if let Some(field) = self.vector {
            document.add_custom(field, &vectors::to_bytes(row.vector));
        }
        document
    }
}

/// An attribute as Tantivy takes it. Its own conversion makes dates of strings that look like one.
fn attribute(value: &Value) -> OwnedValue {
    match value {
        Value::String(text) => OwnedValue::Str(text.clone()),
        _ => OwnedValue::from(value.clone()),
    }
}

/// A document's name and each folder above it: `a`, `a/b`, `a/b/c.md`.
pub(crate) fn folders(file: &str) -> impl Iterator<Item = &str> {
    file.match_indices('/').map(|(place, _)| &file[..place]).chain([file]).filter(|folder| !folder.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_within_each_of_its_folders() {
        let check = |file: &str, expected: &[&str]| assert_eq!(folders(file).collect::<Vec<_>>(), expected);
        check("a/b/c.md", &["a", "a/b", "a/b/c.md"]);
        check("c.md", &["c.md"]);
        check("/c", &["/c"]);
    }
}
