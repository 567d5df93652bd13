//! A small space of the vectors' main directions.
//!
//! Owns the projection. Refuses to weigh directions: within the space all count alike.

use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::random::Dice;

/// Rounds of subspace iteration; the later directions differ by little and need not be told apart.
const ROUNDS: usize = 12;

/// The mean of the vectors and their main directions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Space {
    mean: Vec<f32>,
    /// Row-major, one orthonormal direction after another.
    directions: Vec<f32>,
}

impl Space {
    /// Finds as many main directions of the vectors by subspace iteration on their covariance; fewer, if there are fewer.
    pub(crate) fn fit(vectors: &[Vec<f32>], directions: usize, seed: u64) -> Self {
        let width = vectors.first().map_or(0, Vec::len);
        let mut centred = Array2::from_shape_fn((vectors.len(), width), |(row, column)| vectors[row][column]);
        let mean = centred.mean_axis(Axis(0)).map(|mean| mean.to_vec()).unwrap_or_default();
        for mut row in centred.rows_mut() {
            row.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean);
        }
        let covariance = centred.t().dot(&centred);
        let mut dice = Dice::new(seed);
        let count = directions.min(width).min(vectors.len());
        let mut directions = Array2::from_shape_fn((count, width), |_| dice.normal());
        for _ in 0..ROUNDS {
            directions = directions.dot(&covariance);
            orthonormalise(&mut directions);
        }
        Self { mean, directions: directions.iter().copied().collect() }
    }

    /// The mean of the vectors.
    pub(crate) fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The directions, orthonormal, the widest first.
    pub(crate) fn directions(&self) -> impl Iterator<Item = &[f32]> {
        self.directions.chunks_exact(self.mean.len().max(1))
    }

    /// Where `vector` lies: its coordinates from the mean; zeros if its length is not that of the vectors that the space
    /// was made of.
    pub(crate) fn place(&self, vector: &[f32]) -> Place {
        if vector.len() != self.mean.len() {
            let count = self.directions.len() / self.mean.len().max(1);
            return Place { coordinates: vec![0.0; count], lift: f32::NEG_INFINITY };
        }
        let centred: Vec<f32> = vector.iter().zip(&self.mean).map(|(value, mean)| value - mean).collect();
        let coordinates = self.directions().map(|direction| api::cosine(direction, &centred)).collect();
        let lift = api::cosine(vector, &self.mean) - api::cosine(&self.mean, &self.mean) / 2.0;
        Place { coordinates, lift }
    }
}

/// A vector in the space.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) coordinates: Vec<f32>,
    /// The dot product of two vectors is that of their coordinates plus both lifts, but for what lies outside of the space.
    pub(crate) lift: f32,
}

/// Modified Gram-Schmidt over the rows. A row that the earlier ones explain is rounding noise: it becomes zero.
fn orthonormalise(rows: &mut Array2<f32>) {
    for current in 0..rows.nrows() {
        let whole = rows.row(current).dot(&rows.row(current)).sqrt();
        for earlier in 0..current {
            let overlap = rows.row(current).dot(&rows.row(earlier));
            let (before, mut after) = rows.view_mut().split_at(Axis(0), current);
            after.row_mut(0).scaled_add(-overlap, &before.row(earlier));
        }
        let length = rows.row(current).dot(&rows.row(current)).sqrt();
        let scale = if length > 1e-4 * whole { 1.0 / length } else { 0.0 };
        rows.row_mut(current).mapv_inplace(|value| value * scale);
    }
}

/// All dot products of some rows with all points: `rows.len() / dimensions` by `points.len() / dimensions`.
pub(crate) fn similarity_block(points: &[f32], rows: &[f32], dimensions: usize) -> Array2<f32> {
    let view = |values| ArrayView2::from_shape((rows_of(values, dimensions), dimensions), values);
    match (view(rows), view(points)) {
        (Ok(rows), Ok(points)) => rows.dot(&points.t()),
        _ => Array2::zeros((0, 0)),
    }
}

fn rows_of(values: &[f32], dimensions: usize) -> usize {
    values.len() / dimensions.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on a plane inside ten dimensions.
    fn plane(count: usize) -> Vec<Vec<f32>> {
        (0..count)
            .map(|row| {
                let angle = row as f32;
                (0..10)
                    .map(|axis| if axis < 2 { angle.sin() } else { angle.cos() * (axis % 3) as f32 })
                    .collect()
            })
            .collect()
    }

    #[test]
    fn dot_products_are_kept() {
        let vectors = plane(50);
        let space = Space::fit(&vectors, 64, 1);
        for (a, b) in [(0, 44), (0, 3), (7, 7)] {
            let (left, right) = (space.place(&vectors[a]), space.place(&vectors[b]));
            let kept = api::cosine(&left.coordinates, &right.coordinates) + left.lift + right.lift;
            assert!((kept - api::cosine(&vectors[a], &vectors[b])).abs() < 1e-3, "{a} {b}");
        }
    }

    #[test]
    fn a_vector_of_another_length_lies_nowhere() {
        let place = Space::fit(&plane(50), 64, 1).place(&[1.0; 3]);
        assert!(place.coordinates.iter().all(|value| *value == 0.0));
    }

    #[test]
    fn the_block_is_the_product() {
        let points: Vec<f32> = (0..12).map(|value| value as f32).collect();
        let block = similarity_block(&points, &points[3..6], 3);
        assert_eq!(block.row(0).to_vec(), [14.0, 50.0, 86.0, 122.0]);
    }
}
