//! A classifier for one closed task: a linear model over vector and words, and the neighbours' vote, pooled.
//!
//! Owns the training, the answer and the measure of how foreign a request is. Refuses to decide whether an answer may be
//! served: a [`Certificate`] does.

use serde::{Deserialize, Serialize};

use super::certificate::Certificate;
use super::pool::Pool;
use super::votes::{Vote, Votes};
use crate::design::{Design, SparseVector};
use crate::fit::fit;
use crate::folds::{split, stratified_folds};
use crate::head::{FINAL_PATIENCE, HeadReport, best, check_labels, choose, class_weights, report};
use crate::linear::Linear;
use crate::logistic::Classes;
use crate::ngrams::Ngrams;
use crate::unfit::Unfit;

/// Penalties tried, strongest first.
const L2_GRID: [f32; 4] = [1e-3, 1e-4, 3e-5, 1e-5];
/// Buckets per kind of n-gram.
const BUCKETS_LOG2: u32 = 14;
/// A request less typical than this share of the examples is never accepted, however sure the answer is.
const TYPICALITY_MIN: f32 = 0.01;
/// Quantiles kept of how typical the examples are.
const QUANTILES: usize = 200;

/// How to train.
#[derive(Clone, Copy, Debug)]
pub struct ClassifierOptions {
    /// Decides the folds.
    pub seed: u64,
    /// Folds of the cross-validation, at least 2.
    pub folds: usize,
    /// Whether rare classes count as much as frequent ones.
    pub balance: bool,
    /// Whether hashed n-grams of the text stand beside its vector.
    pub words: bool,
}

impl Default for ClassifierOptions {
    fn default() -> Self {
        Self { seed: 0, folds: 5, balance: false, words: true }
    }
}

/// A trained classifier, serialisable.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Classifier {
    labels: Vec<String>,
    linear: Linear,
    ngrams: Option<Ngrams>,
    votes: Votes,
    pool: Pool,
    likeness: Likeness,
}

/// A classifier and how it fared on examples held out.
#[derive(Clone, Debug)]
pub struct TrainedClassifier {
    /// Ready to serve.
    pub classifier: Classifier,
    /// Cross-validated figures; `held_out` holds pooled probabilities.
    pub report: HeadReport,
    /// For each example, what a classifier trained without it would have accepted it with.
    pub trust: Vec<f32>,
    /// For each example, whether that classifier was right.
    pub right: Vec<bool>,
    /// For each example, how much like the others it is; see [`Answer::likeness`].
    pub likeness: Vec<f32>,
}

/// What the classifier says of one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The place of the best label in [`Classifier::labels`].
    pub best: usize,
    /// Calibrated probabilities of all labels.
    pub probabilities: Vec<f32>,
    /// How much the request is like the examples: the sum of the standardised margin between the two best labels and the
    /// standardised closeness to the nearest examples. About 0 for examples, well below for what is out of scope.
    pub likeness: f32,
    /// The share of examples that are less like the others than this request is like them.
    pub typicality: f32,
    /// What certificates test: the probability of the best label, or 0 for what is out of distribution.
    pub trust: f32,
    /// The nearest examples by row with their cosines, nearest first.
    pub nearest: Vec<(usize, f32)>,
}

/// How like one another the examples are, as seen from outside each.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Likeness {
    margin: (f32, f32),
    closeness: (f32, f32),
    /// Ascending quantiles of the sum.
    quantiles: Vec<f32>,
}

impl Likeness {
    fn fit(margins: &[f32], closeness: &[f32]) -> Self {
        let mut likeness =
            Self { margin: moments(margins), closeness: moments(closeness), quantiles: Vec::new() };
        let mut sums: Vec<f32> =
            margins.iter().zip(closeness).map(|(&margin, &close)| likeness.of(margin, close)).collect();
        sums.sort_by(f32::total_cmp);
        let last = sums.len().saturating_sub(1);
        likeness.quantiles =
            (0..QUANTILES).filter_map(|step| sums.get(step * last / (QUANTILES - 1)).copied()).collect();
        likeness
    }

