//! Second attempts at calls that are slow to begin.
//!
//! Owns when a call has waited long enough for one, and the cap on their share. Refuses a hedge before enough first bytes
//! have been seen to know what slow is.

use std::time::Duration;

use api::Error;

use crate::latency::Quantile;
use crate::question::Form;

/// When a call that has not begun to answer gets a second attempt beside the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hedge {
    /// Of the times to the first byte, from 0.5 to 0.999: who waits longer than that is hedged.
    pub quantile: f64,
    /// Of all calls, above 0 and at most 0.5. Hedges are also retries: they come out of the same budget.
    pub share_max: f64,
}

impl Hedge {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if !(0.5..=0.999).contains(&self.quantile) {
            return Err(Error::field("hedge.quantile", "`hedge.quantile` must be from 0.5 to 0.999."));
        }
        if !(self.share_max > 0.0 && self.share_max <= 0.5) {
            return Err(Error::field(
                "hedge.share_max",
                "`hedge.share_max` must be above 0 and at most 0.5.",
            ));
        }
        Ok(())
    }
}

/// What is known for hedging one upstream's calls.
#[derive(Debug)]
pub(crate) struct Hedging {
    /// Of each form of answer: they take very different times.
    times: [Quantile; Form::COUNT],
    /// Hedges that calls have earned and nobody has taken.
    earned: f64,
}

/// What an idle upstream saves up.
const EARNED_MAX: f64 = 10.0;

impl Hedging {
    /// Nothing known, nothing earned.
    pub(crate) fn new() -> Self {
        Self { times: std::array::from_fn(|_| Quantile::new()), earned: 0.0 }
    }

    /// A call came.
    pub(crate) fn request(&mut self, hedge: Hedge) {
        self.earned = (self.earned + hedge.share_max).min(EARNED_MAX);
    }

    /// A first byte came after `took`.
    pub(crate) fn observe(&mut self, form: Form, took: Duration) {
        self.times[form.place()].observe(took);
    }

    /// How long a call waits for its first byte before it is hedged.
    pub(crate) fn after(&self, hedge: Hedge, form: Form) -> Option<Duration> {
        self.times[form.place()].at(hedge.quantile)
    }

    /// Whether there is a hedge to be had.
    pub(crate) fn has_one(&self) -> bool {
        self.earned >= 1.0
    }

    /// Takes it.
    pub(crate) fn take(&mut self) {
        self.earned -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hedges_stay_under_their_share() {
        let hedge = Hedge { quantile: 0.9, share_max: 0.05 };
        let mut hedging = Hedging::new();
        let mut taken = 0;
        for calls in 1..=1_000u32 {
            hedging.request(hedge);
            while hedging.has_one() {
                hedging.take();
                taken += 1;
            }
            assert!(f64::from(taken) <= f64::from(calls) * 0.05 + 1e-9, "{taken} of {calls}");
        }
        assert!(taken >= 49);
        for _ in 0..10_000 {
            hedging.request(hedge);
        }
        assert!(hedging.earned <= EARNED_MAX);
    }

    #[test]
    fn odd_wishes_are_refused_by_name() {
        for (quantile, share_max, field) in [
            (0.4, 0.1, "hedge.quantile"),
            (1.0, 0.1, "hedge.quantile"),
            (f64::NAN, 0.1, "hedge.quantile"),
            (0.9, 0.0, "hedge.share_max"),
            (0.9, 0.6, "hedge.share_max"),
            (0.9, f64::NAN, "hedge.share_max"),
        ] {
            let error = Hedge { quantile, share_max }.check().expect_err("odd");
            assert_eq!(error.param.as_deref(), Some(field));
        }
        Hedge { quantile: 0.95, share_max: 0.5 }.check().expect("good");
    }
}
