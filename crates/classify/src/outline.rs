//! What is instruction and what is material in a text: "Translate: How do I get to the station?" asks no question.
//!
//! Owns the cut into lines, sentences and the two zones by form alone (fences, quotation marks, colons, long
//! paragraphs). Refuses to weigh words: the features do.

use std::borrow::Cow;

use crate::lines::{Line, is_fence, lines};
use crate::view::{head, tail};
use crate::words::{Word, words};

/// Where a word stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zone {
    /// What is asked for.
    Instruction,
    /// What it is asked about.
    Material,
}

/// A text's words, lines and zones.
pub(crate) struct Outline<'a> {
    /// The text, its middle left out where it is very long.
    pub(crate) text: &'a str,
    pub(crate) words: Vec<Word>,
    pub(crate) zones: Vec<Zone>,
    pub(crate) lines: Vec<Line>,
    /// Words in quotation marks.
    pub(crate) quoted: usize,
    /// Quoted passages of three words and more.
    pub(crate) quotations: usize,
    pub(crate) fences: usize,
}

/// Only so much of a text's start and end is read for its features: what is asked stands there.
const HEAD_BYTES: usize = 10_000;
const TAIL_BYTES: usize = 4_000;

/// What is read of a text for its features: all of it, or its start and its end.
pub(crate) fn read_part(text: &str) -> Cow<'_, str> {
    if text.len() <= HEAD_BYTES + TAIL_BYTES {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}\n{}", head(text, HEAD_BYTES), tail(text, TAIL_BYTES)))
}

impl<'a> Outline<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let words = words(text);
        let lines = lines(text, &words);
        let zones = vec![Zone::Instruction; words.len()];
        let fences = lines.iter().filter(|line| is_fence(&text[line.start..line.end])).count() / 2;
        let mut outline = Self { text, words, zones, lines, quoted: 0, quotations: 0, fences };
        outline.mark_quotations();
        outline.mark_labels();
        outline.mark_paragraphs();
        outline.mark_fences();
        // A text of material alone is asked about nothing: then all of it speaks.
        if outline.zones.iter().all(|zone| *zone == Zone::Material) {
            outline.zones.fill(Zone::Instruction);
        }
        outline
    }

    pub(crate) fn line_text(&self, line: &Line) -> &'a str {
        &self.text[line.start..line.end]
    }

    pub(crate) fn instruction_words(&self) -> usize {
        self.zones.iter().filter(|zone| **zone == Zone::Instruction).count()
    }

    fn mark(&mut self, start: usize, end: usize) {
        let first = self.words.partition_point(|word| word.start < start);
        let past = self.words.partition_point(|word| word.start < end);
        self.zones[first..past].fill(Zone::Material);
    }

    fn words_between(&self, start: usize, end: usize) -> usize {
        self.words.partition_point(|word| word.start < end)
            - self.words.partition_point(|word| word.start < start)
    }

    fn mark_fences(&mut self) {
        for place in 0..self.lines.len() {
            let line = self.lines[place];
            if line.fenced {
                self.mark(line.start, line.end);
            }
        }
    }

    fn mark_quotations(&mut self) {
        const WORDS_MIN: usize = 3;
        for (start, end) in quotations(self.text) {
            let words = self.words_between(start, end);
            self.quoted += words;
            if words >= WORDS_MIN {
                self.quotations += 1;
                self.mark(start, end);
            }
        }
    }

    /// What follows a colon is material, to the end of its line or, where nothing follows on the line, of the text.
    fn mark_labels(&mut self) {
        const REST_WORDS_MIN: usize = 2;
        for place in 0..self.lines.len() {
            let line = self.lines[place];
            let Some(colon) = line.colon else { continue };
            let label = self.text[line.start..colon].trim_end_matches([':', '：', ' ']);
            if speaks(label) {
                continue;
            }
            if self.words_between(colon, line.end) >= REST_WORDS_MIN {
                self.mark(colon, asked_later(self.text, colon, line.end));
            } else if self.words_between(colon, line.end) == 0 {
                for after in &self.lines[place + 1..].to_vec() {
                    if after.colon.is_some() || self.asks(after) {
                        break;
                    }
                    self.mark(after.start, after.end);
                }
            }
        }
    }

    /// A short line that ends with a question mark.
    fn asks(&self, line: &Line) -> bool {
        const WORDS_MAX: usize = 30;
        let text = self.line_text(line).trim_end();
        line.past - line.first <= WORDS_MAX && (text.ends_with('?') || text.ends_with('？'))
    }

    /// A long paragraph beside others is what they are about; a long one alone asks at its start or its end.
    fn mark_paragraphs(&mut self) {
        const LONG_WORDS: usize = 45;
        const START_WORDS: usize = 40;
        const END_WORDS: usize = 30;
        let spoken = self.lines.iter().filter(|line| line.past > line.first).count();
        for place in 0..self.lines.len() {
            let line = self.lines[place];
            if line.past - line.first <= LONG_WORDS {
                continue;
            }
            if spoken == 1 {
                if line.past - line.first > START_WORDS + END_WORDS {
                    self.zones[line.first + START_WORDS..line.past - END_WORDS].fill(Zone::Material);
                }
                continue;
            }
            for (start, end) in sentences(self.line_text(&line)) {
                let sentence = &self.line_text(&line)[start..end];
                if !sentence.trim_end().ends_with(['?', '？']) && !addresses(sentence) {
                    self.mark(line.start + start, line.start + end);
                }
            }
        }
    }
}

