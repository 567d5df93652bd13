//! Text into the words that BM25 counts: the same for documents and questions.
//!
//! Runs of letters and digits are words; scripts that are written without spaces become overlapping pairs of
//! characters, as Lucene's CJK analysis does. Then: lower case, and the stop words and stems of the document's
//! language; accents off.

use std::collections::HashSet;

use tantivy::tokenizer::{
    AsciiFoldingFilter, BoxTokenStream, LowerCaser, RemoveLongFilter, Stemmer, StopWordFilter, TextAnalyzer,
    Token, TokenStream, Tokenizer,
};

use crate::languages::Language;

/// The analysis's name in the schema: part of what makes an old index unreadable.
pub(crate) const ANALYSIS: &str = "words_2";

/// Longer runs are encoded data, not words.
const WORD_BYTES_MAX: usize = 64;

/// The first of the characters, for private use by Unicode, that say which language a text is in.
const FIRST_MARK: u32 = 0xF_0000;

/// The analysis of a text in one language.
pub(crate) fn analyzer(language: Language) -> TextAnalyzer {
    let words = TextAnalyzer::builder(Words::default())
        .filter(RemoveLongFilter::limit(WORD_BYTES_MAX))
        .filter(LowerCaser);
    let stop = StopWordFilter::new(language.snowball()).unwrap_or_else(|| StopWordFilter::remove([]));
    let stems = Stemmer::new(language.snowball());
    match language {
        // English accents are foreign to its stems.
        Language::English => words.filter(AsciiFoldingFilter).filter(stop).filter(stems).build(),
        _ => words.filter(stop).filter(stems).filter(AsciiFoldingFilter).build(),
    }
}

/// The analysis of texts that [`marked`] has marked, each in its language.
#[derive(Clone)]
pub(crate) struct Analysis {
    of_language: Vec<Option<TextAnalyzer>>,
}

impl Default for Analysis {
    fn default() -> Self {
        Self { of_language: vec![None; Language::ALL.len()] }
    }
}

impl Tokenizer for Analysis {
    type TokenStream<'a> = BoxTokenStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> BoxTokenStream<'a> {
        let (language, text) = unmarked(text);
        let ours = &mut self.of_language[language.number()];
        ours.get_or_insert_with(|| analyzer(language)).token_stream(text)
    }
}

/// `text` with a character before it that tells [`Analysis`] its language. Tantivy hands an analysis nothing but text.
pub(crate) fn marked(text: &str, language: Language) -> String {
    let mark = u32::try_from(language.number()).ok().and_then(|number| char::from_u32(FIRST_MARK + number));
    let mut marked = String::with_capacity(text.len() + 4);
    marked.extend(mark);
    marked.push_str(text);
    marked
}

fn unmarked(text: &str) -> (Language, &str) {
    let number = text.chars().next().and_then(|first| u32::from(first).checked_sub(FIRST_MARK));
    let language = number.and_then(|number| Language::ALL.get(number as usize));
    match language {
        Some(language) => (*language, text.get(4..).unwrap_or_default()),
        None => (Language::English, text),
    }
}

/// The words of `text` as they are in the index, in order, with repeats.
pub(crate) fn words(analyzer: &mut TextAnalyzer, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    analyzer.token_stream(text).process(&mut |token| found.push(token.text.clone()));
    found
}

/// Words of questions that say nothing about their subject, as the analysis leaves them, in order. Left out of questions,
/// they raise BM25's nDCG@10 by 0.005 to 0.011 on Cranfield, NaturalQuestions and SQuAD, and make it faster.
const EMPTY_WORDS: &[&str] = &[
    "about", "after", "all", "also", "am", "ani", "anoth", "befor", "between", "both", "can", "could",
    "describ", "did", "do", "doe", "done", "each", "explain", "from", "get", "give", "go", "had", "has",
    "have", "he", "her", "here", "him", "his", "how", "i", "its", "kind", "know", "list", "mani", "may",
    "me", "mean", "might", "more", "most", "much", "must", "my", "name", "need", "off", "one", "our", "out",
    "pleas", "same", "say", "she", "should", "show", "so", "some", "tell", "than", "them", "thing",
    "through", "too", "type", "under", "up", "us", "use", "want", "we", "were", "what", "when", "where",
    "whi", "which", "while", "who", "whom", "whose", "would", "you", "your",
];

/// The words of a question that say something about its subject, in order, with repeats; all where none does. `analyzer`
/// is the English one.
pub(crate) fn question_words(analyzer: &mut TextAnalyzer, question: &str) -> Vec<String> {
    let all = words(analyzer, question);
    let some: Vec<String> = all.iter().filter(|word| says_something(word)).cloned().collect();
    if some.is_empty() { all } else { some }
}

/// The words of a question as passages in any of `analyzers`' languages may have them: the first language's words in order,
/// with repeats, then what the others add.
pub(crate) fn question_words_in(analyzers: &mut [(Language, TextAnalyzer)], question: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for (language, analyzer) in analyzers {
        let found = match language {
            Language::English => question_words(analyzer, question),
            _ => words(analyzer, question),
        };
        if all.is_empty() {
            all = found;
            continue;
        }
        let known: HashSet<String> = all.iter().cloned().collect();
        all.extend(found.into_iter().filter(|word| !known.contains(word)));
    }
    all
}

/// Whether a word of the analysis can tell one subject from another.
pub(crate) fn says_something(word: &str) -> bool {
    EMPTY_WORDS.binary_search(&word).is_err()
}

