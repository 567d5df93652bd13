//! A store in a Milvus cluster, for corpora that outgrow one host.
//!
//! Owns the wire (a handful of calls over gRPC), the layout of a collection, and the translation of scopes. What a
//! question's words are, how rankings are fused and whether a question is covered is decided by the same code as for an
//! embedded index. Refuses to shard, to replicate and to keep a cluster in order: that is the cluster's.
//!
//! **What holds.** A store's name is an alias in Milvus. The first feed and every rebuild write a new collection and let the
//! alias stand for it only once all is written: all or nothing. Any other feed changes the collection in place, document by document (see
//! [`feed`]); where it fails half-way, what was written stays, and the next feed goes on from there. One process at a time
//! may feed a store: nothing in Milvus enforces that between processes.
//!
//! **Milvus and milvus-lite.** The tests speak to milvus-lite, which is one process without authentication, TLS, replicas,
//! delays between writing and reading, or limits on rates. Untested for that reason: loading that takes time, consistency levels,
//! the second try at a busy cluster, and credentials beyond their form.

mod collection;
mod expression;
mod facets;
mod feed;
mod layout;
mod proto;
mod rpc;
mod search;

use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use api::{Embed, Error, Fault, Findings, Secret};

use crate::build::{Progress, Stage};
use crate::corpus::{Corpus, Files};
use crate::index::Stats;
use crate::scope::Scope;
use crate::search::SearchOptions;
use crate::store::{Feed, FeedReport, Listed, Store};

use collection::{Found, Mark, ROWS_MAX, Served};
use expression::{admitting, both};
use feed::Feeding;
use proto::consistency;
use rpc::{Refused, Rpc};
use search::Asking;

/// The most characters of a store's name: Milvus allows 255, and the time of a collection's making is added.
const NAME_CHARS_MAX: usize = 200;

/// Where a store in a cluster is, and how it is spoken to.
#[derive(Clone, Debug, PartialEq)]
pub struct MilvusOptions {
    /// `http://HOST:19530`, or `https://` for TLS with the system's certificates.
    pub url: String,
    /// An API key, or `USER:PASSWORD`.
    pub token: Option<Secret>,
    /// The database; without it the cluster's default.
    pub database: Option<String>,
    /// The store's name: letters, digits and underscores. An alias of this name stands for the collection that serves.
    pub collection: String,
    /// How long making a connection may take.
    pub connect_deadline: Duration,
    /// How long a call may take.
    pub deadline: Duration,
    /// Every search sees all that was written before it. Otherwise it may miss what was written in the last moments, and
    /// is faster.
    pub strong: bool,
}

impl MilvusOptions {
    /// The store `collection` at `url`: two seconds to connect, ten for a call, what was just written may be missed.
    pub fn new(url: impl Into<String>, collection: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: None,
            database: None,
            collection: collection.into(),
            connect_deadline: Duration::from_secs(2),
            deadline: Duration::from_secs(10),
            strong: false,
        }
    }
}

/// A store in a Milvus cluster. Every method blocks for as long as the cluster takes, its deadlines at most: call it off
/// the runtime's threads.
pub struct Milvus {
    rpc: Rpc,
    options: MilvusOptions,
    embedder: String,
    served: Mutex<Option<Arc<Served>>>,
    feeding: Mutex<()>,
}

