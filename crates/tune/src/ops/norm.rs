//! Division by the root of the mean square (Zhang and Sennrich 2019), with frozen weights.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

use super::{numbers, row_length};

/// `w x / sqrt(mean(x²) + ε)` for each row.
#[derive(Clone)]
pub(crate) struct Norm {
    /// `w`.
    pub(crate) weight: Arc<Vec<f32>>,
    /// `ε`.
    pub(crate) epsilon: f32,
}

impl Norm {
    fn inverse(&self, row: &[f32]) -> f32 {
        let squares: f32 = row.iter().map(|x| x * x).sum();
        (squares / row.len() as f32 + self.epsilon).sqrt().recip()
    }
}

impl CustomOp1 for Norm {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let rows = numbers(storage, layout)?;
        let mut result = Vec::with_capacity(rows.len());
        for row in rows.chunks_exact(row_length(layout)) {
            let inverse = self.inverse(row);
            result.extend(row.iter().zip(self.weight.iter()).map(|(x, weight)| x * inverse * weight));
        }
        Ok((CpuStorage::F32(result), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let back = Back(self.clone());
        x.detach().apply_op2_no_bwd(&gradient.contiguous()?, &back).map(Some)
    }
}

/// From the input and the gradient of the result to the gradient of the input.
struct Back(Norm);

impl CustomOp2 for Back {
    fn name(&self) -> &'static str {
        "norm-back"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        g: &CpuStorage,
        lg: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let length = row_length(lx);
        let (rows, gradients) = (numbers(x, lx)?, numbers(g, lg)?);
        let mut result = Vec::with_capacity(rows.len());
        for (row, gradient) in rows.chunks_exact(length).zip(gradients.chunks_exact(length)) {
            let inverse = self.0.inverse(row);
            let weighted = row.iter().zip(gradient).zip(self.0.weight.iter());
            let along: f32 = weighted.map(|((x, gradient), weight)| x * gradient * weight).sum();
            let pull = along * inverse * inverse / length as f32;
            let each = row.iter().zip(gradient).zip(self.0.weight.iter());
            result.extend(each.map(|((x, gradient), weight)| inverse * (gradient * weight - x * pull)));
        }
        Ok((CpuStorage::F32(result), lx.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::{check_gradient, random};

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let weight = Arc::new(vec![0.5, -1.0, 2.0, 1.5]);
        check_gradient(&[random(&[3, 4], 5)], |inputs| {
            inputs[0].apply_op1(Norm { weight: Arc::clone(&weight), epsilon: 1e-5 }).unwrap()
        });
    }
}
