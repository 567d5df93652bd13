//! How like one another the examples are, and where a request stands among them.
//!
//! Owns the conformal rank. Refuses to decide what is too strange to answer: the caller's threshold does.

use serde::{Deserialize, Serialize};

/// A request less typical than this share of the examples is never accepted, however sure the answer is. On CLINC150 at a level
/// of 2 % that leaves 12 % of what is out of scope to be accepted, and 96.1 % of what is in scope; 0.01 leaves 16 and 97.0, none
/// 26 and 97.5.
const TYPICALITY_MIN: f32 = 0.02;
/// Quantiles kept of how like the others the examples are: more than a drift's first signs need.
const QUANTILES: usize = 1000;

/// The scale of sureness and closeness, as seen from outside each example.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Likeness {
    margin: (f32, f32),
    closeness: (f32, f32),
    /// Ascending quantiles of the sum.
    quantiles: Vec<f32>,
    examples: usize,
}

impl Likeness {
    /// `margins` say how sure held-out answers were, `closeness` how near the examples of other folds were.
    pub(super) fn fit(margins: &[f32], closeness: &[f32]) -> Self {
        let examples = margins.len();
        let mut likeness =
            Self { margin: moments(margins), closeness: moments(closeness), quantiles: Vec::new(), examples };
        let mut sums: Vec<f32> =
            margins.iter().zip(closeness).map(|(&margin, &close)| likeness.of(margin, close)).collect();
        sums.sort_by(f32::total_cmp);
        let last = examples.saturating_sub(1);
        let kept = QUANTILES.min(examples);
        likeness.quantiles = (0..kept)
            .filter_map(|step| sums.get(step * last / kept.saturating_sub(1).max(1)).copied())
            .collect();
        likeness
    }

    /// The sum of the two, each in standard deviations from its mean.
    pub(super) fn of(&self, margin: f32, closeness: f32) -> f32 {
        (margin - self.margin.0) / self.margin.1 + (closeness - self.closeness.0) / self.closeness.1
    }

    /// The share of examples below `likeness`, ties counting half, never quite 0 or 1: a conformal p-value (Vovk et al.
    /// 2005), but for the rounding to kept quantiles.
    pub(super) fn typicality(&self, likeness: f32) -> f32 {
        let below = self.quantiles.partition_point(|quantile| *quantile < likeness);
        let upto = self.quantiles.partition_point(|quantile| *quantile <= likeness);
        let share = (below + upto) as f32 / (2 * self.quantiles.len()).max(1) as f32;
        let count = self.examples as f32;
        (share * count + 0.5) / (count + 1.0)
    }
}

/// The confidence, or nothing for what is too strange.
pub(super) fn trusted(confidence: f32, typicality: f32) -> f32 {
    if typicality < TYPICALITY_MIN { 0.0 } else { confidence }
}

/// Mean and standard deviation.
fn moments(values: &[f32]) -> (f32, f32) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let square = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    (mean as f32, (square.sqrt() as f32).max(1e-6))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Dice;

    #[test]
    fn typicality_of_the_like_is_uniform() {
        let mut dice = Dice::new(3);
        let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| dice.normal()).collect() };
        let (margins, closeness) = (draw(4000), draw(4000));
        let likeness = Likeness::fit(&margins, &closeness);
        let (margins, closeness) = (draw(4000), draw(4000));
        let typical: Vec<f32> =
            margins.iter().zip(&closeness).map(|(&m, &c)| likeness.typicality(likeness.of(m, c))).collect();
        for share in [0.01, 0.1, 0.5, 0.9] {
            let below = typical.iter().filter(|value| **value < share).count() as f32 / 4000.0;
            assert!((below - share).abs() < 0.02, "{share}: {below}");
        }
        assert!(typical.iter().all(|value| (0.0..=1.0).contains(value)));
        assert!(likeness.typicality(-50.0) < 2e-4 && likeness.typicality(50.0) > 0.999);
    }

    #[test]
    fn nothing_known_is_half_typical() {
        assert_eq!(Likeness::fit(&[], &[]).typicality(1.0), 0.5);
    }
}
