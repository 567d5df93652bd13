//! How sure an answer must be before it may be served: thresholds with a guarantee.
//!
//! Owns the bound and the test. Refuses to promise anything about requests that are drawn otherwise than the examples
//! were: the guarantee holds for new examples exchangeable with those tested, and for a reference whose labels are the
//! ones tested against. It is a bound on the share of wrong answers *among accepted ones*.

use serde::{Deserialize, Serialize};

/// Thresholds tried, each accepting one more such part of the examples.
const STEPS: usize = 50;
/// The first threshold accepts as many examples as hold this many errors at the level, if that is not over half of all.
const FIRST_ERRORS: f64 = 10.0;
/// Terms of the continued fraction; it converges in a few dozen.
const TERMS_MAX: usize = 300;
/// Halvings of the interval that holds the bound.
const HALVINGS: usize = 60;

/// A threshold with what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// The share of wrong answers among accepted ones that is not exceeded.
    pub level: f64,
    /// How sure that is, say 0.95.
    pub confidence: f64,
    /// Answers with at least this score are accepted; `None` if no threshold could be certified.
    pub threshold: Option<f32>,
    /// The share of the examples that it accepts.
    pub coverage: f64,
    /// The share of wrong answers among the accepted examples.
    pub disagreement: f64,
    /// How many examples were tested.
    pub examples: usize,
}

/// How a certificate's threshold fares on a slice of examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SliceReport {
    /// Examples of the slice.
    pub n: usize,
    /// Those whose answers are accepted.
    pub accepted: usize,
    /// The share of wrong answers among the accepted ones.
    pub disagreement: f64,
    /// The Clopper-Pearson upper bound of that share at the certificate's confidence; 1 where nothing is accepted.
    pub bound: f64,
}

impl Certificate {
    /// Finds the lowest threshold whose disagreement is certified: thresholds are tested from a strict one on, each by the
    /// Clopper-Pearson bound at `confidence`, and the first that fails ends the search. Testing in a fixed order keeps the
    /// chance of any false promise below `1 - confidence` (Learn then Test, Angelopoulos et al. 2021). The first accepts so
    /// many examples that a few unlucky errors among them do not end the search at once.
    ///
    /// `scores` and `right` must come from a model that had not seen those examples.
    pub fn find(scores: &[f32], right: &[bool], level: f64, confidence: f64) -> Self {
        let mut ranked: Vec<(f32, bool)> = scores.iter().copied().zip(right.iter().copied()).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let examples = ranked.len();
        let mut certificate =
            Self { level, confidence, threshold: None, coverage: 0.0, disagreement: 0.0, examples };
        // With fewer, no threshold could pass even if all were right.
        let least = ((1.0 - confidence).ln() / (1.0 - level).ln()).ceil() as usize;
        let first = ((FIRST_ERRORS / level) as usize).min(examples / 2).max(least);
        let (mut wrong, mut accepted) = (0_usize, 0_usize);
        for step in 1..=STEPS {
            let wanted = examples * step / STEPS;
            // Equal scores cannot be told apart: they are accepted together.
            while accepted < examples
                && (accepted < wanted || (accepted > 0 && ranked[accepted].0 == ranked[accepted - 1].0))
            {
                wrong += usize::from(!ranked[accepted].1);
                accepted += 1;
            }
            if accepted < first {
                continue;
            }
            if error_bound(wrong, accepted, confidence) > level {
                break;
            }
            certificate.threshold = Some(ranked[accepted - 1].0);
            certificate.coverage = accepted as f64 / examples as f64;
            certificate.disagreement = wrong as f64 / accepted as f64;
        }
        certificate
    }

    /// How the certificate's threshold fares on some of the examples, or on others: those in one language, say.
    pub fn slice(&self, scores: &[f32], right: &[bool]) -> SliceReport {
        let accepted = scores.iter().zip(right).filter(|(score, _)| self.accepts(**score));
        let (mut count, mut wrong) = (0, 0);
        for (_, right) in accepted {
            count += 1;
            wrong += usize::from(!right);
        }
        SliceReport {
            n: scores.len().min(right.len()),
            accepted: count,
            disagreement: crate::metrics::ratio(wrong as f64, count as f64),
            bound: error_bound(wrong, count, self.confidence),
        }
    }

