//! The one thread that changes tasks while the gateway serves: it takes labels, counts, demotes and promotes, proposes, and
//! sets trainings going. Requests only tell it what happened, and never wait for it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use api::Contract;
use classify::{Discovery, Seen};

use super::case::{Case, Opinion};
use super::described::Described;
use super::labels::{Added, By, INPUT_BYTES_MAX, Kept, Label};
use super::task::{Task, Training};
use super::training::train_aside;
use super::verdicts::{ask_again, audit, person, see_request, trained, wants_training};
use super::{Asked, adopt, folder, label_set, undeclared};
use crate::decider::Decider;
use crate::house::now_ms;
use crate::journal::write_whole;

/// News that may wait; more are dropped, and counted.
const QUEUE_MAX: usize = 4096;
/// News that are taken together, so that their labels are written together.
const TAKEN_AT_ONCE: usize = 256;
/// How often the clerk looks around where there is no news.
const TICK: Duration = Duration::from_secs(2);
/// How often what is proposed is looked at.
const PROPOSE_EVERY: Duration = Duration::from_secs(2);
/// How often counts are written that may be lost.
const KEEP_EVERY: Duration = Duration::from_secs(30);
/// How often labels are looked through for what is too old.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// An answer that was given to a request that is not private.
pub(crate) struct Heard {
    pub(crate) tenant: Arc<str>,
    pub(crate) system: String,
    pub(crate) user: String,
    pub(crate) single_turn: bool,
    pub(crate) contract: Contract,
    /// `x-pointsman-task`.
    pub(crate) header: Option<String>,
    pub(crate) answer: String,
    pub(crate) logprob: Option<f64>,
    /// Who answered, and whether that is a model of the catalogue behind an API.
    pub(crate) model: String,
    pub(crate) external: bool,
    pub(crate) decision: String,
    pub(crate) prompt_tokens: u64,
    /// The task, where the policy asked for it.
    pub(crate) case: Option<Case>,
    /// The prompt carried examples of ours, or could have and did not.
    pub(crate) with_examples: Option<bool>,
}

/// An accepted answer and what the reference says.
pub(crate) struct Audited {
    pub(crate) tenant: Arc<str>,
    pub(crate) case: Case,
    pub(crate) opinion: Opinion,
    pub(crate) reference: String,
    pub(crate) answer: String,
    pub(crate) decision: String,
}

/// An answer of a model that labels, and its answer when it was asked again.
pub(crate) struct AskedAgain {
    pub(crate) case: Case,
    pub(crate) model: String,
    pub(crate) first: String,
    pub(crate) second: String,
}

/// A label that a person gave.
pub(crate) struct Told {
    pub(crate) tenant: Arc<str>,
    pub(crate) task: Arc<Task>,
    pub(crate) input: String,
    pub(crate) label: String,
    /// What had been answered, and whether that prompt carried examples.
    pub(crate) said: Option<String>,
    pub(crate) with_examples: Option<bool>,
    pub(crate) decision: String,
}

/// What the clerk is told.
pub(crate) enum News {
    Heard(Box<Heard>),
    Audited(Box<Audited>),
    AskedAgain(Box<AskedAgain>),
    Told(Box<Told>),
    Trained(Arc<Task>, Result<(), String>),
    /// Everything that was told before is to be on disk when this is answered.
    Flush(SyncSender<()>),
}

/// The way to the clerk, and what it knows of tasks that nobody has declared.
#[derive(Clone)]
pub(crate) struct Clerk {
    news: SyncSender<News>,
    discovery: Arc<Mutex<Discovery>>,
}

impl Clerk {
    /// Sets the clerk to work.
    ///
    /// # Errors
    /// There is no thread for it.
    pub(crate) fn start(decider: &Arc<Decider>) -> io::Result<Self> {
        let (news, inbox) = sync_channel(QUEUE_MAX);
        let discovery = Arc::new(Mutex::new(read_discovery(&decider.settings.files.state)));
        let clerk = Self { news, discovery };
        let desk = Desk {
            decider: Arc::clone(decider),
            clerk: clerk.clone(),
            kept_at: Instant::now(),
            proposed_at: Instant::now(),
            forgot_at: Instant::now(),
            discovered: false,
            proposed: Vec::new(),
            flushed: Vec::new(),
        };
        thread::Builder::new().name("clerk".to_owned()).spawn(move || desk.work(&inbox))?;
        Ok(clerk)
    }

    /// Tells the clerk; false where it has too much to do already.
    pub(crate) fn tell(&self, news: News) -> bool {
        self.news.try_send(news).is_ok()
    }

    /// Waits until what was told is on disk, for as long as `patience`; false where it took longer. Blocks.
    pub(crate) fn flush(&self, patience: Duration) -> bool {
        let (done, kept) = sync_channel(1);
        self.tell(News::Flush(done)) && kept.recv_timeout(patience).is_ok()
    }

