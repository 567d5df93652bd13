//! Hearing every expert on trials that they were not shown.
//!
//! Owns the rounds of holding folds out. Refuses to weigh what is said: `blend` does.

use super::experts::{Designs, EXPERTS, LINES};
use super::neighbours::{Neighbours, Opinion, Point};
use super::outcome::Table;
use super::surface::Survey;
use crate::folds::split;

/// What the experts say of one request.
pub(super) struct Heard {
    /// The scores of all models by each line, then by the surface.
    pub(super) said: Vec<Vec<f32>>,
    pub(super) opinion: Opinion,
    pub(super) priors: Vec<f32>,
}

impl Heard {
    pub(super) fn experts(&self) -> [&[f32]; EXPERTS] {
        std::array::from_fn(|place| self.said.get(place).map_or(&self.opinion.scores[..], Vec::as_slice))
    }
}

/// Everything that is heard before trust is given.
pub(super) struct Hearing<'a> {
    pub(super) table: &'a Table,
    pub(super) designs: &'a Designs,
    pub(super) survey: &'a Survey,
    pub(super) neighbours: &'a Neighbours,
    pub(super) points: &'a [Point],
}

impl Hearing<'_> {
    /// What is said of each trial when the folds are held out as `assigned` says.
    pub(super) fn hold(&self, assigned: &[usize]) -> Vec<Heard> {
        let outputs = self.table.models.len();
        let folds = assigned.iter().copied().max().unwrap_or(0) + 1;
        let splits: Vec<(Vec<usize>, Vec<usize>)> = (0..folds).map(|fold| split(assigned, fold)).collect();
        let priors: Vec<Vec<f32>> = splits.iter().map(|(fitted, _)| self.table.priors(fitted)).collect();
        let opinions = self.neighbours.cross(self.points, assigned, &priors);
        let mut heard: Vec<Heard> = opinions
            .into_iter()
            .zip(assigned)
            .map(|(opinion, &fold)| Heard {
                said: Vec::with_capacity(LINES + 1),
                opinion,
                priors: priors[fold].clone(),
            })
            .collect();
        for (fitted, held) in &splits {
            for line in 0..LINES {
                let predicted = self.designs.predict(line, (fitted, held), &self.table.scores, outputs);
                for (&row, said) in held.iter().zip(predicted.chunks_exact(outputs)) {
                    heard[row].said.push(said.to_vec());
                }
            }
        }
        let surface = self.survey.cross(&splits, &priors, self.table);
        for (heard, deviations) in heard.iter_mut().zip(surface.rows()) {
            heard.said.push(heard.priors.iter().zip(deviations).map(|(prior, rise)| prior + rise).collect());
        }
        heard
    }
}
