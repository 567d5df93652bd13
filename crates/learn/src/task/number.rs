//! A number: ridge regression over vector and words, and the neighbours' mean, pooled.
//!
//! Owns the training, the answer and how far off it is expected to be. Refuses to extrapolate: an answer lies within the
//! range of the examples' numbers.

use serde::{Deserialize, Serialize};

use super::likeness::{Likeness, trusted};
use super::model::{Report, TrainOptions};
use super::neighbours::{Near, Neighbours};
use super::rows::{Features, Rows, Surface, search};
use super::truth::{Answer, HeldOut, Truth};
use crate::calibrate::Isotonic;
use crate::choice::choose;
use crate::folds::{split, stratified_folds};
use crate::metrics;
use crate::squares::Squares;
use crate::unfit::Unfit;

/// Penalties tried, strongest first.
const L2_GRID: [f32; 6] = [1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4];
/// Shares of the neighbours' mean tried beside the ridge's.
const BLENDS: usize = 20;

/// A trained regression.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Number {
    surface: Surface,
    neighbours: Neighbours,
    /// Each example's number, and how far the answer to it was off when it was held out.
    values: Vec<f32>,
    errors: Vec<f32>,
    mean: f32,
    deviation: f32,
    error: f32,
    range: (f32, f32),
    /// The share of the neighbours' mean.
    blend: f32,
    /// From minus the expected error to the probability of being within the tolerance.
    within: Isotonic,
    likeness: Likeness,
}

impl Number {
    /// Trains on the number of each row.
    pub(super) fn train(
        rows: &Rows<'_>,
        values: &[f32],
        options: &TrainOptions,
    ) -> Result<(Self, Report, Vec<HeldOut>), Unfit> {
        let (features, design) = Features::new(rows, options, 1)?;
        let scale = Scale::of(values);
        if scale.range.0 == scale.range.1 {
            return Err(Unfit::OneClass);
        }
        let squares =
            Squares::new(values.iter().map(|value| (value - scale.mean) / scale.deviation).collect());
        let assigned = stratified_folds(&vec![0; values.len()], options.folds, options.seed);
        let chosen = choose(&design, &squares, &assigned, &search(&L2_GRID));
        let parameters = chosen.fit_all(&design, &squares);
        let (neighbours, near) = Neighbours::new(&rows.places, &assigned, options.seed);
        let held = Held::new(&chosen.scores, &near, values, &scale, &assigned, options.tolerance);
        let likeness = Likeness::fit(&held.surenesses, &held.closeness);
        let held_out = held.answers(&likeness, options.tolerance);
        let report = held.report(&held_out, chosen.l2);
        let number = Self {
            surface: features.surface(&design, &parameters, 1),
            neighbours,
            values: values.to_vec(),
            error: mean(&held.errors),
            errors: held.errors,
            mean: scale.mean,
            deviation: scale.deviation,
            range: scale.range,
            blend: held.blend,
            within: held.within,
            likeness,
        };
        Ok((number, report, held_out))
    }

    pub(super) fn answer(&self, text: &str, vector: &[f32]) -> Answer {
        let score = self.surface.scores(text, vector).first().copied().unwrap_or(0.0);
        let near = self.neighbours.ask(vector);
        let scale = Scale { mean: self.mean, deviation: self.deviation, range: self.range };
        let said = scale.blended(score, near.mean(|row| value(&self.values, row), self.mean), self.blend);
        let sureness = -near.mean(|row| value(&self.errors, row), self.error);
        let confidence = self.within.apply(sureness);
        let likeness = self.likeness.of(sureness, near.closeness());
        let typicality = self.likeness.typicality(likeness);
        Answer {
            said: Truth::Number(said),
            confidence,
            likeness,
            typicality,
            trust: trusted(confidence, typicality),
            probabilities: Vec::new(),
            nearest: near.nearest(),
        }
    }
}

fn value(values: &[f32], row: usize) -> f32 {
    values.get(row).copied().unwrap_or(0.0)
}

fn mean(values: &[f32]) -> f32 {
    (values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len().max(1) as f64) as f32
}

/// Where the examples' numbers lie.
struct Scale {
    mean: f32,
    deviation: f32,
    range: (f32, f32),
}

impl Scale {
    fn of(values: &[f32]) -> Self {
        let centre = mean(values);
        let squares: Vec<f32> = values.iter().map(|value| (value - centre).powi(2)).collect();
        let low = values.iter().copied().fold(f32::INFINITY, f32::min);
        let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        Self { mean: centre, deviation: mean(&squares).sqrt().max(1e-6), range: (low, high) }
    }

    /// The ridge's score and the neighbours' mean into one number.
    fn blended(&self, score: f32, neighbours: f32, blend: f32) -> f32 {
        let ridge = self.mean + self.deviation * score;
        (ridge + blend * (neighbours - ridge)).clamp(self.range.0, self.range.1)
    }
}

