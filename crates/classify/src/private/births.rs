//! Dates of birth.
//!
//! Owns what may stand between a word like "born" and its date, and which dates are a living person's. Refuses years
//! alone where the word is weak: history is full of them.

use api::PrivateKind;

use super::Finding;
use super::markers::{Marked, Marker};
use super::subject::Subject;
use crate::view::head;

/// Looks for dates behind the markers.
pub(super) fn find(text: &str, marked: &[Marked], subject: Subject, findings: &mut Vec<Finding>) {
    for mark in marked {
        if let Marker::Birth(strength) = mark.marker {
            findings.extend(date(text, mark.end, strength, subject));
        }
    }
}

/// The earliest year of birth that somebody alive may have.
const YEAR_MIN: u32 = 1915;

/// The date that stands within a few characters after `after`.
fn date(text: &str, after: usize, strength: f32, subject: Subject) -> Option<Finding> {
    const BETWEEN_BYTES_MAX: usize = 28;
    const DATE_BYTES_MAX: usize = 30;
    const SURE: f32 = 0.87;
    let between = head(&text[after..], BETWEEN_BYTES_MAX);
    let mut start = after + between.find(|letter: char| letter.is_ascii_digit())?;
    if between[..start - after].contains(['?', '!', '\n']) && strength < SURE {
        return None;
    }
    // A month may stand before its day.
    if let Some(month) = between[..start - after].rfind(|letter: char| letter.is_uppercase()) {
        start = after + month;
    }
    let window = head(&text[start..], DATE_BYTES_MAX);
    let length = window
        .find(|letter: char| !letter.is_alphanumeric() && !" ./-,º°".contains(letter))
        .unwrap_or(window.len());
    let window = &window[..length];
    let last = window.rfind(|letter: char| letter.is_ascii_digit())? + 1;
    let tail = if window[last..].starts_with('日') { '日'.len_utf8() } else { 0 };
    let date = &window[..last + tail];
    // A day and more, or a year.
    let numbers: Vec<&str> =
        date.split(|letter: char| !letter.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
    let year = numbers.iter().filter(|part| part.len() == 4).find_map(|part| part.parse::<u32>().ok());
    let whole = numbers.len() >= 2 || (date.len() >= 4 && (year.is_none() || strength >= SURE));
    if !whole || year.is_some_and(|year| !(YEAR_MIN..=2100).contains(&year)) {
        return None;
    }
    let strength = if subject.public && strength < SURE { strength * 0.4 } else { strength };
    Some(Finding { kind: PrivateKind::BirthDate, start, end: start + date.len(), strength })
}
