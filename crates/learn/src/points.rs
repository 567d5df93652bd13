//! Many points in little memory, compared with one quickly.
//!
//! Owns the 16-bit fixed-point form: eight products per SIMD instruction without `unsafe`, and half the memory to read.
//! Refuses coordinates beyond ±1.95: they are clamped.

use serde::{Deserialize, Serialize};

/// Steps to 1.
const STEPS: f32 = 8192.0;
/// The clamp; with it, and vectors of length below about 5, 32-bit sums of products cannot overflow.
const LIMIT: f32 = 16_000.0;

/// Points of one dimension.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Points {
    #[serde(with = "crate::packed")]
    coordinates: Vec<i16>,
    dimensions: usize,
}

impl Points {
    /// Rounds the rows; all are as long as the first.
    pub(crate) fn new<'a>(rows: impl Iterator<Item = &'a [f32]>) -> Self {
        let mut points = Self { coordinates: Vec::new(), dimensions: 1 };
        for row in rows {
            points.dimensions = row.len().max(1);
            points.coordinates.extend(fixed(row));
        }
        points
    }

    /// How long the points are.
    pub(crate) fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The dot product of `query` with every point, in order.
    pub(crate) fn products(&self, query: &[f32]) -> impl Iterator<Item = f32> {
        let query: Vec<i16> = fixed(query).collect();
        self.coordinates.chunks_exact(self.dimensions).map(move |point| product(point, &query))
    }

    /// The coordinates of one point; none for a row that does not exist.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = f32> {
        let cells = row * self.dimensions..(row + 1) * self.dimensions;
        self.coordinates.get(cells).unwrap_or(&[]).iter().map(|value| f32::from(*value) / STEPS)
    }
}

fn fixed(row: &[f32]) -> impl Iterator<Item = i16> {
    row.iter().map(|value| (value * STEPS).clamp(-LIMIT, LIMIT).round() as i16)
}

fn product(a: &[i16], b: &[i16]) -> f32 {
    // Wrapping: the clamp rules an overflow out, and a check would keep the compiler from using SIMD.
    let sum = a
        .iter()
        .zip(b)
        .fold(0_i32, |sum, (x, y)| sum.wrapping_add(i32::from(*x).wrapping_mul(i32::from(*y))));
    sum as f32 / (STEPS * STEPS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn products_are_those_of_the_floats(
            a in prop::collection::vec(-1.0_f32..1.0, 24),
            b in prop::collection::vec(-1.0_f32..1.0, 24),
        ) {
            let points = Points::new([a.as_slice(), b.as_slice()].into_iter());
            let found: Vec<f32> = points.products(&b).collect();
            prop_assert!((found[0] - api::cosine(&a, &b)).abs() < 2e-3);
            prop_assert!((found[1] - api::cosine(&b, &b)).abs() < 2e-3);
            prop_assert!(points.row(1).zip(&b).all(|(found, value)| (found - value).abs() < 1e-3));
        }
    }
}
