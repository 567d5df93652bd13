//! Whether certificates keep their word: trained and certified on one half of the examples, tested on the other.
//!
//! Owns the protocol. Refuses to choose anything by its outcome.

use serde::{Deserialize, Serialize};

use super::model::{Model, TrainOptions};
use super::truth::{Example, Kind};
use crate::metrics::ratio;
use crate::random::Dice;
use crate::unfit::Unfit;

/// How sure the certificates are.
const CONFIDENCE: f64 = 0.95;

/// One certificate of one split, and what a threshold on the confidence alone does there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitReport {
    /// Which split, from 0.
    pub split: usize,
    /// The certificate's level.
    pub level: f64,
    /// Examples that were tested: the half that was not trained on.
    pub n: usize,
    /// The share of them that the certificate accepts.
    pub certified_coverage: f64,
    /// The share of wrong answers among those.
    pub realised: f64,
    /// The share of them that is accepted if every answer with a confidence of at least `1 - level` is.
    pub plain_coverage: f64,
    /// The share of wrong answers among those.
    pub plain_realised: f64,
}

/// Splits the examples into random halves, `count` times: trains on one half, certifies at each of `levels` on its held-out
/// answers, and tests on the other half.
///
/// # Errors
/// A half cannot be trained on; see [`Model::train`].
pub fn splits(
    kind: Kind,
    examples: &[Example<'_>],
    options: &TrainOptions,
    levels: &[f64],
    count: usize,
    seed: u64,
) -> Result<Vec<SplitReport>, Unfit> {
    let mut dice = Dice::new(seed);
    let mut shuffled = examples.to_vec();
    let mut reports = Vec::with_capacity(count * levels.len());
    for split in 0..count {
        dice.shuffle(&mut shuffled);
        let (train, test) = shuffled.split_at(shuffled.len() / 2);
        let trained = Model::train(kind, train, options)?;
        let answers: Vec<Tested> =
            test.iter().map(|example| Tested::of(&trained.model, example, options.tolerance)).collect();
        let trust: Vec<f32> = answers.iter().map(|answer| answer.trust).collect();
        let right: Vec<bool> = answers.iter().map(|answer| answer.right).collect();
        for &level in levels {
            let certified = trained.certify(level, CONFIDENCE).slice(&trust, &right);
            let plain = plain(&answers, level);
            reports.push(SplitReport {
                split,
                level,
                n: test.len(),
                certified_coverage: ratio(certified.accepted as f64, test.len() as f64),
                realised: certified.disagreement,
                plain_coverage: plain.0,
                plain_realised: plain.1,
            });
        }
    }
    Ok(reports)
}

/// An answer to an example that was not trained on.
struct Tested {
    trust: f32,
    confidence: f32,
    right: bool,
}

impl Tested {
    fn of(model: &Model, example: &Example<'_>, tolerance: f32) -> Self {
        let answer = model.answer(example.text, example.vector);
        let right = answer.said.agrees(example.truth, tolerance);
        Self { trust: answer.trust, confidence: answer.confidence, right }
    }
}

/// Coverage and realised disagreement of a threshold on the confidence.
fn plain(answers: &[Tested], level: f64) -> (f64, f64) {
    let accepted: Vec<&Tested> =
        answers.iter().filter(|answer| f64::from(answer.confidence) >= 1.0 - level).collect();
    let wrong = accepted.iter().filter(|answer| !answer.right).count();
    (ratio(accepted.len() as f64, answers.len() as f64), ratio(wrong as f64, accepted.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Truth;

    #[test]
    fn every_split_and_level_is_told() {
        let mut dice = Dice::new(2);
        let rows: Vec<(Vec<f32>, Truth)> = (0..400)
            .map(|row| {
                let side = if row % 2 == 0 { 1.0 } else { -1.0 };
                let vector = vec![side + 0.6 * dice.normal(), 1.0];
                (vector, Truth::One(if row % 2 == 0 { "yes" } else { "no" }.to_owned()))
            })
            .collect();
        let examples: Vec<Example<'_>> =
            rows.iter().map(|(vector, truth)| Example { text: "x", vector, truth }).collect();
        let options = TrainOptions { words: false, ..TrainOptions::default() };
        let reports = splits(Kind::Single, &examples, &options, &[0.05, 0.1], 3, 7).unwrap();
        let found: Vec<(usize, f64)> = reports.iter().map(|report| (report.split, report.level)).collect();
        assert_eq!(found, [(0, 0.05), (0, 0.1), (1, 0.05), (1, 0.1), (2, 0.05), (2, 0.1)]);
        assert!(reports.iter().all(|report| report.n == 200 && report.realised <= 0.12), "{reports:?}");
        assert!(reports.iter().any(|report| report.certified_coverage > 0.5));
    }
}
