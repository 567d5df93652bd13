//! Plain text into paragraphs.

use std::ops::Range;
use std::sync::Arc;

use super::{Block, Cut, Extracted};

/// Reads plain text: blank lines part paragraphs. `title` is what the caller knows, empty where nothing.
pub(crate) fn extract(title: String, text: String) -> Extracted {
    let section: Arc<str> = title.as_str().into();
    let paragraphs = paragraphs(&text).into_iter();
    let blocks = paragraphs.filter(|(_, plain)| plain.contains(char::is_alphanumeric));
    let blocks = blocks.map(|(span, _)| paragraph(&text, span.start, span.end, &section)).collect();
    Extracted { title, text, blocks }
}

/// The stretches between blank lines, without the white space at their ends.
pub(crate) fn paragraphs(text: &str) -> Vec<(Range<usize>, &str)> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut is_open = false;
    let mut place = 0;
    for line in text.split_inclusive('\n') {
        let is_blank = line.trim().is_empty();
        let end = place + line.trim_end().len();
        match found.last_mut() {
            Some(last) if is_open && !is_blank => last.end = end,
            _ if !is_blank => found.push(place..end),
            _ => {}
        }
        is_open = !is_blank;
        place += line.len();
    }
    found.into_iter().map(|span| (span.clone(), &text[span])).collect()
}

/// A paragraph from `start` to at most `end` as a block.
pub(crate) fn paragraph(text: &str, start: usize, end: usize, section: &Arc<str>) -> Block {
    let plain = text[start..end].trim_end();
    let span = start..start + plain.len();
    Block { cut: Cut::Prose, span, plain: plain.to_owned(), section: section.clone(), header: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_part_paragraphs() {
        let extracted = extract(String::from("T"), String::from("\n\none\ntwo\r\n \t\nthree  \n\n---\n"));
        let plain: Vec<&str> = extracted.blocks.iter().map(|block| block.plain.as_str()).collect();
        assert_eq!(plain, ["one\ntwo", "three"]);
        for block in &extracted.blocks {
            assert_eq!(&extracted.text[block.span.clone()], block.plain);
            assert_eq!(&*block.section, "T");
        }
    }
}
