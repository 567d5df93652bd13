//! Turning text into vectors, as the rooms that use vectors see it.

use crate::Error;

/// A text's place in the encoder's space, of unit length.
pub type Vector = Vec<f32>;

/// Something that encodes texts. `classify` holds the only implementation of the product.
pub trait Embed: Send + Sync {
    /// One unit vector per text, in order. Long texts are windowed by the encoder, never silently cut.
    /// Blocks for milliseconds to seconds: call it off the runtime's threads.
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vector>, Error>;

    /// The length of every vector.
    fn dimensions(&self) -> usize;

    /// Names the weights, the tokenizer and the runtime: vectors with different fingerprints must never be compared.
    fn fingerprint(&self) -> &str;

    /// How many tokens the encoder's tokenizer makes of `text`, without special tokens.
    fn count_tokens(&self, text: &str) -> usize;

    /// The most tokens of one text that the encoder reads at a time.
    fn window_tokens(&self) -> usize;
}

/// The cosine of two unit vectors: their dot product. Vectors of different lengths have nothing in common: 0.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return 0.0;
    }
    // Eight sums side by side let the compiler use SIMD: a single running sum may not be reordered.
    let mut sums = [0.0_f32; 8];
    let (chunks_a, rest_a) = a.as_chunks::<8>();
    let (chunks_b, rest_b) = b.as_chunks::<8>();
    for (x, y) in chunks_a.iter().zip(chunks_b) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}
