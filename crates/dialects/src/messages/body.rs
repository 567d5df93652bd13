//! A chat body, as Anthropic is asked.
//!
//! Owns the turns (equal roles that follow each other are one turn, tools' results are the user's) and what each of chat's
//! fields becomes. Refuses by name every field that is neither chat's nor Anthropic's.

use api::{ChatRequest, Error};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::blocks::{self, given, keep_rest, text};
use super::{MAX_TOKENS_DEFAULT, OWN, tools};
use crate::foreign::{foreign, is_reserved, unsupported};

/// Anthropic's own fields, which a chat client may give as they are.
const ITS_OWN: [&str; 7] =
    ["top_k", "thinking", "container", "mcp_servers", "context_management", "output_config", "inference_geo"];

/// The request's body.
pub(crate) fn body(request: &ChatRequest, model: &str) -> Result<Bytes, Error> {
    foreign(&request.body, OWN)?;
    let chat = &request.body;
    let empty = Map::new();
    let own = chat.get(OWN).and_then(Value::as_object).unwrap_or(&empty);
    let mut body = Map::new();
    body.insert("model".to_owned(), model.into());
    body.insert("max_tokens".to_owned(), request.sampling.max_tokens.unwrap_or(MAX_TOKENS_DEFAULT).into());
    turns(chat, own, &mut body)?;
    for (key, value) in chat.iter().filter(|(_, value)| !value.is_null()) {
        field(key, value, own, &mut body)?;
    }
    tools::choose(chat, &mut body)?;
    for (key, value) in
        own.iter().filter(|(key, _)| !["system_in_place", "effort_of_thinking"].contains(&key.as_str()))
    {
        join(&mut body, key, value);
    }
    serde_json::to_vec(&body).map(Bytes::from).map_err(Error::internal)
}

/// Puts a field of the dialect's own beside what chat's fields have put there.
fn join(body: &mut Map<String, Value>, key: &str, value: &Value) {
    match (body.get_mut(key), value) {
        (Some(Value::Object(known)), Value::Object(more)) => keep_rest(known, more, &[]),
        _ => {
            body.insert(key.to_owned(), value.clone());
        }
    }
}

fn field(
    key: &str,
    value: &Value,
    own: &Map<String, Value>,
    body: &mut Map<String, Value>,
) -> Result<(), Error> {
    match key {
        "model" | "messages" | "max_tokens" | "max_completion_tokens" | "stream_options" => {}
        "tool_choice" | "parallel_tool_calls" => {}
        // What is under another dialect's key are hints: anything else has been refused.
        _ if is_reserved(key) => {}
        "metadata" | "prompt_cache_key" | "prompt_cache_retention" | "safety_identifier" => {}
        "temperature" if value.as_f64().is_some_and(|number| number > 1.0) => {
            return Err(unsupported(key, "`temperature` must be a number from 0 to 1 for this target."));
        }
        "stream" | "temperature" | "top_p" => join(body, key, value),
        "stop" => {
            let list = if value.is_string() { json!([value]) } else { value.clone() };
            join(body, "stop_sequences", &list);
        }
        "tools" => join(body, key, &tools::offered(value)?),
        "response_format" if own.contains_key("output_format") => {}
        "response_format" => match value["type"].as_str() {
            Some("json_schema") => {
                let format = json!({"type": "json_schema", "schema": value["json_schema"]["schema"]});
                join(body, "output_config", &json!({"format": format}));
            }
            Some("text") => {}
            _ => {
                let instead = "Anthropic has no `json_object`: give a `json_schema` with the schema.";
                return Err(unsupported("response_format.type", instead));
            }
        },
        "reasoning_effort" => reasoning(value, own, body),
        "user" => join(body, "metadata", &json!({"user_id": value})),
        "service_tier" if value == "auto" => join(body, key, value),
        "service_tier" if value == "default" => join(body, key, &json!("standard_only")),
        _ if ITS_OWN.contains(&key) => join(body, key, value),
        _ if is_default(key, value) => {}
        _ => {
            let message = format!(
                "`{key}` does not exist in Anthropic's messages, which this target speaks. Leave it out, or name another model."
            );
            return Err(unsupported(key, message));
        }
    }
    Ok(())
}

/// The value changes nothing.
fn is_default(key: &str, value: &Value) -> bool {
    match key {
        "n" => *value == 1,
        "logprobs" | "store" => *value == false,
        "top_logprobs" | "presence_penalty" | "frequency_penalty" => value.as_f64() == Some(0.0),
        "logit_bias" => value.as_object().is_some_and(Map::is_empty),
        "functions" => value.as_array().is_some_and(Vec::is_empty),
        "modalities" => *value == json!(["text"]),
        "verbosity" => value == "medium",
        _ => false,
    }
}

/// Where the client gave a budget of its own, the effort was made of it.
fn reasoning(value: &Value, own: &Map<String, Value>, body: &mut Map<String, Value>) {
    match value.as_str() {
        _ if own.contains_key("effort_of_thinking") => {}
        Some("none") => join(body, "thinking", &json!({"type": "disabled"})),
        Some("minimal") => join(body, "output_config", &json!({"effort": "low"})),
        _ => join(body, "output_config", &json!({"effort": value})),
    }
}

