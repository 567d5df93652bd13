//! Why what a provider sent is no answer.

use serde_json::Value;

/// Why what a provider sent is no answer. Texts are for the log: they may repeat what the provider sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// It is not of the dialect.
    Garbage(String),
    /// It is an error where an answer was due: the `error` object.
    InBand(Value),
    /// It ends before the answer does.
    Cut(String),
}

impl Trouble {
    /// What came is no answer, because of `why`.
    pub(crate) fn garbage(why: impl std::fmt::Display) -> Self {
        Self::Garbage(why.to_string())
    }
}
