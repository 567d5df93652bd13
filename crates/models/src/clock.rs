//! The time of one attempt: until its first event, between its events, and in all.
//!
//! Owns one timer per attempt, which is only wound again when it has run out, so that a busy stream pays nothing for it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::failure::Failure;

/// What an attempt may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The whole call ends here.
    pub(crate) deadline: Instant,
    /// To the first event of a stream.
    pub(crate) first_byte_timeout: Duration,
    /// Between the pieces of a stream.
    pub(crate) idle_timeout: Duration,
}

/// The running time of one attempt.
#[derive(Debug)]
pub(crate) struct Clock {
    limits: Limits,
    began: Instant,
    phase: Phase,
    timer: Pin<Box<Sleep>>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// A whole answer: only the deadline counts.
    Whole,
    /// A stream before its first event.
    Opening,
    /// A stream, last heard then.
    Streaming(Instant),
}

impl Clock {
    /// Starts now.
    pub(crate) fn start(limits: Limits, stream: bool) -> Self {
        let began = Instant::now();
        let phase = if stream { Phase::Opening } else { Phase::Whole };
        let timer = Box::pin(tokio::time::sleep_until(due(limits, began, phase)));
        Self { limits, began, phase, timer }
    }

    /// Something came.
    pub(crate) fn heard(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        if now >= self.limits.deadline {
            return Err(self.late(now));
        }
        if let Phase::Streaming(heard) = &mut self.phase {
            *heard = now;
        }
        Ok(())
    }

    /// The first event came.
    pub(crate) fn opened(&mut self) {
        if let Phase::Opening = self.phase {
            self.phase = Phase::Streaming(Instant::now());
        }
    }

    /// Ready when the time is up.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        let due = due(self.limits, self.began, self.phase);
        if due < self.timer.deadline() {
            self.timer.as_mut().reset(due);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            if now >= due {
                return Poll::Ready(self.late(now));
            }
            self.timer.as_mut().reset(due);
        }
    }

    /// What `work` gives, unless the time is up first.
    pub(crate) async fn guard<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let mut work = pin!(work);
        std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.poll(cx).map(Err),
        })
        .await
    }

    fn late(&self, now: Instant) -> Failure {
        match self.phase {
            _ if now >= self.limits.deadline => {
                Failure::deadline(now - self.began, self.limits.first_byte_timeout)
            }
            Phase::Streaming(heard) => Failure::stalled(now - heard),
            Phase::Opening | Phase::Whole => Failure::no_first_byte(self.limits.first_byte_timeout),
        }
    }
}

fn due(limits: Limits, began: Instant, phase: Phase) -> Instant {
    match phase {
        Phase::Whole => limits.deadline,
        Phase::Opening => limits.deadline.min(began + limits.first_byte_timeout),
        Phase::Streaming(heard) => limits.deadline.min(heard + limits.idle_timeout),
    }
}
