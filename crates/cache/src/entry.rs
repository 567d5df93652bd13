//! What may be remembered: whole answers, nothing else. Refuses everything that is not known to be one.

use std::fmt;

use api::{Completion, Error, Money, Track};
use bytes::Bytes;

/// Who gave an answer, and at what price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The way that it went.
    pub track: Track,
    /// The model that answered.
    pub model: String,
    /// Its provider.
    pub provider: String,
    /// What it cost, and a hit saves.
    pub cost: Money,
    /// What the policy's reference model would have cost.
    pub reference_cost: Money,
    /// The id of the decision behind it.
    pub decision: String,
}

/// Why an answer is not remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotWhole {
    /// There is no answer in it.
    NoChoices,
    /// An answer's end is not told: it may have been cut.
    NoFinishReason,
    /// An answer was cut by a filter, or ended for a reason that is not known to mean a whole one.
    Unfinished,
    /// An error stands in it.
    Error,
    /// It cannot be written as JSON.
    Unwritable,
}

impl fmt::Display for NotWhole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoChoices => "it has no choices",
            Self::NoFinishReason => "a choice has no finish reason",
            Self::Unfinished => "a choice's finish reason does not tell a whole answer",
            Self::Error => "it holds an error",
            Self::Unwritable => "it cannot be written as JSON",
        })
    }
}

impl std::error::Error for NotWhole {}

impl From<NotWhole> for Error {
    fn from(why: NotWhole) -> Self {
        Self::internal(format_args!("the answer is not remembered: {why}"))
    }
}

/// A whole answer as it was first given.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    completion: Completion,
    body: Bytes,
    origin: Origin,
    stored_at_ms: u64,
}

impl Entry {
    /// An answer given at `stored_at_ms` (milliseconds since 1970), if every choice of it is whole: ended by the model
    /// (`stop`, `tool_calls`, `function_call`) or by the request's own limit (`length`, which is in the key).
    ///
    /// # Errors
    /// Why it is not known to be whole.
    pub fn whole(completion: Completion, origin: Origin, stored_at_ms: u64) -> Result<Self, NotWhole> {
        const WHOLE: [&str; 4] = ["stop", "length", "tool_calls", "function_call"];
        if completion.extra.get("error").is_some_and(|error| !error.is_null()) {
            return Err(NotWhole::Error);
        }
        if completion.choices.is_empty() {
            return Err(NotWhole::NoChoices);
        }
        for choice in &completion.choices {
            match choice.finish_reason.as_deref() {
                None => return Err(NotWhole::NoFinishReason),
                Some(reason) if !WHOLE.contains(&reason) => return Err(NotWhole::Unfinished),
                Some(_) => {}
            }
        }
        let body = serde_json::to_vec(&completion).map_err(|_| NotWhole::Unwritable)?;
        Ok(Self { completion, body: Bytes::from(body), origin, stored_at_ms })
    }

    /// The answer.
    pub fn completion(&self) -> &Completion {
        &self.completion
    }

    /// The answer as JSON, written once: cloning it copies nothing.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Who gave it, and at what price.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// When it was given, in milliseconds since 1970.
    pub fn stored_at_ms(&self) -> u64 {
        self.stored_at_ms
    }

    /// About how much memory it takes: the JSON, the parsed answer counted at twice that (its text, and as much again for
    /// the structure around it), and a flat kilobyte for the rest.
    pub(crate) fn weight_bytes(&self) -> u32 {
        u32::try_from(self.body.len().saturating_mul(3).saturating_add(1024)).unwrap_or(u32::MAX)
    }
}
