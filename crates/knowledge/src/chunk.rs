//! Blocks into passages of a size that the encoder reads whole.
//!
//! Owns the laws: a passage is one stretch of its document's text, never crosses a heading, keeps a block whole where
//! the block fits, and begins with the end of the passage before it where that is short. What is embedded of a part of a
//! table begins with the table's first row.

use std::ops::Range;
use std::sync::Arc;

use api::Embed;

use crate::extract::{Block, Cut, Extracted};
use crate::sentences::{sentences, trimmed};

/// The most tokens of a passage. all-MiniLM-L6-v2 was trained on up to 128 tokens and reads 256; 200 leaves room for
/// the headings that are embedded with it.
const PASSAGE_TOKENS_MAX: usize = 200;

/// The most tokens that a passage repeats of the one before it.
const OVERLAP_TOKENS_MAX: usize = 40;

/// What is longer is over every budget without being counted: counting a document of megabytes again and again would take
/// longer than embedding it.
const COUNTED_BYTES_MAX: usize = 16 * 1024;

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
    cut: Cut,
    span: Range<usize>,
    plain: String,
    tokens: usize,
}

/// The first row of a table, as far as parts of the table repeat it.
struct Header {
    span: Range<usize>,
    plain: String,
    tokens: usize,
}

struct Open {
    chunk: Chunk,
    tokens: usize,
    last: (Cut, Range<usize>),
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
        if !self.is_over(&block.plain, budget) {
            let tokens = self.embed.count_tokens(&block.plain);
            let piece =
                Piece { cut: block.cut, span: block.span.clone(), plain: block.plain.clone(), tokens };
            return self.add(piece, None, &block.section, budget);
        }
        let header = block.header.clone().map(|span| self.header(span, budget));
        let room = header.as_ref().map_or(budget, |header| budget.saturating_sub(header.tokens).max(1));
        for span in self.parts(block.cut, block.span.clone(), room) {
            let plain = self.text[span.clone()].to_owned();
            let tokens = self.embed.count_tokens(&plain);
            self.add(Piece { cut: block.cut, span, plain, tokens }, header.as_ref(), &block.section, budget);
        }
    }

    /// Tokens left for a passage beside its headings, which take no more than a quarter of the window.
    fn budget(&self, section: &str) -> usize {
        let window = self.embed.window_tokens().saturating_sub(2);
        let headings = self.embed.count_tokens(section).min(window / 4);
        PASSAGE_TOKENS_MAX.min(window.saturating_sub(headings)).max(1)
    }

    fn is_over(&self, words: &str, budget: usize) -> bool {
        words.len() > COUNTED_BYTES_MAX || self.embed.count_tokens(words) > budget
    }

    /// The row that every part of a table repeats, or its beginning: it takes no more than a quarter of the budget.
    fn header(&self, span: Range<usize>, budget: usize) -> Header {
        let mut parts = Vec::new();
        self.halve(span.clone(), budget / 4, &mut parts);
        let plain = parts.first().map_or("", |first| &self.text[first.clone()]).to_owned();
        // One character may be more than a quarter of a tiny budget.
        let tokens = self.embed.count_tokens(&plain);
        let fits = tokens <= budget / 4;
        if fits { Header { span, plain, tokens } } else { Header { span, plain: String::new(), tokens: 0 } }
    }

    fn add(&mut self, piece: Piece, header: Option<&Header>, section: &Arc<str>, budget: usize) {
        if let Some(open) = &mut self.open
            && open.tokens + piece.tokens <= budget
        {
            open.chunk.span.end = piece.span.end;
            open.chunk.plain.push('\n');
            open.chunk.plain.push_str(&piece.plain);
            open.tokens += piece.tokens;
            open.last = (piece.cut, piece.span);
            return;
        }
        let room = budget.saturating_sub(piece.tokens);
        let before = self.open.as_ref().filter(|_| header.is_none());
        let before = before.and_then(|open| self.overlap(open, room));
        self.close();
        let mut chunk = Chunk { span: piece.span.clone(), section: section.clone(), plain: piece.plain };
        let mut tokens = piece.tokens;
        if let Some((span, more)) = before {
            chunk.plain = format!("{}\n{}", &self.text[span.clone()], chunk.plain);
            chunk.span.start = span.start;
            tokens += more;
        }
        if let Some(header) = header.filter(|header| piece.span.start >= header.span.end && header.tokens > 0)
        {
            chunk.plain = format!("{}\n{}", header.plain, chunk.plain);
            tokens += header.tokens;
        }
        self.open = Some(Open { chunk, tokens, last: (piece.cut, piece.span) });
    }

    /// The end of the open passage that the next one begins with, and its tokens: the last sentence or line.
    fn overlap(&self, open: &Open, room: usize) -> Option<(Range<usize>, usize)> {
        let (cut, span) = open.last.clone();
        let last = match cut {
            Cut::Prose => sentences(&self.text[span.clone()]).pop()?,
            Cut::Lines => lines(&self.text[span.clone()]).pop()?,
            // The last line of some code is mostly a closing bracket.
            Cut::Indented => return None,
        };
        let last = span.start + last.start..span.start + last.end;
        // Repeating all of a passage would say nothing new.
        if last.start <= open.chunk.span.start {
            return None;
        }
        let words = &self.text[last.clone()];
        if self.is_over(words, OVERLAP_TOKENS_MAX.min(room)) {
            return None;
        }
        Some((last, self.embed.count_tokens(words)))
    }

    fn close(&mut self) {
        self.done.extend(self.open.take().map(|open| open.chunk));
    }

    /// Parts of a block that is over the budget, each within it.
    fn parts(&self, cut: Cut, span: Range<usize>, budget: usize) -> Vec<Range<usize>> {
        let words = &self.text[span.clone()];
        let inside = match cut {
            Cut::Prose => sentences(words),
            Cut::Lines | Cut::Indented => lines(words),
        };
        let inside: Vec<_> =
            inside.into_iter().map(|part| span.start + part.start..span.start + part.end).collect();
        let mut parts = Vec::new();
        match cut {
            Cut::Indented => self.split(&inside, budget, &mut parts),
            Cut::Prose | Cut::Lines => {
                for part in inside {
                    self.halve(part, budget, &mut parts);
                }
            }
        }
        parts
    }

    /// Parts lines of code in two until each part fits, at the line of the middle half that is indented least; among
    /// equals at one after a blank line, then at the one nearest to the middle.
    fn split(&self, lines: &[Range<usize>], budget: usize, parts: &mut Vec<Range<usize>>) {
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return };
        let span = first.start..last.end;
        if lines.len() == 1 {
            return self.halve(span, budget, parts);
        }
        if !self.is_over(&self.text[span.clone()], budget) {
            return parts.push(span);
        }
        let quarter = (span.end - span.start) / 4;
        let middle = span.start + 2 * quarter;
        let weight = |place: &usize| {
            let line = &self.text[lines[*place].clone()];
            let bare = line.trim_start();
            let gap = &self.text[lines[place - 1].end..lines[*place].start];
            let after_blank = gap.bytes().filter(|&byte| byte == b'\n').count() > 1;
            let distance = lines[*place].start.abs_diff(middle);
            let is_outside = distance > quarter;
            let near = if is_outside { distance } else { 0 };
            (is_outside, near, closes(bare), line.len() - bare.len(), !after_blank, distance)
        };
        let place = (1..lines.len()).min_by_key(weight).unwrap_or(1);
        self.split(&lines[..place], budget, parts);
        self.split(&lines[place..], budget, parts);
    }

    /// Halves a part that is still over the budget, at a space where there is one.
    fn halve(&self, part: Range<usize>, budget: usize, parts: &mut Vec<Range<usize>>) {
        let part = trimmed(self.text, part);
        let words = &self.text[part.clone()];
        if words.is_empty() {
            return;
        }
        if words.chars().nth(1).is_none() || !self.is_over(words, budget) {
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

/// Whether a line only ends what stands above it.
fn closes(line: &str) -> bool {
    line.starts_with(['}', ')', ']']) || ["end", "fi", "done", "esac"].contains(&line.trim_end_matches(';'))
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

    #[test]
    fn parts_of_a_table_repeat_its_first_row() {
        let rows: Vec<String> = (0..9).map(|row| format!("| {row} | {} |", words(60, "w"))).collect();
        let source = format!("Before.\n\n| number | words |\n|---|---|\n{}\n", rows.join("\n"));
        let document = markdown::extract(source);
        let found = chunks(&document, &HashEmbed::default());
        assert!(found.len() > 2);
        for (place, chunk) in found.iter().enumerate() {
            let embedded = chunk.plain.matches("| number | words |").count();
            let cited = document.text[chunk.span.clone()].matches("| number | words |").count();
            assert_eq!((embedded, cited), (1, usize::from(place == 0)), "{chunk:?}");
        }
        let wide = format!("{}\n{}", words(300, "h"), words(300, "c"));
        let wide = crate::extract::read(crate::extract::Form::Delimited, wide.into_bytes()).unwrap();
        assert!(
            chunks(&wide, &HashEmbed::default()).iter().all(|chunk| chunk.plain.split(' ').count() <= 200)
        );
    }

    #[test]
    fn code_is_cut_where_it_is_indented_least() {
        let deep = format!("    {}\n", words(20, "deep")).repeat(4);
        let source = format!("fn a() {{\n{deep}  mid\n{deep}\n  if x {{\n{deep}  }}\n}}\n");
        let document = crate::extract::code::extract(source);
        let found = chunks(&document, &HashEmbed::default());
        let starts: Vec<&str> =
            found.iter().map(|chunk| document.text[chunk.span.clone()].lines().next().unwrap()).collect();
        assert_eq!(starts, ["fn a() {", "  if x {"]);
        assert!(found.iter().all(|chunk| &*chunk.section == "fn a()"));
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
