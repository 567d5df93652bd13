//! Two opinions into one: the weights at which a linear model's logits and the neighbours' vote are added.
//!
//! Owns the fit of the weights, which also sets the temperature. Refuses more than two numbers: what is fitted on
//! held-out answers must not learn them by heart.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::descent::{Patience, descend};
use crate::logistic::soften;

const PATIENCE: Patience = Patience { steps_max: 40, tolerance: 1e-7 };

/// Weights of the linear logits and of the vote's; the pooled probabilities are `softmax` of the weighted sum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pool {
    pub(crate) linear: f32,
    pub(crate) votes: f32,
}

impl Pool {
    /// The likeliest weights for the rows given, neither below zero. Both tables are row-major with `classes` columns.
    pub(crate) fn fit(
        rows: &[usize],
        linear: &[f32],
        votes: &[f32],
        labels: &[usize],
        classes: usize,
    ) -> Self {
        let both = likeliest(rows, [linear, votes], labels, classes, [1.0, 0.3]);
        if both[0] > 0.0 && both[1] > 0.0 {
            return Self { linear: both[0], votes: both[1] };
        }
        if both[0] > 0.0 {
            let alone = likeliest(rows, [linear, linear], labels, classes, [0.5, 0.5]);
            return Self { linear: (alone[0] + alone[1]).max(0.0), votes: 0.0 };
        }
        let alone = likeliest(rows, [votes, votes], labels, classes, [0.5, 0.5]);
        Self { linear: 0.0, votes: (alone[0] + alone[1]).max(0.0) }
    }

    /// Pooled probabilities of one row.
    pub(crate) fn apply(&self, linear: &[f32], votes: &[f32]) -> Vec<f32> {
        let mut pooled: Vec<f32> =
            linear.iter().zip(votes).map(|(l, v)| self.linear * l + self.votes * v).collect();
        soften(&mut pooled);
        pooled
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linear x {:.2} + neighbours x {:.2}", self.linear, self.votes)
    }
}

fn likeliest(
    rows: &[usize],
    tables: [&[f32]; 2],
    labels: &[usize],
    classes: usize,
    start: [f32; 2],
) -> [f32; 2] {
    let mut weights = start.to_vec();
    let mut row = vec![0.0; classes];
    let count = rows.len().max(1) as f64;
    descend(&mut weights, PATIENCE, |weights, gradient| {
        let (mut loss, mut slopes) = (0.0, [0.0_f64; 2]);
        for &place in rows {
            let own = tables.map(|table| &table[place * classes..(place + 1) * classes]);
            for (class, value) in row.iter_mut().enumerate() {
                *value = weights[0] * own[0][class] + weights[1] * own[1][class];
            }
            let label = labels[place];
            let said = row[label];
            let (highest, total) = soften(&mut row);
            loss += f64::from(total.ln() + highest - said);
            for (slope, own) in slopes.iter_mut().zip(own) {
                *slope += f64::from(api::cosine(&row, own) - own[label]);
            }
        }
        gradient[0] = (slopes[0] / count) as f32;
        gradient[1] = (slopes[1] / count) as f32;
        loss / count
    });
    [weights[0], weights[1]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Dice;

    #[test]
    fn the_informed_opinion_gets_the_weight() {
        let mut dice = Dice::new(2);
        let labels: Vec<usize> = (0..600).map(|_| dice.below(3)).collect();
        let (mut good, mut noise) = (Vec::new(), Vec::new());
        for &label in &labels {
            for class in 0..3 {
                good.push(dice.normal() + if class == label { 2.0 } else { 0.0 });
                noise.push(dice.normal());
            }
        }
        let rows: Vec<usize> = (0..600).collect();
        let pool = Pool::fit(&rows, &good, &noise, &labels, 3);
        // For unit noise and a shift of 2 the likeliest weight is 2.
        assert!((pool.linear - 2.0).abs() < 0.3 && pool.votes < 0.2, "{pool:?}");
        let turned = Pool::fit(&rows, &noise, &good, &labels, 3);
        assert!((turned.votes - 2.0).abs() < 0.3 && turned.linear < 0.2, "{turned:?}");
        assert!((pool.apply(&good[..3], &noise[..3]).iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }
}
