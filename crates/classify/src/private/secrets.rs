//! Passwords, keys and tokens in a text.
//!
//! Owns the forms of well-known keys and the assignment of something that looks like a secret to a name that says so.
//! Refuses placeholders: `<your key>`, `${TOKEN}` and `xxxx` are nobody's.

use api::PrivateKind;

use super::Finding;
use super::markers::{Marked, Marker};
use crate::view::head;

/// `(start of a token, characters after it at least)`.
const PREFIXES: [(&str, usize); 24] = [
    ("sk-ant-", 20),
    ("sk-proj-", 20),
    ("sk-or-", 20),
    ("sk-", 20),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("pk_live_", 16),
    ("AKIA", 16),
    ("ASIA", 16),
    ("ghp_", 30),
    ("gho_", 30),
    ("ghs_", 30),
    ("github_pat_", 30),
    ("glpat-", 18),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("xapp-", 20),
    ("AIza", 30),
    ("ya29.", 20),
    ("SG.", 30),
    ("hf_", 25),
    ("npm_", 30),
    ("dop_v1_", 40),
];

/// Looks for secrets: keys of known forms everywhere, values beside the markers.
pub(super) fn find(text: &str, marked: &[Marked], findings: &mut Vec<Finding>) {
    let mut push = |start: usize, end: usize| {
        findings.push(Finding { kind: PrivateKind::Secret, start, end, strength: 0.95 });
    };
    for (start, end) in tokens(text) {
        let token = &text[start..end];
        if is_known_key(token) || is_jwt(token) || has_credentials(token) {
            push(start, end);
        }
    }
    for mark in marked {
        let found = match mark.marker {
            Marker::Secret => assigned(text, mark.end),
            Marker::Code => short_code(text, mark.end),
            Marker::Seed => seed(text, mark.start, mark.end),
            Marker::Bearer => bearer(text, mark.end),
            Marker::Pem => pem(text, mark.start),
            _ => None,
        };
        if let Some((start, end)) = found {
            push(start, end);
        }
    }
}

/// `-----BEGIN RSA PRIVATE KEY-----`.
fn pem(text: &str, start: usize) -> Option<(usize, usize)> {
    const LINE_BYTES_MAX: usize = 80;
    let line = head(&text[start..], LINE_BYTES_MAX).lines().next().unwrap_or_default();
    line.contains("PRIVATE KEY").then_some((start, start + line.len()))
}

/// The token of an authorization header.
fn bearer(text: &str, place: usize) -> Option<(usize, usize)> {
    const TOKEN_BYTES_MIN: usize = 20;
    let (start, end) = value(text, place);
    (end - start >= TOKEN_BYTES_MIN && looks_secret(&text[start..end])).then_some((start, end))
}

/// Runs of characters that tokens are made of.
fn tokens(text: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    const TOKEN_BYTES_MIN: usize = 16;
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "-_./+=:@%~".contains(letter);
    let mut rest = 0;
    std::iter::from_fn(move || {
        while let Some(offset) = text[rest..].find(is_part) {
            let start = rest + offset;
            let length = text[start..].find(|letter| !is_part(letter)).unwrap_or(text.len() - start);
            rest = start + length;
            if length >= TOKEN_BYTES_MIN {
                return Some((start, start + length));
            }
        }
        None
    })
}

fn is_known_key(token: &str) -> bool {
    PREFIXES.iter().any(|(prefix, after)| {
        token.find(prefix).is_some_and(|place| {
            let bounded = !token[..place].ends_with(|letter: char| letter.is_ascii_alphanumeric());
            let body = &token[place + prefix.len()..];
            let body = &body[..body
                .find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c))
                .unwrap_or(body.len())];
            let digits = body.bytes().any(|byte| byte.is_ascii_digit());
            bounded && body.len() >= *after && digits && !is_placeholder(body)
        })
    })
}

/// A JSON web token: three parts, the first two of them JSON in base64.
fn is_jwt(token: &str) -> bool {
    token.find("eyJ").is_some_and(|place| {
        let mut parts = token[place..].split('.');
        let json = |part: Option<&str>| part.is_some_and(|part| part.starts_with("eyJ") && part.len() >= 10);
        json(parts.next()) && json(parts.next()) && parts.next().is_some_and(|sign| sign.len() >= 10)
    })
}

/// `scheme://user:password@host`.
fn has_credentials(token: &str) -> bool {
    let Some((_, rest)) = token.split_once("://") else { return false };
    let Some((credentials, host)) = rest.split_once('@') else { return false };
    let Some((user, password)) = credentials.split_once(':') else { return false };
    let generic = ["user", "username", "password", "pass", "pw"].contains(&password);
    !user.is_empty() && password.len() >= 3 && !host.is_empty() && !generic && !is_placeholder(password)
}