/// Held-out answers.
struct Held {
    blend: f32,
    said: Vec<f32>,
    errors: Vec<f32>,
    within: Isotonic,
    /// By maps fitted on the other folds.
    confidences: Vec<f32>,
    /// Minus the expected error.
    surenesses: Vec<f32>,
    closeness: Vec<f32>,
}

impl Held {
    fn new(
        scores: &[f32],
        near: &[Near],
        values: &[f32],
        scale: &Scale,
        assigned: &[usize],
        tolerance: f32,
    ) -> Self {
        let means: Vec<f32> = near.iter().map(|near| near.mean(|row| values[row], scale.mean)).collect();
        let answers = |blend: f32| -> Vec<f32> {
            scores.iter().zip(&means).map(|(&score, &mean)| scale.blended(score, mean, blend)).collect()
        };
        let off = |said: &[f32]| -> Vec<f32> {
            said.iter().zip(values).map(|(said, value)| (said - value).abs()).collect()
        };
        let blends = (0..=BLENDS).map(|step| step as f32 / BLENDS as f32);
        let blend = blends
            .map(|blend| (blend, mean(&off(&answers(blend)))))
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map_or(0.0, |best| best.0);
        let said = answers(blend);
        let errors = off(&said);
        let overall = mean(&errors);
        let surenesses: Vec<f32> = near.iter().map(|near| -near.mean(|row| errors[row], overall)).collect();
        let right: Vec<f32> = errors.iter().map(|error| f32::from(u8::from(*error <= tolerance))).collect();
        let isotonic = |rows: &[usize]| {
            let pick = |values: &[f32]| -> Vec<f32> { rows.iter().map(|&row| values[row]).collect() };
            Isotonic::fit(&pick(&surenesses), &pick(&right))
        };
        let mut confidences = vec![0.0; values.len()];
        for fold in 0..=assigned.iter().copied().max().unwrap_or(0) {
            let (others, held) = split(assigned, fold);
            let within = isotonic(&others);
            held.into_iter().for_each(|row| confidences[row] = within.apply(surenesses[row]));
        }
        let within = isotonic(&(0..values.len()).collect::<Vec<_>>());
        let closeness = near.iter().map(Near::closeness).collect();
        Self { blend, said, errors, within, confidences, surenesses, closeness }
    }

    fn answers(&self, likeness: &Likeness, tolerance: f32) -> Vec<HeldOut> {
        (0..self.said.len())
            .map(|row| {
                let like = likeness.of(self.surenesses[row], self.closeness[row]);
                let typicality = likeness.typicality(like);
                HeldOut {
                    said: Truth::Number(self.said[row]),
                    confidence: self.confidences[row],
                    trust: trusted(self.confidences[row], typicality),
                    likeness: like,
                    typicality,
                    right: self.errors[row] <= tolerance,
                }
            })
            .collect()
    }

    fn report(&self, held_out: &[HeldOut], l2: f32) -> Report {
        let right: Vec<bool> = held_out.iter().map(|answer| answer.right).collect();
        let hits = right.iter().filter(|right| **right).count();
        Report {
            examples: right.len(),
            labels: 0,
            accuracy: metrics::ratio(hits as f64, right.len() as f64),
            macro_f1: 0.0,
            ece: metrics::expected_calibration_error(&self.confidences, &right),
            l2,
            chosen: format!("ridge x {:.2} + neighbours x {:.2}", 1.0 - self.blend, self.blend),
            mean_absolute_error: Some(f64::from(mean(&self.errors))),
            per_class: Vec::new(),
            confusions: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Example, Kind, Model};
    use super::*;
    use crate::random::Dice;

    #[test]
    fn a_noisy_line_is_found_and_the_noise_is_known() {
        let mut dice = Dice::new(6);
        // Numbers on the left half are exact, on the right half off by about 2.
        let rows: Vec<(Vec<f32>, Truth)> = (0..600)
            .map(|_| {
                let angle = dice.uniform() * 3.0 - 1.5;
                let noise = if angle > 0.0 { 2.0 * dice.normal() } else { 0.05 * dice.normal() };
                (vec![angle.cos(), angle.sin()], Truth::Number(3.0 * angle.sin() + noise))
            })
            .collect();
        let examples: Vec<Example<'_>> =
            rows.iter().map(|(vector, truth)| Example { text: "x", vector, truth }).collect();
        let trained = Model::train(Kind::Number, &examples, &TrainOptions::default()).unwrap();
        let off = trained.report.mean_absolute_error.unwrap();
        assert!((0.5..1.1).contains(&off), "{off}");
        let calm = trained.model.answer("x", &[1_f32.cos(), -1_f32.sin()]);
        let wild = trained.model.answer("x", &[1_f32.cos(), 1_f32.sin()]);
        assert!(matches!(calm.said, Truth::Number(value) if (value + 2.5).abs() < 0.4), "{calm:?}");
        assert!(calm.trust > 0.9 && wild.trust < 0.4, "{calm:?} {wild:?}");
        let back: Model = serde_json::from_str(&serde_json::to_string(&trained.model).unwrap()).unwrap();
        assert_eq!(back.answer("x", &[1_f32.cos(), 1_f32.sin()]), wild);
    }
}
