//! A PDF's bookmarks and its title, as text.

use hayro_interpret::hayro_syntax::Pdf;
use hayro_interpret::hayro_syntax::object::{Dict, String as Bytes};

use crate::extract::one_line;

/// Bookmarks that are read; a chain of them may be a circle.
const BOOKMARKS_MAX: usize = 5_000;

/// Bookmarks inside each other.
const DEPTH_MAX: usize = 6;

/// A bookmark: its depth from 1, and its title.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bookmark {
    pub(super) level: usize,
    pub(super) title: String,
}

/// The bookmarks in their order.
pub(super) fn bookmarks(pdf: &Pdf) -> Vec<Bookmark> {
    let root = pdf.xref().get::<Dict<'_>>(pdf.xref().root_id());
    let first = root.and_then(|root| root.get::<Dict<'_>>(b"Outlines")?.get::<Dict<'_>>(b"First"));
    let mut found = Vec::new();
    let mut open: Vec<(usize, Dict<'_>)> = first.map(|first| (1, first)).into_iter().collect();
    while let Some((level, entry)) = open.pop() {
        if found.len() >= BOOKMARKS_MAX {
            break;
        }
        let title = entry.get::<Bytes<'_>>(b"Title").map(|title| one_line(&decoded(title.as_bytes())));
        found.push(Bookmark { level, title: title.unwrap_or_default() });
        open.extend(entry.get::<Dict<'_>>(b"Next").map(|next| (level, next)));
        if level < DEPTH_MAX {
            open.extend(entry.get::<Dict<'_>>(b"First").map(|first| (level + 1, first)));
        }
    }
    found
}

/// A text string of a PDF: UTF-16 or UTF-8 with a mark, otherwise near enough to Windows-1252.
pub(super) fn decoded(bytes: &[u8]) -> String {
    let (encoding, mark) = encoding_rs::Encoding::for_bom(bytes).unwrap_or((encoding_rs::WINDOWS_1252, 0));
    encoding.decode_without_bom_handling(&bytes[mark..]).0.into_owned()
}

/// The title that a file carries, where it is one and not the name of the file that it was made from.
pub(super) fn title(carried: &str) -> String {
    let title = one_line(&carried.replace(char::is_control, " "));
    let lower = title.to_lowercase();
    let is_name = lower.starts_with("microsoft word")
        || lower.starts_with("untitled")
        || [".doc", ".docx", ".tex", ".dvi", ".pdf", ".indd", ".rtf", ".odt", ".ps"]
            .iter()
            .any(|end| lower.ends_with(end));
    if is_name { String::new() } else { title }
}