/// The value given to a name that ends at `place`: `= "..."`, `: ...`, `is ...`, a few words between them or none.
fn assigned(text: &str, place: usize) -> Option<(usize, usize)> {
    let (start, end) = value(text, link(text, place)?);
    let value = &text[start..end];
    let called = text[end..].starts_with('(');
    (value.len() >= 5 && !called && !is_placeholder(value) && looks_secret(value)).then_some((start, end))
}

/// The end of what links a name that ends at `place` to its value.
fn link(text: &str, place: usize) -> Option<usize> {
    const MARKS: [&str; 7] = [":=", "=>", "=", ":", "：", "是", "は"];
    const VERBS: [&str; 16] = [
        "is",
        "was",
        "ist",
        "lautet",
        "es",
        "est",
        "è",
        "é",
        "são",
        "to",
        "jest",
        "är",
        "er",
        "on",
        "это",
        "हैं",
    ];
    const BETWEEN_BYTES_MAX: usize = 48;
    const BETWEEN_WORDS_MAX: usize = 7;
    let rest = head(&text[place..], BETWEEN_BYTES_MAX);
    let bare = rest.trim_start_matches(['"', '\'', '`', ' ', ']', '<', '>', 's', '’']);
    if let Some(mark) = MARKS.iter().find(|mark| bare.starts_with(**mark)) {
        return Some(place + (rest.len() - bare.len()) + mark.len());
    }
    // A sentence or a line ends the search.
    let rest = &rest[..rest.find(['\n', '.', ',', ';', '?', '!', '(', ')', '=']).unwrap_or(rest.len())];
    let mut at = 0;
    for word in rest.split_inclusive(' ').take(BETWEEN_WORDS_MAX) {
        let bare = word.trim_end();
        at += word.len();
        if bare.ends_with(':') || bare.ends_with('：') || VERBS.contains(&bare.to_lowercase().as_str()) {
            return Some(place + at);
        }
    }
    None
}

/// The digits or the code behind a word like "PIN": `is 4471`, `7H2K-99QD-LMX4`.
fn short_code(text: &str, place: usize) -> Option<(usize, usize)> {
    let (start, end) = value(text, link(text, place).unwrap_or(place));
    let value = &text[start..end];
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let plain = value
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase() || byte == b'-' || byte == b'#');
    let year = value.len() == 4 && (value.starts_with("19") || value.starts_with("20"));
    (digits >= 3 && (3..=24).contains(&value.len()) && plain && !year).then_some((start, end))
}

/// The words of a wallet: at least eight small ones in a row.
fn seed(text: &str, start: usize, place: usize) -> Option<(usize, usize)> {
    const SEED_BYTES_MAX: usize = 240;
    const SEED_WORDS_MIN: usize = 8;
    let rest = head(&text[place..], SEED_BYTES_MAX);
    let (before, words) = rest.split_once([':', '='])?;
    let small = |word: &&str| word.len() >= 3 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let count = words.split([' ', ',', '"']).filter(|word| !word.is_empty()).take_while(small).count();
    (before.len() < 20 && count >= SEED_WORDS_MIN).then_some((start, place + rest.len()))
}

/// The byte range of the quotation or the word that follows.
fn value(text: &str, place: usize) -> (usize, usize) {
    // No secret is longer, and a text without an end must not be read again and again.
    const VALUE_BYTES_MAX: usize = 256;
    let whole = head(&text[place..], VALUE_BYTES_MAX);
    let rest = whole.trim_start_matches([' ', '\t']);
    let start = place + whole.len() - rest.len();
    if let Some(quote) = rest.chars().next().filter(|letter| matches!(letter, '"' | '\'' | '`')) {
        let inner = &rest[1..];
        let end = inner.find([quote, '\n']).unwrap_or(inner.len());
        return (start + 1, start + 1 + end);
    }
    let end = rest
        .find(|letter: char| letter.is_whitespace() || "\"'`,;<>(){}".contains(letter))
        .unwrap_or(rest.len());
    let word = rest[..end].trim_end_matches(['.', '?', '!', ':']);
    (start, start + word.len())
}

/// No word of a language: letters with digits or marks among them.
fn looks_secret(value: &str) -> bool {
    let digits = value.bytes().any(|byte| byte.is_ascii_digit());
    let letters = value.chars().any(char::is_alphabetic);
    let marks = value.bytes().any(|byte| b"!@#$%^&*+=?~_".contains(&byte));
    let code = value.contains("::")
        || value.contains("()")
        || value.starts_with(['$', '/', '.'])
        || value.contains("://");
    !code && ((letters && (digits || marks)) || (digits && value.len() >= 6))
}

/// What stands where a secret will be.
fn is_placeholder(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let one_letter = lower.chars().next().is_some_and(|first| lower.chars().all(|letter| letter == first));
    one_letter
        || [
            "your",
            "xxxx",
            "****",
            "...",
            "example",
            "placeholder",
            "<",
            "${",
            "{{",
            "env",
            "redacted",
            "changeme",
            "todo",
        ]
        .iter()
        .any(|mark| lower.contains(mark))
}
