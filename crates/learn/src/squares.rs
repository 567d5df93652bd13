//! The squared loss of ridge regression.
//!
//! Owns the loss, its slope and its merit on held-out rows. Refuses scales: the caller standardises.

use std::ops::Range;

use crate::choice::Target;
use crate::fit::Loss;

/// One number for each row.
pub(crate) struct Squares {
    values: Vec<f32>,
}

impl Squares {
    pub(crate) fn new(values: Vec<f32>) -> Self {
        Self { values }
    }
}

impl Loss for Squares {
    fn outputs(&self) -> usize {
        1
    }

    fn residuals(&self, range: Range<usize>, scores: &mut [f32]) -> f64 {
        let mut loss = 0.0;
        for (score, value) in scores.iter_mut().zip(&self.values[range]) {
            *score -= value;
            loss += f64::from(*score * *score / 2.0);
        }
        loss
    }
}

impl Target for Squares {
    fn subset(&self, rows: &[usize]) -> Self {
        Self { values: rows.iter().map(|&row| self.values[row]).collect() }
    }

    fn merit(&self, scores: &[f32]) -> (f64, f64) {
        let squares =
            scores.iter().zip(&self.values).map(|(score, value)| f64::from((score - value).powi(2)));
        (-squares.sum::<f64>(), 0.0)
    }
}
