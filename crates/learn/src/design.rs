//! The design matrix: rows of features, its dense and its sparse columns each stored in the form that is quick.
//!
//! Owns the two products that fitting needs, features times weights and its transpose. Refuses rows of unequal length
//! and numbers that are not finite, before anything is computed from them.

use std::ops::Range;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

use crate::unfit::Unfit;

/// A column with a larger share of non-zeros goes to the dense part, where products need no
/// look-ups. The share is a guess, not measured.
const DENSE_SHARE: f64 = 0.25;

/// The non-zero columns of a row with their values.
pub type SparseVector = Vec<(u32, f32)>;

/// Rows of features. Column `c` of the input is either one of `dense_columns` or one of `sparse_columns`, or is zero in
/// every row and dropped; the parameters of a fit follow the order dense, sparse, bias.
#[derive(Debug)]
pub(crate) struct Design {
    dense: Array2<f32>,
    dense_columns: Vec<usize>,
    /// Subtracted from the dense columns: a bias that is not penalised makes the fit the same, and quicker to find.
    means: Vec<f32>,
    sparse: SparseRows,
    sparse_columns: Vec<usize>,
}

/// Compressed rows: the entries of row `r` are `starts[r]..starts[r + 1]`.
#[derive(Debug, Default)]
struct SparseRows {
    starts: Vec<usize>,
    places: Vec<u32>,
    values: Vec<f32>,
}

impl Design {
    /// Reads the rows once for the column counts and once to store them.
    pub(crate) fn new(features: &[Vec<f32>]) -> Result<Self, Unfit> {
        let width = features.first().map_or(0, Vec::len);
        let mut counts = vec![0_usize; width];
        for (row, values) in features.iter().enumerate() {
            if values.len() != width {
                return Err(Unfit::Ragged { row, found: values.len(), expected: width });
            }
            for (column, value) in values.iter().enumerate() {
                if !value.is_finite() {
                    return Err(Unfit::NotFinite { row, column });
                }
                counts[column] += usize::from(*value != 0.0);
            }
        }
        let limit = features.len() as f64 * DENSE_SHARE;
        let dense_columns: Vec<usize> = (0..width).filter(|&c| counts[c] as f64 > limit).collect();
        let sparse_columns: Vec<usize> =
            (0..width).filter(|&c| counts[c] > 0 && counts[c] as f64 <= limit).collect();
        let mut dense = Array2::from_shape_fn((features.len(), dense_columns.len()), |(r, c)| {
            features[r][dense_columns[c]]
        });
        let means: Vec<f32> = dense
            .columns()
            .into_iter()
            .map(|column| {
                (column.iter().map(|&value| f64::from(value)).sum::<f64>() / column.len().max(1) as f64)
                    as f32
            })
            .collect();
        for mut row in dense.rows_mut() {
            for (value, mean) in row.iter_mut().zip(&means) {
                *value -= mean;
            }
        }
        let sparse = SparseRows::new(features, &sparse_columns);
        Ok(Self { dense, dense_columns, means, sparse, sparse_columns })
    }

    /// Rows with a dense and a sparse part: `sparse[row]` lists (column, value) of `columns` hashed columns, which
    /// follow the dense ones. Columns that are nowhere set are dropped.
    pub(crate) fn mixed(dense: &[Vec<f32>], sparse: &[SparseVector], columns: usize) -> Result<Self, Unfit> {
        if dense.len() != sparse.len() {
            return Err(Unfit::Uneven {
                what: "dense and sparse rows",
                left: dense.len(),
                right: sparse.len(),
            });
        }
        let mut design = Self::new(dense)?;
        let width = dense.first().map_or(0, Vec::len);
        let (own, own_columns) = (std::mem::take(&mut design.sparse), design.sparse_columns.len());
        let mut used = vec![false; columns];
        for (row, entries) in sparse.iter().enumerate() {
            for &(column, value) in entries {
                if column as usize >= columns || !value.is_finite() {
                    return Err(Unfit::NotFinite { row, column: width + column as usize });
                }
                used[column as usize] = true;
            }
        }
        let kept: Vec<usize> = (0..columns).filter(|&column| used[column]).collect();
        let mut places = vec![0_u32; columns];
        for (place, &column) in kept.iter().enumerate() {
            places[column] = (own_columns + place) as u32;
        }
        let mut rows = SparseRows { starts: vec![0], ..SparseRows::default() };
        for (row, entries) in sparse.iter().enumerate() {
            for (place, value) in own.row(row) {
                rows.places.push(place as u32);
                rows.values.push(value);
            }
            for &(column, value) in entries {
                rows.places.push(places[column as usize]);
                rows.values.push(value);
            }
            rows.starts.push(rows.places.len());
        }
        design.sparse = rows;
        design.sparse_columns.extend(kept.into_iter().map(|column| width + column));
        Ok(design)
    }

