//! Adam (Kingma and Ba 2015) over an adapter's numbers, its steps warmed up and let out.

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor};

use crate::adapter::Adapter;
use crate::error::Error;

const FIRST_DECAY: f32 = 0.9;
const SECOND_DECAY: f32 = 0.999;
const EPSILON: f32 = 1e-8;
/// The gradient of a step is scaled down to this length.
const LENGTH_MAX: f64 = 1.0;
/// The share of a training in which the steps grow.
const WARM_UP: f64 = 0.06;

/// The gradients of one step, added up over its parts.
pub(crate) struct Gradients(Vec<Vec<f32>>);

impl Gradients {
    /// Zeros.
    pub(crate) fn new(adapter: &Adapter) -> Self {
        Self(adapter.variables.iter().map(|variable| vec![0.0; variable.elem_count()]).collect())
    }

    /// Adds one part's.
    pub(crate) fn add(&mut self, adapter: &Adapter, part: &GradStore) -> Result<(), Error> {
        for (sum, variable) in self.0.iter_mut().zip(&adapter.variables) {
            let Some(gradient) = part.get(variable.as_tensor()) else { continue };
            for (sum, number) in sum.iter_mut().zip(gradient.flatten_all()?.to_vec1::<f32>()?) {
                *sum += number;
            }
        }
        Ok(())
    }

    fn length(&self) -> f64 {
        self.0.iter().flatten().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt()
    }
}

/// The optimiser's memory.
pub(crate) struct Descent {
    rate: f64,
    steps: i32,
    /// First and second moments, number by number.
    moments: Vec<Vec<(f32, f32)>>,
}

impl Descent {
    /// Begins with a highest rate of `rate`.
    pub(crate) fn new(adapter: &Adapter, rate: f64) -> Self {
        let moments =
            adapter.variables.iter().map(|variable| vec![(0.0, 0.0); variable.elem_count()]).collect();
        Self { rate, steps: 0, moments }
    }

    /// Makes a step, `progress` of the way through the training (0 to 1).
    pub(crate) fn step(
        &mut self,
        adapter: &Adapter,
        gradients: &Gradients,
        progress: f64,
    ) -> Result<(), Error> {
        let length = gradients.length();
        if !length.is_finite() {
            return Err(Error::Failed("the training diverged; lower the learning rate".to_owned()));
        }
        self.steps = self.steps.saturating_add(1);
        let shrink = (LENGTH_MAX / length.max(LENGTH_MAX)) as f32;
        // Of a rate that corrects both moments' beginning at zero.
        let first = 1.0 - f64::from(FIRST_DECAY).powi(self.steps);
        let second = 1.0 - f64::from(SECOND_DECAY).powi(self.steps);
        let rate = (self.rate * share(progress) * second.sqrt() / first) as f32;
        for ((variable, moments), gradient) in
            adapter.variables.iter().zip(&mut self.moments).zip(&gradients.0)
        {
            let mut numbers = variable.as_detached_tensor().flatten_all()?.to_vec1::<f32>()?;
            for ((number, moments), gradient) in numbers.iter_mut().zip(moments).zip(gradient) {
                let gradient = gradient * shrink;
                moments.0 = FIRST_DECAY * moments.0 + (1.0 - FIRST_DECAY) * gradient;
                moments.1 = SECOND_DECAY * moments.1 + (1.0 - SECOND_DECAY) * gradient * gradient;
                *number -= rate * moments.0 / (moments.1.sqrt() + EPSILON);
            }
            variable.set(&Tensor::from_vec(numbers, variable.shape(), &Device::Cpu)?)?;
        }
        Ok(())
    }
}

/// The share of the highest rate: up in a line, then down along half a cosine.
fn share(progress: f64) -> f64 {
    let progress = progress.clamp(0.0, 1.0);
    if progress < WARM_UP {
        return (progress / WARM_UP).max(0.05);
    }
    let way = (progress - WARM_UP) / (1.0 - WARM_UP);
    0.5 * (1.0 + (std::f64::consts::PI * way).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_and_then_shrink_to_nothing() {
        assert!(share(0.0) > 0.0 && share(0.03) < share(WARM_UP));
        assert!((share(WARM_UP) - 1.0).abs() < 1e-9);
        assert!(share(0.5) > share(0.9) && share(1.0) < 1e-9 && share(7.0) < 1e-9);
    }
}
