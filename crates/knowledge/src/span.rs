//! The few words of a sentence that answer a question.
//!
//! Owns the candidates (runs of words that do not begin or end idly), what is measured about each, and their ranking.
//! Refuses to find sentences (`reader` does) and to write: a span is always a stretch of its passage.

mod weighing;

use std::collections::HashSet;
use std::ops::Range;

use api::Findings;

use tantivy::tokenizer::TextAnalyzer;

use self::weighing::{MEASURES, measure, weight};
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

#[cfg(test)]
mod tests;
