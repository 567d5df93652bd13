//! Five views of a request, each of which predicts every model's score alone: three straight lines, a smooth surface and
//! its neighbours.
//!
//! Owns how each expert sees a request and how it is fitted. Refuses to decide whom to believe: `blend` does.

use serde::{Deserialize, Serialize};

use super::neighbours::Point;
use super::outcome::SquaredError;
use super::shape::{FEATURES, PLAIN, shape};
use super::surface::Reach;
use crate::descent::Patience;
use crate::design::{Design, SparseVector};
use crate::fit::{blank, fit, scores};
use crate::linear::Linear;
use crate::ngrams::Ngrams;
use crate::space::Space;
use crate::unfit::Unfit;

/// The experts, in the order of their predictions.
pub(crate) const EXPERTS: usize = LINES + 2;
/// Those that are linear in some features; surface and neighbours follow.
pub(crate) const LINES: usize = 3;
/// Those that look at form alone come first: only what they learn may hold on requests unlike the trials.
pub(crate) const CARRIED: usize = 2;
/// Ridge penalties on the summed squared error, chosen on MMLU by cross-validation (flat within a factor of three).
const PENALTIES: [f32; LINES] = [1.0, 100.0, 4.0];
/// Standardised features are cut off here, so that one odd request cannot leave the range that was fitted.
const CLIP: f32 = 3.0;
/// Where strangers are to be told from the trials, features are cut off later: by 3, one in eight of GSM8K is less familiar
/// to MMLU than 98 % of MMLU; by 6, all are.
const CLIP_STRANGE: f32 = 6.0;
/// Directions of the space where neighbours are looked for. Measured on MMLU: 100 neighbours in 64 directions rank better
/// (APGR 0.661) than in all 384 (0.624): the small directions are noise to a neighbourhood of this size.
const DIRECTIONS: usize = 64;
/// Buckets per kind of n-gram.
const BUCKETS_LOG2: u32 = 14;
const PATIENCE: Patience = Patience { steps_max: 25, tolerance: 1e-5 };

/// What experts see of one request.
#[derive(Clone, Debug)]
pub(crate) struct View {
    form: Vec<f32>,
    words: SparseVector,
    /// Where the surface is asked.
    pub(crate) place: Vec<f32>,
    pub(crate) point: Point,
}

/// How requests are looked at; fitted to prompts alone, never to outcomes, so that folds may share it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Optics {
    means: Vec<f32>,
    spreads: Vec<f32>,
    ngrams: Ngrams,
    space: Space,
    pub(crate) reach: Reach,
}

impl Optics {
    pub(crate) fn fit(prompts: &[&str], vectors: &[Vec<f32>], reach: Reach, seed: u64) -> Self {
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
        Self { means, spreads, ngrams, space: Space::fit(vectors, DIRECTIONS, seed), reach }
    }

    pub(crate) fn view(&self, prompt: &str, vector: &[f32]) -> View {
        let mut form = shape(prompt);
        for ((value, mean), spread) in form.iter_mut().zip(&self.means).zip(&self.spreads) {
            *value = ((*value - mean) / spread).clamp(-CLIP_STRANGE, CLIP_STRANGE);
        }
        let meaning = self.space.place(vector);
        let point = Point::new(&meaning, &form);
        form.iter_mut().for_each(|value| *value = value.clamp(-CLIP, CLIP));
        let place = self.reach.place(&meaning.coordinates, &form);
        View { form, words: self.ngrams.vector(prompt), place, point }
    }

    /// How many features each linear expert has.
    fn columns(&self) -> [usize; LINES] {
        [1, PLAIN, self.ngrams.columns()]
    }
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
                Design::mixed(&vec![Vec::new(); views.len()], &words, optics.ngrams.columns())?,
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
    pub(crate) fn lines(&self, targets: &[f32], outputs: usize, optics: &Optics) -> Vec<Linear> {
        let columns = optics.columns();
        let rows: Vec<usize> = (0..targets.len() / outputs.max(1)).collect();
        (0..LINES)
            .map(|line| {
                let parameters = self.fit(line, &rows, targets, outputs);
                let (weights, bias) = self.lines[line].unpack(&parameters, outputs, columns[line]);
                Linear::new(&weights, bias)
            })
            .collect()
    }
}

/// What each linear expert predicts for one request.
pub(crate) fn consult(lines: &[Linear], view: &View) -> Vec<Vec<f32>> {
    let none = SparseVector::new();
    let inputs: [(&[f32], &SparseVector); LINES] =
        [(&view.form[..1], &none), (&view.form[..PLAIN], &none), (&[], &view.words)];
    lines.iter().zip(inputs).map(|(line, (dense, sparse))| line.apply(dense, sparse)).collect()
}
