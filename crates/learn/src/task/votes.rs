//! The nearest labelled examples and how they vote.
//!
//! Owns the vote and the closeness of a request to what was labelled. Refuses weights per class: how far the vote is
//! believed is settled by `classifier` on held-out examples.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::points::Points;

/// Neighbours that vote.
const VOTERS: usize = 20;
/// How fast a vote fades with the cosine: `exp(SHARPNESS x (cosine - 1))`.
const SHARPNESS: f32 = 20.0;
/// Neighbours whose mean cosine says how close a request is to the examples.
const CLOSE: usize = 5;
/// What a class without any vote has, in votes at cosine 1, before all are divided by their sum.
const FLOOR: f32 = 1e-4;
/// Rows compared at a time when all are compared with all.
const BLOCK_ROWS: usize = 128;

/// Labelled examples.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Votes {
    points: Points,
    labels: Vec<u32>,
    classes: usize,
}

/// What the neighbours of a request say.
#[derive(Clone, Debug)]
pub(crate) struct Vote {
    /// The logarithm of each class's share.
    pub(crate) logits: Vec<f32>,
    /// The mean cosine of the five nearest examples.
    pub(crate) closeness: f32,
    /// The nearest examples by row with their cosines, nearest first.
    pub(crate) nearest: Vec<(usize, f32)>,
}

impl Votes {
    pub(crate) fn new(vectors: &[Vec<f32>], labels: &[usize], classes: usize) -> Self {
        Self {
            points: Points::new(vectors.iter().map(Vec::as_slice)),
            labels: labels.iter().map(|&label| label as u32).collect(),
            classes,
        }
    }

    /// The vote on a request.
    pub(crate) fn ask(&self, vector: &[f32]) -> Vote {
        self.count(self.points.products(vector).enumerate().collect())
    }

    /// The vote on every example by the examples of other folds.
    pub(crate) fn cross(&self, vectors: &[Vec<f32>], assigned: &[usize]) -> Vec<Vote> {
        let width = vectors.first().map_or(0, Vec::len);
        let all: Vec<f32> = vectors.iter().flatten().copied().collect();
        let mut votes = Vec::with_capacity(vectors.len());
        let whole = ArrayView2::from_shape((vectors.len(), width), &all);
        for block in all.chunks((BLOCK_ROWS * width).max(1)) {
            let rows = ArrayView2::from_shape((block.len() / width.max(1), width), block);
            let (Ok(rows), Ok(whole)) = (rows, &whole) else { break };
            for row in rows.dot(&whole.t()).rows() {
                let fold = assigned[votes.len()];
                let others =
                    row.iter().copied().enumerate().filter(|(other, _)| assigned[*other] != fold).collect();
                votes.push(self.count(others));
            }
        }
        votes
    }

    fn count(&self, mut cosines: Vec<(usize, f32)>) -> Vote {
        let nearer = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if cosines.len() > VOTERS {
            cosines.select_nth_unstable_by(VOTERS - 1, nearer);
            cosines.truncate(VOTERS);
        }
        cosines.sort_unstable_by(nearer);
        let mut shares = vec![FLOOR; self.classes];
        for &(row, cosine) in &cosines {
            let label = self.labels.get(row).map_or(0, |label| *label as usize);
            shares[label] += (SHARPNESS * (cosine - 1.0)).exp();
        }
        let total: f32 = shares.iter().sum();
        let logits = shares.into_iter().map(|share| (share / total).ln()).collect();
        cosines.truncate(CLOSE);
        let closeness = cosines.iter().map(|one| one.1).sum::<f32>() / cosines.len().max(1) as f32;
        Vote { logits, closeness, nearest: cosines }
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
        let labels: Vec<usize> = (0..200).map(|row| usize::from(row >= 100)).collect();
        let votes = Votes::new(&vectors, &labels, 2);
        let vote = votes.ask(&vectors[50]);
        assert!(vote.logits[0] > vote.logits[1] && vote.closeness > 0.99 && vote.nearest[0].0 == 50);
        assert!(votes.ask(&[0.01, 0.0]).closeness < 0.1);
    }

    #[test]
    fn nobody_votes_on_a_neighbour_of_the_same_fold() {
        let vectors = ring(40);
        let labels: Vec<usize> = (0..40).map(|row| row % 2).collect();
        let votes = Votes::new(&vectors, &labels, 2).cross(&vectors, &labels);
        assert!(votes.iter().zip(&labels).all(|(vote, &label)| vote.logits[1 - label] > vote.logits[label]));
    }
}
