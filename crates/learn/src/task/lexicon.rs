//! The words of a task as numbers: hashed, counted over the examples, only what several share kept.
//!
//! Owns which traits a text has and what each weighs. Refuses the words themselves: of each only a hash is kept, so that a
//! model file never holds anybody's text.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::design::SparseVector;

/// Characters read of a long text: this many from its beginning and a third as many from its end, so that the time for one
/// text is bounded.
const HEAD_CHARS_MAX: usize = 3000;
const TAIL_CHARS_MAX: usize = 1000;
/// What one example has alone says nothing of others.
const TEXTS_MIN: u32 = 2;
/// FNV-1a, 64 bits.
const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;
/// Kinds of traits: each is brought to length 1 by itself, and has a range of hashes to itself.
const BLOCKS: u64 = 2;
/// Words and pairs of words, the first paired with the beginning of the text.
const WORDS: u64 = 0;
/// Runs of four characters in a word and its borders.
const LETTERS: u64 = 1;
/// What stands before the first word.
const BEGINNING: u64 = 2;

/// The traits that a model knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Lexicon {
    /// Hashes in ascending order: the place of one is its column.
    hashes: Vec<u32>,
    /// Inverse document frequency of each.
    rarity: Vec<f32>,
}

impl Lexicon {
    /// Counts the traits of `texts`, and keeps those that at least two have: the `columns_max` most frequent, if there are
    /// more.
    pub(super) fn fit(texts: &[&str], columns_max: usize) -> Self {
        let mut counts: HashMap<u32, u32> = HashMap::new();
        for text in texts {
            let mut found = traits(text);
            found.dedup();
            found.into_iter().for_each(|hash| *counts.entry(hash).or_default() += 1);
        }
        let mut kept: Vec<(u32, u32)> = counts.into_iter().filter(|entry| entry.1 >= TEXTS_MIN).collect();
        if kept.len() > columns_max {
            kept.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
            kept.truncate(columns_max);
        }
        kept.sort_unstable();
        let all = 1.0 + texts.len() as f64;
        let rarity = |count: u32| (all / (1.0 + f64::from(count))).ln() as f32 + 1.0;
        let rarity = kept.iter().map(|&(_, count)| rarity(count)).collect();
        Self { hashes: kept.into_iter().map(|entry| entry.0).collect(), rarity }
    }

    /// How many columns there are.
    pub(super) fn columns(&self) -> usize {
        self.hashes.len()
    }

    /// The known traits of `text` by column, `(1 + ln count) x rarity`; each block has length 1, or 0 where it is empty.
    pub(super) fn vector(&self, text: &str) -> SparseVector {
        let mut vector = SparseVector::new();
        let mut lengths = [0.0_f32; BLOCKS as usize];
        let mut blocks = Vec::new();
        for run in traits(text).chunk_by(|a, b| a == b) {
            let Ok(column) = self.hashes.binary_search(&run[0]) else { continue };
            let rarity = self.rarity.get(column).copied().unwrap_or(1.0);
            let value = (1.0 + (run.len() as f32).ln()) * rarity;
            let block = block(run[0]);
            lengths[block] += value * value;
            blocks.push(block);
            vector.push((column as u32, value));
        }
        for (entry, block) in vector.iter_mut().zip(blocks) {
            entry.1 /= lengths[block].sqrt();
        }
        vector
    }
}

/// Which range of hashes this one lies in.
fn block(hash: u32) -> usize {
    ((u64::from(hash) * BLOCKS) >> 32) as usize
}

/// The hashes of all traits, sorted, with repetitions.
fn traits(text: &str) -> Vec<u32> {
    let mut found = Vec::new();
    let mut previous = BEGINNING;
    for piece in excerpt(text) {
        for word in words(piece) {
            letters(&word, &mut found);
            let hash = spell(FNV_START, &word);
            found.push(place(WORDS, hash));
            found.push(place(WORDS, join(previous, hash)));
            previous = hash;
        }
    }
    found.sort_unstable();
    found
}

