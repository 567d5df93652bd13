//! A request, written for a provider.
//!
//! Owns the top-level fields. Refuses by name what this dialect has no words for.

use api::{ChatRequest, Error};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{LOGPROBS, OWN, items, list_of, object, tools, unsupported};
use crate::foreign::{foreign, is_reserved};

/// The request's body for the provider's model `model`.
pub(crate) fn body(request: &ChatRequest, model: &str) -> Result<Bytes, Error> {
    foreign(&request.body, OWN)?;
    let mut body = Map::new();
    let own = request.body.get(OWN).cloned().unwrap_or_default();
    for (key, value) in &request.body {
        // What is under another dialect's key are hints: anything else has been refused.
        let has_gone = value.is_null() || is_reserved(key) || is_default(key, value);
        if !has_gone {
            field(request, key, value, &own, &mut body)?;
        }
    }
    body.insert("model".to_owned(), model.into());
    for (key, value) in object(own) {
        put_back(&mut body, key, value);
    }
    if request.sampling.logprobs {
        let include = body.entry("include").or_insert_with(|| json!([]));
        if let Some(list) = include.as_array_mut()
            && !list.iter().any(|item| item == LOGPROBS)
        {
            list.push(LOGPROBS.into());
        }
    }
    // Nothing is kept at the provider unless the client wants it there.
    body.entry("store").or_insert(Value::Bool(false));
    serde_json::to_vec(&body).map(Bytes::from).map_err(Error::internal)
}

fn field(
    request: &ChatRequest,
    key: &str,
    value: &Value,
    own: &Value,
    body: &mut Map<String, Value>,
) -> Result<(), Error> {
    match key {
        "messages" => conversation(value, body)?,
        "max_tokens" | "max_completion_tokens" => {
            body.insert("max_output_tokens".to_owned(), json!(request.sampling.max_tokens));
        }
        "response_format" => within(body, "text", "format", &format_from_chat(value)),
        "verbosity" => within(body, "text", "verbosity", value),
        "reasoning_effort" => within(body, "reasoning", "effort", value),
        "tools" => {
            let all =
                tools::from_chat(value.as_array().map(Vec::as_slice).unwrap_or_default(), list_of(own, key))?;
            body.insert(key.to_owned(), Value::Array(all));
        }
        "tool_choice" => {
            body.insert(key.to_owned(), tools::choice_from_chat(value)?);
        }
        // The usage comes unasked.
        "stream_options" | "logprobs" => {}
        _ if IS_THE_SAME.contains(&key) => {
            body.insert(key.to_owned(), value.clone());
        }
        "text" | "reasoning" if value.is_object() => put_back(body, key.to_owned(), value.clone()),
        _ => return Err(unsupported(key)),
    }
    Ok(())
}

/// Fields that mean the same in chat's body, and those of this dialect that a chat client may send to it by name.
const IS_THE_SAME: [&str; 23] = [
    "model",
    "stream",
    "temperature",
    "top_p",
    "top_logprobs",
    "user",
    "metadata",
    "store",
    "service_tier",
    "parallel_tool_calls",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "previous_response_id",
    "conversation",
    "prompt",
    "include",
    "truncation",
    "background",
    "max_tool_calls",
    "context_management",
    "moderation",
];

/// What says no more than leaving it out.
fn is_default(key: &str, value: &Value) -> bool {
    match key {
        "n" => value == 1,
        "presence_penalty" | "frequency_penalty" => value.as_f64() == Some(0.0),
        "modalities" => *value == json!(["text"]),
        "stop" | "functions" => value.as_array().is_some_and(Vec::is_empty) || value == "",
        "logit_bias" => value.as_object().is_some_and(Map::is_empty),
        _ => false,
    }
}

fn conversation(messages: &Value, body: &mut Map<String, Value>) -> Result<(), Error> {
    let messages = messages.as_array().map(Vec::as_slice).unwrap_or_default();
    let (instructions, items) = items::conversation(messages)?;
    if let Some(text) = instructions {
        body.insert("instructions".to_owned(), text.into());
    }
    if let Some(input) = short(&items) {
        body.insert("input".to_owned(), input);
    } else if !items.is_empty() {
        body.insert("input".to_owned(), Value::Array(items));
    }
    Ok(())
}

/// The only thing that a user says, as this dialect writes it short.
fn short(items: &[Value]) -> Option<Value> {
    let [item] = items else { return None };
    let plain = item.as_object()?.len() == 3 && item.get("role")? == "user";
    item.get("content").filter(|content| plain && content.is_string()).cloned()
}

fn format_from_chat(format: &Value) -> Value {
    let Some(schema) = format.get("json_schema").and_then(Value::as_object) else { return format.clone() };
    let mut flat = object(json!({"type": "json_schema"}));
    flat.extend(schema.clone());
    Value::Object(flat)
}

fn within(body: &mut Map<String, Value>, outer: &str, key: &str, value: &Value) {
    put_back(body, outer.to_owned(), json!({ key: value }));
}

/// Puts a field of this dialect back, beside what of it came by chat's names.
fn put_back(body: &mut Map<String, Value>, key: String, value: Value) {
    match (body.get_mut(&key), value) {
        (Some(Value::Object(there)), Value::Object(more)) => there.extend(more),
        (Some(_), _) if key == "tools" => {}
        (_, Value::Array(list)) if key == "tools" => {
            let tools = list.into_iter().filter(|tool| !tool.is_null()).collect();
            body.insert(key, Value::Array(tools));
        }
        (_, value) => {
            body.insert(key, value);
        }
    }
}
