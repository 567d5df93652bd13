//! A client's input items, read into chat's messages.
//!
//! Owns the grouping of an assistant's items into messages, and which items chat has words for; the others travel whole.
//! Refuses references to items that the house does not have, and shapes that are not of the dialect.

use api::Error;
use serde_json::{Map, Value, json};

use super::{MADE_UP_REASONING, OWN, PARAGRAPH, keep, list_of, object, text_of};

/// What an item may say beside its content without being foreign to chat.
const BESIDE: [&str; 3] = ["id", "status", "phase"];

/// The conversation: the instructions, then what the items say.
pub(super) fn messages(instructions: Option<&str>, items: &[Value]) -> Result<Vec<Value>, Error> {
    let mut conversation = Conversation::default();
    if let Some(text) = instructions {
        conversation.messages.push(json!({"role": "system", "content": text}));
    }
    for (place, item) in items.iter().enumerate() {
        conversation.add(place, item)?;
    }
    conversation.end_turn();
    Ok(conversation.messages)
}

#[derive(Default)]
struct Conversation {
    messages: Vec<Value>,
    /// The assistant's items that make one message.
    turn: Turn,
}

#[derive(Default)]
struct Turn {
    content: Option<Value>,
    beside: Map<String, Value>,
    calls: Vec<Value>,
    reasoning: Vec<Value>,
    reasoning_text: String,
    thinking_blocks: Vec<Value>,
    order: Vec<&'static str>,
}

impl Conversation {
    fn add(&mut self, place: usize, item: &Value) -> Result<(), Error> {
        let at = format!("input[{place}]");
        let Some(map) = item.as_object() else {
            return Err(Error::field(at, "An item must be an object."));
        };
        let kind = match map.get("type") {
            Some(Value::String(kind)) => kind.as_str(),
            None | Some(Value::Null) if map.contains_key("role") => "message",
            None | Some(Value::Null) if map.contains_key("id") => "item_reference",
            _ => return Err(Error::field(format!("{at}.type"), "An item needs a `type`: message, ...")),
        };
        match kind {
            "message" => self.message(&at, map),
            "reasoning" => {
                self.reasoning(item);
                Ok(())
            }
            "function_call" => self.call(&at, map),
            "function_call_output" => self.output(&at, map),
            "item_reference" => Err(Error::field(
                at,
                "Items are not kept between requests: send the item itself in place of an `item_reference`.",
            )),
            _ => {
                self.foreign(kind, item);
                Ok(())
            }
        }
    }

    fn message(&mut self, at: &str, item: &Map<String, Value>) -> Result<(), Error> {
        let role = item.get("role").and_then(Value::as_str).unwrap_or_default();
        if !["user", "assistant", "system", "developer"].contains(&role) {
            let allowed = "`role` must be user, assistant, system or developer.";
            return Err(Error::field(format!("{at}.role"), allowed));
        }
        if !speaks_chat(item, &["role", "content"]) {
            self.foreign("message", &Value::Object(item.clone()));
            return Ok(());
        }
        let content = content(at, role, item.get("content"))?;
        if role == "assistant" {
            self.said(content, item);
            return Ok(());
        }
        self.end_turn();
        // A system message of plain text in the first place is what `instructions` are.
        let content = match content {
            Value::String(text) if role == "system" && self.messages.is_empty() => {
                json!([{"type": "text", "text": text}])
            }
            content => content,
        };
        let mut message = object(json!({"role": role, "content": content}));
        keep_beside(&mut message, item);
        self.messages.push(Value::Object(message));
        Ok(())
    }

    fn said(&mut self, content: Value, item: &Map<String, Value>) {
        if self.turn.content.is_some() {
            self.end_turn();
        }
        self.turn.content = Some(content);
        self.turn.order.push("message");
        keep_beside(&mut self.turn.beside, item);
    }

