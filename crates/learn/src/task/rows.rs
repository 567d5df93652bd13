//! Examples as the fits want them: vectors beside hashed words.
//!
//! Owns the features of the linear models, and the fitted maps in the form that serves. Refuses truths: each kind of model
//! reads its own.

use serde::{Deserialize, Serialize};

use super::lens::Lens;
use super::lexicon::Lexicon;
use super::model::TrainOptions;
use super::truth::Example;
use crate::choice::Search;
use crate::descent::Patience;
use crate::design::{Design, SparseVector};
use crate::unfit::Unfit;

/// Weights of words at most, over all outputs: bounds the memory of a fit (some 20 times as many numbers) and of a model.
const WORD_WEIGHTS_MAX: usize = 3_000_000;
/// Steps of a stored weight on either side of 0.
const STEPS: f32 = 32_767.0;

/// How all kinds of models look for their penalty. By fewer rows than a small head does it: on BANKING77 and CLINC150 that
/// halves the time of a training, and the figures stay. The last fit stops where the folds' do: what is known of the held-out
/// answers should hold of the answers served.
pub(super) fn search(grid: &[f32]) -> Search<'_> {
    let patience = Patience { steps_max: 100, tolerance: 1e-4 };
    Search { grid, patience, last: patience, judged_rows: 3000 }
}

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
    lexicon: Option<Lexicon>,
    lens: Lens,
}

impl Features {
    /// Decides the features, and lays the examples out in them; `outputs` is how many scores will be fitted.
    pub(super) fn new(
        rows: &Rows<'_>,
        options: &TrainOptions,
        outputs: usize,
    ) -> Result<(Self, Design), Unfit> {
        check(&rows.vectors)?;
        let lexicon = options.words.then(|| Lexicon::fit(&rows.texts, WORD_WEIGHTS_MAX / outputs.max(1)));
        let hashed: Vec<SparseVector> = rows.texts.iter().map(|text| words(lexicon.as_ref(), text)).collect();
        let (lens, seen) = Lens::fit(&rows.vectors, options.seed);
        let design = Design::mixed(&seen, &hashed, lexicon.as_ref().map_or(0, Lexicon::columns))?;
        Ok((Self { lexicon, lens }, design))
    }

    /// The fitted map, ready for requests.
    pub(super) fn surface(self, design: &Design, parameters: &[f32], outputs: usize) -> Surface {
        let fitted = self.lens.directions() + self.lexicon.as_ref().map_or(0, Lexicon::columns);
        let (weights, mut bias) = design.unpack(parameters, outputs, fitted);
        let weights: Vec<Vec<f32>> = weights
            .iter()
            .zip(&mut bias)
            .map(|(row, bias)| {
                let (dense, hashed) = row.split_at(self.lens.directions());
                let mut whole = self.lens.unfold(dense);
                *bias -= api::cosine(&whole, self.lens.mean());
                whole.extend_from_slice(hashed);
                whole
            })
            .collect();
        let highest = |row: &Vec<f32>| row.iter().fold(0.0_f32, |high, weight| high.max(weight.abs()));
        let steps: Vec<f32> =
            weights.iter().map(|row| (highest(row) / STEPS).max(f32::MIN_POSITIVE)).collect();
        let columns = 0..weights.first().map_or(0, Vec::len);
        let cells = columns.flat_map(|column| {
            weights.iter().zip(&steps).map(move |(row, step)| (row[column] / step).round() as i16)
        });
        let weights = cells.collect();
        Surface { lexicon: self.lexicon, weights, steps, bias }
    }
}

/// Refuses vectors of unequal length and numbers that are not finite.
fn check(vectors: &[Vec<f32>]) -> Result<(), Unfit> {
    let expected = vectors.first().map_or(0, Vec::len);
    for (row, vector) in vectors.iter().enumerate() {
        if vector.len() != expected {
            return Err(Unfit::Ragged { row, found: vector.len(), expected });
        }
        if let Some(column) = vector.iter().position(|value| !value.is_finite()) {
            return Err(Unfit::NotFinite { row, column });
        }
    }
    Ok(())
}

/// A fitted linear map over vector and words. Weights lie feature by feature, so that a request touches few lines of memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Surface {
    lexicon: Option<Lexicon>,
    /// Feature-major, in steps of `steps`.
    #[serde(with = "crate::packed")]
    weights: Vec<i16>,
    /// One for each output.
    steps: Vec<f32>,
    bias: Vec<f32>,
}

impl Surface {
    /// The scores of a request.
    pub(super) fn scores(&self, text: &str, vector: &[f32]) -> Vec<f32> {
        let mut sums = vec![0.0; self.bias.len()];
        let hashed = words(self.lexicon.as_ref(), text);
        let dense = vector.iter().copied().enumerate();
        let sparse = hashed.iter().map(|&(column, value)| (vector.len() + column as usize, value));
        for (column, value) in dense.chain(sparse) {
            let cells = column * sums.len()..(column + 1) * sums.len();
            let Some(weights) = self.weights.get(cells) else { continue };
            sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += value * f32::from(*weight));
        }
        let outputs = sums.iter().zip(&self.steps).zip(&self.bias);
        outputs.map(|((sum, step), bias)| sum * step + bias).collect()
    }
}

fn words(lexicon: Option<&Lexicon>, text: &str) -> SparseVector {
    lexicon.map(|lexicon| lexicon.vector(text)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::Truth;
    use super::*;
    use crate::fit::scores;

    #[test]
    fn a_stored_map_scores_as_the_fit_did() {
        let truth = Truth::One(String::new());
        let vectors: Vec<[f32; 2]> = (0..6).map(|row| [row as f32 / 6.0, (row as f32).cos()]).collect();
        let texts = ["a cat", "a dog", "a cat and a dog", "cat", "dog", "a"];
        let examples: Vec<Example<'_>> =
            vectors.iter().zip(texts).map(|(vector, text)| Example { text, vector, truth: &truth }).collect();
        let (features, design) =
            Features::new(&Rows::new(&examples, 1), &TrainOptions::default(), 2).unwrap();
        let parameters: Vec<f32> =
            (0..(design.columns() + 1) * 2).map(|place| (place % 7) as f32 - 3.0).collect();
        let fitted = scores(&design, &parameters, 2);
        let surface = features.surface(&design, &parameters, 2);
        for (row, example) in examples.iter().enumerate() {
            let stored = surface.scores(example.text, example.vector);
            assert!(stored.iter().zip(&fitted[row * 2..]).all(|(a, b)| (a - b).abs() < 3e-3), "{row}");
        }
    }
}
