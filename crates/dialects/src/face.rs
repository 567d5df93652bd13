//! What a client speaks.

use api::{ChatRequest, Chunk, Completion, Error, sse};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{chat, completions, messages, responses};

/// What a client speaks, by the endpoint that it calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /v1/messages`.
    Messages,
    /// `POST /v1/completions`.
    Completions,
    /// `POST /v1/responses`.
    Responses,
}

/// One client's call: what it takes to write the answer in its dialect.
#[derive(Clone, Debug)]
pub enum Client {
    /// By [`Face::Chat`].
    Chat(chat::Client),
    /// By [`Face::Messages`].
    Messages,
    /// By [`Face::Completions`].
    Completions(completions::Client),
    /// By [`Face::Responses`].
    Responses(responses::Client),
}

/// Writes one streamed answer.
#[derive(Debug)]
pub enum Writer {
    /// By [`Face::Chat`].
    Chat(chat::Client),
    /// By [`Face::Messages`].
    Messages(messages::Writer),
    /// By [`Face::Completions`].
    Completions(completions::Writer),
    /// By [`Face::Responses`].
    Responses(Box<responses::Writer>),
}

impl Face {
    /// Reads and checks a request's body.
    ///
    /// # Errors
    /// A 400 naming the first field that is not what it should be, or that the house has no words for.
    pub fn read(self, body: Map<String, Value>) -> Result<(ChatRequest, Client), Error> {
        match self {
            Self::Chat => {
                let request = ChatRequest::from_body(body)?;
                let client = Client::Chat(chat::Client::of(&request));
                Ok((request, client))
            }
            Self::Messages => Ok((messages::read(body)?, Client::Messages)),
            Self::Completions => {
                let (request, client) = completions::read(body)?;
                Ok((request, Client::Completions(client)))
            }
            Self::Responses => {
                let (request, client) = responses::read(body)?;
                Ok((request, Client::Responses(client)))
            }
        }
    }

    /// The body of a refusal. `request_id` names the exchange where the dialect has a place for it.
    /// What a target's dialect has no words for is named as the client called it.
    pub fn refusal(self, error: &Error, request_id: &str) -> Value {
        match self {
            Self::Messages => messages::refusal(&messages::in_own_words(error.clone()), request_id),
            Self::Responses => responses::in_own_words(error.clone()).body(),
            Self::Chat | Self::Completions => error.body(),
        }
    }
}

impl Client {
    /// The body of a whole answer.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn whole(&self, completion: &Completion) -> Result<Bytes, Error> {
        match self {
            Self::Chat(client) => client.whole(completion),
            Self::Messages => messages::write_whole(completion),
            Self::Completions(client) => client.whole(completion),
            Self::Responses(client) => client.whole(completion),
        }
    }

    /// Whether this answer is written as the house keeps it.
    pub fn writes_as_kept(&self, completion: &Completion) -> bool {
        matches!(self, Self::Chat(_)) && chat::is_plain(completion)
    }

    /// A writer of this call's answer as a stream.
    pub fn writer(&self) -> Writer {
        match self {
            Self::Chat(client) => Writer::Chat(client.clone()),
            Self::Messages => Writer::Messages(messages::Writer::default()),
            Self::Completions(client) => Writer::Completions(completions::Writer::new(client.clone())),
            Self::Responses(client) => Writer::Responses(Box::new(responses::Writer::new(client.clone()))),
        }
    }
}

impl Writer {
    /// The same, told beforehand how many tokens the prompt is held to have: Anthropic's streams begin with that count, and
    /// say what was really counted at their end. Every other dialect says it at the end alone.
    #[must_use]
    pub fn with_prompt_tokens(self, estimate: u64) -> Self {
        match self {
            Self::Messages(writer) => Self::Messages(writer.with_prompt_tokens(estimate)),
            other => other,
        }
    }

    /// The events that pass a chunk on: none, where the dialect has nothing to say of it. Its usage has its own place at the end, in [`Writer::finish`].
    ///
    /// # Errors
    /// They cannot be written as JSON.
    pub fn chunk(&mut self, chunk: &Chunk) -> Result<Bytes, Error> {
        match self {
            Self::Chat(client) => client.chunk(chunk),
            Self::Messages(writer) => writer.chunk(chunk),
            Self::Completions(writer) => writer.chunk(chunk),
            Self::Responses(writer) => writer.chunk(chunk),
        }
    }

    /// The events that end a whole answer: `answer` is all of it, with its usage, and `told` is what the gateway has to
    /// say about the exchange, under `pointsman` (null: nothing).
    ///
    /// # Errors
    /// They cannot be written as JSON.
    pub fn finish(&mut self, answer: &Completion, told: Value) -> Result<Bytes, Error> {
        match self {
            Self::Chat(client) => client.finish(answer, told),
            Self::Messages(writer) => writer.finish(answer, &told),
            Self::Completions(writer) => writer.finish(answer, told),
            Self::Responses(writer) => writer.finish(answer, told),
        }
    }

    /// The event that ends a broken answer.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn broken(&mut self, error: &Error) -> Result<Bytes, Error> {
        match self {
            Self::Messages(_) => messages::Writer::broken(error),
            Self::Chat(_) | Self::Completions(_) => sse::data(&error.body()).map_err(Error::internal),
            Self::Responses(writer) => writer.broken(error),
        }
    }

    /// What keeps an idle connection open.
    pub fn heartbeat(&self) -> Bytes {
        match self {
            Self::Messages(_) => messages::Writer::heartbeat(),
            Self::Chat(_) | Self::Completions(_) | Self::Responses(_) => sse::HEARTBEAT,
        }
    }
}
