//! Documents into blocks: what the chunker may cut between, and what it must keep whole.
//!
//! Owns the reading of Markdown, HTML, plain text and JSON Lines. Refuses to open files (`corpus` does) and to judge
//! sizes (`chunk` does). Nothing here fails on odd input: what cannot be told apart is a paragraph.

pub(crate) mod html;
pub(crate) mod jsonl;
pub(crate) mod markdown;
pub(crate) mod text;

use std::ops::Range;
use std::sync::Arc;

/// How a block is cut when it is over the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Between sentences.
    Prose,
    /// Between lines: code, tables, lists.
    Lines,
}

/// A piece of structure: a paragraph, a list, a table, a block of code.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Block {
    pub(crate) form: Form,
    /// Bytes of the document's text.
    pub(crate) span: Range<usize>,
    /// What it says without markup: what is embedded.
    pub(crate) plain: String,
    /// The headings above it, outermost first, joined by " > ".
    pub(crate) section: Arc<str>,
}

/// A document as the chunker sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Extracted {
    /// The document's own title, empty where it has none.
    pub(crate) title: String,
    /// The text that all spans point into.
    pub(crate) text: String,
    pub(crate) blocks: Vec<Block>,
}

/// The headings above the place that is being read.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    open: Vec<(usize, String)>,
}

impl Outline {
    /// A heading of `level` closes those of its own level and below.
    pub(crate) fn enter(&mut self, level: usize, heading: &str) {
        self.open.retain(|(open, _)| *open < level);
        let heading = heading.split_whitespace().collect::<Vec<_>>().join(" ");
        if !heading.is_empty() {
            self.open.push((level, heading));
        }
    }

    pub(crate) fn path(&self) -> Arc<str> {
        let headings: Vec<&str> = self.open.iter().map(|(_, heading)| heading.as_str()).collect();
        headings.join(" > ").into()
    }
}
