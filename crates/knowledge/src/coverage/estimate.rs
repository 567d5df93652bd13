//! The numbers of the estimate of coverage: those of this program, or those of a file that was learnt from an operator's
//! own questions.
//!
//! Owns the file and its check. Refuses numbers by which more evidence would mean less coverage.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use api::{Error, Fault};
use serde::{Deserialize, Serialize};

use super::Features;
use crate::disk;
use crate::errors::{unreadable, unwritable};

/// More than any file of ours.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// No fit comes near it: a larger number is a mistake.
const NUMBER_MAX: f32 = 1_000.0;

/// The layout of the file.
const VERSION: u32 = 1;

/// How what is measured about a question becomes a probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// Where vectors are searched.
    pub with_vectors: WithVectors,
    /// Where words alone are.
    pub words_alone: WordsAlone,
}

/// What counts how much where vectors are searched: a sum whose logistic is the probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithVectors {
    /// Of the nearest passage's cosine.
    pub nearest: f32,
    /// Of its square.
    pub nearest_squared: f32,
    /// Of the best cosine among BM25's first passages.
    pub by_words: f32,
    /// Of the share of the question's words that a passage has.
    pub words: f32,
    /// Added to the sum.
    pub bias: f32,
}

/// The same where words alone are searched.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WordsAlone {
    /// Of the share of the question's words that a passage has.
    pub words: f32,
    /// Of how much weight that is.
    pub amount: f32,
    /// Added to the sum.
    pub bias: f32,
}

/// Logistic regressions, each index and side weighing the same, over five indexes (SciFact, Cranfield, a part of
/// NaturalQuestions and of SQuAD, and the design notes of this project). The one with vectors saw 1,355 questions of
/// their own and 6,000 of other indexes, bank customers, assistants, travellers and chats; questions of SQuAD and of
/// NaturalQuestions were not asked of each other. AUROC on an index that the fit had not seen: 0.998 for the notes,
/// 1.000 Cranfield, 0.996 NaturalQuestions, 0.990 SQuAD, 0.994 SciFact; all together 0.995, where the nearest cosine
/// alone has 0.991. At 0.5, fitted on all:
/// 0.95 of SQuAD's own questions and 0.06 of foreign ones pass, 0.99 and 0.07 for NaturalQuestions, 1.00 and 0.01 for
/// Cranfield, 0.92 and 0.01 for the notes, 0.96 and 0.03 for SciFact; many of the foreign ones that pass are of a subject
/// that the index has. How far the nearest stands out of the ranks behind it adds 0.0005; agreement of the rankings,
/// unknown words and BM25's share of its own maximum add less. None of it tells a question that is answered from one of
/// SQuAD 2.0 that only looks so: AUROC 0.64.
impl Default for Estimate {
    fn default() -> Self {
        Self {
            with_vectors: WithVectors {
                nearest: 6.831,
                nearest_squared: 6.917,
                by_words: 8.712,
                words: 7.016,
                bias: -10.783,
            },
            words_alone: WordsAlone { words: 8.233, amount: 3.279, bias: -4.954 },
        }
    }
}

impl Estimate {
    /// The probability that the index covers a question.
    pub fn probability(&self, features: &Features) -> f32 {
        let sum = match features.near {
            Some(near) => {
                let of = &self.with_vectors;
                let nearest = near.by_vector.max(0.0);
                (of.nearest + of.nearest_squared * nearest) * nearest
                    + of.by_words * near.by_words
                    + of.words * features.words
                    + of.bias
            }
            None => {
                let of = &self.words_alone;
                of.words * features.words + of.amount * features.amount + of.bias
            }
        };
        1.0 / (1.0 + (-sum).exp())
    }
}

/// What was learnt from labelled questions, as its file holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learnt {
    /// The layout of the file.
    pub version: u32,
    /// The numbers.
    pub estimate: Estimate,
    /// The probability from which a question counts as covered: what a policy's `coverage_min` should be.
    pub coverage_min: f32,
    /// The share of covered questions that may be refused wrongly, by which `coverage_min` was chosen.
    pub wrong_refusals_max: f32,
    /// What a fit on all other indexes makes of each; empty where there is but one.
    pub left_out: Vec<LeftOut>,
}

