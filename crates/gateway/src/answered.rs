//! The answers of the last hours that somebody may still judge: the request's text, who answered, and short answers
//! themselves. In memory only, bounded by size and age; the oldest go first. Refuses private requests.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::{Completion, Money, Vector};

use crate::tasks::Task;

/// Answers longer than this are no labels.
pub(crate) const LABEL_BYTES_MAX: usize = 256;
/// What an entry takes besides its texts.
const ENTRY_BYTES: usize = 512;

/// An answer that was given.
pub(crate) struct Answered {
    pub(crate) tenant: Arc<str>,
    pub(crate) prompt: String,
    /// The prompt's vector, where somebody has computed it.
    pub(crate) vector: Option<Vector>,
    pub(crate) model: String,
    pub(crate) cost: Money,
    /// The answer, where it is short enough to be a label.
    pub(crate) said: Option<String>,
    /// The task that the request belongs to, its input there, and whether the prompt carried examples of ours.
    pub(crate) task: Option<(Arc<Task>, String, Option<bool>)>,
}

impl std::fmt::Debug for Answered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answered").field("model", &self.model).finish_non_exhaustive()
    }
}

impl Answered {
    fn bytes(&self) -> usize {
        let vector = self.vector.as_ref().map_or(0, |vector| vector.len() * 4);
        let input = self.task.as_ref().map_or(0, |(_, input, _)| input.len());
        ENTRY_BYTES + self.prompt.len() + self.said.as_ref().map_or(0, String::len) + vector + input
    }
}

/// The answers by the ids of their decisions.
#[derive(Debug)]
pub(crate) struct Answers {
    bytes_max: usize,
    keep: Duration,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_id: HashMap<Arc<str>, Arc<Answered>>,
    /// The oldest first; every id once, since a decision has one answer.
    order: VecDeque<(Instant, Arc<str>)>,
    bytes: usize,
}

impl Kept {
    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.order.pop_front()
            && let Some(answered) = self.by_id.remove(&id)
        {
            self.bytes -= answered.bytes();
        }
    }
}

impl Answers {
    /// Keeps answers of `bytes_max` in all for `keep`.
    pub(crate) fn new(bytes_max: u64, keep: Duration) -> Self {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        Self { bytes_max, keep, kept: Mutex::default() }
    }

    /// Remembers the answer to the request of this id, which is new.
    pub(crate) fn put(&self, id: &str, answered: Answered) {
        let now = Instant::now();
        let id: Arc<str> = Arc::from(id);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += answered.bytes();
        kept.order.push_back((now, Arc::clone(&id)));
        if let Some(before) = kept.by_id.insert(id, Arc::new(answered)) {
            kept.bytes -= before.bytes();
        }
        let too_old = |kept: &Kept| kept.order.front().is_some_and(|(at, _)| now - *at > self.keep);
        while kept.bytes > self.bytes_max || too_old(&kept) {
            kept.forget_oldest();
        }
    }

    /// The answer to the request of this id, if `tenant` asked it.
    pub(crate) fn get(&self, id: &str, tenant: &str) -> Option<Arc<Answered>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        while kept.order.front().is_some_and(|(at, _)| at.elapsed() > self.keep) {
            kept.forget_oldest();
        }
        kept.by_id.get(id).filter(|answered| *answered.tenant == *tenant).cloned()
    }
}

/// The text of a short answer.
pub(crate) fn short(completion: &Completion) -> Option<String> {
    let text = completion.choices.first()?.message.content.as_deref()?;
    (text.len() <= LABEL_BYTES_MAX).then(|| text.to_owned())
}

/// Whether two texts are one answer to a closed question: JSON in any layout, a label in any case, with blanks around it and a
/// full stop or without.
pub(crate) fn same_answer(one: &str, other: &str) -> bool {
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    let label = |text: &str| text.trim().trim_end_matches('.').to_lowercase();
    match (json(one), json(other)) {
        (Some(one), Some(other)) => one == other,
        _ => label(one) == label(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(prompt_bytes: usize) -> Answered {
        Answered {
            tenant: Arc::from("t"),
            prompt: "p".repeat(prompt_bytes),
            vector: None,
            model: "m".to_owned(),
            cost: Money::ZERO,
            said: None,
            task: None,
        }
    }

    #[test]
    fn the_oldest_go_when_the_room_is_used_up() {
        let answers = Answers::new(3 * (ENTRY_BYTES as u64 + 100), Duration::from_secs(3600));
        for id in ["a", "b", "c", "d"] {
            answers.put(id, answered(100));
        }
        let there = |id: &str| answers.get(id, "t").is_some();
        assert!(!there("a") && there("b") && there("d"));
        assert!(answers.get("d", "another").is_none());
        answers.put("huge", answered(1 << 20));
        assert!(!there("huge") && !there("d"), "what has no room at all is not kept");
    }

    #[test]
    fn answers_are_the_same_in_any_layout() {
        for (one, other, same) in [
            ("Refund.", " refund", true),
            ("refund", "return", false),
            ("{\"a\": 1, \"b\": 2}", "{\"b\":2,\"a\":1}", true),
            ("{\"a\": 1}", "{\"a\": 2}", false),
        ] {
            assert_eq!(same_answer(one, other), same, "{one} {other}");
        }
    }

    #[test]
    fn what_is_too_old_is_gone() {
        let answers = Answers::new(1 << 20, Duration::ZERO);
        answers.put("a", answered(1));
        while answers.kept.lock().unwrap().order.front().is_some_and(|(at, _)| at.elapsed().is_zero()) {}
        assert!(answers.get("a", "t").is_none());
    }
}
