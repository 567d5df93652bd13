//! An answer whose head has come and is that of what was asked for.
//!
//! Owns the way from a good head to a read body, and the settling of its attempt: as whole, as failed, or by the stream that
//! takes it over. Refuses a body over its cap, and refuses to read a large one on a thread that others wait for.

use std::sync::Arc;

use bytes::Bytes;
use dialects::{Reader, Trouble, Wire};
use hyper::body::Incoming;

use crate::clock::Clock;
use crate::failure::{Again, Failure};
use crate::secret::Redactor;
use crate::stream::Answer;
use crate::traffic::Attempt;
use crate::whole::{self, Unread};

/// Bodies from this size on, which are mostly vectors, are read off the runtime's threads: they take milliseconds.
const LARGE_BYTES: usize = 256 << 10;

/// An answer whose head has come.
pub(crate) struct Arrival {
    pub(crate) wire: Wire,
    pub(crate) body: Incoming,
    /// The largest whole body.
    pub(crate) bytes_max: usize,
    pub(crate) clock: Clock,
    pub(crate) attempt: Attempt,
    pub(crate) redactor: Arc<Redactor>,
    /// The upstream's own name for the request.
    pub(crate) request_id: Option<String>,
}

impl Arrival {
    /// Waits for the first piece of a stream.
    pub(crate) async fn stream(self, reader: Reader) -> Result<Box<Answer>, Failure> {
        let Self { body, bytes_max, clock, attempt, redactor, request_id, .. } = self;
        let mut answer = Box::new(Answer::new(body, reader, clock, attempt, redactor, request_id, bytes_max));
        answer.open().await?;
        Ok(answer)
    }

    /// Waits for all of it and reads it.
    pub(crate) async fn whole<T: Send + 'static>(
        self,
        read: impl FnOnce(&[u8]) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Failure> {
        let Self { body, bytes_max, mut clock, mut attempt, redactor, request_id, .. } = self;
        match all(body, bytes_max, &mut clock, &redactor, read).await {
            Ok(given) => {
                attempt.opened();
                attempt.succeeded();
                Ok(given)
            }
            Err(failure) => {
                let failure = failure.of_request(request_id.as_deref());
                attempt.failed(&failure);
                Err(failure)
            }
        }
    }
}

async fn all<T: Send + 'static>(
    body: Incoming,
    bytes_max: usize,
    clock: &mut Clock,
    redactor: &Redactor,
    read: impl FnOnce(&[u8]) -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Failure> {
    match clock.guard(whole::read(body, bytes_max)).await? {
        Ok(body) => understood(body, read).await.map_err(|trouble| Failure::of_trouble(trouble, redactor)),
        Err(Unread::TooLarge) => {
            let mut failure = Failure::garbage(format!("an answer over {bytes_max} bytes"));
            failure.again = Again::No;
            Err(failure)
        }
        Err(Unread::Broken(error)) => Err(Failure::body(&error, redactor)),
    }
}

async fn understood<T: Send + 'static>(
    body: Bytes,
    read: impl FnOnce(&[u8]) -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    if body.len() < LARGE_BYTES {
        return read(&body);
    }
    let read = tokio::task::spawn_blocking(move || read(&body)).await;
    read.unwrap_or_else(|stopped| Err(Trouble::Garbage(format!("its reading stopped: {stopped}"))))
}
