//! Training a softmax head on feature vectors, with everything chosen and judged on held-out folds.
//!
//! Owns the choice of the penalty, the temperature and the report. Refuses data from which no honest figure can be had:
//! see [`Unfit`].

use api::Head;
use serde::Serialize;

use crate::calibrate::temperature;
use crate::choice::{Search, choose};
use crate::descent::Patience;
use crate::design::Design;
use crate::folds::{split, stratified_folds};
use crate::logistic::{Classes, best, soften};
use crate::metrics::{self, ClassReport, Confusion};
use crate::unfit::Unfit;

/// Penalties tried, strongest first: each fit starts from the one before it.
const L2_GRID: [f32; 6] = [1e-2, 3e-3, 1e-3, 1e-4, 1e-5, 1e-6];
/// Fits inside the folds stop here: the next penalty goes on from there.
const FOLD_PATIENCE: Patience = Patience { steps_max: 60, tolerance: 1e-4 };
/// The last fit is done once and may take longer.
const LAST_PATIENCE: Patience = Patience { steps_max: 200, tolerance: 1e-5 };
/// Fewer examples than this cannot be split into folds that mean anything.
const EXAMPLES_MIN: usize = 4;

/// How to train.
#[derive(Clone, Copy, Debug)]
pub struct HeadOptions {
    /// Decides the folds. The same seed on the same data gives the same head (to the last bit on one kind of
    /// processor; fused multiply-add differs in the seventh digit between kinds).
    pub seed: u64,
    /// Folds of the cross-validation, at least 2.
    pub folds: usize,
    /// The penalty on squared weights, relative to the mean loss; `None` chooses it by cross-validation.
    pub l2: Option<f32>,
    /// How far rare classes are raised against frequent ones: 0 leaves every example alike, 1 makes all classes weigh the
    /// same in sum and the probabilities of rare ones too high; 0.5 finds most of the rare and stays calibrated.
    pub balance: f32,
}

impl Default for HeadOptions {
    fn default() -> Self {
        Self { seed: 0, folds: 5, l2: None, balance: 0.0 }
    }
}

/// A head and what is known of it.
#[derive(Clone, Debug)]
pub struct TrainedHead {
    /// Ready to serve.
    pub head: Head,
    /// How it fared on examples that it had not seen.
    pub report: HeadReport,
}

/// Cross-validated figures: every example was answered once, by a head that was fitted without it.
#[derive(Clone, Debug, Serialize)]
pub struct HeadReport {
    /// How many examples.
    pub examples: usize,
    /// How many classes.
    pub classes: usize,
    /// Share of right answers.
    pub accuracy: f64,
    /// Mean F1 of the classes.
    pub macro_f1: f64,
    /// Expected calibration error, each fold's temperature fitted on the other folds.
    pub ece: f64,
    /// The penalty used.
    pub l2: f32,
    /// Each class, in the order of the names.
    pub per_class: Vec<ClassReport>,
    /// Classes taken for one another, most frequent first.
    pub confusions: Vec<Confusion>,
    /// The held-out probability of every class for every example, row-major, `examples x classes`.
    #[serde(skip)]
    pub held_out: Vec<f32>,
}

/// An example whose label the rest of the data speaks against.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contradiction {
    /// The example's row.
    pub row: usize,
    /// The label it carries.
    pub label: String,
    /// The label that the other examples suggest.
    pub said: String,
    /// How sure they are.
    pub probability: f32,
}

impl HeadReport {
    /// The held-out probabilities of one example; empty past the end.
    pub fn probabilities(&self, row: usize) -> &[f32] {
        self.held_out.chunks_exact(self.classes.max(1)).nth(row).unwrap_or(&[])
    }

    /// Examples that a head fitted without them gives another label with at least `confidence`, surest first. `labels`
    /// are those that were trained on.
    pub fn contradictions(&self, labels: &[usize], confidence: f32) -> Vec<Contradiction> {
        let name =
            |place: usize| self.per_class.get(place).map(|class| class.name.clone()).unwrap_or_default();
        let rows = self.held_out.chunks_exact(self.classes.max(1)).zip(labels).enumerate();
        let mut found: Vec<Contradiction> = rows
            .filter_map(|(row, (probabilities, &label))| {
                let said = best(probabilities);
                let probability = probabilities[said];
                (said != label && probability >= confidence).then(|| Contradiction {
                    row,
                    label: name(label),
                    said: name(said),
                    probability,
                })
            })
            .collect();
        found.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.row.cmp(&b.row)));
        found
    }
}

