//! The fields of a passage in a collection, and its rows as the columns that Milvus sends and takes.
//!
//! A passage's key is its document's name, a tab and its number, so that the order of the keys is the order of the names, and
//! a document's passages have the same keys in every version. The words that BM25 counts are those of `words`, made here:
//! stems, stop words and pairs of characters are the same as in an embedded index, whatever analyzers a cluster has.
//! A word with letters beyond ASCII is spelled in hexadecimal digits, because no tokenizer cuts those.

use std::fmt::Write;

use serde_json::{Map, Value};
use tantivy::tokenizer::TextAnalyzer;

use crate::corpus::Document;
use crate::schema::{Row, folders};
use crate::words;

use super::expression::is_unsayable;
use super::facets::{self, FACET_BYTES};
use super::proto::{
    Arrays, CollectionSchema, Column, FUNCTION_BM25, FieldData, FieldSchema, Floats, FunctionSchema, Json,
    KeyValue, Longs, Scalars, Strings, Values, Vectors, kind,
};

/// Grows with every change of fields, keys or words: a collection of another number is built anew.
pub(super) const VERSION: u32 = 1;

pub(super) const ID: &str = "id";
pub(super) const NUMBER: &str = "number";
pub(super) const NAME: &str = "name";
pub(super) const WITHIN: &str = "within";
pub(super) const SECTION: &str = "section";
pub(super) const BODY: &str = "body";
pub(super) const WORDS: &str = "words";
pub(super) const START: &str = "start";
pub(super) const END: &str = "end";
pub(super) const HASH: &str = "hash";
pub(super) const LANGUAGE: &str = "language";
/// What the document was read from, in each of its rows: a root or the uploads, and the file with the folders above it.
pub(super) const ORIGIN: &str = "origin";
pub(super) const FILE: &str = "file";
pub(super) const FILE_WITHIN: &str = "file_within";
/// Of the whole document, in each of its rows.
pub(super) const PASSAGES: &str = "passages";
/// Bytes of the whole document's text, in each of its rows.
pub(super) const TEXT_BYTES: &str = "text_bytes";
pub(super) const ATTRIBUTES: &str = "attributes";
/// Hashes of the attributes, to compare them for equality.
pub(super) const FACETS: &str = "facets";
pub(super) const DENSE: &str = "dense";
pub(super) const SPARSE: &str = "sparse";

/// The most bytes of a document's name.
const NAME_BYTES_MAX: usize = 1_024;
/// A name, a tab and a number.
const ID_BYTES_MAX: usize = NAME_BYTES_MAX + 16;
/// The most bytes of a text: Milvus's own limit.
const TEXT_BYTES_MAX: usize = 65_535;
/// The most folders above a document.
const FOLDERS_MAX: usize = 64;
/// A BLAKE3 hash in hexadecimal digits.
const HASH_BYTES: usize = 64;
const LANGUAGE_BYTES_MAX: usize = 16;
const ORIGIN_BYTES_MAX: usize = 32;
/// The most bytes of a document's attributes: Milvus's own limit.
const ATTRIBUTES_BYTES_MAX: usize = 65_535;
/// The most tokens of a document's attributes.
const FACETS_MAX: usize = 64;
/// The mark before the hexadecimal digits of a word that ASCII cannot spell.
const SPELLED: &str = "zx";

