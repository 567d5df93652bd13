//! A request, written for a provider.
//!
//! Owns what is added and left out on the way; everything else goes as it came, in its own order. Refuses what only
//! another dialect has words for.

use std::borrow::Cow;

use api::{ChatRequest, Error};
use bytes::Bytes;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use crate::foreign::{are_citations, foreign, is_reserved};

/// The request's body: what came, with the upstream's own `model`, and with the usage asked for where it streams.
///
/// # Errors
/// The request holds what only another dialect has words for.
pub(crate) fn body(request: &ChatRequest, model: &str) -> Result<Bytes, Error> {
    foreign(&request.body, "")?;
    let mut bytes = Vec::with_capacity(1024);
    serde_json::to_writer(&mut bytes, &Outgoing { request, model }).map_err(Error::internal)?;
    Ok(bytes.into())
}

/// Writes the body in its own order, without copying it first.
struct Outgoing<'a> {
    request: &'a ChatRequest,
    model: &'a str,
}

impl Serialize for Outgoing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { request, model } = self;
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in &request.body {
            match key.as_str() {
                // What is under it are hints: anything else has been refused.
                key if is_reserved(key) => {}
                "messages" => map.serialize_entry(key, &Conversation(value))?,
                "model" => map.serialize_entry(key, model)?,
                "stream_options" if request.stream => {
                    map.serialize_entry(key, &with_usage(value.as_object()))?;
                }
                _ => map.serialize_entry(key, value)?,
            }
        }
        if request.stream && !request.body.contains_key("stream_options") {
            map.serialize_entry("stream_options", &with_usage(None))?;
        }
        map.end()
    }
}

/// Messages without what only the house and other dialects know: providers refuse keys that they do not know.
struct Conversation<'a>(&'a Value);

/// What other dialects' answers leave in a conversation for their own next turn.
const KEEPSAKES: [&str; 4] = ["thinking_blocks", "reasoning_items", "provider_specific_fields", "is_error"];

impl Serialize for Conversation<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(messages) = self.0.as_array() else { return self.0.serialize(serializer) };
        serializer.collect_seq(messages.iter().map(plain))
    }
}

/// A message as chat knows it; borrowed where it is that already.
fn plain(message: &Value) -> Cow<'_, Value> {
    let list = |key: &str| message.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_plain = !KEEPSAKES.iter().any(|key| message.get(key).is_some())
        && list("tool_calls").iter().all(|call| call.get("provider_specific_fields").is_none())
        && list("content").iter().all(|part| !part.as_object().is_some_and(has_citations));
    if is_plain {
        return Cow::Borrowed(message);
    }
    let mut message = message.clone();
    if let Some(fields) = message.as_object_mut() {
        if fields.contains_key("thinking_blocks") || fields.contains_key("reasoning_items") {
            fields.shift_remove("reasoning_content");
        }
        fields.retain(|key, _| !KEEPSAKES.contains(&key.as_str()));
    }
    let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
    for call in calls.into_iter().flatten().filter_map(Value::as_object_mut) {
        call.shift_remove("provider_specific_fields");
    }
    let parts = message.get_mut("content").and_then(Value::as_array_mut);
    for part in parts.into_iter().flatten().filter_map(Value::as_object_mut) {
        part.retain(|key, value| !are_citations(key, value));
    }
    Cow::Owned(message)
}

fn has_citations(part: &Map<String, Value>) -> bool {
    part.get("citations").is_some_and(|citations| are_citations("citations", citations))
}

fn with_usage(options: Option<&Map<String, Value>>) -> Map<String, Value> {
    let mut options = options.cloned().unwrap_or_default();
    options.insert("include_usage".to_owned(), Value::Bool(true));
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &str) -> ChatRequest {
        ChatRequest::from_body(api::parse_object(body.as_bytes()).expect("an object")).expect("a request")
    }

    fn check_body(came: &str, sent: &str) {
        let bytes = body(&request(came), "their-model").expect("a body");
        assert_eq!(std::str::from_utf8(&bytes).expect("text"), sent);
    }

    #[test]
    fn a_request_keeps_its_order_and_unknown_fields() {
        check_body(
            r#"{"z":[1,{"b":2.5,"a":null}],"model":"auto","messages":[{"role":"user","content":"é"}],"top_k":5}"#,
            r#"{"z":[1,{"b":2.5,"a":null}],"model":"their-model","messages":[{"role":"user","content":"é"}],"top_k":5}"#,
        );
        let messages = r#""messages":[{"role":"user","content":"x"}]"#;
        check_body(
            &format!(r#"{{"model":"m","stream":true,{messages}}}"#),
            &format!(
                r#"{{"model":"their-model","stream":true,{messages},"stream_options":{{"include_usage":true}}}}"#
            ),
        );
        check_body(
            &format!(
                r#"{{"model":"m","stream_options":{{"include_usage":false,"x":1}},"stream":true,{messages}}}"#
            ),
            &format!(
                r#"{{"model":"their-model","stream_options":{{"include_usage":true,"x":1}},"stream":true,{messages}}}"#
            ),
        );
        check_body(
            &format!(r#"{{"model":"m","stream":true,"stream_options":null,{messages}}}"#),
            &format!(
                r#"{{"model":"their-model","stream":true,"stream_options":{{"include_usage":true}},{messages}}}"#
            ),
        );
    }

    #[test]
    fn a_provider_is_sent_nothing_that_only_other_dialects_know() {
        check_body(
            r#"{"model":"m","responses":{"background":false},"messages":[{"role":"assistant","content":"a","reasoning_content":"r",
            "thinking_blocks":[],"tool_calls":[{"id":"1","provider_specific_fields":{}}]},{"role":"assistant","reasoning_content":"kept","content":"b"}]}"#,
            r#"{"model":"their-model","messages":[{"role":"assistant","content":"a","tool_calls":[{"id":"1"}]},{"role":"assistant","reasoning_content":"kept","content":"b"}]}"#,
        );
        let foreign = request(
            r#"{"model":"m","responses":{"conversation":"c"},"messages":[{"role":"user","content":"x"}]}"#,
        );
        let refused = body(&foreign, "m").expect_err("only Responses knows it");
        assert_eq!((refused.code, refused.param.as_deref()), ("unsupported_by_target", Some("conversation")));
    }
}
