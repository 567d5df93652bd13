//! Chat's messages, written as this dialect's items: a conversation for a provider, and an answer for a client.
//!
//! Owns items and parts. Refuses by name the parts and fields that this dialect has no words for.

use api::Error;
use serde_json::{Map, Value, json};

use super::{
    KEPT, MADE_UP_REASONING, OWN, annotations, id_of, kept, list_of, object, take_list, text_of, unsupported,
};
use crate::foreign::are_citations;

/// The instructions and the items of a conversation.
pub(super) fn conversation(messages: &[Value]) -> Result<(Option<&str>, Vec<Value>), Error> {
    let mut items = Vec::with_capacity(messages.len());
    let instructions = messages.first().and_then(instructions);
    for (place, message) in messages.iter().enumerate().skip(usize::from(instructions.is_some())) {
        let at = format!("messages[{place}]");
        let Some(message) = message.as_object() else { continue };
        known_fields(&at, message)?;
        match message.get("role").and_then(Value::as_str) {
            Some("assistant") => items.extend(assistant(&at, message, None)?),
            Some("tool") => items.push(tool(&at, message)?),
            Some("function") => return Err(unsupported(&format!("{at}.role"))),
            role => items.extend(said(&at, role.unwrap_or("user"), message)?),
        }
    }
    Ok((instructions, items))
}

/// A system message of plain text in the first place.
fn instructions(message: &Value) -> Option<&str> {
    let plain = text_of(message, "role") == "system" && message.as_object().is_some_and(|map| map.len() == 2);
    message.get("content").and_then(Value::as_str).filter(|_| plain)
}

/// What only the provider that wrote a message can read.
const HINTS: [&str; 4] = [KEPT, "cache_control", "reasoning_details", "extra_content"];

fn known_fields(at: &str, message: &Map<String, Value>) -> Result<(), Error> {
    const KNOWN: [&str; 11] = [
        "role",
        "content",
        "tool_calls",
        "tool_call_id",
        "refusal",
        "annotations",
        "reasoning_items",
        "reasoning_content",
        "reasoning",
        "thinking_blocks",
        "is_error",
    ];
    for (key, value) in message {
        let hint = HINTS.contains(&key.as_str());
        if !value.is_null() && !hint && !KNOWN.contains(&key.as_str()) {
            return Err(unsupported(&format!("{at}.{key}")));
        }
    }
    Ok(())
}

fn said(at: &str, role: &str, message: &Map<String, Value>) -> Result<Vec<Value>, Error> {
    let content = match message.get("content") {
        Some(Value::Array(list)) if list.is_empty() => return Ok(Vec::new()),
        Some(Value::Array(list)) => match whole_items(list) {
            Some(items) => return Ok(items),
            None => parts(at, role, list)?,
        },
        other => other.cloned().unwrap_or_default(),
    };
    Ok(vec![message_item(role, &content, message)])
}

/// Items that came whole, because chat has no words for them.
fn whole_items(list: &[Value]) -> Option<Vec<Value>> {
    let own = |part: &Value| text_of(part, "type").starts_with("responses.");
    list.iter().map(|part| part.get("item").filter(|_| own(part)).cloned()).collect()
}

fn message_item(role: &str, content: &Value, message: &Map<String, Value>) -> Value {
    let mut item = object(json!({"type": "message", "role": role, "content": content}));
    put_back(&mut item, message);
    Value::Object(item)
}

fn put_back(item: &mut Map<String, Value>, from: &Map<String, Value>) {
    for key in ["id", "status", "phase"] {
        if let Some(value) = kept(from).and_then(|own| own.get(key)) {
            item.insert(key.to_owned(), value.clone());
        }
    }
}

fn tool(at: &str, message: &Map<String, Value>) -> Result<Value, Error> {
    let output = match message.get("content") {
        Some(Value::Array(list)) => parts(at, "tool", list)?,
        other => other.cloned().unwrap_or_default(),
    };
    let call = message.get("tool_call_id").cloned().unwrap_or_default();
    let mut item = object(json!({"type": "function_call_output", "call_id": call, "output": output}));
    put_back(&mut item, message);
    if message.get("is_error") == Some(&Value::Bool(true)) {
        item.entry("status").or_insert("incomplete".into());
    }
    Ok(Value::Object(item))
}

