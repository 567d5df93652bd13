//! OpenAI's chat completions, as OpenAI and everything compatible with it speaks them.
//!
//! Owns the writing of a request and the reading of answers, whole and by events. Refuses to drop what it does not know:
//! unknown fields pass both ways. Refuses an answer without choices, and an error dressed as an answer.

mod answer;
mod body;
mod client;
mod reader;

pub(crate) use answer::whole;
pub(crate) use body::body;
pub(crate) use client::{Client, is_plain};
pub(crate) use reader::Reader;
