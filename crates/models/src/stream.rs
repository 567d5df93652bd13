//! An answer that comes piece by piece.
//!
//! Owns the end of a stream: it is whole, or its last item is an error. Reads only when it is polled, so a slow reader
//! slows the upstream. Refuses to invent a finish reason. Dropping it closes the upstream's connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use api::sse::{Broken, Decoder, Event};
use api::{Chunk, Error};
use futures_core::Stream;
use http_body::Body;
use hyper::body::Incoming;

use crate::clock::Clock;
use crate::dialect::openai::{self, Finished, Said};
use crate::failure::Failure;
use crate::secret::Redactor;
use crate::slots::Slot;
use crate::traffic::Attempt;

/// The longest event that is read.
const EVENT_BYTES_MAX: usize = 4 << 20;
/// After `[DONE]` the rest of the body is read for this long, so that its connection can serve again.
const AFTERMATH: Duration = Duration::from_secs(1);
const AFTERMATH_BYTES_MAX: usize = 16 << 10;

/// A stream of chunks from one upstream.
pub(crate) struct Answer {
    source: Source,
    redactor: Arc<Redactor>,
    request_id: Option<String>,
    /// Read ahead, so that a failure before it could be tried again.
    first: Option<Chunk>,
    /// `None` once the stream has ended.
    under_way: Option<UnderWay>,
}

/// What is given back when the answer ends.
struct UnderWay {
    attempt: Attempt,
    _slot: Option<Slot>,
}

struct Source {
    body: Option<Incoming>,
    decoder: Decoder,
    events: Vec<Event>,
    next: usize,
    finished: Finished,
    clock: Clock,
}

impl Answer {
    /// The answer in `body`, one of `answers` that were asked for.
    pub(crate) fn new(
        body: Incoming,
        answers: u32,
        clock: Clock,
        attempt: Attempt,
        redactor: Arc<Redactor>,
        request_id: Option<String>,
    ) -> Self {
        let source = Source {
            body: Some(body),
            decoder: Decoder::new(EVENT_BYTES_MAX),
            events: Vec::new(),
            next: 0,
            finished: Finished::new(answers),
            clock,
        };
        let under_way = Some(UnderWay { attempt, _slot: None });
        Self { source, redactor, request_id, first: None, under_way }
    }

    /// Waits for the first chunk and keeps it. After a failure the answer has ended.
    pub(crate) async fn open(&mut self) -> Result<(), Failure> {
        let first = std::future::poll_fn(|cx| self.source.poll(cx, &self.redactor)).await;
        match first {
            Some(Ok(chunk)) => {
                self.first = Some(chunk);
                self.source.clock.opened();
                if let Some(under_way) = &self.under_way {
                    under_way.attempt.streaming();
                }
                Ok(())
            }
            Some(Err(failure)) => Err(self.fail(failure)),
            None => Err(self.fail(Failure::garbage("a stream without an answer"))),
        }
    }

    /// Keeps `slot` until the answer ends.
    pub(crate) fn hold(&mut self, slot: Slot) {
        if let Some(under_way) = &mut self.under_way {
            under_way._slot = Some(slot);
        }
    }

    fn fail(&mut self, failure: Failure) -> Failure {
        self.source.body = None;
        if let Some(under_way) = self.under_way.take() {
            under_way.attempt.failed(failure.outcome, failure.error.code);
        }
        failure.of_request(self.request_id.as_deref())
    }
}

impl Stream for Answer {
    type Item = Result<Chunk, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if this.under_way.is_none() {
            return Poll::Ready(None);
        }
        this.source.poll(cx, &this.redactor).map(|item| match item {
            Some(Ok(chunk)) => Some(Ok(chunk)),
            Some(Err(failure)) => Some(Err(this.fail(failure.midway()).error)),
            None => {
                if let Some(under_way) = this.under_way.take() {
                    under_way.attempt.succeeded();
                }
                None
            }
        })
    }
}

