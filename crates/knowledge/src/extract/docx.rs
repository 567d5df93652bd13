//! Word documents: the package of XML files, how its styles are to be understood, and its notes.
//!
//! `body` reads the text itself. Everything is bounded: only known parts are unpacked, each up to a size, together up to
//! another; XML is read as a stream, its entities are the five predefined ones, and nothing is fetched.

mod body;

use std::collections::HashMap;
use std::io::{Cursor, Read};

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use zip::ZipArchive;
use zip::result::ZipError;

use super::{Extracted, encoding, one_line};

/// What all parts that are read may unpack to. A thousand pages of text are about ten million bytes of XML.
const UNPACKED_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Elements inside each other; real documents have some tens.
const DEPTH_MAX: usize = 500;

/// Styles that rest on each other.
const STYLES_BASED_MAX: usize = 16;

/// The first bytes of the container that old Word files and encrypted new ones are in.
const COMPOUND_FILE: &[u8] = b"\xd0\xcf\x11\xe0";

/// Reads a document.
///
/// # Errors
/// It is damaged, encrypted, or larger than any document of its kind.
pub(super) fn extract(bytes: &[u8]) -> Result<Extracted, String> {
    if bytes.starts_with(COMPOUND_FILE) {
        return Err(String::from("is encrypted, or of Word's old binary format"));
    }
    let mut package = Package::open(bytes)?;
    let styles = package.part("word/styles.xml")?.map(|part| styles(&part)).transpose()?.unwrap_or_default();
    let mut notes = HashMap::new();
    for (kind, part) in [("footnote", "word/footnotes.xml"), ("endnote", "word/endnotes.xml")] {
        if let Some(part) = package.part(part)? {
            read_notes(kind, &part, &mut notes)?;
        }
    }
    let title = package.part("docProps/core.xml")?.map(|part| title(&part)).transpose()?.unwrap_or_default();
    let Some(document) = package.document()? else {
        return Err(String::from("is no Word document: it has no word/document.xml"));
    };
    body::read(&document, &styles, &notes, title)
}

/// The archive, and how much more of it may be unpacked.
struct Package<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    bytes_left: u64,
}

impl<'a> Package<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(&error))?;
        Ok(Self { archive, bytes_left: UNPACKED_BYTES_MAX })
    }

    /// The main part. Some programs number it.
    fn document(&mut self) -> Result<Option<String>, String> {
        let is_document = |name: &str| {
            name.strip_prefix("word/document")
                .and_then(|rest| rest.strip_suffix(".xml"))
                .is_some_and(|number| number.chars().all(|c| c.is_ascii_digit()))
        };
        let names = self.archive.file_names().filter_map(Result::ok);
        let name = names.map(|name| name.into_owned()).find(|name| is_document(name));
        name.map_or(Ok(None), |name| self.part(&name))
    }

    fn part(&mut self, name: &str) -> Result<Option<String>, String> {
        let mut file = match self.archive.by_name(name) {
            Ok(file) => file,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(damaged(&error)),
        };
        let mut bytes = Vec::new();
        let limit = self.bytes_left + 1;
        let read = (&mut file).take(limit).read_to_end(&mut bytes);
        let read = read.map_err(|error| damaged(&error))? as u64;
        self.bytes_left = self
            .bytes_left
            .checked_sub(read)
            .ok_or_else(|| format!("unpacks to more than {UNPACKED_BYTES_MAX} bytes"))?;
        encoding::decode(bytes, encoding::declared_in_xml).map(Some)
    }
}

fn damaged(error: &dyn std::fmt::Display) -> String {
    format!("is damaged: {error}")
}

/// A piece of XML, namespaces left out.
enum Token<'a> {
    Open(BytesStart<'a>),
    Close,
    Text(String),
}

