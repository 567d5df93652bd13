//! What outcomes teach: a router over everything in the [`Store`], trained once for each content and kept beside it.

pub(crate) mod lines;
mod store;

use std::fs;
use std::path::{Path, PathBuf};

use api::{Embed, Error, Fault};
use classify::Encoder;
use learn::routing::{Card, Router};
use serde::{Deserialize, Serialize};

pub(crate) use store::{FEEDBACK, Fared, Row, Store};

use crate::journal::write_whole;
use crate::opinions::{Opinion, Opinions};

/// Training is repeatable.
const SEED: u64 = 17;
/// A change of how routers are trained or kept.
const SCHEME: &str = "router-v1";

/// A router and what it was made of.
#[derive(Serialize, Deserialize)]
pub(crate) struct Learnt {
    /// Names the content of the store, the encoder and the scheme.
    content: String,
    router: Router,
    /// Requests that it was trained from.
    pub(crate) rows: usize,
}

impl Learnt {
    /// The router that was trained last; `Ok(None)` where there is none, or nothing to train one from.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn kept(store: &Store, encoder: &Encoder) -> Result<Option<Self>, Error> {
        if store.names().map_err(Error::internal)?.is_empty() {
            return Ok(None);
        }
        let Ok(bytes) = fs::read(path(store)) else { return Ok(None) };
        // One that another build has written is trained anew.
        let Ok(learnt) = serde_json::from_slice::<Self>(&bytes) else { return Ok(None) };
        Ok(Some(learnt).filter(|learnt| learnt.content.starts_with(&frame(encoder))))
    }

    /// Whether it was trained from all that the store holds now.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn is_current(&self, store: &Store, encoder: &Encoder) -> Result<bool, Error> {
        let content = store.fingerprint().map_err(Error::internal)?;
        Ok(content.is_some_and(|content| self.content == framed(encoder, &content)))
    }

    /// Trains a router from all that the store holds, and keeps it; `Ok(None)` where nothing is known.
    ///
    /// # Errors
    /// The store cannot be read, the encoder failed, or the outcomes cannot be learnt from.
    pub(crate) fn train(store: &Store, encoder: &Encoder) -> Result<Option<Self>, Error> {
        let Some(content) = store.fingerprint().map_err(Error::internal)? else { return Ok(None) };
        let trials = store.trials(encoder)?;
        if trials.is_empty() {
            return Ok(None);
        }
        let router = Router::train(&trials, SEED)
            .map_err(|unfit| Error::new(Fault::Unprocessable, "cannot_learn", unfit.to_string()))?;
        let learnt = Self { content: framed(encoder, &content), router, rows: trials.len() };
        // What cannot be kept is trained again at the next start; it is no reason not to use it.
        if let Err(error) = learnt.keep(&path(store)) {
            tracing::warn!(%error, "the trained router could not be kept");
        }
        Ok(Some(learnt))
    }

    fn keep(&self, path: &Path) -> std::io::Result<()> {
        write_whole(path, |file| Ok(serde_json::to_writer(file, self)?))
    }

    /// How it did on outcomes that it had not seen.
    pub(crate) fn card(&self) -> &Card {
        self.router.card()
    }

    /// What the outcomes say of a request.
    pub(crate) fn opinions(&self, prompt: &str, vector: &[f32]) -> Opinions {
        let judgement = self.router.judge(prompt, vector);
        let expected = judgement.good.into_iter().zip(judgement.evidence);
        let of_each = self.router.models().iter().zip(expected);
        of_each
            .map(|(model, (quality, evidence))| Opinion { model: model.clone(), quality, evidence })
            .collect()
    }
}

/// Where the trained router is kept.
pub(crate) fn path(store: &Store) -> PathBuf {
    store.folder().join("router.json")
}

/// What a router depends on besides the outcomes.
fn frame(encoder: &Encoder) -> String {
    format!("{SCHEME}/{}/", encoder.fingerprint())
}

fn framed(encoder: &Encoder, content: &str) -> String {
    format!("{}{content}", frame(encoder))
}
