//! The words that every room of the house shares: a chat request, its reply, usage, money, signals, a plan, an error.
//!
//! Owns the data and the laws that hold on it alone (a price times a usage, an error's status). Refuses all I/O:
//! nothing here opens a file, a socket or a clock.

mod chat;
mod embed;
mod error;
pub mod filter;
mod gather;
mod head;
mod json;
mod linear;
mod money;
mod passage;
mod plan;
mod reply;
mod secret;
mod signals;
pub mod sse;
mod template;
mod tenant;

pub use chat::{ChatRequest, Content, Contract, Message, Part, Role, Sampling};
pub use embed::{Embed, Vector, cosine};
pub use error::{Error, Fault, Source};
pub use gather::Gather;
pub use head::{Head, Prediction};
pub use json::parse_object;
pub use linear::{Cell, Linear};
pub use money::{Money, Prices};
pub use passage::{Citation, Findings, Passage};
pub use plan::{
    BrokenStream, CacheUse, Candidate, Checks, DEFAULT_STORE, Estimate, Grounding, Plan, PlannedTarget,
    Shadow, Step, Track,
};
pub use reply::{
    Choice, ChoiceDelta, Chunk, Chunks, Completion, Delta, PROVIDER_FIELDS, Reply, ReplyMessage, Usage,
    UsageBasis,
};
pub use secret::Secret;
pub use signals::{Kind, Modality, PrivateKind, Signal, SignalSet, Signals, TaskMatch, Value};
pub use template::{Captures, Template};
pub use tenant::{Priority, Tenant};
