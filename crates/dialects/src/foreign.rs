//! What one client's dialect has and the target's has not.
//!
//! Owns the refusal by name. A client's dialect leaves what chat has no words for under one reserved key of the chat body
//! (`anthropic`, `responses`, `gemini`) and in parts whose type begins with that key: only the same dialect's wire knows
//! what they mean, and every other refuses them, because to leave them out would change the answer without a word.

use api::Error;
use api::Fault::BadRequest;
use serde_json::{Map, Value};

/// The reserved keys and how their dialects are called.
const DIALECTS: [(&str, &str); 3] =
    [("anthropic", "Anthropic's messages"), ("responses", "OpenAI's responses"), ("gemini", "Gemini")];

/// Fields that are kept for their own dialect to be given back as they came, and that chat's fields say as well, or that
/// change no answer.
const TRANSLATED: [(&str, &str); 6] = [
    ("anthropic", "effort_of_thinking"),
    ("anthropic", "thinking"),
    ("anthropic", "output_format"),
    ("anthropic", "metadata"),
    ("anthropic", "cache_control"),
    ("anthropic", "system_in_place"),
];

/// Whether a top-level key of a chat body is another dialect's.
pub(crate) fn is_reserved(key: &str) -> bool {
    DIALECTS.iter().any(|(name, _)| *name == key)
}

/// Refuses the first thing in a chat body that belongs to another dialect than `own`.
///
/// # Errors
/// A 400 with the code `unsupported_by_target`; its `param` is the field's own name in its dialect, or the part's place.
pub(crate) fn foreign(body: &Map<String, Value>, own: &str) -> Result<(), Error> {
    for (key, dialect) in DIALECTS.iter().filter(|(key, _)| *key != own) {
        let Some(value) = body.get(*key).filter(|value| !value.is_null()) else { continue };
        let Some(fields) = value.as_object() else { return Err(refused(key, key, dialect)) };
        let refused_field = |(field, value): &(&String, &Value)| {
            !is_hint(key, field, value) && !TRANSLATED.contains(&(*key, field.as_str()))
        };
        if let Some((field, _)) = fields.iter().find(refused_field) {
            return Err(refused(field, field, dialect));
        }
    }
    let tools = body.get("tools").and_then(Value::as_array);
    for (place, tool) in tools.into_iter().flatten().enumerate() {
        let kind = tool.get("type").and_then(Value::as_str).and_then(|kind| kind.split_once('.'));
        let Some((key, kind)) = kind.filter(|(key, _)| *key != own) else { continue };
        if let Some((_, dialect)) = DIALECTS.iter().find(|(name, _)| *name == key) {
            return Err(refused(&format!("tools[{place}]"), kind, dialect));
        }
    }
    let messages = body.get("messages").and_then(Value::as_array);
    for (place, message) in messages.into_iter().flatten().enumerate() {
        let parts = message.get("content").and_then(Value::as_array);
        for (n, part) in parts.into_iter().flatten().enumerate() {
            let kind = part.get("type").and_then(Value::as_str).and_then(|kind| kind.split_once('.'));
            let Some((key, kind)) = kind.filter(|(key, _)| *key != own) else { continue };
            if let Some((_, dialect)) = DIALECTS.iter().find(|(name, _)| *name == key) {
                return Err(refused(&format!("messages[{place}].content[{n}]"), kind, dialect));
            }
        }
    }
    Ok(())
}

/// What may be passed over, because it cannot change the answer.
fn is_hint(dialect: &str, field: &str, value: &Value) -> bool {
    match (dialect, field) {
        _ if value.is_null() => true,
        // More about an answer than other providers have, and how its stream is padded.
        ("responses", "include" | "stream_options" | "top_logprobs") => true,
        ("responses", "truncation") => value == "disabled",
        ("responses", "background") => *value == Value::Bool(false),
        ("responses", "reasoning") => {
            let summary = |key: &String| ["summary", "generate_summary"].contains(&key.as_str());
            value.as_object().is_some_and(|fields| fields.keys().all(summary))
        }
        _ => false,
    }
}

/// What an assistant's earlier text rested on, as Anthropic's clients bring it back. Other dialects pass over it: no answer
/// depends on it.
pub(crate) fn are_citations(key: &str, value: &Value) -> bool {
    let is_citation =
        |one: &Value| one.get("type").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("_location"));
    key == "citations" && value.as_array().is_some_and(|list| list.iter().all(is_citation))
}

/// The target's dialect has no words for the field `param`.
pub(crate) fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Error {
    Error::new(BadRequest, "unsupported_by_target", message).with_param(param)
}

fn refused(param: &str, what: &str, dialect: &str) -> Error {
    let message = format!(
        "`{what}` exists only in {dialect}, and this request's target speaks another dialect. Leave it out, or name a \
         model whose provider speaks {dialect}."
    );
    unsupported(param, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, own: &str, expected: Option<&str>) {
        let body = api::parse_object(body.as_bytes()).expect("an object");
        let refused = foreign(&body, own).err();
        assert_eq!(refused.as_ref().and_then(|error| error.param.as_deref()), expected, "{body:?}");
        assert!(
            refused.is_none_or(|error| error.code == "unsupported_by_target" && error.fault.status() == 400)
        );
    }

    #[test]
    fn only_its_own_dialect_takes_what_chat_has_no_words_for() {
        check(r#"{"anthropic":{"container":"c"}}"#, "", Some("container"));
        check(r#"{"anthropic":{"container":"c"}}"#, "anthropic", None);
        check(r#"{"anthropic":{"container":null},"gemini":null,"responses":{}}"#, "", None);
        check(r#"{"gemini":7}"#, "responses", Some("gemini"));
        let parts = |kind: &str| {
            format!(
                r#"{{"messages":[{{"content":"x"}},{{"content":[{{"type":"text"}},{{"type":"{kind}"}}]}}]}}"#
            )
        };
        check(&parts("responses.computer_call"), "anthropic", Some("messages[1].content[1]"));
        check(&parts("responses.computer_call"), "responses", None);
        check(&parts("vendor.thing"), "responses", None);
    }
}
