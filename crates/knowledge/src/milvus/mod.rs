//! A store in a Milvus cluster, for corpora that outgrow one host.
//!
//! Owns the wire (a handful of calls over gRPC), the layout of a collection, and the translation of scopes. What a
//! question's words are, how rankings are fused and whether a question is covered is decided by the same code as for an
//! embedded index. Refuses to shard, to replicate and to keep a cluster in order: that is the cluster's.
//!
//! **What holds.** A store's name is an alias in Milvus. The first feed and every rebuild write a new collection and let the
//! alias stand for it only once all is written: all or nothing. Any other feed changes the collection in place, document by document (see
//! [`feed`]); where it fails half-way, what was written stays until [`Feed::Renew`] makes all good. One host feeds a store,
//! the one with its folder; nothing in Milvus enforces that.
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

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::{Embed, Error, Fault, Findings, Secret};

use crate::build::{Progress, Stage};
use crate::disk;
use crate::errors::unwritable;
use crate::feed::{Plan, Reads, nothing_came};
use crate::generation::Shelf;
use crate::index::Stats;
use crate::scope::Scope;
use crate::search::SearchOptions;
use crate::sources::{Copy, SOURCES, Sources};
use crate::store::{Feed, FeedReport, Listed, Store};
use crate::uploads;

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
    /// A folder of the host that feeds the store: what it is made from, and the bytes of uploaded files. Hosts that only
    /// search do not need it.
    pub dir: PathBuf,
    /// How long making a connection may take.
    pub connect_deadline: Duration,
    /// How long a call may take.
    pub deadline: Duration,
    /// Every search sees all that was written before it. Otherwise it may miss what was written in the last moments, and
    /// is faster.
    pub strong: bool,
}

impl MilvusOptions {
    /// The store `collection` at `url`, made from what stands in `dir`: two seconds to connect, ten for a call, what was
    /// just written may be missed.
    pub fn new(url: impl Into<String>, collection: impl Into<String>, dir: impl Into<PathBuf>) -> Self {
        Self {
            url: url.into(),
            token: None,
            database: None,
            collection: collection.into(),
            dir: dir.into(),
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
        Ok(Self { rpc, options, embedder, served: Mutex::default() })
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

    /// Brings a collection in line with what a change means, and says what was done.
    fn fill(&self, change: &Change<'_>, collection: &str, is_new: bool) -> Result<FeedReport, Error> {
        let Change { feed, plan, embed, progress } = *change;
        let sources = plan.files(&self.options.dir)?;
        let bytes_total = sources.iter().map(|(_, files)| files.bytes()).sum();
        let mut feeding = Feeding::new(&self.rpc, collection, is_new, embed, progress, bytes_total);
        let skipped = sources.iter().flat_map(|(_, files)| &files.skipped);
        for skipped in plan.skipped.iter().chain(skipped) {
            feeding.skip(skipped.clone());
        }
        let mut before = 0;
        for (named, files) in &sources {
            files.read(&mut |found, bytes_done| feeding.take(found, *named, before + bytes_done))?;
            before += files.bytes();
        }
        let none_came = match feed {
            Feed::Build(_) | Feed::Rebuild(_) | Feed::Add(_) => !feeding.has_documents(),
            Feed::Upload(uploads) => !feeding.has_documents() && !uploads.is_empty(),
            Feed::Renew(_) => !feeding.has_documents() && feeding.report.skipped_total > 0,
            Feed::Remove(_) => false,
        };
        if none_came {
            return Err(nothing_came(feed, feeding.report.skipped.first()));
        }
        feeding.finish()?;
        if !is_new {
            feeding.take_out(&plan.reads)?;
        }
        Ok(feeding.told())
    }

    /// Makes a new collection, and lets it serve once it is filled.
    fn build(&self, change: &Change<'_>, before: Option<&str>) -> Result<(String, FeedReport), Error> {
        let alias = &self.options.collection;
        let mark = Mark::new(change.embed.fingerprint(), change.embed.dimensions());
        let collection = collection::create(&self.rpc, alias, &mark)?;
        let built = self.fill(change, &collection, true).and_then(|report| {
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

    /// Carries out a change: what is uploaded is kept first, then the collection changes, then what it is made from is
    /// written down.
    fn changed(
        &self,
        feed: &Feed<'_>,
        embed: &dyn Embed,
        progress: &dyn Fn(Progress),
    ) -> Result<(String, FeedReport), Error> {
        let dir = &self.options.dir;
        let sources = match Sources::read(dir) {
            Copy::Whole(sources) => Some(sources),
            Copy::Damaged | Copy::Missing => None,
            Copy::Unreadable(error) => return Err(error),
        };
        let (serves, before) = match self.find()? {
            Found::Served(served) => (true, Some(served.collection)),
            Found::Stale { collection, .. } => (false, Some(collection)),
            Found::Missing => (false, None),
        };
        if before.is_none() && matches!(feed, Feed::Remove(_)) {
            return Err(missing());
        }
        let forgotten = sources.is_none() && before.is_some();
        let mut plan = Plan::of(dir, sources.as_ref(), forgotten, feed)?;
        let kept = before.as_ref().filter(|_| serves && !plan.anew).cloned();
        if kept.is_none() {
            plan.reads = Reads::All;
        }
        let change = Change { feed, plan: &plan, embed, progress };
        let (collection, report) = match kept {
            Some(collection) => {
                let report = self.fill(&change, &collection, false)?;
                (collection, report)
            }
            None => self.build(&change, before.as_deref())?,
        };
        let took_nothing = matches!(feed, Feed::Remove(_)) && report.removed == 0;
        if !took_nothing {
            let sealed = plan.sources.sealed().map_err(|error| unwritable(dir, error))?;
            disk::replace(&dir.join(SOURCES), &sealed).map_err(|error| unwritable(dir, error))?;
            let named = plan.sources.uploads.values().map(|kept| kept.blake3.clone()).collect();
            if let Err(error) = uploads::sweep(dir, &named) {
                tracing::warn!(%error, "uploaded files that are needed no more cannot be removed");
            }
        }
        Ok((collection, report))
    }
}

/// A change and who is needed for it.
#[derive(Clone, Copy)]
struct Change<'a> {
    feed: &'a Feed<'a>,
    plan: &'a Plan,
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
        if embed.fingerprint() != self.embedder {
            let detail = format!("`{}` instead of `{}`", embed.fingerprint(), self.embedder);
            return Err(Error::internal(format!("a store was fed by another encoder: {detail}")));
        }
        // One change at a time, of all processes of this host together.
        let _holder = Shelf(&self.options.dir).hold()?;
        let changed = self.changed(feed, embed, progress);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_before_anything_is_sent() {
        let check = |name: &str, fits: bool| assert_eq!(check_name(name).is_ok(), fits, "{name:?}");
        check("manuals", true);
        check("_Manuals_2", true);
        check("", false);
        check("2manuals", false);
        check("man-uals", false);
        check("m\u{fc}ll", false);
        check(&"m".repeat(201), false);
    }

    #[test]
    fn nothing_shows_the_token() {
        let token = Some(Secret::new("root:very-secret"));
        let options =
            MilvusOptions { token, ..MilvusOptions::new("http://localhost:19530", "manuals", "dir") };
        let store = Milvus::connect(options, "encoder").unwrap();
        let shown = format!("{store:?}");
        assert!(shown.contains("[secret]") && !shown.contains("very-secret"), "{shown}");
    }
}
