//! What the index gives back for a question.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A piece of a document, with where it came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passage {
    /// The document's path below the folder that was indexed, or its id in a JSONL file.
    pub file: String,
    /// The headings above the passage, outermost first, joined by " > "; empty where the document has none.
    pub section: String,
    /// The byte offsets of the passage in the document's extracted text.
    pub span: (usize, usize),
    /// The text.
    pub text: String,
    /// The fused score in [0, 1] among the passages found for one question.
    pub score: f32,
    /// The BM25 score, 0 where the words did not meet.
    pub bm25: f32,
    /// The cosine to the question, 0 where no vector was asked.
    pub cosine: f32,
    /// Bytes of `text` where words of the question stand, in order, apart from each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub highlights: Vec<(usize, usize)>,
    /// What filters can ask of the document: strings, numbers and booleans.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
}

/// Passages for one question, best first, and whether they are worth reading.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// The passages, best first.
    pub passages: Vec<Passage>,
    /// The probability that the index covers the question.
    pub coverage: f32,
}

/// A numbered source of a grounded answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Citation {
    /// The number in the answer's text: `[1]`.
    pub number: usize,
    /// The document.
    pub file: String,
    /// The headings above the passage.
    pub section: String,
    /// The byte offsets in the document's extracted text.
    pub span: (usize, usize),
}