/// Hands the pieces of `part` to `take` with the number of elements that each stands in.
fn tokens<'a>(part: &'a str, mut take: impl FnMut(Token<'a>, usize)) -> Result<(), String> {
    let mut reader = Reader::from_str(part);
    reader.config_mut().expand_empty_elements = true;
    let mut depth = 0_usize;
    loop {
        match reader.read_event().map_err(|error| damaged(&error))? {
            Event::Start(element) => {
                take(Token::Open(element), depth);
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(format!("is nested deeper than {DEPTH_MAX} elements"));
                }
            }
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                take(Token::Close, depth);
            }
            Event::Text(text) => take(Token::Text(text.xml10_content().into_owned()), depth),
            Event::CData(text) => take(Token::Text(text.xml10_content().into_owned()), depth),
            Event::GeneralRef(entity) => {
                let known = || resolve_predefined_entity(&entity).map(str::to_owned);
                let character = entity.resolve_char_ref().ok().flatten();
                // An entity that the file defines itself stays unsaid.
                let text = character.map(String::from).or_else(known).unwrap_or_default();
                take(Token::Text(text), depth);
            }
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

/// The value of an attribute by its local name.
fn attribute(element: &BytesStart<'_>, key: &str) -> Option<String> {
    let mut attributes = element.attributes();
    let found =
        attributes.with_checks(false).flatten().find(|attribute| attribute.key.local_name().as_ref() == key);
    found.and_then(|attribute| {
        attribute.normalized_value(XmlVersion::Implicit1_0).ok().map(|value| value.into_owned())
    })
}

/// What a paragraph's style says of it.
#[derive(Clone, Debug, Default)]
struct Style {
    name: String,
    based_on: Option<String>,
    /// Word's own level: 0 is the outermost, 9 is body text.
    outline: Option<usize>,
    is_list: bool,
}

/// Styles by their ids.
#[derive(Debug, Default)]
struct Styles(HashMap<String, Style>);

impl Styles {
    /// The level of the heading that a style makes: 0 for the document's title.
    fn heading(&self, id: &str) -> Option<usize> {
        self.chain(id).find_map(|style| {
            if style.name == "title" {
                return Some(0);
            }
            let by_name = style.name.strip_prefix("heading ").and_then(|level| level.parse().ok());
            by_name
                .filter(|level| (1..=9).contains(level))
                .or(style.outline.filter(|&level| level < 9).map(|level| level + 1))
        })
    }

    fn is_list(&self, id: &str) -> bool {
        self.chain(id).any(|style| {
            style.is_list || style.name.starts_with("list bullet") || style.name.starts_with("list number")
        })
    }

    /// A style and those that it is based on.
    fn chain<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a Style> {
        let based_on = |style: &&'a Style| style.based_on.as_ref().and_then(|id| self.0.get(id));
        std::iter::successors(self.0.get(id), based_on).take(STYLES_BASED_MAX)
    }
}

fn styles(part: &str) -> Result<Styles, String> {
    let mut styles = Styles::default();
    let mut open: Option<(String, Style)> = None;
    tokens(part, |token, _| {
        let Token::Open(element) = token else { return };
        let value = || attribute(&element, "val");
        match (element.local_name().as_ref(), &mut open) {
            ("style", open) => {
                let before =
                    open.replace((attribute(&element, "styleId").unwrap_or_default(), Style::default()));
                styles.0.extend(before);
            }
            ("name", Some((_, style))) => style.name = value().unwrap_or_default().to_lowercase(),
            ("basedOn", Some((_, style))) => style.based_on = value(),
            ("outlineLvl", Some((_, style))) => style.outline = value().and_then(|level| level.parse().ok()),
            ("numPr", Some((_, style))) => style.is_list = true,
            _ => {}
        }
    })?;
    styles.0.extend(open);
    Ok(styles)
}

/// Notes by their kind and id.
type Notes = HashMap<(&'static str, String), String>;

fn read_notes(kind: &'static str, part: &str, notes: &mut Notes) -> Result<(), String> {
    let mut open: Option<(String, String)> = None;
    let mut in_text = false;
    tokens(part, |token, _| match token {
        Token::Open(element) => {
            let element_name = element.local_name();
            let element_name = element_name.as_ref();
            if element_name == kind {
                notes.extend(open.take().map(|(id, words)| ((kind, id), one_line(&words))));
                // Separators are notes to Word, too.
                let is_note = attribute(&element, "type").is_none_or(|kind| kind == "normal");
                open = attribute(&element, "id").filter(|_| is_note).map(|id| (id, String::new()));
            }
            in_text = element_name == "t";
            if let (Some((_, words)), "p" | "tab" | "br") = (&mut open, element_name) {
                words.push(' ');
            }
        }
        Token::Text(text) if in_text => {
            if let Some((_, words)) = &mut open {
                words.push_str(&text);
            }
        }
        Token::Close => in_text = false,
        Token::Text(_) => {}
    })?;
    notes.extend(open.map(|(id, words)| ((kind, id), one_line(&words))));
    Ok(())
}

fn title(part: &str) -> Result<String, String> {
    let mut title = String::new();
    let mut inside = false;
    tokens(part, |token, _| match token {
        Token::Open(element) => inside = element.local_name().as_ref() == "title",
        Token::Text(text) if inside => title.push_str(&text),
        Token::Text(_) => {}
        Token::Close => inside = false,
    })?;
    Ok(one_line(&title))
}
