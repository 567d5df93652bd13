//! Any number of labels out of a set: one logistic model per label over vector and words, and the neighbours' labels.
//!
//! Owns the training and the answer. Refuses to look for dependence between labels: each is told by itself, and only the
//! probability that the whole set is right is fitted on whole sets.

use serde::{Deserialize, Serialize};

use super::likeness::{Likeness, trusted};
use super::model::{Report, TrainOptions};
use super::neighbours::{Near, Neighbours};
use super::rows::{Features, Rows, Surface, search};
use super::truth::{Answer, HeldOut, Truth};
use crate::binary::{Flags, Platt};
use crate::calibrate::Isotonic;
use crate::choice::choose;
use crate::folds::{split, stratified_folds};
use crate::metrics::{self, ClassReport};
use crate::unfit::Unfit;

/// Penalties tried, strongest first.
const L2_GRID: [f32; 5] = [1e-2, 3e-3, 1e-3, 3e-4, 1e-4];
/// Shares of votes are kept this far from 0 and 1 before their logit is taken.
const SHARE_MIN: f32 = 0.01;

/// A trained model of sets; the labels' names are the model's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Several {
    surface: Surface,
    neighbours: Neighbours,
    /// The labels of each example.
    sets: Vec<Vec<u32>>,
    /// The share of examples that carry each label.
    shares: Vec<f32>,
    /// Logits and votes into probabilities, one for each label.
    platts: Vec<Platt>,
    /// From the logarithm of the product of the labels' probabilities to the probability that the set is right.
    whole: Isotonic,
    likeness: Likeness,
}

impl Several {
    /// Trains on the set of labels of each row.
    pub(super) fn train(
        rows: &Rows<'_>,
        truths: &[&[String]],
        options: &TrainOptions,
    ) -> Result<(Vec<String>, Self, Report, Vec<HeldOut>), Unfit> {
        let mut names: Vec<String> = truths.iter().flat_map(|set| set.iter().cloned()).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            return Err(Unfit::OneClass);
        }
        let place = |name: &String| names.partition_point(|known| known < name) as u32;
        let sets: Vec<Vec<u32>> = truths
            .iter()
            .map(|set| {
                let mut places: Vec<u32> = set.iter().map(place).collect();
                places.sort_unstable();
                places.dedup();
                places
            })
            .collect();
        let (features, design) = Features::new(rows, options, names.len())?;
        let flags = Flags::new(&sets, names.len());
        // Rows with equal sets are spread over the folds, so that rare labels are in most of them.
        let groups: Vec<usize> =
            sets.iter().map(|set| set.first().map_or(0, |&first| first as usize + 1)).collect();
        let assigned = stratified_folds(&groups, options.folds, options.seed);
        let chosen = choose(&design, &flags, &assigned, &search(&L2_GRID));
        let parameters = chosen.fit_all(&design, &flags);
        let (neighbours, near) = Neighbours::new(&rows.places, &assigned, options.seed);
        let shares = flags.shares();
        let held = Held::new(&chosen.scores, &near, &sets, &shares, &assigned);
        let likeness = Likeness::fit(&held.surenesses, &held.closeness);
        let held_out = held.answers(&names, &sets, &likeness);
        let report = held.report(&names, &sets, &held_out, chosen.l2);
        let several = Self {
            surface: features.surface(&design, &parameters, names.len()),
            neighbours,
            sets,
            shares,
            platts: held.platts,
            whole: held.whole,
            likeness,
        };
        Ok((names, several, report, held_out))
    }

    pub(super) fn answer(&self, text: &str, vector: &[f32], names: &[String]) -> Answer {
        let logits = self.surface.scores(text, vector);
        let near = self.neighbours.ask(vector);
        let votes = votes(&near, &self.sets, &self.shares);
        let probabilities = pooled(&self.platts, &logits, &votes);
        let sureness = sureness(&probabilities);
        let confidence = self.whole.apply(sureness);
        let likeness = self.likeness.of(sureness, near.closeness());
        let typicality = self.likeness.typicality(likeness);
        Answer {
            said: named(&probabilities, names),
            confidence,
            likeness,
            typicality,
            trust: trusted(confidence, typicality),
            probabilities,
            nearest: near.nearest(),
        }
    }
}

