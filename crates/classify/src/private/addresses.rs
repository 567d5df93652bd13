//! Postal addresses: a street with a number, a postcode with a town, and the same in East Asia.
//!
//! Owns their forms. Refuses streets without a number and the few houses that everybody knows.

use api::PrivateKind;

use super::Finding;
use super::markers::{Marked, Marker};
use super::subject::Subject;
use crate::view::{head, tail};

/// Houses that everybody knows.
const KNOWN: [&str; 6] =
    ["10 downing", "11 downing", "1600 pennsylvania", "221b baker", "4 privet", "1 infinite"];

/// A street and its number; the same beside a word that tells a home.
const LIKELY: f32 = 0.83;
const SURE: f32 = 0.92;

/// Looks for addresses: beside the markers, and for postcodes everywhere.
pub(super) fn find(text: &str, marked: &[Marked], subject: Subject, findings: &mut Vec<Finding>) {
    let first = findings.len();
    let home = marked.iter().any(|mark| mark.marker == Marker::Home);
    let mut past = 0;
    for mark in marked {
        let found = match mark.marker {
            Marker::StreetAfter => street_after(text, *mark, home),
            Marker::StreetEnd => street_end(text, *mark),
            Marker::StreetBefore => street_before(text, *mark),
            Marker::StreetHan if mark.start >= past => street_han(text, *mark, home),
            _ => None,
        };
        if let Some((start, end)) = found {
            past = end;
            findings.push(address(start, end, LIKELY));
        }
    }
    postcodes(text, home, findings);
    for finding in &mut findings[first..] {
        if home {
            finding.strength = finding.strength.max(SURE);
        } else if subject.public && !subject.life {
            finding.strength *= 0.4;
        }
        let place = text[finding.start..finding.end].to_ascii_lowercase();
        if KNOWN.iter().any(|known| place.starts_with(known)) {
            finding.strength = 0.1;
        }
    }
}

const fn address(start: usize, end: usize, strength: f32) -> Finding {
    Finding { kind: PrivateKind::Address, start, end, strength }
}

// === Streets ===

/// `42 Maple Street`; where a home is told also `77 wattle st`.
fn street_after(text: &str, mark: Marked, home: bool) -> Option<(usize, usize)> {
    if text[mark.end..].starts_with(char::is_alphabetic) && !text[..mark.end].ends_with(' ') {
        return None;
    }
    let end = mark.start + text[mark.start..mark.end].trim_end_matches([' ', ',', '\n']).len();
    Some((number_before(text, mark.start, home)?, end))
}

/// `Lindenstraße 12`, `Kastanienallee 47`.
fn street_end(text: &str, mark: Marked) -> Option<(usize, usize)> {
    let end = mark.end - 1;
    let start = word_start(text, mark.start);
    (starts_with_number(&text[end..]) && starts_capital(&text[start..]) && start < mark.start)
        .then_some((start, end))
}

/// `12 rue Monge`, `Calle Mayor 5`, `Rua das Flores, 251`.
fn street_before(text: &str, mark: Marked) -> Option<(usize, usize)> {
    const BETWEEN_BYTES_MAX: usize = 12;
    let spaced = text[mark.start..].starts_with(' ');
    let before = tail(&text[..mark.start], BETWEEN_BYTES_MAX)
        .trim_end_matches([',', ' ', 'b', 'i', 's', 't', 'e', 'r']);
    let before = before.ends_with(|letter: char| letter.is_ascii_digit());
    let (end, words) = capitalised(text, mark.end);
    let after = head(&text[end..], BETWEEN_BYTES_MAX);
    let after = after.trim_start_matches([',', ' ']);
    let after = ["д.", "дом", "n.", "nº", "n°", "no.", "no:", "č.", "nr", "nr."]
        .iter()
        .find_map(|word| after.strip_prefix(word))
        .unwrap_or(after);
    (words > 0 && ((before && spaced) || starts_with_number(after))).then_some((mark.start, end))
}

/// The end of a street's name of words with capitals, and how many those are.
fn capitalised(text: &str, start: usize) -> (usize, usize) {
    const PARTICLES: [&str; 16] = [
        "de", "la", "las", "los", "del", "des", "du", "da", "das", "do", "dos", "della", "dei", "di", "l",
        "of",
    ];
    const NAME_WORDS_MAX: usize = 5;
    const NAME_BYTES_MAX: usize = 80;
    let (mut end, mut place, mut count) = (start, start, 0);
    for word in head(&text[start..], NAME_BYTES_MAX).split_inclusive([' ', '\'', '’']).take(NAME_WORDS_MAX)
    {
        let bare = word.trim_end_matches(|letter: char| !letter.is_alphanumeric());
        if starts_capital(bare) {
            count += 1;
            end = place + bare.len();
            if word[bare.len()..].starts_with([',', '.', ';', ':', '!', '?', ')', '\n']) && bare.len() > 3 {
                break;
            }
        } else if !PARTICLES.contains(&bare) {
            break;
        }
        place += word.len();
    }
    (end, count)
}

fn starts_with_number(text: &str) -> bool {
    let text = text.trim_start_matches(' ');
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &text[digits..];
    // Not a share, not a decimal, not a time.
    let quantity = rest.starts_with(['%', ':'])
        || (rest.starts_with('.') && rest[1..].starts_with(|c: char| c.is_ascii_digit()));
    (1..=4).contains(&digits) && !quantity
}

