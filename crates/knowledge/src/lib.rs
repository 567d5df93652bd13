//! What the operator's documents say: an index of passages with their words and vectors, and answers that quote it.
//!
//! Owns the way from files to passages, the generations on disk, the search, the estimate of whether the index covers
//! a question, the extractive reader, and the check of answers against their passages. Refuses to encode (an
//! [`api::Embed`] is handed in), to decide whether to retrieve, and to serve bytes that are not what was written.
//! Everything here blocks: call it off the runtime's threads.

mod admitted;
mod answers;
mod attributes;
pub mod beir;
mod best;
mod build;
mod chunk;
mod corpus;
mod coverage;
mod disk;
mod documents;
mod embedded;
mod errors;
mod evidence;
mod extract;
mod feed;
mod frozen;
mod fuse;
mod generation;
mod grounded;
mod highlight;
mod index;
mod inert;
mod ivf;
mod languages;
mod lexical;
mod manifest;
mod marks;
pub mod measure;
mod milvus;
mod phrase;
mod prompt;
mod reader;
mod rows;
mod scan;
mod schema;
mod scope;
mod search;
mod sentences;
mod sources;
mod span;
mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod uploads;
mod vectors;
mod words;

pub use answers::{AnswerFigures, Judged, Tally, holds};
pub use api::filter::Filter;
pub use build::{Progress, Stage};
pub use corpus::{Corpus, Skipped};
pub use coverage::{
    Estimate, Features, Labelled, Learnt, LeftOut, Near, WithVectors, WordsAlone, learn_coverage,
};
pub use embedded::Embedded;
pub use generation::is_generation;
pub use grounded::{Checked, Grounded, Outcome, Reason, Verdict, check};
pub use index::{Index, Opened, Stats};
pub use manifest::{FileSum, Manifest};
pub use milvus::{Milvus, MilvusOptions};
pub use prompt::{cite, prompt};
pub use reader::{Answer, read_extractively};
pub use scope::Scope;
pub use search::{Ranking, SearchOptions};
pub use span::Short;
pub use store::{Feed, FeedReport, Listed, Store, Upload};
