//! Files of lines: tables as text, and settings.
//!
//! The text is the source itself, so that a citation's offsets point into the file.

use std::sync::Arc;

use super::{Block, Cut, Extracted, Outline};

/// Reads comma- or tab-separated values: one block, whose first line names the columns.
pub(crate) fn table(text: String) -> Extracted {
    let Some(first) = text.find(|c: char| !c.is_whitespace()) else { return Extracted::default() };
    let span = first..text.trim_end().len();
    let header = first..first + text[first..].lines().next().map_or(0, str::len);
    let plain = text[span.clone()].to_owned();
    let block = Block { cut: Cut::Lines, span, plain, section: Arc::from(""), header: Some(header) };
    let blocks = if block.plain.contains(char::is_alphanumeric) { vec![block] } else { Vec::new() };
    Extracted { title: String::new(), text, blocks }
}

/// Reads settings and data (JSON, YAML, TOML, INI, XML, logs): blank lines part blocks, and `[names]` are headings.
pub(crate) fn settings(text: String) -> Extracted {
    let mut outline = Outline::default();
    let mut blocks = Vec::new();
    let mut open: Option<usize> = None;
    let mut place = 0;
    for line in text.split_inclusive('\n') {
        let heading = section_name(line);
        if heading.is_some() || line.trim().is_empty() {
            blocks.extend(open.take().and_then(|start| block(&text, start..place, &outline.path())));
        }
        match heading {
            Some(name) => outline.enter(1, name),
            None if open.is_none() && !line.trim().is_empty() => open = Some(place),
            None => {}
        }
        place += line.len();
    }
    blocks.extend(open.and_then(|start| block(&text, start..place, &outline.path())));
    // Settings that are nothing but names of sections still say something.
    if blocks.is_empty() {
        blocks.extend(block(&text, 0..text.len(), &Arc::from("")));
    }
    Extracted { title: String::new(), text, blocks }
}

fn block(text: &str, span: std::ops::Range<usize>, section: &Arc<str>) -> Option<Block> {
    let plain = text[span.clone()].trim_end();
    let says_something = plain.contains(char::is_alphanumeric);
    says_something.then(|| Block {
        cut: Cut::Indented,
        span: span.start..span.start + plain.len(),
        plain: plain.to_owned(),
        section: section.clone(),
        header: None,
    })
}

/// The name in `[name]` or `[[name]]` alone on a line that is not indented: TOML, INI, unit files.
fn section_name(line: &str) -> Option<&str> {
    let name = line.trim_end().strip_prefix('[')?.strip_suffix(']')?;
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name).trim();
    let is_name = !name.is_empty() && !name.contains(['[', ']', ',', '{', '}']);
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(extracted: &Extracted, expected: &[&str]) {
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
    fn tables_know_their_first_line() {
        let extracted = table(String::from("\nid,name\n1,Ann\n2,\"B\n\"\n"));
        check(&extracted, &[" | id,name/1,Ann/2,\"B/\""]);
        assert_eq!(&extracted.text[extracted.blocks[0].header.clone().unwrap()], "id,name");
        check(&table(String::from(" \n,,\n")), &[]);
        check(&table(String::new()), &[]);
    }

    #[test]
    fn settings_are_parted_by_sections_and_blank_lines() {
        let check = |text: &str, expected: &[&str]| check(&settings(text.to_owned()), expected);
        check(
            "a = 1\n\n[server]\nport = 1\nlist = [\n  2\n]\n\n[[tasks]]\nx = 1",
            &[" | a = 1", "server | port = 1/list = [/  2/]", "tasks | x = 1"],
        );
        check("{\n  \"a\": [1]\n}\n", &[" | {/  \"a\": [1]/}"]);
        check("[1, 2]\n", &[" | [1, 2]"]);
        check("[only]\n", &[" | [only]"]);
        check("---\n", &[]);
    }
}
