//! The few words of a sentence that answer a question.
//!
//! Owns the candidates (runs of words that do not begin or end idly), what is measured about each, and their ranking.
//! Refuses to find sentences (`reader` does) and to write: a span is always a stretch of its passage.

use std::collections::HashSet;
use std::ops::Range;

use api::Findings;

use tantivy::tokenizer::TextAnalyzer;

use crate::languages::Language;
use crate::reader::Quote;
use crate::words::{analyzer, question_words, words};

/// The best sentences that are looked through.
const SENTENCES_READ: usize = 2;

/// The probability from which a short answer is worth saying before its sentence.
const SURE: f32 = 0.5;

/// A short answer: a stretch of a passage.
#[derive(Clone, Debug, PartialEq)]
pub struct Short {
    /// The words, on one line.
    pub text: String,
    /// The number of its passage, as in `[1]`.
    pub number: usize,
    /// Its bytes in the passage's text.
    pub span: (usize, usize),
    /// Its share of the belief in all candidates of the best sentences.
    pub probability: f32,
}

impl Short {
    /// Whether to say it before its sentence. Of SQuAD dev questions that were searched and read end to end 15 % have such
    /// an answer, with F1 0.69 and 62 % exact; of those with their passage given 19 %, with 0.74 and 69 %.
    pub fn is_sure(&self) -> bool {
        self.probability >= SURE
    }
}

/// The likeliest short answer in the best of `quotes`, which are in the order of their scores.
pub(crate) fn shortest(question: &str, findings: &Findings, quotes: &[Quote]) -> Option<Short> {
    let mut analyzer = analyzer(Language::English);
    let question = Question::of(&mut analyzer, question);
    let mut weighed: Vec<(f32, usize, Range<usize>)> = Vec::new();
    for (rank, quote) in quotes.iter().enumerate().take(SENTENCES_READ) {
        let text = &findings.passages.get(quote.passage)?.text;
        let standing = Standing { rank, score: quote.score };
        let found = candidates(&mut analyzer, &question, text, &quote.span, standing);
        weighed.extend(found.into_iter().map(|found| (weight(&found), quote.passage, found.span)));
    }
    let (best, passage, span) = weighed.iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
    let belief: f32 = weighed.iter().map(|(weight, ..)| (weight - best).exp()).sum();
    let words = findings.passages.get(*passage)?.text.get(span.clone())?;
    Some(Short {
        text: words.split_whitespace().collect::<Vec<_>>().join(" "),
        number: passage + 1,
        span: (span.start, span.end),
        probability: 1.0 / belief,
    })
}

fn weight(candidate: &Candidate) -> f32 {
    WEIGHTS.iter().zip(candidate.measures).map(|(weight, value)| weight * value).sum()
}

/// The most words of a candidate, and of a sentence that is looked through.
const SPAN_WORDS_MAX: usize = 8;
const SENTENCE_WORDS_MAX: usize = 80;

/// What a question asks for, told by its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Who,
    When,
    Where,
    HowMany,
    What,
    How,
}

const ASKED_KINDS: usize = 6;
const SHAPES: usize = 17;
const SHARED: usize = 28;

/// How many numbers describe a candidate.
const MEASURES: usize = ASKED_KINDS * SHAPES + SHARED;

/// A question as candidates are measured against it.
#[derive(Debug)]
struct Question {
    asked: Asked,
    words: HashSet<String>,
    /// The stem of the noun that is asked for: `year` in "In what year".
    focus: Option<String>,
}

/// A stretch of a text that may be the answer.
#[derive(Debug)]
struct Candidate {
    /// Bytes of the text that was looked through.
    span: Range<usize>,
    measures: [f32; MEASURES],
}

/// What is known of a sentence as a whole.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// Its place among the sentences, best first.
    rank: usize,
    /// Its score, as the reader orders sentences.
    score: f32,
}

