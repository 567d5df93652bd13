//! A change of what an index holds, from what is asked to the generation that holds it.
//!
//! Owns what is read for a change and what is kept of the generation before: a document whose hash is the same keeps its
//! passages. The order of writes is the law: uploaded bytes first, then the generation with its own copy of the sources, then the
//! store's copy; only the renaming of the generation makes any of it count.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use api::{Embed, Error, Fault};

use crate::build::{Progress, Stage, Volume};
use crate::corpus::{Document, Files, Found, Skipped, UPLOADS};
use crate::disk;
use crate::documents::{self, Documents, Held};
use crate::errors::unwritable;
use crate::generation::{Holder, Unfinished};
use crate::index::Index;
use crate::manifest::{Manifest, Unfit};
use crate::rows::Rows;
use crate::schema;
use crate::scope::contains;
use crate::sources::{self, SOURCES, Sources};
use crate::store::{Feed, FeedReport, Upload};
use crate::uploads;

/// Skipped things that a report names one by one; the rest is counted.
pub(crate) const SKIPPED_NAMED_MAX: usize = 1_000;

/// Documents between two words of progress where nothing has to be embedded.
const DOCUMENTS_UNTOLD: u64 = 64;

/// What a change starts from.
pub(crate) struct Ground<'a> {
    pub(crate) holder: &'a Holder<'a>,
    /// The newest generation that can be used.
    pub(crate) base: Option<&'a Index>,
    /// The newest sources; none where nothing was ever built, or nobody knows from what.
    pub(crate) sources: Option<Sources>,
    /// Whether there was something and nobody knows what it was made from.
    pub(crate) forgotten: bool,
    /// The encoder's fingerprint, where vectors are kept.
    pub(crate) embedder: Option<&'a str>,
}

/// Which sources are read for a change.
pub(crate) enum Reads {
    All,
    Roots(Vec<u64>),
    Uploads(HashSet<String>),
    /// None: documents are taken out by their names.
    Without(Vec<String>),
}

/// What a change means, before anything is read.
pub(crate) struct Plan {
    pub(crate) sources: Sources,
    pub(crate) reads: Reads,
    /// Nothing of the generation before is kept.
    pub(crate) anew: bool,
    pub(crate) skipped: Vec<Skipped>,
}

impl Ground<'_> {
    /// Carries out a change.
    ///
    /// # Errors
    /// The generation that it starts from is damaged, or as [`crate::Store::feed`] says.
    pub(crate) fn change(
        &self,
        feed: &Feed<'_>,
        embed: &dyn Embed,
        progress: &dyn Fn(Progress),
    ) -> Result<FeedReport, Unfit> {
        let started = Instant::now();
        let before = self.base.map_or(Ok(Documents::new()), Index::all_documents)?;
        let mut plan = Plan::of(self.holder.shelf.0, self.sources.as_ref(), self.forgotten, feed)?;
        let known = self.sources.as_ref().map_or(0, |sources| sources.generation);
        // What the base lacks of the sources has to be read, whatever is asked.
        if self.base.is_none_or(|base| base.manifest().generation < known) {
            plan.reads = Reads::All;
        }
        if let Reads::Without(names) = &plan.reads
            && !before.iter().any(|(name, held)| is_covered(names, name, held))
            && let Some(sources) = &self.sources
        {
            plan.sources.clone_from(sources);
        }
        let mut changing = Changing {
            ground: self,
            rows: Rows::new(embed, self.embedder.is_some()),
            dimensions: if self.embedder.is_some() { embed.dimensions() } else { 0 },
            begun: None,
            before,
            after: Documents::new(),
            seen: HashMap::new(),
            anew: plan.anew,
            report: FeedReport::default(),
            state: Progress {
                stage: Stage::Indexing,
                bytes_done: 0,
                bytes_total: 0,
                documents: 0,
                passages: 0,
            },
            progress,
        };
        for skipped in std::mem::take(&mut plan.skipped) {
            changing.skip(skipped);
        }
        changing.read(&plan)?;
        changing.take_out(&plan.reads)?;
        changing.refuse_nothing(feed)?;
        let mut report = changing.finish(plan.sources)?;
        report.elapsed = started.elapsed();
        Ok(report)
    }
}

