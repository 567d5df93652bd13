//! What is measured about a stretch of words that may be the answer, and how much each measure counts.

use std::collections::HashSet;
use std::ops::Range;

use super::{ARTICLES, Candidate, Question, Standing, Token};

const ASKED_KINDS: usize = 6;
const SHAPES: usize = 17;
const SHARED: usize = 28;

/// How many numbers describe a candidate.
pub(super) const MEASURES: usize = ASKED_KINDS * SHAPES + SHARED;

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

pub(super) const MONTHS: &[&str] = &[
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

const PLACE_PREPOSITIONS: &[&str] = &["at", "from", "in", "into", "near", "on", "to", "toward", "towards"];
const NAMING: &[&str] = &["as", "called", "is", "known", "named", "termed", "was", "were", "are"];

/// What speaks for a candidate.
pub(super) fn weight(candidate: &Candidate) -> f32 {
    WEIGHTS.iter().zip(candidate.measures).map(|(weight, value)| weight * value).sum()
}

/// What is measured about the candidate at `run`.
pub(super) fn measure(
    question: &Question,
    tokens: &[Token],
    run: Range<usize>,
    standing: Standing,
) -> [f32; MEASURES] {
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