/// How much each measure counts: shapes by what is asked for, then what is shared.
///
/// A softmax over all candidates of the two best sentences, fitted to put its belief on those that meet the known answers
/// of 2,631 SQuAD 1.1 dev questions with their passages (Rajpurkar et al. 2016 have the like with parses and a hundred
/// thousand questions: F1 0.510). By cross-validation over articles: exact match 0.314 and F1 0.405 with the passage
/// given, 0.242 and 0.326 through this crate's search of all passages; the best sentence quoted whole has F1 0.199 and 0.180. The
/// best candidate there is has F1 0.942.
#[rustfmt::skip]
const WEIGHTS: [f32; MEASURES] = [
    // Who
    -0.60, -0.40, 0.20, -0.69, 2.69, 0.78, -0.31, -0.59, -0.08, -1.01, 1.22, 0.28, 0.86, -2.73, -0.23, 0.12, -1.24,
    // When
    1.42, 1.48, 1.31, 2.44, 0.73, -0.75, -1.80, -0.58, 0.33, 1.51, 0.99, 0.40, -0.91, 0.04, -0.04, -0.60, -0.10,
    // Where
    -0.79, -0.64, -0.08, -0.45, 1.96, 1.15, -0.18, 0.52, -0.22, 2.03, -0.31, 0.17, -0.77, -0.85, -0.20, -0.24, -0.15,
    // HowMany
    2.22, -1.03, -0.98, -0.12, -1.48, -2.03, -0.81, 0.86, 1.14, 0.15, 0.18, -0.25, 0.25, -0.17, -0.11, -0.45, -2.11,
    // What
    0.44, -1.28, -0.21, -0.67, 2.18, -0.29, -0.24, -0.24, 1.46, 0.18, 0.69, 0.81, 0.18, -1.46, -0.24, -0.39, -0.53,
    // How
    -0.66, -0.50, -0.09, -0.36, -0.45, -0.84, 0.33, 0.16, 0.35, -0.31, 1.54, 1.85, 1.99, -0.56, -0.38, -0.54, 1.10,
    // Shared
    -0.97, -0.20, -2.69, 2.01, 0.15, 3.01, 0.38, 3.33, 0.16, -0.16, 2.61, 0.26, 0.84, 0.25,
    -0.16, -2.44, -1.95, 1.10, 1.45, 1.42, 2.50, -2.36, 2.02, 1.12, 0.88, -0.90, 1.20, -0.97,
];

const MONTHS: &[&str] = &[
    "april",
    "august",
    "december",
    "february",
    "january",
    "july",
    "june",
    "march",
    "may",
    "november",
    "october",
    "september",
];

/// Words that no candidate begins or ends with, but for articles and prepositions in front.
const IDLE: &[&str] = &[
    "a", "about", "after", "also", "although", "an", "and", "are", "as", "at", "be", "because", "been",
    "before", "between", "but", "by", "can", "could", "did", "do", "does", "during", "for", "from", "had",
    "has", "have", "he", "her", "his", "how", "if", "in", "into", "is", "it", "its", "may", "might", "not",
    "of", "on", "or", "over", "she", "should", "since", "so", "such", "than", "that", "the", "their", "them",
    "then", "there", "these", "they", "this", "those", "through", "to", "under", "until", "was", "were",
    "when", "where", "which", "while", "who", "whose", "will", "with", "would",
];

const ARTICLES: &[&str] = &["a", "an", "the"];
const PLACE_PREPOSITIONS: &[&str] = &["at", "from", "in", "into", "near", "on", "to", "toward", "towards"];
const NAMING: &[&str] = &["as", "called", "is", "known", "named", "termed", "was", "were", "are"];

