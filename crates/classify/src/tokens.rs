//! How many tokens a request holds and how many its answer will.
//!
//! Owns two estimates: the prompt's from its characters, the answer's from what is asked. Refuses the tokenizers of
//! particular models: targets differ by a tenth, budgets have that much air.

use api::{Contract, Kind};

use crate::view::View;

/// Tokens that a message's frame takes in the usual chat formats.
const FRAME_TOKENS: u64 = 4;
/// What an image counts, at the providers' usual middle size.
const IMAGE_TOKENS: u64 = 765;
/// The longest answer that is expected without a limit of the request's own.
const ANSWER_TOKENS_MAX: f32 = 4000.0;

/// Tokens of the prompt, frames included.
pub fn tokens_in(view: &View) -> u64 {
    let texts: u64 = view.texts().map(estimate_tokens).sum();
    let image = if view.modality.images { IMAGE_TOKENS } else { 0 };
    texts + FRAME_TOKENS * view.messages as u64 + image
}

/// Tokens of a text for a byte-pair vocabulary of about 100,000 entries, from what its characters are. Within a tenth of
/// the encoder's own count on English prose (see `examples/measure.rs`), and one pass at memory speed.
pub fn estimate_tokens(text: &str) -> u64 {
    let mut twentieths = 0_u64;
    let (mut letters, mut digits) = (0_u64, 0_u64);
    for letter in text.chars() {
        if letter.is_ascii_alphabetic() {
            letters += 1;
            continue;
        }
        twentieths += word_cost(letters);
        letters = 0;
        if letter.is_ascii_digit() {
            digits += 1;
            continue;
        }
        // Three digits are one token.
        twentieths += digits.div_ceil(3) * 20;
        digits = 0;
        twentieths += match letter {
            ' ' => 0,
            '\n' | '\t' | '\r' => 8,
            '\0'..='\u{7f}' => 17,
            '\u{80}'..='\u{24f}' => 14,
            '\u{370}'..='\u{5ff}' => 8,
            '\u{600}'..='\u{6ff}' => 9,
            '\u{900}'..='\u{dff}' => 12,
            '\u{3040}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' => 18,
            _ => 24,
        };
    }
    twentieths += word_cost(letters) + digits.div_ceil(3) * 20;
    twentieths.div_ceil(20)
}

/// Twentieths of a token for a run of ASCII letters: common words are one, long ones fall apart.
const fn word_cost(letters: u64) -> u64 {
    match letters {
        0 => 0,
        1..=5 => 20,
        6..=8 => 23,
        9..=11 => 28,
        _ => 5 * letters.div_ceil(2),
    }
}

/// Tokens expected in the answer, never above the request's own limit.
pub(crate) fn tokens_out(view: &View, kind: Kind, contract: &Contract) -> u64 {
    let asked = asked_length(&view.user).or_else(|| asked_length(&view.system));
    let expected = asked.unwrap_or_else(|| usual_length(view, kind, contract)).clamp(1.0, ANSWER_TOKENS_MAX);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1..4000")]
    let each = expected as u64;
    let most = view.tokens_max.unwrap_or(u64::MAX);
    each.min(most) * u64::from(view.answers.max(1))
}

/// The usual length of an answer of this kind.
#[expect(clippy::cast_precision_loss, reason = "lengths of prompts")]
fn usual_length(view: &View, kind: Kind, contract: &Contract) -> f32 {
    if let Contract::Labels(labels) = contract {
        return labels.iter().map(|label| estimate_tokens(label)).max().unwrap_or(1) as f32 + 1.0;
    }
    let material = estimate_tokens(&view.user) as f32;
    let length: f32 = match kind {
        Kind::Chat => 70.0,
        Kind::Reasoning => 350.0,
        Kind::Classification | Kind::Regression => 8.0,
        Kind::Extraction => (0.4 * material).clamp(20.0, 500.0),
        Kind::Inference => 20.0,
        Kind::Comprehension => 45.0,
        Kind::Summarization => (0.3 * material).clamp(40.0, 350.0),
        Kind::Translation => (1.3 * material).max(10.0),
        Kind::Creative => 400.0,
        Kind::Code => 450.0,
        Kind::Question => 160.0,
        Kind::Judging => 150.0,
        Kind::Rewriting => (1.05 * material).max(25.0),
    };
    let text = view.user.as_str();
    let has = |cues: &[&str]| cues.iter().any(|cue| contains(text, cue));
    if has(&["briefly", "in short", "concise", "one line", "keep it short", "quick", "kurz", "short answer"])
    {
        return 0.4 * length;
    }
    if has(&[
        "in detail",
        "detailed",
        "comprehensive",
        "thorough",
        "essay",
        "tutorial",
        "full guide",
        "ausführlich",
    ]) {
        return (2.5 * length).max(600.0);
    }
    length
}

