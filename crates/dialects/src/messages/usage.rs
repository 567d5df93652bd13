//! The usage: Anthropic counts what it reads from and writes to its cache apart from the input, chat counts it in.

use api::Usage;
use serde_json::{Map, Value, json};

use super::blocks::{given, keep_rest};

const READ: &str = "cache_read_input_tokens";
const CREATED: &str = "cache_creation_input_tokens";

fn count(usage: &Map<String, Value>, key: &str) -> u64 {
    usage.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// Reads Anthropic's.
pub(super) fn read(came: &Map<String, Value>) -> Usage {
    let prompt =
        count(came, "input_tokens").saturating_add(count(came, READ)).saturating_add(count(came, CREATED));
    let mut usage = Usage::exact(prompt, count(came, "output_tokens"));
    let mut details = Map::new();
    for (own, key) in [(READ, "cached_tokens"), (CREATED, "cache_creation_tokens")] {
        if let Some(tokens) = given(came, own) {
            details.insert(key.to_owned(), tokens.clone());
        }
    }
    if !details.is_empty() {
        usage.extra.insert("prompt_tokens_details".to_owned(), Value::Object(details));
    }
    if let Some(details) = given(came, "output_tokens_details").and_then(Value::as_object) {
        let mut reasoning = Map::new();
        keep_rest(&mut reasoning, details, &["thinking_tokens"]);
        if let Some(tokens) = details.get("thinking_tokens") {
            reasoning.insert("reasoning_tokens".to_owned(), tokens.clone());
        }
        usage.extra.insert("completion_tokens_details".to_owned(), Value::Object(reasoning));
    }
    let known = ["input_tokens", "output_tokens", READ, CREATED, "output_tokens_details"];
    keep_rest(&mut usage.extra, came, &known);
    usage.extra.retain(|_, value| !value.is_null());
    usage
}

/// Writes Anthropic's.
pub(super) fn write(usage: Option<&Usage>) -> Map<String, Value> {
    let none = Usage::default();
    let usage = usage.unwrap_or(&none);
    let empty = Map::new();
    let details = |key: &str| usage.extra.get(key).and_then(Value::as_object).unwrap_or(&empty);
    let (prompt, completion) = (details("prompt_tokens_details"), details("completion_tokens_details"));
    let apart = count(prompt, "cached_tokens").saturating_add(count(prompt, "cache_creation_tokens"));
    let mut own = Map::new();
    own.insert("input_tokens".to_owned(), usage.prompt_tokens.saturating_sub(apart).into());
    for (key, name) in [("cache_creation_tokens", CREATED), ("cached_tokens", READ)] {
        if let Some(tokens) = given(prompt, key) {
            own.insert(name.to_owned(), tokens.clone());
        }
    }
    own.insert("output_tokens".to_owned(), usage.completion_tokens.into());
    if let Some(tokens) = given(completion, "reasoning_tokens") {
        own.insert("output_tokens_details".to_owned(), json!({"thinking_tokens": tokens}));
    }
    keep_rest(&mut own, &usage.extra, &["prompt_tokens_details", "completion_tokens_details"]);
    own
}
