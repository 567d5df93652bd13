//! Writes an answer in any dialect, whole and as a stream, with its errors.

use serde_json::{Value, json};

use super::Dialect;
use super::asked::Asked;

/// What is said.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) thoughts: String,
    pub(super) text: String,
    pub(super) calls: Vec<Call>,
    pub(super) stop: Stop,
}

/// A call of a function.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: Value,
}

/// Why it ends.
#[derive(Debug, Default)]
pub(super) enum Stop {
    #[default]
    End,
    Length,
    Filter,
    Calls,
    Sequence(String),
}

/// So many events of a stream are sent before it breaks.
pub(super) const BEGINNING: usize = 4;

const CREATED: u64 = 1_700_000_000;
const PROMPT: u64 = 20;
const CACHED: u64 = 5;
const COMPLETION: u64 = 9;
const SIGNATURE: &str = "c2VhbA==";

impl Said {
    fn reasoned(&self) -> u64 {
        if self.thoughts.is_empty() { 0 } else { 3 }
    }
}

/// An error's body.
pub(super) fn refusal(dialect: Dialect, status: u16, message: &str) -> Value {
    match dialect {
        Dialect::OpenAi | Dialect::Azure | Dialect::Responses => {
            let kind = match status {
                429 => "rate_limit_error",
                500.. => "server_error",
                _ => "invalid_request_error",
            };
            json!({"error": {"message": message, "type": kind, "param": null, "code": null}})
        }
        Dialect::Anthropic => {
            let kind = match status {
                401 => "authentication_error",
                404 => "not_found_error",
                429 => "rate_limit_error",
                500.. => "api_error",
                _ => "invalid_request_error",
            };
            json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})
        }
        Dialect::Gemini => {
            let kind = match status {
                401 => "UNAUTHENTICATED",
                404 => "NOT_FOUND",
                429 => "RESOURCE_EXHAUSTED",
                500.. => "INTERNAL",
                _ => "INVALID_ARGUMENT",
            };
            json!({"error": {"code": status, "message": message, "status": kind}})
        }
    }
}

/// The event that breaks a stream.
pub(super) fn broken(dialect: Dialect) -> String {
    let message = "The engine is on fire";
    match dialect {
        Dialect::Anthropic => {
            let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": message}});
            format!("event: error\ndata: {error}\n\n")
        }
        Dialect::Responses => {
            let error = json!({
                "type": "error", "code": "server_error", "message": message, "param": null, "sequence_number": 4,
            });
            format!("event: error\ndata: {error}\n\n")
        }
        _ => format!("data: {}\n\n", refusal(dialect, 500, message)),
    }
}

/// A whole answer.
pub(super) fn whole(dialect: Dialect, asked: &Asked, said: &Said) -> Value {
    match dialect {
        Dialect::OpenAi | Dialect::Azure => chat(asked, said),
        Dialect::Responses => response(asked, said, true),
        Dialect::Anthropic => {
            let mut message = message(asked);
            message["content"] = blocks(said).into();
            message["usage"]["output_tokens"] = COMPLETION.into();
            let ending = message_ending(said);
            message["stop_reason"] = ending["stop_reason"].clone();
            message["stop_sequence"] = ending["stop_sequence"].clone();
            message
        }
        Dialect::Gemini => generated(asked, &parts(said), Some(said)),
    }
}

/// The events of a streamed answer.
pub(super) fn events(dialect: Dialect, asked: &Asked, said: &Said) -> Vec<String> {
    let plain = |event: Value| format!("data: {event}\n\n");
    let named = |event: Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    match dialect {
        Dialect::OpenAi | Dialect::Azure => {
            let mut events: Vec<String> = chunks(asked, said).into_iter().map(plain).collect();
            events.push("data: [DONE]\n\n".to_owned());
            events
        }
        Dialect::Responses => response_events(asked, said).into_iter().map(named).collect(),
        Dialect::Anthropic => message_events(asked, said).into_iter().map(named).collect(),
        Dialect::Gemini => generated_pieces(asked, said).into_iter().map(plain).collect(),
    }
}

