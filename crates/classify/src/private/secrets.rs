//! Passwords, keys and tokens in a text.
//!
//! Owns the forms of well-known keys and the assignment of something that looks like a secret to a name that says so.
//! Refuses placeholders: `<your key>`, `${TOKEN}` and `xxxx` are nobody's.

use api::PrivateKind;

use super::Finding;

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

/// Names to which secrets are given.
const NAMES: [&str; 25] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "api key",
    "access_key",
    "access key",
    "private_key",
    "client_secret",
    "auth_token",
    "passwort",
    "kennwort",
    "mot de passe",
    "contraseña",
    "senha",
    "wachtwoord",
    "hasło",
    "密码",
    "口令",
    "パスワード",
];

/// Looks for secrets.
pub(super) fn find(text: &str, findings: &mut Vec<Finding>) {
    let mut push = |start: usize, end: usize| {
        findings.push(Finding { kind: PrivateKind::Secret, start, end, strength: 0.95 });
    };
    for (place, _) in text.match_indices("-----BEGIN ") {
        let line = text[place..].lines().next().unwrap_or_default();
        if line.contains("PRIVATE KEY") {
            push(place, place + line.len());
        }
    }
    for (start, end) in tokens(text) {
        let token = &text[start..end];
        if is_known_key(token) || is_jwt(token) || has_credentials(token) {
            push(start, end);
        }
    }
    // ASCII lower case keeps every byte in its place.
    let lower = text.to_ascii_lowercase();
    for name in NAMES {
        for (place, _) in lower.match_indices(name) {
            if let Some((start, end)) = assigned(text, place + name.len()) {
                push(start, end);
            }
        }
    }
    for (place, found) in lower.match_indices("bearer ") {
        let (start, end) = value(text, place + found.len());
        if end - start >= 20 && looks_secret(&text[start..end]) {
            push(start, end);
        }
    }
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

/// The byte range of the word, quoted or not, that follows.
fn value(text: &str, place: usize) -> (usize, usize) {
    let rest = &text[place..];
    let start = place + rest.len() - rest.trim_start_matches([' ', '"', '\'', '`', '\t']).len();
    let length = text[start..]
        .find(|letter: char| letter.is_whitespace() || "\"'`,;<>(){}".contains(letter))
        .unwrap_or(text.len() - start);
    let trimmed = text[start..start + length].trim_end_matches(['.', '?', '!', ':']);
    (start, start + trimmed.len())
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