impl Source {
    /// The next chunk; `None` after a whole answer.
    fn poll(&mut self, cx: &mut Context<'_>, redactor: &Redactor) -> Poll<Option<Result<Chunk, Failure>>> {
        loop {
            match self.next_said(redactor) {
                Some(Ok(Said::Chunk(chunk))) => {
                    self.finished.note(&chunk);
                    return Poll::Ready(Some(Ok(chunk)));
                }
                Some(Ok(Said::Done)) => return Poll::Ready(self.done(cx)),
                Some(Ok(Said::Nothing)) => continue,
                Some(Err(failure)) => return Poll::Ready(Some(Err(failure))),
                None => {}
            }
            let Some(body) = &mut self.body else { return Poll::Ready(self.ended()) };
            match Pin::new(body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Err(failure) = self.take(frame) {
                        return Poll::Ready(Some(Err(failure)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(Failure::body(&error, redactor))));
                }
                Poll::Ready(None) => {
                    self.body = None;
                    // The last event may lack its empty line. What is cut in the middle is no JSON and fails as such.
                    if self.decoder.is_mid_event() && self.decoder.push(b"\n\n", &mut self.events).is_err() {
                        return Poll::Ready(Some(Err(Failure::cut("the stream ended inside an event"))));
                    }
                }
                Poll::Pending => return self.clock.poll(cx).map(|failure| Some(Err(failure))),
            }
        }
    }

    fn take(&mut self, frame: http_body::Frame<bytes::Bytes>) -> Result<(), Failure> {
        self.clock.heard()?;
        let Ok(bytes) = frame.into_data() else { return Ok(()) };
        self.decoder.push(&bytes, &mut self.events).map_err(|broken| {
            Failure::garbage(match broken {
                Broken::EventTooLarge => "an event over 4 MiB",
                Broken::NotUtf8 => "an event that is not UTF-8",
            })
        })
    }

    fn next_said(&mut self, redactor: &Redactor) -> Option<Result<Said, Failure>> {
        let Some(event) = self.events.get_mut(self.next).map(std::mem::take) else {
            self.events.clear();
            self.next = 0;
            return None;
        };
        self.next += 1;
        let said = openai::event(&event, redactor);
        let was_cut = self.body.is_none();
        Some(said.map_err(|failure| match failure.error.code {
            "upstream_garbage" if was_cut => Failure::cut("the stream ended inside an event"),
            _ => failure,
        }))
    }

    /// `[DONE]` has come.
    fn done(&mut self, cx: &mut Context<'_>) -> Option<Result<Chunk, Failure>> {
        if !self.finished.has_begun() {
            return Some(Err(Failure::garbage("[DONE] without an answer")));
        }
        if let Some(body) = self.body.take() {
            finish_reading(body, cx);
        }
        None
    }

    /// The body has ended without `[DONE]`, which some servers never send.
    fn ended(&self) -> Option<Result<Chunk, Failure>> {
        if self.finished.has_begun() && self.finished.is_whole() {
            return None;
        }
        Some(Err(Failure::cut("the stream ended before its answer did")))
    }
}

/// Reads the little that follows `[DONE]`, mostly nothing but the end: a body dropped before its end costs a connection.
fn finish_reading(mut body: Incoming, cx: &mut Context<'_>) {
    let mut left = AFTERMATH_BYTES_MAX;
    if poll_end(&mut body, &mut left, cx).is_pending()
        && let Ok(runtime) = tokio::runtime::Handle::try_current()
    {
        runtime.spawn(async move {
            let rest = std::future::poll_fn(|cx| poll_end(&mut body, &mut left, cx));
            // Whether it ended in time decides only if the connection can be used again.
            let _ = tokio::time::timeout(AFTERMATH, rest).await;
        });
    }
}

fn poll_end(body: &mut Incoming, left: &mut usize, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let size = frame.data_ref().map_or(0, bytes::Bytes::len);
                match left.checked_sub(size) {
                    Some(rest) => *left = rest,
                    None => return Poll::Ready(()),
                }
            }
            Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
            Poll::Pending => return Poll::Pending,
        }
    }
}
