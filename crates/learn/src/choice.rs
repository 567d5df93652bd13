//! Choosing a penalty by cross-validation, for any loss.
//!
//! Owns the folds' fits, carried from penalty to penalty. Refuses to know what a right answer is: a [`Target`] does.

use crate::descent::Patience;
use crate::design::Design;
use crate::fit::{Loss, blank, fit, scores};
use crate::folds::split;

/// How to look for a penalty.
pub(crate) struct Search<'a> {
    /// Penalties tried, strongest first: each fit starts from the one before it.
    pub(crate) grid: &'a [f32],
    /// Fits inside the folds stop here: the next penalty goes on from there.
    pub(crate) patience: Patience,
    /// The last fit, to everything, stops here.
    pub(crate) last: Patience,
    /// Held-out examples that suffice to choose by.
    pub(crate) judged_rows: usize,
}

/// A loss over examples that can be split into folds and judged on what was held out.
pub(crate) trait Target: Loss + Sized {
    /// The loss over these examples alone.
    fn subset(&self, rows: &[usize]) -> Self;

    /// How good the held-out scores of all examples are: the higher, the better, the second number breaking ties.
    fn merit(&self, scores: &[f32]) -> (f64, f64);
}

/// What cross-validation settled on.
pub(crate) struct Chosen {
    /// The penalty.
    pub(crate) l2: f32,
    /// Held-out scores of every row at that penalty, row-major.
    pub(crate) scores: Vec<f32>,
    /// A good place to begin the last fit.
    start: Vec<f32>,
    last: Patience,
}

impl Chosen {
    /// The fit to everything at the chosen penalty: parameters as [`Design::unpack`] takes them.
    pub(crate) fn fit_all(&self, design: &Design, target: &impl Target) -> Vec<f32> {
        let mut parameters = self.start.clone();
        fit(design, target, self.l2, self.last, &mut parameters);
        parameters
    }
}

/// Cross-validates the penalties, strongest first, and stops after two in a row that are worse than the best. Of
/// many examples some folds suffice to choose: the others are fitted at the chosen penalty alone.
pub(crate) fn choose<T: Target>(
    design: &Design,
    target: &T,
    assigned: &[usize],
    search: &Search<'_>,
) -> Chosen {
    let mut folds: Vec<Fold<T>> = (0..=assigned.iter().copied().max().unwrap_or(0))
        .map(|fold| Fold::new(design, target, split(assigned, fold)))
        .collect();
    let choosing =
        search.judged_rows.saturating_mul(folds.len()).div_ceil(assigned.len().max(1)).min(folds.len());
    let (judges, others) = folds.split_at_mut(choosing);
    let (l2, start, mut scores) = judge(judges, target, search);
    scores.resize(assigned.len() * target.outputs(), 0.0);
    for fold in others {
        fold.advance(l2, search.patience);
        fold.write(&mut scores);
    }
    Chosen { l2, scores, start, last: search.last }
}

/// The best penalty for these folds, the parameters of the first one there, and the held-out scores in their rows.
fn judge<T: Target>(folds: &mut [Fold<T>], target: &T, search: &Search<'_>) -> (f32, Vec<f32>, Vec<f32>) {
    let rows: Vec<usize> = folds.iter().flat_map(|fold| fold.held_rows.iter().copied()).collect();
    let judged = target.subset(&rows);
    let outputs = target.outputs();
    let mut best = ((f64::NEG_INFINITY, f64::NEG_INFINITY), (0.0, Vec::new(), Vec::new()));
    let mut worse = 0;
    for &l2 in search.grid {
        folds.iter_mut().for_each(|fold| fold.advance(l2, search.patience));
        let held: Vec<f32> = folds.iter().flat_map(|fold| fold.scores.iter().copied()).collect();
        let merit = judged.merit(&held);
        if merit <= best.0 {
            worse += 1;
            if worse == 2 {
                break;
            }
            continue;
        }
        worse = 0;
        let last = rows.iter().copied().max().map_or(0, |row| row + 1);
        let mut scores = vec![0.0; last * outputs];
        folds.iter().for_each(|fold| fold.write(&mut scores));
        let start = folds.first().map(|fold| fold.parameters.clone()).unwrap_or_default();
        best = (merit, (l2, start, scores));
    }
    best.1
}

/// One fold's data and the fit that is carried from penalty to penalty.
struct Fold<T> {
    fitted: Design,
    target: T,
    held: Design,
    held_rows: Vec<usize>,
    parameters: Vec<f32>,
    /// Of the held-out rows, in their order.
    scores: Vec<f32>,
}

impl<T: Target> Fold<T> {
    fn new(design: &Design, target: &T, (fitted, held): (Vec<usize>, Vec<usize>)) -> Self {
        Self {
            fitted: design.subset(&fitted),
            target: target.subset(&fitted),
            held: design.subset(&held),
            held_rows: held,
            parameters: blank(design, target.outputs()),
            scores: Vec::new(),
        }
    }

    /// Fits at `l2`, beginning where it stands, and scores the held-out rows.
    fn advance(&mut self, l2: f32, patience: Patience) {
        fit(&self.fitted, &self.target, l2, patience, &mut self.parameters);
        self.scores = scores(&self.held, &self.parameters, self.target.outputs());
    }

    /// Writes the held-out scores into their rows.
    fn write(&self, out: &mut [f32]) {
        let outputs = self.target.outputs();
        for (row, scores) in self.held_rows.iter().zip(self.scores.chunks_exact(outputs)) {
            out[row * outputs..(row + 1) * outputs].copy_from_slice(scores);
        }
    }
}