    fn reasoning(&mut self, item: &Value) {
        if self.turn.content.is_some() && self.turn.calls.is_empty() {
            self.end_turn();
        }
        if !text_of(item, "id").starts_with(MADE_UP_REASONING) {
            self.turn.order.push("reasoning");
            self.turn.reasoning.push(item.clone());
            return;
        }
        // Made up for another dialect's answer: back to what it was made of.
        for part in list_of(item, "summary") {
            if !self.turn.reasoning_text.is_empty() {
                self.turn.reasoning_text.push_str(PARAGRAPH);
            }
            self.turn.reasoning_text.push_str(text_of(part, "text"));
        }
        if let Ok(Value::Array(blocks)) = serde_json::from_str(text_of(item, "encrypted_content")) {
            self.turn.thinking_blocks.extend(blocks);
        }
    }

    fn call(&mut self, at: &str, item: &Map<String, Value>) -> Result<(), Error> {
        let text = |key: &str| match item.get(key) {
            Some(Value::String(text)) => Ok(text.clone()),
            _ => Err(Error::field(format!("{at}.{key}"), format!("`{key}` must be a string."))),
        };
        let (call, name, arguments) = (text("call_id")?, text("name")?, text("arguments")?);
        if !speaks_chat(item, &["call_id", "name", "arguments"]) {
            self.foreign("function_call", &Value::Object(item.clone()));
            return Ok(());
        }
        let mut made = object(
            json!({"id": call, "type": "function", "function": {"name": name, "arguments": arguments}}),
        );
        keep_beside(&mut made, item);
        self.turn.calls.push(Value::Object(made));
        self.turn.order.push("function_call");
        Ok(())
    }

    fn output(&mut self, at: &str, item: &Map<String, Value>) -> Result<(), Error> {
        if !speaks_chat(item, &["call_id", "output"]) {
            self.foreign("function_call_output", &Value::Object(item.clone()));
            return Ok(());
        }
        let Some(call) = item.get("call_id").and_then(Value::as_str) else {
            return Err(Error::field(format!("{at}.call_id"), "`call_id` must be a string."));
        };
        let content = match item.get("output") {
            Some(Value::String(text)) => Value::String(text.clone()),
            Some(Value::Array(list)) => parts(&format!("{at}.output"), "tool", list)?,
            _ => {
                let allowed = "`output` must be a string or an array of parts.";
                return Err(Error::field(format!("{at}.output"), allowed));
            }
        };
        self.end_turn();
        let mut message = object(json!({"role": "tool", "tool_call_id": call, "content": content}));
        keep_beside(&mut message, item);
        self.messages.push(Value::Object(message));
        Ok(())
    }

    fn foreign(&mut self, kind: &str, item: &Value) {
        self.end_turn();
        let role = match item.get("role").and_then(Value::as_str) {
            Some(role) => role,
            None if kind.ends_with("_output") => "user",
            None => "assistant",
        };
        let role = if ["user", "system", "developer"].contains(&role) { role } else { "assistant" };
        let part = json!({"type": format!("{OWN}.{kind}"), "item": item});
        self.messages.push(json!({"role": role, "content": [part]}));
    }

    fn end_turn(&mut self) {
        let turn = std::mem::take(&mut self.turn);
        if turn.content.is_none()
            && turn.calls.is_empty()
            && turn.reasoning.is_empty()
            && turn.reasoning_text.is_empty()
            && turn.thinking_blocks.is_empty()
        {
            return;
        }
        let mut message = object(json!({"role": "assistant", "content": turn.content}));
        if !turn.reasoning_text.is_empty() {
            message.insert("reasoning_content".to_owned(), turn.reasoning_text.into());
        }
        let lists = [
            ("thinking_blocks", turn.thinking_blocks),
            ("reasoning_items", turn.reasoning),
            ("tool_calls", turn.calls),
        ];
        for (key, list) in lists {
            if !list.is_empty() {
                message.insert(key.to_owned(), Value::Array(list));
            }
        }
        message.extend(turn.beside);
        if !is_usual(&turn.order) {
            keep(&mut message, "order", json!(turn.order));
        }
        self.messages.push(Value::Object(message));
    }
}

