//! A small generative model inside the process: a GGUF file, read by llama.cpp.
//!
//! Owns the loaded weights, the adapters on them, their contexts (one operating-system thread each), the queue in front of
//! them, the chat template of the file, and the way from tokens to chunks. Refuses whatever such a model cannot do (images, tools,
//! forms of answer that it would only promise) with an error that says so, and makes no claim for what it says:
//! whether an answer may be trusted is decided elsewhere, from its log-probabilities and its sources.
//!
//! Text from a request is never read as control tokens: see `template`.

mod adapter;
mod answer;
mod choice;
mod errors;
mod layout;
mod likelihood;
mod model;
mod options;
mod queue;
mod seat;
mod short;
mod stops;
mod stream;
mod template;
mod weights;

pub use adapter::Adapter;
pub use model::Model;
pub use options::{Occupancy, Options};
pub use short::{Question, ShortAnswer};
pub use stream::Continuation;
