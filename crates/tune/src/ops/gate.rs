//! The gated feed-forward product (Shazeer 2020, SwiGLU).

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use super::{exponential, numbers};

/// `gate / (1 + e^-gate) * up`, number by number.
pub(crate) struct Gate;

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exponential(-x))
}

impl CustomOp2 for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let pairs = numbers(s1, l1)?.iter().zip(numbers(s2, l2)?);
        let result = pairs.map(|(&gate, &up)| gate * sigmoid(gate) * up).collect();
        Ok((CpuStorage::F32(result), l1.shape().clone()))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (gate, up, gradient) = (gate.detach(), up.detach(), gradient.contiguous()?);
        let to_gate = gate.apply_op3_no_bwd(&up, &gradient, &Back)?;
        let to_up = gate.apply_op2_no_bwd(&gradient, &Self)?;
        Ok((Some(to_gate), Some(to_up)))
    }
}

/// The gradient of the gate.
struct Back;

impl CustomOp3 for Back {
    fn name(&self) -> &'static str {
        "gate-back"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let triples = numbers(s1, l1)?.iter().zip(numbers(s2, l2)?).zip(numbers(s3, l3)?);
        let slope = |((&gate, &up), &gradient): ((&f32, &f32), &f32)| {
            let open = sigmoid(gate);
            gradient * up * open * (1.0 + gate * (1.0 - open))
        };
        Ok((CpuStorage::F32(triples.map(slope).collect()), l1.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::{check_gradient, random};

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let wide = (random(&[3, 5], 6) * 4.0).unwrap();
        check_gradient(&[wide, random(&[3, 5], 7)], |inputs| inputs[0].apply_op2(&inputs[1], Gate).unwrap());
    }
}
