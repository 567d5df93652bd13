//! Six views of a request, each of which predicts every model's score alone: five straight lines and its neighbours.
//!
//! Owns how each expert sees a request and how it is fitted. Refuses to decide whom to believe: `blend` does.

use serde::{Deserialize, Serialize};

use super::neighbours::Point;
use super::outcome::SquaredError;
use super::shape::{FEATURES, PLAIN, shape};
use super::space::Space;
use crate::descent::Patience;
use crate::design::{Design, SparseVector};
use crate::fit::{blank, fit, scores};
use crate::linear::Linear;
use crate::ngrams::Ngrams;
use crate::random::Dice;
use crate::unfit::Unfit;

/// The experts, in the order of their predictions.
pub(crate) const EXPERTS: usize = LINES + 1;
/// Those that are linear in some features; the neighbours follow.
pub(crate) const LINES: usize = 5;
/// Names of the experts, for explanations.
pub(crate) const NAMES: [&str; EXPERTS] = ["length", "plain form", "form", "words", "meaning", "neighbours"];
/// Ridge penalties on the summed squared error, chosen on MMLU by cross-validation (flat within a factor of three).
const PENALTIES: [f32; LINES] = [1.0, 100.0, 10.0, 4.0, 10.0];
/// Random cosine features of the form (Rahimi and Recht 2007). How far two seeds
/// differ has not been measured.
const WAVES: usize = 600;
/// Width of the Gaussian kernel that they stand for, on standardised features.
const WAVE_SCALE: f32 = 0.012;
/// Standardised features are cut off here, so that one odd request cannot leave the range that was fitted.
const CLIP: f32 = 3.0;
/// Buckets per kind of n-gram.
const BUCKETS_LOG2: u32 = 14;
const PATIENCE: Patience = Patience { steps_max: 25, tolerance: 1e-5 };

/// What experts see of one request.
#[derive(Clone, Debug)]
pub(crate) struct View {
    form: Vec<f32>,
    waves: Vec<f32>,
    words: SparseVector,
    vector: Vec<f32>,
    pub(crate) point: Point,
}

/// How requests are looked at; fitted to prompts alone, never to outcomes, so that folds may share it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Optics {
    means: Vec<f32>,
    spreads: Vec<f32>,
    /// `WAVES` rows of a frequency per feature and a phase.
    frequencies: Vec<f32>,
    ngrams: Ngrams,
    space: Space,
}

impl Optics {
    pub(crate) fn fit(prompts: &[&str], vectors: &[Vec<f32>], seed: u64) -> Self {
        let forms: Vec<Vec<f32>> = prompts.iter().map(|prompt| shape(prompt)).collect();
        let count = forms.len().max(1) as f32;
        let column_mean = |place: usize| forms.iter().map(|form| form[place]).sum::<f32>() / count;
        let means: Vec<f32> = (0..FEATURES).map(column_mean).collect();
        let spread = |place: usize| {
            let squares = forms.iter().map(|form| (form[place] - means[place]).powi(2)).sum::<f32>();
            (squares / count).sqrt().max(1e-3)
        };
        let spreads = (0..FEATURES).map(spread).collect();
        let ngrams = Ngrams::fit(prompts.iter().copied(), BUCKETS_LOG2);
        let space = Space::fit(vectors, seed);
        Self { means, spreads, frequencies: frequencies(seed), ngrams, space }
    }

    pub(crate) fn view(&self, prompt: &str, vector: &[f32]) -> View {
        let mut form = shape(prompt);
        for ((value, mean), spread) in form.iter_mut().zip(&self.means).zip(&self.spreads) {
            *value = ((*value - mean) / spread).clamp(-CLIP, CLIP);
        }
        let scale = (2.0 / WAVES as f32).sqrt();
        let waves = self
            .frequencies
            .chunks_exact(FEATURES + 1)
            .map(|row| scale * (api::cosine(&row[..FEATURES], &form) + row[FEATURES]).cos())
            .collect();
        let point = Point::new(&self.space.place(vector), &form);
        View { form, waves, words: self.ngrams.vector(prompt), vector: vector.to_vec(), point }
    }
}