    fn of(&self, margin: f32, closeness: f32) -> f32 {
        (margin - self.margin.0) / self.margin.1 + (closeness - self.closeness.0) / self.closeness.1
    }

    fn typicality(&self, likeness: f32) -> f32 {
        let below = self.quantiles.partition_point(|quantile| *quantile < likeness);
        below as f32 / self.quantiles.len().max(1) as f32
    }
}

/// Mean and standard deviation.
fn moments(values: &[f32]) -> (f32, f32) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let square = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    (mean as f32, (square.sqrt() as f32).max(1e-6))
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

impl Classifier {
    /// Trains on examples given as texts, their unit vectors and labels that index `names`; every name needs an example.
    /// The penalty and the pool's weights are chosen on held-out folds, and all figures are taken there.
    pub fn train(
        texts: &[&str],
        vectors: &[Vec<f32>],
        labels: &[usize],
        names: &[String],
        options: &ClassifierOptions,
    ) -> Result<TrainedClassifier, Unfit> {
        check_labels(vectors.len(), labels, names)?;
        if texts.len() != vectors.len() {
            return Err(Unfit::Uneven { what: "texts and vectors", left: texts.len(), right: vectors.len() });
        }
        let ngrams = options.words.then(|| Ngrams::fit(texts.iter().copied(), BUCKETS_LOG2));
        let hashed: Vec<SparseVector> = texts.iter().map(|text| words(ngrams.as_ref(), text)).collect();
        let design = Design::mixed(vectors, &hashed, ngrams.as_ref().map_or(0, Ngrams::columns))?;
        let classes = names.len();
        let weights = class_weights(labels, classes, f32::from(u8::from(options.balance)));
        let targets = Classes { labels, weights: &weights, count: classes };
        let assigned = stratified_folds(labels, options.folds, options.seed);
        let chosen = choose(&design, &targets, &assigned, &L2_GRID);
        let mut parameters = chosen.start;
        fit(&design, &targets, chosen.l2, FINAL_PATIENCE, &mut parameters);
        let columns = vectors[0].len() + ngrams.as_ref().map_or(0, Ngrams::columns);
        let (rows, bias) = design.unpack(&parameters, classes, columns);

        let votes = Votes::new(vectors, labels, classes);
        let cross = votes.cross(vectors, &assigned);
        let held = HeldOut::new(&chosen.logits, &cross, labels, classes, &assigned);
        let likeness = Likeness::fit(&held.margins, &held.closeness);
        let report = report(held.probabilities, labels, names, chosen.l2);
        let classifier = Self {
            labels: names.to_vec(),
            linear: Linear::new(&rows, bias),
            ngrams,
            votes,
            pool: held.pool,
            likeness,
        };
        let like: Vec<f32> = held
            .margins
            .iter()
            .zip(&held.closeness)
            .map(|(&margin, &close)| classifier.likeness.of(margin, close))
            .collect();
        let said: Vec<usize> = report.held_out.chunks_exact(classes).map(best).collect();
        let trust = report
            .held_out
            .chunks_exact(classes)
            .zip(&said)
            .zip(&like)
            .map(|((row, &said), &like)| trusted(row[said], classifier.likeness.typicality(like)))
            .collect();
        let right = said.iter().zip(labels).map(|(said, label)| said == label).collect();
        Ok(TrainedClassifier { classifier, report, trust, right, likeness: like })
    }

