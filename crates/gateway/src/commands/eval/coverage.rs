//! Whether coverage tells questions of a corpus from others: by this program's own numbers, and by numbers learnt from them.

use std::fmt;
use std::path::Path;

use knowledge::{Estimate, Features, Labelled, learn_coverage};
use learn::metrics::{auroc, false_positive_rate};
use serde::Serialize;

use crate::Failure;
use crate::house::in_words;
use crate::stores::COVERED;

/// How well the estimate of coverage parts two kinds of questions.
#[derive(Serialize)]
pub(super) struct Coverage {
    pub(super) own: usize,
    pub(super) other: usize,
    pub(super) auroc: f64,
    /// The share of the others that passes where 95 % of the own are kept.
    pub(super) fpr95: f64,
    /// What the policy's line of 0.5 keeps of the own and lets pass of the others.
    pub(super) kept: f64,
    pub(super) passed: f64,
    /// The line that keeps 97 % of the own, and what it lets pass.
    pub(super) line97: f32,
    pub(super) passed97: f64,
}

impl Coverage {
    /// By this program's own numbers.
    pub(super) fn of(own: &[Features], other: &[Features]) -> Self {
        let estimate = Estimate::default();
        let covered = |side: &[Features]| -> Vec<f32> {
            side.iter().map(|features| estimate.probability(features)).collect()
        };
        Self::of_probabilities(&covered(own), &covered(other))
    }

    fn of_probabilities(own: &[f32], other: &[f32]) -> Self {
        let mut scores: Vec<f32> = own.iter().chain(other).copied().collect();
        let is_own: Vec<bool> = (0..scores.len()).map(|place| place < own.len()).collect();
        let auroc = auroc(&scores, &is_own);
        let fpr95 = false_positive_rate(&scores, &is_own, 0.95);
        let share = |side: &[f32], line: f32| {
            side.iter().filter(|score| **score >= line).count() as f64 / side.len().max(1) as f64
        };
        scores.truncate(own.len());
        scores.sort_by(f32::total_cmp);
        let line97 = scores.get(own.len() * 3 / 100).copied().unwrap_or_default();
        let passed97 = share(other, line97);
        Self {
            own: own.len(),
            other: other.len(),
            auroc,
            fpr95,
            kept: share(own, COVERED),
            passed: share(other, COVERED),
            line97,
            passed97,
        }
    }
}

/// Questions of each side of which half are enough to learn from.
const QUESTIONS_MIN: usize = 40;

/// What is to be learnt.
pub(super) struct Lesson<'a> {
    /// Where it is written.
    pub(super) file: &'a Path,
    /// The share of the questions of the corpus that it may refuse.
    pub(super) wrong_refusals_max: f32,
}

/// What was learnt, and how it does on questions that it was not learnt from.
#[derive(Serialize)]
pub(super) struct Taught {
    file: String,
    /// The line that was drawn.
    coverage_min: f32,
    wrong_refusals_max: f32,
    /// Held out: each half of the questions by what the other half teaches.
    auroc: f64,
    refused: f64,
    passed: f64,
}

impl Lesson<'_> {
    /// Learns from all questions and writes the file; the figures are those of two halves that teach each other.
    pub(super) fn teach(&self, own: &[Features], other: &[Features]) -> Result<Taught, Failure> {
        if own.len().min(other.len()) < QUESTIONS_MIN {
            let said = format!(
                "there are {} questions of the corpus and {} foreign ones; at least {QUESTIONS_MIN} of each are needed, since \
                 each half is held against what the other teaches",
                own.len(),
                other.len()
            );
            return Err(Failure::Wrong(said));
        }
        let halves: Vec<(usize, Labelled)> = [labelled(own, true), labelled(other, false)].concat();
        let all: Vec<Labelled> = halves.iter().map(|(_, question)| question.clone()).collect();
        let learn = |questions: &[Labelled]| {
            learn_coverage(questions, self.wrong_refusals_max)
                .map_err(|error| Failure::Wrong(in_words(&error)))
        };
        let learnt = learn(&all)?;
        let (mut parted, mut refused, mut passed) = (0.0, 0, 0);
        for half in 0..2 {
            let of_half = |wanted: usize| -> Vec<Labelled> {
                let own = halves.iter().filter(|(half, _)| *half == wanted);
                own.map(|(_, question)| question.clone()).collect()
            };
            let (taught, held) = (learn(&of_half(1 - half))?, of_half(half));
            let scores: Vec<f32> =
                held.iter().map(|question| taught.estimate.probability(&question.features)).collect();
            let covered: Vec<bool> = held.iter().map(|question| question.covered).collect();
            parted += auroc(&scores, &covered) / 2.0;
            for (score, covered) in scores.iter().zip(&covered) {
                let passes = *score >= taught.coverage_min;
                refused += usize::from(*covered && !passes);
                passed += usize::from(!*covered && passes);
            }
        }
        learnt.write(self.file).map_err(|error| Failure::Unavailable(in_words(&error)))?;
        Ok(Taught {
            file: self.file.display().to_string(),
            coverage_min: learnt.coverage_min,
            wrong_refusals_max: self.wrong_refusals_max,
            auroc: parted,
            refused: refused as f64 / own.len().max(1) as f64,
            passed: passed as f64 / other.len().max(1) as f64,
        })
    }
}

/// The questions of one side, each with its half. Neighbours are often about one document and stay together: a side is cut
/// into ten stretches that take turns.
fn labelled(side: &[Features], covered: bool) -> Vec<(usize, Labelled)> {
    let label = |(place, features): (usize, &Features)| {
        let question = Labelled { index: String::new(), features: *features, covered };
        (place * 10 / side.len() % 2, question)
    };
    side.iter().enumerate().map(label).collect()
}

impl fmt::Display for Taught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, coverage_min, wrong_refusals_max, auroc, refused, passed } = self;
        writeln!(
            f,
            "learnt, held out by halves: AUROC {auroc:.4}; refuses {refused:.3} of the own (wanted: {wrong_refusals_max:.3}), \
             lets pass {passed:.3}"
        )?;
        writeln!(
            f,
            "  a line of {coverage_min:.3}, in {file}: name it as `coverage` of the store in gateway.toml"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_is_told_by_both_sides() {
        let told = Coverage::of_probabilities(&[0.9, 0.8, 0.4], &[0.1, 0.6]);
        assert_eq!((told.own, told.other), (3, 2));
        assert!((told.kept - 2.0 / 3.0).abs() < 1e-9 && (told.passed - 0.5).abs() < 1e-9);
        assert!((told.auroc - 5.0 / 6.0).abs() < 1e-9);
    }
}
