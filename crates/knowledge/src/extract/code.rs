//! Source code into blocks, for any language that indents: no grammar is known here.
//!
//! An item is a line with all that is indented below it and the line that closes it; comments and attributes right above
//! belong to it. Items that hold others (classes, modules, `impl`) and are too long to be read at once are opened. The
//! section of a block is the first line of each item around it. What this misjudges is only cut in another place: the text is
//! the source itself, and every line of it is in some block.

use std::ops::Range;
use std::sync::Arc;

use super::{Block, Cut, Extracted, Outline};

/// A shorter item is one block, with all that is in it: about 200 tokens.
const WHOLE_BYTES: usize = 700;

/// Items inside items are opened down to here.
const DEPTH_MAX: usize = 8;

/// A longer first line is cut in the section.
const SIGNATURE_CHARS_MAX: usize = 100;

/// Columns of a tab.
const TAB: usize = 4;

/// Words whose items hold other items.
const HOLDERS: &[&str] = &[
    "impl",
    "class",
    "mod",
    "module",
    "trait",
    "interface",
    "namespace",
    "struct",
    "enum",
    "object",
    "protocol",
    "extension",
    "extern",
    "package",
    "union",
    "record",
    "contract",
    "service",
    "describe",
    "@interface",
    "@implementation",
    "defmodule",
];

/// Lines that begin so go on with the item above: `else` of an `if` at the outermost level.
const CONTINUATIONS: &[&str] = &[
    "else", "elif", "elsif", "except", "finally", "catch", "rescue", "ensure", "end", "fi", "done", "esac",
    "then", "do", "begin", "where",
];

/// Reads source code.
pub(crate) fn extract(source: String) -> Extracted {
    let lines = lines(&source);
    let mut reading =
        Reading { source: &source, lines: &lines, outline: Outline::default(), blocks: Vec::new() };
    reading.region(0..lines.len(), 1);
    let blocks = reading.blocks;
    Extracted { title: String::new(), text: source, blocks }
}

/// A line that is not blank.
struct Line {
    /// Without the white space at its end.
    span: Range<usize>,
    indent: usize,
    after_blank: bool,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A comment, an attribute, a decorator: belongs to what comes next.
    Leading,
    /// A bracket or a word that goes on with what stands above.
    Continuing,
    Plain,
}

fn lines(source: &str) -> Vec<Line> {
    let mut found = Vec::new();
    let mut place = 0;
    let mut after_blank = true;
    for line in source.split_inclusive('\n') {
        let words = line.trim();
        if words.is_empty() {
            after_blank = true;
        } else {
            let margin = &line[..line.len() - line.trim_start().len()];
            let indent = margin.chars().map(|c| if c == '\t' { TAB } else { 1 }).sum();
            let span = place..place + line.trim_end().len();
            found.push(Line { span, indent, after_blank, kind: kind(words) });
            after_blank = false;
        }
        place += line.len();
    }
    found
}

fn kind(words: &str) -> Kind {
    if words.starts_with(['}', ')', ']', '{']) {
        return Kind::Continuing;
    }
    let first = words.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    if CONTINUATIONS.contains(&first) {
        return Kind::Continuing;
    }
    let is_leading = ["//", "/*", "*", "#", "--", "@", "\"\"\"", "'''", ";;", "<!--", "[<"];
    let is_holder = words.split_whitespace().next().is_some_and(|word| HOLDERS.contains(&word));
    let is_leading = is_leading.iter().any(|mark| words.starts_with(mark)) && !is_holder;
    if is_leading { Kind::Leading } else { Kind::Plain }
}

struct Reading<'a> {
    source: &'a str,
    lines: &'a [Line],
    outline: Outline,
    blocks: Vec<Block>,
}

/// Lines that belong together: what leads up to the item, and the item.
struct Item {
    lines: Range<usize>,
    /// The line that says what it is.
    head: usize,
    has_body: bool,
}