fn turns(
    chat: &Map<String, Value>,
    own: &Map<String, Value>,
    body: &mut Map<String, Value>,
) -> Result<(), Error> {
    let (mut system, mut turns) = (Vec::new(), Vec::<Map<String, Value>>::new());
    for (place, message) in blocks::objects(chat, "messages").into_iter().enumerate() {
        let at = format!("messages[{place}]");
        refuse_words(&at, message)?;
        let role = text(message, "role").unwrap_or_default();
        let content = match role {
            "tool" => Value::Array(vec![tool_result(&at, message)?]),
            "function" => {
                return Err(unsupported(
                    at,
                    "This target takes tools' results as messages of the role tool.",
                ));
            }
            _ if message.get("content").is_some_and(Value::is_string) && is_plain(message) => {
                message["content"].clone()
            }
            _ => {
                let mut blocks = blocks::of_message(&at, message)?;
                // What another provider thought has no seal, and Anthropic takes none without.
                blocks.retain(|block| block["type"] != "thinking" || block["signature"] != "");
                blocks.iter_mut().for_each(forget_others);
                Value::Array(blocks)
            }
        };
        let content = without_empty(content);
        if content.is_null() {
            continue;
        }
        let in_place = own.contains_key("system_in_place") && place > 0;
        if matches!(role, "system" | "developer") && !in_place {
            system.push(content);
            continue;
        }
        let role = if role == "tool" { "user" } else { role };
        let mut turn = Map::new();
        turn.insert("role".to_owned(), role.into());
        turn.insert("content".to_owned(), content);
        keep_rest(&mut turn, message, &KNOWN);
        match turns.last_mut().filter(|last| last["role"] == role) {
            Some(last) => append(&mut last["content"], turn["content"].take()),
            None => turns.push(turn),
        }
    }
    if turns.is_empty() {
        return Err(unsupported("messages", "This target needs a message of the user that says something."));
    }
    let system = system.into_iter().reduce(|mut all, more| {
        append(&mut all, more);
        all
    });
    if let Some(system) = system {
        body.insert("system".to_owned(), system);
    }
    body.insert("messages".to_owned(), turns.into_iter().map(Value::Object).collect());
    Ok(())
}

/// Takes out what other providers leave on a call for their own next turn: Anthropic refuses fields that it does not know.
fn forget_others(block: &mut Value) {
    if let Some(block) = block.as_object_mut().filter(|block| text(block, "type") == Some("tool_use")) {
        block.retain(|key, _| !["provider_specific_fields", "extra_content"].contains(&key.as_str()));
    }
}

/// What a chat message may hold that has its own place in a turn, or none because only its writer can read it.
const KNOWN: [&str; 17] = [
    "role",
    "content",
    "name",
    "tool_calls",
    "tool_call_id",
    "refusal",
    "thinking_blocks",
    "reasoning_content",
    "reasoning_items",
    "provider_specific_fields",
    "annotations",
    "audio",
    "function_call",
    "is_error",
    "cache_control",
    "extra_content",
    "reasoning_details",
];

fn refuse_words(at: &str, message: &Map<String, Value>) -> Result<(), Error> {
    for key in ["name", "audio", "function_call"] {
        let is_hint = key == "name" && message.get("role").is_some_and(|role| role == "tool");
        if given(message, key).is_some() && !is_hint {
            let message =
                format!("Anthropic's messages have no `{key}`, and this target speaks them. Leave it out.");
            return Err(unsupported(format!("{at}.{key}"), message));
        }
    }
    Ok(())
}

/// The message is its text and nothing else.
fn is_plain(message: &Map<String, Value>) -> bool {
    let more = ["tool_calls", "thinking_blocks", "provider_specific_fields", "refusal"];
    more.iter().all(|key| given(message, key).is_none())
}

/// Anthropic refuses empty texts: what is left, or null.
fn without_empty(content: Value) -> Value {
    match content {
        Value::String(text) if text.is_empty() => Value::Null,
        Value::Array(mut list) => {
            list.retain(|block| block["type"] != "text" || block["text"] != "");
            if list.is_empty() { Value::Null } else { Value::Array(list) }
        }
        content => content,
    }
}

fn append(content: &mut Value, more: Value) {
    let listed = |content: Value| match content {
        Value::Array(list) => list,
        text => vec![json!({"type": "text", "text": text})],
    };
    let mut list = listed(content.take());
    list.extend(listed(more));
    *content = Value::Array(list);
}

fn tool_result(at: &str, message: &Map<String, Value>) -> Result<Value, Error> {
    let mut result = Map::new();
    result.insert("type".to_owned(), "tool_result".into());
    result.insert("tool_use_id".to_owned(), message.get("tool_call_id").cloned().unwrap_or_default());
    let content = match message.get("content") {
        Some(Value::Array(_)) => Value::Array(blocks::of_message(at, message)?),
        content => content.cloned().unwrap_or_default(),
    };
    let content = without_empty(content);
    if !content.is_null() {
        result.insert("content".to_owned(), content);
    }
    keep_rest(&mut result, message, &["role", "tool_call_id", "content", "name"]);
    Ok(Value::Object(result))
}
