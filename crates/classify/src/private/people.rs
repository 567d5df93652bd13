//! People in a text: e-mail addresses, names that are given as somebody's, postal addresses, birth dates, health.
//!
//! Owns heuristics of high precision: a name counts where it is introduced ("my name is", "patient", "Name:"), because the
//! names of the famous are no secret. Refuses to search names everywhere: that takes a model.

use api::PrivateKind;

use super::Finding;
use super::markers::{Marked, Marker};
use crate::view::head;

/// Looks for people: for addresses with an @ and postcodes everywhere, for the rest beside the markers.
pub(super) fn find(text: &str, marked: &[Marked], findings: &mut Vec<Finding>) {
    emails(text, findings);
    postcodes(text, findings);
    for mark in marked {
        let found = match mark.marker {
            Marker::Introduction(one, two) => name(text, mark.end, one, two),
            Marker::StreetAfter => street_after(text, *mark),
            Marker::StreetEnd => street_end(text, *mark),
            Marker::StreetBefore => street_before(text, *mark),
            Marker::Birth(strength) => birth_date(text, mark.end, strength),
            Marker::Health(strength) => {
                Some(Finding { kind: PrivateKind::Health, start: mark.start, end: mark.end, strength })
            }
            Marker::Secret | Marker::Bearer | Marker::Pem => None,
        };
        findings.extend(found);
    }
}

// === E-mail ===

fn emails(text: &str, findings: &mut Vec<Finding>) {
    for (at, _) in text.match_indices('@') {
        let is_local = |byte: &u8| byte.is_ascii_alphanumeric() || b"._%+-".contains(byte);
        let local = text.as_bytes()[..at].iter().rev().take_while(|byte| is_local(byte)).count();
        let domain = text.as_bytes()[at + 1..]
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || b".-".contains(byte));
        let domain = &text[at + 1..at + 1 + domain.count()];
        let domain = domain.trim_end_matches(['.', '-']);
        let top = domain.rsplit('.').next().unwrap_or_default();
        let good_top =
            domain.contains('.') && top.len() >= 2 && top.bytes().all(|byte| byte.is_ascii_alphabetic());
        let local_text = &text[at - local..at];
        if local > 0 && good_top && !domain.contains("..") && local_text != "git" {
            let (start, end) = (at - local, at + 1 + domain.len());
            findings.push(Finding { kind: PrivateKind::Email, start, end, strength: 0.95 });
        }
    }
}

// === Names ===

/// The name that starts at `start`, with how sure it is for one word and for more.
fn name(text: &str, start: usize, one: f32, two: f32) -> Option<Finding> {
    let (end, words) = capitalised(text, start);
    let strength = if words >= 2 { two } else { one };
    (words > 0 && strength > 0.0).then_some(Finding { kind: PrivateKind::Person, start, end, strength })
}

/// The end of up to four capitalised words that start here, and how many they are.
fn capitalised(text: &str, start: usize) -> (usize, usize) {
    const NAME_WORDS_MAX: usize = 4;
    let (mut end, mut count) = (start, 0);
    for word in text[start..].split_inclusive(' ').take(NAME_WORDS_MAX) {
        let bare = word.trim_end_matches(|letter: char| !letter.is_alphabetic());
        let mut letters = bare.chars();
        let capital = letters.next().is_some_and(char::is_uppercase);
        let small = letters.clone().count() > 0
            && letters.all(|letter| letter.is_lowercase() || "-'’.".contains(letter));
        if !capital || !small {
            break;
        }
        count += 1;
        end = start + (word.as_ptr() as usize - text[start..].as_ptr() as usize) + bare.len();
        // A mark behind the word ends the name.
        if word[bare.len()..].starts_with([',', '.', ';', ':', '!', '?', ')', '\n']) && bare.len() > 2 {
            break;
        }
    }
    (end, count)
}

// === Postal addresses ===

const fn address(start: usize, end: usize) -> Option<Finding> {
    Some(Finding { kind: PrivateKind::Address, start, end, strength: 0.8 })
}

/// `42 Maple Street`.
fn street_after(text: &str, mark: Marked) -> Option<Finding> {
    if text[mark.end..].starts_with(char::is_alphabetic) {
        return None;
    }
    address(number_before(text, mark.start)?, mark.end)
}

