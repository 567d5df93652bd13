//! Documents into blocks: what the chunker may cut between, and what it must keep whole.
//!
//! Owns which files are read, by their names, and the reading of each form. Refuses to open files (`corpus` does) and to
//! judge sizes of passages (`chunk` does). What cannot be told apart is a paragraph; what cannot be read at all says why.

pub(crate) mod code;
mod docx;
pub(crate) mod encoding;
pub(crate) mod html;
pub(crate) mod jsonl;
mod lines;
pub(crate) mod markdown;
mod markup;
mod pdf;
#[cfg(test)]
mod tests;
pub(crate) mod text;

use std::ops::Range;
use std::sync::Arc;

/// The kinds of files that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Markdown,
    Text,
    /// Text with marks for headings.
    Markup(markup::Dialect),
    Html,
    /// One document a line.
    JsonLines,
    Pdf,
    Docx,
    /// A table as text, its first line the names of the columns.
    Delimited,
    /// Settings and data: lines with indentation.
    Settings,
    Code,
}

/// What each kind is called by the endings of its names.
const ENDINGS: &[(Form, &[&str])] = &[
    (Form::Markdown, &["md", "markdown", "mdx"]),
    (Form::Text, &["txt", "text"]),
    (Form::Markup(markup::Dialect::ReStructured), &["rst", "rest"]),
    (Form::Markup(markup::Dialect::AsciiDoc), &["adoc", "asciidoc"]),
    (Form::Markup(markup::Dialect::Org), &["org"]),
    (Form::Markup(markup::Dialect::Tex), &["tex", "latex"]),
    (Form::Html, &["html", "htm", "xhtml"]),
    (Form::JsonLines, &["jsonl", "ndjson"]),
    (Form::Pdf, &["pdf"]),
    (Form::Docx, &["docx", "docm"]),
    (Form::Delimited, &["csv", "tsv", "tab"]),
    (
        Form::Settings,
        &[
            "json",
            "json5",
            "jsonc",
            "yaml",
            "yml",
            "toml",
            "ini",
            "cfg",
            "conf",
            "properties",
            "xml",
            "xsd",
            "log",
            "env",
            "service",
            "tf",
            "nix",
        ],
    ),
    (
        Form::Code,
        &[
            "rs", "py", "pyi", "js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx", "go", "java", "kt",
            "kts", "scala", "groovy", "gradle", "c", "h", "cc", "cpp", "cxx", "hh", "hpp", "hxx", "m", "mm",
            "cs", "fs", "vb", "rb", "php", "swift", "dart", "lua", "pl", "pm", "r", "jl", "sh", "bash",
            "zsh", "fish", "ps1", "sql", "proto", "graphql", "ex", "exs", "erl", "hs", "ml", "mli", "clj",
            "el", "lisp", "zig", "nim", "vue", "svelte", "css", "scss", "less", "cmake", "mk", "bat",
        ],
    ),
];

/// Files that are known by their whole names.
const NAMES: &[(Form, &[&str])] = &[
    (
        Form::Text,
        &["readme", "license", "licence", "changelog", "copying", "notice", "authors", "contributing"],
    ),
    (
        Form::Code,
        &["makefile", "dockerfile", "containerfile", "justfile", "rakefile", "gemfile", "vagrantfile"],
    ),
];

impl Form {
    /// What a file of no kind is told, after its name.
    pub(crate) const ALLOWED: &str = "is not Markdown (.md, .markdown), text (.txt, .rst, .adoc, .org, .tex), HTML (.html, .htm), PDF, \
         Word (.docx), JSON Lines (.jsonl, .ndjson), a table (.csv, .tsv), settings (.json, .yaml, .toml, .ini, .xml and the like) or \
         source code (.rs, .py, .js, .go, .java and the like)";

    /// The kind of a file, by its name or path.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let name = name.rsplit(['/', '\\']).next().unwrap_or(name).to_ascii_lowercase();
        let (known, word) = match name.rsplit_once('.') {
            Some((_, ending)) => (ENDINGS, ending),
            None => (NAMES, name.as_str()),
        };
        known.iter().find(|(_, words)| words.contains(&word)).map(|(form, _)| *form)
    }
}

