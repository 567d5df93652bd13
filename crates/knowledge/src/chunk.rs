//! Blocks into passages of a size that the encoder reads whole.
//!
//! Owns the laws: a passage is one stretch of its document's text, never crosses a heading, keeps a block whole where
//! the block fits, and begins with the end of the passage before it where that is short.

use std::ops::Range;
use std::sync::Arc;

use api::Embed;

use crate::extract::{Block, Extracted, Form};
use crate::sentences::{sentences, trimmed};

/// The most tokens of a passage. all-MiniLM-L6-v2 was trained on up to 128 tokens and reads 256; 200 leaves room for
/// the headings that are embedded with it.
const PASSAGE_TOKENS_MAX: usize = 200;

/// The most tokens that a passage repeats of the one before it.
const OVERLAP_TOKENS_MAX: usize = 40;

/// A passage before it is indexed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chunk {
    /// Bytes of the document's text.
    pub(crate) span: Range<usize>,
    /// The headings above it, outermost first, joined by " > ".
    pub(crate) section: Arc<str>,
    /// What it says without markup: what is embedded, together with the section.
    pub(crate) plain: String,
}

impl Chunk {
    /// What the encoder reads: the words, below the document's title and the headings that they stand under.
    pub(crate) fn embedded_text(&self, title: &str) -> String {
        let (section, plain) = (&*self.section, &self.plain);
        match (title.is_empty() || section.starts_with(title), section.is_empty()) {
            (true, true) => plain.clone(),
            (true, false) => format!("{section}\n{plain}"),
            (false, true) => format!("{title}\n{plain}"),
            (false, false) => format!("{title} > {section}\n{plain}"),
        }
    }
}

/// Cuts a document into passages.
pub(crate) fn chunks(document: &Extracted, embed: &dyn Embed) -> Vec<Chunk> {
    let mut cutter = Cutter { text: &document.text, embed, done: Vec::new(), open: None };
    for block in &document.blocks {
        cutter.take(block);
    }
    cutter.close();
    cutter.done
}

/// A piece that is not cut further.
struct Piece {
    form: Form,
    span: Range<usize>,
    plain: String,
    tokens: usize,
}

struct Open {
    chunk: Chunk,
    tokens: usize,
    last: (Form, Range<usize>),
}

struct Cutter<'a> {
    text: &'a str,
    embed: &'a dyn Embed,
    done: Vec<Chunk>,
    open: Option<Open>,
}

impl Cutter<'_> {
    fn take(&mut self, block: &Block) {
        let budget = self.budget(&block.section);
        if self.open.as_ref().is_some_and(|open| open.chunk.section != block.section) {
            self.close();
        }
        let tokens = self.embed.count_tokens(&block.plain);
        if tokens <= budget {
            let piece =
                Piece { form: block.form, span: block.span.clone(), plain: block.plain.clone(), tokens };
            return self.add(piece, &block.section, budget);
        }
        for span in self.parts(block.form, block.span.clone(), budget) {
            let plain = self.text[span.clone()].to_owned();
            let tokens = self.embed.count_tokens(&plain);
            self.add(Piece { form: block.form, span, plain, tokens }, &block.section, budget);
        }
    }

    /// Tokens left for a passage beside its headings, which take no more than a quarter of the window.
    fn budget(&self, section: &str) -> usize {
        let window = self.embed.window_tokens().saturating_sub(2);
        let headings = self.embed.count_tokens(section).min(window / 4);
        PASSAGE_TOKENS_MAX.min(window.saturating_sub(headings)).max(1)
    }

    fn add(&mut self, piece: Piece, section: &Arc<str>, budget: usize) {
        if let Some(open) = &mut self.open
            && open.tokens + piece.tokens <= budget
        {
            open.chunk.span.end = piece.span.end;
            open.chunk.plain.push('\n');
            open.chunk.plain.push_str(&piece.plain);
            open.tokens += piece.tokens;
            open.last = (piece.form, piece.span);
            return;
        }
        let before =
            self.open.as_ref().and_then(|open| self.overlap(open, budget.saturating_sub(piece.tokens)));
        self.close();
        let mut chunk = Chunk { span: piece.span.clone(), section: section.clone(), plain: piece.plain };
        let mut tokens = piece.tokens;
        if let Some((span, more)) = before {
            chunk.plain = format!("{}\n{}", &self.text[span.clone()], chunk.plain);
            chunk.span.start = span.start;
            tokens += more;
        }
        self.open = Some(Open { chunk, tokens, last: (piece.form, piece.span) });
    }

    /// The end of the open passage that the next one begins with, and its tokens: the last sentence or line.
    fn overlap(&self, open: &Open, room: usize) -> Option<(Range<usize>, usize)> {
        let (form, span) = open.last.clone();
        let last = match form {
            Form::Prose => sentences(&self.text[span.clone()]).pop()?,
            Form::Lines => lines(&self.text[span.clone()]).pop()?,
        };
        let last = span.start + last.start..span.start + last.end;
        // Repeating all of a passage would say nothing new.
        if last.start <= open.chunk.span.start {
            return None;
        }
        let tokens = self.embed.count_tokens(&self.text[last.clone()]);
        (tokens <= OVERLAP_TOKENS_MAX.min(room)).then_some((last, tokens))
    }

    fn close(&mut self) {
        self.done.extend(self.open.take().map(|open| open.chunk));
    }

    /// Parts of a block that is over the budget, each within it.
    fn parts(&self, form: Form, span: Range<usize>, budget: usize) -> Vec<Range<usize>> {
        let inside = match form {
            Form::Prose => sentences(&self.text[span.clone()]),
            Form::Lines => lines(&self.text[span.clone()]),
        };
        let mut parts = Vec::new();
        for part in inside {
            self.halve(span.start + part.start..span.start + part.end, budget, &mut parts);
        }
        parts
    }

    /// Halves a part that is still over the budget, at a space where there is one.
    fn halve(&self, part: Range<usize>, budget: usize, parts: &mut Vec<Range<usize>>) {
        let part = trimmed(self.text, part);
        let words = &self.text[part.clone()];
        if words.is_empty() {
            return;
        }
        if words.chars().nth(1).is_none() || self.embed.count_tokens(words) <= budget {
            parts.push(part);
            return;
        }
        let middle = part.start + middle(words);
        self.halve(part.start..middle, budget, parts);
        self.halve(middle..part.end, budget, parts);
    }
}

