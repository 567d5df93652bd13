//! A messages client's request, as a chat body.
//!
//! Owns the checks that only this dialect knows, and the client's own names in every error. Refuses a request without
//! `max_tokens`, except where tokens are only counted.

use api::{ChatRequest, Error};
use serde_json::{Map, Value, json};

use super::OWN;
use super::blocks::{self, given, keep_rest, text};

/// Reads a client's request.
pub(crate) fn read(body: Map<String, Value>) -> Result<ChatRequest, Error> {
    if given(&body, "max_tokens").is_none() {
        return Err(Error::field("max_tokens", "`max_tokens` is missing: give a whole number from 1."));
    }
    read_for_count(body)
}

/// Reads the body of `POST /v1/messages/count_tokens`: a request without `max_tokens`.
///
/// # Errors
/// A 400 naming the first field that is not what it should be, in the client's words.
pub fn read_for_count(body: Map<String, Value>) -> Result<ChatRequest, Error> {
    ChatRequest::from_body(chat(body)?).map_err(in_own_words)
}

/// Errors of the chat body, in the names of the client's own fields.
pub(crate) fn in_own_words(mut error: Error) -> Error {
    for (chat, own) in [("stop", "stop_sequences"), ("response_format", "output_config.format")] {
        if error.param.as_deref().is_some_and(|param| param.split('.').next() == Some(chat)) {
            error.param = Some(own.to_owned());
            error.message = error.message.replace(&format!("`{chat}`"), &format!("`{own}`"));
        }
    }
    error
}

fn chat(body: Map<String, Value>) -> Result<Map<String, Value>, Error> {
    if given(&body, "temperature")
        .is_some_and(|value| value.as_f64().is_none_or(|t| !(0.0..=1.0).contains(&t)))
    {
        return Err(Error::field("temperature", "`temperature` must be a number from 0 to 1."));
    }
    let (mut chat, mut own) = (Map::new(), Map::new());
    let mut messages = Vec::new();
    let mut thought = None;
    for (key, value) in body.into_iter().filter(|(_, value)| !value.is_null()) {
        match key.as_str() {
            "model" | "max_tokens" | "stream" | "temperature" | "top_p" => {
                chat.insert(key, value);
            }
            "system" => messages.insert(0, system(value)?),
            "messages" => turns(&value, &mut messages, &mut own)?,
            "stop_sequences" => {
                chat.insert("stop".to_owned(), value);
            }
            "tools" => {
                chat.insert(key, tools(&value)?);
            }
            "tool_choice" => choice(&value, &mut chat)?,
            "output_config" => output(&value, &mut chat, &mut own)?,
            "output_format" => {
                chat.insert("response_format".to_owned(), format(&value));
                own.insert(key, value);
            }
            "thinking" => {
                if let Some(effort) = effort(&value) {
                    thought = Some(effort);
                }
                own.insert(key, value);
            }
            "metadata" => metadata(value, &mut chat, &mut own)?,
            "service_tier" if value == "auto" => {
                chat.insert(key, value);
            }
            "service_tier" if value == "standard_only" => {
                chat.insert(key, "default".into());
            }
            _ => {
                own.insert(key, value);
            }
        }
    }
    if let (Some(effort), false) = (thought, chat.contains_key("reasoning_effort")) {
        chat.insert("reasoning_effort".to_owned(), effort.into());
        own.insert("effort_of_thinking".to_owned(), true.into());
    }
    if !messages.is_empty() {
        chat.insert("messages".to_owned(), Value::Array(messages));
    }
    if !own.is_empty() {
        chat.insert(OWN.to_owned(), Value::Object(own));
    }
    Ok(chat)
}

/// The nearest effort of a thinking budget; `None` where the model is left to choose.
fn effort(thinking: &Value) -> Option<&'static str> {
    match (thinking["type"].as_str()?, thinking["budget_tokens"].as_u64()) {
        ("disabled", _) => Some("none"),
        ("enabled", Some(0..=2048)) => Some("low"),
        ("enabled", Some(2049..=8192)) => Some("medium"),
        ("enabled", _) => Some("high"),
        _ => None,
    }
}

