//! Markdown into blocks. The text is the source itself, so that a citation's offsets point into the file.

use pulldown_cmark::{Event, Options, Parser, TagEnd};

use super::{Block, Cut, Extracted, Outline};

/// Reads Markdown (CommonMark with tables, footnotes, task lists and YAML front matter, which is passed over).
pub(crate) fn extract(source: String) -> Extracted {
    let mut reading = Reading::default();
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    for (event, span) in Parser::new_ext(&source, options).into_offset_iter() {
        reading.take(event, span);
    }
    for block in &mut reading.blocks {
        // The parser counts the line end into a block.
        block.span.end = block.span.start + source[block.span.clone()].trim_end().len();
        if let Some(header) = &mut block.header {
            header.end = header.start + source[header.clone()].trim_end().len();
        }
    }
    reading.blocks.retain(|block| block.plain.contains(char::is_alphanumeric) && !block.span.is_empty());
    Extracted { title: reading.title, text: source, blocks: reading.blocks }
}

#[derive(Default)]
struct Reading {
    outline: Outline,
    title: String,
    blocks: Vec<Block>,
    depth: usize,
    plain: String,
    /// The first row of the table that was read last.
    header: Option<std::ops::Range<usize>>,
}

impl Reading {
    fn take(&mut self, event: Event<'_>, span: std::ops::Range<usize>) {
        match event {
            Event::Start(_) => {
                if self.depth == 0 {
                    self.plain.clear();
                }
                self.depth += 1;
            }
            Event::End(end) => {
                self.depth = self.depth.saturating_sub(1);
                match end {
                    TagEnd::TableHead => {
                        self.header = Some(span.clone());
                        self.plain.push('\n');
                    }
                    TagEnd::Item | TagEnd::TableRow | TagEnd::Paragraph => {
                        self.plain.push('\n');
                    }
                    TagEnd::TableCell => self.plain.push_str(" | "),
                    _ => {}
                }
                if self.depth == 0 {
                    self.close(end, span);
                }
            }
            Event::Text(text) | Event::Code(text) => self.plain.push_str(&text),
            Event::Html(text) | Event::InlineHtml(text) => self.plain.push_str(&without_tags(&text)),
            Event::SoftBreak => self.plain.push(' '),
            Event::HardBreak => self.plain.push('\n'),
            _ => {}
        }
    }

    fn close(&mut self, end: TagEnd, span: std::ops::Range<usize>) {
        let cut = match end {
            TagEnd::Heading(level) => {
                if self.title.is_empty() {
                    self.title = self.plain.trim().to_owned();
                }
                self.outline.enter(level as usize, &self.plain);
                return;
            }
            TagEnd::MetadataBlock(_) => return,
            TagEnd::CodeBlock => Cut::Indented,
            TagEnd::List(_) | TagEnd::Table => Cut::Lines,
            _ => Cut::Prose,
        };
        let plain = self.plain.trim().to_owned();
        let header = if matches!(end, TagEnd::Table) { self.header.take() } else { None };
        self.blocks.push(Block { cut, span, plain, section: self.outline.path(), header });
    }
}

/// What stands outside `<...>`. A block of HTML in Markdown is mostly badges and anchors; its words are kept.
fn without_tags(html: &str) -> String {
    let mut inside = false;
    let text = html.chars().filter(|&c| {
        match c {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                return false;
            }
            _ => {}
        }
        !inside
    });
    text.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each block as `section | plain`, newlines as `/`, after checking that its span is in the source.
    fn check(source: &str, title: &str, expected: &[&str]) {
        let extracted = extract(source.to_owned());
        assert_eq!(extracted.title, title);
        let blocks: Vec<String> = extracted
            .blocks
            .iter()
            .map(|block| {
                assert!(extracted.text.get(block.span.clone()).is_some(), "{:?}", block.span);
                format!("{} | {}", block.section, block.plain.replace('\n', "/"))
            })
            .collect();
        assert_eq!(blocks, expected);
    }

    #[test]
    fn structure_is_kept() {
        check(
            "---\ntitle: x\n---\n# Guide\n\nHello *big*\n[world](http://a.b).\n\n## Setup\n\n- one\n- two\n\n```sh\n# no heading\nmake\n```\n\
             \n| a | b |\n|---|---|\n| 1 | 2 |\n\n### Deep\n\n> quoted\n\n## Use\n\nGo.\n",
            "Guide",
            &[
                "Guide | Hello big world.",
                "Guide > Setup | one/two",
                "Guide > Setup | # no heading/make",
                "Guide > Setup | a | b | /1 | 2 |",
                "Guide > Setup > Deep | quoted",
                "Guide > Use | Go.",
            ],
        );
    }

    #[test]
    fn odd_markdown_is_no_trouble() {
        check("", "", &[]);
        check("<p align=center><img src=x></p>\n", "", &[]);
        check("<b>bold</b> words\n", "", &[" | bold words"]);
        check("### Low first\n\ntext\n\n# High\n\nmore", "Low first", &["Low first | text", "High | more"]);
        check("***\n\n---\n", "", &[]);
    }
}
