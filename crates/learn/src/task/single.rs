//! One label out of a set: a linear model over vector and words, and the neighbours' vote, pooled.
//!
//! Owns the training and the answer. Refuses to decide whether an answer may be served: a certificate does.

use serde::{Deserialize, Serialize};

use super::likeness::{Likeness, trusted};
use super::model::{Report, TrainOptions};
use super::neighbours::{Near, Neighbours};
use super::pool::Pool;
use super::rows::{Features, Rows, Surface, search};
use super::truth::{Answer, HeldOut, Truth};
use crate::choice::choose;
use crate::folds::{split, stratified_folds};
use crate::head::{check_labels, class_weights};
use crate::logistic::{Classes, best};
use crate::metrics;
use crate::unfit::Unfit;

/// Penalties tried, strongest first.
const L2_GRID: [f32; 4] = [3e-4, 1e-4, 3e-5, 1e-5];

/// A trained classifier; the labels' names are the model's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Single {
    surface: Surface,
    neighbours: Neighbours,
    /// The label of each example.
    labels: Vec<u32>,
    classes: usize,
    pool: Pool,
    likeness: Likeness,
}

impl Single {
    /// Trains on the label of each row.
    pub(super) fn train(
        rows: &Rows<'_>,
        truths: &[&str],
        options: &TrainOptions,
    ) -> Result<(Vec<String>, Self, Report, Vec<HeldOut>), Unfit> {
        let mut names: Vec<String> = truths.iter().map(|name| (*name).to_owned()).collect();
        names.sort_unstable();
        names.dedup();
        let labels: Vec<usize> =
            truths.iter().map(|truth| names.partition_point(|name| name.as_str() < *truth)).collect();
        check_labels(truths.len(), &labels, &names)?;
        let (features, design) = Features::new(rows, options, names.len())?;
        let classes = names.len();
        let weights = class_weights(&labels, classes, f32::from(u8::from(options.balance)));
        let targets = Classes { labels: labels.clone(), weights, count: classes };
        let assigned = stratified_folds(&labels, options.folds, options.seed);
        let chosen = choose(&design, &targets, &assigned, &search(&L2_GRID));
        let parameters = chosen.fit_all(&design, &targets);
        let (neighbours, near) = Neighbours::new(&rows.places, &assigned, options.seed);
        let places: Vec<u32> = labels.iter().map(|&label| label as u32).collect();
        let held = Held::new(&chosen.scores, &near, &places, &labels, classes, &assigned);
        let likeness = Likeness::fit(&held.margins, &held.closeness);
        let held_out = held.answers(&names, &labels, &likeness);
        let report = held.report(&names, &labels, chosen.l2);
        let single = Self {
            surface: features.surface(&design, &parameters, classes),
            neighbours,
            labels: places,
            classes,
            pool: held.pool,
            likeness,
        };
        Ok((names, single, report, held_out))
    }

    pub(super) fn answer(&self, text: &str, vector: &[f32], names: &[String]) -> Answer {
        let logits = self.surface.scores(text, vector);
        let near = self.neighbours.ask(vector);
        let probabilities = self.pool.apply(&logits, &near.shares(&self.labels, self.classes));
        let best = best(&probabilities);
        let likeness = self.likeness.of(margin(&probabilities, best), near.closeness());
        let typicality = self.likeness.typicality(likeness);
        let confidence = probabilities.get(best).copied().unwrap_or(0.0);
        Answer {
            said: Truth::One(names.get(best).cloned().unwrap_or_default()),
            confidence,
            likeness,
            typicality,
            trust: trusted(confidence, typicality),
            probabilities,
            nearest: near.nearest(),
        }
    }
}

/// The logarithm of how much likelier the best label is than the second.
fn margin(probabilities: &[f32], best: usize) -> f32 {
    let second = probabilities
        .iter()
        .enumerate()
        .filter(|(place, _)| *place != best)
        .map(|(_, value)| *value)
        .fold(f32::MIN_POSITIVE, f32::max);
    probabilities[best].max(f32::MIN_POSITIVE).ln() - second.max(1e-6).ln()
}

/// Held-out answers of the pooled model.
struct Held {
    /// Fitted on all folds' held-out logits.
    pool: Pool,
    classes: usize,
    /// Each fold pooled with weights fitted on the other folds.
    probabilities: Vec<f32>,
    margins: Vec<f32>,
    closeness: Vec<f32>,
}

impl Held {
    fn new(
        logits: &[f32],
        near: &[Near],
        places: &[u32],
        labels: &[usize],
        classes: usize,
        assigned: &[usize],
    ) -> Self {
        let votes: Vec<f32> = near.iter().flat_map(|near| near.shares(places, classes)).collect();
        let all: Vec<usize> = (0..labels.len()).collect();
        let pool = Pool::fit(&all, logits, &votes, labels, classes);
        let mut probabilities = vec![0.0; logits.len()];
        for fold in 0..=assigned.iter().copied().max().unwrap_or(0) {
            let (others, held) = split(assigned, fold);
            let pool = Pool::fit(&others, logits, &votes, labels, classes);
            for row in held {
                let cells = row * classes..(row + 1) * classes;
                let pooled = pool.apply(&logits[cells.clone()], &votes[cells.clone()]);
                probabilities[cells].copy_from_slice(&pooled);
            }
        }
        let margins = probabilities.chunks_exact(classes).map(|row| margin(row, best(row))).collect();
        let closeness = near.iter().map(Near::closeness).collect();
        Self { pool, classes, probabilities, margins, closeness }
    }

