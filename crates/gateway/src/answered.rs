//! The answers of the last hours that somebody may still judge: the request's text, who answered, and short answers
//! themselves. In memory only, bounded by size and age. Refuses private requests.

use std::sync::Arc;
use std::time::Duration;

use api::{Completion, Money, Vector};
use moka::sync::Cache;

/// Answers longer than this are no labels.
const LABEL_BYTES_MAX: usize = 256;
/// What an entry takes besides its texts.
const ENTRY_BYTES: usize = 256;

/// An answer that was given.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) tenant: Arc<str>,
    pub(crate) prompt: String,
    /// The prompt's vector, where somebody has computed it.
    pub(crate) vector: Option<Vector>,
    pub(crate) model: String,
    pub(crate) cost: Money,
    /// The answer, where it is short enough to be a label.
    pub(crate) said: Option<String>,
}

/// The answers by the ids of their decisions.
#[derive(Debug)]
pub(crate) struct Answers(Cache<String, Arc<Answered>>);

impl Answers {
    /// Keeps answers of `bytes_max` in all for `keep`.
    pub(crate) fn new(bytes_max: u64, keep: Duration) -> Self {
        let weigh = |id: &String, answered: &Arc<Answered>| {
            let vector = answered.vector.as_ref().map_or(0, |vector| vector.len() * 4);
            let said = answered.said.as_ref().map_or(0, String::len);
            let bytes = ENTRY_BYTES + id.len() + answered.prompt.len() + said + vector;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(bytes_max).weigher(weigh).time_to_live(keep).build())
    }

    /// Remembers an answer.
    pub(crate) fn put(&self, id: &str, answered: Answered) {
        self.0.insert(id.to_owned(), Arc::new(answered));
    }

    /// The answer to the request of this id, if `tenant` asked it.
    pub(crate) fn get(&self, id: &str, tenant: &str) -> Option<Arc<Answered>> {
        self.0.get(id).filter(|answered| *answered.tenant == *tenant)
    }
}

/// The text of a short answer.
pub(crate) fn short(completion: &Completion) -> Option<String> {
    let text = completion.choices.first()?.message.content.as_deref()?;
    (text.len() <= LABEL_BYTES_MAX).then(|| text.to_owned())
}
