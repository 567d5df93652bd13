//! HTML into blocks: html5ever builds the tree as a browser would, and what a reader came for is read off it.
//!
//! What is navigation, decoration or script is left out, and where a page says which part is its main one, so is the rest. The
//! tree is walked without recursion: its depth is the page's choice.

use std::time::{Duration, Instant};

use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

use super::{Cut, Extracted, Outline, cell, one_line};

/// Elements that say nothing of the page's subject.
const SKIPPED: &[&str] = &[
    "script", "style", "template", "noscript", "nav", "aside", "footer", "svg", "iframe", "object", "canvas",
    "audio", "video", "button", "select", "textarea", "head", "dialog", "map",
];

/// Roles that mark the same for screen readers.
const SKIPPED_ROLES: &[&str] =
    &["navigation", "banner", "contentinfo", "complementary", "search", "menu", "dialog"];

/// Elements that run within a line; every other one parts paragraphs.
const INLINE: &[&str] = &[
    "a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i", "img",
    "ins", "kbd", "label", "mark", "q", "rp", "rt", "ruby", "s", "samp", "small", "span", "strike", "strong",
    "sub", "sup", "time", "tt", "u", "var", "wbr",
];

/// Elements inside each other by the hundred thousand cost the parser, which looks through them, hours.
const TIME_MAX: Duration = Duration::from_secs(10);

/// What is parsed between two looks at the clock.
const PIECE_CHARS: usize = 2_048;

/// Reads a page.
///
/// # Errors
/// It takes too long.
pub(crate) fn extract(page: &str) -> Result<Extracted, String> {
    let dom = parsed(page, Instant::now() + TIME_MAX)?;
    let marked = main_part(&dom.document);
    let mut extracted = marked.map(|main| read(&main)).unwrap_or_default();
    if extracted.blocks.is_empty() {
        extracted = read(&dom.document);
    }
    if extracted.title.is_empty() {
        let title = find(&dom.document, |node| name(node) == Some("title"));
        extracted.title = title.map(|title| one_line(&words_within(&title))).unwrap_or_default();
    }
    Ok(extracted)
}

fn parsed(page: &str, deadline: Instant) -> Result<RcDom, String> {
    let mut parser = parse_document(RcDom::default(), ParseOpts::default());
    let mut rest = page;
    while !rest.is_empty() {
        if Instant::now() > deadline {
            return Err(format!("takes longer than {} s to read", TIME_MAX.as_secs()));
        }
        let end = rest.char_indices().nth(PIECE_CHARS).map_or(rest.len(), |(end, _)| end);
        let (piece, after) = rest.split_at(end);
        parser.process(StrTendril::from_slice(piece));
        rest = after;
    }
    Ok(parser.finish())
}

/// The one element that the page calls its main part.
fn main_part(document: &Handle) -> Option<Handle> {
    let is_main =
        |node: &Handle| name(node) == Some("main") || attribute(node, "role").as_deref() == Some("main");
    find(document, is_main)
}

fn read(root: &Handle) -> Extracted {
    let mut reading = Reading::default();
    let mut steps = vec![Step::Enter(root.clone())];
    while let Some(step) = steps.pop() {
        match step {
            Step::Enter(node) => reading.enter(&node, &mut steps),
            Step::Leave(node) => reading.leave(&node),
        }
    }
    reading.flush();
    reading.extracted
}

enum Step {
    Enter(Handle),
    Leave(Handle),
}

#[derive(Default)]
struct Reading {
    extracted: Extracted,
    outline: Outline,
    /// Words of the line that is being read, spaces and all.
    words: String,
    /// Items of the outermost list that is open, a line each.
    items: String,
    /// For each open list the number of its last item, `None` where they have no numbers.
    lists: Vec<Option<usize>>,
}

impl Reading {
    fn enter(&mut self, node: &Handle, steps: &mut Vec<Step>) {
        if let NodeData::Text { contents } = &node.data {
            return self.words.push_str(&contents.borrow());
        }
        let Some(name) = name(node) else { return push_children(node, steps) };
        if is_skipped(node, name) {
            return;
        }
        match name {
            "br" => return self.words.push('\n'),
            "img" => {
                let words = attribute(node, "alt").unwrap_or_default();
                return self.words.push_str(&format!(" {words} "));
            }
            "hr" => return self.flush(),
            "pre" => {
                self.flush();
                let words = words_within(node);
                let words = words.strip_prefix('\n').unwrap_or(&words);
                return self.extracted.push(Cut::Indented, words, &self.outline.path(), false);
            }
            "table" if is_data_table(node) => {
                self.flush();
                return self.table(node);
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.flush();
                let level = name[1..].parse().unwrap_or(1);
                return self.heading(level, &one_line(&words_within(node)));
            }
            "ul" | "ol" | "menu" => {
                self.flush_line();
                if self.lists.is_empty() {
                    self.flush();
                }
                self.lists.push((name == "ol").then_some(0));
            }
            "li" => {
                self.flush_line();
                self.begin_item();
            }
            name if INLINE.contains(&name) => {}
            _ => self.flush_line(),
        }
        steps.push(Step::Leave(node.clone()));
        push_children(node, steps);
    }

