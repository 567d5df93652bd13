//! Rotary positions (Su et al. 2021), over pairs of neighbouring numbers, as GGUF files of the Llama architecture keep them.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::numbers;

/// Turns each pair of numbers of each head by the angle of its token's position.
#[derive(Clone)]
pub(crate) struct Rotation {
    /// Cosine and sine, `[position][pair]`.
    turns: Arc<Vec<(f32, f32)>>,
    head_width: usize,
    /// Tokens of one text: after so many rows the positions begin anew.
    length: usize,
    /// 1, or -1 to turn back.
    direction: f32,
}

impl Rotation {
    /// For rows of texts of `length` tokens each.
    pub(crate) fn new(length: usize, head_width: usize, wavelength_base: f32) -> Self {
        let angle = |position: usize, pair: usize| {
            let speed = f64::from(wavelength_base).powf(-2.0 * pair as f64 / head_width as f64);
            position as f64 * speed
        };
        let places = (0..length).flat_map(|place| (0..head_width / 2).map(move |pair| (place, pair)));
        #[expect(clippy::cast_possible_truncation, reason = "a sine fits in f32")]
        let turns =
            places.map(|(place, pair)| angle(place, pair).sin_cos()).map(|(s, c)| (c as f32, s as f32));
        Self { turns: Arc::new(turns.collect()), head_width, length, direction: 1.0 }
    }
}

impl CustomOp1 for Rotation {
    fn name(&self) -> &'static str {
        "rotation"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        let rows = numbers(storage, layout)?;
        let pairs = self.head_width / 2;
        let mut result = vec![0.0; rows.len()];
        for (number, (row, turned)) in
            rows.chunks_exact(width).zip(result.chunks_exact_mut(width)).enumerate()
        {
            let position = number % self.length;
            let turns = &self.turns[position * pairs..(position + 1) * pairs];
            let heads = row.chunks_exact(self.head_width).zip(turned.chunks_exact_mut(self.head_width));
            for (head, turned) in heads {
                for ((pair, turned), (cosine, sine)) in
                    head.chunks_exact(2).zip(turned.chunks_exact_mut(2)).zip(turns)
                {
                    let sine = sine * self.direction;
                    turned[0] = pair[0] * cosine - pair[1] * sine;
                    turned[1] = pair[0] * sine + pair[1] * cosine;
                }
            }
        }
        Ok((CpuStorage::F32(result), layout.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let back = Self { direction: -self.direction, ..self.clone() };
        gradient.contiguous()?.apply_op1_no_bwd(&back).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::{check_gradient, random};

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        check_gradient(&[random(&[6, 8], 8)], |inputs| {
            inputs[0].apply_op1(Rotation::new(3, 4, 100.0)).unwrap()
        });
    }

    #[test]
    fn positions_begin_anew_with_each_text() {
        let one = random(&[3, 8], 9);
        let twice = Tensor::cat(&[&one, &one], 0).unwrap();
        let turned = twice.apply_op1(Rotation::new(3, 4, 100.0)).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(turned[..3], turned[3..]);
        assert_eq!(turned[0], one.to_vec2::<f32>().unwrap()[0], "the first position is not turned");
    }
}
