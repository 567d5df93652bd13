//! What the operator's documents say: an index of passages with their words and vectors, and answers that quote it.
//!
//! Owns the way from files to passages, the generations on disk, the search, the estimate of whether the index covers
//! a question, and the extractive reader. Refuses to encode (an [`api::Embed`] is handed in), to decide whether to
//! retrieve, and to serve bytes that are not what was written. Everything here blocks: call it off the runtime's
//! threads.

mod admitted;
pub mod beir;
mod best;
mod build;
mod chunk;
mod corpus;
mod coverage;
mod errors;
mod extract;
mod filter;
mod frozen;
mod fuse;
mod generation;
mod highlight;
mod index;
mod ivf;
mod languages;
mod lexical;
mod manifest;
pub mod measure;
mod milvus;
mod prompt;
mod reader;
mod scan;
mod schema;
mod scope;
mod search;
mod sentences;
mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod vectors;
mod words;

pub use build::{BuildReport, Progress, Stage, build, fingerprint};
pub use corpus::{Corpus, Skipped};
pub use filter::Filter;
pub use generation::is_generation;
pub use index::{Index, Opened, Stats, open};
pub use manifest::{FileSum, Manifest};
pub use milvus::{Milvus, MilvusOptions};
pub use prompt::{cite, prompt};
pub use reader::{Answer, read_extractively};
pub use scope::Scope;
pub use search::{Ranking, SearchOptions};
pub use store::{Feed, FeedReport, Listed, Store, Upload};