    /// Prompts that look like tasks nobody has declared.
    pub(crate) fn proposals(&self) -> Vec<classify::Proposal> {
        self.discovery.lock().unwrap_or_else(PoisonError::into_inner).proposals()
    }
}

/// Where the groups of prompts are kept across restarts.
pub(crate) fn discovery_path(state: &Path) -> PathBuf {
    folder(state).join("discovery.json")
}

/// What was discovered before; what cannot be read is begun anew.
pub(crate) fn read_discovery(state: &Path) -> Discovery {
    let bytes = std::fs::read(discovery_path(state)).ok();
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

struct Desk {
    decider: Arc<Decider>,
    clerk: Clerk,
    kept_at: Instant,
    proposed_at: Instant,
    forgot_at: Instant,
    /// Something was discovered that is not on disk yet.
    discovered: bool,
    /// What was proposed when it was last looked at, by id.
    proposed: Vec<String>,
    /// Those who wait for what they told to be on disk.
    flushed: Vec<SyncSender<()>>,
}

/// Labels that came together, by task.
pub(super) type Brought = BTreeMap<String, (Arc<Task>, Vec<Kept>)>;

impl Desk {
    fn work(mut self, inbox: &Receiver<News>) {
        loop {
            let first = match inbox.recv_timeout(TICK) {
                Ok(news) => Some(news),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut brought = Brought::new();
            for news in first.into_iter().chain(inbox.try_iter()).take(TAKEN_AT_ONCE) {
                self.take(news, &mut brought);
            }
            self.file(brought);
            if !self.flushed.is_empty() {
                self.keep_counts();
                // Whoever waited may have given up.
                self.flushed.drain(..).for_each(|done| _ = done.send(()));
            }
            self.look_around();
        }
    }

    fn take(&mut self, news: News, brought: &mut Brought) {
        match news {
            News::Heard(heard) => self.hear(*heard, brought),
            News::Audited(audited) => audit(*audited, brought),
            News::AskedAgain(again) => ask_again(&again),
            News::Told(told) => person(*told, brought),
            News::Trained(task, result) => trained(&task, result),
            News::Flush(done) => self.flushed.push(done),
        }
    }

    /// An answer: of a task, or of what may become one.
    fn hear(&mut self, mut heard: Heard, brought: &mut Brought) {
        let case = heard.case.take().or_else(|| self.recognize(&heard));
        let Some(case) = case else {
            self.discover(&heard);
            return;
        };
        let task = &case.task;
        if let Some(opinion) = &case.opinion {
            see_request(task, opinion);
        }
        let spec = task.spec();
        let listed = label_set(&heard.contract).unwrap_or_default();
        let said = task.form(&spec, &listed).read(&heard.answer);
        if let Some(with_examples) = heard.with_examples {
            let mut watch = task.watch();
            let arm = watch.few.arm(with_examples);
            arm.form.add(said.is_some());
            arm.prompt_tokens += heard.prompt_tokens;
        }
        let labels = task.is_labelled_by(&heard.model, heard.external);
        if let (true, Some(truth)) = (labels, said) {
            let vector = case.vector.as_deref().map(Described::of);
            let label = Label {
                tenant: heard.tenant.to_string(),
                input: case.input,
                truth,
                by: By::Model,
                model: Some(heard.model),
                logprob: heard.logprob,
                drawn: drawn(case.opinion.as_ref(), &heard.decision, spec.audit.share),
                decision: Some(heard.decision),
                at_ms: now_ms(),
            };
            bring(brought, &case.task, Kept { label, vector });
        }
    }

    fn recognize(&self, heard: &Heard) -> Option<Case> {
        let asked = Asked {
            tenant: &heard.tenant,
            header: heard.header.as_deref(),
            system: &heard.system,
            user: &heard.user,
            single_turn: heard.single_turn,
            contract: &heard.contract,
        };
        let (task, input) = self.decider.tasks.load().recognize(&asked).ok().flatten()?;
        Some(Case { task, input, vector: None, opinion: None, writer: None, shots: Vec::new() })
    }

    fn discover(&mut self, heard: &Heard) {
        if !heard.single_turn || !self.decider.settings.tasks.discover {
            return;
        }
        let seen = Seen {
            tenant: &heard.tenant,
            system: Some(heard.system.as_str()).filter(|system| !system.is_empty()),
            user: &heard.user,
            answer: &heard.answer,
            model: &heard.model,
        };
        self.clerk.discovery.lock().unwrap_or_else(PoisonError::into_inner).observe(seen);
        self.discovered = true;
    }

    /// Writes the labels that came, and sees whether that is enough for a training.
    fn file(&self, brought: Brought) {
        for (_, (task, kept)) in brought {
            match task.with_labels(|labels| labels.add(kept)) {
                Ok(added) if added.iter().any(|what| matches!(what, Added::New | Added::Changed)) => {
                    self.consider_training(&task);
                }
                Ok(_) => {}
                Err(error) => tracing::error!(task = %task.name, %error, "labels could not be kept"),
            }
        }
    }

    fn consider_training(&self, task: &Arc<Task>) {
        if !wants_training(task) {
            return;
        }
        let Some(training) = Training::begin(task) else { return };
        let config = self.decider.settings.file.clone();
        let (clerk, task) = (self.clerk.clone(), Arc::clone(task));
        task.watch().tried_with = task.usable_labels().len();
        // The process reads what was counted of annotators from the disk.
        if let Err(error) = task.keep_watch() {
            tracing::error!(task = %task.name, %error, "the task's counts could not be kept");
        }
        let started = thread::Builder::new().name("task-training".to_owned()).spawn(move || {
            let result = train_aside(&config, &task.name);
            drop(training);
            clerk.tell(News::Trained(task, result));
        });
        if let Err(error) = started {
            tracing::error!(%error, "no thread to train on");
        }
    }

    /// What is due now and then, whatever the news.
    fn look_around(&mut self) {
        if self.discovered && self.proposed_at.elapsed() >= PROPOSE_EVERY {
            self.proposed_at = Instant::now();
            self.keep_discovery(false);
        }
        if self.kept_at.elapsed() < KEEP_EVERY {
            return;
        }
        self.kept_at = Instant::now();
        if std::mem::take(&mut self.discovered) {
            self.keep_discovery(true);
        }
        self.keep_counts();
        for task in self.decider.tasks.load().iter() {
            self.consider_training(task);
        }
        if self.forgot_at.elapsed() >= FORGET_EVERY {
            self.forgot_at = Instant::now();
            self.forget();
        }
    }

    fn keep_counts(&self) {
        for task in self.decider.tasks.load().iter() {
            if let Err(error) = task.keep_watch() {
                tracing::error!(task = %task.name, %error, "the task's counts could not be kept");
            }
        }
    }

    /// Keeps what was discovered, at once where there is something new to propose.
    fn keep_discovery(&mut self, now_and_then: bool) {
        let state = &self.decider.settings.files.state;
        let (proposals, bytes) = {
            let discovery = self.clerk.discovery.lock().unwrap_or_else(PoisonError::into_inner);
            let proposals = discovery.proposals();
            let ids: Vec<String> = proposals.iter().map(|proposal| proposal.id.clone()).collect();
            if ids == self.proposed && !now_and_then {
                return;
            }
            self.proposed = ids;
            (proposals, serde_json::to_vec(&*discovery))
        };
        let written = bytes
            .map_err(io::Error::from)
            .and_then(|bytes| write_whole(&discovery_path(state), |file| io::Write::write_all(file, &bytes)));
        if let Err(error) = written {
            tracing::error!(%error, "what was discovered could not be kept");
        }
        if self.decider.settings.tasks.auto_adopt {
            for proposal in undeclared(proposals, &self.decider.live.load().tasks) {
                match adopt(&self.decider.settings, &proposal, None) {
                    Ok(path) => tracing::info!(path = %path.display(), "a proposed task was adopted"),
                    Err(error) => tracing::error!(%error, "a proposed task could not be adopted"),
                }
            }
        }
    }

    fn forget(&self) {
        for task in self.decider.tasks.load().iter() {
            let spec = task.spec();
            let forgotten = task.with_labels(|labels| {
                let forgotten = labels.forget(now_ms(), spec.capture.keep, spec.capture.examples_max)?;
                labels.tidy()?;
                Ok(forgotten)
            });
            match forgotten {
                Ok(0) => {}
                Ok(gone) => task.tell("forgotten", &format!("{gone} labels were too old or too many")),
                Err(error) => tracing::error!(task = %task.name, %error, "labels could not be forgotten"),
            }
        }
    }
}

/// Whether a label that a request brought by itself counts as drawn: all do while no version serves; then, of what it does
/// not accept, the same share as is audited of what it does.
fn drawn(opinion: Option<&Opinion>, decision: &str, share: f32) -> bool {
    opinion.is_none_or(|opinion| opinion.is_drawn(decision, share))
}

/// Puts a label to those that are written together.
pub(super) fn bring(brought: &mut Brought, task: &Arc<Task>, kept: Kept) {
    if kept.label.input.is_empty() || kept.label.input.len() > INPUT_BYTES_MAX {
        return;
    }
    let (_, labels) = brought.entry(task.name.clone()).or_insert_with(|| (Arc::clone(task), Vec::new()));
    labels.push(kept);
}
