//! Passwords, keys and tokens in a text.
//!
//! Owns the forms of well-known keys and the assignment of something that looks like a secret to a name that says so.
//! Refuses placeholders: `<your key>`, `${TOKEN}` and `xxxx` are nobody's.

use api::PrivateKind;

use super::Finding;
use super::markers::{Marked, Marker};

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
    let line = text[start..].lines().next().unwrap_or_default();
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

/// The value given to a name that ends at `place`: `= "..."`, `: ...`, `is ...`.
fn assigned(text: &str, place: usize) -> Option<(usize, usize)> {
    const LINKS: [&str; 12] = [":=", "=>", "=", ":", "：", "is", "ist", "es", "est", "to", "是", "は"];
    let rest = &text[place..];
    let gap = rest.len() - rest.trim_start_matches(['"', '\'', '`', ' ', ']']).len();
    if gap > 3 {
        return None;
    }
    let rest = &rest[gap..];
    let link = LINKS.iter().find(|link| {
        rest.get(..link.len()).is_some_and(|start| start.eq_ignore_ascii_case(link))
            && (!link.is_ascii()
                || !link.as_bytes()[0].is_ascii_alphabetic()
                || rest[link.len()..].starts_with(' '))
    })?;
    let (start, end) = value(text, place + gap + link.len());
    let value = &text[start..end];
    let called = text[end..].starts_with('(');
    (value.len() >= 5 && !called && !is_placeholder(value) && looks_secret(value)).then_some((start, end))
}

/// The byte range of the quotation or the word that follows.
fn value(text: &str, place: usize) -> (usize, usize) {
    let rest = text[place..].trim_start_matches([' ', '\t']);
    let start = text.len() - rest.len();
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
    let marks = value.bytes().any(|byte| b"!@#$%^&*+=?~".contains(&byte));
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
