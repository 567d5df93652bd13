//! The marks of an answer that name its passages: `[1]`, `[1][2]`, `[1, 2]`, `[1-3]`, `【1】`.
//!
//! Owns where marks stand and which sentence each belongs to. Refuses to judge whether what they name exists.

use std::ops::Range;

use crate::sentences::units;

/// A longer number in brackets is a year or a quantity.
const DIGITS_MAX: usize = 3;

/// The most passages that one range may name: `[1-999]` names none in particular.
const RANGE_MAX: usize = 64;

/// A sentence of an answer and the numbers that it cites.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cited {
    /// Bytes of the answer, without the marks around it.
    pub(crate) span: Range<usize>,
    /// The sentence with spaces where marks stood.
    pub(crate) words: String,
    /// In order, without repeats.
    pub(crate) numbers: Vec<usize>,
}

struct Mark {
    span: Range<usize>,
    numbers: Vec<usize>,
}

/// The sentences and lines of an answer, each with the marks that stand in it or behind it. A mark that begins a line belongs
/// to what follows.
pub(crate) fn cited(answer: &str) -> Vec<Cited> {
    let marks = marks(answer);
    let mut blank = String::with_capacity(answer.len());
    let mut place = 0;
    for mark in &marks {
        blank.push_str(&answer[place..mark.span.start]);
        blank.extend(std::iter::repeat_n(' ', mark.span.len()));
        place = mark.span.end;
    }
    blank.push_str(&answer[place..]);
    let mut sentences: Vec<Cited> = units(&blank)
        .into_iter()
        .filter(|span| blank[span.clone()].contains(char::is_alphanumeric))
        .map(|span| Cited { words: blank[span.clone()].to_owned(), span, numbers: Vec::new() })
        .collect();
    for mark in marks {
        let before = sentences.iter().rposition(|sentence| sentence.span.start < mark.span.start);
        let begins_line = before.is_none_or(|before| {
            let between = sentences[before].span.end..mark.span.start;
            answer.get(between).is_some_and(|between| between.contains('\n'))
        });
        let after = sentences.iter().position(|sentence| sentence.span.start > mark.span.start);
        let owner = if begins_line { after.or(before) } else { before };
        let Some(sentence) = owner.and_then(|owner| sentences.get_mut(owner)) else { continue };
        for number in mark.numbers {
            if !sentence.numbers.contains(&number) {
                sentence.numbers.push(number);
            }
        }
    }
    sentences
}

fn marks(answer: &str) -> Vec<Mark> {
    let mut found = Vec::new();
    let mut in_code = false;
    let mut place = 0;
    while let Some(first) = answer[place..].chars().next() {
        let after = place + first.len_utf8();
        match first {
            '`' => in_code = !in_code,
            '\n' => in_code = false,
            '[' | '【' | '［' if !in_code => {
                if let Some(mark) = mark(answer, place, after) {
                    place = mark.span.end;
                    found.push(mark);
                    continue;
                }
            }
            _ => {}
        }
        place = after;
    }
    found
}

/// The mark whose bracket is at `start` and whose inside begins at `inside`.
fn mark(answer: &str, start: usize, inside: usize) -> Option<Mark> {
    const INSIDE_BYTES_MAX: usize = 80;
    let rest = &answer[inside..];
    let end = rest.find([']', '】', '］']).filter(|end| *end <= INSIDE_BYTES_MAX)?;
    let closing = rest[end..].chars().next().map_or(0, char::len_utf8);
    // `[1](https://...)` is a link: its address is not the answer's words.
    let span = start..inside + end + closing;
    // Some models write `【4†source】` or `[^1]`.
    let listed = rest[..end].split('†').next()?.trim_start_matches('^');
    let mut numbers = Vec::new();
    for part in listed.split([',', ';', '，', '、']) {
        numbers.extend(range(part)?);
    }
    (!numbers.is_empty()).then_some(Mark { span, numbers })
}

fn range(part: &str) -> Option<Range<usize>> {
    let number = |text: &str| -> Option<usize> {
        let text = text.trim();
        let digits = text.len() <= DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    match part.split_once(['-', '–', '—']) {
        None => number(part).map(|one| one..one + 1),
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last && last - first < RANGE_MAX).then_some(first..last + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(answer: &str, expected: &[(&str, &[usize])]) {
        let found = cited(answer);
        let found: Vec<(&str, &[usize])> =
            found.iter().map(|one| (&answer[one.span.clone()], one.numbers.as_slice())).collect();
        assert_eq!(found, expected, "{answer:?}");
    }

    #[test]
    fn marks_belong_to_the_sentence_before_them() {
        check("", &[]);
        check("One. [1] Two [2][3]. Three.", &[("One.", &[1]), ("Two [2][3].", &[2, 3]), ("Three.", &[])]);
        check("One[1, 3]. Two 【2†source】", &[("One[1, 3].", &[1, 3]), ("Two", &[2])]);
        check("It rose [2-4; 3].", &[("It rose [2-4; 3].", &[2, 3, 4])]);
        check("- one [1]\n- two ［2］", &[("- one", &[1]), ("- two", &[2])]);
        check("[1] One.\n[2] Two.", &[("One.", &[1]), ("Two.", &[2])]);
        check("[1]", &[]);
    }

    #[test]
    fn other_brackets_are_words() {
        check(
            "In [1974] it [sic] was `a[1]`, [1-a] and [].",
            &[("In [1974] it [sic] was `a[1]`, [1-a] and [].", &[])],
        );
        check("See [3-1] and [1-999] [", &[("See [3-1] and [1-999] [", &[])]);
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(answer in "[ab1-3\\[\\]【】†,. `\n-]{0,40}") {
            for one in cited(&answer) {
                prop_assert!(answer.get(one.span.clone()).is_some());
                prop_assert_eq!(one.words.len(), one.span.len());
            }
        }
    }
}
