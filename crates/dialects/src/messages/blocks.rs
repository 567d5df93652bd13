//! Content blocks and chat's parts, one for one.
//!
//! Owns the words for text, images, files, tool calls and thinking. Refuses parts that Anthropic has no block for. A block
//! without a counterpart becomes the part `anthropic.<type>`, everything in it kept.

use api::Error;
use serde_json::{Map, Value, json};

use super::{OWN, citations};
use crate::foreign::unsupported;

/// The list of blocks that chat cannot hold in their places, inside `provider_specific_fields`.
pub(super) const BLOCKS: &str = "anthropic_blocks";

/// A field that must be a string.
pub(super) fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

/// A value that is there: null counts as absent.
pub(super) fn given<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    object.get(key).filter(|value| !value.is_null())
}

/// Adds to `into` whatever `from` has besides the keys `known`.
pub(super) fn keep_rest(into: &mut Map<String, Value>, from: &Map<String, Value>, known: &[&str]) {
    for (key, value) in from.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
        into.insert(key.clone(), value.clone());
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// The part that a block becomes.
pub(super) fn part(block: &Map<String, Value>) -> Value {
    let part = match text(block, "type") {
        Some("text") if block.get("text").is_some_and(Value::is_string) => Some(block.clone()),
        Some("image") => image_part(block),
        Some("document") => file_part(block),
        _ => None,
    };
    Value::Object(part.unwrap_or_else(|| own_part(block)))
}

fn own_part(block: &Map<String, Value>) -> Map<String, Value> {
    let mut part = block.clone();
    let kind = text(block, "type").unwrap_or_default();
    part.insert("type".to_owned(), Value::String(format!("{OWN}.{kind}")));
    part
}

fn image_part(block: &Map<String, Value>) -> Option<Map<String, Value>> {
    let source = block.get("source")?.as_object()?;
    let url = match (text(source, "type")?, source.len()) {
        ("base64", 3) => format!("data:{};base64,{}", text(source, "media_type")?, text(source, "data")?),
        ("url", 2) => text(source, "url")?.to_owned(),
        _ => return None,
    };
    let mut part = object(json!({"type": "image_url", "image_url": {"url": url}}));
    keep_rest(&mut part, block, &["type", "source"]);
    Some(part)
}

/// A PDF inside the request is the one document that chat has a part for.
fn file_part(block: &Map<String, Value>) -> Option<Map<String, Value>> {
    let source = block.get("source")?.as_object()?;
    let plain = block.keys().all(|key| matches!(key.as_str(), "type" | "source" | "title" | "cache_control"));
    if !plain || source.len() != 3 || text(source, "type")? != "base64" {
        return None;
    }
    let data = format!("data:{};base64,{}", text(source, "media_type")?, text(source, "data")?);
    let mut file = object(json!({"file_data": data}));
    if let Some(title) = block.get("title") {
        file.insert("filename".to_owned(), title.clone());
    }
    let mut part = object(json!({"type": "file", "file": file}));
    keep_rest(&mut part, block, &["type", "source", "title"]);
    Some(part)
}

/// The block that a part becomes.
pub(super) fn block(at: &str, part: &Map<String, Value>) -> Result<Value, Error> {
    let kind = text(part, "type").unwrap_or_default();
    if let Some(own) = kind.strip_prefix(OWN).and_then(|kind| kind.strip_prefix('.')) {
        let mut block = part.clone();
        block.insert("type".to_owned(), own.into());
        return Ok(Value::Object(block));
    }
    match kind {
        "text" => {
            let mut block = part.clone();
            citations::drop_made_up(&mut block);
            Ok(Value::Object(block))
        }
        "refusal" => Ok(json!({"type": "text", "text": text(part, "refusal").unwrap_or_default()})),
        "image_url" => image_block(at, part),
        "file" => document_block(at, part),
        _ => Err(unsupported(
            at,
            format!(
                "Anthropic's messages have no content of the type `{kind}`: send text, image_url or file."
            ),
        )),
    }
}

fn image_block(at: &str, part: &Map<String, Value>) -> Result<Value, Error> {
    let image = part.get("image_url");
    let url = image.and_then(|image| image.get("url").unwrap_or(image).as_str()).unwrap_or_default();
    let source = match data_url(url) {
        Some((media_type, data)) => json!({"type": "base64", "media_type": media_type, "data": data}),
        None if url.starts_with("https://") || url.starts_with("http://") => {
            json!({"type": "url", "url": url})
        }
        None => {
            let allowed = "`image_url.url` must be an http(s) URL or a data: URL in base64 for this target.";
            return Err(unsupported(format!("{at}.image_url.url"), allowed));
        }
    };
    let mut block = object(json!({"type": "image", "source": source}));
    keep_rest(&mut block, part, &["type", "image_url"]);
    Ok(Value::Object(block))
}

fn document_block(at: &str, part: &Map<String, Value>) -> Result<Value, Error> {
    let empty = Map::new();
    let file = part.get("file").and_then(Value::as_object).unwrap_or(&empty);
    let data = text(file, "file_data").and_then(data_url);
    let source = match (data, text(file, "file_id")) {
        (Some((media_type @ "application/pdf", data)), _) => {
            json!({"type": "base64", "media_type": media_type, "data": data})
        }
        (None, Some(id)) => json!({"type": "file", "file_id": id}),
        _ => {
            let allowed =
                "`file` must hold a PDF as a data: URL in base64 for this target, or a `file_id` of its own.";
            return Err(unsupported(format!("{at}.file"), allowed));
        }
    };
    let mut block = object(json!({"type": "document", "source": source}));
    if let Some(name) = file.get("filename") {
        block.insert("title".to_owned(), name.clone());
    }
    keep_rest(&mut block, part, &["type", "file"]);
    Ok(Value::Object(block))
}

/// The media type and the base64 data of a data: URL.
fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    Some((head.strip_suffix(";base64")?, data))
}