/// The items of an assistant's message. `made_up`, in an answer, is what the ids that nobody gave are made of.
pub(super) fn assistant(
    at: &str,
    message: &Map<String, Value>,
    made_up: Option<&str>,
) -> Result<Vec<Value>, Error> {
    if let Some(Value::Array(list)) = message.get("content")
        && let Some(items) = whole_items(list)
        && !items.is_empty()
    {
        return Ok(items);
    }
    let mut kinds: [(&str, Vec<Value>); 3] = [
        ("reasoning", reasoning(message, made_up)),
        ("message", spoken(at, message, made_up)?.into_iter().collect()),
        ("function_call", calls(at, message, made_up)?),
    ];
    let mut items = Vec::new();
    // An order that fits no more is none: each kind's rest follows.
    let order = kept(message).and_then(|own| own.get("order")).and_then(Value::as_array);
    for kind in order.into_iter().flatten() {
        let list = kinds.iter_mut().find(|(name, _)| kind == name).map(|(_, list)| list);
        if let Some(list) = list
            && !list.is_empty()
        {
            items.push(list.remove(0));
        }
    }
    items.extend(kinds.into_iter().flat_map(|(_, list)| list));
    Ok(items)
}

fn reasoning(message: &Map<String, Value>, made_up: Option<&str>) -> Vec<Value> {
    if let Some(Value::Array(items)) = message.get("reasoning_items") {
        return items.clone();
    }
    let Some(seed) = made_up else { return Vec::new() };
    let text = ["reasoning_content", "reasoning"].iter().find_map(|key| message.get(*key)?.as_str());
    let blocks = message.get("thinking_blocks").and_then(Value::as_array);
    made_up_reasoning(seed, text.unwrap_or_default(), blocks.map(Vec::as_slice).unwrap_or_default())
        .into_iter()
        .collect()
}

/// The reasoning item of an answer in another dialect, made so that the request that brings it back can undo it.
pub(super) fn made_up_reasoning(seed: &str, text: &str, blocks: &[Value]) -> Option<Value> {
    if text.is_empty() && blocks.is_empty() {
        return None;
    }
    let mut item = object(json!({"id": id_of(MADE_UP_REASONING, seed), "type": "reasoning", "summary": []}));
    if !text.is_empty() {
        item.insert("summary".to_owned(), json!([{"type": "summary_text", "text": text}]));
    }
    if !blocks.is_empty() {
        item.insert("encrypted_content".to_owned(), json!(blocks).to_string().into());
    }
    Some(Value::Object(item))
}

fn spoken(at: &str, message: &Map<String, Value>, made_up: Option<&str>) -> Result<Option<Value>, Error> {
    let refusal = message.get("refusal").and_then(Value::as_str).filter(|text| !text.is_empty());
    let speaks = |text: &str| !text.is_empty() || made_up.is_none() || is_all(message);
    let content = match message.get("content") {
        Some(Value::Array(list)) => parts(at, "assistant", list)?,
        Some(Value::String(text)) if made_up.is_none() && refusal.is_none() && kept(message).is_none() => {
            Value::String(text.clone())
        }
        Some(Value::String(text)) if speaks(text) => {
            json!([{"type": "output_text", "text": text, "annotations": [], "logprobs": []}])
        }
        _ => json!([]),
    };
    let mut content = content;
    if let Value::Array(list) = &mut content {
        list.extend(refusal.map(|text| json!({"type": "refusal", "refusal": text})));
        if list.is_empty() {
            return Ok(None);
        }
        annotate(list.first_mut(), message);
    }
    let mut item = object(json!({"type": "message", "role": "assistant", "content": content}));
    if let Some(seed) = made_up {
        item.insert("id".to_owned(), id_of("msg_", seed).into());
        item.insert("status".to_owned(), "completed".into());
    }
    put_back(&mut item, message);
    Ok(Some(Value::Object(item)))
}

/// There is nothing in the message but its text.
fn is_all(message: &Map<String, Value>) -> bool {
    !["tool_calls", "refusal", "reasoning_items", "reasoning_content"]
        .iter()
        .any(|key| message.get(*key).is_some_and(|value| !value.is_null()))
}

fn annotate(part: Option<&mut Value>, message: &Map<String, Value>) {
    let Some(part) = part.and_then(Value::as_object_mut) else { return };
    let given = message.get("annotations").and_then(Value::as_array);
    if let Some(list) = given
        && part.get("type").and_then(Value::as_str) == Some("output_text")
        && !list.is_empty()
    {
        let list = list.iter().map(|annotation| annotations::from_chat(annotation, 0)).collect();
        part.insert("annotations".to_owned(), Value::Array(list));
    }
}