/// The schema of a collection for vectors of `dimensions`.
pub(super) fn schema(name: &str, description: String, dimensions: usize) -> CollectionSchema {
    let field = |name: &str, data_type, params: &[(&str, String)]| FieldSchema {
        name: name.to_owned(),
        data_type,
        type_params: params.iter().map(|(key, value)| KeyValue::new(key, value.clone())).collect(),
        ..FieldSchema::default()
    };
    let text = |name, bytes_max: usize| field(name, kind::VARCHAR, &[("max_length", bytes_max.to_string())]);
    let number = |name| field(name, kind::INT64, &[]);
    let id = FieldSchema { is_primary_key: true, ..text(ID, ID_BYTES_MAX) };
    let limits = [("max_length", NAME_BYTES_MAX.to_string()), ("max_capacity", FOLDERS_MAX.to_string())];
    let folders = |name| FieldSchema { element_type: kind::VARCHAR, ..field(name, kind::ARRAY, &limits) };
    let limits_of_facets =
        [("max_length", FACET_BYTES.to_string()), ("max_capacity", FACETS_MAX.to_string())];
    let facets = FieldSchema { element_type: kind::VARCHAR, ..field(FACETS, kind::ARRAY, &limits_of_facets) };
    let analyzed = [
        ("max_length", TEXT_BYTES_MAX.to_string()),
        ("enable_analyzer", String::from("true")),
        ("enable_match", String::from("true")),
        ("analyzer_params", String::from(r#"{"tokenizer":"standard"}"#)),
    ];
    let sparse = FieldSchema { is_function_output: true, ..field(SPARSE, kind::SPARSE_VECTOR, &[]) };
    CollectionSchema {
        name: name.to_owned(),
        description,
        fields: vec![
            id,
            number(NUMBER),
            text(NAME, NAME_BYTES_MAX),
            folders(WITHIN),
            text(SECTION, TEXT_BYTES_MAX),
            text(BODY, TEXT_BYTES_MAX),
            field(WORDS, kind::VARCHAR, &analyzed),
            number(START),
            number(END),
            text(HASH, HASH_BYTES),
            text(LANGUAGE, LANGUAGE_BYTES_MAX),
            text(ORIGIN, ORIGIN_BYTES_MAX),
            text(FILE, NAME_BYTES_MAX),
            folders(FILE_WITHIN),
            number(PASSAGES),
            number(TEXT_BYTES),
            field(ATTRIBUTES, kind::JSON, &[]),
            facets,
            field(DENSE, kind::FLOAT_VECTOR, &[("dim", dimensions.to_string())]),
            sparse,
        ],
        functions: vec![FunctionSchema {
            name: String::from("bm25"),
            kind: FUNCTION_BM25,
            inputs: vec![WORDS.to_owned()],
            outputs: vec![SPARSE.to_owned()],
        }],
    }
}

/// What is indexed and how: field and parameters. BM25's constants are Lucene's and Tantivy's.
pub(super) fn indexes() -> [(&'static str, Vec<KeyValue>); 5] {
    let index = |kind: &str, metric: Option<&str>, params: &str| {
        let mut all = vec![KeyValue::new("index_type", kind)];
        all.extend(metric.map(|metric| KeyValue::new("metric_type", metric)));
        all.push(KeyValue::new("params", params));
        all
    };
    [
        (DENSE, index("HNSW", Some("COSINE"), r#"{"M":16,"efConstruction":200}"#)),
        (SPARSE, index("SPARSE_INVERTED_INDEX", Some("BM25"), r#"{"bm25_k1":1.2,"bm25_b":0.75}"#)),
        (NAME, index("INVERTED", None, "{}")),
        (NUMBER, index("INVERTED", None, "{}")),
        (LANGUAGE, index("INVERTED", None, "{}")),
    ]
}

/// The key of a document's passage.
pub(super) fn id(name: &str, number: usize) -> String {
    format!("{name}\t{number:08}")
}

/// Why a document of this name cannot be kept, where it cannot.
pub(super) fn refused_name(name: &str) -> Option<String> {
    if name.is_empty() || is_unsayable(name) {
        return Some(String::from("its name is empty or has control characters"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Some(format!("its name has more than {NAME_BYTES_MAX} bytes"));
    }
    (folders(name).count() > FOLDERS_MAX).then(|| format!("it lies below more than {FOLDERS_MAX} folders"))
}

/// What is kept of a whole document with each of its passages.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Whole {
    origin: String,
    file: String,
    text_bytes: usize,
}

impl Whole {
    pub(super) fn of(document: &Document) -> Self {
        let (origin, file) = document.source.split_once(':').unwrap_or_default();
        Self { origin: origin.to_owned(), file: file.to_owned(), text_bytes: document.extracted.text.len() }
    }
}

/// A passage as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) number: usize,
    section: String,
    body: String,
    words: String,
    span: (usize, usize),
    hash: String,
    language: String,
    attributes: Vec<u8>,
    facets: Vec<String>,
    vector: Vec<f32>,
    whole: Whole,
    /// Of the whole document.
    pub(super) passages: usize,
}

impl Kept {
    /// A passage of the document that `row` names, or why Milvus cannot hold it.
    pub(super) fn of(
        row: &Row<'_>,
        whole: &Whole,
        number: usize,
        analyzer: &mut TextAnalyzer,
    ) -> Result<Self, String> {
        let words = counted(analyzer, row);
        let attributes = serde_json::to_vec(row.attributes).map_err(|error| error.to_string())?;
        let facets = facets::held(row.attributes);
        if facets.len() > FACETS_MAX {
            return Err(String::from("it has more attributes than Milvus can hold"));
        }
        for (what, bytes, bytes_max) in [
            ("a passage", row.body.len(), TEXT_BYTES_MAX),
            ("the headings above a passage", row.section.len(), TEXT_BYTES_MAX),
            ("the words of a passage", words.len(), TEXT_BYTES_MAX),
            ("the attributes", attributes.len(), ATTRIBUTES_BYTES_MAX),
        ] {
            if bytes > bytes_max {
                return Err(format!(
                    "{what} would have more than the {bytes_max} bytes that Milvus can hold"
                ));
            }
        }
        Ok(Self {
            name: row.file.to_owned(),
            number,
            section: row.section.to_owned(),
            body: row.body.to_owned(),
            words,
            span: row.span,
            hash: row.hash.to_owned(),
            language: row.language.code().to_owned(),
            attributes,
            facets,
            vector: row.vector.to_vec(),
            whole: whole.clone(),
            passages: 0,
        })
    }

    /// About how many bytes it takes to send.
    pub(super) fn bytes(&self) -> usize {
        self.body.len()
            + self.words.len()
            + self.section.len()
            + self.attributes.len()
            + 4 * self.vector.len()
            + 512
    }
}

/// The words of a passage that BM25 counts: of its title and headings, and its own.
fn counted(analyzer: &mut TextAnalyzer, row: &Row<'_>) -> String {
    let title = if row.section.starts_with(row.title) { "" } else { row.title };
    let mut all = String::new();
    for text in [title, row.section, row.body] {
        for word in words::words(analyzer, text) {
            if !all.is_empty() {
                all.push(' ');
            }
            spell(&word, &mut all);
        }
    }
    all
}

/// A word as it stands in [`WORDS`].
pub(super) fn spelled(word: &str) -> String {
    let mut text = String::new();
    spell(word, &mut text);
    text
}

fn spell(word: &str, text: &mut String) {
    if word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        text.push_str(word);
        return;
    }
    text.push_str(SPELLED);
    for byte in word.bytes() {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
}

/// Rows as columns.
pub(super) fn columns(rows: &[Kept], dimensions: usize) -> Vec<FieldData> {
    let scalars = |name: &str, kind, values| FieldData {
        kind,
        name: name.to_owned(),
        column: Some(Column::Scalars(Scalars { values: Some(values) })),
    };
    let texts =
        |name, text: &dyn Fn(&Kept) -> String| scalars(name, kind::VARCHAR, strings(rows.iter().map(text)));
    let numbers = |name, number: &dyn Fn(&Kept) -> usize| {
        let data = rows.iter().map(|row| i64::try_from(number(row)).unwrap_or(i64::MAX)).collect();
        scalars(name, kind::INT64, Values::Longs(Longs { data }))
    };
    let lists = |name, list: &dyn Fn(&Kept) -> Vec<String>| {
        let lists = rows.iter().map(|row| Scalars { values: Some(strings(list(row).into_iter())) });
        let data = lists.collect();
        scalars(name, kind::ARRAY, Values::Arrays(Arrays { data, element_type: kind::VARCHAR }))
    };
    let above = |file: &str| folders(file).map(str::to_owned).collect();
    let attributes = Json { data: rows.iter().map(|row| row.attributes.clone()).collect() };
    let floats = Floats { data: rows.iter().flat_map(|row| row.vector.iter().copied()).collect() };
    let dense = Vectors { dimensions: i64::try_from(dimensions).unwrap_or(i64::MAX), floats: Some(floats) };
    vec![
        texts(ID, &|row| id(&row.name, row.number)),
        numbers(NUMBER, &|row| row.number),
        texts(NAME, &|row| row.name.clone()),
        lists(WITHIN, &|row| above(&row.name)),
        texts(SECTION, &|row| row.section.clone()),
        texts(BODY, &|row| row.body.clone()),
        texts(WORDS, &|row| row.words.clone()),
        numbers(START, &|row| row.span.0),
        numbers(END, &|row| row.span.1),
        texts(HASH, &|row| row.hash.clone()),
        texts(LANGUAGE, &|row| row.language.clone()),
        texts(ORIGIN, &|row| row.whole.origin.clone()),
        texts(FILE, &|row| row.whole.file.clone()),
        lists(FILE_WITHIN, &|row| above(&row.whole.file)),
        numbers(PASSAGES, &|row| row.passages),
        numbers(TEXT_BYTES, &|row| row.whole.text_bytes),
        scalars(ATTRIBUTES, kind::JSON, Values::Json(attributes)),
        lists(FACETS, &|row| row.facets.clone()),
        FieldData { kind: kind::FLOAT_VECTOR, name: DENSE.to_owned(), column: Some(Column::Vectors(dense)) },
    ]
}

fn strings(texts: impl Iterator<Item = String>) -> Values {
    Values::Strings(Strings { data: texts.collect() })
}

/// Columns that came back, read by row.
#[derive(Debug)]
pub(super) struct Table(pub(super) Vec<FieldData>);

impl Table {
    fn column(&self, name: &str) -> Option<&Column> {
        self.0.iter().find(|column| column.name == name)?.column.as_ref()
    }

    fn values(&self, name: &str) -> Option<&Values> {
        match self.column(name)? {
            Column::Scalars(scalars) => scalars.values.as_ref(),
            Column::Vectors(_) => None,
        }
    }

    /// A column of texts; empty where it did not come.
    pub(super) fn texts(&self, name: &str) -> &[String] {
        match self.values(name) {
            Some(Values::Strings(strings)) => &strings.data,
            _ => &[],
        }
    }

    /// A row's text.
    pub(super) fn text(&self, name: &str, row: usize) -> String {
        self.texts(name).get(row).cloned().unwrap_or_default()
    }

    /// A row's number, 0 where it is below.
    pub(super) fn number(&self, name: &str, row: usize) -> u64 {
        let data = match self.values(name) {
            Some(Values::Longs(longs)) => longs.data.get(row).copied(),
            _ => None,
        };
        data.and_then(|number| u64::try_from(number).ok()).unwrap_or_default()
    }

    /// A row's attributes.
    pub(super) fn attributes(&self, row: usize) -> Map<String, Value> {
        let data = match self.values(ATTRIBUTES) {
            Some(Values::Json(json)) => json.data.get(row),
            _ => None,
        };
        data.and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default()
    }

    /// A row's vector.
    pub(super) fn vector(&self, row: usize) -> &[f32] {
        let Some(Column::Vectors(vectors)) = self.column(DENSE) else { return &[] };
        let Ok(dimensions) = usize::try_from(vectors.dimensions) else { return &[] };
        let data = vectors.floats.as_ref().map_or(&[][..], |floats| &floats.data);
        row.checked_mul(dimensions).and_then(|start| data.get(start..)?.get(..dimensions)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_spelled_so_that_no_tokenizer_cuts_them() {
        let check = |word: &str, expected: &str| assert_eq!(spelled(word), expected);
        check("rout8", "rout8");
        check("日本", "zxe697a5e69cac");
        check("straße", "zx73747261c39f65");
    }

    #[test]
    fn names_that_cannot_be_kept_are_refused() {
        let check = |name: &str, kept: bool| assert_eq!(refused_name(name).is_none(), kept, "{name:?}");
        check("docs/a.md", true);
        check("日本 \"語\"", true);
        check("", false);
        check("a\tb", false);
        check(&"x".repeat(1_024), true);
        check(&"x".repeat(1_025), false);
        check(&"x/".repeat(65), false);
    }

    #[test]
    fn keys_are_in_the_order_of_names() {
        let mut names = ["a", "a b", "a!", "a/b", "a/b/c", "ab", "日本", "\u{1f600}", "\u{ffff}"];
        names.sort_unstable();
        let ids: Vec<String> =
            names.iter().flat_map(|name| [id(name, 0), id(name, 1), id(name, 10)]).collect();
        assert!(ids.is_sorted());
    }
}
