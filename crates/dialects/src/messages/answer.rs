//! Whole answers, both ways, and refusals.
//!
//! Owns the words for why an answer ended. Refuses an answer that does not say why, and a tool call whose arguments are
//! no JSON object.

use api::{Choice, Completion, Error, Fault, ReplyMessage};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::blocks::{self, BLOCKS, given, keep_rest, text};
use super::{OWN, citations, usage};
use crate::Trouble;

/// Tells which blocks chat can hold in their places: thinking, then one text, then calls.
#[derive(Debug, Default)]
pub(super) struct Order {
    rank: u8,
    has_text: bool,
    /// From here on, every block is listed.
    pub(super) is_listing: bool,
}

impl Order {
    /// Takes note of the next block; true where it must be listed.
    pub(super) fn lists(&mut self, block: &Map<String, Value>) -> bool {
        let is_bare =
            || block.iter().all(|(key, value)| matches!(key.as_str(), "type" | "text") || value.is_null());
        let rank = match text(block, "type") {
            Some("thinking" | "redacted_thinking") => Some(0),
            Some("text") if !self.has_text && is_bare() => Some(1),
            Some("tool_use") => Some(2),
            _ => None,
        };
        self.has_text |= text(block, "type") == Some("text");
        match rank.filter(|rank| *rank >= self.rank) {
            Some(rank) => self.rank = rank,
            None => self.is_listing = true,
        }
        self.is_listing
    }
}

const MESSAGE: [&str; 8] =
    ["id", "type", "role", "content", "model", "stop_reason", "stop_sequence", "usage"];

/// What a message holds that chat has no words for.
pub(super) fn own_of(message: &Map<String, Value>) -> Map<String, Value> {
    let mut own = Map::new();
    keep_rest(&mut own, message, &MESSAGE);
    own.retain(|_, value| !value.is_null());
    own
}

/// Reads a whole answer.
pub(crate) fn whole(body: &[u8]) -> Result<Completion, Trouble> {
    let message: Value =
        serde_json::from_slice(body).map_err(|problem| Trouble::garbage(format!("not JSON: {problem}")))?;
    let message = message.as_object().ok_or_else(|| Trouble::garbage("an answer that is no object"))?;
    refuse_error(message)?;
    let content = message.get("content").and_then(Value::as_array);
    let content = content.ok_or_else(|| Trouble::garbage("an answer without content"))?;
    let word = text(message, "stop_reason")
        .ok_or_else(|| Trouble::Cut("an answer without a stop reason".to_owned()))?;
    let (finish, extra) =
        finish(word, message.get("stop_sequence"), content.iter().any(|block| block["type"] == "tool_use"));
    let choice = Choice { index: 0, message: said(content), finish_reason: Some(finish.to_owned()), extra };
    let mut completion = Completion {
        id: text(message, "id").unwrap_or_default().to_owned(),
        object: "chat.completion".to_owned(),
        model: text(message, "model").unwrap_or_default().to_owned(),
        choices: vec![choice],
        usage: given(message, "usage").and_then(Value::as_object).map(usage::read),
        ..Completion::default()
    };
    let own = own_of(message);
    if !own.is_empty() {
        completion.extra.insert(OWN.to_owned(), Value::Object(own));
    }
    Ok(completion)
}

/// An error in an answer's place.
pub(super) fn refuse_error(message: &Map<String, Value>) -> Result<(), Trouble> {
    match given(message, "error") {
        Some(error) => Err(Trouble::InBand(error.clone())),
        None if text(message, "type") == Some("error") => {
            Err(Trouble::InBand(Value::Object(message.clone())))
        }
        None => Ok(()),
    }
}

fn said(content: &[Value]) -> ReplyMessage {
    let (mut thought, mut thinking, mut calls, mut listed) =
        (String::new(), Vec::new(), Vec::new(), Vec::new());
    let mut message = ReplyMessage { role: "assistant".to_owned(), ..ReplyMessage::default() };
    let (mut order, mut base, mut annotations) = (Order::default(), 0, Vec::new());
    for block in content.iter().filter_map(Value::as_object) {
        match text(block, "type") {
            Some("text") => {
                let said = text(block, "text").unwrap_or_default();
                annotations.extend(citations::to_chat(block, base));
                base = base.saturating_add(citations::length(said));
                message.content.get_or_insert_default().push_str(said);
            }
            Some("thinking" | "redacted_thinking") => {
                thought.push_str(text(block, "thinking").unwrap_or_default());
                thinking.push(Value::Object(block.clone()));
            }
            Some("tool_use") => calls.push(blocks::call(block)),
            _ => {}
        }
        if order.lists(block) {
            listed.push(Value::Object(block.clone()));
        }
    }
    if !thought.is_empty() {
        message.extra.insert("reasoning_content".to_owned(), thought.into());
    }
    for (key, list) in [("thinking_blocks", thinking), ("tool_calls", calls), ("annotations", annotations)] {
        if !list.is_empty() {
            message.extra.insert(key.to_owned(), Value::Array(list));
        }
    }
    if !listed.is_empty() {
        message.extra.insert("provider_specific_fields".to_owned(), json!({BLOCKS: listed}));
    }
    message
}

