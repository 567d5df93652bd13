//! How a router fared on trials that it had not seen, model by model and group by group: when its estimates are to be
//! trusted.
//!
//! Owns the figures. Refuses predictions that the judged trial was trained on: the caller holds folds out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::outcome::{Table, Trial};
use crate::metrics::{ratio, share_apart};

/// The held-out record of a router.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Trials learned from.
    pub trials: usize,
    /// One line per model, in the order of the router's models, each trial judged from trials like it. Empty where there
    /// were too few trials to hold any out.
    pub models: Vec<Standing>,
    /// One line per group of trials, over all models.
    pub groups: Vec<Standing>,
    /// The same groups, each judged by what was learned from the others alone: what to expect of a new kind of request.
    /// Empty where there is but one group.
    pub unseen: Vec<Standing>,
}

/// How well one model's, or one group's, scores were foretold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Of the model or the group.
    pub name: String,
    /// Scores judged.
    pub outcomes: usize,
    /// Their mean.
    pub mean: f64,
    /// The mean squared error of the estimates.
    pub error: f64,
    /// The mean squared error of the models' mean scores, which is what is known without learning.
    pub error_prior: f64,
    /// How far estimates are from the share of good answers (expected calibration error, 15 bins).
    pub calibration_error: f64,
}

impl Standing {
    /// The share of the prior's squared error that the estimates save: at most 1, below 0 where they do harm.
    pub fn gain(&self) -> f64 {
        ratio(self.error_prior - self.error, self.error_prior)
    }
}

/// Held-out estimates and priors, row-major as the table is.
#[derive(Debug)]
pub(crate) struct Foretold {
    pub(crate) estimates: Vec<f32>,
    pub(crate) priors: Vec<f32>,
}

impl Foretold {
    /// One line per model.
    pub(crate) fn by_model(&self, table: &Table) -> Vec<Standing> {
        let width = table.models.len();
        let cells = |model: usize| (0..table.rows()).map(move |row| row * width + model);
        table
            .models
            .iter()
            .enumerate()
            .map(|(model, name)| self.standing(name, cells(model), table))
            .collect()
    }

    /// One line per group of trials, by name; none where only one is named.
    pub(crate) fn by_group(&self, table: &Table, trials: &[Trial]) -> Vec<Standing> {
        let width = table.models.len();
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (row, trial) in trials.iter().enumerate() {
            members.entry(&trial.group).or_default().extend(row * width..(row + 1) * width);
        }
        if members.len() < 2 {
            return Vec::new();
        }
        members.into_iter().map(|(name, cells)| self.standing(name, cells.into_iter(), table)).collect()
    }

    fn standing(&self, name: &str, cells: impl Iterator<Item = usize>, table: &Table) -> Standing {
        let known: Vec<usize> = cells.filter(|&cell| table.scores[cell].is_finite()).collect();
        let count = known.len() as f64;
        let squares = |values: &[f32]| -> f64 {
            ratio(known.iter().map(|&cell| f64::from(values[cell] - table.scores[cell]).powi(2)).sum(), count)
        };
        let pairs = known.iter().map(|&cell| (self.estimates[cell], table.scores[cell]));
        Standing {
            name: name.to_owned(),
            outcomes: known.len(),
            mean: ratio(known.iter().map(|&cell| f64::from(table.scores[cell])).sum(), count),
            error: squares(&self.estimates),
            error_prior: squares(&self.priors),
            calibration_error: share_apart(pairs),
        }
    }
}