fn letters(word: &[char], found: &mut Vec<u32>) {
    let padded: Vec<char> = std::iter::once(' ').chain(word.iter().copied()).chain([' ']).collect();
    found.extend(padded.windows(4).map(|run| place(LETTERS, spell(FNV_START, run))));
}

/// The words of a text in small letters; a sign is a word, since signs carry meaning in code and mathematics.
fn words(text: &str) -> Vec<Vec<char>> {
    let mut words: Vec<Vec<char>> = Vec::new();
    let mut inside = false;
    for letter in text.chars() {
        if letter.is_alphanumeric() {
            match words.last_mut() {
                Some(word) if inside => word.extend(letter.to_lowercase()),
                _ => words.push(letter.to_lowercase().collect()),
            }
            inside = true;
            continue;
        }
        inside = false;
        if !letter.is_whitespace() {
            words.push(vec![letter]);
        }
    }
    words
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

fn spell(start: u64, letters: &[char]) -> u64 {
    letters.iter().fold(start, |hash, &letter| step(hash, u64::from(u32::from(letter))))
}

fn join(first: u64, second: u64) -> u64 {
    step(step(FNV_START ^ 1, first ^ (first >> 32)), second ^ (second >> 32))
}

fn step(hash: u64, next: u64) -> u64 {
    (hash ^ next).wrapping_mul(FNV_PRIME)
}

/// A hash inside its block's range.
fn place(block: u64, hash: u64) -> u32 {
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let within = (mixed ^ (mixed >> 29)) & 0xffff_ffff;
    let room = (1_u64 << 32) / BLOCKS;
    (block * room + within * room / (1 << 32) + block.min(1)) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXTS: [&str; 4] = ["what is a cat", "what is a dog", "a cat is what", "who is a cat"];

    #[test]
    fn order_and_openings_are_seen_case_and_spacing_are_not() {
        let lexicon = Lexicon::fit(&TEXTS, 1000);
        assert_eq!(lexicon.vector("What  IS a CAT"), lexicon.vector("what is a cat"));
        assert_ne!(lexicon.vector("a cat is what"), lexicon.vector("what is a cat"));
        assert!(lexicon.vector("zebra").is_empty() && lexicon.vector("").is_empty());
    }

    #[test]
    fn only_the_most_frequent_are_kept() {
        let (all, few) = (Lexicon::fit(&TEXTS, 1000), Lexicon::fit(&TEXTS, 5));
        assert!(all.columns() > 5 && few.columns() == 5);
        // `is` and `a` are in every text.
        assert!(few.hashes.contains(&place(WORDS, spell(FNV_START, &['i', 's']))));
        assert_eq!(Lexicon::fit(&["alone"], 10).columns(), 0);
    }

    #[test]
    fn long_texts_are_read_at_both_ends() {
        let middle = "x ".repeat(5000);
        let texts = [format!("{middle}end"), format!("{middle}end"), format!("start {middle}")];
        let texts: Vec<&str> = texts.iter().map(String::as_str).chain(["start"]).collect();
        let lexicon = Lexicon::fit(&texts, 1000);
        assert_ne!(lexicon.vector(&format!("{middle}end")), lexicon.vector(&middle));
        assert_ne!(lexicon.vector(&format!("start {middle}")), lexicon.vector(&middle));
    }

    proptest! {
        #[test]
        fn any_text_gives_a_bounded_sorted_vector(text in "\\PC*") {
            let lexicon = Lexicon::fit(&[&text, &text], 50);
            let vector = lexicon.vector(&text);
            prop_assert!(vector.windows(2).all(|pair| pair[0].0 < pair[1].0));
            prop_assert!(vector.iter().all(|entry| (entry.0 as usize) < lexicon.columns() && entry.1 > 0.0));
            let length: f32 = vector.iter().map(|entry| entry.1 * entry.1).sum();
            prop_assert!(length <= 2.001);
        }

        #[test]
        fn every_hash_lies_in_its_block(hash in any::<u64>(), kind in 0_u64..BLOCKS) {
            prop_assert_eq!(block(place(kind, hash)) as u64, kind);
        }
    }
}
