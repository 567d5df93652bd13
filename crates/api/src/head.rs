//! A small classifier over an embedding: `learn` trains it, `classify` and the tasks apply it.

use serde::{Deserialize, Serialize};

use crate::embed::cosine;

/// A linear softmax head: `softmax((W x + b) / temperature)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The labels, one per row of `weights`.
    pub labels: Vec<String>,
    /// Row-major, `labels.len()` rows of the feature vector's length.
    pub weights: Vec<Vec<f32>>,
    /// One per label.
    pub bias: Vec<f32>,
    /// Above 1 the head is less sure than its raw margins; fitted on held-out folds.
    pub temperature: f32,
}

/// What a head says of one vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The place of the best label in [`Head::labels`].
    pub best: usize,
    /// The calibrated probability of each label, in order; they sum to 1.
    pub probabilities: Vec<f32>,
}

impl Prediction {
    /// The probability of the best label.
    pub fn confidence(&self) -> f32 {
        self.probabilities.get(self.best).copied().unwrap_or(0.0)
    }
}

impl Head {
    /// The label probabilities of a feature vector.
    pub fn predict(&self, features: &[f32]) -> Prediction {
        let temperature = self.temperature.max(1e-3);
        let logits: Vec<f32> = self
            .weights
            .iter()
            .zip(&self.bias)
            .map(|(row, bias)| (cosine(row, features) + bias) / temperature)
            .collect();
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let raised: Vec<f32> = logits.iter().map(|logit| (logit - highest).exp()).collect();
        let total: f32 = raised.iter().sum();
        let probabilities: Vec<f32> = raised.iter().map(|value| value / total).collect();
        let best =
            probabilities.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(place, _)| place);
        Prediction { best, probabilities }
    }

    /// The label at `place`, empty where there is none.
    pub fn label(&self, place: usize) -> &str {
        self.labels.get(place).map_or("", String::as_str)
    }
}