impl Plan {
    /// What a change of a store in `dir` that is made from `sources` means.
    ///
    /// # Errors
    /// A root or an upload is none, or nobody knows what the store was made from.
    pub(crate) fn of(
        dir: &Path,
        sources: Option<&Sources>,
        forgotten: bool,
        feed: &Feed<'_>,
    ) -> Result<Self, Error> {
        let mut plan =
            Self { sources: Sources::default(), reads: Reads::All, anew: false, skipped: Vec::new() };
        let exactly = matches!(feed, Feed::Build(_) | Feed::Rebuild(_));
        match sources {
            Some(sources) if !exactly => plan.sources.clone_from(sources),
            None if forgotten
                && !matches!(feed, Feed::Build(_) | Feed::Rebuild(_) | Feed::Renew(Some(_))) =>
            {
                let message = "Nobody knows what this index was made from: build it with its folders.";
                return Err(Error::new(Fault::Unprocessable, "index_sources_lost", message));
            }
            _ => {}
        }
        match feed {
            Feed::Build(corpus) => plan.sources = Sources::of(corpus)?,
            Feed::Rebuild(corpus) => {
                plan.sources = Sources::of(corpus)?;
                plan.anew = true;
            }
            Feed::Renew(corpus) => {
                if let Some(corpus) = corpus {
                    plan.sources.rebase(corpus)?;
                }
            }
            Feed::Add(corpus) => plan.reads = Reads::Roots(plan.sources.add(corpus)?),
            Feed::Upload(uploads) => plan.keep(uploads, dir)?,
            Feed::Remove(names) => {
                let names = sources::clean_names(names)?;
                plan.sources.remove(&names);
                plan.reads = Reads::Without(names);
            }
        }
        Ok(plan)
    }

    /// Keeps the uploaded files that have a document in them.
    fn keep(&mut self, uploads: &[Upload], dir: &Path) -> Result<(), Error> {
        sources::check_uploads(uploads)?;
        let mut names = HashSet::new();
        for upload in uploads {
            let blake3 = uploads::keep(dir, &upload.bytes).map_err(|error| unwritable(dir, error))?;
            let mut sources = self.sources.clone();
            let path = uploads::path(dir, &blake3);
            sources.keep(upload, blake3);
            let Some(kept) = sources.uploads.get(&upload.name) else { continue };
            let files = Files::uploaded(&upload.name, kept, path);
            let mut skipped = files.skipped.clone();
            let mut documents = 0_u64;
            files.read(&mut |found, _| {
                match found {
                    Found::Document(_) => documents += 1,
                    Found::Skipped(why) if skipped.len() < SKIPPED_NAMED_MAX => skipped.push(why),
                    Found::Skipped(_) => {}
                }
                Ok(())
            })?;
            if documents == 0 {
                self.skipped.extend(skipped);
                continue;
            }
            names.insert(upload.name.clone());
            self.sources = sources;
        }
        self.reads = Reads::Uploads(names);
        Ok(())
    }

    /// What is read, each with the time when it was named, what was named last first. Uploaded files are kept in `dir`.
    ///
    /// # Errors
    /// A root is not there.
    pub(crate) fn files(&self, dir: &Path) -> Result<Vec<(u64, Files)>, Error> {
        let mut sources = Vec::new();
        for (name, kept) in &self.sources.uploads {
            let wanted = match &self.reads {
                Reads::All => true,
                Reads::Uploads(names) => names.contains(name),
                Reads::Roots(_) | Reads::Without(_) => false,
            };
            if wanted {
                let path = uploads::path(dir, &kept.blake3);
                sources.push((kept.named, Files::uploaded(name, kept, path)));
            }
        }
        for root in &self.sources.roots {
            let wanted = match &self.reads {
                Reads::All => true,
                Reads::Roots(ids) => ids.contains(&root.id),
                Reads::Uploads(_) | Reads::Without(_) => false,
            };
            if wanted {
                sources.push((root.named, Files::find(root)?));
            }
        }
        // Stable: the roots of the base stay in their order.
        sources.sort_by_key(|(named, _)| std::cmp::Reverse(*named));
        Ok(sources)
    }
}

/// Whether a document is one of `names`, lies in a folder of such a name, or was read from such a file.
fn is_covered(names: &[String], name: &str, held: &Held) -> bool {
    names.iter().any(|outer| contains(outer, name) || contains(outer, held.file()))
}

/// A generation that was begun. The index is closed before the folder goes.
struct Begun<'a> {
    volume: Volume,
    unfinished: Unfinished<'a>,
}

/// A change while it is carried out.
struct Changing<'a> {
    ground: &'a Ground<'a>,
    rows: Rows<'a>,
    dimensions: usize,
    /// Nothing is begun before something has to be written.
    begun: Option<Begun<'a>>,
    before: Documents,
    after: Documents,
    /// Documents that were read, and when their source was named.
    seen: HashMap<String, u64>,
    anew: bool,
    report: FeedReport,
    state: Progress,
    progress: &'a dyn Fn(Progress),
}

impl<'a> Changing<'a> {
    fn tell(&mut self, stage: Stage) {
        self.state.stage = stage;
        self.state.passages = self.rows.passages;
        (self.progress)(self.state);
    }