/// The tool call that a `tool_use` block becomes.
pub(super) fn call(block: &Map<String, Value>) -> Value {
    let input = given(block, "input").map_or_else(|| "{}".to_owned(), Value::to_string);
    let mut call = call_head(block);
    call.insert("function".to_owned(), json!({"name": block.get("name"), "arguments": input}));
    Value::Object(call)
}

/// The same without its function.
pub(super) fn call_head(block: &Map<String, Value>) -> Map<String, Value> {
    let mut call = object(json!({"id": block.get("id"), "type": "function", "function": {}}));
    keep_rest(&mut call, block, &["type", "id", "name", "input"]);
    call
}

/// The head of a `tool_use` block, its input still empty.
pub(super) fn tool_use_head(call: &Map<String, Value>) -> Map<String, Value> {
    let name = call.get("function").and_then(|function| function.get("name"));
    let mut block = object(json!({
        "type": "tool_use",
        "id": call.get("id").cloned().unwrap_or_else(|| "".into()),
        "name": name.cloned().unwrap_or_else(|| "".into()),
        "input": {},
    }));
    keep_rest(&mut block, call, &["type", "id", "index", "function"]);
    block
}

/// The `tool_use` block that a tool call becomes; `None` where its arguments are no JSON object.
fn tool_use(call: &Map<String, Value>) -> Option<Value> {
    let arguments = call.get("function")?.get("arguments").and_then(Value::as_str).unwrap_or_default();
    let input: Value =
        if arguments.trim().is_empty() { json!({}) } else { serde_json::from_str(arguments).ok()? };
    let mut block = tool_use_head(call);
    block.insert("input".to_owned(), input.is_object().then_some(input)?);
    Some(Value::Object(block))
}

/// The blocks that a message is listed with because chat cannot hold them in their places.
pub(super) fn listed(message: &Map<String, Value>) -> &[Value] {
    let fields = message.get("provider_specific_fields");
    let list = fields.and_then(|fields| fields.get(BLOCKS)).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

/// A list of objects inside `message`, empty where there is none.
pub(super) fn objects<'a>(message: &'a Map<String, Value>, key: &str) -> Vec<&'a Map<String, Value>> {
    message.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object).collect()
}

/// The blocks of an assistant's message, in their order: thinking, what is said, calls, and then what is listed, which the
/// first three hold as well.
///
/// `Err` gives the place of a tool call whose arguments are no JSON object, or the error of a part.
pub(super) fn of_message(at: &str, message: &Map<String, Value>) -> Result<Vec<Value>, Error> {
    let listed = listed(message);
    let count = |kinds: &[&str]| {
        listed.iter().filter(|block| kinds.iter().any(|kind| block["type"] == **kind)).count()
    };
    let mut blocks: Vec<Value> = Vec::new();
    let thinking = objects(message, "thinking_blocks");
    let kept = thinking.len().saturating_sub(count(&["thinking", "redacted_thinking"]));
    blocks.extend(thinking.into_iter().take(kept).map(|block| Value::Object(block.clone())));
    match message.get("content") {
        Some(Value::String(said)) => {
            let said = without_listed(said, listed);
            if !said.is_empty() {
                blocks.push(json!({"type": "text", "text": said}));
            }
        }
        Some(Value::Array(parts)) => {
            for (n, part) in parts.iter().enumerate().filter_map(|(n, part)| Some((n, part.as_object()?))) {
                blocks.push(block(&format!("{at}.content[{n}]"), part)?);
            }
        }
        _ => {}
    }
    if let Some(refusal) = text(message, "refusal").filter(|refusal| !refusal.is_empty()) {
        blocks.push(json!({"type": "text", "text": refusal}));
    }
    let calls = objects(message, "tool_calls");
    let kept = calls.len().saturating_sub(count(&["tool_use"]));
    for (n, call) in calls.into_iter().take(kept).enumerate() {
        let block = tool_use(call).ok_or_else(|| {
            let field = format!("{at}.tool_calls[{n}].function.arguments");
            unsupported(field, "For this target, `arguments` must be a JSON object written as a string.")
        })?;
        blocks.push(block);
    }
    blocks.extend_from_slice(listed);
    Ok(blocks)
}

/// What was said before the first listed block.
fn without_listed<'a>(said: &'a str, listed: &[Value]) -> &'a str {
    let texts = listed.iter().rev().filter(|block| block["type"] == "text");
    texts.fold(said, |rest, block| {
        rest.strip_suffix(block["text"].as_str().unwrap_or_default()).unwrap_or(rest)
    })
}
