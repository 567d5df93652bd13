//! What clients write and providers answer, in whichever dialect, to and from the one form that the house works on:
//! OpenAI's chat ([`api::ChatRequest`], [`api::Completion`], [`api::Chunk`]).
//!
//! Owns every translation, both ways, whole and by events. Refuses all I/O, refuses by name what the other dialect has
//! no words for (nothing is dropped), and refuses to call an answer whole that was cut.
//!
//! A [`Wire`] is what a provider speaks: it writes requests and reads answers. A [`Face`] is what a client speaks: it
//! reads requests and writes answers. Vectors and ranks ([`EmbeddingsRequest`], [`RerankRequest`]) have one form for clients
//! and are written and read by a [`Wire`] like the rest.

mod chat;
mod completions;
mod counted;
mod embeddings;
mod face;
mod fields;
mod foreign;
mod gemini;
mod messages;
mod path;
mod rerank;
mod responses;
mod trouble;
mod wire;

pub use embeddings::{Embedded, EmbeddingsRequest, Input};
pub use face::{Client, Face, Writer};
pub use messages::read_for_count;
pub use path::path_segment;
pub use rerank::{Ranked, RerankRequest, Reranked};
pub use trouble::Trouble;
pub use wire::{Progress, Reader, Wire};
