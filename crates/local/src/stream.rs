//! What a context writes, as its readers want it: chunks of a chat, or the continuation of a text.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use api::{Chunk, Error, Usage};
use futures_core::Stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep_until};

use crate::answer::{Ending, Event, Piece, Told};
use crate::choice::Choice;
use crate::errors;

/// How a text goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Continuation {
    /// The text, without the stop string that ended it.
    pub text: String,
    /// The mean of the natural logarithms of its tokens' probabilities under the model; 0 for an empty text.
    pub mean_logprob: f32,
    /// `stop`: the model or a stop string ended it; `length`: it was cut.
    pub finish_reason: &'static str,
    /// Tokens read and written.
    pub usage: Usage,
}

/// The events of one answer, ended by its deadline even where no context ever takes it up.
pub(crate) struct Events {
    events: mpsc::Receiver<Event>,
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Events {
    /// Reads what is sent to `events` until `deadline`.
    pub(crate) fn new(events: mpsc::Receiver<Event>, deadline: Instant) -> Self {
        Self { events, deadline, timer: None }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        match self.events.poll_recv(context) {
            Poll::Ready(Some(event)) => return Poll::Ready(event),
            Poll::Ready(None) => return Poll::Ready(Event::Failed(self.dropped())),
            Poll::Pending => {}
        }
        // Made here because only here a runtime is certain.
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(self.deadline.into())));
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Event::Failed(errors::too_slow())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Why the job was dropped without a word: it waited past its deadline and made room, or the queue was closed.
    fn dropped(&self) -> Error {
        if Instant::now() >= self.deadline { errors::too_slow() } else { errors::closing() }
    }
}

/// Waits for a choice.
pub(crate) async fn choice(mut events: Events) -> Result<(Choice, Usage), Error> {
    match std::future::poll_fn(|context| events.poll(context)).await {
        Event::Chosen(choice, usage) => Ok((choice, usage)),
        Event::Failed(error) => Err(error),
        Event::Piece(_) | Event::End(_) => Err(Error::internal("a text came where a choice was asked for")),
    }
}

/// Gathers a whole continuation, and the logarithm of its probability, its end included.
pub(crate) async fn continuation(mut events: Events) -> Result<(Continuation, f64), Error> {
    let mut text = String::new();
    let (mut sum, mut count) = (0.0_f32, 0.0_f32);
    loop {
        match std::future::poll_fn(|context| events.poll(context)).await {
            Event::Piece(piece) => {
                text.push_str(&piece.text);
                for told in &piece.tokens {
                    sum += told.logprob;
                    count += 1.0;
                }
            }
            Event::End(ending) => {
                let mean_logprob = if count > 0.0 { sum / count } else { 0.0 };
                let Ending { reason, usage, logprob } = ending;
                return Ok((Continuation { text, mean_logprob, finish_reason: reason, usage }, logprob));
            }
            Event::Chosen(..) => return Err(Error::internal("a choice came where a text was asked for")),
            Event::Failed(error) => return Err(error),
        }
    }
}

/// What every chunk of an answer repeats.
pub(crate) struct Head {
    /// The answer's id.
    pub(crate) id: String,
    /// Seconds since 1970.
    pub(crate) created: u64,
    /// The model's public name.
    pub(crate) model: String,
}

/// The chunks of one chat answer: opening, texts, ending, usage. The opening waits for the first text, so that a failure
/// before it is the stream's first item.
pub(crate) struct ChatStream {
    events: Events,
    head: Head,
    likelihoods: bool,
    ready: VecDeque<Chunk>,
    opened: bool,
    ended: bool,
}

impl ChatStream {
    /// The chunks of what comes by `events`.
    pub(crate) fn new(events: Events, head: Head, likelihoods: bool) -> Self {
        Self { events, head, likelihoods, ready: VecDeque::new(), opened: false, ended: false }
    }

    fn open(&mut self) {
        if !std::mem::replace(&mut self.opened, true) {
            let Head { id, created, model } = &self.head;
            self.ready.push_back(Chunk::opening(id, *created, model));
        }
    }

    fn tell(&mut self, piece: Piece) {
        self.open();
        let Head { id, created, model } = &self.head;
        let mut chunk = Chunk::text(id, *created, model, piece.text);
        if self.likelihoods
            && let Some(choice) = chunk.choices.first_mut()
        {
            choice.extra.insert("logprobs".to_owned(), logprobs(&piece.tokens));
        }
        self.ready.push_back(chunk);
    }

    fn end(&mut self, ending: Ending) {
        self.open();
        let Head { id, created, model } = &self.head;
        self.ready.push_back(Chunk::ending(id, *created, model, ending.reason));
        self.ready.push_back(Chunk::of_usage(id, *created, model, ending.usage));
        self.ended = true;
    }
}

impl Stream for ChatStream {
    type Item = Result<Chunk, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(chunk)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match self.events.poll(context) {
                Poll::Ready(Event::Piece(piece)) => self.tell(piece),
                Poll::Ready(Event::End(ending)) => self.end(ending),
                Poll::Ready(Event::Chosen(..)) => {
                    self.ended = true;
                    let said = "a choice came where a text was asked for";
                    return Poll::Ready(Some(Err(Error::internal(said))));
                }
                Poll::Ready(Event::Failed(error)) => {
                    self.ended = true;
                    self.events.events.close();
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// OpenAI's `logprobs` object.
fn logprobs(tokens: &[Told]) -> Value {
    let entry = |bytes: &[u8], logprob: f32| {
        let mut entry = serde_json::Map::new();
        entry.insert("token".to_owned(), json!(String::from_utf8_lossy(bytes)));
        entry.insert("logprob".to_owned(), json!(logprob));
        entry.insert("bytes".to_owned(), json!(bytes));
        entry
    };
    let content: Vec<Value> = tokens
        .iter()
        .map(|told| {
            let best: Vec<Value> =
                told.best.iter().map(|(bytes, logprob)| Value::Object(entry(bytes, *logprob))).collect();
            let mut object = entry(&told.bytes, told.logprob);
            object.insert("top_logprobs".to_owned(), Value::Array(best));
            Value::Object(object)
        })
        .collect();
    json!({ "content": content, "refusal": null })
}
