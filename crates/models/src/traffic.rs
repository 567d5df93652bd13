//! What one endpoint's calls tell about it.
//!
//! Owns the one lock over breaker, latency and the time that an endpoint is left out for, held for a few instructions at
//! a time. Refuses an attempt without an end: dropping one unsettled says that nothing is known.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::breaker::{Breaker, BreakerState, Outcome, Standing, Ticket};
use crate::failure::{Failure, Shun};
use crate::latency::Peak;
use crate::question::Form;

/// How an upstream, or one endpoint of it, is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it is being called. Of an upstream: its best endpoint's.
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

/// How an endpoint stands for the next call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stand {
    /// It may be called; the less, the better.
    Open(f64),
    /// Its breaker wants a probe.
    ProbeDue,
    /// It works, but not for us until then.
    Shunned(Instant),
    /// Its breaker lets nobody through for this long.
    Resting(Duration),
}

/// What is known of one endpoint.
#[derive(Debug)]
pub(crate) struct Traffic {
    name: Box<str>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    last_failure: Option<&'static str>,
    in_flight: usize,
    /// To the first byte of each form of answer: they take very different times.
    latency: [Peak; Form::COUNT],
    shunned: Option<Instant>,
    /// Times that it was left out since it last answered: each is longer than the one before.
    shuns: u32,
}

/// The first time that an endpoint with a refused key is left out, and the longest.
const KEY_SHUN: Duration = Duration::from_secs(5);
/// The same for one that has had too many requests and does not say when to come back.
const LOAD_SHUN: Duration = Duration::from_secs(1);
const SHUN_MAX: Duration = Duration::from_secs(300);
/// A failure counts as an answer that was at least this slow.
const FAILURE: Duration = Duration::from_secs(1);

impl Traffic {
    /// An endpoint of the upstream `name` of which nothing is known.
    pub(crate) fn new(name: &str) -> Arc<Self> {
        let now = Instant::now();
        let state = State {
            breaker: Breaker::new(now),
            last_failure: None,
            in_flight: 0,
            latency: [Peak::new(now); Form::COUNT],
            shunned: None,
            shuns: 0,
        };
        Arc::new(Self { name: name.into(), state: Mutex::new(state) })
    }

    /// How it stands for a call.
    pub(crate) fn stand(&self, form: Form, now: Instant) -> Stand {
        let state = self.lock();
        match state.breaker.standing(now) {
            Standing::Resting(wait) => Stand::Resting(wait),
            _ if state.shunned.is_some_and(|until| now < until) => {
                Stand::Shunned(state.shunned.unwrap_or(now))
            }
            Standing::ProbeDue => Stand::ProbeDue,
            Standing::Open => {
                let latency = state.latency[form.place()].now(now);
                Stand::Open(latency * (state.in_flight as f64 + 1.0))
            }
        }
    }

    /// Begins an attempt, or says when to come back.
    pub(crate) fn begin(self: &Arc<Self>, form: Form) -> Result<Attempt, Duration> {
        let now = Instant::now();
        let mut state = self.lock();
        let ticket = state.breaker.admit(now)?;
        state.in_flight += 1;
        drop(state);
        Ok(Attempt { traffic: Arc::clone(self), ticket: Some(ticket), form, began: now, opened: false })
    }

    /// Its key is another one now: what was held against the old one is forgotten.
    pub(crate) fn new_key(&self) {
        let mut state = self.lock();
        state.shunned = None;
        state.shuns = 0;
    }

    /// How the endpoint is doing.
    pub(crate) fn health(&self) -> Health {
        let mut state = self.lock();
        let (recent_attempts, recent_failures) = state.breaker.recent(Instant::now());
        Health {
            breaker: state.breaker.state(),
            in_flight: state.in_flight,
            recent_attempts,
            recent_failures,
            last_failure: state.last_failure,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counters stay usable whatever their last writer did.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn shun(&mut self, shun: Shun, now: Instant) {
        let already = self.shunned.is_some_and(|until| now < until);
        let longer = |first: Duration| (first * (1 << self.shuns.min(9))).min(SHUN_MAX);
        let wait = match shun {
            // Those that were under way when the first one failed say nothing new.
            Shun::Key if already => return,
            Shun::Key => longer(KEY_SHUN),
            Shun::Load(Some(wait)) => wait.min(SHUN_MAX),
            Shun::Load(None) if already => return,
            Shun::Load(None) => longer(LOAD_SHUN),
        };
        self.shuns = self.shuns.saturating_add(1);
        self.shunned = Some(self.shunned.unwrap_or(now).max(now + wait));
    }
}

/// One attempt under way.
#[derive(Debug)]
pub(crate) struct Attempt {
    traffic: Arc<Traffic>,
    ticket: Option<Ticket>,
    form: Form,
    began: Instant,
    opened: bool,
}

impl Attempt {
    /// Whether it decides if the breaker closes.
    pub(crate) fn is_probe(&self) -> bool {
        self.ticket.is_some_and(|ticket| ticket.probe)
    }

    /// The first part of a stream, or all of a whole answer, has come.
    pub(crate) fn opened(&mut self) {
        let now = Instant::now();
        self.opened = true;
        let mut state = self.traffic.lock();
        state.latency[self.form.place()].observe(now - self.began, now);
        if let Some(ticket) = self.ticket.filter(|ticket| ticket.probe && self.form == Form::Stream) {
            state.breaker.streaming(ticket, now);
        }
    }

    /// The whole answer has come.
    pub(crate) fn succeeded(mut self) {
        self.settle(Outcome::Good, None);
    }

    /// It failed.
    pub(crate) fn failed(mut self, failure: &Failure) {
        self.settle(failure.outcome, Some(failure));
    }

    fn settle(&mut self, outcome: Outcome, failure: Option<&Failure>) {
        let Some(ticket) = self.ticket.take() else { return };
        let now = Instant::now();
        let mut state = self.traffic.lock();
        let before = state.breaker.state();
        state.breaker.settle(ticket, outcome, now);
        let after = state.breaker.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        let code = failure.map(|failure| failure.error.code);
        state.last_failure = code.or(state.last_failure);
        let waited = now - self.began;
        match (outcome, failure.map(Failure::shun)) {
            (Outcome::Good, None) => (state.shunned, state.shuns) = (None, 0),
            (_, Some(Some(shun))) => state.shun(shun, now),
            (Outcome::Bad, _) => state.latency[self.form.place()].at_least(waited.max(FAILURE), now),
            (Outcome::Unknown, _) if !self.opened => {
                state.latency[self.form.place()].at_least(waited, now);
            }
            _ => {}
        }
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
