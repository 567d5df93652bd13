//! The text of a Word document: paragraphs, headings, lists, tables, and the notes below the paragraph that refers to them.

use quick_xml::events::BytesStart;

use super::{Notes, Styles, Token, attribute, tokens};
use crate::extract::{Cut, Extracted, Outline, cell, one_line};

/// Elements whose inside is no text: properties, deleted and moved words, and the copies that older programs read.
const SKIPPED: &[&str] = &[
    "del",
    "moveFrom",
    "Fallback",
    "instrText",
    "delText",
    "sdtPr",
    "tblPr",
    "tblGrid",
    "trPr",
    "tcPr",
    "sectPr",
    "rPr",
    "binData",
    "pict",
];

/// Reads the main part. `title` is what the package says, empty where nothing.
pub(super) fn read(part: &str, styles: &Styles, notes: &Notes, title: String) -> Result<Extracted, String> {
    let extracted = Extracted { title, ..Extracted::default() };
    let mut reading = Reading {
        styles,
        notes,
        extracted,
        outline: Outline::default(),
        names: Vec::new(),
        skipped_below: None,
        paragraphs: Vec::new(),
        items: String::new(),
        tables: 0,
        cell: String::new(),
        row: Vec::new(),
        rows: Vec::new(),
    };
    tokens(part, |token, depth| reading.take(token, depth))?;
    reading.flush_items();
    Ok(reading.extracted)
}

#[derive(Default)]
struct Paragraph {
    words: String,
    style: Option<String>,
    outline: Option<usize>,
    /// The depth of the list that it is an item of.
    list: Option<usize>,
    is_unlisted: bool,
    notes: Vec<(&'static str, String)>,
}

struct Reading<'a> {
    styles: &'a Styles,
    notes: &'a Notes,
    extracted: Extracted,
    outline: Outline,
    /// Elements that are open.
    names: Vec<String>,
    /// The depth of the element whose inside is passed over.
    skipped_below: Option<usize>,
    /// Paragraphs that are open: a text box in one holds others.
    paragraphs: Vec<Paragraph>,
    /// Items of the list that is being read, a line each.
    items: String,
    /// Tables that are open; the words of inner ones go into the outermost one's cell.
    tables: usize,
    cell: String,
    row: Vec<String>,
    rows: Vec<String>,
}

impl Reading<'_> {
    fn take(&mut self, token: Token<'_>, depth: usize) {
        match token {
            Token::Open(element) => {
                let name = element.local_name().as_ref().to_owned();
                if self.skipped_below.is_none() {
                    if SKIPPED.contains(&name.as_str()) {
                        self.skipped_below = Some(depth);
                    } else {
                        self.open(&name, &element);
                    }
                }
                self.names.push(name);
            }
            Token::Close => {
                let name = self.names.pop().unwrap_or_default();
                match self.skipped_below {
                    Some(below) if below == depth => self.skipped_below = None,
                    Some(_) => {}
                    None => self.close(&name),
                }
            }
            Token::Text(text) => {
                let is_text =
                    self.skipped_below.is_none() && self.names.last().is_some_and(|name| name == "t");
                if let (true, Some(paragraph)) = (is_text, self.paragraphs.last_mut()) {
                    paragraph.words.push_str(&text);
                }
            }
        }
    }

    fn open(&mut self, name: &str, element: &BytesStart<'_>) {
        let in_properties = self.names.iter().rev().take(3).any(|name| name == "pPr");
        match name {
            "p" => self.paragraphs.push(Paragraph::default()),
            "tbl" => {
                if self.tables == 0 {
                    self.flush_items();
                }
                self.tables += 1;
            }
            _ => {}
        }
        let Some(paragraph) = self.paragraphs.last_mut() else { return };
        let value = || attribute(element, "val");
        let number = || value().and_then(|value| value.parse::<usize>().ok());
        match (name, in_properties) {
            ("pStyle", true) => paragraph.style = value(),
            ("outlineLvl", true) => paragraph.outline = number(),
            ("numPr", true) => paragraph.list = Some(0),
            ("ilvl", true) => paragraph.list = number(),
            ("numId", true) => paragraph.is_unlisted = number() == Some(0),
            ("tab", false) => paragraph.words.push(' '),
            ("br" | "cr", false) => paragraph.words.push('\n'),
            ("noBreakHyphen", false) => paragraph.words.push('-'),
            ("footnoteReference", false) => {
                paragraph.notes.extend(attribute(element, "id").map(|id| ("footnote", id)));
            }
            ("endnoteReference", false) => {
                paragraph.notes.extend(attribute(element, "id").map(|id| ("endnote", id)));
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "p" => {
                if let Some(paragraph) = self.paragraphs.pop() {
                    self.paragraph(&paragraph);
                }
            }
            "tc" if self.tables == 1 => self.row.push(cell(&std::mem::take(&mut self.cell))),
            "tr" if self.tables == 1 => {
                let row = std::mem::take(&mut self.row);
                if row.iter().any(|cell| !cell.is_empty()) {
                    self.rows.push(row.join(" | "));
                }
            }
            "tbl" => {
                self.tables = self.tables.saturating_sub(1);
                if self.tables == 0 {
                    let rows = std::mem::take(&mut self.rows);
                    let has_header = rows.len() > 1;
                    self.extracted.push(Cut::Lines, &rows.join("\n"), &self.outline.path(), has_header);
                }
            }
            _ => {}
        }
    }

    fn paragraph(&mut self, paragraph: &Paragraph) {
        let lines: Vec<String> =
            paragraph.words.split('\n').map(one_line).filter(|line| !line.is_empty()).collect();
        let words = lines.join("\n");
        if self.tables > 0 {
            self.cell.push(' ');
            self.cell.push_str(&words);
            for note in &paragraph.notes {
                let words = self.notes.get(note).map_or("", String::as_str);
                self.cell.push_str(&format!(" ({words})"));
            }
            return;
        }
        if words.is_empty() {
            return;
        }
        let style = paragraph.style.as_deref().unwrap_or_default();
        let own = paragraph.outline.map(|level| (level < 9).then_some(level + 1));
        if let Some(level) = own.unwrap_or_else(|| self.styles.heading(style)) {
            self.heading(level, &one_line(&words));
        } else if let Some(depth) = self.list_depth(paragraph, style) {
            if !self.items.is_empty() {
                self.items.push('\n');
            }
            self.items.push_str(&"  ".repeat(depth.min(8)));
            self.items.push_str("* ");
            self.items.push_str(&words.replace('\n', " "));
        } else {
            self.flush_items();
            self.extracted.push(Cut::Prose, &words, &self.outline.path(), false);
        }
        for note in &paragraph.notes {
            if let Some(words) = self.notes.get(note) {
                self.flush_items();
                self.extracted.push(Cut::Prose, words, &self.outline.path(), false);
            }
        }
    }

    fn list_depth(&self, paragraph: &Paragraph, style: &str) -> Option<usize> {
        if paragraph.is_unlisted {
            return None;
        }
        paragraph.list.or_else(|| self.styles.is_list(style).then_some(0))
    }

    fn heading(&mut self, level: usize, heading: &str) {
        self.flush_items();
        if self.extracted.title.is_empty() {
            heading.clone_into(&mut self.extracted.title);
        }
        self.outline.enter(level, heading);
        self.extracted.push_heading(heading);
    }

    fn flush_items(&mut self) {
        let items = std::mem::take(&mut self.items);
        self.extracted.push(Cut::Lines, &items, &self.outline.path(), false);
    }
}