fn frequencies(seed: u64) -> Vec<f32> {
    let mut dice = Dice::new(seed);
    let reach = (2.0 * WAVE_SCALE).sqrt();
    let mut all = Vec::with_capacity(WAVES * (FEATURES + 1));
    for _ in 0..WAVES {
        (0..FEATURES).for_each(|_| all.push(reach * dice.normal()));
        all.push(std::f32::consts::TAU * dice.uniform());
    }
    all
}

/// The design of each linear expert over all trials.
pub(crate) struct Designs {
    lines: [Design; LINES],
}

impl Designs {
    pub(crate) fn new(views: &[View], optics: &Optics) -> Result<Self, Unfit> {
        let dense = |pick: fn(&View) -> &[f32]| {
            Design::new(&views.iter().map(|view| pick(view).to_vec()).collect::<Vec<_>>())
        };
        let words: Vec<SparseVector> = views.iter().map(|view| view.words.clone()).collect();
        Ok(Self {
            lines: [
                dense(|view| &view.form[..1])?,
                dense(|view| &view.form[..PLAIN])?,
                dense(|view| &view.waves)?,
                Design::mixed(&vec![Vec::new(); views.len()], &words, optics.ngrams.columns())?,
                dense(|view| &view.vector)?,
            ],
        })
    }

    /// Fits expert `line` on `rows`; `targets` are all trials' scores, `outputs` each.
    fn fit(&self, line: usize, rows: &[usize], targets: &[f32], outputs: usize) -> Vec<f32> {
        let design = self.lines[line].subset(rows);
        let targets: Vec<f32> =
            rows.iter().flat_map(|row| &targets[row * outputs..(row + 1) * outputs]).copied().collect();
        let mut parameters = blank(&design, outputs);
        let l2 = PENALTIES[line] / rows.len().max(1) as f32;
        fit(&design, &SquaredError { targets: &targets, outputs }, l2, PATIENCE, &mut parameters);
        parameters
    }

    /// What expert `line`, fitted on `fitted`, predicts for `held`: row-major.
    pub(crate) fn predict(
        &self,
        line: usize,
        (fitted, held): (&[usize], &[usize]),
        targets: &[f32],
        outputs: usize,
    ) -> Vec<f32> {
        let parameters = self.fit(line, fitted, targets, outputs);
        scores(&self.lines[line].subset(held), &parameters, outputs)
    }

    /// Fits all linear experts on all trials.
    pub(crate) fn lines(
        &self,
        views: &[View],
        targets: &[f32],
        outputs: usize,
        columns: [usize; LINES],
    ) -> Vec<Linear> {
        let rows: Vec<usize> = (0..views.len()).collect();
        (0..LINES)
            .map(|line| {
                let parameters = self.fit(line, &rows, targets, outputs);
                let (weights, bias) = self.lines[line].unpack(&parameters, outputs, columns[line]);
                Linear::new(&weights, bias)
            })
            .collect()
    }
}

impl Optics {
    /// How many features each linear expert has.
    pub(crate) fn columns(&self, vector: usize) -> [usize; LINES] {
        [1, PLAIN, WAVES, self.ngrams.columns(), vector]
    }
}

/// What each linear expert predicts for one request.
pub(crate) fn consult(lines: &[Linear], view: &View) -> Vec<Vec<f32>> {
    let none = SparseVector::new();
    let inputs: [(&[f32], &SparseVector); LINES] = [
        (&view.form[..1], &none),
        (&view.form[..PLAIN], &none),
        (&view.waves, &none),
        (&[], &view.words),
        (&view.vector, &none),
    ];
    lines.iter().zip(inputs).map(|(line, (dense, sparse))| line.apply(dense, sparse)).collect()
}
