//! What one upstream's calls tell about it, and what they are allowed.
//!
//! Owns the one lock over breaker and retry budget, held for a few instructions at a time. Refuses an attempt without an
//! end: dropping one unsettled says that nothing is known.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::breaker::{Breaker, BreakerState, Outcome, Ticket};
use crate::budget::Budget;

/// How an upstream is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it is being called.
    pub breaker: BreakerState,
    /// Answers under way, streams until their end.
    pub in_flight: usize,
    /// Attempts that ended in the last 5 to 10 seconds.
    pub recent_attempts: u32,
    /// Those of them that failed.
    pub recent_failures: u32,
    /// The code of the latest failure, as in [`api::Error::code`].
    pub last_failure: Option<&'static str>,
}

/// Breaker and budget of one upstream.
#[derive(Debug)]
pub(crate) struct Traffic {
    name: Box<str>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    budget: Budget,
    last_failure: Option<&'static str>,
}

impl Traffic {
    pub(crate) fn new(name: &str) -> Arc<Self> {
        let now = Instant::now();
        let state = State { breaker: Breaker::new(now), budget: Budget::new(now), last_failure: None };
        Arc::new(Self { name: name.into(), state: Mutex::new(state) })
    }

    /// The first attempt of a request, or when to come back.
    pub(crate) fn first(self: &Arc<Self>) -> Result<Attempt, Duration> {
        let mut state = self.lock();
        state.budget.request();
        let ticket = state.breaker.admit(Instant::now())?;
        Ok(self.attempt(ticket))
    }

    /// Takes a retry out of the budget, or says that there is none.
    pub(crate) fn pay_retry(&self) -> bool {
        self.lock().budget.retry(Instant::now())
    }

    /// A further attempt, which has been paid for, or when to come back.
    pub(crate) fn again(self: &Arc<Self>) -> Result<Attempt, Duration> {
        let ticket = self.lock().breaker.admit(Instant::now())?;
        Ok(self.attempt(ticket))
    }

    /// How the upstream is doing.
    pub(crate) fn health(&self, in_flight: usize) -> Health {
        let mut state = self.lock();
        let (recent_attempts, recent_failures) = state.breaker.recent(Instant::now());
        Health {
            breaker: state.breaker.state(),
            in_flight,
            recent_attempts,
            recent_failures,
            last_failure: state.last_failure,
        }
    }

    fn attempt(self: &Arc<Self>, ticket: Ticket) -> Attempt {
        Attempt { traffic: Arc::clone(self), ticket: Some(ticket) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counters stay usable whatever their last writer did.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One attempt under way.
#[derive(Debug)]
pub(crate) struct Attempt {
    traffic: Arc<Traffic>,
    ticket: Option<Ticket>,
}

impl Attempt {
    /// The first part of a stream has come.
    pub(crate) fn streaming(&self) {
        if let Some(ticket) = self.ticket.filter(|ticket| ticket.probe) {
            self.traffic.lock().breaker.streaming(ticket, Instant::now());
        }
    }

    /// The whole answer has come.
    pub(crate) fn succeeded(mut self) {
        self.settle(Outcome::Good, None);
    }

    /// It failed, which says `outcome` about the upstream.
    pub(crate) fn failed(mut self, outcome: Outcome, code: &'static str) {
        self.settle(outcome, Some(code));
    }

    fn settle(&mut self, outcome: Outcome, code: Option<&'static str>) {
        let Some(ticket) = self.ticket.take() else { return };
        let mut state = self.traffic.lock();
        let before = state.breaker.state();
        state.breaker.settle(ticket, outcome, Instant::now());
        let after = state.breaker.state();
        state.last_failure = code.or(state.last_failure);
        drop(state);
        let upstream = &*self.traffic.name;
        match (before, after) {
            (BreakerState::Closed | BreakerState::HalfOpen, BreakerState::Open)
                if outcome == Outcome::Bad =>
            {
                tracing::warn!(upstream, code, "upstream keeps failing and is left alone for a moment");
            }
            (BreakerState::HalfOpen, BreakerState::Closed) => {
                tracing::info!(upstream, "upstream has recovered");
            }
            _ => {}
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.settle(Outcome::Unknown, None);
    }
}
