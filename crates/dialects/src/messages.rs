//! Anthropic's messages: what a client of `POST /v1/messages` writes and is answered, and what a provider that speaks it
//! is asked and answers.
//!
//! Owns both directions of both. Refuses by name what Anthropic has no words for (`n` over 1, `seed`, `logprobs`,
//! `response_format: json_object`, a temperature over 1, ...), and to call an answer whole before `message_stop`.
//!
//! **Only hints are left out**, because no answer depends on them. To Anthropic: `metadata`, `prompt_cache_key`,
//! `prompt_cache_retention`, `safety_identifier`, `store: false`, an image's `detail`, a schema's `name`, `description` and
//! `strict`, a tool message's `name`; of an assistant's earlier turn, what only its own provider can read
//! (`reasoning_content` without a signature, `reasoning_items`, `annotations`). To others, from a messages client: a
//! document's, a block's and a tool's `cache_control` travels as an extra key.
//!
//! **Citations** with an address are chat's `url_citation` annotations too. Those of another provider are put into a whole
//! answer's blocks where that says the same, with the `encrypted_index` that only Anthropic could give left empty, and are
//! taken out again when such a turn goes to Anthropic. A stream has gone by when its annotations come, so there, and
//! where an annotation has no address, they stand beside the answer under `annotations`.
//!
//! `max_tokens` is required there: where a chat client gives none, it is [`MAX_TOKENS_DEFAULT`].
//!
//! **What chat has no words for** travels in an answer under `provider_specific_fields.anthropic_blocks`: from the first
//! block that chat cannot hold in its place, every block of the answer, complete. In a stream, an empty list there says
//! that such a block of text begins.

mod answer;
mod ask;
mod blocks;
mod body;
mod citations;
mod reader;
mod tools;
mod usage;
mod writer;

pub(crate) use answer::{refusal, whole, write_whole};
pub(crate) use ask::in_own_words;
pub(crate) use ask::read;
pub use ask::read_for_count;
pub(crate) use body::body;
pub(crate) use reader::Reader;
pub(crate) use writer::Writer;

/// The most tokens of an answer where a chat client names no limit: every model of Anthropic's can write that many.
pub(crate) const MAX_TOKENS_DEFAULT: u64 = 4096;

/// The key of the chat body, and the prefix of a part's type, under which this dialect's own words travel.
const OWN: &str = "anthropic";