/// A text in pieces of a few characters, cut between any two.
fn pieces(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(4).map(|piece| piece.iter().collect()).collect()
}

// === OpenAI's chat ===

fn chat_usage(said: &Said) -> Value {
    json!({
        "prompt_tokens": PROMPT, "completion_tokens": COMPLETION, "total_tokens": PROMPT + COMPLETION,
        "prompt_tokens_details": {"cached_tokens": CACHED},
        "completion_tokens_details": {"reasoning_tokens": said.reasoned()},
    })
}

fn chat_finish(said: &Said) -> &'static str {
    match said.stop {
        Stop::End | Stop::Sequence(_) => "stop",
        Stop::Length => "length",
        Stop::Filter => "content_filter",
        Stop::Calls => "tool_calls",
    }
}

fn chat(asked: &Asked, said: &Said) -> Value {
    let mut message = json!({"role": "assistant", "content": said.text, "refusal": null});
    if !said.thoughts.is_empty() {
        message["reasoning_content"] = said.thoughts.clone().into();
    }
    if !said.calls.is_empty() {
        let calls = said.calls.iter().map(|call| {
            let function = json!({"name": call.name, "arguments": call.arguments.to_string()});
            json!({"id": call.id, "type": "function", "function": function})
        });
        message["tool_calls"] = calls.collect();
    }
    json!({
        "id": "chatcmpl-upstream", "object": "chat.completion", "created": CREATED, "model": asked.model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": chat_finish(said)}],
        "usage": chat_usage(said),
    })
}

fn chunks(asked: &Asked, said: &Said) -> Vec<Value> {
    let chunk = |choices: Value| {
        json!({
            "id": "chatcmpl-upstream", "object": "chat.completion.chunk", "created": CREATED,
            "model": asked.model, "choices": choices,
        })
    };
    let delta = |delta: Value| chunk(json!([{"index": 0, "delta": delta, "finish_reason": null}]));
    let mut chunks = vec![delta(json!({"role": "assistant", "content": ""}))];
    chunks.extend(pieces(&said.thoughts).iter().map(|piece| delta(json!({"reasoning_content": piece}))));
    chunks.extend(pieces(&said.text).iter().map(|piece| delta(json!({"content": piece}))));
    for (index, call) in said.calls.iter().enumerate() {
        chunks.push(delta(json!({"tool_calls": [{
            "index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""},
        }]})));
        for piece in pieces(&call.arguments.to_string()) {
            chunks.push(delta(json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})));
        }
    }
    chunks.push(chunk(json!([{"index": 0, "delta": {}, "finish_reason": chat_finish(said)}])));
    if asked.wants_usage {
        let mut usage = chunk(json!([]));
        usage["usage"] = chat_usage(said);
        chunks.push(usage);
    }
    chunks
}

// === OpenAI's Responses ===

fn response(asked: &Asked, said: &Said, is_whole: bool) -> Value {
    let (status, why) = match said.stop {
        _ if !is_whole => ("in_progress", Value::Null),
        Stop::Length => ("incomplete", json!({"reason": "max_output_tokens"})),
        Stop::Filter => ("incomplete", json!({"reason": "content_filter"})),
        Stop::End | Stop::Calls | Stop::Sequence(_) => ("completed", Value::Null),
    };
    let output = if is_whole { output(said) } else { Vec::new() };
    let usage = json!({
        "input_tokens": PROMPT, "input_tokens_details": {"cached_tokens": CACHED},
        "output_tokens": COMPLETION, "output_tokens_details": {"reasoning_tokens": said.reasoned()},
        "total_tokens": PROMPT + COMPLETION,
    });
    json!({
        "id": "resp_upstream", "object": "response", "created_at": CREATED, "status": status, "error": null,
        "incomplete_details": why, "instructions": null, "metadata": {}, "model": asked.model, "output": output,
        "parallel_tool_calls": true, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "usage": if is_whole { usage } else { Value::Null },
    })
}

