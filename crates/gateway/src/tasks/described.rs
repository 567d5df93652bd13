//! What the encoder tells of an input, as it is kept with a label.

use std::sync::Arc;

use api::Vector;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use classify::DESCRIBED_PARTS;

/// What the encoder tells of an input (see [`classify::Encoder::describe`]), in 16 bits a number: a store of 20,000 takes 46 MB.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Described(Arc<[i16]>);

/// Steps to 1.
const STEPS: f32 = 32_767.0;

impl Described {
    #[expect(clippy::cast_possible_truncation, reason = "clamped before")]
    pub(crate) fn of(vector: &[f32]) -> Self {
        Self(vector.iter().map(|value| (value * STEPS).round().clamp(-STEPS, STEPS) as i16).collect())
    }

    pub(crate) fn vector(&self) -> Vector {
        self.0.iter().map(|value| f32::from(*value) / STEPS).collect()
    }

    /// The cosine of its meaning to that of another description: their first parts.
    pub(crate) fn nearness(&self, other: &[f32]) -> f32 {
        self.cosine(&other[..other.len() / DESCRIBED_PARTS])
    }

    /// The cosine of its meaning to a vector of a meaning alone.
    pub(crate) fn cosine(&self, meaning: &[f32]) -> f32 {
        let products = self.0.iter().zip(meaning).map(|(own, other)| f32::from(*own) * other);
        products.sum::<f32>() / STEPS
    }

    /// As text: base64 of little-endian 16-bit numbers.
    pub(crate) fn written(&self) -> String {
        STANDARD.encode(self.0.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
    }

    /// What [`Described::written`] wrote; `None` for anything else.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        let (pairs, rest) = bytes.as_chunks::<2>();
        rest.is_empty().then(|| Self(pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_survive_being_written() {
        let described = Described::of(&[0.25, -1.0, 0.0, 1.0, 0.5, 0.125]);
        let back = Described::read(&described.written()).expect("whole");
        assert_eq!(back, described);
        assert!(
            back.vector().iter().zip([0.25, -1.0, 0.0, 1.0, 0.5, 0.125]).all(|(a, b)| (a - b).abs() < 1e-4)
        );
        // Of three parts of two numbers each only the first is compared.
        assert!((back.nearness(&[1.0, 0.0, 9.0, 9.0, 9.0, 9.0]) - 0.25).abs() < 1e-4);
        assert_eq!(Described::read("AAA"), None);
    }
}