    fn leave(&mut self, node: &Handle) {
        match name(node) {
            Some("ul" | "ol" | "menu") => {
                self.flush_line();
                self.lists.pop();
                if self.lists.is_empty() {
                    self.flush();
                }
            }
            Some("td" | "th") => self.words.push(' '),
            Some(name) if INLINE.contains(&name) => {}
            _ => self.flush_line(),
        }
    }

    fn heading(&mut self, level: usize, heading: &str) {
        if heading.is_empty() {
            return;
        }
        if self.extracted.title.is_empty() {
            heading.clone_into(&mut self.extracted.title);
        }
        self.outline.enter(level, heading);
        self.extracted.push_heading(heading);
    }

    fn begin_item(&mut self) {
        if !self.items.is_empty() {
            self.items.push('\n');
        }
        self.items.push_str(&"  ".repeat(self.lists.len().saturating_sub(1).min(8)));
        match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                self.items.push_str(&format!("{number}. "));
            }
            _ => self.items.push_str("* "),
        }
    }

    /// Ends a paragraph; inside a list it is only the next words of an item.
    fn flush_line(&mut self) {
        let words = std::mem::take(&mut self.words);
        let lines: Vec<String> = words.split('\n').map(one_line).filter(|line| !line.is_empty()).collect();
        if lines.is_empty() {
            return;
        }
        if !self.lists.is_empty() {
            let words = lines.join(" ");
            if !self.items.is_empty() && !self.items.ends_with(' ') {
                self.items.push(' ');
            }
            return self.items.push_str(&words);
        }
        self.extracted.push(Cut::Prose, &lines.join("\n"), &self.outline.path(), false);
    }

    /// Ends a paragraph, and with it the list that it stands in.
    fn flush(&mut self) {
        self.flush_line();
        let items = std::mem::take(&mut self.items);
        self.extracted.push(Cut::Lines, &items, &self.outline.path(), false);
    }

    fn table(&mut self, table: &Handle) {
        let mut rows = Vec::new();
        let mut has_header = false;
        for row in all(table, |node| name(node) == Some("tr")) {
            let cells = all(&row, |node| matches!(name(node), Some("td" | "th")));
            if rows.is_empty() {
                has_header = !cells.is_empty() && cells.iter().all(|cell| name(cell) == Some("th"));
            }
            let cells: Vec<String> = cells.iter().map(|node| cell(&words_within(node))).collect();
            if cells.iter().any(|cell| !cell.is_empty()) {
                rows.push(cells.join(" | "));
            }
        }
        if let Some(caption) = find(table, |node| name(node) == Some("caption")) {
            let caption = one_line(&words_within(&caption));
            self.extracted.push(Cut::Prose, &caption, &self.outline.path(), false);
        }
        self.extracted.push(Cut::Lines, &rows.join("\n"), &self.outline.path(), has_header);
    }
}

fn push_children(node: &Handle, steps: &mut Vec<Step>) {
    steps.extend(node.children.borrow().iter().rev().cloned().map(Step::Enter));
}

fn name(node: &Handle) -> Option<&str> {
    match &node.data {
        NodeData::Element { name, .. } => Some(&name.local),
        _ => None,
    }
}

fn attribute(node: &Handle, key: &str) -> Option<String> {
    let NodeData::Element { attrs, .. } = &node.data else { return None };
    let attrs = attrs.borrow();
    attrs.iter().find(|attribute| &*attribute.name.local == key).map(|attribute| attribute.value.to_string())
}

fn is_skipped(node: &Handle, name: &str) -> bool {
    // Footnotes are asides to docutils, and a part of the text.
    let is_footnote = || attribute(node, "class").is_some_and(|class| class.contains("footnote"));
    let role = attribute(node, "role");
    (SKIPPED.contains(&name) && !(name == "aside" && is_footnote()))
        || role.is_some_and(|role| SKIPPED_ROLES.contains(&role.as_str()))
        || attribute(node, "hidden").is_some()
        || attribute(node, "aria-hidden").as_deref() == Some("true")
}

/// A table that holds headings, lists or tables lays out a page; its cells are read one after the other.
fn is_data_table(table: &Handle) -> bool {
    let lays_out = |node: &Handle| {
        matches!(name(node), Some("table" | "h1" | "h2" | "h3" | "h4" | "ul" | "ol" | "pre"))
            && !std::rc::Rc::ptr_eq(node, table)
    };
    find(table, lays_out).is_none()
}

