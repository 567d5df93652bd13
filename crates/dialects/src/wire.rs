//! What a provider speaks.

use std::collections::VecDeque;

use api::sse::Event;
use api::{ChatRequest, Chunk, Completion, Error};
use bytes::Bytes;

use crate::{Trouble, chat, gemini, messages, responses};

/// What a provider speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wire {
    /// OpenAI's chat completions, and whatever is compatible with them.
    #[default]
    Chat,
    /// The same, below Azure's paths: only where a call goes and how its key is sent differ.
    Azure,
    /// Google's `generateContent`.
    Gemini,
    /// Anthropic's messages.
    Messages,
    /// OpenAI's Responses.
    Responses,
}

/// Whether an answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More may come.
    More,
    /// The answer is whole: nothing of it comes after this event.
    Done,
}

impl Wire {
    /// The request's body for the provider's model `model`, with the usage asked for.
    ///
    /// # Errors
    /// A 400 naming the first field that this dialect has no words for, with the code `unsupported_by_target`.
    pub fn body(self, request: &ChatRequest, model: &str) -> Result<Bytes, Error> {
        match self {
            Self::Chat | Self::Azure => chat::body(request, model),
            Self::Gemini => gemini::body(request, model),
            Self::Messages => messages::body(request, model),
            Self::Responses => responses::body(request, model),
        }
    }

    /// Reads a whole answer.
    ///
    /// # Errors
    /// It is an error, or no answer.
    pub fn whole(self, body: &[u8]) -> Result<Completion, Trouble> {
        match self {
            Self::Chat | Self::Azure => chat::whole(body),
            Self::Gemini => gemini::whole(body),
            Self::Messages => messages::whole(body),
            Self::Responses => responses::whole(body),
        }
    }

    /// A reader of one streamed reply that should hold `answers` answers.
    pub fn reader(self, answers: u32) -> Reader {
        match self {
            Self::Chat | Self::Azure => Reader::Chat(chat::Reader::new(answers)),
            Self::Gemini => Reader::Gemini(gemini::Reader::new(answers)),
            Self::Messages => Reader::Messages(messages::Reader::default()),
            Self::Responses => Reader::Responses(Box::new(responses::Reader::new())),
        }
    }
}

/// Reads one streamed reply, event by event.
#[derive(Debug)]
pub enum Reader {
    /// By [`Wire::Chat`] and [`Wire::Azure`].
    Chat(chat::Reader),
    /// By [`Wire::Gemini`].
    Gemini(gemini::Reader),
    /// By [`Wire::Messages`].
    Messages(messages::Reader),
    /// By [`Wire::Responses`].
    Responses(Box<responses::Reader>),
}

impl Reader {
    /// Reads an event and appends what it adds to `chunks`.
    ///
    /// # Errors
    /// It is an error, no event of the dialect, or an end without an answer.
    pub fn event(&mut self, event: &Event, chunks: &mut VecDeque<Chunk>) -> Result<Progress, Trouble> {
        match self {
            Self::Chat(reader) => reader.event(event, chunks),
            Self::Gemini(reader) => reader.event(event, chunks),
            Self::Messages(reader) => reader.event(event, chunks),
            Self::Responses(reader) => reader.event(event, chunks),
        }
    }

    /// The bytes have ended without an event that says so, which some servers never send.
    ///
    /// # Errors
    /// The answer was cut.
    pub fn ended(&self) -> Result<(), Trouble> {
        match self {
            Self::Chat(reader) => reader.ended(),
            Self::Gemini(reader) => reader.ended(),
            Self::Messages(reader) => reader.ended(),
            Self::Responses(reader) => reader.ended(),
        }
    }
}
