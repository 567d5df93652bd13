//! What changes under a running gateway: an index or a task that another process has put in place, an index that has to be
//! built anew, outcomes that have to be learnt from.

use std::sync::{Arc, PoisonError};
use std::thread;

use api::Error;
use classify::{Encoder, EncoderOptions};

use crate::decider::Decider;
use crate::house::in_words;
use crate::outcomes::{Learnt, Row};
use crate::settings::Settings;
use crate::tasks::Tasks;

/// So many verdicts, or this share of what is known already, are worth learning anew.
const VERDICTS_MIN: usize = 20;
const VERDICTS_SHARE: usize = 20;

/// Where the learning from outcomes stands.
#[derive(Debug, Default)]
pub(crate) struct Learning {
    /// Verdicts that have come since the last training began.
    verdicts: usize,
    /// A training is under way.
    busy: bool,
}

impl Decider {
    /// Takes up an index, a task or outcomes that another process has put in place.
    pub(crate) fn refresh(self: &Arc<Self>) {
        let live = self.live.load();
        let before = self.tasks.load();
        let (tasks, problems) =
            Tasks::open(&live.tasks, &self.settings.files.state, &self.encoder, Some(&before));
        for problem in problems {
            tracing::warn!(%problem, "a task is left out");
        }
        self.tasks.store(Arc::new(tasks));
        self.take_up_outcomes();
        self.stores.refresh();
    }

    /// Builds anew the stores that were damaged or do not fit. The last sound one serves meanwhile.
    pub(crate) fn mend_stores(&self) {
        for kept in self.stores.iter() {
            let Some(why) = kept.take_rebuild() else { continue };
            tracing::warn!(store = %kept.settings.name, %why, "the store is built anew from its sources");
            kept.feeder.follow_corpus();
        }
    }

    /// Takes up the router for the outcomes on disk.
    fn take_up_outcomes(self: &Arc<Self>) {
        match Learnt::kept(&self.store, &self.encoder) {
            Ok(kept) => self.learnt.store(kept.map(Arc::new)),
            Err(error) => tracing::error!(%error, "the outcomes could not be read"),
        }
        self.learn_what_is_new();
    }

    /// Trains on the outcomes that the router in use does not know yet, if there are any.
    pub(crate) fn learn_what_is_new(self: &Arc<Self>) {
        let current = match &*self.learnt.load() {
            Some(learnt) => learnt.is_current(&self.store, &self.encoder),
            None => Ok(false),
        };
        match current {
            Ok(true) => {}
            Ok(false) => self.learn(),
            Err(error) => tracing::error!(%error, "the outcomes could not be read"),
        }
    }

    /// Keeps a verdict, and learns anew once enough have come. Blocks.
    pub(crate) fn learn_from(self: &Arc<Self>, row: &Row) -> Result<(), Error> {
        let enough = {
            // The lock also keeps two verdicts from being written into each other.
            let mut learning = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
            self.store.append_feedback(row).map_err(Error::internal)?;
            learning.verdicts += 1;
            let known = self.learnt.load().as_ref().map_or(0, |learnt| learnt.rows);
            learning.verdicts >= VERDICTS_MIN.max(known / VERDICTS_SHARE)
        };
        if enough {
            self.learn();
        }
        Ok(())
    }

    /// Trains on a thread of its own, unless one is at it.
    fn learn(self: &Arc<Self>) {
        {
            let mut learning = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
            if learning.busy {
                return;
            }
            *learning = Learning { verdicts: 0, busy: true };
        }
        let decider = Arc::clone(self);
        let started = thread::Builder::new().name("learning".to_owned()).spawn(move || {
            let trimmed = decider.store.trim_feedback().map_err(Error::internal);
            match trimmed.and_then(|()| Learnt::train(&decider.store, &decider.encoder)) {
                Ok(learnt) => {
                    if let Some(learnt) = &learnt {
                        tracing::info!(rows = learnt.rows, "learnt from outcomes");
                    }
                    decider.learnt.store(learnt.map(Arc::new));
                }
                Err(error) => tracing::error!(%error, "the outcomes could not be learnt from"),
            }
            decider.learning.lock().unwrap_or_else(PoisonError::into_inner).busy = false;
        });
        if let Err(error) = started {
            tracing::error!(%error, "no thread to learn on");
            self.learning.lock().unwrap_or_else(PoisonError::into_inner).busy = false;
        }
    }
}

/// Loads the sentence encoder.
///
/// # Errors
/// In one sentence: what is missing or wrong, and what to do.
pub(crate) fn load_encoder(settings: &Settings) -> Result<Encoder, String> {
    let options = EncoderOptions {
        model_dir: settings.encoder.model.clone(),
        hub: settings.encoder.hub,
        runtime: settings.encoder.runtime.clone(),
        sessions: settings.encoder.sessions,
    };
    Encoder::load(&options).map_err(|error| in_words(&error))
}
