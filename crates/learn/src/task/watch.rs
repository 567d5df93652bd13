//! The watch over what is served: has it begun to disagree too often, have requests begun to look strange?
//!
//! Owns two sequential tests that may be asked after every observation, in memory that does not grow. Refuses to say what
//! follows from an alarm: the gateway demotes.
//!
//! Both are bets against "all is well". Each bet multiplies its stake by a factor that is 1 in the mean as long as all is
//! well; by Ville's inequality the wealth then ever exceeds `1 / alpha` with a probability of at most `alpha`, however
//! long the watch lasts. So that a long calm does not bury a change, the stake is not laid down at once: a part of it
//! enters at every observation, in shares that fall slowly and sum to 1 (a mixture over the moment of the change; Shafer
//! and Vovk, *Game-Theoretic Foundations for Probability and Finance*, 2019; Shin, Ramdas and Rinaldo, *E-detectors*, 2023).

use serde::{Deserialize, Serialize};

use super::binomial::error_bound;

/// Rates that are bet on, as multiples of the level.
const RATES: [f64; 4] = [1.5, 2.0, 3.0, 6.0];
/// The highest rate that is bet on.
const RATE_MAX: f64 = 0.9;
/// Bets on strange requests: `share x power x typicality^(power - 1) + 1 - share`, as (share, power). All win only from a
/// change that matters, so that the roundness of a typicality that was measured on some hundred examples wins nothing.
const STRANGE: [(f64, f64); 3] = [(0.3, 0.3), (0.6, 0.4), (1.0, 0.5)];
/// Typicalities below count as this: one request may not win everything.
const TYPICALITY_MIN: f64 = 1e-3;
/// `share(t) = SHARE / ((t + 1) ln^2(t + 1))` sums to just below 1 over t from 1.
const SHARE: f64 = 0.47;

/// That something has changed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// Observations until it was raised.
    pub seen: u64,
    /// The wealth of the bets: how many times likelier than under "all is well" what was seen has become.
    pub evidence: f64,
    /// The mean of everything observed: the share of disagreements, or the mean typicality (0.5 if all is well).
    pub mean: f64,
}

/// A sum of bets that begin at every moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Bets {
    alpha: f64,
    seen: u64,
    sum: f64,
    /// The wealth of each kind of bet, without what is not yet laid down.
    wealth: Vec<f64>,
    raised: Option<Alarm>,
}

impl Bets {
    fn new(alpha: f64, kinds: usize) -> Self {
        let alpha = if alpha > 0.0 { alpha.min(1.0) } else { f64::MIN_POSITIVE };
        Self { alpha, seen: 0, sum: 0.0, wealth: vec![0.0; kinds], raised: None }
    }

    /// Takes in an observation and the factor that each kind of bet wins by it. An alarm is told once.
    fn see(&mut self, value: f64, factors: impl Iterator<Item = f64>) -> Option<Alarm> {
        self.seen += 1;
        self.sum += value;
        if self.raised.is_some() {
            return None;
        }
        let time = self.seen as f64 + 1.0;
        let laid = SHARE / (time * time.ln().powi(2));
        for (wealth, factor) in self.wealth.iter_mut().zip(factors) {
            *wealth = (*wealth + laid) * factor;
        }
        let evidence = self.wealth.iter().sum::<f64>() / self.wealth.len().max(1) as f64;
        if evidence * self.alpha >= 1.0 {
            self.raised = Some(Alarm { seen: self.seen, evidence, mean: self.mean() });
        }
        self.raised
    }

    fn mean(&self) -> f64 {
        self.sum / self.seen.max(1) as f64
    }
}

/// Watches audited answers: has the share of disagreements risen above the certificate's level?
///
/// By simulation, with `level` 0.05 and `alpha` 0.05: after 1,000 audits with 2 % disagreement a jump to 15 % is noticed
/// within a median of 151 audits, at the beginning within 51. At 5 % throughout, 34 of
/// 1,000 watches of 10,000 audits raised an alarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgreementWatch {
    level: f64,
    disagreed: u64,
    bets: Bets,
}

