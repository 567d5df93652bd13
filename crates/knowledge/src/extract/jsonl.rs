//! One document of a JSON Lines file: `{"text", "title"?, "id"? or "_id"?}`; other keys are its attributes.

use serde_json::{Map, Value};

use super::{Extracted, text};

/// A line's document: its id, where it has one, and what it says.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) id: Option<String>,
    /// The line's other keys.
    pub(crate) attributes: Map<String, Value>,
    pub(crate) extracted: Extracted,
}

/// Reads one line.
///
/// # Errors
/// What is wrong with the line and what is allowed.
pub(crate) fn record(line: &str) -> Result<Record, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("is not JSON: {error}"))?;
    let Value::Object(mut object) = value else {
        return Err(String::from("must be an object with a string under `text`"));
    };
    let text = match object.remove("text") {
        Some(Value::String(text)) => text,
        Some(_) => return Err(String::from("`text` must be a string")),
        None => return Err(String::from("`text` is missing")),
    };
    let title = match object.remove("title") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(title)) => title.split_whitespace().collect::<Vec<_>>().join(" "),
        Some(_) => return Err(String::from("`title` must be a string")),
    };
    let id = match object.remove("id").or_else(|| object.remove("_id")) {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) if !id.is_empty() => Some(id),
        Some(Value::Number(id)) => Some(id.to_string()),
        Some(_) => return Err(String::from("`id` must be a non-empty string or a number")),
    };
    let extracted = text::extract(title, text);
    if extracted.blocks.is_empty() {
        return Err(String::from("`text` has no words"));
    }
    Ok(Record { id, attributes: object, extracted })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<(Option<&str>, &str, &str), &str>) {
        match (record(line), expected) {
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (Ok(found), Ok(expected)) => {
                let Extracted { title, text, .. } = &found.extracted;
                assert_eq!((found.id.as_deref(), title.as_str(), text.as_str()), expected);
            }
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn lines_are_documents_or_say_why_not() {
        check(r#"{"text":"a b"}"#, Ok((None, "", "a b")));
        check(r#"{"_id":"7","title":" A\n title","text":"x","url":"u"}"#, Ok((Some("7"), "A title", "x")));
        check(r#"{"id":7,"text":"x","title":null}"#, Ok((Some("7"), "", "x")));
        check(r#"{"text":7}"#, Err("`text` must be a string"));
        check(r#"{"title":"x"}"#, Err("`text` is missing"));
        check(r#"{"text":" -- "}"#, Err("no words"));
        check(r#"{"text":"x","id":""}"#, Err("`id` must be"));
        check(r#"{"text":"x","title":[]}"#, Err("`title` must be"));
        check(r#"["text"]"#, Err("must be an object"));
        check(r#"{"text":"#, Err("is not JSON"));
    }
}
