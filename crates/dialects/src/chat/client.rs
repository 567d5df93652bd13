//! A client that speaks this dialect: answers are written for it as the house keeps them.
//!
//! Owns the end of a stream.

use api::sse;
use api::{ChatRequest, Chunk, Completion, Error};
use bytes::Bytes;
use serde_json::Value;

/// A client that speaks this dialect.
#[derive(Clone, Debug)]
pub struct Client {
    include_usage: bool,
}

impl Client {
    /// The client that asks `request`.
    pub(crate) fn of(request: &ChatRequest) -> Self {
        Self { include_usage: request.include_usage }
    }

    /// The usage, where the client asked for it, and the event that says that the answer is whole.
    pub(crate) fn finish(&self, answer: &Completion, told: Value) -> Result<Bytes, Error> {
        let Some(usage) = answer.usage.clone().filter(|_| self.include_usage) else { return Ok(sse::DONE) };
        let mut last = Chunk::of_usage(&answer.id, answer.created, &answer.model, usage);
        if !told.is_null() {
            last.extra.insert("pointsman".to_owned(), told);
        }
        let last = sse::data(&last).map_err(Error::internal)?;
        Ok([last, sse::DONE].concat().into())
    }
}