impl AgreementWatch {
    /// A watch that raises a false alarm with a probability of at most `alpha`, ever, as long as each audited answer
    /// disagrees with a probability of at most `level`, whatever came before it.
    pub fn new(level: f64, alpha: f64) -> Self {
        Self { level: level.clamp(1e-6, 0.5), disagreed: 0, bets: Bets::new(alpha, RATES.len()) }
    }

    /// Takes in one audited answer. The alarm is told once; see [`Self::raised`] for later.
    pub fn see(&mut self, disagreed: bool) -> Option<Alarm> {
        self.disagreed += u64::from(disagreed);
        let level = self.level;
        let factors = RATES.iter().map(|times| {
            let rate = (times * level).min(RATE_MAX);
            if disagreed { rate / level } else { (1.0 - rate) / (1.0 - level) }
        });
        self.bets.see(f64::from(u8::from(disagreed)), factors)
    }

    /// The alarm, if there was one.
    pub fn raised(&self) -> Option<Alarm> {
        self.bets.raised
    }

    /// Audited answers so far.
    pub fn seen(&self) -> u64 {
        self.bets.seen
    }

    /// The share of disagreements so far; 0 before the first audit.
    pub fn rate(&self) -> f64 {
        self.bets.mean()
    }

    /// The Clopper-Pearson upper bound of the share of disagreements at `confidence`; 1 before the first audit. It holds at a
    /// moment chosen beforehand, not at one chosen by what was seen: that is what the alarm is for.
    pub fn bound(&self, confidence: f64) -> f64 {
        let count = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        error_bound(count(self.disagreed), count(self.bets.seen), confidence)
    }
}

/// Watches typicalities: have requests begun to look unlike the examples? A conformal test martingale (Vovk, Nouretdinov
/// and Gammerman 2003) that bets on small values.
///
/// By simulation, with `alpha` 0.01, typicalities taken among 1,000 examples: after 5,000 ordinary requests it notices
/// within a median of 55 requests that a third has become strange (typicality below 0.05), within 1,047 that a
/// tenth has. Without a change, 1 of 200 watches of 20,000 requests raised an alarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftWatch {
    bets: Bets,
}

impl DriftWatch {
    /// A watch that raises a false alarm with a probability of at most `alpha`, ever, as long as typicalities are not
    /// smaller than uniform ones, whatever came before them.
    pub fn new(alpha: f64) -> Self {
        Self { bets: Bets::new(alpha, STRANGE.len()) }
    }

    /// Takes in the typicality of one request, 0 to 1, small for a strange one. The alarm is told once; see
    /// [`Self::raised`] for later.
    pub fn see(&mut self, typicality: f32) -> Option<Alarm> {
        let value = f64::from(typicality);
        let value = if value.is_nan() { 1.0 } else { value.clamp(TYPICALITY_MIN, 1.0) };
        let factors =
            STRANGE.iter().map(|(share, power)| share * power * value.powf(power - 1.0) + 1.0 - share);
        self.bets.see(value, factors)
    }

    /// The alarm, if there was one.
    pub fn raised(&self) -> Option<Alarm> {
        self.bets.raised
    }