impl Question {
    fn of(analyzer: &mut TextAnalyzer, question: &str) -> Self {
        let lower = question.to_lowercase();
        let plain: Vec<&str> =
            lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let after = |word: &str| plain.iter().position(|other| *other == word).map(|at| &plain[at + 1..]);
        let next_is = |word: &str, list: &[&str]| {
            after(word).is_some_and(|rest| rest.iter().take(2).any(|next| list.contains(next)))
        };
        let focus_word = ["what", "which"].iter().find_map(|word| after(word)).and_then(|rest| {
            let nouns: Vec<&&str> = rest.iter().take_while(|word| !is_idle(word)).take(3).collect();
            nouns.last().map(|noun| (**noun).to_owned())
        });
        let focus_in = |list: &[&str]| focus_word.as_deref().is_some_and(|focus| list.contains(&focus));
        let asked = if focus_in(&["year", "date", "day", "month", "century", "decade", "years", "time"])
            || plain.contains(&"when")
        {
            Asked::When
        } else if next_is(
            "how",
            &["many", "much", "long", "old", "far", "large", "tall", "high", "big", "fast", "often", "deep"],
        ) || focus_in(&[
            "percentage",
            "percent",
            "number",
            "amount",
            "population",
            "age",
            "temperature",
            "proportion",
        ]) {
            Asked::HowMany
        } else if ["who", "whom", "whose"].iter().any(|word| plain.contains(word)) {
            Asked::Who
        } else if plain.contains(&"where")
            || focus_in(&[
                "city",
                "country",
                "state",
                "place",
                "location",
                "town",
                "region",
                "continent",
                "county",
                "area",
            ])
        {
            Asked::Where
        } else if plain.contains(&"how") || plain.contains(&"why") {
            Asked::How
        } else {
            Asked::What
        };
        let focus = focus_word.and_then(|word| words(analyzer, &word).pop());
        Self { asked, words: question_words(analyzer, question).into_iter().collect(), focus }
    }
}

/// A word of a sentence with its surroundings.
struct Token<'a> {
    span: Range<usize>,
    lower: String,
    word: &'a str,
    stem: Option<String>,
    asked: bool,
    idle: bool,
    capital: bool,
    digit: bool,
    /// A sign stands before it or behind it: a comma, a bracket, a quotation mark.
    opens: bool,
    closes: bool,
}

fn is_idle(word: &str) -> bool {
    IDLE.binary_search(&word).is_ok()
}

fn tokens<'a>(
    analyzer: &mut TextAnalyzer,
    question: &Question,
    text: &'a str,
    sentence: &Range<usize>,
) -> Vec<Token<'a>> {
    let mut found: Vec<Token> = Vec::new();
    let mut place = sentence.start;
    for piece in text[sentence.clone()].split_inclusive(char::is_whitespace) {
        let start = place;
        place += piece.len();
        let keeps = |c: char| c.is_alphanumeric() || "$£€%°".contains(c);
        let (Some(first), Some(last)) = (piece.find(keeps), piece.rfind(keeps)) else {
            if let (Some(before), true) = (found.last_mut(), piece.contains(|c: char| !c.is_whitespace())) {
                before.closes = true;
            }
            continue;
        };
        let end = last + piece[last..].chars().next().map_or(0, char::len_utf8);
        let word = &piece[first..end];
        let stem = words(analyzer, word).pop();
        let lower = word.to_lowercase();
        let trailing = piece[end..].trim();
        found.push(Token {
            span: start + first..start + end,
            asked: stem.as_ref().is_some_and(|stem| question.words.contains(stem)),
            idle: is_idle(&lower),
            capital: word.chars().next().is_some_and(char::is_uppercase),
            digit: word.chars().any(|c| c.is_ascii_digit()),
            opens: first > 0,
            closes: !trailing.is_empty() && !trailing.starts_with(['\'', '’']),
            lower,
            word,
            stem,
        });
        if found.len() >= SENTENCE_WORDS_MAX {
            break;
        }
    }
    found
}

/// The candidates of one sentence of `text`.
fn candidates(
    analyzer: &mut TextAnalyzer,
    question: &Question,
    text: &str,
    sentence: &Range<usize>,
    standing: Standing,
) -> Vec<Candidate> {
    let tokens = tokens(analyzer, question, text, sentence);
    let mut found = Vec::new();
    for first in 0..tokens.len() {
        let leads = !tokens[first].idle || ARTICLES.contains(&tokens[first].lower.as_str());
        if !leads {
            continue;
        }
        for last in first..tokens.len().min(first + SPAN_WORDS_MAX) {
            if !tokens[last].idle {
                let measures = measure(question, &tokens, first..last + 1, standing);
                found.push(Candidate { span: tokens[first].span.start..tokens[last].span.end, measures });
            }
        }
    }
    found
}