    /// How many rows.
    pub(crate) fn rows(&self) -> usize {
        self.dense.nrows()
    }

    /// How many columns are fitted, without the bias.
    pub(crate) fn columns(&self) -> usize {
        self.dense_columns.len() + self.sparse_columns.len()
    }

    /// The given rows, in the given order, over the same columns.
    pub(crate) fn subset(&self, rows: &[usize]) -> Self {
        Self {
            dense: self.dense.select(ndarray::Axis(0), rows),
            dense_columns: self.dense_columns.clone(),
            means: self.means.clone(),
            sparse: self.sparse.subset(rows),
            sparse_columns: self.sparse_columns.clone(),
        }
    }

    /// Writes `features x weights + bias` of the rows in `range` to `scores`, row-major with `width` outputs.
    pub(crate) fn scores(&self, range: Range<usize>, parameters: &[f32], width: usize, scores: &mut [f32]) {
        let (weights, bias) = parameters.split_at(self.columns() * width);
        let (dense, sparse) = weights.split_at(self.dense_columns.len() * width);
        for row in scores.chunks_exact_mut(width) {
            row.copy_from_slice(bias);
        }
        if let (Ok(weights), Ok(mut out)) = (
            ArrayView2::from_shape((self.dense_columns.len(), width), dense),
            ArrayViewMut2::from_shape((range.len(), width), &mut *scores),
        ) {
            general_mat_mul(1.0, &self.dense.slice(s![range.clone(), ..]), &weights, 1.0, &mut out);
        }
        for (row, out) in range.zip(scores.chunks_exact_mut(width)) {
            for (place, value) in self.sparse.row(row) {
                let weights = &sparse[place * width..(place + 1) * width];
                for (score, weight) in out.iter_mut().zip(weights) {
                    *score += value * weight;
                }
            }
        }
    }

    /// Adds `features' x residuals` of the rows in `range` to `gradient`, laid out as the parameters are.
    pub(crate) fn gather(&self, range: Range<usize>, residuals: &[f32], width: usize, gradient: &mut [f32]) {
        let (weights, bias) = gradient.split_at_mut(self.columns() * width);
        let (dense, sparse) = weights.split_at_mut(self.dense_columns.len() * width);
        for row in residuals.chunks_exact(width) {
            for (sum, residual) in bias.iter_mut().zip(row) {
                *sum += residual;
            }
        }
        if let (Ok(residuals), Ok(mut out)) = (
            ArrayView2::from_shape((range.len(), width), residuals),
            ArrayViewMut2::from_shape((self.dense_columns.len(), width), dense),
        ) {
            general_mat_mul(1.0, &self.dense.slice(s![range.clone(), ..]).t(), &residuals, 1.0, &mut out);
        }
        for (row, residual) in range.zip(residuals.chunks_exact(width)) {
            for (place, value) in self.sparse.row(row) {
                let sums = &mut sparse[place * width..(place + 1) * width];
                for (sum, residual) in sums.iter_mut().zip(residual) {
                    *sum += value * residual;
                }
            }
        }
    }

