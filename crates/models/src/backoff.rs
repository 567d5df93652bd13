//! How long to wait before a retry.
//!
//! Owns exponential back-off with jitter. Refuses global randomness: a seed makes every wait repeatable.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// Random waits from one seed (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Debug)]
pub(crate) struct Jitter(AtomicU64);

impl Jitter {
    /// The waits of `seed`, or of a fresh one.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self(AtomicU64::new(seed.unwrap_or_else(|| RandomState::new().build_hasher().finish())))
    }

    /// The wait before retry number `retry` (the first is 1): between half of 50 ms x 2^(retry-1) and all of it, at most 2 s.
    pub(crate) fn wait(&self, retry: u32) -> Duration {
        let doublings = retry.saturating_sub(1).min(10);
        let full = FIRST.saturating_mul(1 << doublings).min(LONGEST);
        full.mul_f64(0.5 + 0.5 * self.unit())
    }

    /// A number from 0 to 1.
    pub(crate) fn unit(&self) -> f64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_within_bounds_and_repeat_by_seed() {
        let (one, same, other) = (Jitter::new(Some(7)), Jitter::new(Some(7)), Jitter::new(Some(8)));
        let mut differs = false;
        for retry in [1, 2, 3, 4, 5, 6, 7, 8, 100, u32::MAX] {
            let wait = one.wait(retry);
            let full = Duration::from_millis(50 << retry.saturating_sub(1).min(10)).min(LONGEST);
            assert!(wait >= full / 2 && wait <= full, "retry {retry} waits {wait:?}");
            assert_eq!(wait, same.wait(retry));
            differs |= wait != other.wait(retry);
        }
        assert!(differs);
    }
}