fn system(value: Value) -> Result<Value, Error> {
    match value {
        Value::String(_) => Ok(json!({"role": "system", "content": value})),
        Value::Array(list) => Ok(json!({"role": "system", "content": parts("system", &list)?})),
        _ => Err(Error::field("system", "`system` must be a string or an array of text blocks.")),
    }
}

fn parts(at: &str, list: &[Value]) -> Result<Vec<Value>, Error> {
    let read =
        list.iter().enumerate().map(|(n, block)| Ok(blocks::part(block_of(&format!("{at}[{n}]"), block)?)));
    read.collect()
}

fn block_of<'a>(at: &str, value: &'a Value) -> Result<&'a Map<String, Value>, Error> {
    let block = value.as_object().filter(|block| text(block, "type").is_some());
    block.ok_or_else(|| Error::field(at, "A content block must be an object with a `type`."))
}

fn turns(value: &Value, into: &mut Vec<Value>, own: &mut Map<String, Value>) -> Result<(), Error> {
    let list = value.as_array().filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| Error::field("messages", "`messages` must be a non-empty array."))?;
    for (place, message) in list.iter().enumerate() {
        let at = format!("messages[{place}]");
        let Some(message) = message.as_object() else {
            return Err(Error::field(at, "A message must be an object with `role` and `content`."));
        };
        let role = text(message, "role").filter(|role| matches!(*role, "user" | "assistant" | "system"));
        let Some(role) = role else {
            return Err(Error::field(format!("{at}.role"), "`role` must be user, assistant or system."));
        };
        if role == "system" {
            own.insert("system_in_place".to_owned(), true.into());
        }
        match message.get("content") {
            Some(Value::String(_)) => into.push(Value::Object(message.clone())),
            Some(Value::Array(list)) => turn(&at, role, message, list, into)?,
            _ => {
                let allowed = "`content` must be a string or an array of content blocks.";
                return Err(Error::field(format!("{at}.content"), allowed));
            }
        }
    }
    Ok(())
}

fn turn(
    at: &str,
    role: &str,
    message: &Map<String, Value>,
    list: &[Value],
    into: &mut Vec<Value>,
) -> Result<(), Error> {
    let mut turn = Map::new();
    turn.insert("role".to_owned(), role.into());
    keep_rest(&mut turn, message, &["role", "content"]);
    let mut said = Vec::new();
    let flush = |said: &mut Vec<Value>, into: &mut Vec<Value>| {
        if !said.is_empty() {
            let mut turn = turn.clone();
            turn.insert("content".to_owned(), Value::Array(std::mem::take(said)));
            into.push(Value::Object(turn));
        }
    };
    if role == "assistant" {
        into.push(assistant(at, turn, list)?);
        return Ok(());
    }
    for (n, value) in list.iter().enumerate() {
        let at = format!("{at}.content[{n}]");
        let block = block_of(&at, value)?;
        if text(block, "type") == Some("tool_result") {
            flush(&mut said, into);
            into.push(tool_result(&at, block)?);
        } else {
            said.push(blocks::part(block));
        }
    }
    flush(&mut said, into);
    Ok(())
}

fn tool_result(at: &str, block: &Map<String, Value>) -> Result<Value, Error> {
    let content = match block.get("content") {
        None | Some(Value::Null) => "".into(),
        Some(Value::Array(list)) => Value::Array(parts(&format!("{at}.content"), list)?),
        Some(content) => content.clone(),
    };
    let mut message = Map::new();
    message.insert("role".to_owned(), "tool".into());
    message.insert("tool_call_id".to_owned(), block.get("tool_use_id").cloned().unwrap_or_default());
    message.insert("content".to_owned(), content);
    keep_rest(&mut message, block, &["type", "tool_use_id", "content"]);
    Ok(Value::Object(message))
}

