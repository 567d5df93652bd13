//! E-mail addresses, written plainly or so that machines should not read them.
//!
//! Owns their forms. Refuses addresses of offices (support@, info@) and stand-ins (user@example.com) as somebody's own:
//! they count for little.

use api::PrivateKind;

use super::Finding;
use super::markers::{Marked, Marker};
use crate::view::{head, tail};

/// The longest part of an address before and after its @.
const PART_BYTES_MAX: usize = 80;

/// Addresses that belong to an office.
const OFFICES: [&str; 26] = [
    "support",
    "info",
    "contact",
    "sales",
    "help",
    "hello",
    "service",
    "press",
    "media",
    "office",
    "admin",
    "noreply",
    "no-reply",
    "donotreply",
    "webmaster",
    "postmaster",
    "abuse",
    "privacy",
    "careers",
    "jobs",
    "feedback",
    "newsletter",
    "orders",
    "security",
    "kontakt",
    "helpdesk",
];

/// Names that stand for any name.
const ANYBODY: [&str; 17] = [
    "user",
    "username",
    "name",
    "test",
    "foo",
    "bar",
    "a",
    "b",
    "x",
    "you",
    "your",
    "me",
    "someone",
    "somebody",
    "example",
    "email",
    "your.email",
];

/// Looks for addresses.
pub(super) fn find(text: &str, marked: &[Marked], findings: &mut Vec<Finding>) {
    for (at, _) in text.match_indices('@') {
        findings.extend(plain(text, at));
    }
    for mark in marked.iter().filter(|mark| mark.marker == Marker::At) {
        findings.extend(disguised(text, mark.start, mark.end));
    }
}

/// `jo.doe@mail.org`, by the place of its @.
fn plain(text: &str, at: usize) -> Option<Finding> {
    let is_local = |byte: &u8| byte.is_ascii_alphanumeric() || b"._%+-'".contains(byte);
    let before = tail(&text[..at], PART_BYTES_MAX).as_bytes();
    let local = before.iter().rev().take_while(|byte| is_local(byte)).count();
    let local_text = text[at - local..at].trim_start_matches(['\'', '.', '-']);
    let after = head(&text[at + 1..], PART_BYTES_MAX);
    // Letters of other scripts stand in addresses too.
    let domain = after
        .find(|letter: char| !letter.is_alphanumeric() && !matches!(letter, '.' | '-'))
        .unwrap_or(after.len());
    let domain = after[..domain].trim_end_matches(['.', '-']);
    let top: &str = domain.rsplit('.').next().unwrap_or_default();
    let good_top = domain.contains('.') && top.chars().count() >= 2 && top.chars().all(char::is_alphabetic);
    if local_text.is_empty() || !good_top || domain.contains("..") || local_text == "git" {
        return None;
    }
    let strength = strength(local_text, domain);
    Some(Finding {
        kind: PrivateKind::Email,
        start: at - local_text.len(),
        end: at + 1 + domain.len(),
        strength,
    })
}

fn strength(local: &str, domain: &str) -> f32 {
    let local = local.to_ascii_lowercase();
    let reserved =
        ["example.com", "example.org", "example.net", "domain.com", "test.com", "email.com", "b.co"];
    let anybody = ANYBODY.contains(&local.as_str());
    if anybody && reserved.contains(&domain) {
        0.2
    } else if OFFICES.contains(&local.as_str()) {
        0.35
    } else {
        0.95
    }
}

/// `tim [at] kaminski [dot] io`: a word, the marker, a word, a dot in some form, a top-level domain.
fn disguised(text: &str, start: usize, end: usize) -> Option<Finding> {
    const DOTS: [&str; 11] = [
        "[dot]", "(dot)", "{dot}", "<dot>", "[punkt]", "(punkt)", " dot ", " punkt ", " punto ", " point ",
        " ponto ",
    ];
    // "At this point" is English, "arobase example point fr" is an address.
    const ENGLISH_DOTS: usize = 7;
    let english = text[start..end].eq_ignore_ascii_case(" at ");
    let dots = if english { &DOTS[..ENGLISH_DOTS] } else { &DOTS[..] };
    let bracketed = text[start..].starts_with(['[', '(', '{', '<']);
    let before = tail(&text[..start], PART_BYTES_MAX).trim_end();
    let local = before.rfind(char::is_whitespace).map_or(before, |space| before[space..].trim_start());
    let after = head(&text[end..], PART_BYTES_MAX).trim_start();
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let host = after.find(|letter: char| !is_part(letter)).unwrap_or(after.len());
    let rest = &after[host..];
    let dot = dots.iter().find_map(|dot| {
        let trimmed = rest.trim_start_matches(' ');
        let form = if dot.starts_with(' ') { rest } else { trimmed };
        form.get(..dot.len())
            .filter(|start| start.eq_ignore_ascii_case(dot))
            .map(|_| form[dot.len()..].trim_start())
    });
    let top = dot.or_else(|| rest.strip_prefix('.').filter(|_| bracketed))?;
    let length = top.bytes().take_while(u8::is_ascii_alphabetic).count();
    let said = local.bytes().any(|byte| byte.is_ascii_alphanumeric());
    if host < 2 || !said || !(2..=12).contains(&length) {
        return None;
    }
    let begin = local.as_ptr() as usize - text.as_ptr() as usize;
    let finish = top.as_ptr() as usize - text.as_ptr() as usize + length;
    Some(Finding { kind: PrivateKind::Email, start: begin, end: finish, strength: 0.9 })
}
