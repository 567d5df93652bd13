//! The words of closed tasks: what is asked, what is right, what is answered.
//!
//! Owns the data. Refuses to judge it: the models and the certificate do.

use serde::{Deserialize, Serialize};

/// What a task's answers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One label out of a set: classification.
    Single,
    /// Any number of labels out of a set, none included: multi-label classification.
    Several,
    /// A number: regression.
    Number,
}

/// A right answer, or a given one. In JSON a string, an array of strings or a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Truth {
    /// A label.
    One(String),
    /// Labels, sorted, each once; may be empty.
    Many(Vec<String>),
    /// A number.
    Number(f32),
}

impl Truth {
    /// Whether two answers are one: the same label, the same set, or numbers no further apart than `tolerance`.
    pub fn agrees(&self, other: &Self, tolerance: f32) -> bool {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => (one - other).abs() <= tolerance,
            _ => self == other,
        }
    }
}

/// A labelled request to learn from.
#[derive(Clone, Copy, Debug)]
pub struct Example<'a> {
    /// What was asked.
    pub text: &'a str,
    /// Its vector; all examples' are of one length.
    pub vector: &'a [f32],
    /// The right answer.
    pub truth: &'a Truth,
}

/// What a model says of one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The answer.
    pub said: Truth,
    /// The calibrated probability that it is right: that the label is, that the whole set is, or that the number is within
    /// the tolerance.
    pub confidence: f32,
    /// How much the request is like the examples: the standardised sureness of the answer plus the standardised closeness
    /// of the nearest examples. About 0 for examples, well below for what is out of scope.
    pub likeness: f32,
    /// The share of examples that are less like the others than this request is like them: a conformal p-value, about
    /// uniform on `[0, 1]` for requests that are drawn as the examples were.
    pub typicality: f32,
    /// What certificates test: the confidence, or 0 for what is out of distribution.
    pub trust: f32,
    /// The calibrated probability of each of the model's labels, in their order; empty for numbers.
    pub probabilities: Vec<f32>,
    /// The nearest examples by row with their cosines, nearest first.
    pub nearest: Vec<(usize, f32)>,
}

/// The answer to an example by a model that was trained without it.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOut {
    /// The answer.
    pub said: Truth,
    /// See [`Answer::confidence`].
    pub confidence: f32,
    /// See [`Answer::trust`].
    pub trust: f32,
    /// See [`Answer::likeness`].
    pub likeness: f32,
    /// See [`Answer::typicality`].
    pub typicality: f32,
    /// Whether the answer agrees with the truth.
    pub right: bool,
}
