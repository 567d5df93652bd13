//! Fitting a linear model with any convex loss over a design matrix: the loop that losses share.
//!
//! Owns the pass over blocks of rows and the penalty. Refuses to know labels or outcomes: a [`Loss`] does.

use std::ops::Range;

use crate::descent::{Patience, descend};
use crate::design::Design;

/// Rows worked on at a time: their scores stay in the processor's second cache.
const BLOCK_ROWS: usize = 256;

/// A convex loss of the scores of some rows.
pub(crate) trait Loss {
    /// How many scores a row has.
    fn outputs(&self) -> usize;

    /// Replaces the scores of the rows in `range` by the loss's slope in them; returns the loss summed over them.
    fn residuals(&self, range: Range<usize>, scores: &mut [f32]) -> f64;
}

/// Parameters of all zeros, to begin a fit with.
pub(crate) fn blank(design: &Design, outputs: usize) -> Vec<f32> {
    vec![0.0; (design.columns() + 1) * outputs]
}

/// Moves `parameters` to the least mean loss plus `l2 / 2` times the squared weights (the bias is free).
pub(crate) fn fit(design: &Design, loss: &impl Loss, l2: f32, patience: Patience, parameters: &mut Vec<f32>) {
    let outputs = loss.outputs();
    let penalised = design.columns() * outputs;
    let mut scores = vec![0.0; BLOCK_ROWS * outputs];
    descend(parameters, patience, |point, gradient| {
        gradient.fill(0.0);
        let mut sum = 0.0;
        for range in blocks(design.rows()) {
            let scores = &mut scores[..range.len() * outputs];
            design.scores(range.clone(), point, outputs, scores);
            sum += loss.residuals(range.clone(), scores);
            design.gather(range, scores, outputs, gradient);
        }
        let count = design.rows() as f32;
        let mut squares = 0.0;
        for (slope, &weight) in gradient.iter_mut().zip(point).take(penalised) {
            *slope = *slope / count + l2 * weight;
            squares += f64::from(weight * weight);
        }
        for slope in &mut gradient[penalised..] {
            *slope /= count;
        }
        sum / f64::from(count) + 0.5 * f64::from(l2) * squares
    });
}

/// The scores of every row, row-major.
pub(crate) fn scores(design: &Design, parameters: &[f32], outputs: usize) -> Vec<f32> {
    let mut scores = vec![0.0; design.rows() * outputs];
    for range in blocks(design.rows()) {
        let out = &mut scores[range.start * outputs..range.end * outputs];
        design.scores(range, parameters, outputs, out);
    }
    scores
}

fn blocks(rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows).step_by(BLOCK_ROWS).map(move |start| start..(start + BLOCK_ROWS).min(rows))
}
