//! One closed task: its specification, its labels, the versions that answer, and what is seen of them.
//!
//! Everything here is shared between requests, which only read, and the clerk, which alone changes things.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::{Error, Fault, Vector};
use arc_swap::ArcSwap;
use classify::Encoder;
use learn::task::{Kind, Truth};
use policy::tasks::{TaskKind, TaskSpec};
use serde::{Deserialize, Serialize};

use super::case::{Case, Named, Opinion, Writer};
use super::few::{self, Shot};
use super::labels::{Kept, Labels, Lock, label_id};
use super::said::Form;
use super::version::{Brain, Standing, Version, numbers, versions as versions_folder};
use super::watch::{Trust, Watch};
use crate::house::now_ms;
use crate::journal::Journal;

/// Events that are kept for people to read.
const EVENTS_MAX: usize = 200;

/// A closed task.
pub(crate) struct Task {
    pub(crate) name: String,
    spec: ArcSwap<TaskSpec>,
    folder: PathBuf,
    encoder: String,
    labels: Mutex<Labels>,
    /// How many there are: requests must not wait while the clerk writes.
    label_count: AtomicUsize,
    served: ArcSwap<Served>,
    watch: Mutex<Watch>,
    events: Mutex<VecDeque<Event>>,
    refreshing: Mutex<()>,
    /// A training is under way.
    pub(crate) training: AtomicBool,
}

/// What answers.
#[derive(Debug, Default)]
pub(crate) struct Served {
    pub(crate) standing: Standing,
    pub(crate) serving: Option<Arc<Version>>,
    pub(crate) canary: Option<Arc<Version>>,
    /// The newest version, whether it serves or not.
    pub(crate) newest: Option<Arc<Version>>,
    /// Why a version that should serve does not.
    pub(crate) problems: Vec<String>,
}

impl Served {
    /// What a request is answered by that names the task, whether a certificate covers it or not.
    pub(crate) fn answers(&self) -> Option<&Arc<Version>> {
        self.serving.as_ref().or(self.newest.as_ref())
    }
}

/// Something that happened to a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) at_ms: u64,
    pub(crate) what: String,
    pub(crate) why: String,
}

impl Task {
    /// Opens a task's folder, where nothing need be yet.
    pub(crate) fn open(folder: PathBuf, spec: TaskSpec, encoder: &str) -> io::Result<Self> {
        let labels = Labels::open(&folder, encoder)?;
        let events: Vec<Event> = event_journal(&folder).read()?;
        let task = Self {
            name: spec.name.clone(),
            spec: ArcSwap::from_pointee(spec),
            label_count: AtomicUsize::new(labels.len()),
            labels: Mutex::new(labels),
            served: ArcSwap::default(),
            watch: Mutex::new(Watch::read(&folder)),
            events: Mutex::new(events.into()),
            refreshing: Mutex::default(),
            training: AtomicBool::new(false),
            encoder: encoder.to_owned(),
            folder,
        };
        task.take_up_versions()?;
        Ok(task)
    }

    pub(crate) fn spec(&self) -> Arc<TaskSpec> {
        self.spec.load_full()
    }

