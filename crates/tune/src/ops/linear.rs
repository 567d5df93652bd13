//! A frozen linear map, alone and with a low-rank correction.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Storage, Tensor};

use super::numbers;

/// `x Wᵀ`, `W` `[out, in]` without a gradient: candle's own product would compute one, at a third of the whole cost.
pub(crate) struct Frozen {
    /// `W`.
    pub(crate) weight: Tensor,
}

impl Frozen {
    fn apply(weight: &Tensor, x: &CpuStorage, layout: &Layout) -> Result<(Vec<f32>, Shape)> {
        let (tokens, width) = layout.shape().dims2()?;
        let (out, _) = weight.dims2()?;
        let (weight, weight_layout) = weight.storage_and_layout();
        let Storage::Cpu(weight) = &*weight else { candle_core::bail!("the weights are not in memory") };
        let product = x.matmul(weight, (1, tokens, out, width), layout, &weight_layout.transpose(0, 1)?)?;
        let CpuStorage::F32(product) = product else { candle_core::bail!("not 32-bit floats") };
        Ok((product, Shape::from((tokens, out))))
    }
}

impl CustomOp1 for Frozen {
    fn name(&self) -> &'static str {
        "frozen"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (product, shape) = Self::apply(&self.weight, x, layout)?;
        Ok((CpuStorage::F32(product), shape))
    }

    fn bwd(&self, _x: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        gradient.matmul(&self.weight).map(Some)
    }
}

/// `x Wᵀ + s (x Aᵀ) Bᵀ` for `x` `[tokens, in]`, `A` `[rank, in]`, `B` `[out, rank]` (Hu et al. 2021, LoRA), `W`
/// frozen.
pub(crate) struct Adapted {
    /// `W`.
    pub(crate) weight: Tensor,
    /// `s`.
    pub(crate) scale: f32,
}

impl CustomOp3 for Adapted {
    fn name(&self) -> &'static str {
        "adapted"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (tokens, width) = x_layout.shape().dims2()?;
        let (out, rank) = b_layout.shape().dims2()?;
        let (mut sum, shape) = Frozen::apply(&self.weight, x, x_layout)?;
        let small = x.matmul(a, (1, tokens, rank, width), x_layout, &a_layout.transpose(0, 1)?)?;
        let small_layout = Layout::contiguous((tokens, rank));
        let correction =
            small.matmul(b, (1, tokens, out, rank), &small_layout, &b_layout.transpose(0, 1)?)?;
        let layout = Layout::contiguous((tokens, out));
        let correction = numbers(&correction, &layout)?;
        for (sum, correction) in sum.iter_mut().zip(correction) {
            *sum += self.scale * correction;
        }
        Ok((CpuStorage::F32(sum), shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let wants_x = x.track_op();
        let (x, a, b) = (x.detach(), a.detach(), b.detach());
        let scale = f64::from(self.scale);
        let small = x.matmul(&a.t()?)?;
        let to_small = (gradient.matmul(&b)? * scale)?;
        let to_a = to_small.t()?.matmul(&x)?;
        let to_b = (gradient.t()?.matmul(&small)? * scale)?;
        // The lowest adapted layer's input is fixed.
        let to_x =
            if wants_x { Some((gradient.matmul(&self.weight)? + to_small.matmul(&a)?)?) } else { None };
        Ok((to_x, Some(to_a), Some(to_b)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::{check_gradient, random};

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let weight = random(&[5, 6], 1);
        let inputs = [random(&[4, 6], 2), random(&[2, 6], 3), random(&[5, 2], 4)];
        check_gradient(&inputs, |inputs| {
            let op = Adapted { weight: weight.clone(), scale: 0.7 };
            inputs[0].apply_op3(&inputs[1], &inputs[2], op).unwrap()
        });
    }

    #[test]
    fn the_gradient_of_a_frozen_map_is_that_of_finite_differences() {
        let weight = random(&[5, 6], 1);
        check_gradient(&[random(&[4, 6], 2)], |inputs| {
            inputs[0].apply_op1(Frozen { weight: weight.clone() }).unwrap()
        });
    }

    #[test]
    fn a_zero_b_leaves_the_frozen_map() {
        let (x, weight, a) = (random(&[3, 6], 1), random(&[5, 6], 2), random(&[2, 6], 3));
        let b = Tensor::zeros((5, 2), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
        let frozen = x.matmul(&weight.t().unwrap()).unwrap();
        let adapted = x.apply_op3(&a, &b, Adapted { weight, scale: 2.0 }).unwrap();
        assert_eq!(adapted.to_vec2::<f32>().unwrap(), frozen.to_vec2::<f32>().unwrap());
    }
}
