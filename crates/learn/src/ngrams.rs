//! Hashed n-grams of words and characters, weighted by how rare they are.
//!
//! Owns the hashing, the weights and their order. Refuses vocabularies: a bucket is all that is kept of an n-gram, so
//! that a model file never holds anybody's words.

use serde::{Deserialize, Serialize};

use crate::design::SparseVector;

/// Characters read of a long text: this many from its beginning and a third as many from its end, so that the time
/// for one text is bounded.
const HEAD_CHARS_MAX: usize = 3000;
const TAIL_CHARS_MAX: usize = 1000;
/// FNV-1a, 64 bits.
const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// Which n-grams are taken, and how much each bucket weighs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ngrams {
    /// Inverse document frequency of each bucket; words first, then characters.
    rarity: Vec<f32>,
    /// Buckets of each of the two kinds; a power of two.
    buckets: usize,
}

impl Ngrams {
    /// Counts in how many of `texts` each of `2^buckets_log2` buckets per kind occurs.
    pub fn fit<'a>(texts: impl Iterator<Item = &'a str>, buckets_log2: u32) -> Self {
        let buckets = 1_usize << buckets_log2.clamp(4, 24);
        let mut counts = vec![0_u32; 2 * buckets];
        let mut documents = 0_u32;
        let mut seen = Vec::new();
        for text in texts {
            documents += 1;
            grams(text, buckets, &mut seen);
            seen.dedup();
            seen.iter().for_each(|&bucket| counts[bucket as usize] += 1);
        }
        let rarity = counts
            .into_iter()
            .map(|count| ((1.0 + f64::from(documents)) / (1.0 + f64::from(count))).ln() as f32 + 1.0)
            .collect();
        Self { rarity, buckets }
    }

    /// How many columns the vectors have.
    pub fn columns(&self) -> usize {
        2 * self.buckets
    }

    /// The buckets of `text` in ascending order with their weights, `(1 + ln count) x rarity`; words and characters
    /// each have length 1, or 0 where there are none.
    pub fn vector(&self, text: &str) -> SparseVector {
        let mut found = Vec::new();
        grams(text, self.buckets, &mut found);
        let mut vector: SparseVector = found
            .chunk_by(|a, b| a == b)
            .map(|run| {
                let rarity = self.rarity.get(run[0] as usize).copied().unwrap_or(1.0);
                (run[0], (1.0 + (run.len() as f32).ln()) * rarity)
            })
            .collect();
        let border = vector.partition_point(|entry| (entry.0 as usize) < self.buckets);
        let (words, characters) = vector.split_at_mut(border);
        for part in [words, characters] {
            let length = part.iter().map(|entry| entry.1 * entry.1).sum::<f32>().sqrt();
            part.iter_mut().for_each(|entry| entry.1 /= length.max(f32::MIN_POSITIVE));
        }
        vector
    }
}

/// The buckets of all words, pairs of words, and runs of four characters inside a word and its borders;
/// sorted, with repetitions.
fn grams(text: &str, buckets: usize, out: &mut Vec<u32>) {
    out.clear();
    let mask = buckets as u64 - 1;
    let mut previous: Option<u64> = None;
    let mut padded: Vec<char> = Vec::new();
    let mut word = |word: &[char]| {
        let hash = word.iter().fold(FNV_START, |hash, &letter| step(hash, letter));
        out.push((finish(hash) & mask) as u32);
        if let Some(previous) = previous {
            out.push((finish(hash ^ previous.rotate_left(31)) & mask) as u32);
        }
        previous = Some(hash);
        padded.clear();
        padded.push(' ');
        padded.extend_from_slice(word);
        padded.push(' ');
        for run in padded.windows(4) {
            let hash = run.iter().fold(FNV_START ^ 1, |hash, &letter| step(hash, letter));
            out.push((buckets as u64 + (finish(hash) & mask)) as u32);
        }
    };
    let mut letters: Vec<char> = Vec::new();
    for part in excerpt(text) {
        for letter in part.chars() {
            if letter.is_alphanumeric() {
                letters.extend(letter.to_lowercase());
                continue;
            }
            if !letters.is_empty() {
                word(&letters);
                letters.clear();
            }
            // Signs carry meaning in code and mathematics; spaces do not.
            if !letter.is_whitespace() {
                word(&[letter]);
            }
        }
        if !letters.is_empty() {
            word(&letters);
            letters.clear();
        }
    }
    out.sort_unstable();
}

/// The beginning and the end of a long text; a short text whole.
fn excerpt(text: &str) -> [&str; 2] {
    if text.len() <= HEAD_CHARS_MAX + TAIL_CHARS_MAX {
        return [text, ""];
    }
    let head = text.char_indices().nth(HEAD_CHARS_MAX).map_or(text.len(), |(place, _)| place);
    let tail = text.char_indices().rev().nth(TAIL_CHARS_MAX - 1).map_or(0, |(place, _)| place);
    [&text[..head], &text[tail.max(head)..]]
}

fn step(hash: u64, letter: char) -> u64 {
    (hash ^ u64::from(u32::from(letter))).wrapping_mul(FNV_PRIME)
}

/// Spreads the high bits of the hash over the low ones that choose the bucket.
fn finish(hash: u64) -> u64 {
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ (mixed >> 29)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_and_spacing_do_not_matter() {
        let ngrams = Ngrams::fit(["one two", "two three"].into_iter(), 10);
        assert_eq!(ngrams.vector("Two  THREE"), ngrams.vector("two three"));
        assert_ne!(ngrams.vector("three two"), ngrams.vector("two three"));
        assert!(ngrams.vector("").is_empty());
    }

    #[test]
    fn rare_words_weigh_more() {
        let ngrams = Ngrams::fit(["a cat", "a dog", "a cow"].into_iter(), 12);
        let (common, rare) = (ngrams.vector("a"), ngrams.vector("a dog"));
        let weight = rare.iter().find(|entry| entry.0 == common[0].0).unwrap().1;
        let heaviest = rare.iter().filter(|entry| entry.0 < 4096).map(|entry| entry.1).fold(0.0, f32::max);
        assert!(weight < heaviest);
    }

    proptest! {
        #[test]
        fn any_text_gives_a_bounded_sorted_vector(text in "\\PC*") {
            let ngrams = Ngrams::fit([text.as_str()].into_iter(), 8);
            let vector = ngrams.vector(&text);
            prop_assert!(vector.windows(2).all(|pair| pair[0].0 < pair[1].0));
            prop_assert!(vector.iter().all(|entry| (entry.0 as usize) < ngrams.columns() && entry.1 > 0.0));
            let length: f32 = vector.iter().map(|entry| entry.1 * entry.1).sum();
            prop_assert!(length <= 2.001);
        }
    }

    #[test]
    fn long_texts_are_read_at_both_ends() {
        let middle = "x ".repeat(5000);
        let ngrams = Ngrams::fit(["x"].into_iter(), 10);
        assert_ne!(ngrams.vector(&format!("{middle}end")), ngrams.vector(&middle));
        assert_ne!(ngrams.vector(&format!("é{middle}")), ngrams.vector(&middle));
    }
}
