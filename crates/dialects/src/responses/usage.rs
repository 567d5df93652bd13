//! The usage: the same counts by other names.
//!
//! Owns the names, both ways. Refuses nothing: counts that it does not know pass.

use api::Usage;
use serde_json::{Value, json};

use super::object;

const USAGE_DETAILS: [(&str, &str); 2] = [
    ("prompt_tokens_details", "input_tokens_details"),
    ("completion_tokens_details", "output_tokens_details"),
];

/// What this dialect calls tokens written to a cache, and what chat's conventions call them.
const WRITTEN: (&str, &str) = ("cache_write_tokens", "cache_creation_tokens");

/// Chat's usage; `None` where there is none.
pub(super) fn to_chat(usage: &Value) -> Option<Usage> {
    let usage = usage.as_object()?;
    let count = |key: &str| usage.get(key).and_then(Value::as_u64);
    let (input, output) = (count("input_tokens").unwrap_or(0), count("output_tokens").unwrap_or(0));
    let mut chat = Usage::exact(input, output);
    if let Some(total) = count("total_tokens") {
        chat.total_tokens = total;
    }
    for (key, value) in usage {
        if ["input_tokens", "output_tokens", "total_tokens"].contains(&key.as_str()) {
            continue;
        }
        let name = USAGE_DETAILS.iter().find(|(_, own)| own == key).map_or(key.as_str(), |(name, _)| name);
        let mut value = value.clone();
        if let Some(details) = value.as_object_mut()
            && let Some(written) = details.shift_remove(WRITTEN.0)
        {
            details.insert(WRITTEN.1.to_owned(), written);
        }
        chat.extra.insert(name.to_owned(), value);
    }
    Some(chat)
}

/// This dialect's usage.
pub(super) fn from_chat(usage: &Usage) -> Value {
    let mut own = object(json!({
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, WRITTEN.0: 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens,
    }));
    for (key, value) in &usage.extra {
        let name = USAGE_DETAILS.iter().find(|(chat, _)| chat == key).map_or(key.as_str(), |(_, own)| own);
        match (own.get_mut(name), value) {
            (Some(Value::Object(details)), Value::Object(more)) => {
                for (key, value) in more.iter().filter(|(_, value)| !value.is_null()) {
                    let name = if key == WRITTEN.1 { WRITTEN.0 } else { key };
                    details.insert(name.to_owned(), value.clone());
                }
            }
            (Some(_), _) => {}
            (None, value) => {
                own.insert(name.to_owned(), value.clone());
            }
        }
    }
    Value::Object(own)
}
