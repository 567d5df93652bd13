//! A task's prompt: fixed text with named holes, one of which may be the input.
//!
//! Owns the written form (`Message: {input}`), finding the input in a prompt, and putting another into its place. Refuses
//! regular expressions: every match takes time that grows with the text alone. [`Template::common`] infers one from
//! prompts.

mod infer;
mod matching;
mod parse;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of the hole that holds the input.
const INPUT: &str = "input";
/// Less fixed text than this, without white space, would be found in prompts that have nothing to do with the task.
const FIXED_BYTES_MIN: usize = 8;

/// Fixed text with named holes. `{input}` is the input; the holes of other names (`{date}`) are parts that vary and are
/// ignored; `{{` and `}}` are braces. As a string in serde.
///
/// White space is no matter of a prompt's meaning: runs of it in fixed text are equal to each other, and at both ends of a
/// text it does not count.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    /// Never two of a kind beside each other, no fixed piece empty.
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Piece {
    Fixed(String),
    Hole(String),
}

/// What stands in the holes of a text, without white space around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captures<'t> {
    /// Names and contents, in the template's order.
    parts: Vec<(String, &'t str)>,
}

impl<'t> Captures<'t> {
    /// The input; `None` where the template has no `{input}`.
    pub fn input(&self) -> Option<&'t str> {
        self.get(INPUT)
    }

    /// The content of the hole of this name.
    pub fn get(&self, name: &str) -> Option<&'t str> {
        self.parts.iter().find(|(own, _)| own == name).map(|(_, content)| *content)
    }

    /// Names and contents of all holes, in the template's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'t str)> {
        self.parts.iter().map(|(name, content)| (name.as_str(), *content))
    }
}

impl Template {
    /// Reads the written form.
    ///
    /// # Errors
    /// What is wrong, with line and column: a brace without its other half, a hole's name that is none (lower-case letters,
    /// digits and `_`, at most 32), a name given twice, two holes with neither text nor a line break between them, less
    /// than 8 bytes of fixed text beside a hole (`{input}` alone is allowed).
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::template(text)
    }

    /// Infers the fixed text and the holes from at least 3 prompts of one task. The hole whose content takes the most room
    /// becomes `{input}`, the others `{part1}`, `{part2}`; what is equal in all of them is fixed text. The fixed text is
    /// what all have at their start and end, word by word, and in between whole lines, beginnings of lines up to a colon
    /// and runs of 3 words that each has exactly once, in the same order (an alignment by unique anchors, as patience
    /// diff does for two). Of few prompts, words that all inputs happen to begin with are taken for fixed text.
    ///
    /// `None` where the prompts have too little in common. Takes time in proportion to their length.
    pub fn common(texts: &[&str]) -> Option<Self> {
        if texts.len() < 3 { None } else { infer::common(texts) }
    }

    /// What is in the holes of `text`; `None` where it is not made from this template. Where fixed text occurs more than
    /// once, what stands before the input is found from the left and what stands behind it from the right: an input may
    /// repeat the words of its prompt.
    pub fn matches<'t>(&self, text: &'t str) -> Option<Captures<'t>> {
        let spans = matching::spans(&self.pieces, text)?;
        let names = self.holes().map(str::to_owned);
        Some(Captures { parts: names.zip(spans.iter().map(|span| &text[span.content.clone()])).collect() })
    }

    /// The input in `text`; `None` where it is not made from this template, or the template has no `{input}`.
    pub fn input<'t>(&self, text: &'t str) -> Option<&'t str> {
        let place = self.input_place()?;
        let spans = matching::spans(&self.pieces, text)?;
        spans.get(place).map(|span| &text[span.content.clone()])
    }

    /// The text `like`, which is made from this template, with another input and everything else as it is; `None` where
    /// it is not, or the template has no `{input}`. The same template finds `input`, less white space around it, in what
    /// comes back, unless a line break alone parts it from another hole.
    pub fn fill(&self, like: &str, input: &str) -> Option<String> {
        let place = self.input_place()?;
        let span = matching::spans(&self.pieces, like)?.into_iter().nth(place)?;
        if !span.content.is_empty() {
            return Some([&like[..span.content.start], input, &like[span.content.end..]].concat());
        }
        // An empty input may have taken the white space on both its sides with it.
        let (before, after) = self.margins(place);
        Some([&like[..span.room.start], before, input, after, &like[span.room.end..]].concat())
    }

    /// Whether there is an `{input}`.
    pub fn has_input(&self) -> bool {
        self.input_place().is_some()
    }

    /// The names of the holes, in order.
    pub fn holes(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Hole(name) => Some(name.as_str()),
            Piece::Fixed(_) => None,
        })
    }

    /// Bytes of fixed text, without white space.
    pub fn fixed_bytes(&self) -> usize {
        self.fixed().flat_map(str::split_whitespace).map(str::len).sum()
    }

    /// Words of fixed text.
    pub fn fixed_words(&self) -> usize {
        self.fixed().flat_map(str::split_whitespace).count()
    }

    /// The same with `{input}` as one more part that varies: for a prompt beside which the input stands.
    #[must_use]
    pub fn without_input(&self) -> Self {
        let mut number = 1;
        while self.holes().any(|name| name == part(number)) {
            number += 1;
        }
        let rename = |piece: &Piece| match piece {
            Piece::Hole(name) if name == INPUT => Piece::Hole(part(number)),
            other => other.clone(),
        };
        Self { pieces: self.pieces.iter().map(rename).collect() }
    }

    fn fixed(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Fixed(text) => Some(text.as_str()),
            Piece::Hole(_) => None,
        })
    }

    fn input_place(&self) -> Option<usize> {
        self.holes().position(|name| name == INPUT)
    }

    /// The white space between the hole at `place` and the fixed text on both its sides.
    fn margins(&self, place: usize) -> (&str, &str) {
        let holes = self.pieces.iter().enumerate().filter(|(_, piece)| matches!(piece, Piece::Hole(_)));
        let Some(at) = holes.map(|(at, _)| at).nth(place) else { return ("", "") };
        let fixed = |at: Option<usize>| match at.and_then(|at| self.pieces.get(at)) {
            Some(Piece::Fixed(text)) => text.as_str(),
            Some(Piece::Hole(_)) | None => "",
        };
        let (before, after) = (fixed(at.checked_sub(1)), fixed(at.checked_add(1)));
        (&before[before.trim_end().len()..], &after[..after.len() - after.trim_start().len()])
    }
}

/// The name of a part that varies.
fn part(number: usize) -> String {
    format!("part{number}")
}

impl fmt::Display for Template {
    /// The written form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Fixed(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}"))?,
                Piece::Hole(name) => write!(f, "{{{name}}}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Template {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Template {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.to_string()
    }
}

#[cfg(test)]
mod tests;
