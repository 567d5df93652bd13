//! The softmax loss of multinomial logistic regression.
//!
//! Owns the loss, its slope and its merit on held-out rows. Refuses to choose a penalty: `choice` does.

use std::ops::Range;

use crate::calibrate::temperature;
use crate::choice::Target;
use crate::fit::Loss;

/// What is fitted to: a class and a weight per row of the design.
pub(crate) struct Classes {
    /// The class of each row.
    pub(crate) labels: Vec<usize>,
    /// How much each row counts; they average 1.
    pub(crate) weights: Vec<f32>,
    /// How many classes.
    pub(crate) count: usize,
}

impl Loss for Classes {
    fn outputs(&self) -> usize {
        self.count
    }

    fn residuals(&self, range: Range<usize>, scores: &mut [f32]) -> f64 {
        let mut loss = 0.0;
        for (row, scores) in range.zip(scores.chunks_exact_mut(self.count)) {
            let (label, weight) = (self.labels[row], self.weights[row]);
            let own = scores[label];
            let (highest, total) = soften(scores);
            loss += f64::from(weight * (total.ln() + highest - own));
            scores[label] -= 1.0;
            for slope in scores {
                *slope *= weight;
            }
        }
        loss
    }
}

impl Target for Classes {
    fn subset(&self, rows: &[usize]) -> Self {
        Self {
            labels: rows.iter().map(|&row| self.labels[row]).collect(),
            weights: rows.iter().map(|&row| self.weights[row]).collect(),
            count: self.count,
        }
    }

    /// Right answers first, then the likelihood at the best temperature.
    fn merit(&self, logits: &[f32]) -> (f64, f64) {
        let temperature = temperature(logits, &self.labels, self.count);
        let (mut right, mut likelihood) = (0.0, 0.0);
        let mut row = vec![0.0; self.count];
        let examples = logits.chunks_exact(self.count).zip(&self.labels).zip(&self.weights);
        for ((logits, &label), &weight) in examples {
            right += if best(logits) == label { f64::from(weight) } else { 0.0 };
            row.iter_mut().zip(logits).for_each(|(value, logit)| *value = logit / temperature);
            soften(&mut row);
            likelihood += f64::from(weight * row[label].max(f32::MIN_POSITIVE).ln());
        }
        (right, likelihood)
    }
}

/// The place of the highest value; the first of equals.
pub(crate) fn best(values: &[f32]) -> usize {
    let mut best = 0;
    for (place, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = place;
        }
    }
    best
}

/// Turns scores into probabilities in place; returns the highest score and the sum of exponentials relative to it.
pub(crate) fn soften(scores: &mut [f32]) -> (f32, f32) {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - highest).exp();
        total += *score;
    }
    for score in scores {
        *score /= total;
    }
    (highest, total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descent::Patience;
    use crate::design::Design;
    use crate::fit::{blank, fit, scores};

    #[test]
    fn the_gradient_vanishes_at_the_fit() {
        // One feature, two classes that overlap: the optimum is inside, so the mean residual must be zero.
        let features: Vec<Vec<f32>> = (0..40).map(|row| vec![row as f32 / 40.0]).collect();
        let labels: Vec<usize> = (0..40).map(|row| usize::from(row > 20 || row % 7 == 0)).collect();
        let design = Design::new(&features).unwrap();
        let classes = Classes { labels: labels.clone(), weights: vec![1.0; 40], count: 2 };
        let mut parameters = blank(&design, 2);
        fit(&design, &classes, 1e-4, Patience { steps_max: 200, tolerance: 0.0 }, &mut parameters);
        let mut predicted = scores(&design, &parameters, 2);
        let mut share = 0.0;
        for row in predicted.chunks_exact_mut(2) {
            soften(row);
            share += row[1] / 40.0;
        }
        let truth = labels.iter().sum::<usize>() as f32 / 40.0;
        assert!((share - truth).abs() < 1e-3, "{share} {truth}");
    }
}
