//! The store in a folder of this machine: one generation of it serves, the next is made beside it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use api::{Embed, Error, Fault, Findings};

use crate::build::Progress;
use crate::errors::unreadable;
use crate::feed::{Ground, write_sources};
use crate::generation::{Holder, Shelf};
use crate::index::{self, Index, Opened, Stats};
use crate::manifest::Unfit;
use crate::scope::Scope;
use crate::search::SearchOptions;
use crate::sources::{Copy, Sources};
use crate::store::{Feed, FeedReport, Listed, Store};
use crate::uploads;

/// A folder of generations. Searches go on in the generation that they began in while another takes its place; changes
/// are one at a time, of all processes together.
#[derive(Debug)]
pub struct Embedded {
    dir: PathBuf,
    embedder: Option<String>,
    serving: RwLock<Option<Arc<Index>>>,
}

impl Embedded {
    /// Opens the store in `dir`, which need not be there yet, and says what was found. With the fingerprint of an encoder
    /// it holds that encoder's vectors; without one it holds none, and words alone are searched.
    ///
    /// # Errors
    /// The files cannot be read, or a damaged generation cannot be set aside.
    pub fn open(dir: &Path, embedder: Option<&str>) -> Result<(Self, Opened), Error> {
        let (index, opened) = index::open(dir, embedder)?;
        let store = Self {
            dir: dir.to_owned(),
            embedder: embedder.map(str::to_owned),
            serving: RwLock::new(index.map(Arc::new)),
        };
        Ok((store, opened))
    }

    /// Checks the folder anew and takes up the newest generation that is whole. What served before goes on where there
    /// is none.
    ///
    /// # Errors
    /// As [`Embedded::open`]; what served before still does.
    pub fn refresh(&self) -> Result<Opened, Error> {
        let (index, opened) = index::open(&self.dir, self.embedder.as_deref())?;
        if let Some(index) = index {
            *self.serving.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(index));
        }
        Ok(opened)
    }

    /// The generation that serves, where there is one.
    pub fn index(&self) -> Option<Arc<Index>> {
        self.serving.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn serving(&self) -> Result<Arc<Index>, Error> {
        self.index().ok_or_else(|| {
            let message = "There is nothing to search yet: build the index first.";
            Error::new(Fault::Unavailable, "index_missing", message)
        })
    }

    /// The newest generation that can be used, without reading it again where it serves already.
    fn newest(&self) -> Result<Option<Arc<Index>>, Error> {
        let newest = Shelf(&self.dir).newest_first()?.first().copied();
        let serving = self.index().filter(|serving| Some(serving.manifest().generation) == newest);
        match serving {
            Some(serving) => Ok(Some(serving)),
            None => Ok(index::open(&self.dir, self.embedder.as_deref())?.0.map(Arc::new)),
        }
    }

    fn change(
        &self,
        holder: &Holder<'_>,
        feed: &Feed<'_>,
        embed: &dyn Embed,
        progress: &dyn Fn(Progress),
    ) -> Result<FeedReport, Error> {
        loop {
            let base = self.newest()?;
            let copies = Copies::read(holder.shelf)?;
            copies.mend(&self.dir);
            let ground = Ground {
                holder,
                base: base.as_deref(),
                sources: copies.newest,
                forgotten: copies.forgotten,
                embedder: self.embedder.as_deref(),
            };
            match (ground.change(feed, embed, progress), &base) {
                (Ok(report), _) => return Ok(report),
                (Err(Unfit::Unreadable(error)), _) => return Err(error),
                (Err(Unfit::Damaged(why)), None) => return Err(Error::internal(why)),
                (Err(Unfit::Damaged(why)), Some(base)) => {
                    let set_aside = holder.shelf.set_aside(base.manifest().generation)?;
                    tracing::error!(path = %set_aside.display(), why, "a generation of the index is damaged and set aside");
                }
            }
        }
    }

    /// Removes uploaded files that no copy of the sources names any more.
    fn sweep(&self, shelf: Shelf<'_>) -> Result<(), Error> {
        let copies = Copies::read(shelf)?;
        match &copies.named {
            Some(named) => uploads::sweep(&self.dir, named).map_err(|error| unreadable(&self.dir, error)),
            None => Ok(()),
        }
    }
}