fn calls(at: &str, message: &Map<String, Value>, made_up: Option<&str>) -> Result<Vec<Value>, Error> {
    let list = message.get("tool_calls").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .enumerate()
        .map(|(place, call)| {
            let Some(function) = call.get("function") else {
                return Err(unsupported(&format!("{at}.tool_calls[{place}]")));
            };
            let id = text_of(call, "id");
            let mut item = object(json!({
                "type": "function_call", "call_id": id, "name": text_of(function, "name"),
                "arguments": text_of(function, "arguments"),
            }));
            if made_up.is_some() {
                item.insert("id".to_owned(), call_item_id(id).into());
                item.insert("status".to_owned(), "completed".into());
            }
            call.as_object().into_iter().for_each(|call| put_back(&mut item, call));
            Ok(Value::Object(item))
        })
        .collect()
}

/// The id of a call's item, made of the call's own.
pub(super) fn call_item_id(call: &str) -> String {
    id_of("fc_", call.strip_prefix("call_").unwrap_or(call))
}

fn parts(at: &str, role: &str, list: &[Value]) -> Result<Value, Error> {
    let parts: Result<Vec<Value>, Error> = list
        .iter()
        .enumerate()
        .map(|(place, value)| part(&format!("{at}.content[{place}]"), role, value))
        .collect();
    Ok(Value::Array(parts?))
}

fn part(at: &str, role: &str, value: &Value) -> Result<Value, Error> {
    let mut rest = object(value.clone());
    rest.retain(|key, value| key != "cache_control" && !are_citations(key, value));
    let kind = rest.shift_remove("type");
    let kind = kind.as_ref().and_then(Value::as_str).unwrap_or_default();
    let mut made = match kind {
        "text" if role == "assistant" => {
            let text = rest.shift_remove("text");
            let annotations = take_list(&mut rest, "annotations");
            object(json!({"type": "output_text", "text": text, "annotations": annotations}))
        }
        "text" => object(json!({"type": "input_text", "text": rest.shift_remove("text")})),
        "refusal" => object(json!({"type": kind, "refusal": rest.shift_remove("refusal")})),
        "image_url" => {
            let mut image = object(rest.shift_remove(kind).unwrap_or_default());
            let mut made = object(json!({"type": "input_image", "image_url": image.shift_remove("url")}));
            // Some clients write null, and this dialect asks for the field.
            let detail = image.shift_remove("detail").filter(|detail| !detail.is_null());
            made.insert("detail".to_owned(), detail.unwrap_or_else(|| "auto".into()));
            made.extend(image);
            made
        }
        "file" => {
            let mut made = object(json!({"type": "input_file"}));
            made.extend(object(rest.shift_remove(kind).unwrap_or_default()));
            made
        }
        _ => match kind.strip_prefix(OWN).and_then(|own| own.strip_prefix('.')) {
            Some(own) => object(json!({"type": own})),
            None => return Err(unsupported(at)),
        },
    };
    made.extend(rest);
    Ok(Value::Object(made))
}

/// The same items, with what the dialect lets providers leave out.
pub(super) fn normal(items: &[Value]) -> Vec<Value> {
    let mut items = items.to_vec();
    for item in items.iter_mut().filter_map(Value::as_object_mut) {
        match item.get("type").and_then(Value::as_str) {
            Some("message") => {
                item.entry("status").or_insert("completed".into());
                let content = item.get_mut("content").and_then(Value::as_array_mut);
                for part in content.into_iter().flatten().filter_map(Value::as_object_mut) {
                    if part.get("type").and_then(Value::as_str) == Some("output_text") {
                        for key in ["annotations", "logprobs"] {
                            let list = part.entry(key).or_insert_with(|| json!([]));
                            if list.is_null() {
                                *list = json!([]);
                            }
                        }
                    }
                }
            }
            Some("function_call") => {
                item.entry("status").or_insert("completed".into());
            }
            _ => {}
        }
        item.retain(|_, value| !value.is_null());
    }
    items
}

/// Pieces of a reasoning item that chat shows as its text.
pub(super) fn reasoning_texts(item: &Value) -> impl Iterator<Item = &str> {
    let pieces = list_of(item, "summary").iter().chain(list_of(item, "content"));
    pieces.map(|piece| text_of(piece, "text"))
}