    fn skip(&mut self, skipped: Skipped) {
        self.report.skipped_total += 1;
        if self.report.skipped.len() < SKIPPED_NAMED_MAX {
            self.report.skipped.push(skipped);
        }
    }

    /// Reads what the plan says, what was named last first.
    fn read(&mut self, plan: &Plan) -> Result<(), Unfit> {
        let sources = plan.files(self.ground.holder.shelf.0)?;
        self.state.bytes_total = sources.iter().map(|(_, files)| files.bytes()).sum();
        self.tell(Stage::Indexing);
        let mut damaged = None;
        for (named, files) in &sources {
            for skipped in &files.skipped {
                self.skip(skipped.clone());
            }
            self.keep_damaged(files, *named);
            let before = self.state.bytes_done;
            files
                .read(&mut |found, bytes_done| {
                    self.state.bytes_done = before + bytes_done;
                    match found {
                        Found::Skipped(skipped) => self.skip(skipped),
                        Found::Document(document) => {
                            self.take(document, *named).map_err(|error| match error {
                                Unfit::Unreadable(error) => error,
                                Unfit::Damaged(why) => {
                                    let error = Error::internal(&why);
                                    damaged = Some(why);
                                    error
                                }
                            })?;
                        }
                    }
                    Ok(())
                })
                .map_err(|error| damaged.take().map_or(Unfit::Unreadable(error), Unfit::Damaged))?;
        }
        if let Some(begun) = &self.begun {
            self.rows.flush(&mut |rows| begun.volume.write(rows))?;
        }
        Ok(())
    }

    /// The documents of an uploaded file whose bytes are damaged stay as they are held: they were acknowledged, and the
    /// generation is whole.
    fn keep_damaged(&mut self, files: &Files, named: u64) {
        let Some(file) = files.damaged_upload() else { return };
        let held = self.before.iter().filter(|(_, held)| held.origin() == UPLOADS && held.file() == file);
        for (name, held) in held {
            if !self.anew && self.seen.insert(name.clone(), named).is_none() {
                self.after.insert(name.clone(), held.clone());
            }
        }
    }

    fn take(&mut self, document: Document, named: u64) -> Result<(), Unfit> {
        if let Some(first) = self.seen.get(&document.name) {
            if *first == named {
                let why = format!("a document named `{}` is there already", document.name);
                let (file, line) = document.read_at;
                self.skip(Skipped { file, line, why, bad: true });
            }
            return Ok(());
        }
        self.seen.insert(document.name.clone(), named);
        self.state.documents += 1;
        if self.state.documents.is_multiple_of(DOCUMENTS_UNTOLD) {
            self.tell(Stage::Indexing);
        }
        let name = document.name.clone();
        let known = if self.anew { None } else { self.before.get(&name) };
        if let Some(known) = known.filter(|known| known.hash == document.hash) {
            self.after.insert(name, known.clone());
            return Ok(());
        }
        let replaces = known.is_some();
        let mut held = Held {
            hash: document.hash.clone(),
            source: document.source.clone(),
            passages: 0,
            text_bytes: document.extracted.text.len() as u64,
            attributes: document.attributes.clone(),
        };
        self.begin()?;
        let Some(begun) = &self.begun else { return Ok(()) };
        if replaces {
            begun.volume.take_out(&name);
        }
        held.passages = self.rows.take(document, &mut |rows| begun.volume.write(rows))?;
        self.report.written += 1;
        self.after.insert(name, held);
        Ok(())
    }

    /// Begins the next generation, unless it is begun.
    fn begin(&mut self) -> Result<(), Unfit> {
        if self.begun.is_some() {
            return Ok(());
        }
        let known = self.ground.sources.as_ref().map_or(0, |sources| sources.generation);
        let unfinished = self.ground.holder.begin(known)?;
        let volume = match self.ground.base.filter(|_| !self.anew) {
            Some(base) => Volume::copied(&unfinished.path, base.path(), base.manifest())?,
            None => Volume::fresh(&unfinished.path, self.dimensions)?,
        };
        self.begun = Some(Begun { volume, unfinished });
        Ok(())
    }

