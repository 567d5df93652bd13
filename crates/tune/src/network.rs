//! The forward pass: token ids to states, states to scores of the next token.
//!
//! The layers below the adapter are run once without a graph for the gradient; those above it with one.

use std::sync::Arc;

use candle_core::{D, Tensor};

use crate::adapter::{Adapter, Pair};
use crate::base::{Base, Layer, Sizes};
use crate::error::Error;
use crate::ops::{Adapted, CausalSoftmax, Frozen, Gate, Norm, Rotation};

/// Several texts of one length, the shorter ones filled up at their ends, where nobody looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Texts.
    pub(crate) texts: usize,
    /// Tokens of each.
    pub(crate) length: usize,
}

/// The steps over one shape of input.
pub(crate) struct Network<'a> {
    base: &'a Base,
    shape: Shape,
    rotation: Rotation,
}

impl<'a> Network<'a> {
    /// For inputs of `shape`.
    pub(crate) fn new(base: &'a Base, shape: Shape) -> Self {
        let Sizes { head_width, wavelength_base, .. } = base.sizes;
        let rotation = Rotation::new(shape.length, head_width, wavelength_base);
        Self { base, shape, rotation }
    }

    /// The states before layer `first`, `[texts * length, width]`, of tokens in the same order.
    pub(crate) fn below(&self, tokens: &Tensor, first: usize) -> Result<Tensor, Error> {
        let mut states = self.base.embedding.index_select(tokens, 0)?;
        for layer in self.base.layers.iter().take(first) {
            states = self.layer(&states, layer, None)?;
        }
        Ok(states)
    }

    /// The states after the last layer, of those before the adapter's first.
    pub(crate) fn above(&self, states: &Tensor, adapter: &Adapter) -> Result<Tensor, Error> {
        let mut states = states.clone();
        for (layer, pairs) in self.base.layers.iter().skip(adapter.first).zip(&adapter.layers) {
            states = self.layer(&states, layer, Some((pairs, adapter.scale())))?;
        }
        Ok(states)
    }

    /// The scores of the tokens after those at `places`, `[places, vocabulary]`, of the states after the last layer.
    pub(crate) fn scores(&self, states: &Tensor, places: &Tensor) -> Result<Tensor, Error> {
        let states = self.norm(&states.index_select(places, 0)?, &self.base.norm)?;
        Ok(states.apply_op1(Frozen { weight: self.base.head.clone() })?)
    }

    fn layer(
        &self,
        states: &Tensor,
        layer: &Layer,
        adapted: Option<(&[Pair; 7], f32)>,
    ) -> Result<Tensor, Error> {
        let map = |x: &Tensor, place: usize| {
            linear(x, &layer.weights[place], adapted.map(|(pairs, scale)| (&pairs[place], scale)))
        };
        let x = self.norm(states, &layer.attention_norm)?;
        let seen = self.attend(&map(&x, 0)?, &map(&x, 1)?, &map(&x, 2)?)?;
        let states = (states + map(&seen, 3)?)?;
        let x = self.norm(&states, &layer.forward_norm)?;
        let inner = map(&x, 4)?.apply_op2(&map(&x, 5)?, Gate)?;
        Ok((states + map(&inner, 6)?)?)
    }

    fn norm(&self, x: &Tensor, weight: &Arc<Vec<f32>>) -> Result<Tensor, Error> {
        Ok(x.apply_op1(Norm { weight: Arc::clone(weight), epsilon: self.base.sizes.epsilon })?)
    }

    /// Attention of each text to itself. Query heads that share a key head are stacked as its rows.
    fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor, Error> {
        let Sizes { heads, key_heads, head_width, .. } = self.base.sizes;
        let Shape { texts, length } = self.shape;
        let sharing = heads / key_heads;
        let q = q.apply_op1(self.rotation.clone())?;
        let k = k.apply_op1(self.rotation.clone())?;
        let q = q.reshape((texts, length, key_heads, sharing, head_width))?.permute((0, 2, 3, 1, 4))?;
        let q = q.contiguous()?.reshape((texts * key_heads, sharing * length, head_width))?;
        let alone = |x: &Tensor| -> Result<Tensor, Error> {
            let x = x.reshape((texts, length, key_heads, head_width))?.transpose(1, 2)?.contiguous()?;
            Ok(x.reshape((texts * key_heads, length, head_width))?)
        };
        let (k, v) = (alone(&k)?, alone(v)?);
        let scores = q.matmul(&k.transpose(D::Minus1, D::Minus2)?)?;
        let weights = scores.apply_op1(CausalSoftmax { scale: (head_width as f32).sqrt().recip() })?;
        let seen = weights.matmul(&v)?.reshape((texts, key_heads, sharing, length, head_width))?;
        let seen = seen.permute((0, 3, 1, 2, 4))?.contiguous()?;
        Ok(seen.reshape((texts * length, heads * head_width))?)
    }
}

/// One map, corrected where there is a pair.
fn linear(x: &Tensor, weight: &Tensor, pair: Option<(&Pair, f32)>) -> Result<Tensor, Error> {
    let Some((pair, scale)) = pair else {
        return Ok(x.matmul(&weight.t()?)?);
    };
    let op = Adapted { weight: weight.clone(), scale };
    Ok(x.apply_op3(&pair.a, &pair.b, op)?)
}