/// A place inside `words`, which has two characters or more: the space nearest before its middle, the space
/// after it, or the middle itself.
fn middle(words: &str) -> usize {
    let half = words.len() / 2;
    let half = (1..=half).rev().find(|&place| words.is_char_boundary(place));
    let Some(half) = half else {
        return words.chars().next().map_or(0, char::len_utf8);
    };
    let space = words[..half].rfind(char::is_whitespace).filter(|&place| place > 0);
    space.or_else(|| words[half..].find(char::is_whitespace).map(|place| half + place)).unwrap_or(half)
}

fn lines(text: &str) -> Vec<Range<usize>> {
    let mut place = 0;
    let spans = text.split_inclusive('\n').map(|line| {
        let start = place;
        place += line.len();
        start..start + line.trim_end().len()
    });
    spans.filter(|span| !text[span.clone()].trim().is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::extract::{markdown, text};
    use crate::testing::HashEmbed;

    fn check(document: &Extracted, expected: &[&str]) {
        let found = chunks(document, &HashEmbed::default());
        let found: Vec<String> = found
            .iter()
            .map(|chunk| {
                format!("{}: {}", chunk.section, document.text[chunk.span.clone()].replace('\n', "/"))
            })
            .collect();
        assert_eq!(found, expected);
    }

    fn words(count: usize, word: &str) -> String {
        vec![word; count].join(" ")
    }

    #[test]
    fn small_blocks_share_a_passage_and_headings_part_them() {
        check(&markdown::extract(String::new()), &[]);
        check(
            &markdown::extract(String::from("# A\n\none\n\n- x\n- y\n\n## B\n\n## C\n\ntwo\n")),
            &["A: one//- x/- y", "A > C: two"],
        );
    }

    #[test]
    fn a_long_document_overlaps_by_a_sentence() {
        let (a, b, c) = (words(120, "An"), words(30, "Be"), words(100, "Ce"));
        let document = text::extract(String::from("T"), format!("{a}. {b}.\n\n{c}."));
        check(&document, &[&format!("T: {a}. {b}."), &format!("T: {b}.//{c}.")]);
    }

    #[test]
    fn long_blocks_are_cut_where_they_may_be() {
        let (a, b) = (words(150, "An"), words(150, "Be"));
        check(&text::extract(String::new(), format!("{a}. {b}.")), &[&format!(": {a}."), &format!(": {b}.")]);
        let code = format!("```\n{a}\n{b}\n```");
        check(&markdown::extract(code), &[&format!(": ```/{a}"), &format!(": {b}/```")]);
        let (less, more) = (format!(": {}", words(149, "d")), format!(": {}", words(151, "d")));
        check(&text::extract(String::new(), words(300, "d")), &[&less, &more]);
    }

    proptest! {
        #[test]
        fn passages_hold_every_word_within_the_budget(
            source in "([a-zé語]{1,9}[ .\n#|`-]{1,3}){0,600}",
        ) {
            let embed = HashEmbed::default();
            for document in [markdown::extract(source.clone()), text::extract(String::new(), source)] {
                let found = chunks(&document, &embed);
                for chunk in &found {
                    let words = document.text.get(chunk.span.clone());
                    prop_assert!(words.is_some_and(|words| !words.trim().is_empty()));
                    prop_assert!(embed.count_tokens(&chunk.plain) <= PASSAGE_TOKENS_MAX);
                }
                for block in &document.blocks {
                    for (place, _) in document.text[block.span.clone()].char_indices().filter(|(_, c)| c.is_alphanumeric()) {
                        let at = block.span.start + place;
                        prop_assert!(found.iter().any(|chunk| chunk.span.contains(&at)));
                    }
                }
            }
        }
    }
}