    /// Takes out what is gone; all else of before that was not read stays.
    fn take_out(&mut self, reads: &Reads) -> Result<(), Unfit> {
        let origins: HashSet<String> = match reads {
            Reads::Roots(ids) => ids.iter().map(|id| format!("r{id}")).collect(),
            _ => HashSet::new(),
        };
        let goes = |name: &str, held: &Held| match reads {
            Reads::All => true,
            Reads::Roots(_) => origins.contains(held.origin()),
            Reads::Uploads(names) => held.origin() == UPLOADS && names.contains(held.file()),
            Reads::Without(names) => is_covered(names, name, held),
        };
        for (name, held) in std::mem::take(&mut self.before) {
            if self.seen.contains_key(&name) {
                continue;
            }
            if !goes(&name, &held) {
                self.after.insert(name, held);
                continue;
            }
            self.report.removed += 1;
            self.begin()?;
            if let Some(begun) = self.begun.as_ref().filter(|_| !self.anew) {
                begun.volume.take_out(&name);
            }
        }
        Ok(())
    }

    /// # Errors
    /// Documents were to come and none did.
    fn refuse_nothing(&self, feed: &Feed<'_>) -> Result<(), Error> {
        let none_came = match feed {
            Feed::Build(_) | Feed::Rebuild(_) | Feed::Add(_) => self.state.documents == 0,
            Feed::Upload(uploads) => self.state.documents == 0 && !uploads.is_empty(),
            Feed::Renew(_) => self.after.is_empty() && self.report.skipped_total > 0,
            Feed::Remove(_) => false,
        };
        if !none_came {
            return Ok(());
        }
        Err(nothing_came(feed, self.report.skipped.first()))
    }

    /// Publishes what has changed; where nothing has, there is no new generation.
    fn finish(mut self, mut sources: Sources) -> Result<FeedReport, Unfit> {
        // A base that is older than the sources is made current, whatever it holds.
        let before = self.ground.sources.as_ref();
        let base = self.ground.base.filter(|base| {
            before.is_some_and(|before| {
                before.says_the_same(&sources) && before.generation <= base.manifest().generation
            })
        });
        if let Some(base) = base.filter(|_| self.begun.is_none()) {
            self.report.generation = Some(base.manifest().generation);
            self.report.passages = base.manifest().passages;
            return Ok(self.told());
        }
        self.begin()?;
        self.tell(Stage::Merging);
        let Some(Begun { volume, unfinished }) = self.begun.take() else { return Ok(self.told()) };
        self.report.passages = volume.finish()?;
        self.tell(Stage::Publishing);
        sources.generation = unfinished.generation;
        self.report.generation = Some(unfinished.generation);
        let sealed = sources.sealed().map_err(|error| unwritable(&unfinished.path, error))?;
        self.write(&unfinished, &sealed).map_err(|error| unwritable(&unfinished.path, error))?;
        unfinished.publish()?;
        write_sources(self.ground.holder.shelf.0, &sealed);
        Ok(self.told())
    }

    fn write(&self, unfinished: &Unfinished<'_>, sealed: &[u8]) -> std::io::Result<()> {
        documents::write(&self.after, &unfinished.path)?;
        disk::write(&unfinished.path.join(SOURCES), sealed)?;
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let manifest = Manifest {
            schema: schema::VERSION,
            generation: unfinished.generation,
            built_at_unix_s: unix.as_secs(),
            embedder: self.ground.embedder.unwrap_or_default().to_owned(),
            dimensions: self.dimensions,
            corpus: documents::fingerprint(&self.after),
            documents: self.after.len() as u64,
            passages: self.report.passages,
            text_bytes: self.after.values().map(|held| held.text_bytes).sum(),
            files: Default::default(),
        };
        manifest.write(&unfinished.path).map(|_| ())
    }

    fn told(self) -> FeedReport {
        FeedReport {
            documents: self.after.len() as u64,
            text_bytes: self.after.values().map(|held| held.text_bytes).sum(),
            embedded: if self.dimensions > 0 { self.rows.passages } else { 0 },
            embedding: self.rows.embedding,
            ..self.report
        }
    }
}

/// Documents were to come and none did; `first` is the first that was passed over.
pub(crate) fn nothing_came(feed: &Feed<'_>, first: Option<&Skipped>) -> Error {
    let what = match (feed, first) {
        (Feed::Upload(_), Some(first)) => format!("`{}` {}.", first.file.display(), first.why),
        _ => String::from(
            "Allowed are the kinds of files that the index's documentation names, with words in them.",
        ),
    };
    let error = Error::new(
        Fault::Unprocessable,
        "corpus_empty",
        format!("There is no document that can be indexed. {what}"),
    );
    match first {
        Some(first) => error.with_detail(format!("{} {}", first.file.display(), first.why)),
        None => error,
    }
}

/// Writes the store's own copy of the sources. The generation that holds the same serves already, so that trouble here is
/// a matter for the log.
pub(crate) fn write_sources(dir: &Path, sealed: &[u8]) {
    if let Err(error) = disk::replace(&dir.join(SOURCES), sealed) {
        tracing::warn!(path = %dir.display(), %error, "the index's own copy of its sources cannot be written");
    }
}
