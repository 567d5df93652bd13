//! Filters in Milvus's expression language.
//!
//! Whatever a caller named stands in them as a quoted string: no character of it is syntax. Milvus and milvus-lite agree on
//! few escapes, so other control characters are refused before they come here: no name in a store has them.

use api::{Error, Fault};

use crate::scope::Scope;
use api::filter::{Condition, Filter, Scalar, Side, Test};

use super::{facets, layout};

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

/// What scope and filter let be found, as an expression that may be empty; `None` where that is nothing.
///
/// # Errors
/// The filter asks for an order of texts that no expression can carry.
pub(super) fn admitting(scope: &Scope, filter: Option<&Filter>) -> Result<Option<String>, Error> {
    let mut parts = Vec::new();
    if let Some(folders) = scope.folders() {
        let folders: Vec<&str> =
            folders.iter().map(String::as_str).filter(|folder| !is_unsayable(folder)).collect();
        if folders.is_empty() {
            return Ok(None);
        }
        parts.push(format!("array_contains_any({}, {})", layout::WITHIN, list(folders)));
    }
    if let Some(filter) = filter {
        parts.push(condition(filter.condition())?);
    }
    Ok(Some(parts.join(" and ")))
}

/// Both expressions, where there are two.
pub(super) fn both(one: &str, other: &str) -> String {
    match (one.is_empty(), other.is_empty()) {
        (true, _) => other.to_owned(),
        (_, true) => one.to_owned(),
        (false, false) => format!("({one}) and ({other})"),
    }
}

fn condition(asked: &Condition) -> Result<String, Error> {
    let joined = |parts: &[Condition], word: &str| {
        let parts = parts.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
        Ok(format!("({})", parts.join(word)))
    };
    match asked {
        Condition::All(parts) => joined(parts, " and "),
        Condition::Any(parts) => joined(parts, " or "),
        Condition::Attribute { key, test: Test::OneOf(values) } => Ok(one_of(key, values)),
        Condition::Attribute { key, test: Test::NoneOf(values) } => {
            Ok(format!("(not {})", one_of(key, values)))
        }
        Condition::Attribute { key, test: Test::Ordered(side, bound) } => ordered(key, *side, bound),
    }
}

/// By the facets, which every row has: what is asked of a missing attribute is then as certain as all else.
fn one_of(key: &str, values: &[Scalar]) -> String {
    let facets: Vec<String> = values.iter().flat_map(|value| facets::asked(key, value)).collect();
    if facets.is_empty() {
        return format!("{} < 0", layout::NUMBER);
    }
    format!("array_contains_any({}, {})", layout::FACETS, list(facets.iter().map(String::as_str)))
}

fn ordered(key: &str, side: Side, bound: &Scalar) -> Result<String, Error> {
    let operator = match side {
        Side::Above => ">",
        Side::AtLeast => ">=",
        Side::Below => "<",
        Side::AtMost => "<=",
    };
    let carried = |text: &str| text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'));
    let bound = match bound {
        Scalar::Text(text) if carried(text) => quoted(text),
        Scalar::Whole(number) if i64::try_from(*number).is_ok() => number.to_string(),
        Scalar::Whole(number) => format!("{:?}", *number as f64),
        Scalar::Real(number) => format!("{number:?}"),
        Scalar::Text(_) | Scalar::Truth(_) => return Err(unordered()),
    };
    if !carried(key) {
        return Err(unordered());
    }
    Ok(format!("({}[{}] {operator} {bound})", layout::ATTRIBUTES, quoted(key)))
}

fn unordered() -> Error {
    let message = "A filter of this store cannot order texts with control characters.";
    Error::new(Fault::BadRequest, "invalid_filter", message).with_param("filters")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
    fn a_scope_and_a_filter_are_an_expression() {
        let check = |folders: Option<&[&str]>, filter: Value, expected: Option<&str>| {
            let own = |folders: &[&str]| folders.iter().map(ToString::to_string).collect::<Vec<_>>();
            let scope =
                folders.map_or(Scope::everything(), |folders| Scope::everything().narrowed(&own(folders)));
            let filter = (!filter.is_null()).then(|| Filter::parse(&filter, "filters").unwrap());
            assert_eq!(admitting(&scope, filter.as_ref()).unwrap().as_deref(), expected);
        };
        check(None, Value::Null, Some(""));
        check(Some(&[]), Value::Null, None);
        check(Some(&["a\u{7}"]), Value::Null, None);
        check(Some(&["a", "b/c"]), Value::Null, Some(r#"array_contains_any(within, ["a", "b/c"])"#));
        let year = json!({"type": "gte", "key": "ye\"ar", "value": 2024});
        check(
            Some(&["a"]),
            year.clone(),
            Some(r#"array_contains_any(within, ["a"]) and (attributes["ye\"ar"] >= 2024)"#),
        );
        let none = json!({"type": "in", "key": "a", "value": []});
        check(
            None,
            json!({"type": "or", "filters": [none, year]}),
            Some(r#"(number < 0 or (attributes["ye\"ar"] >= 2024))"#),
        );
        let bell = Filter::parse(&json!({"type": "gt", "key": "a", "value": "\u{7}"}), "filters").unwrap();
        assert_eq!(admitting(&Scope::everything(), Some(&bell)).unwrap_err().code, "invalid_filter");
        assert_eq!(
            (both("x", ""), both("", "y"), both("x", "y")),
            ("x".into(), "y".into(), "(x) and (y)".into())
        );
    }
}
