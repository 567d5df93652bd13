//! Making confidences mean what they say: temperature scaling and isotonic regression on held-out answers.
//!
//! Owns the fits. Refuses to be given training answers: the caller holds data out.

use crate::logistic::soften;

/// Newton steps at most; four or five suffice, the loss is convex in the inverse temperature.
const STEPS_MAX: usize = 40;
/// Inverse temperatures outside this range mean that the logits carry nothing, or that every answer is right.
const INVERSE_RANGE: (f64, f64) = (0.02, 50.0);

/// The temperature that makes `softmax(logits / temperature)` likeliest on `labels` (Guo et al. 2017). `logits` is
/// row-major with `classes` columns. 1 where there is nothing to fit.
pub(crate) fn temperature(logits: &[f32], labels: &[usize], classes: usize) -> f32 {
    if labels.is_empty() || classes == 0 {
        return 1.0;
    }
    let (mut low, mut high) = INVERSE_RANGE;
    let mut inverse = 1.0_f64;
    let mut row = vec![0.0_f32; classes];
    for _ in 0..STEPS_MAX {
        let (mut slope, mut curvature) = (0.0, 0.0);
        for (logits, &label) in logits.chunks_exact(classes).zip(labels) {
            for (value, logit) in row.iter_mut().zip(logits) {
                *value = logit * inverse as f32;
            }
            soften(&mut row);
            let own = f64::from(logits[label]);
            let (mut mean, mut square) = (0.0, 0.0);
            for (&probability, &logit) in row.iter().zip(logits) {
                let off = f64::from(logit) - own;
                mean += f64::from(probability) * off;
                square += f64::from(probability) * off * off;
            }
            slope += mean;
            curvature += square - mean * mean;
        }
        if slope > 0.0 {
            high = inverse;
        } else {
            low = inverse;
        }
        let newton = inverse - slope / curvature.max(1e-12);
        let next = if newton > low && newton < high { newton } else { (low * high).sqrt() };
        if ((next - inverse) / inverse).abs() < 1e-5 {
            break;
        }
        inverse = next;
    }
    (1.0 / inverse) as f32
}

/// A non-decreasing map from a score to a probability, linear between its knots.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Isotonic {
    /// Scores in ascending order, each with its probability.
    knots: Vec<(f32, f32)>,
}

impl Isotonic {
    /// The least-squares non-decreasing fit of `outcomes` (0 to 1) to `scores` by pooling adjacent violators. Pairs
    /// whose score is not a number are left out; without any pair the map says 0.5.
    pub fn fit(scores: &[f32], outcomes: &[f32]) -> Self {
        let mut pairs: Vec<(f32, f32)> = scores
            .iter()
            .copied()
            .zip(outcomes.iter().copied())
            .filter(|(score, _)| !score.is_nan())
            .collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Blocks of (sum of outcomes, count, sum of scores).
        let mut blocks: Vec<(f64, f64, f64)> = Vec::new();
        for (score, outcome) in pairs {
            let mut block = (f64::from(outcome), 1.0, f64::from(score));
            while let Some(last) = blocks.last() {
                if last.0 / last.1 < block.0 / block.1 {
                    break;
                }
                block = (block.0 + last.0, block.1 + last.1, block.2 + last.2);
                blocks.pop();
            }
            blocks.push(block);
        }
        let knots =
            blocks.iter().map(|(sum, count, at)| ((at / count) as f32, (sum / count) as f32)).collect();
        Self { knots }
    }

    /// The probability at `score`: flat beyond the first and last knot.
    pub fn apply(&self, score: f32) -> f32 {
        let after = self.knots.partition_point(|knot| knot.0 < score);
        match (after.checked_sub(1).and_then(|before| self.knots.get(before)), self.knots.get(after)) {
            (Some(&(x0, y0)), Some(&(x1, y1))) if x1 > x0 => y0 + (y1 - y0) * (score - x0) / (x1 - x0),
            (_, Some(&(_, y))) | (Some(&(_, y)), None) => y,
            (None, None) => 0.5,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn temperature_undoes_a_known_scale() {
        // Two classes at logit gap ln 3 should be right three times in four; logits are given five times too large.
        let gap = 3_f32.ln() * 5.0;
        let logits: Vec<f32> = (0..400).flat_map(|_| [gap, 0.0]).collect();
        let labels: Vec<usize> = (0..400).map(|row| usize::from(row % 4 == 0)).collect();
        assert!((temperature(&logits, &labels, 2) - 5.0).abs() < 0.01);
    }

    #[test]
    fn temperature_of_nothing_is_one() {
        assert_eq!(temperature(&[], &[], 3), 1.0);
    }

    #[test]
    fn isotonic_pools_violators() {
        let map = Isotonic::fit(&[1.0, 2.0, 3.0, 4.0], &[0.0, 1.0, 0.0, 1.0]);
        assert_eq!(map.apply(0.0), 0.0);
        assert_eq!(map.apply(2.5), 0.5);
        assert_eq!(map.apply(9.0), 1.0);
        assert_eq!(Isotonic::fit(&[], &[]).apply(1.0), 0.5);
    }

    proptest! {
        #[test]
        fn isotonic_never_falls(points in prop::collection::vec((0.0_f32..1.0, 0_u8..2), 1..60)) {
            let (scores, outcomes): (Vec<f32>, Vec<f32>) =
                points.into_iter().map(|(score, outcome)| (score, f32::from(outcome))).unzip();
            let map = Isotonic::fit(&scores, &outcomes);
            let values: Vec<f32> = (0..=100).map(|step| map.apply(step as f32 / 100.0)).collect();
            prop_assert!(values.windows(2).all(|pair| pair[0] <= pair[1] + 1e-6), "{values:?}");
        }
    }
}