/// The length that the text asks for in so many words.
fn asked_length(text: &str) -> Option<f32> {
    for (cue, tokens) in [
        ("one word", 3.0),
        ("single word", 3.0),
        ("yes or no", 2.0),
        ("letter only", 2.0),
        ("one sentence", 28.0),
        ("single sentence", 28.0),
        ("one paragraph", 110.0),
        ("one-sentence", 28.0),
    ] {
        if contains(text, cue) {
            return Some(tokens);
        }
    }
    let mut before: Option<f32> = None;
    for word in text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
        if let Some(count) = before.filter(|count| (1.0..=3000.0).contains(count))
            && let Some(tokens) = unit_tokens(word)
        {
            return Some(count * tokens);
        }
        before = number(word);
    }
    None
}

/// Tokens in one of a unit of length.
fn unit_tokens(word: &str) -> Option<f32> {
    const UNITS: [(&str, f32); 13] = [
        ("word", 1.35),
        ("sentence", 26.0),
        ("paragraph", 110.0),
        ("bullet", 22.0),
        ("line", 13.0),
        ("character", 0.25),
        ("page", 650.0),
        ("point", 24.0),
        ("stanza", 40.0),
        ("verse", 40.0),
        ("satz", 26.0),
        ("phrase", 26.0),
        ("frase", 26.0),
    ];
    let singular = word.strip_suffix(['s', 'S']).unwrap_or(word);
    let exact = |unit: &str| unit.eq_ignore_ascii_case(singular) || unit.eq_ignore_ascii_case(word);
    UNITS.iter().find(|(unit, _)| exact(unit)).map(|(_, tokens)| *tokens)
}

fn number(word: &str) -> Option<f32> {
    const NAMES: [&str; 12] =
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    if let Some(place) = NAMES.iter().position(|name| name.eq_ignore_ascii_case(word)) {
        return [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0].get(place).copied();
    }
    word.parse::<u16>().ok().map(f32::from)
}

/// Whether a text holds an ASCII phrase, whatever its case, read no further than where instructions stand.
fn contains(text: &str, phrase: &str) -> bool {
    const READ_BYTES: usize = 1500;
    let found = |part: &str| {
        part.as_bytes().windows(phrase.len()).any(|window| window.eq_ignore_ascii_case(phrase.as_bytes()))
    };
    found(crate::view::head(text, READ_BYTES))
        || (text.len() > READ_BYTES && found(crate::view::tail(text, READ_BYTES)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, kind: Kind, low: u64, high: u64) {
        let got = tokens_out(&View::of(None, text), kind, &Contract::Free);
        assert!((low..=high).contains(&got), "{text}: {got} is not in {low}..={high}");
    }

    #[test]
    fn the_answer_is_as_long_as_asked() {
        check("Answer in one word: is it raining?", Kind::Question, 1, 5);
        check("Write an essay of 500 words on bees", Kind::Creative, 600, 750);
        check("Summarise it in three sentences.", Kind::Summarization, 60, 100);
        check("Explain briefly how tides work", Kind::Question, 40, 80);
        check("Why is the sky blue?", Kind::Question, 100, 250);
        check("Schreibe 2 Sätze", Kind::Creative, 1, 500);
    }

    #[test]
    fn the_request_limits_its_answer() {
        let view = View { tokens_max: Some(16), answers: 2, ..View::of(None, "Write a long story") };
        assert_eq!(tokens_out(&view, Kind::Creative, &Contract::Free), 32);
        let labels = Contract::Labels(vec!["positive".into(), "negative".into()]);
        assert!(tokens_out(&View::of(None, "x"), Kind::Classification, &labels) <= 4);
    }

    #[test]
    fn tokens_are_counted_by_script() {
        for (text, low, high) in [
            ("", 0, 0),
            ("The quick brown fox jumps over the lazy dog.", 9, 11),
            ("今天天气很好", 5, 7),
            ("12345678", 3, 3),
        ] {
            let got = estimate_tokens(text);
            assert!((low..=high).contains(&got), "{text}: {got}");
        }
    }
}
