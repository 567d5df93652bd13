//! The nearest examples to a request, and how they vote.
//!
//! Owns the search and the fading of votes with distance. Refuses to believe the vote: how far it counts is settled on
//! held-out examples.

use serde::{Deserialize, Serialize};

use super::lens::Lens;
use crate::points::Points;
use crate::space::similarity_block;

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

/// The examples, to be compared with a request in two ways at once: by their vectors, in which few wide directions decide,
/// and by the same vectors half-way whitened. On BANKING77 the vote of the one is right for 0.918, of the other for 0.920, of
/// both for 0.923.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Neighbours {
    plain: Points,
    even: Points,
    lens: Lens,
}

/// The examples near a request.
#[derive(Clone, Debug)]
pub(super) struct Near {
    /// By both ways of comparing, with the mean of the two cosines, nearest first.
    voters: Vec<(usize, f32)>,
    /// By the vectors alone.
    nearest: Vec<(usize, f32)>,
}

/// Nearest first; of equals the earlier row.
fn nearer(a: &(usize, f32), b: &(usize, f32)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// The first `count` of the pairs.
fn first(mut pairs: Vec<(usize, f32)>, count: usize) -> Vec<(usize, f32)> {
    if pairs.len() > count {
        pairs.select_nth_unstable_by(count - 1, nearer);
        pairs.truncate(count);
    }
    pairs.sort_unstable_by(nearer);
    pairs
}

impl Neighbours {
    /// Keeps the examples; tells also, for each, the nearest of other folds.
    pub(super) fn new(vectors: &[Vec<f32>], assigned: &[usize], seed: u64) -> (Self, Vec<Near>) {
        let (lens, mut even) = Lens::fit(vectors, seed);
        even.iter_mut().for_each(|vector| unit(vector));
        let near = cross(vectors, &even, assigned);
        let points = |vectors: &[Vec<f32>]| Points::new(vectors.iter().map(Vec::as_slice));
        (Self { plain: points(vectors), even: points(&even), lens }, near)
    }

    /// The nearest of all examples; `vector` may go on after the part that is compared.
    pub(super) fn ask(&self, vector: &[f32]) -> Near {
        let place = vector.get(..self.plain.dimensions()).unwrap_or(vector);
        let mut even = self.lens.place(place);
        unit(&mut even);
        Near::of(self.plain.products(place).zip(self.even.products(&even)).enumerate())
    }
}

fn unit(vector: &mut [f32]) {
    let length = api::cosine(vector, vector).sqrt().max(f32::MIN_POSITIVE);
    vector.iter_mut().for_each(|value| *value /= length);
}

/// For every vector, the nearest of other folds.
fn cross(plain: &[Vec<f32>], even: &[Vec<f32>], assigned: &[usize]) -> Vec<Near> {
    let width = plain.first().map_or(0, Vec::len).max(1);
    let even_width = even.first().map_or(0, Vec::len).max(1);
    let (plain, even): (Vec<f32>, Vec<f32>) =
        (plain.iter().flatten().copied().collect(), even.iter().flatten().copied().collect());
    let mut near = Vec::with_capacity(assigned.len());
    for (rows, even_rows) in plain.chunks(BLOCK_ROWS * width).zip(even.chunks(BLOCK_ROWS * even_width)) {
        let cosines = similarity_block(&plain, rows, width);
        let even_cosines = similarity_block(&even, even_rows, even_width);
        for (row, even_row) in cosines.rows().into_iter().zip(even_cosines.rows()) {
            let fold = assigned[near.len()];
            let pairs = row.iter().copied().zip(even_row.iter().copied()).enumerate();
            near.push(Near::of(pairs.filter(|(other, _)| assigned[*other] != fold)));
        }
    }
    near
}

impl Near {
    fn of(cosines: impl Iterator<Item = (usize, (f32, f32))>) -> Self {
        let (plain, both): (Vec<_>, Vec<_>) =
            cosines.map(|(row, (plain, even))| ((row, plain), (row, f32::midpoint(plain, even)))).unzip();
        Self { voters: first(both, VOTERS), nearest: first(plain, CLOSE) }
    }

    /// The rows that vote, each with what its vote weighs.
    pub(super) fn voters(&self) -> impl Iterator<Item = (usize, f32)> {
        self.voters.iter().map(|&(row, cosine)| (row, (SHARPNESS * (cosine - 1.0)).exp()))
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
        self.nearest.iter().map(|one| one.1).sum::<f32>() / self.nearest.len().max(1) as f32
    }

    /// The five nearest by row with their cosines, nearest first.
    pub(super) fn nearest(self) -> Vec<(usize, f32)> {
        self.nearest
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
        let (neighbours, _) = Neighbours::new(&vectors, &[0; 200], 1);
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
        let (_, near) = Neighbours::new(&vectors, &folds, 1);
        for (near, &label) in near.iter().zip(&labels) {
            let shares = near.shares(&labels, 2);
            assert!(shares[1 - label as usize] > shares[label as usize]);
        }
    }
}