    /// Whether an answer of this score may be served.
    pub fn accepts(&self, score: f32) -> bool {
        self.threshold.is_some_and(|threshold| score >= threshold)
    }
}

/// The Clopper-Pearson upper bound: the rate of errors that would show `errors` or fewer among `count` in only
/// `1 - confidence` of samples. 1 where nothing was counted.
pub fn error_bound(errors: usize, count: usize, confidence: f64) -> f64 {
    if errors >= count {
        return 1.0;
    }
    let (a, b) = (errors as f64 + 1.0, (count - errors) as f64);
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if beta_share(middle, a, b) < confidence {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The regularised incomplete beta function by its continued fraction (Lentz's method).
fn beta_share(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return f64::from(u8::from(x >= 1.0));
    }
    let front = (log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(x, a, b) / a
    } else {
        1.0 - front * beta_fraction(1.0 - x, b, a) / b
    }
}

fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    let away = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for term in 1..=TERMS_MAX {
        let m = term as f64;
        for numerator in [
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)),
        ] {
            d = 1.0 / away(1.0 + numerator * d);
            c = away(1.0 + numerator / c);
            fraction *= c * d;
        }
        if (c * d - 1.0).abs() < 1e-14 {
            break;
        }
    }
    fraction
}

/// The logarithm of the gamma function for positive numbers: Stirling's series after shifting the argument up.
fn log_gamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 10.0 {
        shift -= x.ln();
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0))) / x;
    shift + (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Dice;

    #[test]
    fn bounds_are_the_known_ones() {
        fn check(errors: usize, count: usize, expected: f64) {
            let found = error_bound(errors, count, 0.95);
            assert!((found - expected).abs() < 1e-4, "{errors} of {count}: {found}");
        }
        // Without errors the bound is 1 - 0.05^(1/n): 300 audited answers prove 1 %.
        check(0, 300, 1.0 - 0.05_f64.powf(1.0 / 300.0));
        check(0, 1, 0.95);
        check(5, 5, 1.0);
        check(0, 0, 1.0);
        // By summing the binomial distribution directly.
        check(1, 10, 0.394_163);
        check(10, 1000, 0.016_896);
    }

    #[test]
    fn a_perfect_model_is_accepted_whole_and_a_hopeless_one_not_at_all() {
        let scores: Vec<f32> = (0..1000).map(|row| row as f32).collect();
        let all = Certificate::find(&scores, &[true; 1000], 0.01, 0.95);
        assert_eq!((all.coverage, all.threshold), (1.0, Some(0.0)));
        let none = Certificate::find(&scores, &[false; 1000], 0.05, 0.95);
        assert_eq!((none.coverage, none.threshold), (0.0, None));
        assert!(!none.accepts(1e9));
    }

    #[test]
    fn promises_are_kept_nineteen_times_in_twenty() {
        // Right with a probability equal to the score: the true disagreement above a threshold t is (1 - t) / 2.
        let mut broken = 0;
        for seed in 0..400 {
            let mut dice = Dice::new(seed);
            let scores: Vec<f32> = (0..800).map(|_| dice.uniform()).collect();
            let right: Vec<bool> = scores.iter().map(|score| dice.uniform() < *score).collect();
            let found = Certificate::find(&scores, &right, 0.1, 0.95);
            broken += usize::from(found.threshold.is_some_and(|threshold| (1.0 - threshold) / 2.0 > 0.1));
        }
        assert!(broken <= 20, "{broken} of 400");
    }

    proptest! {
        #[test]
        fn the_bound_is_above_the_rate_and_falls_with_confidence(errors in 0_usize..50, more in 1_usize..400) {
            let count = errors + more;
            let (strict, loose) = (error_bound(errors, count, 0.95), error_bound(errors, count, 0.5));
            prop_assert!(strict >= loose && strict >= errors as f64 / count as f64);
        }
    }
}
