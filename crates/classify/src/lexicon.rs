//! Phrases to look for, found in one pass over a text's words.
//!
//! Owns the look-up of phrases by word hashes and the tolerance for one slip of the finger in long words. Refuses to
//! know what the phrases mean.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::words::{Word, fold, hash_of, words};

/// Word hashes are hashes already.
#[derive(Clone, Copy, Default)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        // FNV's low bits are good; its high ones, which the map also uses, are made of them.
        self.0 ^ self.0.rotate_left(25)
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

type ByHash<V> = HashMap<u64, V, BuildHasherDefault<Identity>>;

/// Single words at least this long are also found with one letter wrong, missing, doubled or swapped.
const SLIP_LETTERS_MIN: usize = 6;

struct Phrase {
    /// The hashes of the words after the first.
    rest: Vec<u64>,
    group: u16,
}

/// Phrases in groups.
pub(crate) struct Lexicon {
    by_first: ByHash<Vec<Phrase>>,
    /// The hash of a long word whole and with one letter left out, to the word's group.
    by_slip: ByHash<u16>,
}

/// A phrase found in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) group: u16,
    /// Places in the list of words, last one excluded.
    pub(crate) first: usize,
    pub(crate) past: usize,
    /// Found in spite of a slip.
    pub(crate) slip: bool,
}

impl Lexicon {
    /// A lexicon of `(group, phrases separated by |)`.
    pub(crate) fn new<'a>(groups: impl IntoIterator<Item = (u16, &'a str)>) -> Self {
        let mut lexicon = Self { by_first: ByHash::default(), by_slip: ByHash::default() };
        for (group, phrases) in groups {
            for phrase in phrases.split('|') {
                lexicon.add(group, phrase.trim());
            }
        }
        lexicon
    }

    fn add(&mut self, group: u16, phrase: &str) {
        let hashes: Vec<u64> = words(phrase).iter().map(|word| word.hash).collect();
        let Some((&first, rest)) = hashes.split_first() else { return };
        let is_latin_word = rest.is_empty() && phrase.chars().all(|letter| fold(letter).is_ascii_lowercase());
        if is_latin_word && phrase.chars().count() >= SLIP_LETTERS_MIN {
            for slip in slips(phrase).chain([first]) {
                self.by_slip.entry(slip).or_insert(group);
            }
        }
        self.by_first.entry(first).or_default().push(Phrase { rest: rest.to_vec(), group });
    }

    /// Calls `found` for every phrase in `words`; slips are looked for among the first `slips_max` words.
    pub(crate) fn find(&self, text: &str, words: &[Word], slips_max: usize, mut found: impl FnMut(Found)) {
        for (first, word) in words.iter().enumerate() {
            match self.by_first.get(&word.hash) {
                Some(phrases) => {
                    for phrase in phrases {
                        let past = first + 1 + phrase.rest.len();
                        let follows = words.get(first + 1..past);
                        let equal = |rest: &[Word]| rest.iter().map(|word| &word.hash).eq(&phrase.rest);
                        if follows.is_some_and(equal) {
                            found(Found { group: phrase.group, first, past, slip: false });
                        }
                    }
                }
                None if first < slips_max && usize::from(word.length) + 1 >= SLIP_LETTERS_MIN => {
                    if let Some(group) = self.slip(&text[word.start..word.end]) {
                        found(Found { group, first, past: first + 1, slip: true });
                    }
                }
                None => {}
            }
        }
    }

    /// The group of the word that `word` was meant to be. Two words that are equal after each lost one letter differ
    /// by one insertion, omission, replacement or swap.
    fn slip(&self, word: &str) -> Option<u16> {
        const LETTERS_MAX: usize = 16;
        if word.len() > LETTERS_MAX {
            return None;
        }
        let whole = hash_of(word.chars().map(fold));
        std::iter::once(whole).chain(slips(word)).find_map(|slip| self.by_slip.get(&slip).copied())
    }
}

/// The hashes of a word with each letter but the first left out: the first one is seldom wrong.
fn slips(word: &str) -> impl Iterator<Item = u64> + '_ {
    let letters: Vec<char> = word.chars().map(fold).collect();
    (1..letters.len()).map(move |left_out| {
        hash_of(letters.iter().enumerate().filter(|(place, _)| *place != left_out).map(|(_, letter)| *letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(u16, bool)]) {
        let lexicon = Lexicon::new([(0, "summarize|in short"), (1, "translate into|翻译"), (2, "cat")]);
        let list = words(text);
        let mut got = Vec::new();
        lexicon.find(text, &list, 100, |found| got.push((found.group, found.slip)));
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn phrases_are_found_also_with_a_slip() {
        check("Summarize it, in short.", &[(0, false), (0, false)]);
        check("sumarize sumamrize summarise summarizee", &[(0, true); 4]);
        check("translate it into", &[]);
        check("请翻译这段话, translate into", &[(1, false), (1, false)]);
        check("cta in", &[]);
    }
}