    /// The labels, in the order of the probabilities.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Answers a request by its text and the text's vector.
    pub fn answer(&self, text: &str, vector: &[f32]) -> Answer {
        let logits = self.linear.apply(vector, &words(self.ngrams.as_ref(), text));
        let vote = self.votes.ask(vector);
        let probabilities = self.pool.apply(&logits, &vote.logits);
        let best = best(&probabilities);
        let likeness = self.likeness.of(margin(&probabilities, best), vote.closeness);
        let typicality = self.likeness.typicality(likeness);
        let trust = trusted(probabilities[best], typicality);
        Answer { best, probabilities, likeness, typicality, trust, nearest: vote.nearest }
    }
}

impl TrainedClassifier {
    /// The certificate at `level` with `confidence`, found on the held-out answers. It assumes that requests are drawn as
    /// the examples were, and that training on all examples is no worse than training on the folds.
    pub fn certify(&self, level: f64, confidence: f64) -> Certificate {
        Certificate::find(&self.trust, &self.right, level, confidence)
    }
}

fn trusted(probability: f32, typicality: f32) -> f32 {
    if typicality < TYPICALITY_MIN { 0.0 } else { probability }
}

fn words(ngrams: Option<&Ngrams>, text: &str) -> SparseVector {
    ngrams.map(|ngrams| ngrams.vector(text)).unwrap_or_default()
}

/// Held-out answers of the pooled model.
struct HeldOut {
    /// Fitted on all folds' held-out logits.
    pool: Pool,
    /// Each fold pooled with weights fitted on the other folds.
    probabilities: Vec<f32>,
    margins: Vec<f32>,
    closeness: Vec<f32>,
}

impl HeldOut {
    fn new(logits: &[f32], cross: &[Vote], labels: &[usize], classes: usize, assigned: &[usize]) -> Self {
        let votes: Vec<f32> = cross.iter().flat_map(|vote| &vote.logits).copied().collect();
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
        let closeness = cross.iter().map(|vote| vote.closeness).collect();
        Self { pool, probabilities, margins, closeness }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Dice;

    /// Three intents with their own words and their own corner of the plane.
    fn examples(count: usize) -> (Vec<String>, Vec<Vec<f32>>, Vec<usize>) {
        let mut dice = Dice::new(8);
        let topics = ["card lost", "money sent", "rate change"];
        let labels: Vec<usize> = (0..count).map(|row| row % 3).collect();
        let texts =
            labels.iter().map(|&label| format!("my {} please {}", topics[label], dice.below(9))).collect();
        let vectors = labels
            .iter()
            .map(|&label| {
                let angle = label as f32 + 0.25 * dice.normal();
                vec![angle.cos() * 0.9, angle.sin() * 0.9, 0.4]
            })
            .collect();
        (texts, vectors, labels)
    }

    fn train(count: usize, words: bool) -> TrainedClassifier {
        let (texts, vectors, labels) = examples(count);
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let names = ["lost", "sent", "rate"].map(String::from);
        let options = ClassifierOptions { words, ..ClassifierOptions::default() };
        Classifier::train(&texts, &vectors, &labels, &names, &options).unwrap()
    }

    #[test]
    fn words_help_where_vectors_overlap() {
        let (with, without) = (train(300, true), train(300, false));
        assert!(with.report.accuracy > 0.99, "{}", with.report.accuracy);
        assert!(without.report.accuracy > 0.9 && without.report.accuracy < with.report.accuracy);
    }

    #[test]
    fn strangers_are_not_trusted() {
        let trained = train(300, true);
        let known = trained.classifier.answer("my card lost please", &[0.9, 0.0, 0.4]);
        assert_eq!((known.best, known.trust > 0.9), (0, true), "{known:?}");
        let stranger = trained.classifier.answer("weather tomorrow", &[0.0, 0.0, -1.0]);
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
    fn a_stored_classifier_answers_the_same() {
        let classifier = train(90, true).classifier;
        let back: Classifier = serde_json::from_str(&serde_json::to_string(&classifier).unwrap()).unwrap();
        let ask = |one: &Classifier| one.answer("my money sent", &[0.5, 0.7, 0.4]);
        assert_eq!(ask(&back), ask(&classifier));
    }
}