fn measure(question: &Question, tokens: &[Token], run: Range<usize>, standing: Standing) -> [f32; MEASURES] {
    let mut measures = [0.0; MEASURES];
    let (of_shapes, shared) = measures.split_at_mut(ASKED_KINDS * SHAPES);
    let kind = question.asked as usize;
    of_shapes[kind * SHAPES..(kind + 1) * SHAPES].copy_from_slice(&shapes(tokens, &run));
    shared.copy_from_slice(&surroundings(question, tokens, &run, standing));
    measures
}

fn yes(fact: bool) -> f32 {
    if fact { 1.0 } else { 0.0 }
}

/// What a candidate looks like; how much each counts depends on what is asked for.
fn shapes(tokens: &[Token], run: &Range<usize>) -> [f32; SHAPES] {
    let span = &tokens[run.clone()];
    let before = run.start.checked_sub(1).map_or("", |place| tokens[place].lower.as_str());
    let content: Vec<&Token> = span.iter().filter(|token| !token.idle).collect();
    let named =
        content.iter().filter(|token| token.capital && (token.span.start > tokens[0].span.start)).count();
    let is_year = |token: &Token| {
        token.word.len() == 4 && token.word.parse().is_ok_and(|year: u32| (1000..2100).contains(&year))
    };
    let month = span.iter().any(|token| MONTHS.contains(&token.lower.as_str()) && token.capital);
    let any_digit = span.iter().any(|token| token.digit);
    let last = &span[span.len() - 1];
    [
        yes(any_digit),
        yes(span.iter().any(is_year)),
        yes(span.len() == 1 && is_year(&span[0])),
        yes(month),
        yes(named == content.len()),
        yes(named > 0),
        yes(named == 0 && !any_digit),
        yes(span[0].digit && span.len() > 1 && !last.digit),
        yes(span
            .iter()
            .any(|token| token.word.contains(['$', '£', '€', '%']) || token.lower.starts_with("percent"))),
        yes(PLACE_PREPOSITIONS.contains(&before)),
        yes(before == "by"),
        yes(NAMING.contains(&before)),
        yes(before == "to" || before == "because" || before == "for"),
        yes(content.len() == 1),
        yes(content.len() == 2),
        yes(content.len() >= 5),
        (span.len() as f32).ln(),
    ]
}

/// How a candidate stands in its sentence.
fn surroundings(
    question: &Question,
    tokens: &[Token],
    run: &Range<usize>,
    standing: Standing,
) -> [f32; SHARED] {
    let span = &tokens[run.clone()];
    let content = span.iter().filter(|token| !token.idle).count().max(1) as f32;
    let repeated = span.iter().filter(|token| token.asked).count() as f32;
    let (left, right) = (&tokens[..run.start], &tokens[run.end..]);
    let closeness = |distance: Option<usize>| distance.map_or(0.0, |distance| 1.0 / (1.0 + distance as f32));
    let nearest_left = left.iter().rev().position(|token| token.asked);
    let nearest_right = right.iter().position(|token| token.asked);
    let within = |side: &mut dyn Iterator<Item = &Token>, reach: usize| {
        side.take(reach).filter(|token| token.asked).count() as f32 / reach as f32
    };
    let around = within(&mut left.iter().rev(), 8) + within(&mut right.iter(), 8);
    let close = within(&mut left.iter().rev(), 3) + within(&mut right.iter(), 3);
    let outside: HashSet<&String> = left
        .iter()
        .chain(right)
        .filter(|token| token.asked)
        .filter_map(|token| token.stem.as_ref())
        .collect();
    let starts_clean = left.last().is_none_or(|before| before.idle || before.closes) || span[0].opens;
    let ends_clean =
        right.first().is_none_or(|after| after.idle || after.opens) || span[span.len() - 1].closes;
    let inner_sign =
        span[..span.len() - 1].iter().any(|token| token.closes) || span[1..].iter().any(|token| token.opens);
    let is_focus = |token: Option<&Token>| {
        token.is_some_and(|token| question.focus.is_some() && token.stem == question.focus)
    };
    let splits_name =
        left.last().is_some_and(|before| before.capital && span[0].capital && !before.closes && !before.idle)
            || right.first().is_some_and(|after| {
                after.capital && span[span.len() - 1].capital && !span[span.len() - 1].closes && !after.idle
            });
    [
        repeated / content,
        yes(repeated > 0.0),
        yes(repeated >= content),
        closeness(nearest_left),
        closeness(nearest_right),
        around,
        close,
        outside.len() as f32 / question.words.len().max(1) as f32,
        yes(standing.rank == 0),
        yes(standing.rank == 1),
        standing.score,
        yes(starts_clean),
        yes(ends_clean),
        yes(starts_clean && ends_clean),
        yes(ARTICLES.contains(&span[0].lower.as_str())),
        span.iter().skip(1).filter(|token| token.idle).count() as f32 / 3.0,
        yes(inner_sign),
        yes(span.iter().any(|token| token.lower == "and" || token.lower == "or")),
        yes(is_focus(right.first())),
        yes(is_focus(left.last())),
        yes(is_focus(span.last())),
        yes(splits_name),
        yes(run.start == 0),
        yes(right.is_empty()),
        yes(span[0].opens && span[span.len() - 1].closes),
        yes(left.last().is_some_and(|before| before.asked)),
        yes(right.first().is_some_and(|after| after.asked)),
        yes(span.iter().any(|token| token.lower.ends_with("ly") || token.lower.ends_with("ed"))),
    ]
}

