//! Numbers that name somebody or something of theirs: cards, accounts, identity numbers, telephones, addresses of hosts.
//!
//! Owns the scan for runs of digits and for codes of letters and digits. Refuses numbers that are only numbers: without
//! a checksum, a national form or a word beside it that says what it is, a run of digits is nobody's.

use std::net::{Ipv4Addr, Ipv6Addr};

use api::PrivateKind;

use super::checksums;
use super::{Finding, context_has};

/// Words beside a number that make it a telephone number.
const PHONE_WORDS: [&str; 24] = [
    "phone",
    "tel",
    "call",
    "mobile",
    "cell",
    "whatsapp",
    "fax",
    "contact",
    "reach",
    "text me",
    "number is",
    "telefon",
    "handy",
    "anrufen",
    "numéro",
    "téléphone",
    "teléfono",
    "móvil",
    "telefono",
    "cellulare",
    "telefone",
    "电话",
    "手机",
    "電話",
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
                place = end.max(place + 1);
                continue;
            }
        }
        if here.is_ascii_alphanumeric() && !after_word {
            let end = place + bytes[place..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            code(text, place, end, findings);
            host_v6(text, place, findings);
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

fn digits_run(text: &str, start: usize, end: usize, findings: &mut Vec<Finding>) {
    let run = &text[start..end];
    // A letter right behind makes it a code or a quantity.
    if text[end..].starts_with(|letter: char| letter.is_ascii_alphabetic())
        && !text[end..].starts_with(['X', 'x'])
    {
        code_of_digits(text, start, end, findings);
        return;
    }
    let digits: String = run.chars().filter(char::is_ascii_digit).collect();
    let mut found = |kind: PrivateKind, strength: f32| findings.push(Finding { kind, start, end, strength });
    if (13..=19).contains(&digits.len()) && groups_ok(run) && checksums::card(&digits) {
        return found(PrivateKind::Card, 0.98);
    }
    if host_v4(text, start, run) {
        return found(PrivateKind::IpAddress, 0.75);
    }
    if is_identity(text, start, end, run, &digits) {
        return found(PrivateKind::NationalId, 0.95);
    }
    if is_phone(text, start, end, run, &digits) {
        found(PrivateKind::Phone, 0.9);
    }
}

/// Card numbers are written whole or in groups by one space or hyphen.
fn groups_ok(run: &str) -> bool {
    !run.contains(['.', '(', ')', '/', '+']) && !run.contains("  ") && !run.contains("--")
}

// === Identity numbers ===

fn is_identity(text: &str, start: usize, end: usize, run: &str, digits: &str) -> bool {
    let near = |words: &[&str]| context_has(text, start, end, words);
    let form = |form: &str| has_form(run, form);
    match digits.len() {
        9 => {
            (form("ddd-dd-dddd") && checksums::us_ssn(digits))
                || (near(&["ssn", "social security", "social-security"]) && checksums::us_ssn(digits))
                || (near(&["bsn", "burgerservicenummer"]) && checksums::nl_bsn(digits))
                || (near(&["social insurance", "sin:", "sin number", "my sin"]) && checksums::luhn(digits))
        }
        10 => {
            (near(&["nhs"]) && checksums::uk_nhs(digits))
                || ((form("dddddd-dddd") || near(&["personnummer"])) && checksums::se_personnummer(digits))
        }
        11 => {
            (form("ddd.ddd.ddd-dd") && checksums::br_cpf(digits))
                || (near(&["cpf"]) && checksums::br_cpf(digits))
                || (near(&["pesel"]) && checksums::pl_pesel(digits))
                || (near(&["steuer", "idnr", "tax id"]) && checksums::de_steuer_id(digits))
        }
        12 => {
            ((form("dddd dddd dddd") || near(&["aadhaar", "aadhar", "uidai"]))
                && checksums::in_aadhaar(digits))
                || (form("dddddddd-dddd") && checksums::se_personnummer(digits))
        }
        15 => {
            (form("d dd dd dd ddd ddd dd") || near(&["sécurité sociale", "securite sociale", "nir", "insee"]))
                && checksums::fr_nir(digits)
        }
        17 | 18 => {
            let whole = format!("{digits}{}", text[end..].chars().next().unwrap_or(' ').to_ascii_uppercase());
            checksums::cn_identity(digits) || checksums::cn_identity(&whole)
        }
        _ => false,
    }
}

/// Whether a run is written as `form`, with `d` for a digit.
fn has_form(run: &str, form: &str) -> bool {
    run.len() == form.len()
        && run
            .bytes()
            .zip(form.bytes())
            .all(|(byte, want)| if want == b'd' { byte.is_ascii_digit() } else { byte == want })
}

// === Telephones ===

fn is_phone(text: &str, start: usize, end: usize, run: &str, digits: &str) -> bool {
    if !(7..=15).contains(&digits.len()) || looks_like_date(run) {
        return false;
    }
    if run.starts_with('+') {
        return digits.len() >= 9 && !text[..start].ends_with(['=', ')', '^']);
    }
    let american = [
        "(ddd) ddd-dddd",
        "(ddd)ddd-dddd",
        "ddd-ddd-dddd",
        "ddd.ddd.dddd",
        "d-ddd-ddd-dddd",
        "(ddd) ddd dddd",
    ];
    if american.iter().any(|form| has_form(run, form)) {
        return true;
    }
    let french = has_form(run, "dd dd dd dd dd") && run.starts_with('0');
    let chinese = digits.len() == 11
        && run.len() == 11
        && run.starts_with('1')
        && matches!(run.as_bytes()[1], b'3'..=b'9');
    if french || (chinese && luhn_free(digits)) {
        return true;
    }
    let dialled =
        run.starts_with('0') && !run.starts_with("00000") && digits.len() >= 9 && !run.contains("0.");
    (dialled
        && (run.contains([' ', '-', '/']) || run.len() == digits.len())
        && context_has(text, start, end, &PHONE_WORDS))
        || (digits.len() >= 7 && context_has(text, start, end, &PHONE_WORDS) && !run.contains('.'))
}

/// Timestamps of eleven digits do not exist; round numbers do.
fn luhn_free(digits: &str) -> bool {
    !digits.ends_with("0000")
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

// === Hosts ===

fn host_v4(text: &str, start: usize, run: &str) -> bool {
    let Ok(address) = run.parse::<Ipv4Addr>() else { return false };
    let public_known = [[8, 8, 8, 8], [8, 8, 4, 4], [1, 1, 1, 1], [9, 9, 9, 9]].contains(&address.octets());
    let netmask = address.octets()[0] == 255;
    if address.is_loopback() || address.is_unspecified() || address.is_broadcast() || netmask || public_known
    {
        return false;
    }
    // A version of a program has four small parts as well.
    let version = address.octets().iter().all(|part| *part < 20);
    let before = text[..start].trim_end().to_ascii_lowercase();
    !version && !before.ends_with(['v']) && !before.ends_with("version")
}

fn host_v6(text: &str, start: usize, findings: &mut Vec<Finding>) {
    let run = &text[start..];
    let end = run.bytes().take_while(|byte| byte.is_ascii_hexdigit() || *byte == b':').count();
    let run = run[..end].trim_end_matches(':');
    // Times have two colons, ratios one.
    if run.matches(':').count() >= 3
        && run.parse::<Ipv6Addr>().is_ok_and(|address| !address.is_loopback() && !address.is_unspecified())
    {
        findings.push(Finding {
            kind: PrivateKind::IpAddress,
            start,
            end: start + run.len(),
            strength: 0.75,
        });
    }
}

// === Codes of letters and digits ===

/// IBANs and identity numbers with letters, from where a word starts.
fn code(text: &str, start: usize, end: usize, findings: &mut Vec<Finding>) {
    let word = &text[start..end];
    let mut push = |kind, end| findings.push(Finding { kind, start, end, strength: 0.97 });
    let bytes = word.as_bytes();
    let starts_iban = bytes.len() >= 4
        && bytes[..2].iter().all(u8::is_ascii_uppercase)
        && bytes[2..4].iter().all(u8::is_ascii_digit);
    if starts_iban && let Some(end) = iban_end(text, start) {
        return push(PrivateKind::Iban, end);
    }
    let spaced = spaced_code(text, start, 13);
    let is_identity = match word.len() {
        9 => {
            checksums::uk_nino(word) || (word.as_bytes()[8].is_ascii_alphabetic() && checksums::es_dni(word))
        }
        16 => checksums::it_codice_fiscale(word),
        _ => false,
    };
    if is_identity {
        push(PrivateKind::NationalId, end);
    } else if let Some((code, end)) = spaced
        && word.len() == 2
        && checksums::uk_nino(&code)
    {
        push(PrivateKind::NationalId, end);
    }
}

/// Spanish and Finnish numbers start with digits and end with letters.
fn code_of_digits(text: &str, start: usize, end: usize, findings: &mut Vec<Finding>) {
    let whole = end + text[end..].bytes().take_while(u8::is_ascii_alphanumeric).count();
    let code = text[start..whole].to_ascii_uppercase();
    let plain: String = code.chars().filter(|letter| *letter != '-').collect();
    if checksums::es_dni(&plain) || checksums::fi_hetu(&code) {
        findings.push(Finding { kind: PrivateKind::NationalId, start, end: whole, strength: 0.95 });
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
    for (place, byte) in text.as_bytes()[start..].iter().enumerate() {
        match byte {
            b' ' if !code.ends_with(' ') => continue,
            byte if byte.is_ascii_alphanumeric() => code.push(char::from(byte.to_ascii_uppercase())),
            _ => break,
        }
        if code.len() >= 15 && checksums::iban(&code) {
            return Some(start + place + 1);
        }
        if code.len() > IBAN_CHARACTERS_MAX {
            break;
        }
    }
    None
}
