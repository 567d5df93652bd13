//! An answer that comes piece by piece.
//!
//! Owns the end of a stream: it is whole, or its last item is an error. Reads only when it is polled, so a slow reader
//! slows the upstream. Refuses to invent a finish reason. Dropping it closes the upstream's connection.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use api::sse::{Broken, Decoder, Event};
use api::{Chunk, Error};
use dialects::{Progress, Reader, Trouble};
use futures_core::Stream;
use http_body::Body;
use hyper::body::Incoming;

use crate::clock::Clock;
use crate::failure::Failure;
use crate::secret::Redactor;
use crate::slots::Slot;
use crate::traffic::Attempt;

/// The longest event that is read.
const EVENT_BYTES_MAX: usize = 4 << 20;
/// Bytes of a stream for each of a whole answer: every few words come with an event of their own.
const STREAMED: usize = 4;
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
    /// Read, and not given away yet.
    chunks: VecDeque<Chunk>,
    /// What comes after them.
    then: Option<Result<(), Failure>>,
    reader: Reader,
    clock: Clock,
    /// Of the body, before it is too large.
    bytes_left: usize,
}

impl Answer {
    /// The answer in `body`, which `reader` reads.
    pub(crate) fn new(
        body: Incoming,
        reader: Reader,
        clock: Clock,
        attempt: Attempt,
        redactor: Arc<Redactor>,
        request_id: Option<String>,
        bytes_max: usize,
    ) -> Self {
        let source = Source {
            body: Some(body),
            decoder: Decoder::new(EVENT_BYTES_MAX),
            events: Vec::new(),
            chunks: VecDeque::new(),
            then: None,
            reader,
            clock,
            bytes_left: bytes_max.saturating_mul(STREAMED),
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
                if let Some(under_way) = &mut self.under_way {
                    under_way.attempt.opened();
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
            under_way.attempt.failed(&failure);
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
            if let Some(chunk) = self.chunks.pop_front() {
                return Poll::Ready(Some(Ok(chunk)));
            }
            match self.then.take() {
                Some(Ok(())) => {
                    if let Some(body) = self.body.take() {
                        finish_reading(body, cx);
                    }
                    return Poll::Ready(None);
                }
                Some(Err(failure)) => return Poll::Ready(Some(Err(failure))),
                None => {}
            }
            let Some(body) = &mut self.body else {
                self.then =
                    Some(self.reader.ended().map_err(|trouble| Failure::of_trouble(trouble, redactor)));
                continue;
            };
            match Pin::new(body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Err(failure) = self.take(frame) {
                        self.then = Some(Err(failure));
                    }
                }
                Poll::Ready(Some(Err(error))) => self.then = Some(Err(Failure::body(&error, redactor))),
                Poll::Ready(None) => {
                    self.body = None;
                    // The last event may lack its empty line. What is cut in the middle is no JSON and fails as such.
                    if self.decoder.is_mid_event() && self.decoder.push(b"\n\n", &mut self.events).is_err() {
                        self.then = Some(Err(Failure::cut("the stream ended inside an event")));
                    }
                }
                Poll::Pending => return self.clock.poll(cx).map(|failure| Some(Err(failure))),
            }
            self.read_events(redactor);
        }
    }

    fn take(&mut self, frame: http_body::Frame<bytes::Bytes>) -> Result<(), Failure> {
        self.clock.heard()?;
        let Ok(bytes) = frame.into_data() else { return Ok(()) };
        let left = self.bytes_left.checked_sub(bytes.len());
        self.bytes_left = left.ok_or_else(|| Failure::garbage("a stream without an end"))?;
        self.decoder.push(&bytes, &mut self.events).map_err(|broken| {
            Failure::garbage(match broken {
                Broken::EventTooLarge => "an event over 4 MiB",
                Broken::NotUtf8 => "an event that is not UTF-8",
            })
        })
    }

    /// Reads the events at hand, as far as the answer goes. What comes before a failure is still given away.
    fn read_events(&mut self, redactor: &Redactor) {
        for event in self.events.drain(..) {
            match self.reader.event(&event, &mut self.chunks) {
                Ok(Progress::More) => {}
                Ok(Progress::Done) => {
                    self.then = Some(Ok(()));
                    break;
                }
                Err(Trouble::Garbage(_)) if self.body.is_none() => {
                    self.then = Some(Err(Failure::cut("the stream ended inside an event")));
                    break;
                }
                Err(trouble) => {
                    self.then = Some(Err(Failure::of_trouble(trouble, redactor)));
                    break;
                }
            }
        }
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
