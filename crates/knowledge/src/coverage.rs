//! Whether the index covers a question: a probability, from how near the found passages are and which of the
//! question's words they have.

mod estimate;
mod learning;

use std::collections::HashSet;

pub use estimate::{Estimate, Learnt, LeftOut, WithVectors, WordsAlone};
pub use learning::{Labelled, learn_coverage};

/// Passages that are looked through for the question's words.
pub(crate) const PASSAGES_READ: usize = 5;

/// Passages of BM25 whose nearness is looked at.
pub(crate) const BY_WORDS: usize = 10;

/// What is measured about a question and what was found for it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Features {
    /// What the vectors say, where one was asked.
    pub near: Option<Near>,
    /// The share of the question's words, by their weight (idf), that the best of the first passages has.
    pub words: f32,
    /// How much weight that is, counted in words of the rarest kind and squashed: `n / (n + 2)`. One common word that
    /// is found says little, though it be the whole question.
    pub amount: f32,
}

/// How near the best of either ranking is: where the rankings agree both are high, and a passage that only shares
/// words with the question is not near it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Near {
    /// The cosine of the nearest passage.
    pub by_vector: f32,
    /// The best cosine among BM25's first `BY_WORDS` passages, 0 where no words meet.
    pub by_words: f32,
}

/// A word of a question and how much it says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weighed {
    pub(crate) word: String,
    pub(crate) idf: f32,
}

impl Features {
    /// Measures `passages`, the words of the first that were found, against the question's different words. `idf_max`
    /// is the idf of a word that no passage has.
    pub(crate) fn of(
        near: Option<Near>,
        question: &[Weighed],
        idf_max: f32,
        passages: &[HashSet<String>],
    ) -> Self {
        let weight_in = |passage: &HashSet<String>| -> f32 {
            question.iter().filter(|word| passage.contains(&word.word)).map(|word| word.idf).sum()
        };
        let whole: f32 = question.iter().map(|word| word.idf).sum();
        let best = passages.iter().map(weight_in).fold(0.0, f32::max);
        let share_of = |whole: f32| if whole > 0.0 { best / whole } else { 0.0 };
        let rare = share_of(idf_max);
        Self { near, words: share_of(whole), amount: rare / (rare + 2.0) }
    }

    #[cfg(test)]
    fn probability(&self) -> f32 {
        Estimate::default().probability(self)
    }

    /// Whether nothing of it is infinite or no number at all.
    fn are_numbers(&self) -> bool {
        let near = self.near.unwrap_or_default();
        [near.by_vector, near.by_words, self.words, self.amount].iter().all(|number| number.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_count_by_their_weight() {
        let word = |word: &str, idf| Weighed { word: word.to_owned(), idf };
        let passage = |words: &[&str]| words.iter().map(ToString::to_string).collect::<HashSet<_>>();
        let question = [word("budget", 6.0), word("time", 2.0)];
        let found = Features::of(None, &question, 6.0, &[passage(&["time", "1998"]), passage(&["budget"])]);
        assert_eq!(found, Features { near: None, words: 0.75, amount: 1.0 / 3.0 });
        assert_eq!(Features::of(None, &[], 0.0, &[]), Features::default());
        assert_eq!(Features::of(None, &question, 6.0, &[]), Features::default());
    }

    proptest! {
        #[test]
        fn more_evidence_is_never_less_covered(
            by_vector in -1.0_f32..1.0, by_words in -1.0_f32..1.0, words in 0.0_f32..1.0, amount in 0.0_f32..1.0,
            more in 0.0_f32..1.0, blind in any::<bool>(),
        ) {
            let grown = |x: f32| x + (1.0 - x) * more;
            let near = |by_vector, by_words| (!blind).then_some(Near { by_vector, by_words });
            let less = Features { near: near(by_vector, by_words), words, amount }.probability();
            let grown = Features {
                near: near(grown(by_vector), grown(by_words)), words: grown(words), amount: grown(amount),
            };
            prop_assert!((0.0..=1.0).contains(&less));
            prop_assert!(less <= grown.probability() + 1e-6);
        }
    }
}
