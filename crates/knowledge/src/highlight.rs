//! Where the words of a question stand in a passage.

use std::collections::HashSet;

use tantivy::tokenizer::{TextAnalyzer, TokenStream, Tokenizer};

use crate::words::Words;

/// Places that are marked of one passage, the first ones.
const PLACES_MAX: usize = 64;

/// The words of a question, as the analysis leaves them.
pub(crate) struct Asked<'a> {
    words: HashSet<&'a str>,
    /// A bit for each ASCII character that one of them begins with. No analysis of ours changes a word's first letter, so
    /// that most words of a text need not be analysed to know that they are none of these.
    initials: u128,
}

impl<'a> Asked<'a> {
    /// These words.
    pub(crate) fn new(words: impl IntoIterator<Item = &'a str>) -> Self {
        let words: HashSet<&str> = words.into_iter().collect();
        let initials = words.iter().filter_map(|word| initial(word)).fold(0, |all, one| all | one);
        Self { words, initials }
    }

    /// Whether a word of a text can become one of these.
    fn may_have(&self, word: &str) -> bool {
        // A letter with an accent may lose it.
        initial(word).is_none_or(|initial| self.initials & initial != 0)
    }
}

/// The bit of a word's first character, `None` where that is not ASCII.
fn initial(word: &str) -> Option<u128> {
    let first = word.bytes().next().filter(u8::is_ascii)?;
    Some(1 << first.to_ascii_lowercase())
}

/// Bytes of `text` where words of `asked` stand after `analyzer`'s analysis, in order and apart from each other: "routed"
/// where "routing" was asked. Every word of `asked` that stands there, marked or not, is added to `met`.
pub(crate) fn highlights(
    analyzer: &mut TextAnalyzer,
    text: &str,
    asked: &Asked<'_>,
    met: &mut HashSet<String>,
) -> Vec<(usize, usize)> {
    let mut places: Vec<(usize, usize)> = Vec::new();
    let mut cutting = Words::default();
    let mut cut = cutting.token_stream(text);
    while cut.advance() {
        let (start, end) = (cut.token().offset_from, cut.token().offset_to);
        let word = text.get(start..end).unwrap_or_default();
        if !asked.may_have(word) {
            continue;
        }
        let mut analysed = analyzer.token_stream(word);
        if !analysed.advance() || !asked.words.contains(analysed.token().text.as_str()) {
            continue;
        }
        let token = &analysed.token().text;
        if !met.contains(token) {
            met.insert(token.clone());
        }
        // Pairs of characters overlap.
        if let Some(last) = places.last_mut()
            && start <= last.1
        {
            last.1 = last.1.max(end);
        } else if places.len() < PLACES_MAX {
            places.push((start, end));
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::languages::Language;
    use crate::words::analyzer;

    #[test]
    fn words_are_marked_whatever_their_ending() {
        let check = |text: &str, asked: &[&str], expected: &[&str]| {
            let wanted = Asked::new(asked.iter().copied());
            let mut met = HashSet::new();
            let places = highlights(&mut analyzer(Language::English), text, &wanted, &mut met);
            assert!(
                met.iter().all(|word| asked.contains(&word.as_str())) && met.is_empty() == places.is_empty()
            );
            let marked: Vec<&str> = places.iter().map(|&(start, end)| &text[start..end]).collect();
            assert_eq!(marked, expected, "{text:?}");
        };
        check("Requests are routed; Cafés are not routers.", &["rout", "cafe"], &["routed", "Cafés"]);
        check("推論は速い。推論", &["推論", "論は"], &["推論は", "推論"]);
        check("", &["x"], &[]);
        check("Élan, elan; ÉLAN", &["elan"], &["Élan", "elan", "ÉLAN"]);
        check("He is dying, they lie.", &["die", "lie"], &["dying", "lie"]);
        check("one", &[], &[]);
        check(&"a1 ".repeat(100), &["a1"], &["a1"; PLACES_MAX]);
    }

    proptest::proptest! {
        /// Nothing is passed over: where the words of a whole text's analysis stand is what is marked.
        #[test]
        fn what_the_analysis_finds_is_marked(text in "([A-Za-zäéßЖя字語1]{1,9}[ ,.-]?){0,30}", language in 0..Language::ALL.len()) {
            let mut analyzer = analyzer(Language::ALL[language]);
            let words = crate::words::words(&mut analyzer, &text);
            let asked = Asked::new(words.iter().step_by(2).map(String::as_str));
            let mut met = HashSet::new();
            highlights(&mut analyzer, &text, &asked, &mut met);
            let expected: HashSet<String> = words.iter().step_by(2).cloned().collect();
            proptest::prop_assert_eq!(met, expected);
        }
    }
}
