//! The one thread that changes a store: corpora that changed, files that were sent, documents that go.
//!
//! What waits together becomes one change, so that a hundred uploads cost one generation. Who asked for a change hears
//! how it ended after it is on disk. The queue is bounded: who finds it full is told to come back.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use api::{Embed, Error, Fault, Vector};
use classify::Encoder;
use knowledge::{Corpus, Feed, FeedReport, Store, Upload};
use tokio::sync::oneshot;

use crate::settings::StoreSettings;

/// Changes that wait; an upload has at most `limits.body_bytes_max`.
const WAITING_MAX: usize = 32;
/// Editors and copies write a corpus in several steps; a build waits until they have been quiet this long.
const QUIET: Duration = Duration::from_millis(500);

/// Where changes of one store are handed in.
pub(crate) struct Feeder {
    store: Arc<dyn Store>,
    encoder: Arc<Encoder>,
    corpus: Corpus,
    name: Arc<str>,
    /// The queue of the thread, once there is one.
    queue: Mutex<Option<mpsc::SyncSender<Change>>>,
}

enum Change {
    /// The corpus may have changed.
    Corpus,
    Upload(Upload, oneshot::Sender<Result<FeedReport, Error>>),
    Remove(String, oneshot::Sender<Result<FeedReport, Error>>),
}

impl Feeder {
    pub(super) fn new(store: Arc<dyn Store>, encoder: Arc<Encoder>, settings: &StoreSettings) -> Self {
        let (corpus, name) = (settings.corpus.clone(), Arc::clone(&settings.name));
        Self { store, encoder, corpus, name, queue: Mutex::default() }
    }

    /// Takes over what has changed in the corpus, sometime soon, and all of it where the store is damaged or of another
    /// encoder.
    pub(crate) fn follow_corpus(&self) {
        // A full queue has a look at the corpus in it already, or enough to do until the next change.
        let _ = self.hand_in(Change::Corpus);
    }

    /// Takes in a file.
    ///
    /// # Errors
    /// 503 where too many wait; otherwise what the store says.
    pub(crate) async fn upload(&self, upload: Upload) -> Result<FeedReport, Error> {
        let (tell, told) = oneshot::channel();
        self.hand_in(Change::Upload(upload, tell))?;
        told.await.map_err(Error::internal)?
    }

    /// Takes out a document.
    ///
    /// # Errors
    /// As [`Feeder::upload`].
    pub(crate) async fn remove(&self, name: String) -> Result<FeedReport, Error> {
        let (tell, told) = oneshot::channel();
        self.hand_in(Change::Remove(name, tell))?;
        told.await.map_err(Error::internal)?
    }

    fn hand_in(&self, change: Change) -> Result<(), Error> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = match queue.take() {
            Some(sender) => sender,
            None => self.start()?,
        };
        let handed = sender.try_send(change);
        *queue = Some(sender);
        handed.map_err(|_| {
            let message =
                format!("Too many changes of the store `{}` wait; try again in a moment.", self.name);
            Error::new(Fault::Unavailable, "store_busy", message).with_retry_after(Duration::from_secs(5))
        })
    }

    fn start(&self) -> Result<mpsc::SyncSender<Change>, Error> {
        let (sender, changes) = mpsc::sync_channel(WAITING_MAX);
        let worker = Worker {
            store: Arc::clone(&self.store),
            encoder: Polite(Arc::clone(&self.encoder)),
            corpus: self.corpus.clone(),
            name: Arc::clone(&self.name),
        };
        let started = thread::Builder::new().name(format!("feeds {}", self.name));
        started.spawn(move || worker.run(&changes)).map_err(Error::internal)?;
        Ok(sender)
    }
}

struct Worker {
    store: Arc<dyn Store>,
    encoder: Polite,
    corpus: Corpus,
    name: Arc<str>,
}

impl Worker {
    /// Works until nobody can hand in any more.
    fn run(&self, changes: &mpsc::Receiver<Change>) {
        let mut next: Option<Change> = None;
        while let Some(change) = next.take().or_else(|| changes.recv().ok()) {
            match change {
                Change::Corpus => next = self.follow(changes),
                Change::Upload(upload, tell) => next = self.upload(changes, upload, tell),
                Change::Remove(name, tell) => {
                    let _ = tell.send(self.feed(&Feed::Remove(&[name])));
                }
            }
        }
    }

    fn feed(&self, feed: &Feed<'_>) -> Result<FeedReport, Error> {
        let fed = self.store.feed(feed, &self.encoder, &|_| {});
        match &fed {
            Ok(report) => tracing::info!(
                store = %self.name, written = report.written, removed = report.removed, embedded = report.embedded,
                documents = report.documents, passages = report.passages, skipped = report.skipped_total,
                "the store was fed"
            ),
            Err(error) => tracing::warn!(store = %self.name, %error, "the store could not be fed"),
        }
        fed
    }

    /// Waits until the corpus is quiet, and builds. Gives back what came in between and is something else.
    fn follow(&self, changes: &mpsc::Receiver<Change>) -> Option<Change> {
        let mut other = None;
        while let Ok(change) = changes.recv_timeout(QUIET) {
            match change {
                Change::Corpus => {}
                change => {
                    other = Some(change);
                    break;
                }
            }
        }
        let corpus = Some(&self.corpus).filter(|corpus| !corpus.roots.is_empty());
        // The log has told how it went; nobody waits for it.
        let _ = self.feed(&Feed::Renew(corpus));
        other
    }

    /// Takes in a file together with those that wait behind it. One that cannot be read must not keep out the others, so
    /// where they fail together they are tried one by one.
    fn upload(
        &self,
        changes: &mpsc::Receiver<Change>,
        first: Upload,
        tell: oneshot::Sender<Result<FeedReport, Error>>,
    ) -> Option<Change> {
        let (mut uploads, mut tells, mut other) = (vec![first], vec![tell], None);
        while let Ok(change) = changes.try_recv() {
            match change {
                Change::Upload(upload, tell) if uploads.iter().all(|known| known.name != upload.name) => {
                    uploads.push(upload);
                    tells.push(tell);
                }
                change => {
                    other = Some(change);
                    break;
                }
            }
        }
        if uploads.len() > 1
            && let Ok(report) = self.feed(&Feed::Upload(&uploads))
            && report.skipped_total == 0
        {
            for tell in tells {
                let _ = tell.send(Ok(report.clone()));
            }
            return other;
        }
        for (upload, tell) in uploads.into_iter().zip(tells) {
            let _ = tell.send(self.feed(&Feed::Upload(&[upload])));
        }
        other
    }
}

/// The encoder one text at a time, so that a request waits for one passage and never for a batch: a batch is at most 1.2
/// times faster.
struct Polite(Arc<Encoder>);

impl Embed for Polite {
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vector>, Error> {
        let mut vectors = Vec::with_capacity(texts.len());
        for text in texts {
            vectors.extend(self.0.embed(&[text])?);
        }
        Ok(vectors)
    }
    fn dimensions(&self) -> usize {
        self.0.dimensions()
    }
    fn fingerprint(&self) -> &str {
        self.0.fingerprint()
    }
    fn count_tokens(&self, text: &str) -> usize {
        self.0.count_tokens(text)
    }
    fn window_tokens(&self) -> usize {
        self.0.window_tokens()
    }
}