/// Chat's word for why an answer ended, and what Anthropic's says beyond it.
pub(super) fn finish(
    word: &str,
    sequence: Option<&Value>,
    has_calls: bool,
) -> (&'static str, Map<String, Value>) {
    let mut extra = Map::new();
    let (chat, says_more) = match word {
        "end_turn" => ("stop", has_calls),
        "max_tokens" => ("length", false),
        "tool_use" => ("tool_calls", false),
        "model_context_window_exceeded" => ("length", true),
        "refusal" => ("content_filter", true),
        _ => ("stop", true),
    };
    if says_more {
        extra.insert("native_finish_reason".to_owned(), word.into());
    }
    if let Some(sequence) = sequence.filter(|sequence| !sequence.is_null()) {
        extra.insert("stop_sequence".to_owned(), sequence.clone());
    }
    (chat, extra)
}

/// Anthropic's word for why an answer ended.
pub(super) fn stop_reason(choice: &Choice) -> Value {
    const ITS_OWN: [&str; 5] =
        ["end_turn", "stop_sequence", "pause_turn", "refusal", "model_context_window_exceeded"];
    if let Some(word) = text(&choice.extra, "native_finish_reason").filter(|word| ITS_OWN.contains(word)) {
        return word.into();
    }
    let has_calls = !blocks::objects(&choice.message.extra, "tool_calls").is_empty();
    let refuses = text(&choice.message.extra, "refusal").is_some_and(|refusal| !refusal.is_empty());
    match choice.finish_reason.as_deref() {
        None => Value::Null,
        Some("stop") if refuses => "refusal".into(),
        Some("length") => "max_tokens".into(),
        Some("content_filter") => "refusal".into(),
        Some("tool_calls" | "function_call") => "tool_use".into(),
        Some(_) if has_calls => "tool_use".into(),
        Some(_) if given(&choice.extra, "stop_sequence").is_some() => "stop_sequence".into(),
        Some(_) => "end_turn".into(),
    }
}

/// An answer's id, as this dialect's look.
pub(super) fn id(of: &str) -> String {
    if of.starts_with("msg_") { of.to_owned() } else { format!("msg_{of}") }
}

/// Writes a whole answer.
pub(crate) fn write_whole(completion: &Completion) -> Result<Bytes, Error> {
    let none = Choice::default();
    let choice = completion.choices.first().unwrap_or(&none);
    let Value::Object(said) = serde_json::to_value(&choice.message).map_err(Error::internal)? else {
        return Err(Error::internal("a message that is no object"));
    };
    let mut content = content(&said)?;
    let mut annotations = citations::untold(said.get("annotations"), &content);
    if !annotations.is_empty() && citations::put(&annotations, &mut content) {
        annotations.clear();
    }
    let mut message = Map::new();
    message.insert("id".to_owned(), id(&completion.id).into());
    message.insert("type".to_owned(), "message".into());
    message.insert("role".to_owned(), "assistant".into());
    message.insert("model".to_owned(), completion.model.as_str().into());
    message.insert("content".to_owned(), Value::Array(content));
    message.insert("stop_reason".to_owned(), stop_reason(choice));
    message
        .insert("stop_sequence".to_owned(), choice.extra.get("stop_sequence").cloned().unwrap_or_default());
    message.insert("usage".to_owned(), Value::Object(usage::write(completion.usage.as_ref())));
    if let Some(own) = completion.extra.get(OWN).and_then(Value::as_object) {
        keep_rest(&mut message, own, &MESSAGE);
    }
    keep_rest(&mut message, &completion.extra, &[OWN, "service_tier", "system_fingerprint"]);
    if !annotations.is_empty() {
        message.insert("annotations".to_owned(), Value::Array(annotations));
    }
    serde_json::to_vec(&message).map(Bytes::from).map_err(Error::internal)
}

/// The blocks of an answer.
pub(super) fn content(said: &Map<String, Value>) -> Result<Vec<Value>, Error> {
    let mut said = said.clone();
    let thought = ["reasoning_content", "reasoning"].iter().find_map(|key| text(&said, key));
    if let Some(thought) = thought.filter(|text| !text.is_empty())
        && given(&said, "thinking_blocks").is_none()
    {
        let block = json!([{"type": "thinking", "thinking": thought, "signature": ""}]);
        said.insert("thinking_blocks".to_owned(), block);
    }
    blocks::of_message("message", &said).map_err(|error| {
        let message =
            "The model's answer has no form in Anthropic's messages; its tool call may be cut or malformed.";
        Error::new(Fault::UpstreamFailed, "upstream_malformed", message).with_detail(error)
    })
}

/// The body of a refusal.
pub(crate) fn refusal(error: &Error, request_id: &str) -> Value {
    let mut body = error_of(error);
    body["request_id"] = request_id.into();
    body
}

/// The same without the request's id.
pub(super) fn error_of(error: &Error) -> Value {
    let kind = match error.fault.status() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        408 | 504 => "timeout_error",
        424 | 500.. => "api_error",
        _ => "invalid_request_error",
    };
    let mut body = json!({"type": kind, "message": error.message, "code": error.code});
    if let Some(param) = &error.param {
        body["param"] = param.as_str().into();
    }
    if let Some(status) = error.upstream_status {
        body["upstream_status"] = status.into();
    }
    json!({"type": "error", "error": body})
}