    /// Parameters over these columns as weights over the input's `columns` and a bias: one row per output.
    pub(crate) fn unpack(
        &self,
        parameters: &[f32],
        width: usize,
        columns: usize,
    ) -> (Vec<Vec<f32>>, Vec<f32>) {
        let mut weights = vec![vec![0.0; columns]; width];
        let mut bias: Vec<f64> =
            parameters[self.columns() * width..].iter().map(|&value| f64::from(value)).collect();
        let order = self.dense_columns.iter().chain(&self.sparse_columns);
        for (place, (&column, row)) in order.zip(parameters.chunks_exact(width)).enumerate() {
            let mean = self.means.get(place).copied().unwrap_or(0.0);
            for (output, &value) in row.iter().enumerate() {
                weights[output][column] = value;
                bias[output] -= f64::from(value) * f64::from(mean);
            }
        }
        (weights, bias.into_iter().map(|value| value as f32).collect())
    }
}

impl SparseRows {
    fn new(features: &[Vec<f32>], columns: &[usize]) -> Self {
        let mut rows = Self { starts: vec![0], ..Self::default() };
        for values in features {
            for (place, &column) in columns.iter().enumerate() {
                if values[column] != 0.0 {
                    rows.places.push(place as u32);
                    rows.values.push(values[column]);
                }
            }
            rows.starts.push(rows.places.len());
        }
        rows
    }

    fn row(&self, row: usize) -> impl Iterator<Item = (usize, f32)> {
        let range = self.starts[row]..self.starts[row + 1];
        self.places[range.clone()].iter().map(|&place| place as usize).zip(self.values[range].iter().copied())
    }

    fn subset(&self, rows: &[usize]) -> Self {
        let mut subset = Self { starts: vec![0], ..Self::default() };
        for &row in rows {
            let range = self.starts[row]..self.starts[row + 1];
            subset.places.extend_from_slice(&self.places[range.clone()]);
            subset.values.extend_from_slice(&self.values[range]);
            subset.starts.push(subset.places.len());
        }
        subset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Column 0 dense, 1 sparse, 2 empty, 3 dense.
    fn mixed() -> Vec<Vec<f32>> {
        (0..8).map(|r| vec![r as f32, if r == 3 { 2.0 } else { 0.0 }, 0.0, 1.0 - r as f32]).collect()
    }

    #[test]
    fn unpacked_weights_give_the_same_scores() {
        let features = mixed();
        let design = Design::new(&features).unwrap();
        assert_eq!(design.columns(), 3);
        let parameters = [0.5, -1.0, 0.25, 2.0, -3.0, 1.0, 0.1, 0.2];
        let mut scores = vec![0.0; 16];
        design.scores(0..8, &parameters, 2, &mut scores);
        let (weights, bias) = design.unpack(&parameters, 2, 4);
        for (row, values) in features.iter().enumerate() {
            for output in 0..2 {
                let plain: f32 =
                    values.iter().zip(&weights[output]).map(|(x, w)| x * w).sum::<f32>() + bias[output];
                assert!((plain - scores[row * 2 + output]).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn a_subset_scores_as_the_whole_does() {
        let design = Design::new(&mixed()).unwrap();
        let parameters = [0.5, -1.0, 0.25, 2.0, -3.0, 1.0, 0.1, 0.2];
        let (mut whole, mut part) = (vec![0.0; 16], vec![0.0; 4]);
        design.scores(0..8, &parameters, 2, &mut whole);
        design.subset(&[5, 3]).scores(0..2, &parameters, 2, &mut part);
        assert_eq!(part, [&whole[10..12], &whole[6..8]].concat());
    }

    #[test]
    fn bad_rows_are_named() {
        let torn = Design::new(&[vec![1.0, 2.0], vec![1.0]]).unwrap_err();
        assert_eq!(torn, Unfit::Ragged { row: 1, found: 1, expected: 2 });
        let broken = Design::new(&[vec![1.0, f32::NAN]]).unwrap_err();
        assert_eq!(broken, Unfit::NotFinite { row: 0, column: 1 });
    }
}
