//! What is known of how long an endpoint takes to its first byte.
//!
//! Owns two estimates: the peak-sensitive average that endpoints are compared by (after Finagle's peak-EWMA: a slow
//! answer counts at once, fast ones take its weight off over [`TAU`]) and the quantile that a hedge waits for. Refuses to
//! read a clock: time is given to it.

use std::time::Duration;

use tokio::time::Instant;

/// After this long without news an estimate has lost two thirds of its height, so that a once slow endpoint is tried again.
const TAU: Duration = Duration::from_secs(10);
/// No estimate is below this: faster is noise.
const LEAST: f64 = 0.001;

/// The peak-sensitive average.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peak {
    seconds: f64,
    at: Instant,
}

impl Peak {
    /// Nothing known: as fast as can be, so that it will be tried.
    pub(crate) fn new(now: Instant) -> Self {
        Self { seconds: 0.0, at: now }
    }

    /// A first byte came after `took`.
    pub(crate) fn observe(&mut self, took: Duration, now: Instant) {
        let took = took.as_secs_f64();
        let kept = self.kept(now);
        self.seconds = if took >= self.seconds { took } else { took + (self.seconds - took) * kept };
        self.at = now;
    }

    /// None had come after `waited`.
    pub(crate) fn at_least(&mut self, waited: Duration, now: Instant) {
        if waited.as_secs_f64() > self.seconds() {
            self.observe(waited, now);
        }
    }

    /// The estimate as it was last observed, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.seconds.max(LEAST)
    }

    /// The estimate now, in seconds.
    pub(crate) fn now(&self, now: Instant) -> f64 {
        (self.seconds * self.kept(now)).max(LEAST)
    }

    fn kept(&self, now: Instant) -> f64 {
        (-now.saturating_duration_since(self.at).as_secs_f64() / TAU.as_secs_f64()).exp()
    }
}

/// A quantile of times, over about the last [`MEMORY`] of them: counts in buckets that grow by an eighth of an octave
/// (9 %) from a microsecond on.
#[derive(Debug)]
pub(crate) struct Quantile {
    counts: Box<[u32; BUCKETS]>,
    total: u32,
}

const BUCKETS: usize = 8 * 36;
/// Halved when it is reached, so that old times fade.
const MEMORY: u32 = 2_000;
/// Fewer say nothing.
const OBSERVATIONS_MIN: u32 = 50;

impl Quantile {
    /// Nothing observed.
    pub(crate) fn new() -> Self {
        Self { counts: Box::new([0; BUCKETS]), total: 0 }
    }

    /// A first byte came after `took`.
    pub(crate) fn observe(&mut self, took: Duration) {
        if self.total >= MEMORY {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().sum();
        }
        let octaves = (took.as_secs_f64() * 1e6).max(1.0).log2();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 or more, and `as` saturates"
        )]
        let bucket = (octaves * 8.0) as usize;
        self.counts[bucket.min(BUCKETS - 1)] += 1;
        self.total += 1;
    }

    /// The time within which the share `quantile` of all first bytes came, rounded up; `None` while too little is known.
    pub(crate) fn at(&self, quantile: f64) -> Option<Duration> {
        if self.total < OBSERVATIONS_MIN {
            return None;
        }
        let wanted = quantile * f64::from(self.total);
        let mut seen = 0u32;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            f64::from(seen) >= wanted
        })?;
        let microseconds = ((bucket + 1) as f64 / 8.0).exp2();
        Some(Duration::from_secs_f64(microseconds / 1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_counts_at_once_and_fades() {
        let start = Instant::now();
        let mut peak = Peak::new(start);
        assert_eq!(peak.now(start), LEAST);
        peak.observe(Duration::from_millis(100), start);
        peak.observe(Duration::from_secs(2), start);
        assert_eq!(peak.now(start), 2.0);
        peak.at_least(Duration::from_secs(1), start);
        assert_eq!(peak.now(start), 2.0, "a shorter wait says nothing");
        peak.at_least(Duration::from_secs(3), start);
        assert_eq!(peak.now(start), 3.0);
        let later = start + TAU;
        peak.observe(Duration::from_millis(100), later);
        assert!((1.0..1.3).contains(&peak.now(later)), "{peak:?}");
        assert!(peak.now(later + TAU * 20) <= LEAST);
    }

    #[test]
    fn a_quantile_is_right_within_a_bucket_and_forgets() {
        let mut quantile = Quantile::new();
        for n in 1..=49 {
            quantile.observe(Duration::from_millis(n));
        }
        assert_eq!(quantile.at(0.5), None, "49 are too few");
        for n in 50..=1_000 {
            quantile.observe(Duration::from_millis(n));
        }
        for (share, expected) in [(0.5, 0.5), (0.9, 0.9), (0.99, 0.99), (0.999, 0.999)] {
            let got = quantile.at(share).expect("enough").as_secs_f64();
            assert!((expected..expected * 1.1).contains(&got), "{share}: {got}");
        }
        (0..20_000).for_each(|_| quantile.observe(Duration::from_micros(10)));
        assert!(quantile.at(0.9).expect("enough") < Duration::from_micros(12));
        for odd in [Duration::ZERO, Duration::MAX] {
            quantile.observe(odd);
        }
    }
}