/// Cuts text into words and pairs.
#[derive(Clone, Default)]
pub(crate) struct Words {
    token: Token,
}

impl Tokenizer for Words {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        self.token.reset();
        WordStream { text, place: 0, in_run: false, token: &mut self.token }
    }
}

/// The words of one text.
pub(crate) struct WordStream<'a> {
    text: &'a str,
    place: usize,
    /// The character before `place` is unspaced and was the second of a pair.
    in_run: bool,
    token: &'a mut Token,
}

impl WordStream<'_> {
    /// The next word's bytes.
    fn next_span(&mut self) -> Option<(usize, usize)> {
        loop {
            let rest = &self.text[self.place..];
            let first = rest.chars().next()?;
            let after_first = self.place + first.len_utf8();
            if is_unspaced(first) {
                let second = self.text[after_first..].chars().next().filter(|&c| is_unspaced(c));
                let alone = second.is_none() && !self.in_run;
                let span = second.map(|c| (self.place, after_first + c.len_utf8()));
                self.place = after_first;
                self.in_run = second.is_some();
                if alone || span.is_some() {
                    return span.or(Some((after_first - first.len_utf8(), after_first)));
                }
                continue;
            }
            self.in_run = false;
            if first.is_alphanumeric() {
                let length =
                    rest.find(|c: char| !c.is_alphanumeric() || is_unspaced(c)).unwrap_or(rest.len());
                let start = self.place;
                self.place += length;
                return Some((start, self.place));
            }
            self.place = after_first;
        }
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        let Some((start, end)) = self.next_span() else { return false };
        self.token.text.clear();
        self.token.text.push_str(&self.text[start..end]);
        self.token.position = self.token.position.wrapping_add(1);
        self.token.offset_from = start;
        self.token.offset_to = end;
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

/// Han, kana, hangul, Thai, Lao, Khmer and Burmese.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0x0E01..=0x0E3A | 0x0E40..=0x0E4E | 0x0E81..=0x0ECD | 0x1000..=0x103F | 0x1100..=0x11FF | 0x1780..=0x17D3
        | 0x3005..=0x3007 | 0x3041..=0x3096 | 0x309D..=0x309F | 0x30A1..=0x30FA | 0x30FC..=0x30FF | 0x31F0..=0x31FF
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xAC00..=0xD7AF | 0xF900..=0xFAFF | 0x20000..=0x3134F)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(words(&mut analyzer(Language::English), text), expected, "{text:?}");
    }

    #[test]
    fn words_are_stems_without_stop_words() {
        check("", &[]);
        check("The routing of requests, and THE cafés!", &["rout", "request", "cafe"]);
        check(
            "body_bytes_max: x-pointsman-track=8080",
            &["bodi", "byte", "max", "x", "pointsman", "track", "8080"],
        );
        check(&"x".repeat(65), &[]);
    }

    #[test]
    fn questions_lose_their_empty_words() {
        assert!(EMPTY_WORDS.is_sorted());
        let mut analyzer = analyzer(Language::English);
        for word in EMPTY_WORDS {
            assert!(analyzer.token_stream(word).advance(), "{word} is a stop word already");
        }
        assert_eq!(question_words(&mut analyzer, "What does the gateway do?"), ["gateway"]);
        assert_eq!(question_words(&mut analyzer, "What can you do?"), ["what", "can", "you", "do"]);
    }

    #[test]
    fn unspaced_scripts_are_pairs() {
        check("日本語", &["日本", "本語"]);
        check("字", &["字"]);
        check("GPU上の推論、字 abc漢字", &["gpu", "上の", "の推", "推論", "字", "abc", "漢字"]);
        check("한국어 검색", &["한국", "국어", "검색"]);
    }

    #[test]
    fn each_language_has_its_stems() {
        let check = |language, text: &str, expected: &[&str]| {
            assert_eq!(words(&mut analyzer(language), text), expected, "{text:?}");
            // As the index sees it, whatever the text begins with.
            for text in [text.to_owned(), marked(text, Language::German)] {
                let mut indexed = Vec::new();
                let marked = marked(&text, language);
                Analysis::default()
                    .token_stream(&marked)
                    .process(&mut |token| indexed.push(token.text.clone()));
                assert_eq!(indexed, expected, "{text:?}");
            }
        };
        check(Language::English, "The budgets of the houses", &["budget", "hous"]);
        check(Language::German, "Die Häuser und die Budgets für das Haus", &["haus", "budg", "haus"]);
        check(Language::French, "Les requêtes sont envoyées", &["requet", "envoi"]);
        check(Language::Russian, "Запросы и бюджеты", &["запрос", "бюджет"]);
        check(Language::German, "GPUs für 推論", &["gpus", "推論"]);
    }

    #[test]
    fn a_question_is_read_in_every_language() {
        let of = |languages: &[Language], question: &str| {
            let mut analyzers: Vec<_> =
                languages.iter().map(|&language| (language, analyzer(language))).collect();
            question_words_in(&mut analyzers, question)
        };
        let both = [Language::English, Language::German];
        assert_eq!(of(&both[..1], "What do houses cost?"), ["hous", "cost"]);
        assert_eq!(of(&both, "Was kosten Häuser, was?"), ["kosten", "hauser", "kost", "haus"]);
        assert_eq!(of(&both[1..], "Was kosten Häuser?"), ["kost", "haus"]);
    }
}
