//! Many yes-or-no answers at once: the logistic loss, and probabilities out of two opinions.
//!
//! Owns the loss, its slope and its merit, and the fit of two opinions into one probability. Refuses dependence between
//! the answers.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::choice::Target;
use crate::descent::{Patience, descend};
use crate::fit::Loss;

/// Pulls a map of two opinions towards a slope of 1 and 0, as this many examples would: rare labels have few.
const PULL: f64 = 2.0;

/// Which labels each row carries.
pub(crate) struct Flags {
    /// Row-major, 1 or 0.
    values: Vec<f32>,
    labels: usize,
}

impl Flags {
    /// `sets` lists the labels of each row, all below `labels`.
    pub(crate) fn new(sets: &[Vec<u32>], labels: usize) -> Self {
        let mut values = vec![0.0; sets.len() * labels];
        for (row, set) in sets.iter().enumerate() {
            for &label in set {
                values[row * labels + label as usize] = 1.0;
            }
        }
        Self { values, labels }
    }

    /// The share of rows that carry each label.
    pub(crate) fn shares(&self) -> Vec<f32> {
        let rows = (self.values.len() / self.labels.max(1)).max(1) as f32;
        let count = |label| self.values.iter().skip(label).step_by(self.labels).sum::<f32>();
        (0..self.labels).map(|label| count(label) / rows).collect()
    }
}

impl Loss for Flags {
    fn outputs(&self) -> usize {
        self.labels
    }

    fn residuals(&self, range: Range<usize>, scores: &mut [f32]) -> f64 {
        let values = &self.values[range.start * self.labels..range.end * self.labels];
        let mut sum = 0.0;
        for (score, value) in scores.iter_mut().zip(values) {
            sum += f64::from(loss(*score, *value));
            *score = sigmoid(*score) - value;
        }
        sum
    }
}

impl Target for Flags {
    fn subset(&self, rows: &[usize]) -> Self {
        let values = rows.iter().flat_map(|row| &self.values[row * self.labels..(row + 1) * self.labels]);
        Self { values: values.copied().collect(), labels: self.labels }
    }

    fn merit(&self, scores: &[f32]) -> (f64, f64) {
        let losses = scores.iter().zip(&self.values).map(|(score, value)| f64::from(loss(*score, *value)));
        (-losses.sum::<f64>(), 0.0)
    }
}

/// Minus the logarithm of the probability of the right answer.
fn loss(score: f32, value: f32) -> f32 {
    score.max(0.0) - score * value + (-score.abs()).exp().ln_1p()
}

fn sigmoid(score: f32) -> f32 {
    1.0 / (1.0 + (-score).exp())
}

/// Two opinions on one question into a probability: a logistic map over both (after Platt 1999).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Platt {
    first: f32,
    second: f32,
    bias: f32,
}

impl Platt {
    /// The likeliest map for cases of (first opinion, second opinion, truth), opinions as logits.
    pub(crate) fn fit(cases: &[(f32, f32, bool)]) -> Self {
        let mut weights = vec![1.0, 0.0, 0.0];
        let count = cases.len().max(1) as f64;
        descend(&mut weights, Patience { steps_max: 40, tolerance: 1e-7 }, |weights, gradient| {
            let mut slopes = [0.0_f64; 3];
            let mut sum = 0.0;
            for &(first, second, truth) in cases {
                let score = weights[0] * first + weights[1] * second + weights[2];
                let value = f32::from(u8::from(truth));
                sum += f64::from(loss(score, value));
                let slope = f64::from(sigmoid(score) - value);
                slopes[0] += slope * f64::from(first);
                slopes[1] += slope * f64::from(second);
                slopes[2] += slope;
            }
            for (place, start) in [1.0, 0.0].into_iter().enumerate() {
                let off = f64::from(weights[place]) - start;
                sum += PULL * off * off / 2.0;
                slopes[place] += PULL * off;
            }
            gradient.iter_mut().zip(slopes).for_each(|(out, slope)| *out = (slope / count) as f32);
            sum / count
        });
        Self { first: weights[0], second: weights[1], bias: weights[2] }
    }

    /// The probability of yes.
    pub(crate) fn apply(&self, first: f32, second: f32) -> f32 {
        sigmoid(self.first * first + self.second * second + self.bias)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Dice;

    #[test]
    fn the_map_undoes_a_scale_and_a_shift() {
        let mut dice = Dice::new(9);
        let cases: Vec<(f32, f32, bool)> = (0..4000)
            .map(|_| {
                let score = dice.normal() * 2.0;
                (score * 3.0 - 1.0, dice.normal(), dice.uniform() < sigmoid(score))
            })
            .collect();
        let map = Platt::fit(&cases);
        for score in [-2.0_f32, 0.0, 1.5] {
            assert!((map.apply(score * 3.0 - 1.0, 0.0) - sigmoid(score)).abs() < 0.05, "{map:?}");
        }
        assert!(map.second.abs() < 0.1, "{map:?}");
    }

    #[test]
    fn losses_are_those_of_the_formula() {
        for (score, value, expected) in
            [(0.0, 1.0, std::f32::consts::LN_2), (3.0, 1.0, 0.0486), (3.0, 0.0, 3.0486), (-90.0, 1.0, 90.0)]
        {
            assert!((loss(score, value) - expected).abs() < 1e-3);
        }
    }
}
