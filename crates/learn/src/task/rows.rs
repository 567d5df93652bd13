//! Examples as the fits want them: vectors beside hashed words.
//!
//! Owns the features of the linear models. Refuses truths: each kind of model reads its own.

use serde::{Deserialize, Serialize};

use super::truth::Example;
use crate::design::{Design, SparseVector};
use crate::linear::Linear;
use crate::ngrams::Ngrams;
use crate::unfit::Unfit;

/// Buckets per kind of n-gram.
const BUCKETS_LOG2: u32 = 14;

/// Texts and vectors of all examples.
pub(super) struct Rows<'a> {
    pub(super) texts: Vec<&'a str>,
    pub(super) vectors: Vec<Vec<f32>>,
    /// The first part of each vector.
    pub(super) places: Vec<Vec<f32>>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(examples: &[Example<'a>], parts: usize) -> Self {
        let first = |vector: &'a [f32]| vector[..vector.len() / parts.max(1)].to_vec();
        Self {
            texts: examples.iter().map(|example| example.text).collect(),
            vectors: examples.iter().map(|example| example.vector.to_vec()).collect(),
            places: examples.iter().map(|example| first(example.vector)).collect(),
        }
    }
}

/// Which features a request has.
pub(super) struct Features {
    ngrams: Option<Ngrams>,
    columns: usize,
}

impl Features {
    /// Decides the features, and lays the examples out in them.
    pub(super) fn new(rows: &Rows<'_>, with_words: bool) -> Result<(Self, Design), Unfit> {
        let ngrams = with_words.then(|| Ngrams::fit(rows.texts.iter().copied(), BUCKETS_LOG2));
        let hashed: Vec<SparseVector> = rows.texts.iter().map(|text| words(ngrams.as_ref(), text)).collect();
        let hashed_columns = ngrams.as_ref().map_or(0, Ngrams::columns);
        let design = Design::mixed(&rows.vectors, &hashed, hashed_columns)?;
        let columns = rows.vectors.first().map_or(0, Vec::len) + hashed_columns;
        Ok((Self { ngrams, columns }, design))
    }

    /// The fitted map, ready for requests.
    pub(super) fn linear(self, design: &Design, parameters: &[f32], outputs: usize) -> Surface {
        let (weights, bias) = design.unpack(parameters, outputs, self.columns);
        Surface { ngrams: self.ngrams, linear: Linear::new(&weights, bias) }
    }
}

/// A fitted linear map over vector and words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Surface {
    ngrams: Option<Ngrams>,
    linear: Linear,
}

impl Surface {
    /// The scores of a request.
    pub(super) fn scores(&self, text: &str, vector: &[f32]) -> Vec<f32> {
        self.linear.apply(vector, &words(self.ngrams.as_ref(), text))
    }
}

fn words(ngrams: Option<&Ngrams>, text: &str) -> SparseVector {
    ngrams.map(|ngrams| ngrams.vector(text)).unwrap_or_default()
}
