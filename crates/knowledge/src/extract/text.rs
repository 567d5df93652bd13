//! Plain text into paragraphs.

use std::sync::Arc;

use super::{Block, Extracted, Form};

/// Reads plain text: blank lines part paragraphs. `title` is what the caller knows, empty where nothing.
pub(crate) fn extract(title: String, text: String) -> Extracted {
    let section: Arc<str> = title.as_str().into();
    let mut blocks = Vec::new();
    let mut start = None;
    let mut place = 0;
    for line in text.split_inclusive('\n') {
        let blank = line.trim().is_empty();
        match start {
            None if !blank => start = Some(place),
            Some(from) if blank => {
                blocks.push(paragraph(&text, from, place, &section));
                start = None;
            }
            _ => {}
        }
        place += line.len();
    }
    if let Some(from) = start {
        blocks.push(paragraph(&text, from, place, &section));
    }
    blocks.retain(|block| block.plain.contains(char::is_alphanumeric));
    Extracted { title, text, blocks }
}

fn paragraph(text: &str, start: usize, end: usize, section: &Arc<str>) -> Block {
    let plain = text[start..end].trim_end();
    let span = start..start + plain.len();
    Block { form: Form::Prose, span, plain: plain.to_owned(), section: section.clone() }
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
