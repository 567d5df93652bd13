//! How long each target takes, as seen by this process: quantiles that forget.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Buckets grow by 15 %: a quantile read from them is within 7 % of the observed one.
const GROWTH: f64 = 1.15;
/// From 0.1 ms to about an hour.
const BUCKETS: usize = 128;
const LOWEST_SECONDS: f64 = 1e-4;
/// After every observation older ones weigh a little less: half after about 140 of them.
const KEEP: f64 = 0.995;
/// Below this weight the prior of the operator's file is the better guess.
const WEIGHT_MIN: f64 = 5.0;

/// A decayed histogram of durations.
#[derive(Clone, Debug)]
struct Histogram {
    weights: [f64; BUCKETS],
    /// What one new observation weighs; it grows instead of every old weight shrinking.
    unit: f64,
    total: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { weights: [0.0; BUCKETS], unit: 1.0, total: 0.0 }
    }
}

impl Histogram {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the buckets")]
    fn observe(&mut self, duration: Duration) {
        let steps = (duration.as_secs_f64().max(LOWEST_SECONDS) / LOWEST_SECONDS).ln() / GROWTH.ln();
        let bucket = steps.clamp(0.0, (BUCKETS - 1) as f64) as usize;
        self.unit /= KEEP;
        self.weights[bucket] += self.unit;
        self.total += self.unit;
        if self.unit > 1e100 {
            let unit = self.unit;
            self.weights.iter_mut().for_each(|weight| *weight /= unit);
            self.total /= unit;
            self.unit = 1.0;
        }
    }

    fn quantile(&self, share: f64) -> Option<Duration> {
        if self.total / self.unit < WEIGHT_MIN {
            return None;
        }
        let mut left = self.total * share;
        let bucket = self.weights.iter().position(|weight| {
            left -= weight;
            left <= 0.0
        });
        let steps = bucket.unwrap_or(BUCKETS - 1) as f64 + 0.5;
        Some(Duration::from_secs_f64(LOWEST_SECONDS * GROWTH.powf(steps)))
    }
}

#[derive(Debug, Default)]
struct Observed {
    first_token: Histogram,
    per_token: Histogram,
}

/// The latencies of all targets. Names come from the operator's files, so the map is bounded.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Mutex<HashMap<String, Observed>>);

impl Latencies {
    /// An answer of `tokens` tokens began after `first_token` and was whole after `whole`.
    pub(crate) fn observe(&self, model: &str, first_token: Duration, whole: Duration, tokens: u64) {
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !models.contains_key(model) {
            models.insert(model.to_owned(), Observed::default());
        }
        let Some(observed) = models.get_mut(model) else { return };
        observed.first_token.observe(first_token);
        if let Ok(more @ 1..) = u32::try_from(tokens.saturating_sub(1)) {
            observed.per_token.observe(whole.saturating_sub(first_token) / more);
        }
    }

    /// The quantile `share` of the time to the first token and of the time per further token; `None` before there is
    /// evidence.
    pub(crate) fn quantile(&self, model: &str, share: f64) -> Option<(Duration, Duration)> {
        let models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let observed = models.get(model)?;
        let first_token = observed.first_token.quantile(share)?;
        Some((first_token, observed.per_token.quantile(share).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_follow_what_is_observed_and_forget() {
        let latencies = Latencies::default();
        assert_eq!(latencies.quantile("m", 0.5), None);
        let observe = |ms: u64, times: usize| {
            for _ in 0..times {
                latencies.observe("m", Duration::from_millis(ms), Duration::from_millis(ms * 11), 11);
            }
        };
        let check = |low: f64, high: f64| {
            let (first, per_token) = latencies.quantile("m", 0.5).expect("evidence");
            let (first, per_token) = (first.as_secs_f64() * 1e3, per_token.as_secs_f64() * 1e3);
            assert!((low..=high).contains(&first), "{first}");
            assert!((low..=high).contains(&per_token), "{per_token}");
        };
        observe(100, 50);
        check(92.0, 108.0);
        observe(10, 400);
        check(9.2, 10.8);
    }
}
