//! The circuit breaker of one upstream.
//!
//! Owns when a failing upstream is left alone and how it is tried again: one probe at a time. An attempt counts by how it
//! *ends*, a stream at its last byte. Refuses to read a clock: time is given to it.

use std::time::Duration;

use tokio::time::Instant;

/// What one attempt says about the upstream's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It answered as it should, a refusal included.
    Good,
    /// It failed.
    Bad,
    /// Nothing can be said: the client left, or our caller's own deadline came first.
    Unknown,
}

/// Whether an upstream is being called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// It is called.
    Closed,
    /// It is left alone for a moment.
    Open,
    /// One probe is finding out whether it has recovered.
    HalfOpen,
}

/// Whether an attempt would be let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It would.
    Open,
    /// It would, as the probe.
    ProbeDue,
    /// Not for this long.
    Resting(Duration),
}

/// The permission for one attempt; a result counts only in the era that it was given in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    era: u64,
    /// This attempt decides whether the breaker closes.
    pub(crate) probe: bool,
}

/// Opens when at least [`FAILURES_MIN`] and half of the attempts of the last 5 to 10 seconds failed.
#[derive(Debug)]
pub(crate) struct Breaker {
    state: State,
    era: u64,
    /// Openings since the last good end: each wait is twice the one before.
    openings: u32,
    /// Just closed by a probe that is still streaming: the next failure opens again at once.
    on_trial: bool,
    window: Window,
}

#[derive(Debug)]
enum State {
    Closed,
    Open {
        until: Instant,
    },
    Probing {
        /// Since when the probe has been giving a stream.
        streaming: Option<Instant>,
    },
}

const FAILURES_MIN: u32 = 5;
const SHORTEST: Duration = Duration::from_millis(500);
const DOUBLINGS_MAX: u32 = 2;
/// A probe that has streamed for this long lets the others in: an answer can take minutes, and healing must be seen in
/// 5 s. The longest wait and this stay below that together.
const STREAMING_ENOUGH: Duration = Duration::from_secs(2);
/// What the others are told while the probe is out.
const PROBE_HINT: Duration = Duration::from_secs(1);

impl Breaker {
    /// A closed breaker.
    pub(crate) fn new(now: Instant) -> Self {
        Self { state: State::Closed, era: 0, openings: 0, on_trial: false, window: Window::new(now) }
    }

    /// Lets an attempt through, or says when to come back.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<Ticket, Duration> {
        match self.state {
            State::Closed => {}
            State::Open { until } if now < until => return Err(until - now),
            State::Open { .. } => {
                self.state = State::Probing { streaming: None };
                return Ok(Ticket { era: self.era, probe: true });
            }
            State::Probing { streaming: Some(since) } if now >= since + STREAMING_ENOUGH => {
                self.close(now);
                self.on_trial = true;
            }
            State::Probing { .. } => return Err(PROBE_HINT),
        }
        Ok(Ticket { era: self.era, probe: false })
    }

    /// The attempt has begun to stream.
    pub(crate) fn streaming(&mut self, ticket: Ticket, now: Instant) {
        if let State::Probing { streaming: streaming @ None } = &mut self.state
            && ticket.probe
            && ticket.era == self.era
        {
            *streaming = Some(now);
        }
    }

    /// The attempt has ended.
    pub(crate) fn settle(&mut self, ticket: Ticket, outcome: Outcome, now: Instant) {
        if ticket.era != self.era {
            return;
        }
        match (&self.state, outcome) {
            (State::Closed, Outcome::Good) => {
                self.window.count(now, false);
                self.on_trial = false;
                self.openings = 0;
            }
            (State::Closed, Outcome::Bad) => {
                self.window.count(now, true);
                if self.on_trial || self.window.trips(now) {
                    self.open(now);
                }
            }
            (State::Probing { .. }, Outcome::Good) => {
                self.close(now);
                self.openings = 0;
            }
            (State::Probing { .. }, Outcome::Bad) => self.open(now),
            // The next request is the probe.
            (State::Probing { .. }, Outcome::Unknown) => self.state = State::Open { until: now },
            (State::Closed, Outcome::Unknown) | (State::Open { .. }, _) => {}
        }
    }

    /// What [`Breaker::admit`] would say, without taking the probe's place.
    pub(crate) fn standing(&self, now: Instant) -> Standing {
        match self.state {
            State::Closed => Standing::Open,
            State::Open { until } if now < until => Standing::Resting(until - now),
            State::Open { .. } => Standing::ProbeDue,
            State::Probing { streaming: Some(since) } if now >= since + STREAMING_ENOUGH => Standing::Open,
            State::Probing { .. } => Standing::Resting(PROBE_HINT),
        }
    }

    /// Whether the upstream is being called.
    pub(crate) fn state(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::Probing { .. } => BreakerState::HalfOpen,
        }
    }

    /// Attempts and failures that ended in the last 5 to 10 seconds of being closed.
    pub(crate) fn recent(&mut self, now: Instant) -> (u32, u32) {
        self.window.sums(now)
    }

    fn open(&mut self, now: Instant) {
        let wait = SHORTEST * (1 << self.openings.min(DOUBLINGS_MAX));
        self.openings = self.openings.saturating_add(1);
        self.era = self.era.wrapping_add(1);
        self.on_trial = false;
        self.state = State::Open { until: now + wait };
    }

    fn close(&mut self, now: Instant) {
        self.state = State::Closed;
        self.on_trial = false;
        self.window = Window::new(now);
    }
}

