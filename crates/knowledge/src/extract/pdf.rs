//! PDF: glyphs on pages into paragraphs below headings, through hayro, which forbids unsafe code and takes glyphs back to
//! characters.
//!
//! A PDF is a program by a stranger, so it is run within bounds: a thread with a deep stack, where a panic of the reader ends
//! one file and not the build; a deadline and a cap on glyphs, checked whenever something is drawn; caps on pages and on what its
//! streams unpack to, checked before they are read. What remains: streams that only a decrypted or an unpacked stream leads
//! to are counted after the cross-reference table was read, and a page that computes for long without drawing anything is
//! not interrupted before its end, which the cap on unpacked bytes bounds.

mod glyphs;
mod layout;
mod outline;
mod unpacked;

use std::time::{Duration, Instant};

use hayro_interpret::hayro_syntax::{LoadPdfError, Pdf};
use hayro_interpret::kurbo::{Affine, Rect};
use hayro_interpret::{Context, InterpreterCache, InterpreterSettings, interpret_page};

use self::glyphs::{Collector, Limit};
use super::Extracted;

/// The depth of its own that hayro allows (512 objects, 50 forms) took less than 8 MiB when measured.
const STACK_BYTES: usize = 64 * 1024 * 1024;

const PAGES_MAX: usize = 5_000;

/// Wall time for one file. A hundred pages of text take about a second.
const TIME_MAX: Duration = Duration::from_secs(60);

/// `%PDF-` may stand behind other bytes, but not behind more than these.
const HEADER_BYTES: usize = 1_024;

/// Reads a document.
///
/// # Errors
/// It is damaged, encrypted, too large, takes too long, or holds no text.
pub(super) fn extract(bytes: Vec<u8>) -> Result<Extracted, String> {
    let head = &bytes[..bytes.len().min(HEADER_BYTES)];
    if !head.windows(5).any(|window| window == b"%PDF-") {
        return Err(String::from("is no PDF: it does not begin with %PDF-"));
    }
    read_until(bytes, Instant::now() + TIME_MAX)
}

/// Reads on a thread of its own, whose panics end there.
pub(super) fn read_until(bytes: Vec<u8>, deadline: Instant) -> Result<Extracted, String> {
    unpacked::check_bytes(&bytes)?;
    let thread = std::thread::Builder::new().name(String::from("pdf")).stack_size(STACK_BYTES);
    let reader = thread.spawn(move || read(bytes, deadline));
    let reader = reader.map_err(|error| format!("cannot be read: no thread for it: {error}"))?;
    reader.join().unwrap_or_else(|panic| {
        let limit = panic.downcast_ref::<Limit>();
        Err(limit.map_or_else(
            || String::from("is damaged in a way that its reader does not bear"),
            Limit::to_string,
        ))
    })
}

fn read(bytes: Vec<u8>, deadline: Instant) -> Result<Extracted, String> {
    let pdf = Pdf::new(bytes).map_err(|error| match error {
        LoadPdfError::Decryption(_) => String::from("is encrypted"),
        LoadPdfError::Invalid => String::from("is damaged: it has no table of its objects"),
    })?;
    unpacked::check_streams(&pdf)?;
    let pages = pdf.pages();
    if pages.is_empty() {
        return Err(String::from("is damaged: it has no pages"));
    }
    if pages.len() > PAGES_MAX {
        return Err(format!("has more than {PAGES_MAX} pages"));
    }
    let cache = InterpreterCache::new();
    let mut collector = Collector::new(deadline);
    let mut laid_out = Vec::with_capacity(pages.len());
    for page in pages.iter() {
        collector.check()?;
        let bounds = Rect::new(0.0, 0.0, 1.0, 1.0);
        let mut context =
            Context::new(Affine::IDENTITY, bounds, &cache, pdf.xref(), InterpreterSettings::default());
        interpret_page(page, &mut context, &mut collector);
        laid_out.push(layout::lines(&collector.take_page()));
    }
    if collector.is_unreadable() {
        return Err(String::from("draws glyphs without saying which characters they are"));
    }
    if laid_out.iter().all(Vec::is_empty) {
        return Err(String::from("has no text: it may be scanned"));
    }
    let title = pdf.metadata().title.as_deref().map(outline::decoded).unwrap_or_default();
    Ok(layout::document(&outline::title(&title), &laid_out, &outline::bookmarks(&pdf)))
}
