//! Filters in Milvus's expression language.
//!
//! Whatever a caller named stands in them as a quoted string: no character of it is syntax. Milvus and milvus-lite agree on
//! few escapes, so other control characters are refused before they come here: no name in a store has them.

use crate::scope::Scope;

use super::layout;

/// What Milvus makes of a folder's name is the name, character by character.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Strings as a list.
pub(super) fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let texts: Vec<String> = texts.into_iter().map(quoted).collect();
    format!("[{}]", texts.join(", "))
}

/// Whether a text has characters that no expression can carry on every server.
pub(super) fn is_unsayable(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// What a scope lets be found.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Within {
    Everything,
    Nothing,
    /// What this expression is true of.
    Where(String),
}

impl Within {
    pub(super) fn of(scope: &Scope) -> Self {
        let Some(folders) = scope.folders() else { return Self::Everything };
        let folders: Vec<&str> =
            folders.iter().map(String::as_str).filter(|folder| !is_unsayable(folder)).collect();
        if folders.is_empty() {
            return Self::Nothing;
        }
        Self::Where(format!("array_contains_any({}, {})", layout::WITHIN, list(folders)))
    }

    /// As an expression, with `more` that must be true as well; `None` where nothing can be found.
    pub(super) fn and(&self, more: &str) -> Option<String> {
        match (self, more.is_empty()) {
            (Self::Nothing, _) => None,
            (Self::Everything, _) => Some(more.to_owned()),
            (Self::Where(within), true) => Some(within.clone()),
            (Self::Where(within), false) => Some(format!("({within}) and ({more})")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_no_syntax() {
        let check = |text: &str, expected: &str| assert_eq!(quoted(text), expected);
        check("docs/guide", r#""docs/guide""#);
        check(r#"a"] or 1 == 1 or ["b"#, r#""a\"] or 1 == 1 or [\"b""#);
        check(r"end\", r#""end\\""#);
        check("a\tb\n{name}'日本", r#""a\tb\n{name}'日本""#);
    }

    #[test]
    fn a_scope_is_an_expression() {
        let check = |folders: Option<&[&str]>, expected: Within| {
            let own = |folders: &[&str]| folders.iter().map(ToString::to_string).collect::<Vec<_>>();
            let scope =
                folders.map_or(Scope::everything(), |folders| Scope::everything().narrowed(&own(folders)));
            assert_eq!(Within::of(&scope), expected);
        };
        check(None, Within::Everything);
        check(Some(&[]), Within::Nothing);
        check(Some(&["a\u{7}"]), Within::Nothing);
        check(
            Some(&["a", "b/c"]),
            Within::Where(String::from(r#"array_contains_any(within, ["a", "b/c"])"#)),
        );
        assert_eq!(Within::Everything.and("x == 1").as_deref(), Some("x == 1"));
        assert_eq!(Within::Nothing.and("x == 1"), None);
        assert_eq!(Within::Where(String::from("y")).and("x").as_deref(), Some("(y) and (x)"));
    }
}