#[cfg(test)]
mod tests {
    use api::Passage;
    use proptest::prelude::*;

    use super::*;

    fn findings(text: &str) -> Findings {
        let passage = Passage {
            file: String::from("a.md"),
            section: String::new(),
            span: (0, text.len()),
            text: text.to_owned(),
            score: 1.0,
            bm25: 1.0,
            cosine: 1.0,
            highlights: Vec::new(),
            attributes: Default::default(),
        };
        Findings { passages: vec![passage], coverage: 1.0 }
    }

    fn read(question: &str, text: &str) -> Option<Short> {
        let quote = Quote { passage: 0, span: 0..text.len(), cosine: 0.5, score: 1.0 };
        shortest(question, &findings(text), &[quote])
    }

    #[test]
    fn lists_are_in_order() {
        assert!(MONTHS.is_sorted() && IDLE.is_sorted());
    }

    #[test]
    fn questions_ask_for_kinds_of_things() {
        let check = |question: &str, expected: Asked, focus: Option<&str>| {
            let question = Question::of(&mut analyzer(Language::English), question);
            assert_eq!((question.asked, question.focus.as_deref()), (expected, focus));
        };
        check("Who built it?", Asked::Who, None);
        check("In what year was it built?", Asked::When, Some("year"));
        check("When was it built, and by whom?", Asked::When, None);
        check("Which city has it?", Asked::Where, Some("citi"));
        check("How many towers are there?", Asked::HowMany, None);
        check("What is it?", Asked::What, None);
        check("Why was it built?", Asked::How, None);
        check("", Asked::What, None);
    }

    #[test]
    fn short_answers_fit_their_questions() {
        let text =
            "The old tower was built by Anna Berg in 1871, and it cost the council of Vell 300 crowns.";
        let check = |question: &str, expected: &str| {
            let short = read(question, text).unwrap();
            assert_eq!(short.text, expected, "{question}");
            assert_eq!(&text[short.span.0..short.span.1], expected);
        };
        check("Who built the old tower?", "Anna Berg");
        check("When was the old tower built?", "1871");
        check("How many crowns did it cost the council?", "300");
        assert_eq!(read("Who?", "of the"), None);
        assert_eq!(read("Who?", ""), None);
    }

    proptest! {
        #[test]
        fn a_short_answer_is_a_stretch_of_its_passage(text in "([A-Za-zé,()\"$%0-9]{0,6}[ \n.]){0,30}", question in "(who|what|how many)? ?[a-z ]{0,20}") {
            if let Some(short) = read(&question, &text) {
                let words = text.get(short.span.0..short.span.1).unwrap();
                prop_assert_eq!(words.split_whitespace().collect::<Vec<_>>().join(" "), short.text);
                prop_assert!((0.0..=1.0).contains(&short.probability));
            }
        }
    }
}
