//! What is known of a request after several models have answered it.
//!
//! Owns the record and its table form. Refuses records without any usable score.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::fit::Loss;
use crate::unfit::Unfit;

/// How one model fared on one request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How good the answer was, 0 to 1; not a number where nobody judged it.
    pub score: f64,
    /// What it cost, in any unit that is the same for all.
    pub cost: f64,
}

/// One request with the outcomes of the models that answered it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Names the request.
    pub id: String,
    /// Requests of one kind (a data set, a subject); empty where it is not known.
    pub group: String,
    /// What was asked.
    pub prompt: String,
    /// The prompt's embedding.
    pub vector: Vec<f32>,
    /// The outcome of each model that answered.
    pub models: BTreeMap<String, Outcome>,
}

/// Scores of all trials by all models, row-major; a missing score is not a number.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) models: Vec<String>,
    pub(crate) scores: Vec<f32>,
}

impl Table {
    /// The models are all those named in any trial, by name. Scores are held to 0 to 1.
    pub(crate) fn new(trials: &[Trial]) -> Result<Self, Unfit> {
        let mut models: Vec<String> =
            trials.iter().flat_map(|trial| trial.models.keys()).cloned().collect::<Vec<_>>();
        models.sort();
        models.dedup();
        if models.is_empty() {
            return Err(Unfit::TooFew { found: 0, needed: 1 });
        }
        let score = |trial: &Trial, model: &String| {
            trial.models.get(model).map_or(f64::NAN, |outcome| outcome.score.clamp(0.0, 1.0))
        };
        let scores = trials
            .iter()
            .flat_map(|trial| models.iter().map(move |model| score(trial, model) as f32))
            .collect();
        Ok(Self { models, scores })
    }

    pub(crate) fn rows(&self) -> usize {
        self.scores.len() / self.models.len()
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.scores[row * self.models.len()..(row + 1) * self.models.len()]
    }

    /// Each model's mean score over `rows`; 0.5 for one that has none.
    pub(crate) fn priors(&self, rows: &[usize]) -> Vec<f32> {
        means(rows, self.models.len(), &self.scores).into_iter().map(|mean| mean.unwrap_or(0.5)).collect()
    }
}

fn means(rows: &[usize], width: usize, cells: &[f32]) -> Vec<Option<f32>> {
    let mean = |column: usize| {
        let (mut sum, mut count) = (0.0, 0_usize);
        for &row in rows {
            let value = cells[row * width + column];
            if value.is_finite() {
                sum += f64::from(value);
                count += 1;
            }
        }
        (count > 0).then(|| (sum / count as f64) as f32)
    };
    (0..width).map(mean).collect()
}

/// The squared error of predicted scores, over the scores that are known.
pub(crate) struct SquaredError<'a> {
    /// Row-major; what is not a number does not count.
    pub(crate) targets: &'a [f32],
    pub(crate) outputs: usize,
}

impl Loss for SquaredError<'_> {
    fn outputs(&self) -> usize {
        self.outputs
    }

    fn residuals(&self, range: Range<usize>, scores: &mut [f32]) -> f64 {
        let targets = &self.targets[range.start * self.outputs..range.end * self.outputs];
        let mut loss = 0.0;
        for (score, target) in scores.iter_mut().zip(targets) {
            let residual = if target.is_finite() { *score - target } else { 0.0 };
            loss += f64::from(0.5 * residual * residual);
            *score = residual;
        }
        loss
    }
}