/// The logit of each label's share among the neighbours.
fn votes(near: &Near, sets: &[Vec<u32>], shares: &[f32]) -> Vec<f32> {
    let has = |row: usize, label: u32| sets.get(row).is_some_and(|set| set.binary_search(&label).is_ok());
    (0_u32..)
        .zip(shares)
        .map(|(label, &prior)| {
            let share = near.mean(|row| f32::from(u8::from(has(row, label))), prior);
            let share = share.clamp(SHARE_MIN, 1.0 - SHARE_MIN);
            (share / (1.0 - share)).ln()
        })
        .collect()
}

fn pooled(platts: &[Platt], logits: &[f32], votes: &[f32]) -> Vec<f32> {
    platts.iter().zip(logits).zip(votes).map(|((platt, &logit), &vote)| platt.apply(logit, vote)).collect()
}

/// The logarithm of the probability that every label is told rightly, were they independent.
fn sureness(probabilities: &[f32]) -> f32 {
    probabilities.iter().map(|&value| value.max(1.0 - value).ln()).sum()
}

fn named(probabilities: &[f32], names: &[String]) -> Truth {
    let chosen = names.iter().zip(probabilities).filter(|(_, probability)| **probability > 0.5);
    Truth::Many(chosen.map(|(name, _)| name.clone()).collect())
}

/// Held-out answers.
struct Held {
    platts: Vec<Platt>,
    whole: Isotonic,
    /// By maps fitted on the other folds, row-major.
    probabilities: Vec<f32>,
    confidences: Vec<f32>,
    surenesses: Vec<f32>,
    closeness: Vec<f32>,
}

impl Held {
    fn new(logits: &[f32], near: &[Near], sets: &[Vec<u32>], shares: &[f32], assigned: &[usize]) -> Self {
        let labels = shares.len();
        let votes: Vec<f32> = near.iter().flat_map(|near| votes(near, sets, shares)).collect();
        let fit = |rows: &[usize]| -> Vec<Platt> {
            (0..labels)
                .map(|label| {
                    let cells = rows.iter().map(|row| row * labels + label);
                    let cases = cells.zip(rows).map(|(cell, &row)| {
                        (logits[cell], votes[cell], sets[row].binary_search(&(label as u32)).is_ok())
                    });
                    Platt::fit(&cases.collect::<Vec<_>>())
                })
                .collect()
        };
        let all: Vec<usize> = (0..sets.len()).collect();
        let mut probabilities = vec![0.0; logits.len()];
        let folds = assigned.iter().copied().max().unwrap_or(0);
        for fold in 0..=folds {
            let (others, held) = split(assigned, fold);
            let platts = fit(&others);
            for row in held {
                let cells = row * labels..(row + 1) * labels;
                let pooled = pooled(&platts, &logits[cells.clone()], &votes[cells.clone()]);
                probabilities[cells].copy_from_slice(&pooled);
            }
        }
        let rows: Vec<&[f32]> = probabilities.chunks_exact(labels).collect();
        let surenesses: Vec<f32> = rows.iter().map(|row| sureness(row)).collect();
        let right: Vec<f32> =
            rows.iter().zip(sets).map(|(row, set)| f32::from(u8::from(chosen(row) == *set))).collect();
        let isotonic = |rows: &[usize]| {
            let pick = |values: &[f32]| -> Vec<f32> { rows.iter().map(|&row| values[row]).collect() };
            Isotonic::fit(&pick(&surenesses), &pick(&right))
        };
        let mut confidences = vec![0.0; sets.len()];
        for fold in 0..=folds {
            let (others, held) = split(assigned, fold);
            let whole = isotonic(&others);
            held.into_iter().for_each(|row| confidences[row] = whole.apply(surenesses[row]));
        }
        let whole = isotonic(&all);
        let closeness = near.iter().map(Near::closeness).collect();
        Self { platts: fit(&all), whole, confidences, surenesses, closeness, probabilities }
    }