/// How an estimate does on an index that it has not seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// The index.
    pub index: String,
    /// Its questions that it covers.
    pub covered: usize,
    /// Its questions that it does not cover.
    pub foreign: usize,
    /// How often a covered question has the higher probability; absent where one side is empty.
    pub auroc: Option<f64>,
    /// The share of the covered that the others' line refuses.
    pub refused: Option<f64>,
    /// The share of the foreign that it lets pass.
    pub passed: Option<f64>,
}

impl Learnt {
    pub(super) fn new(estimate: Estimate, coverage_min: f32, wrong_refusals_max: f32) -> Self {
        Self { version: VERSION, estimate, coverage_min, wrong_refusals_max, left_out: Vec::new() }
    }

    /// Reads a file that [`Learnt::write`] wrote.
    ///
    /// # Errors
    /// It cannot be read, or is not such a file: the message names the file and the field.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut text = Vec::new();
        let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut text));
        read.map_err(|error| unreadable(path, error))?;
        let wrong = |why: String| {
            let message = format!("{}: {why}. Learn it anew.", path.display());
            Error::new(Fault::Unprocessable, "coverage_file_wrong", message)
        };
        let learnt: Self = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        learnt.check().map_err(wrong)?;
        Ok(learnt)
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| Error::internal(error.to_string()))?;
        text.push(b'\n');
        // A bare name has no folder that could be synced.
        let whole = std::path::absolute(path).map_err(|error| unwritable(path, error))?;
        disk::replace(&whole, &text).map_err(|error| unwritable(path, error))
    }

    fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!("`version` is {}; allowed: {VERSION}", self.version));
        }
        let Estimate { with_vectors, words_alone } = &self.estimate;
        let slopes = [
            ("with_vectors.nearest", with_vectors.nearest),
            ("with_vectors.nearest_squared", with_vectors.nearest_squared),
            ("with_vectors.by_words", with_vectors.by_words),
            ("with_vectors.words", with_vectors.words),
            ("words_alone.words", words_alone.words),
            ("words_alone.amount", words_alone.amount),
        ];
        let biases = [("with_vectors.bias", with_vectors.bias), ("words_alone.bias", words_alone.bias)];
        let shares = [("coverage_min", self.coverage_min), ("wrong_refusals_max", self.wrong_refusals_max)];
        within("estimate.", &slopes, 0.0, NUMBER_MAX)?;
        within("estimate.", &biases, -NUMBER_MAX, NUMBER_MAX)?;
        within("", &shares, 0.0, 1.0)
    }
}

fn within(prefix: &str, numbers: &[(&str, f32)], least: f32, most: f32) -> Result<(), String> {
    match numbers.iter().find(|(_, number)| !(least..=most).contains(number)) {
        None => Ok(()),
        Some((field, number)) => Err(format!("`{prefix}{field}` is {number}; allowed: {least} to {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_was_learnt_or_says_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("coverage.json");
        let mut learnt = Learnt::new(Estimate::default(), 0.43, 0.03);
        learnt.left_out.push(LeftOut {
            index: String::from("notes"),
            covered: 30,
            foreign: 0,
            auroc: None,
            refused: Some(0.1),
            passed: None,
        });
        learnt.write(&path).unwrap();
        assert_eq!(Learnt::read(&path).unwrap(), learnt);
        let text = std::fs::read_to_string(&path).unwrap();
        let check = |from: &str, to: &str, expected: &str| {
            assert!(text.contains(from), "{from}");
            std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
            let message = Learnt::read(&path).unwrap_err().to_string();
            assert!(message.contains("coverage.json") && message.contains(expected), "{message}");
        };
        check("\"version\": 1", "\"version\": 2", "`version` is 2; allowed: 1");
        check("6.831", "-1.0", "`estimate.with_vectors.nearest` is -1");
        check("8.233", "1e30", "`estimate.words_alone.words`");
        check("0.43", "1.43", "`coverage_min` is 1.43; allowed: 0 to 1");
        check("\"bias\"", "\"bais\"", "bais");
        check("{", "[", "coverage.json");
        let gone = Learnt::read(&folder.path().join("gone.json")).unwrap_err();
        assert_eq!(gone.code, "index_unreadable");
    }
}
