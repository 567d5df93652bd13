//! A client's request, read into chat's form.
//!
//! Owns the top-level fields. Refuses by name, in this dialect's own words, what is not as it should be.

use api::{ChatRequest, Error};
use serde_json::{Map, Value};

use super::{Client, LOGPROBS, OWN, input, object, tools};

/// Reads and checks a request.
pub(crate) fn read(body: Map<String, Value>) -> Result<(ChatRequest, Client), Error> {
    let client = Client::of(&body);
    let request = ChatRequest::from_body(to_chat(body)?).map_err(in_own_words)?;
    Ok((request, client))
}

fn to_chat(body: Map<String, Value>) -> Result<Map<String, Value>, Error> {
    let mut chat = Map::new();
    let mut own = Map::new();
    chat.insert("messages".to_owned(), Value::Array(messages(&body)?));
    for (key, value) in body {
        if value.is_null() {
            continue;
        }
        match key.as_str() {
            "input" | "instructions" => {}
            "model"
            | "stream"
            | "temperature"
            | "top_p"
            | "user"
            | "metadata"
            | "store"
            | "service_tier"
            | "parallel_tool_calls"
            | "safety_identifier"
            | "prompt_cache_key"
            | "prompt_cache_retention"
            | "prompt_cache_options" => {
                chat.insert(key, value);
            }
            "max_output_tokens" => {
                chat.insert("max_completion_tokens".to_owned(), value);
            }
            "text" => text(value, &mut chat, &mut own)?,
            "reasoning" => reasoning(value, &mut chat, &mut own)?,
            "tools" => {
                let (functions, others) = tools::to_chat(value)?;
                if !functions.is_empty() {
                    chat.insert(key.clone(), Value::Array(functions));
                }
                own.extend(others.map(|others| (key, others)));
            }
            "tool_choice" => match tools::choice_to_chat(&value) {
                Some(choice) => {
                    chat.insert(key, choice);
                }
                None => {
                    own.insert(key, value);
                }
            },
            _ => {
                own.insert(key, value);
            }
        }
    }
    log_probabilities(&mut chat, &mut own);
    if !own.is_empty() {
        chat.insert(OWN.to_owned(), Value::Object(own));
    }
    Ok(chat)
}

fn messages(body: &Map<String, Value>) -> Result<Vec<Value>, Error> {
    let instructions = match body.get("instructions") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.as_str()),
        Some(_) => return Err(Error::field("instructions", "`instructions` must be a string.")),
    };
    let given = |key: &str| body.get(key).is_some_and(|value| !value.is_null());
    let messages = match body.get("input") {
        None | Some(Value::Null) => input::messages(instructions, &[])?,
        Some(Value::String(text)) => {
            let mut messages = input::messages(instructions, &[])?;
            messages.push(serde_json::json!({"role": "user", "content": text}));
            messages
        }
        Some(Value::Array(items)) => input::messages(instructions, items)?,
        Some(_) => return Err(Error::field("input", "`input` must be a string or an array of items.")),
    };
    let elsewhere = ["previous_response_id", "conversation", "prompt"].into_iter().any(given);
    if messages.is_empty() && elsewhere {
        // The conversation is at the provider; a message that says nothing stands for it.
        return Ok(vec![serde_json::json!({"role": "user", "content": []})]);
    }
    Ok(messages)
}

fn text(value: Value, chat: &mut Map<String, Value>, own: &mut Map<String, Value>) -> Result<(), Error> {
    if !value.is_object() {
        return Err(Error::field("text", "`text` must be an object with `format` or `verbosity`."));
    }
    let mut text = object(value);
    match text.shift_remove("format") {
        None | Some(Value::Null) => {}
        Some(format) => {
            chat.insert("response_format".to_owned(), format_to_chat(format)?);
        }
    }
    if let Some(verbosity) = text.shift_remove("verbosity").filter(|value| !value.is_null()) {
        chat.insert("verbosity".to_owned(), verbosity);
    }
    if !text.is_empty() {
        own.insert("text".to_owned(), Value::Object(text));
    }
    Ok(())
}

fn format_to_chat(format: Value) -> Result<Value, Error> {
    if !format.is_object() {
        return Err(Error::field("text.format", "`text.format` must be an object with a `type`."));
    }
    let mut schema = object(format);
    if schema.get("type").and_then(Value::as_str) != Some("json_schema") {
        return Ok(Value::Object(schema));
    }
    schema.shift_remove("type");
    if !schema.get("schema").is_some_and(Value::is_object) {
        return Err(Error::field("text.format.schema", "`schema` must be a JSON schema."));
    }
    Ok(serde_json::json!({"type": "json_schema", "json_schema": schema}))
}

fn reasoning(value: Value, chat: &mut Map<String, Value>, own: &mut Map<String, Value>) -> Result<(), Error> {
    if !value.is_object() {
        return Err(Error::field("reasoning", "`reasoning` must be an object with `effort` or `summary`."));
    }
    let mut reasoning = object(value);
    if let Some(effort) = reasoning.shift_remove("effort").filter(|value| !value.is_null()) {
        chat.insert("reasoning_effort".to_owned(), effort);
    }
    reasoning.retain(|_, value| !value.is_null());
    if !reasoning.is_empty() {
        own.insert("reasoning".to_owned(), Value::Object(reasoning));
    }
    Ok(())
}

/// Log-probabilities are asked for by `include` here; `top_logprobs` alone asks for nothing.
fn log_probabilities(chat: &mut Map<String, Value>, own: &mut Map<String, Value>) {
    let included = own.get("include").and_then(Value::as_array);
    if !included.is_some_and(|list| list.iter().any(|item| item == LOGPROBS)) {
        return;
    }
    chat.insert("logprobs".to_owned(), Value::Bool(true));
    if let Some(top) = own.shift_remove("top_logprobs") {
        chat.insert("top_logprobs".to_owned(), top);
    }
}

/// An error about the chat form, in words of this dialect.
pub(crate) fn in_own_words(mut error: Error) -> Error {
    const NAMES: [(&str, &str); 4] = [
        ("max_completion_tokens", "max_output_tokens"),
        ("response_format.json_schema", "text.format"),
        ("response_format", "text.format"),
        ("messages", "input"),
    ];
    let Some(param) = error.param.take() else { return error };
    let renamed = NAMES.iter().find(|(chat, _)| param.starts_with(chat));
    error.param = Some(match renamed {
        Some((chat, own)) => {
            error.message = error.message.replace(chat, own);
            param.replacen(chat, own, 1)
        }
        None => param,
    });
    error
}