/// Thinking, what is said, and calls have their own places where they come in that order; otherwise all are parts.
fn assistant(at: &str, mut turn: Map<String, Value>, list: &[Value]) -> Result<Value, Error> {
    let mut ranks = Vec::new();
    for (n, value) in list.iter().enumerate() {
        let kind = text(block_of(&format!("{at}.content[{n}]"), value)?, "type").unwrap_or_default();
        ranks.push(match kind {
            "thinking" | "redacted_thinking" => 0,
            "tool_use" => 2,
            _ => 1,
        });
    }
    let in_order = ranks.is_sorted();
    let (mut thinking, mut said, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    for (block, rank) in list.iter().filter_map(Value::as_object).zip(ranks) {
        match rank {
            0 if in_order => thinking.push(Value::Object(block.clone())),
            2 if in_order => calls.push(blocks::call(block)),
            _ => said.push(blocks::part(block)),
        }
    }
    turn.insert("content".to_owned(), if said.is_empty() { Value::Null } else { Value::Array(said) });
    for (key, list) in [("thinking_blocks", thinking), ("tool_calls", calls)] {
        if !list.is_empty() {
            turn.insert(key.to_owned(), Value::Array(list));
        }
    }
    Ok(Value::Object(turn))
}

fn tools(value: &Value) -> Result<Value, Error> {
    let wrong = || Error::field("tools", "`tools` must be an array of objects with a `name`.");
    let read = value.as_array().ok_or_else(wrong)?.iter().map(|tool| {
        let tool = tool.as_object().ok_or_else(wrong)?;
        let mut chat = tool.clone();
        if let Some(kind) = text(tool, "type").filter(|kind| *kind != "custom") {
            chat.insert("type".to_owned(), format!("{OWN}.{kind}").into());
            return Ok(Value::Object(chat));
        }
        let mut function = Map::new();
        for (own, key) in [
            ("name", "name"),
            ("description", "description"),
            ("input_schema", "parameters"),
            ("strict", "strict"),
        ] {
            if let Some(value) = chat.shift_remove(own) {
                function.insert(key.to_owned(), value);
            }
        }
        chat.insert("type".to_owned(), "function".into());
        chat.insert("function".to_owned(), Value::Object(function));
        Ok(Value::Object(chat))
    });
    Ok(Value::Array(read.collect::<Result<_, Error>>()?))
}

fn choice(value: &Value, chat: &mut Map<String, Value>) -> Result<(), Error> {
    let choice = match value["type"].as_str() {
        Some("auto") => json!("auto"),
        Some("any") => json!("required"),
        Some("none") => json!("none"),
        Some("tool") => json!({"type": "function", "function": {"name": value["name"]}}),
        _ => {
            return Err(Error::field(
                "tool_choice.type",
                "`tool_choice.type` must be auto, any, tool or none.",
            ));
        }
    };
    chat.insert("tool_choice".to_owned(), choice);
    if let Some(disabled) = value["disable_parallel_tool_use"].as_bool() {
        chat.insert("parallel_tool_calls".to_owned(), (!disabled).into());
    }
    Ok(())
}

fn output(value: &Value, chat: &mut Map<String, Value>, own: &mut Map<String, Value>) -> Result<(), Error> {
    let wrong = || Error::field("output_config", "`output_config` must be an object.");
    let mut rest = Map::new();
    for (key, value) in value.as_object().ok_or_else(wrong)?.iter().filter(|(_, value)| !value.is_null()) {
        match key.as_str() {
            "effort" => chat.insert("reasoning_effort".to_owned(), value.clone()),
            "format" => chat.insert("response_format".to_owned(), format(value)),
            _ => rest.insert(key.clone(), value.clone()),
        };
    }
    if !rest.is_empty() {
        own.insert("output_config".to_owned(), Value::Object(rest));
    }
    Ok(())
}

fn format(value: &Value) -> Value {
    let schema = json!({"name": "answer", "schema": value.get("schema"), "strict": true});
    json!({"type": value.get("type"), "json_schema": schema})
}

fn metadata(value: Value, chat: &mut Map<String, Value>, own: &mut Map<String, Value>) -> Result<(), Error> {
    let Value::Object(mut fields) = value else {
        return Err(Error::field("metadata", "`metadata` must be an object."));
    };
    if let Some(user) = fields.shift_remove("user_id").filter(|user| !user.is_null()) {
        chat.insert("user".to_owned(), user);
    }
    if !fields.is_empty() {
        own.insert("metadata".to_owned(), Value::Object(fields));
    }
    Ok(())
}