fn output(said: &Said) -> Vec<Value> {
    let mut output = Vec::new();
    if !said.thoughts.is_empty() {
        let summary = json!([{"type": "summary_text", "text": said.thoughts}]);
        output.push(
            json!({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": SIGNATURE}),
        );
    }
    if !said.text.is_empty() {
        let content = json!([{"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}]);
        let status =
            if matches!(said.stop, Stop::Length | Stop::Filter) { "incomplete" } else { "completed" };
        output.push(json!({
            "type": "message", "id": "msg_1", "status": status, "role": "assistant", "content": content,
        }));
    }
    for call in &said.calls {
        output.push(json!({
            "type": "function_call", "id": format!("fc_{}", call.id), "call_id": call.id, "name": call.name,
            "arguments": call.arguments.to_string(), "status": "completed",
        }));
    }
    output
}

fn response_events(asked: &Asked, said: &Said) -> Vec<Value> {
    let mut events = vec![
        json!({"type": "response.created", "response": response(asked, said, false)}),
        json!({"type": "response.in_progress", "response": response(asked, said, false)}),
    ];
    for (index, item) in output(said).into_iter().enumerate() {
        let id = item["id"].clone();
        let event = |name: &str, more: Value| {
            let mut event = json!({"type": format!("response.{name}"), "output_index": index, "item_id": id});
            event.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
            event
        };
        let mut empty = item.clone();
        empty["status"] = "in_progress".into();
        for field in ["content", "summary"] {
            if empty[field].is_array() {
                empty[field] = json!([]);
            }
        }
        if empty["arguments"].is_string() {
            empty["arguments"] = "".into();
        }
        empty.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        events.push(json!({"type": "response.output_item.added", "output_index": index, "item": empty}));
        let (place, part, kind) = match item["type"].as_str().unwrap() {
            "reasoning" => ("summary_index", item["summary"][0].clone(), "reasoning_summary"),
            "message" => ("content_index", item["content"][0].clone(), "output"),
            _ => {
                let arguments = item["arguments"].as_str().unwrap();
                for delta in pieces(arguments) {
                    events.push(event("function_call_arguments.delta", json!({"delta": delta})));
                }
                let done = json!({"arguments": arguments, "name": item["name"]});
                events.push(event("function_call_arguments.done", done));
                events
                    .push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
                continue;
            }
        };
        let part_name = if kind == "output" { "content_part" } else { "reasoning_summary_part" };
        let mut none = part.clone();
        none["text"] = "".into();
        events.push(event(&format!("{part_name}.added"), json!({place: 0, "part": none})));
        for delta in pieces(part["text"].as_str().unwrap()) {
            events.push(event(
                &format!("{kind}_text.delta"),
                json!({place: 0, "delta": delta, "logprobs": []}),
            ));
        }
        let done = json!({place: 0, "text": part["text"], "logprobs": []});
        events.push(event(&format!("{kind}_text.done"), done));
        events.push(event(&format!("{part_name}.done"), json!({place: 0, "part": part})));
        events.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
    }
    let last = response(asked, said, true);
    events.push(json!({"type": format!("response.{}", last["status"].as_str().unwrap()), "response": last}));
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = number.into();
    }
    events
}

// === Anthropic's messages ===

fn message(asked: &Asked) -> Value {
    json!({
        "id": "msg_upstream", "type": "message", "role": "assistant", "model": asked.model, "content": [],
        "stop_reason": null, "stop_sequence": null,
        "usage": {
            "input_tokens": PROMPT - CACHED, "cache_creation_input_tokens": 0, "cache_read_input_tokens": CACHED,
            "output_tokens": 1,
        },
    })
}

fn message_ending(said: &Said) -> Value {
    match &said.stop {
        Stop::End => json!({"stop_reason": "end_turn", "stop_sequence": null}),
        Stop::Length => json!({"stop_reason": "max_tokens", "stop_sequence": null}),
        Stop::Filter => json!({"stop_reason": "refusal", "stop_sequence": null}),
        Stop::Calls => json!({"stop_reason": "tool_use", "stop_sequence": null}),
        Stop::Sequence(sequence) => json!({"stop_reason": "stop_sequence", "stop_sequence": sequence}),
    }
}

fn blocks(said: &Said) -> Vec<Value> {
    let mut blocks = Vec::new();
    if !said.thoughts.is_empty() {
        blocks.push(json!({"type": "thinking", "thinking": said.thoughts, "signature": SIGNATURE}));
    }
    if !said.text.is_empty() {
        blocks.push(json!({"type": "text", "text": said.text}));
    }
    for call in &said.calls {
        blocks.push(json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}));
    }
    blocks
}

fn message_events(asked: &Asked, said: &Said) -> Vec<Value> {
    let mut events =
        vec![json!({"type": "message_start", "message": message(asked)}), json!({"type": "ping"})];
    for (index, block) in blocks(said).into_iter().enumerate() {
        let delta = |delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
        let mut empty = block.clone();
        let deltas: Vec<Value> = match block["type"].as_str().unwrap() {
            "thinking" => {
                empty["thinking"] = "".into();
                empty["signature"] = "".into();
                let text = pieces(block["thinking"].as_str().unwrap()).into_iter();
                let text = text.map(|piece| delta(json!({"type": "thinking_delta", "thinking": piece})));
                let seal = delta(json!({"type": "signature_delta", "signature": SIGNATURE}));
                text.chain([seal]).collect()
            }
            "text" => {
                empty["text"] = "".into();
                let text = pieces(block["text"].as_str().unwrap()).into_iter();
                text.map(|piece| delta(json!({"type": "text_delta", "text": piece}))).collect()
            }
            _ => {
                empty["input"] = json!({});
                let input = pieces(&block["input"].to_string()).into_iter();
                input.map(|piece| delta(json!({"type": "input_json_delta", "partial_json": piece}))).collect()
            }
        };
        events.push(json!({"type": "content_block_start", "index": index, "content_block": empty}));
        events.extend(deltas);
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    let usage = json!({"output_tokens": COMPLETION});
    events.push(json!({"type": "message_delta", "delta": message_ending(said), "usage": usage}));
    events.push(json!({"type": "message_stop"}));
    events
}

// === Gemini ===

fn parts(said: &Said) -> Vec<Value> {
    let mut parts = Vec::new();
    if !said.thoughts.is_empty() {
        parts.push(json!({"text": said.thoughts, "thought": true}));
    }
    if !said.text.is_empty() {
        parts.push(json!({"text": said.text}));
    }
    for call in &said.calls {
        parts.push(json!({"functionCall": {"name": call.name, "args": call.arguments}}));
    }
    parts
}

fn generated(asked: &Asked, parts: &[Value], end: Option<&Said>) -> Value {
    let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": 0});
    let mut usage = json!({
        "promptTokenCount": PROMPT, "cachedContentTokenCount": CACHED, "totalTokenCount": PROMPT,
    });
    if let Some(said) = end {
        candidate["finishReason"] = match said.stop {
            Stop::End | Stop::Calls | Stop::Sequence(_) => "STOP",
            Stop::Length => "MAX_TOKENS",
            Stop::Filter => "SAFETY",
        }
        .into();
        usage["candidatesTokenCount"] = (COMPLETION - said.reasoned()).into();
        usage["thoughtsTokenCount"] = said.reasoned().into();
        usage["totalTokenCount"] = (PROMPT + COMPLETION).into();
    }
    json!({
        "candidates": [candidate], "usageMetadata": usage, "modelVersion": asked.model, "responseId": "upstream",
    })
}

fn generated_pieces(asked: &Asked, said: &Said) -> Vec<Value> {
    let mut all = Vec::new();
    for part in parts(said) {
        let Some(text) = part["text"].as_str() else {
            all.push(part);
            continue;
        };
        for piece in pieces(text) {
            let mut part = part.clone();
            part["text"] = piece.into();
            all.push(part);
        }
    }
    let last = all.pop();
    let mut events: Vec<Value> =
        all.iter().map(|part| generated(asked, std::slice::from_ref(part), None)).collect();
    events.push(generated(asked, last.as_slice(), Some(said)));
    events
}
