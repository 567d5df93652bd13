//! Where the words of a question stand in a passage.

use std::collections::HashSet;

use tantivy::tokenizer::{TextAnalyzer, TokenStream};

/// Places that are marked of one passage, the first ones.
const PLACES_MAX: usize = 64;

/// Bytes of `text` where words of `asked` stand after `analyzer`'s analysis, in order and apart from each other: "routed"
/// where "routing" was asked. Every word of `asked` that stands there, marked or not, is added to `met`.
pub(crate) fn highlights(
    analyzer: &mut TextAnalyzer,
    text: &str,
    asked: &HashSet<&str>,
    met: &mut HashSet<String>,
) -> Vec<(usize, usize)> {
    let mut places: Vec<(usize, usize)> = Vec::new();
    let mut stream = analyzer.token_stream(text);
    while stream.advance() {
        let token = stream.token();
        if !asked.contains(token.text.as_str()) {
            continue;
        }
        if !met.contains(&token.text) {
            met.insert(token.text.clone());
        }
        // Pairs of characters overlap.
        if let Some(last) = places.last_mut()
            && token.offset_from <= last.1
        {
            last.1 = last.1.max(token.offset_to);
        } else if places.len() < PLACES_MAX {
            places.push((token.offset_from, token.offset_to));
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
            let asked = asked.iter().copied().collect();
            let mut met = HashSet::new();
            let places = highlights(&mut analyzer(Language::English), text, &asked, &mut met);
            assert!(
                met.iter().all(|word| asked.contains(word.as_str())) && met.is_empty() == places.is_empty()
            );
            let marked: Vec<&str> = places.iter().map(|&(start, end)| &text[start..end]).collect();
            assert_eq!(marked, expected, "{text:?}");
        };
        check("Requests are routed; Cafés are not routers.", &["rout", "cafe"], &["routed", "Cafés"]);
        check("推論は速い。推論", &["推論", "論は"], &["推論は", "推論"]);
        check("", &["x"], &[]);
        check("one", &[], &[]);
        check(&"a1 ".repeat(100), &["a1"], &["a1"; PLACES_MAX]);
    }
}
