//! Lists of vectors that lie together, so that a large segment's scan can pass over most of them: an inverted file by
//! spherical k-means over the vectors' codes.
//!
//! Everything is deterministic: the sample and the first centres are taken at even distances, sums are whole numbers or in a
//! fixed order.

use crate::scan::dot_each;
use crate::vectors::{code, scale};

/// A segment of fewer vectors is scanned whole: at this size a scan takes about a millisecond on one core, which is less
/// than what surrounds it.
pub(crate) const ROWS_MIN: usize = 65_536;

/// Vectors per list that the centres are found from.
const SAMPLED_PER_LIST: usize = 32;

/// Rounds of k-means. More move hardly any vector.
const ROUNDS: usize = 6;

/// The lists of a segment.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Lists {
    /// The centres' codes, one after another, and their scales: unit vectors.
    pub(crate) codes: Vec<u8>,
    pub(crate) scales: Vec<f32>,
    /// The rows of each list, ascending.
    pub(crate) rows: Vec<Vec<u32>>,
}

impl Lists {
    /// As many lists as the square root of `count`, over the rows that `row` gives: probing some then costs about as much as
    /// finding which. A segment that is scanned whole has none.
    pub(crate) fn of<R: AsRef<[f32]>>(count: usize, rows_min: usize, row: impl Fn(usize) -> R) -> Self {
        let wanted = count.isqrt();
        if count < rows_min.max(4) {
            return Self::default();
        }
        let mut centres = Centres::default();
        for place in evenly(count, wanted) {
            centres.add(row(place).as_ref());
        }
        let sample: Vec<_> = evenly(count, wanted * SAMPLED_PER_LIST).map(&row).collect();
        let mut dots = Vec::with_capacity(wanted);
        for _ in 0..ROUNDS {
            let mut sums = vec![Vec::new(); wanted];
            for row in &sample {
                let sum: &mut Vec<f32> = &mut sums[centres.nearest(row.as_ref(), &mut dots)];
                sum.resize(row.as_ref().len(), 0.0);
                sum.iter_mut().zip(row.as_ref()).for_each(|(sum, number)| *sum += number);
            }
            let mut moved = Centres::default();
            for (place, sum) in sums.iter_mut().enumerate() {
                let length = sum.iter().map(|number| number * number).sum::<f32>().sqrt();
                if length > 0.0 {
                    sum.iter_mut().for_each(|number| *number /= length);
                    moved.add(sum);
                } else {
                    moved.keep(&centres, place);
                }
            }
            centres = moved;
        }
        let mut rows = vec![Vec::new(); wanted];
        for (place, number) in (0..count).zip(0_u32..) {
            rows[centres.nearest(row(place).as_ref(), &mut dots)].push(number);
        }
        Self { codes: centres.codes, scales: centres.scales, rows }
    }
}

/// `wanted` places below `count`, or all, at even distances.
fn evenly(count: usize, wanted: usize) -> impl Iterator<Item = usize> {
    let wanted = wanted.min(count).max(1);
    (0..wanted).map(move |place| place * count / wanted)
}

#[derive(Debug, Default)]
struct Centres {
    codes: Vec<u8>,
    scales: Vec<f32>,
}

impl Centres {
    fn add(&mut self, centre: &[f32]) {
        self.codes.extend(code(centre));
        self.scales.push(scale(centre));
    }

    fn keep(&mut self, others: &Self, place: usize) {
        let length = others.codes.len() / others.scales.len().max(1);
        self.codes.extend_from_slice(&others.codes[place * length..(place + 1) * length]);
        self.scales.push(others.scales[place]);
    }

    /// The place of the centre that is nearest, of equals the first.
    fn nearest(&self, row: &[f32], dots: &mut Vec<i32>) -> usize {
        dot_each(&self.codes, &wide(&code(row)), dots);
        let mut nearest = (0, f32::NEG_INFINITY);
        for (place, (dot, scale)) in dots.iter().zip(&self.scales).enumerate() {
            let score = *dot as f32 * scale;
            if score > nearest.1 {
                nearest = (place, score);
            }
        }
        nearest.0
    }
}

/// A code as the scan multiplies it.
pub(crate) fn wide(code: &[u8]) -> Vec<i16> {
    code.iter().map(|byte| i16::from(byte.cast_signed())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_together_is_in_one_list() {
        let row = |place: usize| -> Vec<f32> {
            let angle = (place % 4) as f32 * 1.5 + (place as f32) * 1e-4;
            vec![angle.cos(), angle.sin(), 0.0]
        };
        let lists = Lists::of(400, 100, row);
        assert_eq!(lists.rows.len(), 20);
        let mut all: Vec<u32> = lists.rows.iter().flatten().copied().collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..400));
        for list in &lists.rows {
            assert!(list.iter().all(|row| row % 4 == list[0] % 4), "{list:?}");
        }
        assert_eq!(Lists::of(400, 100, row), lists);
        assert_eq!(Lists::of(99, 100, row), Lists::default());
        // Rows that are all the same, or nothing but zeros.
        assert_eq!(Lists::of(100, 100, |_| [0.0_f32; 3]).rows.iter().map(Vec::len).sum::<usize>(), 100);
        assert_eq!(Lists::of(100, 100, |_| [0.6, 0.8]).rows.iter().map(Vec::len).max(), Some(100));
    }
}