/// Labels whose content is asked, not material.
fn speaks(label: &str) -> bool {
    const SPOKEN: [&str; 16] = [
        "question",
        "q",
        "task",
        "instruction",
        "instructions",
        "problem",
        "user",
        "human",
        "prompt",
        "request",
        "todo",
        "goal",
        "frage",
        "pregunta",
        "问题",
        "質問",
    ];
    let last = label.rsplit(char::is_whitespace).next().unwrap_or(label);
    SPOKEN.iter().any(|spoken| last.eq_ignore_ascii_case(spoken))
}

/// Where a question is announced within the material's line, or the line's end.
fn asked_later(text: &str, start: usize, end: usize) -> usize {
    let lower = text[start..end].to_ascii_lowercase();
    let asked = ["question:", " q:"].iter().filter_map(|mark| lower.rfind(mark)).max();
    asked.map_or(end, |place| start + place)
}

/// A sentence that speaks to somebody, by its first words.
fn addresses(sentence: &str) -> bool {
    const WORDS: usize = 8;
    sentence.split_whitespace().take(WORDS).any(|word| {
        let word = word.trim_matches(|letter: char| !letter.is_alphanumeric());
        ["you", "your", "please", "task", "write", "answer", "given", "explain", "bitte", "请"]
            .iter()
            .any(|cue| word.eq_ignore_ascii_case(cue))
    })
}

/// The byte ranges of what stands in double, angle or corner quotation marks of one line.
fn quotations(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, char)> = None;
    for (place, letter) in text.char_indices() {
        match (open, letter) {
            (Some((start, close)), _) if letter == close => {
                found.push((start, place));
                open = None;
            }
            // A quotation may run over lines, a stray mark may not swallow the rest.
            (Some(_), '\n') if text[place..].starts_with("\n\n") => open = None,
            (None, '"') => open = Some((place + 1, '"')),
            (None, '“' | '„') => open = Some((place + 3, if letter == '“' { '”' } else { '“' })),
            (None, '«') => open = Some((place + 2, '»')),
            (None, '「') => open = Some((place + 3, '」')),
            _ => {}
        }
    }
    found
}

/// The byte ranges of a paragraph's sentences.
pub(crate) fn sentences(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut start = 0;
    for (place, letter) in text.char_indices() {
        let after = place + letter.len_utf8();
        let ends = match letter {
            '.' | '!' | '?' => text[after..].starts_with([' ', '\n', '"']) || after == text.len(),
            '。' | '！' | '？' => true,
            _ => false,
        };
        if ends {
            found.push((start, after));
            start = after;
        }
    }
    if start < text.len() {
        found.push((start, text.len()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of the instruction zone.
    fn check(text: &str, expected: &str) {
        let outline = Outline::of(text);
        let got: Vec<&str> = outline
            .words
            .iter()
            .zip(&outline.zones)
            .filter(|(_, zone)| **zone == Zone::Instruction)
            .map(|(word, _)| &text[word.start..word.end])
            .collect();
        assert_eq!(got.join(" "), expected, "{text}");
    }

    #[test]
    fn material_is_told_by_its_form() {
        check("Translate to French: How do I get there?", "Translate to French");
        check("Question: Who wrote Faust?", "Question Who wrote Faust");
        check("Is \"I will be there at nine\" a promise?", "Is a promise");
        check("Fix this:\n```\nlet x = 1;\n```\nWhy does it fail?", "Fix this Why does it fail");
        check("The train leaves at 8:15. When?", "The train leaves at 8 15 When");
        check("Text: one two three\nSentiment:", "Text Sentiment");
        check("text: one two three. question: who came?", "text question who came");
        check("「一二三四」是什么", "是 什 么");
        check("\"all of it is quoted\"", "all of it is quoted");
        let long = "word ".repeat(60);
        check(
            &format!("Summarise this.\n{long}\nWhat is the main point?"),
            "Summarise this What is the main point",
        );
    }

    #[test]
    fn sentences_end_where_a_space_follows() {
        let text = "At 3.5 km. Then? 好。";
        let got: Vec<&str> =
            sentences(text).into_iter().map(|(start, end)| text[start..end].trim()).collect();
        assert_eq!(got, ["At 3.5 km.", "Then?", "好。"]);
    }
}
