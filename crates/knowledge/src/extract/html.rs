//! HTML into blocks, through html2text: its renderer decides what is visible, a decorator of ours marks what is a
//! heading and what is code.

use html2text::config;
use html2text::render::{TaggedLine, TextDecorator};

use super::{Block, Extracted, Form, Outline};

/// Wide enough that no paragraph is wrapped in practice; a wrapped one would still be one block.
const WIDTH_COLUMNS: usize = 1_000_000;

/// Stands before a heading, once per level. A page that holds this character itself only gains a heading.
const HEADING: char = '\u{1}';

/// Reads a page.
///
/// # Errors
/// The page cannot be rendered.
pub(crate) fn extract(page: &str) -> Result<Extracted, String> {
    let lines = config::with_decorator(Marker)
        .raw_mode(true)
        .allow_width_overflow()
        .link_footnotes(false)
        .lines_from_read(page.as_bytes(), WIDTH_COLUMNS)
        .map_err(|error| format!("cannot be rendered: {error}"))?;
    let mut reading = Reading::default();
    for line in &lines {
        reading.take(line);
    }
    reading.close();
    let mut extracted = reading.extracted;
    if extracted.title.is_empty() {
        extracted.title = page_title(page);
    }
    Ok(extracted)
}

#[derive(Default)]
struct Reading {
    extracted: Extracted,
    outline: Outline,
    open: Option<(Form, usize)>,
}

impl Reading {
    fn take(&mut self, line: &TaggedLine<Vec<Mark>>) {
        let code = line.tagged_strings().any(|piece| piece.tag.contains(&Mark::Code));
        let words: String = line.chars().collect();
        let words = words.trim_end();
        let level = words.chars().take_while(|&c| c == HEADING).count();
        if level > 0 && !code {
            self.close();
            let heading = words.trim_start_matches([HEADING, ' ']);
            if self.extracted.title.is_empty() {
                heading.clone_into(&mut self.extracted.title);
            }
            self.outline.enter(level, heading);
            self.push_line(heading);
            return;
        }
        if words.is_empty() && !code {
            self.close();
            self.push_line("");
            return;
        }
        let form = if code || is_item(words) { Form::Lines } else { Form::Prose };
        if self.open.is_some_and(|(open, _)| open != form) {
            self.close();
        }
        if self.open.is_none() {
            self.open = Some((form, self.extracted.text.len()));
        }
        self.push_line(words);
    }

    fn push_line(&mut self, words: &str) {
        self.extracted.text.push_str(words);
        self.extracted.text.push('\n');
    }

    fn close(&mut self) {
        let Some((form, start)) = self.open.take() else { return };
        let plain = self.extracted.text[start..].trim_end();
        if !plain.contains(char::is_alphanumeric) {
            return;
        }
        let span = start..start + plain.len();
        let block = Block { form, span, plain: plain.to_owned(), section: self.outline.path() };
        self.extracted.blocks.push(block);
    }
}

fn is_item(line: &str) -> bool {
    let line = line.trim_start();
    let digits = line.chars().take_while(char::is_ascii_digit).count();
    line.starts_with("* ") || (digits > 0 && line[digits..].starts_with(". "))
}

/// What the page's `<title>` says: the renderer leaves it out.
fn page_title(page: &str) -> String {
    let lower = page.to_ascii_lowercase();
    let inside = lower.find("<title").and_then(|tag| {
        let start = tag + lower[tag..].find('>')? + 1;
        let end = start + lower[start..].find("</title")?;
        page.get(start..end)
    });
    inside.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a piece of a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mark {
    #[default]
    Words,
    Code,
}

/// Plain words, with headings and code marked.
#[derive(Clone, Copy, Debug)]
struct Marker;

impl TextDecorator for Marker {
    type Annotation = Mark;

    fn decorate_link_start(&mut self, _url: &str) -> (String, Mark) {
        Default::default()
    }
    fn decorate_link_end(&mut self) -> String {
        String::new()
    }
    fn decorate_em_start(&self) -> (String, Mark) {
        Default::default()
    }
    fn decorate_em_end(&self) -> String {
        String::new()
    }
    fn decorate_strong_start(&self) -> (String, Mark) {
        Default::default()
    }
    fn decorate_strong_end(&self) -> String {
        String::new()
    }
    fn decorate_strikeout_start(&self) -> (String, Mark) {
        Default::default()
    }
    fn decorate_strikeout_end(&self) -> String {
        String::new()
    }
    fn decorate_code_start(&self) -> (String, Mark) {
        Default::default()
    }
    fn decorate_code_end(&self) -> String {
        String::new()
    }
    fn decorate_preformat_first(&self) -> Mark {
        Mark::Code
    }
    fn decorate_preformat_cont(&self) -> Mark {
        Mark::Code
    }
    fn decorate_image(&mut self, _src: &str, title: &str) -> (String, Mark) {
        (title.to_owned(), Mark::Words)
    }
    fn header_prefix(&self, level: usize) -> String {
        HEADING.to_string().repeat(level) + " "
    }
    fn quote_prefix(&self) -> String {
        String::new()
    }
    fn unordered_item_prefix(&self) -> String {
        String::from("* ")
    }
    fn ordered_item_prefix(&self, i: i64) -> String {
        format!("{i}. ")
    }
    fn make_subblock_decorator(&self) -> Self {
        *self
    }
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
             <h1>Guide</h1><p>Hello <b>big</b> <a href='http://x.y'>world</a>.</p><h2>Setup</h2><ul><li>one</li><li>two</li></ul>\
             <pre># no heading\n\nmake</pre><table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>\
             <h2>Use</h2><p>Go.</p><!-- no --></body></html>",
            "Guide",
            &[
                "Guide | Hello big world.",
                "Guide > Setup | * one/* two",
                "Guide > Setup | # no heading",
                "Guide > Setup | make",
                "Guide > Setup | a/b/1/2",
                "Guide > Use | Go.",
            ],
        );
    }

    #[test]
    fn broken_pages_are_read_as_far_as_they_go() {
        check("", "", &[]);
        check("<title>Only <p>a title", "", &[]);
        check("plain words", "", &[" | plain words"]);
        check("<TITLE lang=en>T</TITLE><p>x<div>y</p></span>", "T", &[" | x", " | y"]);
        check(&("<div>".repeat(3_000) + "deep"), "", &[" | deep"]);
    }
}
