//! Whether the index covers a question: a probability, from how the rankings look.

use std::collections::HashSet;

/// Words of questions that say nothing about their subject, as the analysis leaves them.
const EMPTY_WORDS: &[&str] = &[
    "about", "after", "all", "also", "am", "ani", "anoth", "befor", "between", "both", "can", "could",
    "describ", "did", "do", "doe", "done", "each", "explain", "from", "get", "give", "go", "had", "has",
    "have", "he", "her", "here", "him", "his", "how", "i", "its", "kind", "know", "list", "mani", "may",
    "me", "mean", "might", "more", "most", "much", "must", "my", "name", "need", "off", "one", "our", "out",
    "pleas", "same", "say", "she", "should", "show", "so", "some", "tell", "than", "them", "thing",
    "through", "too", "type", "under", "up", "us", "use", "want", "we", "were", "what", "when", "where",
    "which", "while", "who", "whom", "whose", "whi", "would", "you", "your",
];

/// What is measured about a question and what was found for it; all shares in [0, 1].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Features {
    /// The cosine of the nearest passage.
    pub(crate) top_cosine: f32,
    /// How far the nearest passage stands out: its cosine less that of the tenth.
    pub(crate) cosine_lead: f32,
    /// The share of either ranking's first ten that is in the other's.
    pub(crate) agreement: f32,
    /// The best BM25 score as a share of the most that these words can score.
    pub(crate) bm25_share: f32,
    /// The weight (idf) of the question's words that the best passage has, of all its words.
    pub(crate) best_words: f32,
    /// The same for the best five passages together.
    pub(crate) all_words: f32,
    /// The weight of the question's words that no passage of the index has.
    pub(crate) unknown_words: f32,
    /// The share of the question's names and numbers that the best five passages have; 1 where it has none.
    pub(crate) names: f32,
}

/// A word of a question and how much it says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weighed {
    pub(crate) word: String,
    pub(crate) idf: f32,
    pub(crate) known: bool,
}

/// Whether a word can tell one subject from another.
pub(crate) fn says_something(word: &str) -> bool {
    EMPTY_WORDS.binary_search(&word).is_err()
}

/// The share of `question`'s weight whose words are among `found`.
pub(crate) fn weight_of(question: &[Weighed], found: impl Fn(&Weighed) -> bool) -> f32 {
    let whole: f32 = question.iter().map(|word| word.idf).sum();
    let there: f32 = question.iter().filter(|word| found(word)).map(|word| word.idf).sum();
    if whole > 0.0 { there / whole } else { 0.0 }
}

/// Names and numbers of a question as its author wrote them: words with a digit, and words with a capital that do not
/// begin a sentence. A question all in capitals has none.
pub(crate) fn names(question: &str) -> Vec<&str> {
    if !question.contains(char::is_lowercase) {
        return Vec::new();
    }
    let mut begins = true;
    let mut found = Vec::new();
    for piece in question.split_whitespace() {
        let word = piece.trim_matches(|c: char| !c.is_alphanumeric());
        let has_digit = word.contains(|c: char| c.is_ascii_digit());
        let has_capital = word.chars().next().is_some_and(char::is_uppercase);
        if has_digit || (has_capital && !begins) {
            found.push(word);
        }
        begins = piece.ends_with(['.', '?', '!', ':']);
    }
    found
}

/// The share of the first ten of either ranking that is also in the other's first ten.
pub(crate) fn agreement<T: Eq + std::hash::Hash>(a: &[(f32, T)], b: &[(f32, T)]) -> f32 {
    let first: HashSet<&T> = a.iter().take(10).map(|(_, place)| place).collect();
    let both = b.iter().take(10).filter(|(_, place)| first.contains(place)).count();
    let fewer = first.len().min(b.len().min(10));
    if fewer == 0 { 0.0 } else { both as f32 / fewer as f32 }
}

impl Features {
    /// The probability that the index covers the question.
    pub(crate) fn probability(&self) -> f32 {
        self.top_cosine.clamp(0.0, 1.0)
    }
}