/// Fits multinomial logistic regression by L-BFGS: the penalty is the one with the most right answers in
/// cross-validation (the likelier on a tie), the temperature is fitted on the held-out logits, the head on everything.
///
/// `features` are rows of one length, dense or mostly zero; `labels[row]` indexes `names`; every name needs an example.
pub fn train_head(
    features: &[Vec<f32>],
    labels: &[usize],
    names: &[String],
    options: &HeadOptions,
) -> Result<TrainedHead, Unfit> {
    check_labels(features.len(), labels, names)?;
    let design = Design::new(features)?;
    let weights = class_weights(labels, names.len(), options.balance);
    let assigned = stratified_folds(labels, options.folds, options.seed);
    let targets = Classes { labels: labels.to_vec(), weights, count: names.len() };
    let grid = options.l2.as_ref().map_or(&L2_GRID[..], std::slice::from_ref);
    let search = Search { grid, patience: FOLD_PATIENCE, last: LAST_PATIENCE, judged_rows: usize::MAX };
    let chosen = choose(&design, &targets, &assigned, &search);
    let parameters = chosen.fit_all(&design, &targets);
    let columns = features.first().map_or(0, Vec::len);
    let (rows, bias) = design.unpack(&parameters, names.len(), columns);
    let head = Head {
        labels: names.to_vec(),
        weights: rows,
        bias,
        temperature: temperature(&chosen.scores, labels, names.len()),
    };
    let held_out = cross_calibrated(&chosen.scores, labels, names.len(), &assigned);
    let report = report(held_out, labels, names, chosen.l2);
    Ok(TrainedHead { head, report })
}

/// Held-out probabilities; the temperature of each fold comes from the others.
fn cross_calibrated(logits: &[f32], labels: &[usize], classes: usize, assigned: &[usize]) -> Vec<f32> {
    let mut probabilities = logits.to_vec();
    for fold in 0..=assigned.iter().copied().max().unwrap_or(0) {
        let (others, held) = split(assigned, fold);
        let other_logits: Vec<f32> =
            others.iter().flat_map(|row| &logits[row * classes..(row + 1) * classes]).copied().collect();
        let other_labels: Vec<usize> = others.iter().map(|&row| labels[row]).collect();
        let temperature = temperature(&other_logits, &other_labels, classes);
        for row in held {
            let row = &mut probabilities[row * classes..(row + 1) * classes];
            row.iter_mut().for_each(|logit| *logit /= temperature);
            soften(row);
        }
    }
    probabilities
}

fn report(held_out: Vec<f32>, labels: &[usize], names: &[String], l2: f32) -> HeadReport {
    let said: Vec<usize> = held_out.chunks_exact(names.len()).map(best).collect();
    let confidences: Vec<f32> =
        held_out.chunks_exact(names.len()).zip(&said).map(|(row, &said)| row[said]).collect();
    let right: Vec<bool> = said.iter().zip(labels).map(|(said, label)| said == label).collect();
    HeadReport {
        examples: labels.len(),
        classes: names.len(),
        accuracy: metrics::accuracy(labels, &said),
        macro_f1: metrics::macro_f1(labels, &said),
        ece: metrics::expected_calibration_error(&confidences, &right),
        l2,
        per_class: metrics::per_class(labels, &said, names),
        confusions: metrics::confusions(labels, &said, names),
        held_out,
    }
}

pub(crate) fn check_labels(rows: usize, labels: &[usize], names: &[String]) -> Result<(), Unfit> {
    if rows != labels.len() {
        return Err(Unfit::Uneven { what: "feature rows and labels", left: rows, right: labels.len() });
    }
    if rows < EXAMPLES_MIN {
        return Err(Unfit::TooFew { found: rows, needed: EXAMPLES_MIN });
    }
    let mut counts = vec![0_usize; names.len()];
    for (row, &label) in labels.iter().enumerate() {
        let Some(count) = counts.get_mut(label) else {
            return Err(Unfit::UnknownLabel { row, label, names: names.len() });
        };
        *count += 1;
    }
    if names.len() < 2 {
        return Err(Unfit::OneClass);
    }
    match counts.iter().position(|&count| count == 0) {
        Some(place) => Err(Unfit::EmptyClass { name: names[place].clone() }),
        None => Ok(()),
    }
}

