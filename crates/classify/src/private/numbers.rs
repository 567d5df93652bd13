//! Numbers that name somebody or something of theirs: cards, accounts, identity numbers, telephones, addresses of hosts.
//!
//! Owns the scan for runs of digits and for codes of letters and digits, and what makes a telephone number. Refuses
//! numbers that are only numbers: without a checksum, a national form or a word beside it that says what it is, a run
//! of digits is nobody's.

use api::PrivateKind;

use super::checksums;
use super::identity::{self, has_form};
use super::{Finding, context_has, hosts};

/// Words beside a number that make it a telephone number.
const PHONE_WORDS: &[&str] = &[
    "phone",
    "tel.",
    "tel:",
    "tel ",
    "call",
    "mobile",
    "cell",
    "whatsapp",
    "fax",
    "contact",
    "reach",
    "ring ",
    "text me",
    "number is",
    "his number",
    "her number",
    "my number",
    "their number",
    "telefon",
    "handy",
    "anrufen",
    "mobil",
    "rufnummer",
    "erreichbar",
    "numéro",
    "téléphone",
    "portable",
    "teléfono",
    "móvil",
    "celular",
    "llámame",
    "telefono",
    "cellulare",
    "chiama",
    "telefone",
    "ligue",
    "telefoon",
    "bel me",
    "telefonu",
    "komórka",
    "zadzwoń",
    "puhelin",
    "telefonnummer",
    "тел.",
    "телефон",
    "номер",
    "позвон",
    "звон",
    "τηλέφωνο",
    "电话",
    "手机",
    "联系",
    "電話",
    "携帯",
    "전화",
    "핸드폰",
    "هاتف",
    "جوال",
    "फोन",
    "मोबाइल",
    "điện thoại",
    "sđt",
    "cep ",
    "ara ",
];

/// Looks at every run of digits and every code.
pub(super) fn find(text: &str, findings: &mut Vec<Finding>) {
    let bytes = text.as_bytes();
    let mut place = 0;
    while place < bytes.len() {
        let here = bytes[place];
        let starts_run = here.is_ascii_digit() || matches!(here, b'+' | b'(');
        let after_word = place > 0
            && (bytes[place - 1].is_ascii_alphanumeric() || matches!(bytes[place - 1], b'.' | b'_'));
        if starts_run && !after_word {
            let end = run_end(bytes, place);
            if end > place + 5 {
                digits_run(text, place, end, findings);
                place = end;
                continue;
            }
        }
        if here.is_ascii_alphanumeric() && !after_word {
            let end = code_end(bytes, place);
            code(text, place, end, findings);
            findings.extend(hosts::v6(text, place));
            place = end;
            continue;
        }
        place += 1;
    }
}

/// Where a run of digits and the marks between them ends.
fn run_end(bytes: &[u8], start: usize) -> usize {
    const RUN_BYTES_MAX: usize = 40;
    let mut end = start;
    let mut last_digit = start;
    let mut marks = 0;
    while end < bytes.len() && end - start < RUN_BYTES_MAX {
        match bytes[end] {
            b'0'..=b'9' => {
                last_digit = end + 1;
                marks = 0;
            }
            b'+' if end == start => {}
            b' ' | b'-' | b'.' | b'(' | b')' | b'/' if marks < 2 => marks += 1,
            _ => break,
        }
        end += 1;
    }
    last_digit
}

