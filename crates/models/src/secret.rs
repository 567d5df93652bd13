//! Keeping secrets and addresses out of every text that leaves this crate.

use api::Secret;

/// Takes secrets and the upstream's address out of what an upstream says.
#[derive(Default)]
pub(crate) struct Redactor {
    secrets: Vec<Secret>,
    address: Box<str>,
}

/// Shorter keys ("none", "EMPTY" for a local server) are words, and taking words out of messages helps nobody.
const SECRET_CHARS_MIN: usize = 8;
/// Providers echo the first characters of a refused key; this many of them count as the key.
const ECHOED_CHARS: usize = 10;

impl Redactor {
    /// Hides `secrets` and `address` (host, or host and port).
    pub(crate) fn new(secrets: impl IntoIterator<Item = Secret>, address: &str) -> Self {
        let secrets =
            secrets.into_iter().filter(|secret| secret.expose().len() >= SECRET_CHARS_MIN).collect();
        Self { secrets, address: address.into() }
    }

    /// `text` without secrets, addresses and control characters, at most `chars_max` characters of it.
    pub(crate) fn clean(&self, text: &str, chars_max: usize) -> String {
        let mut clean = text.to_owned();
        for secret in &self.secrets {
            clean = clean.replace(secret.expose(), "[secret]");
            clean = without_echoes(&clean, secret.expose());
        }
        if !self.address.is_empty() {
            clean = clean.replace(&*self.address, "[upstream]");
        }
        let mut shown: String = clean
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(chars_max.saturating_add(1))
            .collect();
        if let Some((cut, _)) = shown.char_indices().nth(chars_max) {
            shown.truncate(cut);
            shown.push('…');
        }
        shown
    }
}

/// Takes out every word that begins as `secret` does.
fn without_echoes(text: &str, secret: &str) -> String {
    let Some(start) = secret.get(..ECHOED_CHARS).filter(|_| secret.len() > ECHOED_CHARS) else {
        return text.to_owned();
    };
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(start) {
        clean.push_str(&rest[..at]);
        clean.push_str("[secret]");
        let word = &rest[at..];
        let end = word.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '}' | ')'));
        rest = &word[end.unwrap_or(word.len())..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_and_no_address_comes_through() {
        let redactor =
            Redactor::new([Secret::new("sk-proj-0123456789abcdef\n"), Secret::new("EMPTY")], "10.0.0.7:8000");
        for (text, expected) in [
            ("bad key sk-proj-0123456789abcdef!", "bad key [secret]!"),
            ("bad key sk-proj-01*****cdef.", "bad key [secret]"),
            ("\"sk-proj-01**\", see docs", "\"[secret]\", see docs"),
            ("10.0.0.7:8000 said\r\nno", "[upstream] said  no"),
            ("EMPTY is a word", "EMPTY is a word"),
            ("àéîõü and a long text", "àéîõü and a long text"),
        ] {
            assert_eq!(redactor.clean(text, 100), expected);
        }
        assert_eq!(redactor.clean("àéîõü", 3), "àéî…");
        assert_eq!(format!("{:?}", Secret::new("sk-proj")), "[secret]");
    }
}
