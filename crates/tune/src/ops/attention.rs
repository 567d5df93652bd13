//! Attention weights: a softmax over the tokens so far.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

use super::{exponential, numbers, row_length};

/// For scores `[.., L, L]`: row `i` of each square becomes the softmax of its first `i + 1` numbers times `scale`, and zeros.
#[derive(Clone, Copy)]
pub(crate) struct CausalSoftmax {
    /// Usually one over the root of the head's width.
    pub(crate) scale: f32,
}

impl CustomOp1 for CausalSoftmax {
    fn name(&self) -> &'static str {
        "causal-softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let scores = numbers(storage, layout)?;
        let length = row_length(layout);
        let mut result = vec![0.0; scores.len()];
        for (number, (row, weights)) in
            scores.chunks_exact(length).zip(result.chunks_exact_mut(length)).enumerate()
        {
            let seen = number % length + 1;
            let (row, weights) = (&row[..seen], &mut weights[..seen]);
            let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for (weight, score) in weights.iter_mut().zip(row) {
                *weight = exponential((score - highest) * self.scale);
            }
            let share = weights.iter().sum::<f32>().recip();
            weights.iter_mut().for_each(|weight| *weight *= share);
        }
        Ok((CpuStorage::F32(result), layout.shape().clone()))
    }

    fn bwd(&self, _scores: &Tensor, weights: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        weights.detach().apply_op2_no_bwd(&gradient.contiguous()?, &Back(*self)).map(Some)
    }
}

/// From the weights and their gradient to that of the scores.
struct Back(CausalSoftmax);

impl CustomOp2 for Back {
    fn name(&self) -> &'static str {
        "causal-softmax-back"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let length = row_length(l1);
        let (weights, gradients) = (numbers(s1, l1)?, numbers(s2, l2)?);
        let mut result = Vec::with_capacity(weights.len());
        for (weights, gradients) in weights.chunks_exact(length).zip(gradients.chunks_exact(length)) {
            let mean: f32 = weights.iter().zip(gradients).map(|(weight, gradient)| weight * gradient).sum();
            let each = weights.iter().zip(gradients);
            result.extend(each.map(|(weight, gradient)| self.0.scale * weight * (gradient - mean)));
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
        let scores = (random(&[2, 6, 3], 10) * 3.0).unwrap();
        check_gradient(&[scores], |inputs| inputs[0].apply_op1(CausalSoftmax { scale: 0.5 }).unwrap());
    }

    #[test]
    fn nothing_is_seen_of_what_comes_later() {
        let weights = random(&[1, 3, 3], 11).apply_op1(CausalSoftmax { scale: 1.0 }).unwrap();
        for (place, row) in weights.to_vec3::<f32>().unwrap()[0].iter().enumerate() {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            assert!(row[place + 1..].iter().all(|weight| *weight == 0.0));
        }
    }
}