impl Reading<'_> {
    /// Reads lines that stand inside `depth - 1` items.
    fn region(&mut self, region: Range<usize>, depth: usize) {
        // Statements without a body share a block.
        let mut flat: Option<Range<usize>> = None;
        for item in self.items(region) {
            if !item.has_body {
                flat = Some(flat.map_or(item.lines.start, |open| open.start)..item.lines.end);
                continue;
            }
            if let Some(lines) = flat.take() {
                self.push(lines);
            }
            self.outline.enter(depth, &self.signature(item.head));
            let bytes = self.span(&item.lines).len();
            if bytes > WHOLE_BYTES && depth < DEPTH_MAX && self.holds_items(&item) {
                self.open(&item, depth);
            } else {
                self.push(item.lines);
            }
            // The item is left.
            self.outline.enter(depth, "");
        }
        if let Some(lines) = flat {
            self.push(lines);
        }
    }

    /// Reads an item's inside on its own: what leads up to it stays with its first line.
    fn open(&mut self, item: &Item, depth: usize) {
        let outer = self.lines[item.head].indent;
        let is_inside = |line: &Line| line.indent > outer;
        let body = (item.head + 1..item.lines.end).find(|&line| is_inside(&self.lines[line]));
        let body = body.unwrap_or(item.lines.end);
        let end = (body..item.lines.end)
            .rev()
            .find(|&line| is_inside(&self.lines[line]))
            .map_or(body, |last| last + 1);
        self.push(item.lines.start..body);
        self.region(body..end, depth + 1);
        self.push(end..item.lines.end);
    }

    /// The items of lines, each indented no more than the least indented.
    fn items(&self, region: Range<usize>) -> Vec<Item> {
        let least = self.lines[region.clone()].iter().map(|line| line.indent).min().unwrap_or(0);
        let mut items: Vec<Item> = Vec::new();
        let mut leading: Option<usize> = None;
        let end = region.end;
        for place in region {
            let line = &self.lines[place];
            let goes_on = line.indent > least || line.kind == Kind::Continuing;
            if goes_on && leading.is_none() {
                match items.last_mut() {
                    Some(item) => {
                        item.lines.end = place + 1;
                        item.has_body |= line.indent > least;
                    }
                    None => items.push(Item { lines: place..place + 1, head: place, has_body: false }),
                }
                continue;
            }
            // A comment that a blank line parts from what follows leads to nothing.
            if let Some(start) = leading.filter(|_| line.after_blank) {
                items.push(Item { lines: start..place, head: start, has_body: false });
                leading = None;
            }
            if line.kind == Kind::Leading || goes_on {
                leading = leading.or(Some(place));
                continue;
            }
            let start = leading.take().unwrap_or(place);
            items.push(Item { lines: start..place + 1, head: place, has_body: false });
        }
        if let Some(start) = leading {
            items.push(Item { lines: start..end, head: start, has_body: false });
        }
        items
    }

    /// Whether an item is of a kind that holds others.
    fn holds_items(&self, item: &Item) -> bool {
        let head = &self.source[self.lines[item.head].span.clone()];
        let before = head.split(['(', '{', '=', ':']).next().unwrap_or(head);
        before.split_whitespace().any(|word| HOLDERS.contains(&word.split('<').next().unwrap_or(word)))
    }

    /// An item's first line without what opens its body.
    fn signature(&self, head: usize) -> String {
        let words = self.source[self.lines[head].span.clone()].trim();
        let words = words.trim_end_matches(['{', ':', '(', ' ']);
        words.chars().take(SIGNATURE_CHARS_MAX).collect()
    }

    fn span(&self, lines: &Range<usize>) -> Range<usize> {
        if lines.is_empty() {
            return 0..0;
        }
        self.lines[lines.start].span.start..self.lines[lines.end - 1].span.end
    }

    fn push(&mut self, lines: Range<usize>) {
        let span = self.span(&lines);
        let plain = self.source[span.clone()].to_owned();
        if !plain.contains(char::is_alphanumeric) {
            return;
        }
        let section: Arc<str> = self.outline.path();
        self.blocks.push(Block { cut: Cut::Indented, span, plain, section, header: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[&str]) {
        let extracted = extract(source.to_owned());
        let blocks: Vec<String> = extracted
            .blocks
            .iter()
            .map(|block| {
                assert_eq!(extracted.text[block.span.clone()], block.plain);
                format!("{} | {}", block.section, block.plain.replace('\n', "/"))
            })
            .collect();
        assert_eq!(blocks, expected);
    }

    #[test]
    fn items_stay_whole_with_what_leads_up_to_them() {
        check(
            "//! Module.\n\nuse a;\nuse b;\n\n/// Does.\n#[inline]\nfn foo(\n    x: u8,\n) -> u8 {\n    x\n}\n\nconst A: u8 = 1;\n",
            &[
                " | //! Module.//use a;/use b;",
                "fn foo | /// Does./#[inline]/fn foo(/    x: u8,/) -> u8 {/    x/}",
                " | const A: u8 = 1;",
            ],
        );
        check(
            "import os\n\n# Adds.\n@cache\ndef add(a, b):\n    if a:\n        return b\n\n    return a\n\nX = 1\nif X:\n    f()\nelse:\n    g()\n",
            &[
                " | import os",
                "def add(a, b) | # Adds./@cache/def add(a, b):/    if a:/        return b//    return a",
                " | X = 1",
                "if X | if X:/    f()/else:/    g()",
            ],
        );
        check(
            "#include <x.h>\n\nint main(void)\n{\n\treturn 0;\n}\n",
            &[" | #include <x.h>", "int main(void) | int main(void)/{/\treturn 0;/}"],
        );
        check("", &[]);
        check("// only a comment", &[" | // only a comment"]);
        check("    indented\n  less\n}\n", &["indented |     indented/  less/}"]);
    }

    #[test]
    fn long_holders_are_opened() {
        let body = "        let number = 1;\n".repeat(20);
        let source = format!(
            "/// A type.\nimpl<T> Foo<T> {{\n    const A: u8 = 1;\n\n    /// Bar.\n    fn bar() {{\n{body}    }}\n\n    fn baz() {{\n{body}    }}\n}}\n"
        );
        let extracted = extract(source);
        let found: Vec<(&str, &str)> = extracted
            .blocks
            .iter()
            .map(|block| (&*block.section, block.plain.lines().next().unwrap_or_default().trim()))
            .collect();
        assert_eq!(
            found,
            [
                ("impl<T> Foo<T>", "/// A type."),
                ("impl<T> Foo<T>", "const A: u8 = 1;"),
                ("impl<T> Foo<T> > fn bar()", "/// Bar."),
                ("impl<T> Foo<T> > fn baz()", "fn baz() {"),
            ]
        );
    }
}
