//! The retry budget of one upstream: what keeps a failing provider from being called more, not less.
//!
//! Owns the law: in any span, retries <= 0.2 x requests + 10 x seconds + [`Budget::BURST`]. Refuses to read a clock: time is given to it.

use tokio::time::Instant;

/// A token bucket that requests and time fill and retries empty. Counts thousandths of a retry.
#[derive(Debug)]
pub(crate) struct Budget {
    thousandths: u64,
    filled_at: Instant,
}

const ONE: u64 = 1_000;
const PER_REQUEST: u64 = ONE / 5;
const PER_MILLISECOND: u64 = 10 * ONE / 1_000;

impl Budget {
    /// The most retries that an idle upstream saves up.
    pub(crate) const BURST: u64 = 10;

    /// A full bucket.
    pub(crate) fn new(now: Instant) -> Self {
        Self { thousandths: Self::BURST * ONE, filled_at: now }
    }

    /// A request came (not a retry of one).
    pub(crate) fn request(&mut self) {
        self.add(PER_REQUEST);
    }

    /// Takes one retry out, or says that there is none.
    pub(crate) fn retry(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled_at);
        let milliseconds = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        // Only whole milliseconds are taken off the clock, so that frequent calls lose nothing.
        self.filled_at += std::time::Duration::from_millis(milliseconds);
        self.add(milliseconds.saturating_mul(PER_MILLISECOND));
        if self.thousandths < ONE {
            return false;
        }
        self.thousandths -= ONE;
        true
    }

    fn add(&mut self, thousandths: u64) {
        self.thousandths = self.thousandths.saturating_add(thousandths).min(Self::BURST * ONE);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn retries_stay_inside_the_law(steps in prop::collection::vec((0u64..400, 0u32..4, 0u32..6), 1..300)) {
            let start = Instant::now();
            let mut now = start;
            let mut budget = Budget::new(now);
            let (mut requests, mut retries) = (0u64, 0u64);
            for (milliseconds, asked, retried) in steps {
                now += Duration::from_millis(milliseconds);
                for _ in 0..asked {
                    budget.request();
                    requests += 1;
                }
                for _ in 0..retried {
                    retries += u64::from(budget.retry(now));
                }
                let allowed = requests as f64 * 0.2 + (now - start).as_secs_f64() * 10.0 + Budget::BURST as f64;
                prop_assert!(retries as f64 <= allowed + 1e-6, "{retries} retries, {allowed} allowed");
            }
        }
    }

    #[test]
    fn time_and_requests_fill_it_again() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        assert_eq!((0..20).filter(|_| budget.retry(start)).count(), 10);
        (0..5).for_each(|_| budget.request());
        assert_eq!((0..20).filter(|_| budget.retry(start)).count(), 1);
        // Ten a second, however often it is asked.
        let taken = (0..=10_000u64).filter(|n| budget.retry(start + Duration::from_micros(n * 100))).count();
        assert_eq!(taken, 10);
    }
}