/// All words below a node, but for those that nobody sees.
fn words_within(root: &Handle) -> String {
    let mut words = String::new();
    let mut open = vec![root.clone()];
    while let Some(node) = open.pop() {
        match (&node.data, name(&node)) {
            (NodeData::Text { contents }, _) => words.push_str(&contents.borrow()),
            (_, Some("br")) => words.push('\n'),
            (_, Some("script" | "style" | "template" | "svg")) => {}
            (_, element) => {
                if element.is_some_and(|name| !INLINE.contains(&name))
                    && !words.ends_with(char::is_whitespace)
                {
                    words.push_str(if words.is_empty() { "" } else { " " });
                }
                open.extend(node.children.borrow().iter().rev().cloned());
            }
        }
    }
    words
}

fn find(root: &Handle, is_wanted: impl Fn(&Handle) -> bool) -> Option<Handle> {
    let mut open = vec![root.clone()];
    while let Some(node) = open.pop() {
        if is_wanted(&node) {
            return Some(node);
        }
        open.extend(node.children.borrow().iter().rev().cloned());
    }
    None
}

/// The wanted nodes below `root` in the order of the page, none inside another.
fn all(root: &Handle, is_wanted: impl Fn(&Handle) -> bool) -> Vec<Handle> {
    let mut found = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(node) = open.pop() {
        if is_wanted(&node) && !std::rc::Rc::ptr_eq(&node, root) {
            found.push(node);
            continue;
        }
        open.extend(node.children.borrow().iter().rev().cloned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(page: &str, title: &str, expected: &[&str]) {
        let extracted = extract(page).unwrap();
        assert_eq!(extracted.title, title);
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
    fn structure_is_kept_and_scripts_are_not() {
        check(
            "<html><head><title>Page\n &c</title><style>p {}</style><script>let x = '<h1>no</h1>';</script></head><body>\
             <h1>Guide</h1><p>Hello <b>big</b> <a href='http://x.y'>world</a>.</p><h2>Setup</h2><ul><li>one</li><li>two<ol><li>deep</li></ol></li></ul>\
             <pre># no heading\n\n  make</pre><table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2|3</td></tr></table>\
             <h2>Use</h2><p>Go.<br>Now</p><!-- no --></body></html>",
            "Guide",
            &[
                "Guide | Hello big world.",
                "Guide > Setup | * one/* two/  1. deep",
                "Guide > Setup | # no heading//  make",
                "Guide > Setup | a | b/1 | 2/3",
                "Guide > Use | Go./Now",
            ],
        );
    }

    #[test]
    fn what_surrounds_the_text_is_left_out() {
        check(
            "<nav>Home</nav><header>Site</header><main><h1>T</h1><aside>Ads</aside><p>Text<button>Copy</button></p></main><footer>(c)</footer>",
            "T",
            &["T | Text"],
        );
        check(
            "<div role=navigation>x</div><p hidden>y</p><p>z</p><div aria-hidden=true>w</div>",
            "",
            &[" | z"],
        );
        check("<main></main><p>outside</p>", "", &[" | outside"]);
        check(
            "<table><tr><td><h2>Left</h2>a</td><td><table><tr><td>1</td><td>2</td></tr></table></td></tr></table>",
            "Left",
            &["Left | a", "Left | 1 | 2"],
        );
    }

    #[test]
    fn tables_know_their_header() {
        let check = |page: &str, expected: Option<&str>| {
            let extracted = extract(page).unwrap();
            let header = extracted.blocks.last().and_then(|block| block.header.clone());
            assert_eq!(header.map(|span| extracted.text[span].to_owned()).as_deref(), expected);
        };
        check("<p>x</p><table><thead><tr><th>a<th>b</tr></thead><tr><td>1<td>2</tr></table>", Some("a | b"));
        check("<table><tr><th>a<td>1</tr></table>", None);
    }

    #[test]
    fn a_page_that_takes_too_long_is_refused() {
        assert!(
            parsed("<p>x", Instant::now() - Duration::from_secs(1))
                .is_err_and(|why| why.contains("takes longer"))
        );
    }

    #[test]
    fn broken_pages_are_read_as_far_as_they_go() {
        check("", "", &[]);
        check("<title>Only a title", "Only a title", &[]);
        check("plain words", "", &[" | plain words"]);
        check("<TITLE lang=en>T</TITLE><p>x<div>y</p></span>", "T", &[" | x", " | y"]);
        check(&("<div>".repeat(3_000) + "deep"), "", &[" | deep"]);
        check(
            &("<ul><li>".repeat(300) + "deep"),
            "",
            &[&format!(
                " | {}",
                (0..300)
                    .map(|depth| format!("{}* ", "  ".repeat(depth.min(8))))
                    .collect::<Vec<_>>()
                    .join("/")
                    + "deep"
            )],
        );
    }
}
