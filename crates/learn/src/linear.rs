//! A fitted linear map over dense and hashed features, laid out for one request at a time.
//!
//! Owns the layout: weights lie feature by feature, so that a sparse request touches few lines of memory. Refuses fitting:
//! `fit` does.

use serde::{Deserialize, Serialize};

use crate::design::SparseVector;

/// `W x + b`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Linear {
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Linear {
    /// From one row of weights per output.
    pub(crate) fn new(rows: &[Vec<f32>], bias: Vec<f32>) -> Self {
        let columns = rows.first().map_or(0, Vec::len);
        let weights = (0..columns).flat_map(|column| rows.iter().map(move |row| row[column])).collect();
        Self { weights, bias }
    }

    /// The outputs for the dense features followed by the sparse ones, whose columns begin after the dense.
    pub(crate) fn apply(&self, dense: &[f32], sparse: &SparseVector) -> Vec<f32> {
        let mut out = self.bias.clone();
        let all = dense.iter().copied().enumerate();
        let hashed = sparse.iter().map(|&(column, value)| (dense.len() + column as usize, value));
        for (column, value) in all.chain(hashed) {
            let width = out.len();
            let Some(weights) = self.weights.get(column * width..(column + 1) * width) else { continue };
            out.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += value * weight);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_and_sparse_follow_one_another() {
        let linear = Linear::new(&[vec![1.0, 2.0, 10.0, 20.0], vec![0.0, 1.0, 0.0, 3.0]], vec![0.5, -0.5]);
        assert_eq!(linear.apply(&[1.0, 1.0], &vec![(1, 2.0)]), [43.5, 6.5]);
        assert_eq!(linear.apply(&[1.0, 1.0], &vec![(9, 2.0)]), [3.5, 0.5]);
    }
}
