//! The adapters that a model has: put on, taken off, told about.
//!
//! llama.cpp takes adapters only while nobody uses the model. So a changed set of them is the model loaded once more, beside
//! the one in use; each context moves over when it is free, and the old one goes with the last.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use api::Error;

use super::Model;
use crate::adapter::Adapter;
use crate::errors;
use crate::weights::Weights;

impl Model {
    /// Lays the adapter in the file at `path` on the model as `name`, in place of one of that name. Blocks for about a
    /// second, in which the model is loaded once more: answers under way are finished with what they began with; contexts
    /// forget the prompts that they had read.
    ///
    /// # Errors
    /// One sentence: the file is missing, no adapter, or made for another model; the model's own file has changed. What was
    /// there before stays.
    pub fn load_adapter(&self, name: &str, path: &Path) -> Result<Adapter, Error> {
        self.change(|wanted| {
            wanted.insert(name.to_owned(), path.to_owned());
        })?;
        self.adapter(name).ok_or_else(|| errors::no_adapter(name))
    }

    /// Puts adapters, each with the name that it gets and its file, in place of all there are: at the price of one.
    ///
    /// # Errors
    /// As [`Model::load_adapter`], of the first that does not fit.
    pub fn set_adapters(&self, adapters: BTreeMap<String, PathBuf>) -> Result<(), Error> {
        self.change(|wanted| *wanted = adapters)
    }

    /// What is known of the adapter of that name.
    pub fn adapter(&self, name: &str) -> Option<Adapter> {
        self.weights().adapters.get(name).map(|fitted| fitted.adapter.clone())
    }

    /// All adapters, by name.
    pub fn adapters(&self) -> BTreeMap<String, Adapter> {
        let weights = self.weights();
        weights.adapters.iter().map(|(name, fitted)| (name.clone(), fitted.adapter.clone())).collect()
    }

    /// Loads the model once more, with changed adapters, and hands it to the contexts.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, PathBuf>)) -> Result<(), Error> {
        let inner = &self.inner;
        let mut adapters = inner.adapters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wanted = adapters.clone();
        change(&mut wanted);
        let weights = Weights::load(&inner.options, &wanted)?;
        if weights.fingerprint != inner.fingerprint {
            let what =
                "The in-process model's file has changed since it was loaded; restart to use the new one.";
            return Err(errors::not_loaded(what, &inner.options.path));
        }
        *inner.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(weights);
        inner.queue.renew();
        *adapters = wanted;
        Ok(())
    }
}
