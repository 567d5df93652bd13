//! Classify: a request in, its signals and its vector out.
//!
//! Owns the sentence encoder (the one home of fastembed), the cheap features, the exemplars' form, and the rules for what
//! needs no training: private data, injection, language, noise, token counts, the output contract. Refuses training and
//! deciding: heads come from `learn` through the gateway, choices are `policy`'s.

mod classifier;
mod contract;
mod cues;
mod discovery;
mod encoder;
mod exemplars;
mod features;
mod gist;
mod grams;
mod hub;
mod injection;
mod language;
mod lexicon;
mod library;
mod lines;
mod noise;
mod outline;
mod private;
mod reading;
mod strong;
mod structure;
mod tokens;
mod view;
mod words;

pub use classifier::{Classifier, NO, Stage, YES};
pub use discovery::{Discovery, Proposal, Seen, Shape};
pub use encoder::{DESCRIBED_PARTS, Encoder, EncoderOptions};
pub use exemplars::{Exemplar, TRAINED, read_exemplars};
pub use features::{CHEAP_WIDTH, Features};
pub use gist::{Gist, nearest};
pub use grams::{Rarity, Terms};
pub use language::language;
pub use noise::noise;
pub use private::{Finding, find_private};
pub use reading::{READING_SCHEME, Reading};
pub use tokens::{estimate_tokens, tokens_in};
pub use view::View;
