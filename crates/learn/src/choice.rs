//! Choosing a penalty by cross-validation, for any loss.
//!
//! Owns the folds' fits, carried from penalty to penalty. Refuses to know what a right answer is: a [`Target`] does.

use crate::descent::Patience;
use crate::design::Design;
use crate::fit::{Loss, blank, fit, scores};
use crate::folds::split;

/// Fits inside the folds stop here: the next penalty goes on from there.
const FOLD_PATIENCE: Patience = Patience { steps_max: 60, tolerance: 1e-4 };
/// The last fit is done once and may take longer.
const FINAL_PATIENCE: Patience = Patience { steps_max: 200, tolerance: 1e-5 };

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
}

impl Chosen {
    /// The fit to everything at the chosen penalty: parameters as [`Design::unpack`] takes them.
    pub(crate) fn fit_all(&self, design: &Design, target: &impl Target) -> Vec<f32> {
        let mut parameters = self.start.clone();
        fit(design, target, self.l2, FINAL_PATIENCE, &mut parameters);
        parameters
    }
}

/// Cross-validates the penalties of `grid`, strongest first, and stops after two in a row that are worse than the best.
pub(crate) fn choose<T: Target>(design: &Design, target: &T, assigned: &[usize], grid: &[f32]) -> Chosen {
    let outputs = target.outputs();
    let mut folds: Vec<Fold<T>> = (0..=assigned.iter().copied().max().unwrap_or(0))
        .map(|fold| Fold::new(design, target, split(assigned, fold)))
        .collect();
    let nothing = Chosen { l2: 0.0, scores: Vec::new(), start: blank(design, outputs) };
    let mut best: ((f64, f64), Chosen) = ((f64::NEG_INFINITY, f64::NEG_INFINITY), nothing);
    let mut worse = 0;
    for &l2 in grid {
        let mut scores = vec![0.0; assigned.len() * outputs];
        for fold in &mut folds {
            fold.advance(l2, &mut scores);
        }
        let merit = target.merit(&scores);
        if merit <= best.0 {
            worse += 1;
            if worse == 2 {
                break;
            }
            continue;
        }
        worse = 0;
        let start = folds.first().map(|fold| fold.parameters.clone()).unwrap_or_default();
        best = (merit, Chosen { l2, scores, start });
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
}

impl<T: Target> Fold<T> {
    fn new(design: &Design, target: &T, (fitted, held): (Vec<usize>, Vec<usize>)) -> Self {
        Self {
            fitted: design.subset(&fitted),
            target: target.subset(&fitted),
            held: design.subset(&held),
            held_rows: held,
            parameters: blank(design, target.outputs()),
        }
    }

    /// Fits at `l2` and writes the held-out scores into their rows.
    fn advance(&mut self, l2: f32, out: &mut [f32]) {
        fit(&self.fitted, &self.target, l2, FOLD_PATIENCE, &mut self.parameters);
        let outputs = self.target.outputs();
        let scores = scores(&self.held, &self.parameters, outputs);
        for (row, scores) in self.held_rows.iter().zip(scores.chunks_exact(outputs)) {
            out[row * outputs..(row + 1) * outputs].copy_from_slice(scores);
        }
    }
}