/// One per row, averaging 1: all alike at `balance` 0, so that every class weighs the same in sum at 1.
pub(crate) fn class_weights(labels: &[usize], classes: usize, balance: f32) -> Vec<f32> {
    let mut counts = vec![0_usize; classes];
    labels.iter().for_each(|&label| counts[label] += 1);
    let raw = |label: usize| {
        (labels.len() as f64 / (classes * counts[label].max(1)) as f64).powf(f64::from(balance))
    };
    let total: f64 = labels.iter().map(|&label| raw(label)).sum();
    let mean = total / labels.len().max(1) as f64;
    labels.iter().map(|&label| (raw(label) / mean) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Dice;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|place| format!("c{place}")).collect()
    }

    /// Three clouds in `width` dimensions around separate axes, noise up to `noise` on every axis.
    fn clouds(rows: usize, width: usize, noise: f32) -> (Vec<Vec<f32>>, Vec<usize>) {
        let mut dice = Dice::new(5);
        let mut uniform = || (dice.bits() >> 40) as f32 / (1_u64 << 24) as f32 - 0.5;
        let labels: Vec<usize> = (0..rows).map(|row| row % 3).collect();
        let features = labels
            .iter()
            .map(|&label| (0..width).map(|axis| f32::from(axis == label) + 2.0 * noise * uniform()).collect())
            .collect();
        (features, labels)
    }

    #[test]
    fn separates_clouds_and_predicts_as_it_reported() {
        let (features, labels) = clouds(150, 10, 0.4);
        let trained = train_head(&features, &labels, &names(3), &HeadOptions::default()).unwrap();
        assert!(trained.report.accuracy > 0.98, "{}", trained.report.accuracy);
        assert!(trained.report.ece < 0.05, "{}", trained.report.ece);
        let right = features
            .iter()
            .zip(&labels)
            .filter(|(row, label)| trained.head.predict(row).best == **label)
            .count();
        assert!(right >= 148, "{right}");
    }

    #[test]
    fn noise_is_neither_learned_nor_claimed() {
        let (features, _) = clouds(300, 8, 1.0);
        let mut dice = Dice::new(11);
        let labels: Vec<usize> = (0..300).map(|_| dice.below(3)).collect();
        let trained = train_head(&features, &labels, &names(3), &HeadOptions::default()).unwrap();
        assert!(trained.report.accuracy < 0.45, "{}", trained.report.accuracy);
        assert!(trained.report.ece < 0.1, "{}", trained.report.ece);
    }

    #[test]
    fn the_same_seed_gives_the_same_head() {
        let (features, labels) = clouds(60, 6, 0.9);
        let once = train_head(&features, &labels, &names(3), &HeadOptions::default()).unwrap();
        let again = train_head(&features, &labels, &names(3), &HeadOptions::default()).unwrap();
        assert_eq!(once.head, again.head);
    }

    #[test]
    fn a_wrong_label_is_named() {
        let (features, mut labels) = clouds(150, 10, 0.3);
        labels[30] = 1;
        let trained = train_head(&features, &labels, &names(3), &HeadOptions::default()).unwrap();
        let found = trained.report.contradictions(&labels, 0.7);
        assert_eq!(found.iter().map(|one| one.row).collect::<Vec<_>>(), [30]);
        assert_eq!((found[0].label.as_str(), found[0].said.as_str()), ("c1", "c0"));
    }

    #[test]
    fn balance_finds_the_rare_class() {
        let (features, labels) = clouds(300, 10, 1.0);
        let kept: Vec<usize> = (0..300).filter(|&row| labels[row] != 2 || row % 30 == 2).collect();
        let features: Vec<Vec<f32>> = kept.iter().map(|&row| features[row].clone()).collect();
        let labels: Vec<usize> = kept.iter().map(|&row| labels[row]).collect();
        let recall = |balance: f32| {
            let options = HeadOptions { balance, ..HeadOptions::default() };
            train_head(&features, &labels, &names(3), &options).unwrap().report.per_class[2].recall
        };
        assert!(recall(1.0) >= recall(0.5) && recall(0.5) >= recall(0.0));
        assert!(recall(1.0) > 0.5, "{}", recall(1.0));
    }

    #[test]
    fn one_example_of_a_class_is_enough_to_train() {
        let (mut features, mut labels) = clouds(60, 6, 0.4);
        features.push(vec![-1.0; 6]);
        labels.push(3);
        let trained = train_head(&features, &labels, &names(4), &HeadOptions::default()).unwrap();
        assert_eq!(trained.head.predict(&[-1.0; 6]).best, 3);
    }

    #[test]
    fn refusals_are_told_in_words() {
        fn check(features: &[Vec<f32>], labels: &[usize], names: &[String], said: &str) {
            let refusal = train_head(features, labels, names, &HeadOptions::default()).unwrap_err();
            assert!(refusal.to_string().contains(said), "{refusal}");
        }
        let (features, labels) = clouds(12, 4, 0.1);
        check(&features[..2], &labels[..2], &names(3), "2 examples are too few");
        check(&features, &[0; 12], &names(1), "the same label");
        check(&features, &labels, &names(4), "`c3` has no example");
        check(&features, &labels, &names(2), "label number 2");
        check(&features, &labels[1..], &names(3), "12 and 11");
    }
}