/// Counts over the running 5 seconds and the 5 before them.
#[derive(Debug)]
struct Window {
    since: Instant,
    running: (u32, u32),
    before: (u32, u32),
}

const SPAN: Duration = Duration::from_secs(5);

impl Window {
    fn new(now: Instant) -> Self {
        Self { since: now, running: (0, 0), before: (0, 0) }
    }

    fn count(&mut self, now: Instant, failed: bool) {
        self.turn(now);
        self.running.0 = self.running.0.saturating_add(1);
        self.running.1 = self.running.1.saturating_add(u32::from(failed));
    }

    fn trips(&mut self, now: Instant) -> bool {
        let (attempts, failures) = self.sums(now);
        failures >= FAILURES_MIN && failures.saturating_mul(2) >= attempts
    }

    fn sums(&mut self, now: Instant) -> (u32, u32) {
        self.turn(now);
        (self.running.0.saturating_add(self.before.0), self.running.1.saturating_add(self.before.1))
    }

    fn turn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        if passed >= SPAN * 2 {
            *self = Self::new(now);
        } else if passed >= SPAN {
            self.before = std::mem::take(&mut self.running);
            self.since += SPAN;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(start: Instant) -> Breaker {
        let mut breaker = Breaker::new(start);
        for _ in 0..FAILURES_MIN {
            let ticket = breaker.admit(start).expect("closed");
            breaker.settle(ticket, Outcome::Bad, start);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker
    }

    #[test]
    fn it_opens_on_failures_and_recovers_by_one_probe() {
        let start = Instant::now();
        let mut breaker = opened(start);
        assert_eq!(breaker.admit(start).expect_err("open"), SHORTEST);
        let later = start + SHORTEST;
        let probe = breaker.admit(later).expect("a probe");
        assert!(probe.probe);
        for _ in 0..100 {
            breaker.admit(later).expect_err("one probe only");
        }
        breaker.settle(probe, Outcome::Good, later);
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert!(!breaker.admit(later).expect("closed").probe);
    }

    #[test]
    fn each_failed_probe_doubles_the_wait_up_to_two_seconds() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for wait in [500, 1000, 2000, 2000, 2000] {
            assert_eq!(breaker.admit(now).expect_err("open"), Duration::from_millis(wait));
            now += Duration::from_millis(wait);
            let probe = breaker.admit(now).expect("a probe");
            breaker.settle(probe, Outcome::Bad, now);
        }
    }

    #[test]
    fn a_probe_of_which_nothing_is_known_leaves_its_place_to_the_next() {
        let start = Instant::now();
        let mut breaker = opened(start);
        let later = start + SHORTEST;
        let probe = breaker.admit(later).expect("a probe");
        breaker.settle(probe, Outcome::Unknown, later);
        assert!(breaker.admit(later).expect("the next probe").probe);
    }

    #[test]
    fn a_long_stream_as_probe_lets_others_in_on_trial() {
        let start = Instant::now();
        let mut breaker = opened(start);
        let later = start + SHORTEST;
        let probe = breaker.admit(later).expect("a probe");
        breaker.streaming(probe, later);
        breaker.admit(later + STREAMING_ENOUGH / 2).expect_err("not yet");
        let enough = later + STREAMING_ENOUGH;
        assert!(!breaker.admit(enough).expect("let in").probe);
        // And the probe's bad end opens at once, for longer.
        breaker.settle(probe, Outcome::Bad, enough);
        assert_eq!(breaker.admit(enough).expect_err("open"), SHORTEST * 2);
    }

    #[test]
    fn results_of_an_earlier_era_and_rare_failures_do_not_count() {
        let start = Instant::now();
        let mut breaker = Breaker::new(start);
        let early = breaker.admit(start).expect("closed");
        for _ in 0..FAILURES_MIN {
            let ticket = breaker.admit(start).expect("closed");
            breaker.settle(ticket, Outcome::Bad, start);
        }
        let later = start + SHORTEST;
        let probe = breaker.admit(later).expect("a probe");
        breaker.settle(early, Outcome::Good, later);
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        breaker.settle(probe, Outcome::Good, later);

        for n in 0..100u32 {
            let now = later + Duration::from_millis(u64::from(n) * 100);
            let ticket = breaker.admit(now).expect("closed");
            let outcome = if n.is_multiple_of(3) { Outcome::Bad } else { Outcome::Good };
            breaker.settle(ticket, outcome, now);
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        let (attempts, failures) = breaker.recent(later + Duration::from_secs(10));
        assert!(attempts <= 100 && failures <= 34, "{attempts} {failures}");
        assert_eq!(breaker.recent(later + Duration::from_secs(60)), (0, 0));
    }
}
