//! What filters can ask of a document: a few strings, numbers and booleans by short names.
//!
//! The bounds are those of OpenAI's vector stores. What a document says of itself and does not fit is passed over; what a
//! caller sends and does not fit is refused.

use serde_json::{Map, Value};

/// The most attributes of a document.
const ATTRIBUTES_MAX: usize = 16;

/// The longest name of an attribute.
const KEY_BYTES_MAX: usize = 64;

/// The longest string in an attribute.
const VALUE_BYTES_MAX: usize = 512;

/// Refuses attributes that cannot be kept.
///
/// # Errors
/// Which, and what is allowed.
pub(crate) fn check(attributes: &Map<String, Value>) -> Result<(), String> {
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(format!("There are {} attributes; allowed: at most {ATTRIBUTES_MAX}.", attributes.len()));
    }
    match attributes.iter().find(|(key, value)| !fits(key, value)) {
        None => Ok(()),
        Some((key, _)) => Err(format!(
            "The attribute `{}` cannot be kept; allowed: a string of at most {VALUE_BYTES_MAX} bytes, a number or a boolean, \
             under a name of 1 to {KEY_BYTES_MAX} bytes.",
            key.chars().take(KEY_BYTES_MAX).collect::<String>()
        )),
    }
}

/// The first of `own` that can be kept, with `given` over them.
pub(crate) fn kept(own: Map<String, Value>, given: &Map<String, Value>) -> Map<String, Value> {
    let own = own.into_iter().filter(|(key, value)| fits(key, value) && !given.contains_key(key));
    let room = ATTRIBUTES_MAX.saturating_sub(given.len());
    own.take(room).chain(given.clone()).collect()
}

fn fits(key: &str, value: &Value) -> bool {
    let named = (1..=KEY_BYTES_MAX).contains(&key.len()) && !key.contains(char::is_control);
    named
        && match value {
            Value::String(text) => text.len() <= VALUE_BYTES_MAX,
            Value::Number(_) | Value::Bool(_) => true,
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        }
}

/// What the front matter of a Markdown file says in lines of `key: value`; lists and whatever is nested are passed over.
pub(crate) fn front_matter(source: &str) -> Map<String, Value> {
    let mut found = Map::new();
    let mut lines = source.lines();
    if lines.next().map(str::trim_end) != Some("---") {
        return found;
    }
    for line in lines {
        if matches!(line.trim_end(), "---" | "...") {
            return found;
        }
        if let Some((key, value)) = entry(line) {
            found.insert(key.to_owned(), value);
        }
    }
    // Without an end it is a rule and the text below it.
    Map::new()
}

fn entry(line: &str) -> Option<(&str, Value)> {
    let (key, value) = line.split_once(':')?;
    let plain =
        key.starts_with(|c: char| c.is_alphanumeric() || c == '_') && !value.starts_with(|c| c != ' ');
    plain.then_some(())?;
    Some((key.trim_end(), scalar(value.trim())?))
}

fn scalar(value: &str) -> Option<Value> {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            let (inside, after) = rest.split_once(quote)?;
            let ended = after.trim_start();
            return (ended.is_empty() || ended.starts_with('#')).then(|| Value::String(inside.to_owned()));
        }
    }
    let value = value.split_once(" #").map_or(value, |(value, _)| value.trim_end());
    if value.is_empty() || value.starts_with(['[', '{', '|', '>', '&', '*', '!', '#']) {
        return None;
    }
    Some(match value {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" | "~" => return None,
        text => text
            .parse::<i64>()
            .ok()
            .map(Value::from)
            .or_else(|| text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from))
            .unwrap_or_else(|| Value::String(text.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn front_matter_gives_its_scalars() {
        let check = |source: &str, expected: Value| {
            assert_eq!(Value::Object(front_matter(source)), expected, "{source}");
        };
        check(
            "---\ntitle: A guide\nyear: 2026\nscore: 0.5 # of one\ndraft: false\ntags: [a]\nlist:\n  - x\nurl: http://a.b/c\n\
             quoted: \"yes: 1\"\nnothing: ~\nbroken\n---\n# Text\n\nx: y\n",
            json!({"title": "A guide", "year": 2026, "score": 0.5, "draft": false, "url": "http://a.b/c", "quoted": "yes: 1"}),
        );
        check("---\na: b\n", json!({}));
        check("# no\n---\na: b\n---\n", json!({}));
        check("", json!({}));
    }

    #[test]
    fn attributes_are_few_short_and_plain() {
        let map = |value: Value| value.as_object().cloned().unwrap();
        assert!(check(&map(json!({"a": "x", "b": 1, "c": true}))).is_ok());
        for wrong in [json!({"a": []}), json!({"": 1}), json!({"a": null}), json!({"a": "x".repeat(513)})] {
            assert!(check(&map(wrong)).unwrap_err().contains("cannot be kept"));
        }
        let many: Map<String, Value> = (0..20).map(|n| (n.to_string(), json!(n))).collect();
        assert!(check(&many).unwrap_err().contains("at most 16"));
        let kept = kept(many, &map(json!({"3": "given"})));
        assert_eq!((kept.len(), &kept["3"], kept.contains_key("19")), (16, &json!("given"), false));
    }
}
