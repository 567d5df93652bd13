//! How surprised the model is by the tokens that it should say.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

use super::{exponential, numbers, row_length};

/// The negative logarithm of each target's probability, for scores `[tokens, vocabulary]`: a tensor `[tokens]`.
#[derive(Clone)]
pub(crate) struct Surprise {
    /// One target token for each row.
    pub(crate) targets: Vec<u32>,
}

impl CustomOp1 for Surprise {
    fn name(&self) -> &'static str {
        "surprise"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (tokens, length) = layout.shape().dims2()?;
        let rows = numbers(storage, layout)?.chunks_exact(length);
        let mut result = Vec::with_capacity(tokens);
        for (row, &target) in rows.zip(&self.targets) {
            let Some(score) = row.get(target as usize) else {
                candle_core::bail!("token {target} is not in the vocabulary")
            };
            let (highest, total) = mass(row);
            result.push(highest + total.ln() - score);
        }
        Ok((CpuStorage::F32(result), Shape::from(tokens)))
    }

    fn bwd(&self, scores: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let back = Back(self.clone());
        scores.detach().apply_op2_no_bwd(&gradient.contiguous()?, &back).map(Some)
    }
}

/// The highest score, and the sum of the others' exponentials relative to it.
fn mass(row: &[f32]) -> (f32, f32) {
    let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (highest, row.iter().map(|score| exponential(score - highest)).sum())
}

/// From the scores and the gradient of the surprise to that of the scores.
struct Back(Surprise);

impl CustomOp2 for Back {
    fn name(&self) -> &'static str {
        "surprise-back"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let length = row_length(l1);
        let (scores, gradients) = (numbers(s1, l1)?, numbers(s2, l2)?);
        let mut result = Vec::with_capacity(scores.len());
        for ((row, &target), gradient) in scores.chunks_exact(length).zip(&self.0.targets).zip(gradients) {
            let (highest, total) = mass(row);
            let share = gradient / total;
            let start = result.len();
            result.extend(row.iter().map(|score| share * exponential(score - highest)));
            if let Some(chosen) = result.get_mut(start + target as usize) {
                *chosen -= gradient;
            }
        }
        Ok((CpuStorage::F32(result), l1.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::{check_gradient, random};

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let scores = (random(&[3, 7], 12) * 3.0).unwrap();
        check_gradient(&[scores], |inputs| inputs[0].apply_op1(Surprise { targets: vec![0, 6, 3] }).unwrap());
    }

    #[test]
    fn equal_scores_are_as_surprising_as_the_vocabulary_is_long() {
        let scores = Tensor::zeros((1, 8), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
        let told = scores.apply_op1(Surprise { targets: vec![5] }).unwrap().to_vec1::<f32>().unwrap();
        assert!((told[0] - 8.0_f32.ln()).abs() < 1e-6);
        assert!(scores.apply_op1(Surprise { targets: vec![8] }).is_err());
    }
}
