//! Many linear outputs over one sparse input: `learn` trains them, `classify` applies them.

/// One feature of a sparse input: its place and its value.
pub type Cell = (u32, f32);

/// Linear outputs over sparse inputs: `scores = W x + b`. The weights of one feature lie side by side, so that an input of
/// a few hundred cells touches a few hundred short rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    bias: Vec<f32>,
    /// Feature-major, `width x bias.len()`.
    weights: Vec<f32>,
}

impl Linear {
    /// `weights` is feature-major: one row of `bias.len()` weights for each feature. `None` where the rows are not whole.
    pub fn new(bias: Vec<f32>, weights: Vec<f32>) -> Option<Self> {
        let whole = !bias.is_empty() && weights.len().is_multiple_of(bias.len());
        whole.then_some(Self { bias, weights })
    }

    /// How many scores an input gets.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// How many features there are.
    pub fn width(&self) -> usize {
        self.weights.len() / self.bias.len()
    }

    /// One for each output.
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// Feature-major, `width x outputs`.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The scores of an input; cells beyond the width count nothing.
    pub fn scores(&self, cells: &[Cell]) -> Vec<f32> {
        let mut scores = self.bias.clone();
        for (place, value) in cells {
            let start = *place as usize * scores.len();
            let Some(row) = self.weights.get(start..start + scores.len()) else { continue };
            scores.iter_mut().zip(row).for_each(|(score, weight)| *score += value * weight);
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_sums_over_the_cells() {
        let linear = Linear::new(vec![1.0, -1.0], vec![1.0, 2.0, 10.0, 20.0]).unwrap();
        assert_eq!((linear.outputs(), linear.width()), (2, 2));
        assert_eq!(linear.scores(&[]), [1.0, -1.0]);
        assert_eq!(linear.scores(&[(1, 0.5), (0, 1.0), (7, 9.0)]), [7.0, 11.0]);
        assert_eq!(Linear::new(vec![0.0; 2], vec![0.0; 3]), None);
        assert_eq!(Linear::new(vec![], vec![]), None);
    }
}
