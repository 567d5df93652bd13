//! The nearest examples to a request, and how they vote.
//!
//! Owns the search and the fading of votes with distance. Refuses to believe the vote: how far it counts is settled on
//! held-out examples.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::points::Points;

/// Neighbours that vote.
const VOTERS: usize = 20;
/// How fast a vote fades with the cosine: `exp(SHARPNESS x (cosine - 1))`.
const SHARPNESS: f32 = 20.0;
/// Neighbours whose mean cosine says how close a request is to the examples, and that an answer tells.
const CLOSE: usize = 5;
/// What a class without any vote has, in votes at cosine 1, before all are divided by their sum.
const FLOOR: f32 = 1e-4;
/// Rows compared at a time when all are compared with all.
const BLOCK_ROWS: usize = 128;

/// The examples' vectors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Neighbours {
    points: Points,
}

/// The nearest examples by row with their cosines, nearest first.
#[derive(Clone, Debug)]
pub(super) struct Near(Vec<(usize, f32)>);

impl Neighbours {
    pub(super) fn new(vectors: &[Vec<f32>]) -> Self {
        Self { points: Points::new(vectors.iter().map(Vec::as_slice)) }
    }

    /// The nearest of all examples; `vector` may go on after the part that is compared.
    pub(super) fn ask(&self, vector: &[f32]) -> Near {
        let place = vector.get(..self.points.dimensions()).unwrap_or(vector);
        Near::of(self.points.products(place).enumerate().collect())
    }
}

/// For every vector, the nearest of other folds.
pub(super) fn cross(vectors: &[Vec<f32>], assigned: &[usize]) -> Vec<Near> {
    let width = vectors.first().map_or(0, Vec::len);
    let all: Vec<f32> = vectors.iter().flatten().copied().collect();
    let mut near = Vec::with_capacity(vectors.len());
    let whole = ArrayView2::from_shape((vectors.len(), width), &all);
    for block in all.chunks((BLOCK_ROWS * width).max(1)) {
        let rows = ArrayView2::from_shape((block.len() / width.max(1), width), block);
        let (Ok(rows), Ok(whole)) = (rows, &whole) else { break };
        for row in rows.dot(&whole.t()).rows() {
            let fold = assigned[near.len()];
            let others = row.iter().copied().enumerate().filter(|(other, _)| assigned[*other] != fold);
            near.push(Near::of(others.collect()));
        }
    }
    near
}

impl Near {
    fn of(mut cosines: Vec<(usize, f32)>) -> Self {
        let nearer = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if cosines.len() > VOTERS {
            cosines.select_nth_unstable_by(VOTERS - 1, nearer);
            cosines.truncate(VOTERS);
        }
        cosines.sort_unstable_by(nearer);
        Self(cosines)
    }

    /// The rows that vote, each with what its vote weighs.
    pub(super) fn voters(&self) -> impl Iterator<Item = (usize, f32)> {
        self.0.iter().map(|&(row, cosine)| (row, (SHARPNESS * (cosine - 1.0)).exp()))
    }

    /// The logarithm of each class's share of the votes.
    pub(super) fn shares(&self, labels: &[u32], classes: usize) -> Vec<f32> {
        let mut shares = vec![FLOOR; classes];
        for (row, weight) in self.voters() {
            let class = labels.get(row).and_then(|label| shares.get_mut(*label as usize));
            if let Some(share) = class {
                *share += weight;
            }
        }
        let total: f32 = shares.iter().sum();
        shares.into_iter().map(|share| (share / total).ln()).collect()
    }

    /// The weighted mean of a value over the voters, drawn to `prior` where all are far.
    pub(super) fn mean(&self, values: impl Fn(usize) -> f32, prior: f32) -> f32 {
        let (mut sum, mut total) = (FLOOR * prior, FLOOR);
        for (row, weight) in self.voters() {
            sum += weight * values(row);
            total += weight;
        }
        sum / total
    }

    /// The mean cosine of the five nearest examples.
    pub(super) fn closeness(&self) -> f32 {
        let nearest = &self.0[..self.0.len().min(CLOSE)];
        nearest.iter().map(|one| one.1).sum::<f32>() / nearest.len().max(1) as f32
    }

    /// The five nearest.
    pub(super) fn nearest(mut self) -> Vec<(usize, f32)> {
        self.0.truncate(CLOSE);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(count: usize) -> Vec<Vec<f32>> {
        (0..count)
            .map(|row| {
                let angle = row as f32 / count as f32 * std::f32::consts::TAU;
                vec![angle.cos(), angle.sin()]
            })
            .collect()
    }

    #[test]
    fn neighbours_decide_and_distance_is_seen() {
        let vectors = ring(200);
        let labels: Vec<u32> = (0..200).map(|row| u32::from(row >= 100)).collect();
        let neighbours = Neighbours::new(&vectors);
        let near = neighbours.ask(&vectors[50]);
        let shares = near.shares(&labels, 2);
        assert!(shares[0] > shares[1] && near.closeness() > 0.99);
        assert!((near.mean(|row| row as f32, 0.0) - 50.0).abs() < 1.0);
        assert_eq!(near.nearest()[0].0, 50);
        assert!(neighbours.ask(&[0.01, 0.0]).closeness() < 0.1);
    }

    #[test]
    fn nobody_votes_on_a_neighbour_of_the_same_fold() {
        let vectors = ring(40);
        let labels: Vec<u32> = (0..40).map(|row| row % 2).collect();
        let folds: Vec<usize> = (0..40).map(|row| row % 2).collect();
        for (near, &label) in cross(&vectors, &folds).iter().zip(&labels) {
            let shares = near.shares(&labels, 2);
            assert!(shares[1 - label as usize] > shares[label as usize]);
        }
    }
}