    /// Requests so far.
    pub fn seen(&self) -> u64 {
        self.bets.seen
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Dice;

    /// Audits until the alarm, at `before` for `calm` audits and at `after` then; none within 10,000.
    fn audits(seed: u64, calm: u64, before: f32, after: f32) -> Option<u64> {
        let mut dice = Dice::new(seed);
        let mut watch = AgreementWatch::new(0.05, 0.05);
        let rate = |time| if time < calm { before } else { after };
        (0..10_000).find_map(|time| watch.see(dice.uniform() < rate(time))).map(|alarm| alarm.seen)
    }

    /// Requests until the alarm; typicalities are ranks among 1,000 examples, `after` is the share of strange ones.
    fn requests(seed: u64, calm: usize, after: f32, length: usize) -> Option<u64> {
        let mut dice = Dice::new(seed);
        let mut examples: Vec<f32> = (0..1000).map(|_| dice.uniform()).collect();
        examples.sort_by(f32::total_cmp);
        let mut watch = DriftWatch::new(0.01);
        (0..length)
            .find_map(|time| {
                let strange = time >= calm && dice.uniform() < after;
                let drawn = if strange { 0.05 * dice.uniform() } else { dice.uniform() };
                let below = examples.partition_point(|example| *example < drawn);
                watch.see((below as f32 + 0.5) / 1001.0)
            })
            .map(|alarm| alarm.seen)
    }

    fn median(mut delays: Vec<Option<u64>>, calm: u64) -> u64 {
        delays.sort_by_key(|delay| delay.unwrap_or(u64::MAX));
        delays[delays.len() / 2].map_or(u64::MAX, |seen| seen.saturating_sub(calm))
    }

    #[test]
    fn disagreement_at_the_level_rarely_alarms() {
        let alarms = (0..1000).filter(|&seed| audits(seed, 0, 0.05, 0.05).is_some()).count();
        assert!(alarms <= 50, "{alarms} of 1000");
    }

    #[test]
    fn a_jump_of_disagreement_is_noticed_even_after_a_long_calm() {
        let late = median((0..200).map(|seed| audits(seed, 1000, 0.02, 0.15)).collect(), 1000);
        let soon = median((0..200).map(|seed| audits(seed, 0, 0.02, 0.15)).collect(), 0);
        assert!(late < 300 && soon < 150, "{late} {soon}");
    }

    #[test]
    fn ordinary_requests_rarely_alarm() {
        let alarms = (0..200).filter(|&seed| requests(seed, 20_000, 0.0, 20_000).is_some()).count();
        assert!(alarms <= 4, "{alarms} of 200");
    }

    #[test]
    fn strange_requests_are_noticed_even_after_a_long_calm() {
        let third = median((0..60).map(|seed| requests(seed, 5000, 0.33, 20_000)).collect(), 5000);
        let tenth = median((0..60).map(|seed| requests(seed, 5000, 0.1, 20_000)).collect(), 5000);
        assert!(third < 200 && tenth < 3000, "{third} {tenth}");
    }

    #[test]
    fn an_alarm_is_told_once_and_kept() {
        let mut watch = AgreementWatch::new(0.05, 0.05);
        let alarms: Vec<Alarm> = (0..100).filter_map(|_| watch.see(true)).collect();
        assert_eq!((alarms.len(), watch.raised()), (1, Some(alarms[0])));
        assert_eq!((watch.seen(), watch.rate(), watch.bound(0.95)), (100, 1.0, 1.0));
        let stored = serde_json::to_string(&watch).unwrap();
        assert_eq!(serde_json::from_str::<AgreementWatch>(&stored).unwrap(), watch);
    }

    #[test]
    fn shares_sum_to_less_than_one() {
        let share = |time: u64| SHARE / ((time as f64 + 1.0) * (time as f64 + 1.0).ln().powi(2));
        // The rest of the sum is below the integral from there on.
        let sum: f64 = (1..1_000_000).map(share).sum();
        assert!(sum + SHARE / 1e6_f64.ln() <= 1.0, "{sum}");
    }

    proptest! {
        #[test]
        fn no_bet_wins_in_the_mean(level in 0.001_f64..0.5, below in 0.0_f64..1.0) {
            for times in RATES {
                let (rate, truth) = ((times * level).min(RATE_MAX), below * level);
                let mean = truth * rate / level + (1.0 - truth) * (1.0 - rate) / (1.0 - level);
                prop_assert!(mean <= 1.0 + 1e-12, "{mean}");
            }
        }

        #[test]
        fn anything_may_be_seen(values in prop::collection::vec(any::<f32>(), 0..200)) {
            let mut watch = DriftWatch::new(0.01);
            for value in values {
                watch.see(value);
            }
            prop_assert!(watch.bets.wealth.iter().all(|wealth| wealth.is_finite()));
        }
    }

    #[test]
    fn bets_on_strange_requests_are_fair() {
        for (share, power) in STRANGE {
            let steps = 1_000_000;
            let factor =
                |value: f64| share * power * value.max(TYPICALITY_MIN).powf(power - 1.0) + 1.0 - share;
            let mean: f64 =
                (0..steps).map(|step| factor((f64::from(step) + 0.5) / f64::from(steps))).sum::<f64>()
                    / f64::from(steps);
            assert!((0.9..=1.0 + 1e-6).contains(&mean), "{share} {power}: {mean}");
        }
    }
}