/// `Lindenstraße 12`.
fn street_end(text: &str, mark: Marked) -> Option<Finding> {
    let end = mark.end - 1;
    let start = word_start(text, mark.start);
    (starts_with_number(&text[end..]) && starts_capital(&text[start..]))
        .then(|| address(start, end))
        .flatten()
}

/// `12 rue Monge`, `Calle Mayor 5`.
fn street_before(text: &str, mark: Marked) -> Option<Finding> {
    let spaced = text[mark.start..].starts_with(' ');
    let before =
        text[..mark.start].trim_end_matches([',', ' ']).ends_with(|letter: char| letter.is_ascii_digit());
    let (end, words) = capitalised(text, mark.end);
    let after = starts_with_number(text[end..].trim_start_matches([',', ' ']));
    (words > 0 && ((before && spaced) || after)).then(|| address(mark.start, end)).flatten()
}

fn starts_with_number(text: &str) -> bool {
    let text = text.trim_start();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (1..=4).contains(&digits) && !text[digits..].starts_with(['%', '.'])
}

fn starts_capital(text: &str) -> bool {
    text.starts_with(char::is_uppercase)
}

fn word_start(text: &str, place: usize) -> usize {
    let mut letters = text[..place].char_indices().rev();
    // A space may be longer than one byte (U+00A0, U+3000).
    letters.find(|(_, letter)| letter.is_whitespace()).map_or(0, |(at, space)| at + space.len_utf8())
}

/// The house number before up to three capitalised words that end at `place`.
fn number_before(text: &str, place: usize) -> Option<usize> {
    const STREET_WORDS_MAX: usize = 3;
    let mut start = place;
    for _ in 0..=STREET_WORDS_MAX {
        let before = text[..start].trim_end();
        let word = word_start(text, before.len());
        let piece = &before[word..];
        if piece.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
            && piece.len() <= 6
            && start != place
        {
            let ordinal = piece.ends_with("th")
                || piece.ends_with("st")
                || piece.ends_with("nd")
                || piece.ends_with("rd");
            if !ordinal {
                return Some(word);
            }
        } else if !starts_capital(piece) {
            return None;
        }
        if word == 0 {
            return None;
        }
        start = word;
    }
    None
}

/// British postcodes (`SW1A 1AA`) and American ones behind a state (`CA 94043`).
fn postcodes(text: &str, findings: &mut Vec<Finding>) {
    let pieces: Vec<&str> = text.split([' ', '\n', ',']).collect();
    for pair in pieces.windows(2) {
        let (outward, inward) = (pair[0], pair[1].trim_end_matches(['.', ';', '?', '!', ')', '"']));
        if is_british(outward, inward) {
            let start = outward.as_ptr() as usize - text.as_ptr() as usize;
            let end = inward.as_ptr() as usize - text.as_ptr() as usize + inward.len();
            findings.push(Finding { kind: PrivateKind::Address, start, end, strength: 0.65 });
        }
    }
}

fn is_british(outward: &str, inward: &str) -> bool {
    let (outward, inward) = (outward.as_bytes(), inward.as_bytes());
    let letters = outward.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    (2..=4).contains(&outward.len())
        && (1..=2).contains(&letters)
        && outward.get(letters).is_some_and(u8::is_ascii_digit)
        && outward[letters..].iter().all(u8::is_ascii_alphanumeric)
        && inward.len() == 3
        && inward[0].is_ascii_digit()
        && inward[1..].iter().all(u8::is_ascii_uppercase)
}

// === Birth dates ===

/// The date that stands within a few characters after `after`.
fn birth_date(text: &str, after: usize, strength: f32) -> Option<Finding> {
    const BETWEEN_BYTES_MAX: usize = 24;
    const DATE_BYTES_MAX: usize = 20;
    let digit = head(&text[after..], BETWEEN_BYTES_MAX).find(|letter: char| letter.is_ascii_digit())?;
    let start = after + digit;
    let length = text[start..]
        .find(|letter: char| !letter.is_alphanumeric() && !" ./-,".contains(letter))
        .unwrap_or(text.len() - start);
    let date = head(&text[start..start + length], DATE_BYTES_MAX).trim_end();
    // A day and more, or a year.
    let numbers = date.split(|letter: char| !letter.is_ascii_digit()).filter(|part| !part.is_empty()).count();
    let whole = numbers >= 2 || (numbers == 1 && date.len() >= 4);
    whole.then_some(Finding { kind: PrivateKind::BirthDate, start, end: start + date.len(), strength })
}
