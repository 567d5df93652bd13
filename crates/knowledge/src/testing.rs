//! An encoder for tests alone: words hashed into a few dimensions, so that texts with common words are near.

use api::{Embed, Error, Vector};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct HashEmbed {
    pub(crate) fingerprint: String,
    pub(crate) dimensions: usize,
}

impl Default for HashEmbed {
    fn default() -> Self {
        Self { fingerprint: String::from("hash-64"), dimensions: 64 }
    }
}

impl Embed for HashEmbed {
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vector>, Error> {
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

impl HashEmbed {
    pub(crate) fn one(&self, text: &str) -> Vector {
        let mut vector = vec![0.0_f32; self.dimensions];
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        for word in words {
            let hash = blake3::hash(word.to_lowercase().as_bytes());
            let place = u16::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]) as usize;
            vector[place % self.dimensions] += if hash.as_bytes()[2] & 1 == 0 { 1.0 } else { -1.0 };
        }
        vector[0] += 0.01;
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        vector.iter().map(|x| x / length).collect()
    }
}