fn starts_capital(text: &str) -> bool {
    text.starts_with(char::is_uppercase)
}

fn word_start(text: &str, place: usize) -> usize {
    const WORD_BYTES_MAX: usize = 60;
    let near = tail(&text[..place], WORD_BYTES_MAX);
    let offset = place - near.len();
    let mut letters = near.char_indices().rev();
    // A space may be longer than one byte (U+00A0, U+3000).
    letters
        .find(|(_, letter)| letter.is_whitespace())
        .map_or(offset, |(at, space)| offset + at + space.len_utf8())
}

/// The house number before up to three words, with capitals but where a home is told, that end at `place`.
fn number_before(text: &str, place: usize, home: bool) -> Option<usize> {
    const STREET_WORDS_MAX: usize = 3;
    let mut start = place;
    for _ in 0..=STREET_WORDS_MAX {
        let before = text[..start].trim_end_matches(' ');
        let word = word_start(text, before.len());
        let piece = &before[word.min(before.len())..];
        if piece.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
            && piece.len() <= 6
            && start != place
        {
            let ordinal = ["th", "st", "nd", "rd"].iter().any(|ending| piece.ends_with(ending));
            if !ordinal {
                return Some(word);
            }
        } else if !(starts_capital(piece) || home && piece.bytes().all(|byte| byte.is_ascii_alphabetic())) {
            return None;
        }
        if word == 0 || piece.is_empty() {
            return None;
        }
        start = word;
    }
    None
}

// === East Asia ===

/// `淮海中路1285弄`, `道玄坂2丁目`, `〒150-0043`, `東京都渋谷区道玄坂2-11-4`.
fn street_han(text: &str, mark: Marked, home: bool) -> Option<(usize, usize)> {
    const BETWEEN_BYTES_MAX: usize = 24;
    let after = head(&text[mark.end..], BETWEEN_BYTES_MAX);
    if text[mark.start..].starts_with('〒') {
        let digits =
            after.trim_start().bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'-').count();
        return (digits >= 7).then_some((mark.start, mark.end + digits));
    }
    let digit = after.find(|letter: char| letter.is_ascii_digit())?;
    let rest = &after[digit..];
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let unit = &rest[digits..];
    let numbered = ["号", "弄", "號", "室", "-", "丁目", "番", "栋"].iter().any(|end| unit.starts_with(end));
    let name = !after[..digit].contains(|letter: char| !letter.is_alphanumeric());
    let close = digit == 0 || text[mark.start..].starts_with(['区', '町']);
    ((numbered || home) && close && name).then(|| (mark.start, mark.end + digit + digits))
}

// === Postcodes ===

/// States of the United States and Australia, and provinces of Canada, as they stand before a postcode.
const STATES: [&str; 66] = [
    "AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DE", "FL", "GA", "HI", "ID", "IL", "IN", "IA", "KS", "KY",
    "LA", "ME", "MD", "MA", "MI", "MN", "MS", "MO", "MT", "NE", "NV", "NH", "NJ", "NM", "NY", "NC", "ND",
    "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT", "VT", "VA", "WA", "WV", "WI", "WY", "DC",
    "NSW", "VIC", "QLD", "TAS", "ACT", "ON", "QC", "BC", "AB", "MB", "SK", "NS", "NB", "SA", "NT",
];

/// British postcodes (`SW1A 1AA`), American and Australian ones behind a state (`CA 94043`), and numbers before or behind
/// a town's name where a home is told (`10435 Berlin`, `Pune 411001`).
fn postcodes(text: &str, home: bool, findings: &mut Vec<Finding>) {
    let (mut before, mut house) = ("", false);
    for piece in text.split([' ', '\n', ',']) {
        let word = piece.trim_matches(|letter: char| !letter.is_alphanumeric());
        if word.is_empty() {
            continue;
        }
        let digits = word.bytes().all(|byte| byte.is_ascii_digit());
        let state = (digits && (4..=5).contains(&word.len())) || is_zip_plus(word);
        let town = |word: &str| starts_capital(word) && word.chars().skip(1).any(char::is_lowercase);
        let number = |word: &str, most: usize| {
            (4..=most).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit())
        };
        let strength = if is_british(before, word) {
            0.82
        } else if (state && STATES.contains(&before)) || (house && town(word) && number(before, 5)) {
            LIKELY
        } else if home && ((town(before) && number(word, 6)) || (town(word) && number(before, 5))) {
            SURE
        } else {
            0.0
        };
        if strength > 0.0 {
            let start = before.as_ptr() as usize - text.as_ptr() as usize;
            let end = word.as_ptr() as usize - text.as_ptr() as usize + word.len();
            findings.push(address(start, end, strength));
        }
        // A house number closes what stands before a postcode: `Am Sonnenhang 3, 79104 Freiburg`.
        let at = if before.is_empty() {
            0
        } else {
            before.as_ptr() as usize - text.as_ptr() as usize + before.len()
        };
        let short = (1..=4).contains(&before.len())
            && before.as_bytes()[0].is_ascii_digit()
            && !before.starts_with("19")
            && !before.starts_with("20");
        house = short && text[at..].starts_with(',');
        before = word;
    }
}

/// `94043-1351`
fn is_zip_plus(word: &str) -> bool {
    word.split_once('-').is_some_and(|(five, four)| {
        (five.len(), four.len()) == (5, 4)
            && five.bytes().chain(four.bytes()).all(|byte| byte.is_ascii_digit())
    })
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
