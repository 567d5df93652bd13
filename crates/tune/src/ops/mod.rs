//! The steps of the forward pass that candle lacks, lacks a gradient for, or would do with more memory: each with its
//! gradient, which the tests compare with finite differences.

mod attention;
mod gate;
mod linear;
mod loss;
mod norm;
mod rotation;

pub(crate) use attention::CausalSoftmax;
pub(crate) use gate::Gate;
pub(crate) use linear::{Adapted, Frozen};
pub(crate) use loss::Surprise;
pub(crate) use norm::Norm;
pub(crate) use rotation::Rotation;

use candle_core::{CpuStorage, Layout, Result};

/// The numbers of a tensor that lies in one piece.
fn numbers<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("a tensor of shape {:?} must lie in one piece", layout.shape())
    };
    storage
        .as_slice::<f32>()?
        .get(start..end)
        .ok_or_else(|| candle_core::Error::Msg("out of range".to_owned()))
}

/// The length of a tensor's last dimension.
fn row_length(layout: &Layout) -> usize {
    layout.dims().last().copied().unwrap_or(1).max(1)
}

/// e to the power of `x`, within 2 units in the last place: Cody and Waite's reduction and Cephes' polynomial. Without
/// branches and calls, so that the compiler does several at once; the library's takes a sixth of a training.
#[inline(always)]
fn exponential(x: f32) -> f32 {
    /// Adding and taking away 1.5 * 2^23 rounds to the nearest whole number.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = x - whole * 0.693_359_4 + whole * 2.121_944_4e-4;
    let series = rest * 1.987_569_1e-4 + 1.398_199_9e-3;
    let series = series * rest + 8.333_452e-3;
    let series = series * rest + 4.166_579_6e-2;
    let series = series * rest + 1.666_666_5e-1;
    let series = series * rest + 0.5;
    let fraction = series * rest * rest + rest + 1.0;
    // The low bits of `shifted` hold the whole number; moved into the exponent they make its power of two.
    fraction * f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()))
}

#[cfg(test)]
pub(crate) mod tests {
    use candle_core::{Device, Tensor, Var};

    use super::*;
    use crate::dice::Dice;

    /// Numbers from -1 to 1.
    pub(crate) fn random(shape: &[usize], seed: u64) -> Tensor {
        let mut dice = Dice::new(seed);
        let count = shape.iter().product();
        let numbers: Vec<f32> = (0..count).map(|_| dice.uniform() * 2.0 - 1.0).collect();
        Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
    }

    /// Compares the gradient of every input with central differences of `sum(weights * f(inputs))`.
    pub(crate) fn check_gradient(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Tensor) {
        let variables: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(input).unwrap()).collect();
        let tracked: Vec<Tensor> = variables.iter().map(|variable| variable.as_tensor().clone()).collect();
        let result = f(&tracked);
        let weights = random(result.dims(), 99);
        let value = |inputs: &[Tensor]| (f(inputs) * &weights).unwrap().sum_all().unwrap();
        let gradients = value(&tracked).backward().unwrap();
        for (place, variable) in variables.iter().enumerate() {
            let told =
                gradients.get(variable.as_tensor()).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let plain = inputs[place].flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for (index, &expected) in told.iter().enumerate() {
                let moved = |by: f32| {
                    let mut numbers = plain.clone();
                    numbers[index] += by;
                    let mut inputs = inputs.to_vec();
                    inputs[place] = Tensor::from_vec(numbers, inputs[place].shape(), &Device::Cpu).unwrap();
                    value(&inputs).to_scalar::<f32>().unwrap()
                };
                let measured = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                let tolerance = 2e-3 + 1e-2 * expected.abs();
                assert!(
                    (measured - expected).abs() < tolerance,
                    "input {place}, number {index}: gradient {expected}, measured {measured}"
                );
            }
        }
    }

    #[test]
    fn the_exponential_is_that_of_the_library() {
        for step in -860..=870 {
            let x = step as f32 / 10.0;
            let (ours, theirs) = (exponential(x), x.exp());
            assert!((ours - theirs).abs() <= theirs * 3e-7, "{x}: {ours} against {theirs}");
        }
        assert_eq!(exponential(0.0), 1.0);
        assert!(exponential(-1e30) < 1e-37 && exponential(f32::NEG_INFINITY) < 1e-37);
        assert!(exponential(1e30).is_finite());
    }
}