/// Reasoning, then the message, then calls.
pub(super) fn is_usual(order: &[&str]) -> bool {
    let rank = |kind: &&str| match *kind {
        "reasoning" => 0,
        "message" => 1,
        _ => 2,
    };
    order.is_sorted_by_key(rank)
}

/// Nothing is in the item that chat has no place for.
fn speaks_chat(item: &Map<String, Value>, known: &[&str]) -> bool {
    item.iter().all(|(key, value)| {
        value.is_null() || key == "type" || known.contains(&key.as_str()) || BESIDE.contains(&key.as_str())
    })
}

fn keep_beside(map: &mut Map<String, Value>, item: &Map<String, Value>) {
    for key in BESIDE {
        if let Some(value) = item.get(key).filter(|value| !value.is_null()) {
            keep(map, key, value.clone());
        }
    }
}

fn content(at: &str, role: &str, content: Option<&Value>) -> Result<Value, Error> {
    match content {
        Some(Value::String(text)) => Ok(Value::String(text.clone())),
        Some(Value::Array(list)) => parts(&format!("{at}.content"), role, list),
        _ => {
            let allowed = "`content` must be a string or an array of parts.";
            Err(Error::field(format!("{at}.content"), allowed))
        }
    }
}

fn parts(at: &str, role: &str, list: &[Value]) -> Result<Value, Error> {
    let parts: Result<Vec<Value>, Error> =
        list.iter().enumerate().map(|(place, value)| part(&format!("{at}[{place}]"), role, value)).collect();
    Ok(Value::Array(parts?))
}

fn part(at: &str, role: &str, value: &Value) -> Result<Value, Error> {
    let (Some(map), Some(kind)) = (value.as_object(), value.get("type").and_then(Value::as_str)) else {
        return Err(Error::field(
            format!("{at}.type"),
            "A part needs a `type`: input_text, input_image, ...",
        ));
    };
    let of_assistant = role == "assistant";
    let mut rest = map.clone();
    rest.shift_remove("type");
    rest.retain(|_, value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()));
    let mut made = match kind {
        "input_text" | "output_text" | "text" if (kind == "output_text") == of_assistant => {
            let Some(Value::String(text)) = rest.shift_remove("text") else {
                return Err(Error::field(format!("{at}.text"), "`text` must be a string."));
            };
            object(json!({"type": "text", "text": text}))
        }
        "refusal" if of_assistant => {
            let Some(Value::String(text)) = rest.shift_remove("refusal") else {
                return Err(Error::field(format!("{at}.refusal"), "`refusal` must be a string."));
            };
            object(json!({"type": "refusal", "refusal": text}))
        }
        "input_image" if is_of(&rest, &["image_url", "detail"]) && rest.contains_key("image_url") => {
            let Some(Value::String(url)) = rest.shift_remove("image_url") else {
                return Err(Error::field(format!("{at}.image_url"), "`image_url` must be a string."));
            };
            let mut image = object(json!({"url": url}));
            image.extend(rest.shift_remove_entry("detail"));
            object(json!({"type": "image_url", "image_url": image}))
        }
        "input_file" if is_of(&rest, &["file_data", "file_id", "filename"]) => {
            let mut file = rest.clone();
            file.retain(|key, _| key.starts_with("file"));
            rest.retain(|key, _| !key.starts_with("file"));
            object(json!({"type": "file", "file": file}))
        }
        _ => {
            let mut foreign = map.clone();
            foreign.insert("type".to_owned(), format!("{OWN}.{kind}").into());
            return Ok(Value::Object(foreign));
        }
    };
    made.extend(rest);
    Ok(Value::Object(made))
}

/// Nothing is in the part but `known` and the mark of where a prompt may be cached up to.
fn is_of(part: &Map<String, Value>, known: &[&str]) -> bool {
    part.keys().all(|key| known.contains(&key.as_str()) || key == "prompt_cache_breakpoint")
}
