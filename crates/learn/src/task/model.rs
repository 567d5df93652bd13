//! A trained model of a closed task, whatever its kind, and what is known of it.
//!
//! Owns the door: training by kind, answering, certification. Refuses the mathematics of each kind: `single`, `several`
//! and `number` have it.

use serde::{Deserialize, Serialize};

use super::certificate::Certificate;
use super::number::Number;
use super::rows::Rows;
use super::several::Several;
use super::single::Single;
use super::truth::{Answer, Example, HeldOut, Kind, Truth};
use crate::metrics::{ClassReport, Confusion};
use crate::unfit::Unfit;

/// Fewer examples than this cannot be split into folds that mean anything.
const EXAMPLES_MIN: usize = 4;

/// How to train.
#[derive(Clone, Copy, Debug)]
pub struct TrainOptions {
    /// Decides the folds. The same seed on the same data gives the same model (to the last bit on one kind of processor).
    pub seed: u64,
    /// Folds of the cross-validation, at least 2.
    pub folds: usize,
    /// Whether rare classes count as much as frequent ones ([`Kind::Single`] only).
    pub balance: bool,
    /// Whether the words of the text stand beside its vector.
    pub words: bool,
    /// Of how many parts of equal length every vector is made, each of unit length. The first is what requests are compared
    /// by; the linear model reads all of them. Beside a text's meaning, the mean state of a middle layer over all tokens and
    /// over the first two tell how it is asked: TREC 0.911 with one part, 0.935 with these three, cross-validated.
    pub parts: usize,
    /// How far a number may be from the truth and still agree with it ([`Kind::Number`] only).
    pub tolerance: f32,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self { seed: 0, folds: 5, balance: false, words: true, parts: 1, tolerance: 0.5 }
    }
}

/// A trained model. Serialisable.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Model {
    labels: Vec<String>,
    examples: usize,
    body: Body,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Body {
    Single(Single),
    Several(Several),
    Number(Number),
}

/// A model and how it fared on examples held out.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Ready to serve.
    pub model: Model,
    /// Cross-validated figures.
    pub report: Report,
    /// The answer to each example, in order, by a model that was trained without it.
    pub held_out: Vec<HeldOut>,
}

/// Cross-validated figures: every example was answered once, by a model that was trained without it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How many examples.
    pub examples: usize,
    /// How many labels; 0 for numbers.
    pub labels: usize,
    /// Share of right answers: the label, the whole set, a number within the tolerance.
    pub accuracy: f64,
    /// Mean F1 of the labels; 0 for numbers.
    pub macro_f1: f64,
    /// Expected calibration error of the confidences.
    pub ece: f64,
    /// The penalty of the linear part.
    pub l2: f32,
    /// What was chosen, in words.
    pub chosen: String,
    /// Mean distance of a number from the truth; none for labels.
    pub mean_absolute_error: Option<f64>,
    /// Each label, in the model's order.
    pub per_class: Vec<ClassReport>,
    /// Labels taken for one another, most frequent first ([`Kind::Single`] only).
    pub confusions: Vec<Confusion>,
}

impl Model {
    /// Trains a model of `kind`. Everything that is chosen is chosen on held-out folds, and all figures are taken there.
    ///
    /// # Errors
    /// There are fewer than four examples, a truth is not of `kind`, nothing is to be told apart, or a vector is broken.
    pub fn train(kind: Kind, examples: &[Example<'_>], options: &TrainOptions) -> Result<Trained, Unfit> {
        if examples.len() < EXAMPLES_MIN {
            return Err(Unfit::TooFew { found: examples.len(), needed: EXAMPLES_MIN });
        }
        let rows = Rows::new(examples, options.parts);
        let (labels, body, report, held_out) = match kind {
            Kind::Single => {
                let truths = read(examples, "one label", |truth| match truth {
                    Truth::One(label) => Some(label.as_str()),
                    _ => None,
                })?;
                let (labels, single, report, held_out) = Single::train(&rows, &truths, options)?;
                (labels, Body::Single(single), report, held_out)
            }
            Kind::Several => {
                let truths = read(examples, "a list of labels", |truth| match truth {
                    Truth::Many(labels) => Some(labels.as_slice()),
                    _ => None,
                })?;
                let (labels, several, report, held_out) = Several::train(&rows, &truths, options)?;
                (labels, Body::Several(several), report, held_out)
            }
            Kind::Number => {
                let truths = read(examples, "a finite number", |truth| match truth {
                    Truth::Number(value) if value.is_finite() => Some(*value),
                    _ => None,
                })?;
                let (number, report, held_out) = Number::train(&rows, &truths, options)?;
                (Vec::new(), Body::Number(number), report, held_out)
            }
        };
        Ok(Trained { model: Self { labels, examples: examples.len(), body }, report, held_out })
    }

    /// Answers a request by its text and the text's vector.
    pub fn answer(&self, text: &str, vector: &[f32]) -> Answer {
        match &self.body {
            Body::Single(single) => single.answer(text, vector, &self.labels),
            Body::Several(several) => several.answer(text, vector, &self.labels),
            Body::Number(number) => number.answer(text, vector),
        }
    }

    /// The labels, sorted; empty for numbers.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// What it answers with.
    pub fn kind(&self) -> Kind {
        match self.body {
            Body::Single(_) => Kind::Single,
            Body::Several(_) => Kind::Several,
            Body::Number(_) => Kind::Number,
        }
    }

    /// How many examples it was trained on.
    pub fn examples(&self) -> usize {
        self.examples
    }
}

impl Trained {
    /// The certificate at `level` with `confidence`, found on the held-out answers. It assumes that requests are drawn as
    /// the examples were, and that training on all examples is no worse than training on the folds.
    pub fn certify(&self, level: f64, confidence: f64) -> Certificate {
        let scores: Vec<f32> = self.held_out.iter().map(|answer| answer.trust).collect();
        let right: Vec<bool> = self.held_out.iter().map(|answer| answer.right).collect();
        Certificate::find(&scores, &right, level, confidence)
    }
}

/// Every truth in the form that the kind of task needs.
fn read<'a, T>(
    examples: &[Example<'a>],
    expected: &'static str,
    form: impl Fn(&'a Truth) -> Option<T>,
) -> Result<Vec<T>, Unfit> {
    examples
        .iter()
        .enumerate()
        .map(|(row, example)| form(example.truth).ok_or(Unfit::WrongTruth { row, expected }))
        .collect()
}
