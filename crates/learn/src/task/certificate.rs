//! How sure an answer must be before it may be served: thresholds with a guarantee.
//!
//! Owns the test. Refuses to promise anything about requests that are drawn otherwise than the examples were: the guarantee
//! holds for new examples exchangeable with those tested, and for a reference whose labels are the ones tested against. It
//! is about the share of wrong answers *among accepted ones*.

use serde::{Deserialize, Serialize};

use super::binomial::{chance_of_worse, error_bound};

/// Thresholds tried, each accepting one more such part of the examples.
const STEPS: usize = 100;
/// The search begins at the strictest threshold that is this nearly as promising as the most promising one.
const PROMISING: f64 = 0.9;

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
    /// The Clopper-Pearson upper bound of that share at `confidence`; 1 where nothing is accepted.
    pub bound: f64,
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

/// The best-scored examples down to some threshold.
#[derive(Clone, Copy)]
struct Cut {
    accepted: usize,
    wrong: usize,
    threshold: f32,
    /// How many standard deviations the errors that the scores promise lie below those that `level` allows.
    promise: f64,
}

impl Certificate {
    /// Finds the lowest threshold that passes: with `confidence`, of the next accepted answers, as many as were tested, no
    /// larger share than `level` will be wrong. That is stricter than the Clopper-Pearson bound of the share itself (also
    /// told), which leaves the luck of the answers to come out of account.
    ///
    /// Thresholds are tested one after another, each looser than the one before, and the first that fails ends the search:
    /// testing in a fixed order keeps the chance of any false promise below `1 - confidence` (Learn then Test,
    /// Angelopoulos et al. 2021). Where to begin is decided by the scores alone, read as probabilities of being right.
    ///
    /// Assumes that requests are exchangeable with the examples tested; `scores` and `right` must come from a model that had
    /// not seen those examples, and the model that serves must be no worse at a score than that one.
    pub fn find(scores: &[f32], right: &[bool], level: f64, confidence: f64) -> Self {
        let mut cuts = cuts(scores, right, level);
        // Of so few examples nothing could be promised, even if all were right.
        cuts.retain(|cut| chance_of_worse(0, cut.accepted, level) <= 1.0 - confidence);
        // What is out of distribution scores 0, and is never accepted.
        cuts.retain(|cut| cut.threshold > 0.0);
        let best = cuts.iter().map(|cut| cut.promise).fold(f64::NEG_INFINITY, f64::max);
        let first = cuts.iter().position(|cut| cut.promise >= best.min(PROMISING * best)).unwrap_or(0);
        let passes = |cut: &&Cut| chance_of_worse(cut.wrong, cut.accepted, level) <= 1.0 - confidence;
        let found = cuts[first..].iter().take_while(passes).last();
        // Where every example with any score at all is accepted, a lower score than theirs is no reason to refuse: the
        // threshold just above 0 accepts the same examples, so it passes the same test.
        let lowest = cuts.iter().map(|cut| cut.threshold).rfind(|score| *score > 0.0);
        let open = |threshold: f32| if Some(threshold) == lowest { f32::MIN_POSITIVE } else { threshold };
        let examples = scores.len().min(right.len());
        let (accepted, wrong) = found.map_or((0, 0), |cut| (cut.accepted, cut.wrong));
        Self {
            level,
            confidence,
            threshold: found.map(|cut| open(cut.threshold)),
            coverage: crate::metrics::ratio(accepted as f64, examples as f64),
            disagreement: crate::metrics::ratio(wrong as f64, accepted as f64),
            bound: error_bound(wrong, accepted, confidence),
            examples,
        }
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

/// The thresholds to test, strictest first.
fn cuts(scores: &[f32], right: &[bool], level: f64) -> Vec<Cut> {
    let mut ranked: Vec<(f32, bool)> = scores.iter().copied().zip(right.iter().copied()).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut cuts: Vec<Cut> = Vec::with_capacity(STEPS);
    let (mut accepted, mut wrong, mut promised) = (0, 0, 0.0);
    for step in 1..=STEPS {
        let wanted = ranked.len() * step / STEPS;
        let before = accepted;
        // Equal scores cannot be told apart: they are accepted together.
        while accepted < ranked.len()
            && (accepted < wanted || (accepted > 0 && ranked[accepted].0 == ranked[accepted - 1].0))
        {
            wrong += usize::from(!ranked[accepted].1);
            promised += 1.0 - f64::from(ranked[accepted].0).clamp(0.0, 1.0);
            accepted += 1;
        }
        if accepted > before {
            let allowed = level * accepted as f64;
            let promise = (allowed - promised) / allowed.sqrt().max(f64::MIN_POSITIVE);
            cuts.push(Cut { accepted, wrong, threshold: ranked[accepted - 1].0, promise });
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Dice;

    #[test]
    fn a_perfect_model_is_accepted_whole_and_a_hopeless_one_not_at_all() {
        let scores: Vec<f32> = (0..1000).map(|row| 0.99 + row as f32 / 1e5).collect();
        let all = Certificate::find(&scores, &[true; 1000], 0.01, 0.95);
        assert_eq!(all.coverage, 1.0);
        assert!(
            all.accepts(0.5) && !all.accepts(0.0),
            "what is out of distribution is never accepted: {all:?}"
        );
        let none = Certificate::find(&scores, &[false; 1000], 0.05, 0.95);
        assert_eq!((none.coverage, none.threshold, none.bound), (0.0, None, 1.0));
        assert!(!none.accepts(1e9));
        assert_eq!(Certificate::find(&[], &[], 0.05, 0.95).threshold, None);
    }

    #[test]
    fn promises_are_kept_nineteen_times_in_twenty() {
        // Right with a probability equal to the score: the true disagreement above a threshold t is (1 - t) / 2.
        let (mut broken, mut found, mut worse) = (0, 0, 0);
        for seed in 0..200 {
            let mut dice = Dice::new(seed);
            let mut draw = || -> (Vec<f32>, Vec<bool>) {
                let scores: Vec<f32> = (0..4000).map(|_| dice.uniform()).collect();
                let right = scores.iter().map(|score| dice.uniform() < *score).collect();
                (scores, right)
            };
            let (scores, right) = draw();
            let certificate = Certificate::find(&scores, &right, 0.1, 0.95);
            let Some(threshold) = certificate.threshold else { continue };
            found += 1;
            broken += usize::from((1.0 - threshold) / 2.0 > 0.1);
            let (scores, right) = draw();
            worse += usize::from(certificate.slice(&scores, &right).disagreement > 0.1);
        }
        assert!(found > 150 && broken <= 4 && worse <= 10, "{broken} broken, {worse} worse of {found}");
    }

    #[test]
    fn slices_count_what_is_accepted() {
        let scores: Vec<f32> = (0..400).map(|row| if row < 300 { 0.99 } else { 0.3 }).collect();
        let right: Vec<bool> = (0..400).map(|row| row < 300).collect();
        let certificate = Certificate::find(&scores, &right, 0.05, 0.95);
        let slice = certificate.slice(&[0.99, 0.995, 0.2, 0.99], &[true, false, false, true]);
        assert_eq!((slice.n, slice.accepted, slice.disagreement), (4, 3, 1.0 / 3.0));
        assert!(slice.bound > 0.8, "{slice:?}");
    }
}
