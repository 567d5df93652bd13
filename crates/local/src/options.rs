//! What an operator may set about a model in the process, and what can be seen of it.

use std::path::PathBuf;

/// How to load a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The GGUF file.
    pub path: PathBuf,
    /// How many answers are written at the same time, one thread and one context each; at least 1.
    pub contexts: usize,
    /// Tokens of prompt and answer together in one context; what the model was not trained for is not used.
    pub context_tokens: u32,
    /// Requests that may wait for a free context; one more is refused.
    pub queue_max: usize,
    /// Tokens of the longest answer, whatever a request asks for.
    pub output_tokens_max: u64,
    /// Where a request names no temperature: small models lose themselves at OpenAI's 1.
    pub temperature: f32,
    /// Where a request names no `top_p`.
    pub top_p: f32,
}

/// How busy a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// Contexts that write an answer.
    pub running: usize,
    /// Requests that wait for one.
    pub waiting: usize,
    /// All contexts.
    pub contexts: usize,
}