    pub(crate) fn set_spec(&self, spec: TaskSpec) {
        self.spec.store(Arc::new(spec));
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn served(&self) -> Arc<Served> {
        self.served.load_full()
    }

    /// Loads the versions that the standing on disk names; those in memory are not loaded again.
    pub(crate) fn take_up_versions(&self) -> io::Result<()> {
        let standing = Standing::read(&self.folder)?;
        let before = self.served.load_full();
        let mut problems = Vec::new();
        let mut load = |number: Option<u32>| -> Option<Arc<Version>> {
            let number = number?;
            let known = [&before.serving, &before.canary, &before.newest];
            if let Some(version) = known.into_iter().flatten().find(|version| version.number == number) {
                return Some(Arc::clone(version));
            }
            Version::read(&self.folder, number, &self.encoder)
                .map_err(|why| problems.push(why))
                .ok()
                .map(Arc::new)
        };
        let serving = load(standing.serving);
        let canary = load(standing.canary);
        let newest = load(numbers(&self.folder)?.pop());
        // One version may have two places.
        problems.dedup();
        self.served.store(Arc::new(Served { standing, serving, canary, newest, problems }));
        Ok(())
    }

    /// Takes up what another process has changed, and notes it.
    pub(crate) fn refresh(&self) -> io::Result<()> {
        // Two who notice one change must not both tell of it.
        let _one = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.served();
        self.take_up_versions()?;
        let after = self.served();
        let number = |version: &Option<Arc<Version>>| version.as_ref().map(|version| version.number);
        let say = |what: &str, version: &Version| self.tell(what, &version.in_words());
        if let Some(version) =
            after.serving.as_ref().filter(|_| number(&before.serving) != number(&after.serving))
        {
            say("serving", version);
        }
        if let Some(version) =
            after.canary.as_ref().filter(|_| number(&before.canary) != number(&after.canary))
        {
            say("canary", version);
        }
        let newest = |served: &Served| served.newest.as_ref().map(|version| version.number);
        let unproved = newest(&after) > newest(&before)
            && newest(&after) != number(&after.serving)
            && newest(&after) != number(&after.canary);
        if let Some(version) = after.newest.as_ref().filter(|_| unproved) {
            say("not_certified", version);
        }
        Ok(())
    }

    /// Changes which version serves, on disk and here.
    pub(crate) fn change_standing(&self, change: impl FnOnce(&mut Standing)) -> io::Result<()> {
        {
            let _lock = Lock::take(&self.folder)?;
            let mut standing = Standing::read(&self.folder)?;
            change(&mut standing);
            standing.write(&self.folder)?;
        }
        self.take_up_versions()
    }

    /// The labels, as they are on disk now, locked against other processes. Blocks.
    pub(crate) fn with_labels<T>(&self, work: impl FnOnce(&mut Labels) -> io::Result<T>) -> io::Result<T> {
        let _lock = Lock::take(&self.folder)?;
        let mut labels = self.labels();
        labels.refresh()?;
        let done = work(&mut labels);
        self.label_count.store(labels.len(), Ordering::Release);
        done
    }

    /// How many labels there are.
    pub(crate) fn label_count(&self) -> usize {
        self.label_count.load(Ordering::Acquire)
    }

    /// The labels as they are in memory.
    pub(crate) fn labels(&self) -> MutexGuard<'_, Labels> {
        self.labels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The labels that may be learnt from, in an order that is the same in every process.
    pub(crate) fn usable_labels(&self) -> Vec<Kept> {
        let trust = self.trust();
        self.labels().sorted().into_iter().filter(|kept| trust.covers(&kept.label)).cloned().collect()
    }

    /// Whose labels count.
    pub(crate) fn trust(&self) -> Trust {
        self.watch().trusted(f64::from(self.spec.load().reference.self_agreement_min))
    }

    /// Keeps what was counted across a restart.
    pub(crate) fn keep_watch(&self) -> io::Result<()> {
        // Not under the lock: requests look at the counts as well.
        let written = self.watch().written()?;
        Watch::write(&self.folder, &written)
    }

    pub(crate) fn usable_count(&self) -> usize {
        let trust = self.trust();
        self.labels().iter().filter(|kept| trust.covers(&kept.label)).count()
    }

    /// Notes what happened, for `pointsman task show` and `/api/tasks`.
    pub(crate) fn tell(&self, what: &str, why: &str) {
        tracing::info!(task = %self.name, what, why, "task");
        let event = Event { at_ms: now_ms(), what: what.to_owned(), why: why.to_owned() };
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let journal = event_journal(&self.folder);
        events.push_back(event);
        let written = if events.len() > EVENTS_MAX {
            // A little room, so that not every event writes the file anew.
            events.drain(..EVENTS_MAX / 4);
            journal.replace(events.iter())
        } else {
            journal.append(events.back())
        };
        if let Err(error) = written {
            tracing::warn!(task = %self.name, %error, "the task's events could not be written");
        }
    }

    /// What happened, the oldest first.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// What answers of this task look like: with the labels that the operator declares, else with those that the request
    /// lists, else with any. Labels that no version has seen are answers all the same.
    pub(crate) fn form<'a>(&self, spec: &'a TaskSpec, labels: &'a [String]) -> Form<'a> {
        let labels = if spec.labels.is_empty() { labels } else { &spec.labels };
        Form { kind: learnt_kind(spec.kind), labels, scale: spec.scale }
    }

    /// What a label says in this task's terms.
    ///
    /// # Errors
    /// What the task's labels are.
    pub(crate) fn check_label(&self, label: &str) -> Result<Truth, String> {
        let spec = self.spec();
        let said = self.form(&spec, &[]).read(label);
        said.ok_or_else(|| {
            let shown: String = label.chars().take(100).collect();
            let allowed = match (learnt_kind(spec.kind), spec.scale) {
                (Kind::Number, Some((low, high))) => format!("a number from {low} to {high}"),
                (Kind::Number, None) => "a number".to_owned(),
                _ if spec.labels.is_empty() => "one line of at most 128 bytes".to_owned(),
                (Kind::Single, _) => spec.labels.join(", "),
                (Kind::Several, _) => format!("any of {}, with commas between", spec.labels.join(", ")),
            };
            format!("`{shown}` is no label of the task `{}`; allowed: {allowed}.", self.name)
        })
    }

    /// Whether the answers of a model may become labels.
    pub(crate) fn is_labelled_by(&self, model: &str, external: bool) -> bool {
        let spec = self.spec.load();
        let reference = &spec.reference.models;
        spec.capture.enabled
            && if reference.is_empty() { external } else { reference.iter().any(|name| name == model) }
    }

    /// The labels that it answers with, as far as they are known: declared, or of its latest version.
    pub(crate) fn label_names(&self) -> Vec<String> {
        let spec = self.spec();
        if !spec.labels.is_empty() {
            return spec.labels.clone();
        }
        self.served.load().answers().map(|version| version.brain.labels().to_vec()).unwrap_or_default()
    }

    /// The answers that a model may choose from that can only write one of them; empty where it has to write freely.
    pub(crate) fn choices(&self) -> Vec<String> {
        const CHOICES_MAX: usize = 512;
        let names =
            if learnt_kind(self.spec.load().kind) == Kind::Single { self.label_names() } else { Vec::new() };
        if names.len() <= CHOICES_MAX { names } else { Vec::new() }
    }

    /// Whether the vector of an input is of use before anything has answered.
    pub(crate) fn wants_vector(&self) -> bool {
        let served = self.served.load();
        let reads = |version: &Option<Arc<Version>>| {
            version.as_ref().is_some_and(|version| version.adapter().is_none())
        };
        reads(&served.serving) || reads(&served.canary) || self.spec.load().few.enabled
    }

    /// A request of this task: what its version says of it. The same input always meets the same version.
    pub(crate) fn consider(self: &Arc<Self>, tenant: &str, input: String, vector: Option<Vector>) -> Case {
        let served = self.served.load();
        let tried = served.canary.as_ref().filter(|_| in_share(&input, self.spec.load().canary.share));
        let chosen = tried.map(|version| (version, true)).or(served.serving.as_ref().map(|one| (one, false)));
        let opinion = chosen.zip(vector.as_ref()).and_then(|((version, canary), vector)| {
            let Brain::Head(model) = &version.brain else { return None };
            Some(Opinion::of(version, canary, model.answer(&input, vector)))
        });
        let writer = chosen
            .filter(|(version, _)| version.adapter().is_some())
            .map(|(version, canary)| Writer { version: Arc::clone(version), canary });
        let shots = match &vector {
            Some(vector) if !opinion.as_ref().is_some_and(|opinion| opinion.accepted) => {
                self.shots(tenant, &input, vector)
            }
            _ => Vec::new(),
        };
        Case { task: Arc::clone(self), input, vector, opinion, writer, shots }
    }

    /// The examples for an input, where the task allows examples and has some.
    fn shots(&self, tenant: &str, input: &str, vector: &[f32]) -> Vec<Shot> {
        let spec = self.spec();
        if !spec.few.enabled {
            return Vec::new();
        }
        let own = label_id(tenant, input);
        let trust = self.trust();
        let labels = self.labels();
        few::choose(labels.iter().filter(|kept| trust.covers(&kept.label)), tenant, own, vector, &spec)
    }

    /// Whether a request may name this task.
    ///
    /// # Errors
    /// 404: it has no version yet.
    pub(crate) fn answerable(&self) -> Result<(), Error> {
        self.served.load().answers().map(|_| ()).ok_or_else(|| self.untrained())
    }

    fn untrained(&self) -> Error {
        let message = format!(
            "The task `{0}` has no trained model yet: `pointsman task train {0}` makes one.",
            self.name
        );
        Error::new(Fault::NotFound, "model_not_found", message).with_param("model")
    }

    /// What a request that names this task is answered, whether a certificate covers it or not.
    ///
    /// # Errors
    /// There is no version yet, or the encoder failed.
    pub(crate) fn ask(
        self: &Arc<Self>,
        input: &str,
        vector: Option<Vector>,
        encoder: &Encoder,
    ) -> Result<Named, Error> {
        let Some(version) = self.served.load().answers().cloned() else { return Err(self.untrained()) };
        let Brain::Head(model) = &version.brain else {
            return Ok(Named::Writes(Writer { version, canary: false }));
        };
        let vector = match vector {
            Some(vector) => vector,
            None => encoder.describe(&[input])?.pop().unwrap_or_default(),
        };
        let answer = model.answer(input, &vector);
        Ok(Named::Says(Box::new(Opinion::of(&version, false, answer))))
    }

    /// The adapters that it may be answered with, by the names that they have on the model `base`.
    pub(crate) fn adapters(&self, base: &str) -> Vec<(String, PathBuf)> {
        let served = self.served.load();
        let versions = [&served.serving, &served.canary, &served.newest].into_iter().flatten();
        versions
            .filter_map(|version| {
                let adapted = version.adapter().filter(|adapted| adapted.base == base)?;
                Some((self.adapter_name(version), versions_folder(&self.folder).join(&adapted.file)))
            })
            .collect()
    }

    /// The name of a version's adapter on its base.
    pub(crate) fn adapter_name(&self, version: &Version) -> String {
        format!("{}{}@{}", policy::TASK_PREFIX, self.name, version.number)
    }
}

/// The mathematics that a kind of task is learnt by.
pub(crate) fn learnt_kind(kind: TaskKind) -> Kind {
    match kind {
        TaskKind::Classification | TaskKind::ShortAnswer => Kind::Single,
        TaskKind::MultiLabel => Kind::Several,
        TaskKind::Regression => Kind::Number,
    }
}

/// Whether a text belongs to a share: the same answer whenever it is asked.
pub(crate) fn in_share(text: &str, share: f32) -> bool {
    let hash = blake3::hash(text.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    f64::from(u32::from_le_bytes([a, b, c, d])) < f64::from(share) * f64::from(u32::MAX)
}

fn event_journal(folder: &Path) -> Journal {
    Journal::new(folder.join("events.jsonl"))
}

/// Marks a training as under way until it is dropped; `None` where one is.
pub(crate) struct Training(Arc<Task>);

impl Training {
    pub(crate) fn begin(task: &Arc<Task>) -> Option<Self> {
        (!task.training.swap(true, Ordering::AcqRel)).then(|| Self(Arc::clone(task)))
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        self.0.training.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_what_it_says() {
        let of = |share: f32| (0..2000).filter(|number| in_share(&format!("id-{number}"), share)).count();
        assert_eq!((of(0.0), of(1.0)), (0, 2000));
        assert!((150..250).contains(&of(0.1)), "{}", of(0.1));
    }
}