    fn answers(&self, names: &[String], sets: &[Vec<u32>], likeness: &Likeness) -> Vec<HeldOut> {
        self.probabilities
            .chunks_exact(names.len())
            .enumerate()
            .map(|(row, probabilities)| {
                let like = likeness.of(self.surenesses[row], self.closeness[row]);
                let typicality = likeness.typicality(like);
                HeldOut {
                    said: named(probabilities, names),
                    confidence: self.confidences[row],
                    trust: trusted(self.confidences[row], typicality),
                    likeness: like,
                    typicality,
                    right: chosen(probabilities) == sets[row],
                }
            })
            .collect()
    }

    fn report(&self, names: &[String], sets: &[Vec<u32>], held_out: &[HeldOut], l2: f32) -> Report {
        let said: Vec<Vec<u32>> = self.probabilities.chunks_exact(names.len()).map(chosen).collect();
        let per_class: Vec<ClassReport> = (0_u32..)
            .zip(names)
            .map(|(label, name)| {
                let has = |sets: &[Vec<u32>]| -> Vec<bool> {
                    sets.iter().map(|set| set.binary_search(&label).is_ok()).collect()
                };
                metrics::flag_report(name, &has(sets), &has(&said))
            })
            .collect();
        let right: Vec<bool> = held_out.iter().map(|answer| answer.right).collect();
        let hits = right.iter().filter(|right| **right).count();
        Report {
            examples: sets.len(),
            labels: names.len(),
            accuracy: metrics::ratio(hits as f64, sets.len() as f64),
            macro_f1: metrics::ratio(per_class.iter().map(|class| class.f1).sum(), names.len() as f64),
            ece: metrics::expected_calibration_error(&self.confidences, &right),
            l2,
            chosen: "linear + neighbours for each label".to_owned(),
            mean_absolute_error: None,
            per_class,
            confusions: Vec::new(),
        }
    }
}

/// The places of the labels that are likelier than not.
fn chosen(probabilities: &[f32]) -> Vec<u32> {
    (0_u32..)
        .zip(probabilities)
        .filter(|(_, probability)| **probability > 0.5)
        .map(|(label, _)| label)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Example, Kind, Model};
    use super::*;
    use crate::random::Dice;

    #[test]
    fn labels_come_together_and_alone() {
        let mut dice = Dice::new(4);
        let rows: Vec<(String, Vec<f32>, Truth)> = (0..300)
            .map(|_| {
                let (urgent, billing) = (dice.uniform() < 0.4, dice.uniform() < 0.5);
                let mut set = Vec::new();
                if billing {
                    set.push("billing".to_owned());
                }
                if urgent {
                    set.push("urgent".to_owned());
                }
                let side = |yes: bool, noise: f32| if yes { 0.7 } else { -0.7 } + 0.2 * noise;
                let vector = vec![side(urgent, dice.normal()), side(billing, dice.normal())];
                (format!("note {}", dice.below(50)), vector, Truth::Many(set))
            })
            .collect();
        let examples: Vec<Example<'_>> =
            rows.iter().map(|(text, vector, truth)| Example { text, vector, truth }).collect();
        let trained = Model::train(Kind::Several, &examples, &TrainOptions::default()).unwrap();
        assert!(trained.report.accuracy > 0.95, "{:?}", trained.report);
        for (vector, set) in
            [([0.7, 0.7], &["billing", "urgent"][..]), ([-0.7, -0.7], &[]), ([0.7, -0.7], &["urgent"])]
        {
            let answer = trained.model.answer("note 1", &vector);
            assert_eq!(answer.said, Truth::Many(set.iter().map(|name| (*name).to_owned()).collect()));
            assert!(answer.confidence > 0.9, "{answer:?}");
        }
        let back: Model = serde_json::from_str(&serde_json::to_string(&trained.model).unwrap()).unwrap();
        assert_eq!(back.answer("note 1", &[0.7, 0.1]), trained.model.answer("note 1", &[0.7, 0.1]));
    }
}
