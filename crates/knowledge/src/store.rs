//! What every store of passages can do, wherever it keeps them: the folder of an embedded index, a cluster beyond this
//! machine, the labelled examples of a task.

use api::{Embed, Error, Findings};
use serde_json::{Map, Value};

use crate::build::Progress;
use crate::corpus::{Corpus, Skipped};
use crate::index::Stats;
use crate::scope::Scope;
use crate::search::SearchOptions;

/// A named collection of documents that can be searched and fed. Every method blocks: call it off the runtime's threads.
pub trait Store: Send + Sync + std::fmt::Debug {
    /// The best passages for `question` within `options.scope`, and whether the store covers it. `vector` is the
    /// question's; without it only words count.
    ///
    /// # Errors
    /// There is nothing to search yet, the vector is of another encoder, or reading fails.
    fn search(
        &self,
        question: &str,
        vector: Option<&[f32]>,
        options: &SearchOptions,
    ) -> Result<Findings, Error>;

    /// What it holds.
    ///
    /// # Errors
    /// There is nothing yet, or it cannot be asked.
    fn stats(&self) -> Result<Stats, Error>;

    /// Documents within `scope` by name, those after `after`, at most `limit`.
    ///
    /// # Errors
    /// Reading fails.
    fn documents(&self, scope: &Scope, after: Option<&str>, limit: usize) -> Result<Vec<Listed>, Error>;

    /// Changes what it holds: all of it, or nothing where it fails.
    ///
    /// # Errors
    /// Nothing that can be indexed was given, the encoder fails, another change is under way, or writing fails. What was
    /// held before still is.
    fn feed(
        &self,
        feed: &Feed<'_>,
        embed: &dyn Embed,
        progress: &dyn Fn(Progress),
    ) -> Result<FeedReport, Error>;
}

/// A document as a store lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Its name: its path below its root, its `id`, or the name it was uploaded under.
    pub name: String,
    /// The hash of what it says (BLAKE3, hexadecimal): equal hashes are not embedded again.
    pub hash: String,
    /// Its passages.
    pub passages: u64,
    /// What filters can ask of it.
    pub attributes: Map<String, Value>,
}

/// A change of what a store holds.
#[derive(Clone, Copy, Debug)]
pub enum Feed<'a> {
    /// Exactly this corpus: what is new or changed is embedded, what is gone is taken out, the rest stays as it is. What was
    /// added, uploaded and removed before is forgotten.
    Build(&'a Corpus),
    /// Exactly this corpus, embedded anew from the first document to the last.
    Rebuild(&'a Corpus),
    /// This corpus, or without one the same as before, in place of the one that the store was built from; what was added,
    /// uploaded and removed since stays so. For files that have changed, and for a store that is damaged or of another
    /// encoder.
    Renew(Option<&'a Corpus>),
    /// This corpus beside what is there; documents of the same name are replaced. A root that was added before is read again: what is
    /// gone from it is taken out. Names of a second root's documents begin with the root's own name.
    Add(&'a Corpus),
    /// These files beside what is there; documents of the same name are replaced. The store keeps their bytes, so that it
    /// can be built anew.
    Upload(&'a [Upload]),
    /// Without these documents, or all that lie in folders or were read from files of these names. They stay out until
    /// their root is added, their file uploaded, or the store built again.
    Remove(&'a [String]),
}

/// A file that comes as bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Upload {
    /// The document's name: a relative path with `/` between folders; its ending says what it is.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// What filters can ask of it: strings, numbers and booleans.
    pub attributes: Map<String, Value>,
}

/// What a change did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeedReport {
    /// The generation that holds it, where the store has generations.
    pub generation: Option<u64>,
    /// Documents that are held now.
    pub documents: u64,
    /// Passages that are held now.
    pub passages: u64,
    /// Documents that came new or in another version.
    pub written: u64,
    /// Documents that were taken out.
    pub removed: u64,
    /// Passages that were embedded for it.
    pub embedded: u64,
    /// Bytes of text of the documents that are held now.
    pub text_bytes: u64,
    /// What was passed over, the first thousand.
    pub skipped: Vec<Skipped>,
    /// How many things were passed over.
    pub skipped_total: u64,
    /// Time inside the encoder.
    pub embedding: std::time::Duration,
    /// Time of the whole change.
    pub elapsed: std::time::Duration,
}