impl std::fmt::Debug for Milvus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Milvus").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Milvus {
    /// The store that `options` name, for vectors of the encoder whose fingerprint is `embedder`. Nothing is sent yet: a
    /// cluster that cannot be reached is told by the first call.
    ///
    /// # Errors
    /// The URL, the name, the database or the token cannot be used.
    pub fn connect(options: MilvusOptions, embedder: &str) -> Result<Self, Error> {
        check_name(&options.collection)?;
        let rpc = Rpc::new(
            &options.url,
            options.token.as_ref(),
            options.database.as_deref(),
            options.connect_deadline,
            options.deadline,
        )?;
        let embedder = embedder.to_owned();
        Ok(Self { rpc, options, embedder, served: Mutex::default(), feeding: Mutex::default() })
    }

    /// The collection that serves, as far as is known.
    fn served(&self) -> Result<Arc<Served>, Error> {
        let known = self.served.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|known| known.is_fresh()) {
            return Ok(known);
        }
        match self.find()? {
            Found::Served(served) => {
                let served = Arc::new(served);
                *self.served.lock().unwrap_or_else(PoisonError::into_inner) = Some(served.clone());
                Ok(served)
            }
            Found::Stale { why, .. } => Err(stale(&why)),
            Found::Missing => Err(missing()),
        }
    }

    fn find(&self) -> Result<Found, Error> {
        collection::find(&self.rpc, &self.options.collection, &self.embedder)
    }

    fn forget(&self) {
        *self.served.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What `ask` says of the collection that serves; asked again if that was replaced meanwhile.
    fn asked<A>(&self, ask: impl Fn(&Served) -> Result<A, Refused>) -> Result<A, Error> {
        match ask(&*self.served()?) {
            Err(Refused::NotFound(_)) => {
                self.forget();
                Ok(ask(&*self.served()?)?)
            }
            answered => Ok(answered?),
        }
    }

    /// Reads a corpus into a collection, and says what was done.
    fn read(&self, corpus: &Corpus, into: &str, how: How, encoder: Encoder<'_>) -> Result<FeedReport, Error> {
        let files = Files::find(corpus)?;
        let Encoder { embed, progress } = encoder;
        let is_new = how == How::Anew;
        let mut feeding = Feeding::new(&self.rpc, into, is_new, embed, progress, files.bytes());
        for skipped in &files.skipped {
            feeding.skip(skipped.clone());
        }
        files.read(&mut |found, bytes_done| feeding.take(found, bytes_done))?;
        if !feeding.has_documents() {
            let message = "The corpus has no document that can be indexed: Markdown, text, HTML or JSON Lines with words.";
            let error = Error::new(Fault::Unprocessable, "corpus_empty", message);
            let first = feeding.report.skipped.first();
            return Err(match first {
                Some(first) => error.with_detail(format!("{} {}", first.file.display(), first.why)),
                None => error,
            });
        }
        feeding.finish()?;
        if how == How::Exactly {
            feeding.remove_others()?;
        }
        Ok(feeding.report)
    }

    /// Reads a corpus into a new collection, and lets it serve.
    fn build(
        &self,
        corpus: &Corpus,
        before: Option<&str>,
        encoder: Encoder<'_>,
    ) -> Result<(String, FeedReport), Error> {
        let alias = &self.options.collection;
        let mark = Mark::new(encoder.embed.fingerprint(), encoder.embed.dimensions());
        let collection = collection::create(&self.rpc, alias, &mark)?;
        let built = self.read(corpus, &collection, How::Anew, encoder).and_then(|report| {
            collection::flush(&self.rpc, &collection);
            collection::publish(&self.rpc, alias, &collection, before)?;
            Ok(report)
        });
        if built.is_err() {
            // The next build that ends well drops it otherwise.
            let _ = collection::discard(&self.rpc, &collection);
        }
        Ok((collection, built?))
    }

    fn changed(&self, feed: &Feed<'_>, encoder: Encoder<'_>) -> Result<(String, FeedReport), Error> {
        let found = self.find()?;
        let before = match &found {
            Found::Served(served) => Some(served.collection.clone()),
            Found::Stale { collection, .. } => Some(collection.clone()),
            Found::Missing => None,
        };
        match (feed, found) {
            (Feed::Rebuild(corpus), _) | (Feed::Build(corpus) | Feed::Add(corpus), Found::Missing) => {
                self.build(corpus, before.as_deref(), encoder)
            }
            (_, Found::Stale { collection, why }) => Err(stale(&why).with_detail(collection)),
            (_, Found::Missing) => Err(missing()),
            (Feed::Build(corpus), Found::Served(served)) => {
                let report = self.read(corpus, &served.collection, How::Exactly, encoder)?;
                Ok((served.collection, report))
            }
            (Feed::Add(corpus), Found::Served(served)) => {
                let report = self.read(corpus, &served.collection, How::Beside, encoder)?;
                Ok((served.collection, report))
            }
            (Feed::Remove(names), Found::Served(served)) => {
                let removed = feed::remove(&self.rpc, &served.collection, names)?;
                Ok((served.collection, FeedReport { removed, ..FeedReport::default() }))
            }
            (Feed::Upload(_), Found::Served(_)) => Err(missing()),
        }
    }
}

/// How a corpus goes into a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Into an empty one.
    Anew,
    /// In place of what is there.
    Exactly,
    /// Beside what is there.
    Beside,
}