/// Where a word of letters and digits ends.
fn code_end(bytes: &[u8], start: usize) -> usize {
    start + bytes[start..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count()
}

/// Runs up to this length say nothing.
const SHORT_BYTES: usize = 6;

fn digits_run(text: &str, start: usize, end: usize, findings: &mut Vec<Finding>) {
    let run = &text[start..end];
    // A letter right behind makes it a code or a quantity.
    let lettered =
        text[end..].trim_start_matches('-').starts_with(|letter: char| letter.is_ascii_alphabetic());
    if lettered && !text[end..].starts_with(['X', 'x']) {
        // `+351 912 558 034 3m`: the last group belongs to what follows.
        match run.rfind(' ').map(|space| run[..space].trim_end()).filter(|run| run.len() > SHORT_BYTES) {
            Some(run) => digits_run(text, start, start + run.len(), findings),
            None => code_of_digits(text, start, end, findings),
        }
        return;
    }
    let digits: String = run.chars().filter(char::is_ascii_digit).collect();
    let mut found = |kind: PrivateKind, strength: f32| findings.push(Finding { kind, start, end, strength });
    if (13..=19).contains(&digits.len()) && groups_ok(run) && checksums::card(&digits) {
        return found(PrivateKind::Card, 0.98);
    }
    if let Some(strength) = hosts::v4(text, start, run) {
        return found(PrivateKind::IpAddress, strength);
    }
    if let Some(strength) = identity::of_digits(text, start, end, run, &digits) {
        return found(PrivateKind::NationalId, strength);
    }
    if let Some(strength) = phone(text, start, end, run, &digits) {
        found(PrivateKind::Phone, strength);
    }
}

/// Card numbers are written whole or in groups by one space or hyphen.
fn groups_ok(run: &str) -> bool {
    !run.contains(['.', '(', ')', '/', '+']) && !run.contains("  ") && !run.contains("--")
}

// === Telephones ===

/// How a number may be written that can be nothing else, with `d` for a digit.
const PHONE_FORMS: [&str; 19] = [
    "(ddd) ddd-dddd",
    "(ddd)ddd-dddd",
    "(ddd) ddd dddd",
    "ddd-ddd-dddd",
    "ddd.ddd.dddd",
    "d-ddd-ddd-dddd",
    "d (ddd) ddd-dd-dd",
    "(0dd) dddd dddd",
    "(0ddd) ddd dddd",
    "(0dddd) dddddd",
    "(dd) ddddd-dddd",
    "(dd) dddd-dddd",
    "07ddd dddddd",
    "07ddd ddd ddd",
    "0d dd dd dd dd",
    "0d0-dddd-dddd",
    "0dd-ddd dd dd",
    "04dd ddd ddd",
    "04dd dd dd dd",
];

/// How sure it is that a run is somebody's telephone number.
fn phone(text: &str, start: usize, end: usize, run: &str, digits: &str) -> Option<f32> {
    const SURE: f32 = 0.9;
    const LIKELY: f32 = 0.85;
    if !(7..=15).contains(&digits.len()) || looks_like_date(run) {
        return None;
    }
    // What a firm pays for its callers.
    let short = digits.trim_start_matches('1');
    let free = ["800", "888", "877", "866", "0800", "1800", "0180", "0900"]
        .iter()
        .any(|code| short.starts_with(code) || digits.starts_with(code));
    if free && !run.starts_with('+') {
        return Some(0.2);
    }
    if run.starts_with('+') {
        let sum = text[..start].ends_with(['=', ')', '^']);
        return (digits.len() >= 9 && !sum).then_some(SURE);
    }
    if PHONE_FORMS.iter().any(|form| has_form(run, form)) {
        return Some(SURE);
    }
    let chinese = digits.len() == 11
        && run.len() == 11
        && run.starts_with('1')
        && matches!(run.as_bytes()[1], b'3'..=b'9')
        && !digits.ends_with("0000");
    if chinese {
        return Some(SURE);
    }
    let abroad = run.starts_with("00") && (11..=15).contains(&digits.len()) && run.contains(' ');
    if abroad {
        return Some(LIKELY);
    }
    let decimal = run.contains('.') && run.split('.').count() == 2;
    (!decimal && context_has(text, start, end, PHONE_WORDS)).then_some(LIKELY)
}

/// `2024-05-01`, `01/05/2024`, `2024-05-01 10`, `1914-1918`.
fn looks_like_date(run: &str) -> bool {
    let parts: Vec<&str> = run.split(['-', '/', '.', ' ']).filter(|part| !part.is_empty()).collect();
    let years = parts
        .iter()
        .filter(|part| part.len() == 4 && (part.starts_with("19") || part.starts_with("20")))
        .count();
    let small = parts.iter().filter(|part| part.len() <= 2).count();
    (years >= 1 && years + small == parts.len()) || (parts.len() == 2 && years == 2)
}

// === Codes of letters and digits ===

/// IBANs and identity numbers with letters, from where a word starts.
fn code(text: &str, start: usize, end: usize, findings: &mut Vec<Finding>) {
    let word = &text[start..end];
    let mut push = |kind, end, strength| findings.push(Finding { kind, start, end, strength });
    let bytes = word.as_bytes();
    let starts_iban = bytes.len() >= 4
        && bytes[..2].iter().all(u8::is_ascii_alphabetic)
        && bytes[2..4].iter().all(u8::is_ascii_digit);
    if starts_iban && let Some(end) = iban_end(text, start) {
        return push(PrivateKind::Iban, end, 0.97);
    }
    if word.len() == 2
        && let Some((code, end)) = spaced_code(text, start, 13)
        && checksums::uk_nino(&code)
    {
        return push(PrivateKind::NationalId, end, 0.96);
    }
    if (7..=18).contains(&word.len())
        && bytes.iter().any(u8::is_ascii_digit)
        && let Some(strength) = identity::of_code(text, start, end)
    {
        push(PrivateKind::NationalId, end, strength);
    }
}

/// Spanish, Finnish and Chilean numbers start with digits and end with letters.
fn code_of_digits(text: &str, start: usize, end: usize, findings: &mut Vec<Finding>) {
    const CODE_BYTES_MAX: usize = 14;
    let more = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let whole =
        end + text.as_bytes()[end..].iter().take(CODE_BYTES_MAX).take_while(|byte| more(byte)).count();
    if let Some(strength) = identity::of_code(text, start, whole) {
        findings.push(Finding { kind: PrivateKind::NationalId, start, end: whole, strength });
    }
}

/// The letters and digits from `start` without single spaces, nine of them: `AB 12 34 56 C`.
fn spaced_code(text: &str, start: usize, bytes_max: usize) -> Option<(String, usize)> {
    let mut code = String::new();
    for (place, byte) in text.as_bytes()[start..].iter().take(bytes_max).enumerate() {
        match byte {
            b' ' => {}
            byte if byte.is_ascii_alphanumeric() => code.push(char::from(*byte)),
            _ => return None,
        }
        if code.len() == 9 {
            return Some((code, start + place + 1));
        }
    }
    None
}

/// The end of a valid IBAN that starts here, in one piece or in groups.
fn iban_end(text: &str, start: usize) -> Option<usize> {
    const IBAN_CHARACTERS_MAX: usize = 34;
    let mut code = String::new();
    let mut gap = false;
    for (place, byte) in text.as_bytes()[start..].iter().enumerate() {
        match byte {
            b' ' | b'-' if !gap => {
                gap = true;
                continue;
            }
            byte if byte.is_ascii_alphanumeric() => code.push(char::from(byte.to_ascii_uppercase())),
            _ => break,
        }
        gap = false;
        if code.len() >= 15 && checksums::iban(&code) {
            return Some(start + place + 1);
        }
        if code.len() > IBAN_CHARACTERS_MAX {
            break;
        }
    }
    None
}
