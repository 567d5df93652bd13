//! Multinomial logistic regression: the softmax loss over a design matrix, and its fit.
//!
//! Owns the loss, its gradient and the penalty. Refuses to choose the penalty: `head` does, on held-out folds.

use std::ops::Range;

use crate::descent::{Patience, descend};
use crate::design::Design;

/// Rows worked on at a time: their scores stay in the processor's second cache.
const BLOCK_ROWS: usize = 256;

/// What is fitted to: a class and a weight per row of the design.
pub(crate) struct Targets<'a> {
    /// The class of each row.
    pub(crate) labels: &'a [usize],
    /// How much each row counts; they average 1.
    pub(crate) weights: &'a [f32],
    /// How many classes.
    pub(crate) classes: usize,
}

/// Parameters that stand for "all classes alike", to begin a fit with.
pub(crate) fn blank(design: &Design, classes: usize) -> Vec<f32> {
    vec![0.0; (design.columns() + 1) * classes]
}

/// Moves `parameters` to the least mean loss plus `l2 / 2` times the squared weights (the bias is free).
pub(crate) fn fit(
    design: &Design,
    targets: &Targets<'_>,
    l2: f32,
    patience: Patience,
    parameters: &mut Vec<f32>,
) {
    let penalised = design.columns() * targets.classes;
    let mut scores = vec![0.0; BLOCK_ROWS * targets.classes];
    descend(parameters, patience, |point, gradient| {
        gradient.fill(0.0);
        let mut loss = 0.0;
        for range in blocks(design.rows()) {
            let scores = &mut scores[..range.len() * targets.classes];
            design.scores(range.clone(), point, targets.classes, scores);
            loss += residuals(targets, range.clone(), scores);
            design.gather(range, scores, targets.classes, gradient);
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
        loss / f64::from(count) + 0.5 * f64::from(l2) * squares
    });
}

/// The scores of every row, row-major.
pub(crate) fn scores(design: &Design, parameters: &[f32], classes: usize) -> Vec<f32> {
    let mut scores = vec![0.0; design.rows() * classes];
    for range in blocks(design.rows()) {
        let out = &mut scores[range.start * classes..range.end * classes];
        design.scores(range, parameters, classes, out);
    }
    scores
}

fn blocks(rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows).step_by(BLOCK_ROWS).map(move |start| start..(start + BLOCK_ROWS).min(rows))
}

/// Replaces scores by the loss's slope in them; returns the summed loss.
fn residuals(targets: &Targets<'_>, range: Range<usize>, scores: &mut [f32]) -> f64 {
    let mut loss = 0.0;
    for (row, scores) in range.zip(scores.chunks_exact_mut(targets.classes)) {
        let (label, weight) = (targets.labels[row], targets.weights[row]);
        let own = scores[label];
        let (highest, total) = soften(scores);
        loss += f64::from(weight * (total.ln() + highest - own));
        scores[label] -= 1.0;
        for slope in scores {
            *slope *= weight;
        }
    }
    loss
}

/// Turns scores into probabilities in place; returns the highest score and the sum of exponentials relative to it.
pub(crate) fn soften(scores: &mut [f32]) -> (f32, f32) {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - highest).exp();
        total += *score;
    }
    for score in scores {
        *score /= total;
    }
    (highest, total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_vanishes_at_the_fit() {
        // One feature, two classes that overlap: the optimum is inside, so the mean residual must be zero.
        let features: Vec<Vec<f32>> = (0..40).map(|row| vec![row as f32 / 40.0]).collect();
        let labels: Vec<usize> = (0..40).map(|row| usize::from(row > 20 || row % 7 == 0)).collect();
        let design = Design::new(&features).unwrap();
        let targets = Targets { labels: &labels, weights: &[1.0; 40], classes: 2 };
        let mut parameters = blank(&design, 2);
        fit(&design, &targets, 1e-4, Patience { steps_max: 200, tolerance: 0.0 }, &mut parameters);
        let mut predicted = scores(&design, &parameters, 2);
        let share: f32 = predicted
            .chunks_exact_mut(2)
            .map(|row| {
                soften(row);
                row[1]
            })
            .sum::<f32>()
            / 40.0;
        let truth = labels.iter().sum::<usize>() as f32 / 40.0;
        assert!((share - truth).abs() < 1e-3, "{share} {truth}");
    }
}
