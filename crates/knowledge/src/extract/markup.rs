//! Text with marks for headings: reStructuredText, AsciiDoc, Org, LaTeX. Only headings are understood; the rest is
//! paragraphs as they stand, so that a citation's offsets point into the file.

use super::{Extracted, Outline, text};

/// How headings are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// A line below the heading, and maybe one above; levels by the order in which marks come.
    ReStructured,
    /// `=` signs before it.
    AsciiDoc,
    /// Stars before it.
    Org,
    /// `\section{...}` and the like.
    Tex,
}

/// LaTeX's commands for headings, outermost first.
const TEX_HEADINGS: &[&str] =
    &["\\part", "\\chapter", "\\section", "\\subsection", "\\subsubsection", "\\paragraph"];

/// Reads a document.
pub(crate) fn extract(dialect: Dialect, source: String) -> Extracted {
    let mut reading =
        Reading { dialect, outline: Outline::default(), title: String::new(), marks: Vec::new() };
    let mut blocks = Vec::new();
    for (span, plain) in text::paragraphs(&source) {
        blocks.extend(reading.take(&source, span, plain));
    }
    blocks.retain(|block| block.plain.contains(char::is_alphanumeric));
    Extracted { title: reading.title, text: source, blocks }
}

struct Reading {
    dialect: Dialect,
    outline: Outline,
    title: String,
    /// Underlines of reStructuredText in the order in which they came: the first is the outermost.
    marks: Vec<(char, bool)>,
}

impl Reading {
    /// Takes the headings off a paragraph; what is left is a block, or several.
    fn take(&mut self, source: &str, span: std::ops::Range<usize>, plain: &str) -> Vec<super::Block> {
        let lines: Vec<&str> = plain.split_inclusive('\n').collect();
        let mut blocks = Vec::new();
        let mut open = None;
        let mut place = span.start;
        let mut number = 0;
        while number < lines.len() {
            let (used, heading) = self
                .heading(&lines[number..])
                .map_or((1, None), |(used, level, words)| (used, Some((level, words))));
            let bytes: usize = lines[number..number + used].iter().map(|line| line.len()).sum();
            match heading {
                Some((level, words)) => {
                    if let Some(start) = open.take() {
                        blocks.push(text::paragraph(source, start, place, &self.outline.path()));
                    }
                    if self.title.is_empty() {
                        self.title = super::one_line(&words);
                    }
                    self.outline.enter(level, &words);
                }
                None => open = open.or(Some(place)),
            }
            place += bytes;
            number += used;
        }
        if let Some(start) = open {
            blocks.push(text::paragraph(source, start, place, &self.outline.path()));
        }
        blocks
    }

    /// The heading that `lines` begin with: how many lines it takes, its level and its words.
    fn heading(&mut self, lines: &[&str]) -> Option<(usize, usize, String)> {
        let line = lines.first()?.trim_end();
        match self.dialect {
            Dialect::AsciiDoc => marked(line, '='),
            Dialect::Org => marked(line, '*'),
            Dialect::Tex => {
                let (level, rest) = TEX_HEADINGS.iter().enumerate().find_map(|(level, command)| {
                    let rest = line.trim_start().strip_prefix(command)?;
                    Some((level, rest.strip_prefix('*').unwrap_or(rest)))
                })?;
                let words = rest.strip_prefix('{')?.split('}').next()?;
                Some((1, level + 1, words.to_owned()))
            }
            Dialect::ReStructured => {
                if let (Some(mark), Some(words), Some(below)) = (rule(line), lines.get(1), lines.get(2))
                    && rule(below) == Some(mark)
                    && rule(words).is_none()
                {
                    return Some((3, self.level(mark, true), words.trim().to_owned()));
                }
                let mark = lines.get(1).and_then(|below| rule(below))?;
                let is_heading = rule(line).is_none() && line.contains(char::is_alphanumeric);
                is_heading.then(|| (2, self.level(mark, false), line.to_owned()))
            }
        }
    }

    fn level(&mut self, mark: char, has_line_above: bool) -> usize {
        let known = self.marks.iter().position(|known| *known == (mark, has_line_above));
        known.unwrap_or_else(|| {
            self.marks.push((mark, has_line_above));
            self.marks.len() - 1
        }) + 1
    }
}

/// A heading behind one or more of `mark` and a space.
fn marked(line: &str, mark: char) -> Option<(usize, usize, String)> {
    let words = line.trim_start_matches(mark);
    let level = line.len() - words.len();
    let is_heading =
        (1..=6).contains(&level) && words.starts_with(' ') && words.contains(char::is_alphanumeric);
    is_heading.then(|| (1, level, words.to_owned()))
}

/// The character of a line that is nothing but three or more of one sign.
fn rule(line: &str) -> Option<char> {
    let line = line.trim_end();
    let mark = line.chars().next().filter(char::is_ascii_punctuation)?;
    (line.len() >= 3 && line.chars().all(|c| c == mark)).then_some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dialect: Dialect, source: &str, title: &str, expected: &[&str]) {
        let extracted = extract(dialect, source.to_owned());
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
    fn headings_are_found_in_every_dialect() {
        check(
            Dialect::ReStructured,
            "=====\nGuide\n=====\n\nHello.\n\nSetup\n-----\nRun it.\n\nDeep\n~~~~\n\nx\n\nUse\n---\n\ny\n\n----\n",
            "Guide",
            &["Guide | Hello.", "Guide > Setup | Run it.", "Guide > Setup > Deep | x", "Guide > Use | y"],
        );
        check(
            Dialect::AsciiDoc,
            "= Guide\nAuthor\n\n== Setup\n\nRun.\n====\n",
            "Guide",
            &["Guide | Author", "Guide > Setup | Run./===="],
        );
        check(Dialect::Org, "* A\nx\n** B\ny\n*bold* z\n", "A", &["A | x", "A > B | y/*bold* z"]);
        check(
            Dialect::Tex,
            "\\section{One}\nText.\n\\subsection*{Two}\nMore.",
            "One",
            &["One | Text.", "One > Two | More."],
        );
        check(Dialect::Tex, "", "", &[]);
    }
}