impl Store for Embedded {
    fn search(
        &self,
        question: &str,
        vector: Option<&[f32]>,
        options: &SearchOptions,
    ) -> Result<Findings, Error> {
        self.serving()?.search(question, vector, options)
    }

    fn stats(&self) -> Result<Stats, Error> {
        Ok(self.serving()?.stats())
    }

    fn documents(&self, scope: &Scope, after: Option<&str>, limit: usize) -> Result<Vec<Listed>, Error> {
        self.serving()?.documents(scope, after, limit)
    }

    fn feed(
        &self,
        feed: &Feed<'_>,
        embed: &dyn Embed,
        progress: &dyn Fn(Progress),
    ) -> Result<FeedReport, Error> {
        if let Some(embedder) = self.embedder.as_deref().filter(|embedder| *embedder != embed.fingerprint()) {
            let detail = format!("the index is of `{embedder}` and is fed by `{}`", embed.fingerprint());
            return Err(Error::internal(detail));
        }
        let holder = Shelf(&self.dir).hold()?;
        let changed = self.change(&holder, feed, embed, progress);
        if let Err(error) = self.sweep(holder.shelf) {
            tracing::warn!(%error, "uploaded files that are needed no more cannot be removed");
        }
        let report = changed?;
        let serving = self.index().map(|serving| serving.manifest().generation);
        if serving != report.generation
            && let Err(error) = self.refresh()
        {
            // The change is made and durable: the next refresh takes it up.
            tracing::error!(%error, "a new generation of the index cannot be opened");
        }
        Ok(report)
    }
}

/// All copies of the sources.
#[derive(Debug, Default)]
struct Copies {
    newest: Option<Sources>,
    /// Something is there, and no copy of what it was made from.
    forgotten: bool,
    /// The store's own copy is not the newest.
    own_is_old: bool,
    /// The hashes of uploaded files that a copy names; none where a copy cannot be told.
    named: Option<HashSet<String>>,
}

impl Copies {
    fn read(shelf: Shelf<'_>) -> Result<Self, Error> {
        let mut copies = Self { named: Some(HashSet::new()), ..Self::default() };
        let own = copies.take(Sources::read(shelf.0), false)?;
        let mut is_there = own == Some(0);
        for generation in shelf.newest_first()? {
            copies.take(Sources::read(&shelf.path(generation)), true)?;
            is_there = true;
        }
        // What was set aside may know more, and keeps no file: its sources are written anew before they are used.
        let named = copies.named.take();
        for folder in shelf.set_aside_before()? {
            copies.take(Sources::read(&folder), false)?;
            is_there = true;
        }
        copies.named = named;
        copies.forgotten = copies.newest.is_none() && is_there;
        copies.own_is_old = copies.newest.as_ref().is_some_and(|newest| Some(newest.generation) > own);
        Ok(copies)
    }

    /// Takes a copy in, and says of which generation it is: 0 where it is damaged.
    fn take(&mut self, copy: Copy, must_be_there: bool) -> Result<Option<u64>, Error> {
        let sources = match copy {
            Copy::Whole(sources) => sources,
            Copy::Unreadable(error) => return Err(error),
            Copy::Missing if !must_be_there => return Ok(None),
            Copy::Damaged | Copy::Missing => {
                self.named = None;
                return Ok(Some(0));
            }
        };
        if let Some(named) = &mut self.named {
            named.extend(sources.uploads.values().map(|kept| kept.blake3.clone()));
        }
        let generation = sources.generation;
        if self.newest.as_ref().is_none_or(|newest| newest.generation < generation) {
            self.newest = Some(sources);
        }
        Ok(Some(generation))
    }

    /// Puts the newest copy in place of the store's own, where that is damaged, gone or of before a kill.
    fn mend(&self, dir: &Path) {
        let newest = self.newest.as_ref().filter(|_| self.own_is_old);
        if let Some(Ok(sealed)) = newest.map(Sources::sealed) {
            write_sources(dir, &sealed);
        }
    }
}
