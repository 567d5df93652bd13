//! An encoder for tests alone: words hashed into a few dimensions, so that texts with common words are near.

use std::sync::atomic::{AtomicU32, Ordering};

use api::{Embed, Error, Vector};

/// See the module.
pub(crate) struct HashEmbed {
    pub(crate) dimensions: usize,
    pub(crate) fingerprint: String,
    /// How many batches it encodes before it fails.
    pub(crate) batches_left: AtomicU32,
}

impl HashEmbed {
    pub(crate) fn new(dimensions: usize) -> Self {
        let fingerprint = format!("hash-{dimensions}");
        Self { dimensions, fingerprint, batches_left: AtomicU32::new(u32::MAX) }
    }

    pub(crate) fn one(&self, text: &str) -> Vector {
        let mut vector = vec![0.0_f32; self.dimensions];
        vector[0] = 0.01;
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            let hash = blake3::hash(word.to_lowercase().as_bytes());
            let [low, high, sign, ..] = hash.as_bytes();
            let place = usize::from(u16::from_le_bytes([*low, *high])) % self.dimensions;
            vector[place] += if sign & 1 == 0 { 1.0 } else { -1.0 };
        }
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.iter().map(|x| x / length).collect()
    }
}

impl Embed for HashEmbed {
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vector>, Error> {
        if self.batches_left.fetch_sub(1, Ordering::SeqCst) == 0 {
            return Err(Error::internal("the encoder is gone"));
        }
        Ok(texts.iter().map(|text| self.one(text)).collect())
    }
    fn dimensions(&self) -> usize {
        self.dimensions
    }
    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
    fn count_tokens(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }
    fn window_tokens(&self) -> usize {
        256
    }
}