    fn said(&self) -> Vec<usize> {
        self.probabilities.chunks_exact(self.classes).map(best).collect()
    }

    fn answers(&self, names: &[String], labels: &[usize], likeness: &Likeness) -> Vec<HeldOut> {
        let sure = self.margins.iter().zip(&self.closeness);
        self.probabilities
            .chunks_exact(self.classes)
            .zip(sure)
            .zip(labels)
            .map(|((row, (&margin, &closeness)), &label)| {
                let said = best(row);
                let like = likeness.of(margin, closeness);
                let typicality = likeness.typicality(like);
                HeldOut {
                    said: Truth::One(names.get(said).cloned().unwrap_or_default()),
                    confidence: row[said],
                    trust: trusted(row[said], typicality),
                    likeness: like,
                    typicality,
                    right: said == label,
                }
            })
            .collect()
    }

    fn report(&self, names: &[String], labels: &[usize], l2: f32) -> Report {
        let said = self.said();
        let rows = self.probabilities.chunks_exact(self.classes).zip(&said);
        let confidences: Vec<f32> = rows.map(|(row, &said)| row[said]).collect();
        let right: Vec<bool> = said.iter().zip(labels).map(|(said, label)| said == label).collect();
        Report {
            examples: labels.len(),
            labels: names.len(),
            accuracy: metrics::accuracy(labels, &said),
            macro_f1: metrics::macro_f1(labels, &said),
            ece: metrics::expected_calibration_error(&confidences, &right),
            l2,
            chosen: self.pool.to_string(),
            mean_absolute_error: None,
            per_class: metrics::per_class(labels, &said, names),
            confusions: metrics::confusions(labels, &said, names),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Example, Kind, Model, Trained};
    use super::*;
    use crate::random::Dice;

    const NAMES: [&str; 3] = ["lost", "rate", "sent"];

    /// Three intents with their own words and their own corner of the plane.
    fn train(count: usize, words: bool) -> Trained {
        let mut dice = Dice::new(8);
        let topics = ["card lost", "rate change", "money sent"];
        let rows: Vec<(String, Vec<f32>, Truth)> = (0..count)
            .map(|row| {
                let label = row % 3;
                let angle = label as f32 + 0.25 * dice.normal();
                let text = format!("my {} please {}", topics[label], dice.below(9));
                (text, vec![angle.cos() * 0.9, angle.sin() * 0.9, 0.4], Truth::One(NAMES[label].into()))
            })
            .collect();
        let examples: Vec<Example<'_>> =
            rows.iter().map(|(text, vector, truth)| Example { text, vector, truth }).collect();
        let options = TrainOptions { words, ..TrainOptions::default() };
        Model::train(Kind::Single, &examples, &options).unwrap()
    }

    #[test]
    fn words_help_where_vectors_overlap() {
        let (with, without) = (train(300, true), train(300, false));
        assert!(with.report.accuracy > 0.99, "{}", with.report.accuracy);
        assert!(without.report.accuracy > 0.9 && without.report.accuracy < with.report.accuracy);
        assert_eq!((with.model.labels(), with.model.kind()), (&NAMES.map(String::from)[..], Kind::Single));
        assert_eq!(with.model.examples(), 300);
    }

    #[test]
    fn strangers_are_not_trusted() {
        let model = train(300, true).model;
        let known = model.answer("my card lost please", &[0.9, 0.0, 0.4]);
        assert_eq!((&known.said, known.trust > 0.9), (&Truth::One("lost".into()), true), "{known:?}");
        let stranger = model.answer("weather tomorrow", &[0.0, 0.0, -1.0]);
        assert!(stranger.likeness < -3.0 && stranger.trust == 0.0, "{stranger:?}");
    }

    #[test]
    fn certificates_come_from_held_out_answers() {
        let trained = train(600, false);
        let certificate = trained.certify(0.05, 0.95);
        assert!(certificate.coverage > 0.5 && certificate.disagreement <= 0.05, "{certificate:?}");
        assert!(trained.certify(1e-4, 0.95).threshold.is_none());
    }

    #[test]
    fn a_stored_model_answers_the_same() {
        let model = train(90, true).model;
        let back: Model = serde_json::from_str(&serde_json::to_string(&model).unwrap()).unwrap();
        let ask = |one: &Model| one.answer("my money sent", &[0.5, 0.7, 0.4]);
        assert_eq!(ask(&back), ask(&model));
    }
}