/// Who embeds, and whom it is told.
#[derive(Clone, Copy)]
struct Encoder<'a> {
    embed: &'a dyn Embed,
    progress: &'a dyn Fn(Progress),
}

impl Store for Milvus {
    fn search(
        &self,
        question: &str,
        vector: Option<&[f32]>,
        options: &SearchOptions,
    ) -> Result<Findings, Error> {
        let consistency = if self.options.strong { consistency::STRONG } else { consistency::BOUNDED };
        self.asked(|served| {
            let asking = Asking { rpc: &self.rpc, served, consistency };
            asking.search(question, vector, options)
        })
    }

    /// Reads a row of every document.
    fn stats(&self) -> Result<Stats, Error> {
        let served = self.served()?;
        let (documents, passages, text_bytes) = feed::totals(&self.rpc, &served.collection)?;
        Ok(Stats {
            generation: served.generation(),
            documents,
            passages,
            text_bytes,
            file_bytes: None,
            segments: None,
            dimensions: served.dimensions,
        })
    }

    fn documents(&self, scope: &Scope, after: Option<&str>, limit: usize) -> Result<Vec<Listed>, Error> {
        let served = self.served()?;
        let firsts = format!("{} == 0", layout::NUMBER);
        let Some(within) = admitting(scope, None)? else { return Ok(Vec::new()) };
        let expression = both(&within, &firsts);
        // Above every passage of the document itself, below all of the next name.
        let mut after = after.map(|name| format!("{name}\t~"));
        let fields = [layout::ID, layout::NAME, layout::HASH, layout::PASSAGES, layout::ATTRIBUTES];
        let mut listed = Vec::new();
        while listed.len() < limit {
            let wanted = (limit - listed.len()).min(ROWS_MAX);
            let table = collection::page(
                &self.rpc,
                &served.collection,
                &expression,
                &fields,
                after.as_deref(),
                wanted,
            )?;
            let rows = table.texts(layout::ID);
            listed.extend((0..rows.len()).map(|row| Listed {
                name: table.text(layout::NAME, row),
                hash: table.text(layout::HASH, row),
                passages: table.number(layout::PASSAGES, row),
                attributes: table.attributes(row),
            }));
            if rows.len() < wanted {
                break;
            }
            after = rows.last().cloned();
        }
        Ok(listed)
    }

    /// All or nothing for the first feed and for [`Feed::Rebuild`]; document by document otherwise.
    fn feed(
        &self,
        feed: &Feed<'_>,
        embed: &dyn Embed,
        progress: &dyn Fn(Progress),
    ) -> Result<FeedReport, Error> {
        let started = Instant::now();
        let _alone = match self.feeding.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                let message = "Another build of this index is running; wait for its end and try again.";
                return Err(Error::new(Fault::Unavailable, "index_busy", message));
            }
        };
        if embed.fingerprint() != self.embedder {
            let detail = format!("`{}` instead of `{}`", embed.fingerprint(), self.embedder);
            return Err(Error::internal(format!("a store was fed by another encoder: {detail}")));
        }
        let changed = self.changed(feed, Encoder { embed, progress });
        self.forget();
        let (collection, mut report) = changed?;
        let (documents, passages, text_bytes) = feed::totals(&self.rpc, &collection)?;
        report.generation = self.served()?.generation();
        (report.documents, report.passages, report.text_bytes) = (documents, passages, text_bytes);
        report.elapsed = started.elapsed();
        let state = Progress { stage: Stage::Publishing, bytes_done: 0, bytes_total: 0, documents, passages };
        progress(state);
        Ok(report)
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let is_plain = name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_');
    if starts_well && is_plain && name.len() <= NAME_CHARS_MAX {
        return Ok(());
    }
    let message = format!(
        "`collection`: `{name}` cannot be a store's name; allowed: at most {NAME_CHARS_MAX} letters, digits and underscores, not beginning with a digit."
    );
    Err(Error::field("collection", message))
}

fn missing() -> Error {
    let message = "There is nothing to search yet: build the index, or add documents to it.";
    Error::new(Fault::Unavailable, "index_missing", message)
}

fn stale(why: &str) -> Error {
    let message = format!("The index cannot be used, because {why}: rebuild it.");
    Error::new(Fault::Unavailable, "index_stale", message)
}