/// Reads a whole file. JSON Lines are read line by line by [`jsonl::record`]; here they are lines like any others.
///
/// # Errors
/// Why it cannot be read, to be said after the file's name.
pub(crate) fn read(form: Form, bytes: Vec<u8>) -> Result<Extracted, String> {
    let extracted = match form {
        Form::Pdf => pdf::extract(bytes)?,
        Form::Docx => docx::extract(&bytes)?,
        Form::Html => html::extract(&encoding::decode(bytes, encoding::declared_in_html)?)?,
        Form::Markdown => markdown::extract(encoding::decode(bytes, |_| None)?),
        Form::Text => text::extract(String::new(), encoding::decode(bytes, |_| None)?),
        Form::Markup(dialect) => markup::extract(dialect, encoding::decode(bytes, |_| None)?),
        Form::Delimited => lines::table(encoding::decode(bytes, |_| None)?),
        Form::Settings | Form::JsonLines => {
            lines::settings(encoding::decode(bytes, encoding::declared_in_xml)?)
        }
        Form::Code => code::extract(encoding::decode(bytes, |_| None)?),
    };
    if extracted.blocks.is_empty() {
        return Err(String::from("has no words"));
    }
    Ok(extracted)
}

/// How a block is cut when it is over the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Between sentences.
    Prose,
    /// Between lines: tables, lists.
    Lines,
    /// Between lines, at blank ones and at those that are indented least: code, settings.
    Indented,
}

/// A piece of structure: a paragraph, a list, a table, a block of code.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Block {
    pub(crate) cut: Cut,
    /// Bytes of the document's text.
    pub(crate) span: Range<usize>,
    /// What it says without markup: what is embedded.
    pub(crate) plain: String,
    /// The headings above it, outermost first, joined by " > ".
    pub(crate) section: Arc<str>,
    /// Bytes of a table's first row, which is embedded with every part of the table.
    pub(crate) header: Option<Range<usize>>,
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

impl Extracted {
    /// Adds a paragraph, a table or the like to the end of the text, as a block, where it has words.
    pub(crate) fn push(&mut self, cut: Cut, words: &str, section: &Arc<str>, has_header: bool) {
        let words = words.trim_end();
        if !words.contains(char::is_alphanumeric) {
            return;
        }
        self.part();
        let start = self.text.len();
        self.text.push_str(words);
        let header = has_header.then(|| start..start + words.find('\n').unwrap_or(words.len()));
        self.blocks.push(Block {
            cut,
            span: start..self.text.len(),
            plain: words.to_owned(),
            section: section.clone(),
            header,
        });
        self.text.push('\n');
    }

    /// Adds a heading to the text. It is no block: the blocks below it carry it.
    pub(crate) fn push_heading(&mut self, heading: &str) {
        self.part();
        self.text.push_str(heading.trim());
        self.text.push('\n');
    }

    /// A blank line between what stands above each other.
    fn part(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }
}

/// The headings above the place that is being read.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    open: Vec<(usize, String)>,
}

/// A heading goes into the section of every passage below it: a longer one is no heading.
const HEADING_CHARS_MAX: usize = 200;

impl Outline {
    /// A heading of `level` closes those of its own level and below.
    pub(crate) fn enter(&mut self, level: usize, heading: &str) {
        self.open.retain(|(open, _)| *open < level);
        let heading: String = one_line(heading).chars().take(HEADING_CHARS_MAX).collect();
        if !heading.is_empty() {
            self.open.push((level, heading));
        }
    }

    pub(crate) fn path(&self) -> Arc<str> {
        let headings: Vec<&str> = self.open.iter().map(|(_, heading)| heading.as_str()).collect();
        headings.join(" > ").into()
    }
}

/// `text` with every run of white space as one space, and none at the ends.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words of a table's cell: `|` parts cells.
pub(crate) fn cell(text: &str) -> String {
    one_line(text).replace('|', "/")
}
