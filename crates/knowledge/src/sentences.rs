//! Where sentences begin and end.
//!
//! UAX #29 finds the candidates; a line end inside a paragraph is a space here, and a full stop after a known
//! abbreviation or an initial ends nothing.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// Full stops that end no sentence although a capital follows.
const ABBREVIATIONS: &[&str] = &[
    "al", "approx", "cf", "dr", "e.g", "eq", "etc", "fig", "figs", "gen", "i.e", "inc", "jr", "lt", "ltd",
    "mr", "mrs", "ms", "mt", "no", "nos", "prof", "ref", "refs", "sec", "sr", "st", "u.s", "viz", "vol",
    "vs",
];

/// The sentences of a paragraph of prose, as byte ranges of `text` without the space around them.
pub(crate) fn sentences(text: &str) -> Vec<Range<usize>> {
    // Line ends take one byte, as the space that stands in for them does: offsets stay true.
    let flat = text.replace(['\n', '\r'], " ");
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut goes_on = false;
    for (start, piece) in flat.split_sentence_bound_indices() {
        let trimmed = piece.trim();
        if trimmed.is_empty() {
            continue;
        }
        let start = start + (piece.len() - piece.trim_start().len());
        let end = start + trimmed.len();
        match found.last_mut() {
            Some(last) if goes_on => last.end = end,
            _ => found.push(start..end),
        }
        goes_on = ends_in_abbreviation(trimmed) || !trimmed.contains(char::is_alphanumeric);
    }
    found
}

fn ends_in_abbreviation(sentence: &str) -> bool {
    let Some(body) = sentence.strip_suffix('.') else { return false };
    let word = body.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    let initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    initial || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

/// What can be quoted from a passage: sentences of its prose, and the lines of its lists, tables and code.
pub(crate) fn units(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut prose: Option<Range<usize>> = None;
    let mut in_code = false;
    let mut place = 0;
    for line in text.split_inclusive('\n') {
        let span = trimmed(text, place..place + line.len());
        place += line.len();
        let words = &text[span.clone()];
        let fence = words.starts_with("```") || words.starts_with("~~~");
        if fence {
            in_code = !in_code;
        }
        if starts_item(words) {
            close(text, &mut prose, &mut found);
        }
        let alone = fence || in_code || words.is_empty() || is_line(words);
        if alone {
            close(text, &mut prose, &mut found);
            let says_something = words.contains(char::is_alphanumeric) && !fence;
            if says_something {
                found.push(span);
            }
            continue;
        }
        match &mut prose {
            Some(open) => open.end = span.end,
            None => prose = Some(span),
        }
    }
    close(text, &mut prose, &mut found);
    found
}

fn close(text: &str, prose: &mut Option<Range<usize>>, found: &mut Vec<Range<usize>>) {
    let Some(open) = prose.take() else { return };
    let inside = sentences(&text[open.clone()]);
    found.extend(inside.into_iter().map(|span| open.start + span.start..open.start + span.end));
}

/// Whether a line stands alone: a heading or a row of a table.
fn is_line(line: &str) -> bool {
    line.starts_with('#') || line.starts_with('|')
}

/// Whether a line begins an item of a list, which may run over several lines.
fn starts_item(line: &str) -> bool {
    let digits = line.chars().take_while(char::is_ascii_digit).count();
    let numbered = (1..=3).contains(&digits) && line[digits..].starts_with(". ");
    numbered || ["- ", "* ", "+ "].iter().any(|bullet| line.starts_with(bullet))
}

/// `span` without the white space at its ends.
pub(crate) fn trimmed(text: &str, span: Range<usize>) -> Range<usize> {
    let piece = &text[span.clone()];
    let start = span.start + (piece.len() - piece.trim_start().len());
    start..start + piece.trim().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: Vec<Range<usize>>, text: &str, expected: &[&str]) {
        let found: Vec<&str> = found.into_iter().map(|span| &text[span]).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn prose_is_cut_at_sentences() {
        let check = |text: &str, expected: &[&str]| check(sentences(text), text, expected);
        check("", &[]);
        check(" One. Two!\nThree?  ", &["One.", "Two!", "Three?"]);
        check("A line\nthat goes on. Next", &["A line\nthat goes on.", "Next"]);
        check(
            "See Fig. 3 by Dr. J. Smith et al. Here. End",
            &["See Fig. 3 by Dr. J. Smith et al. Here.", "End"],
        );
        check("It costs 3.50 e.g. Tuesday. (Yes.) No.", &["It costs 3.50 e.g. Tuesday.", "(Yes.)", "No."]);
        check("一つ。二つ。", &["一つ。", "二つ。"]);
    }

    #[test]
    fn units_are_sentences_and_lines() {
        let check = |text: &str, expected: &[&str]| check(units(text), text, expected);
        check("# Head\nOne. Two\nmore.\n\nThree", &["# Head", "One.", "Two\nmore.", "Three"]);
        check("| a | b |\n|---|---|\n| 1 | 2 |\n", &["| a | b |", "| 1 | 2 |"]);
        check("- one\n  more. And\n- two\n2. three", &["- one\n  more.", "And", "- two", "2. three"]);
        check("Run:\n```sh\nmake run. Now\nmake\n```\nDone.", &["Run:", "make run. Now", "make", "Done."]);
    }
}
