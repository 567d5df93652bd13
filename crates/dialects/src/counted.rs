//! What comes with vectors and ranks: what the provider counted, or an error in their place.
//!
//! Owns both readings. Refuses to make up a count that the provider did not give.

use api::Usage;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Trouble;

/// A `usage` object; `None` where it counts nothing. Servers that tell one number call it `total_tokens`.
pub(crate) fn usage(said: Option<&Value>) -> Option<Usage> {
    let mut fields = said?.as_object()?.clone();
    let mut take = |key: &str| fields.shift_remove(key).and_then(|value| value.as_u64());
    let (prompt, completion, total) =
        (take("prompt_tokens"), take("completion_tokens"), take("total_tokens"));
    let completion = completion.unwrap_or(0);
    let prompt = prompt.or_else(|| total.map(|total| total.saturating_sub(completion)))?;
    Some(Usage { extra: fields, ..Usage::exact(prompt, completion) })
}

/// The same as a client is told it: nothing is completed where nothing is written.
pub(crate) fn told(usage: &Usage) -> Value {
    let mut fields = Map::new();
    fields.insert("prompt_tokens".to_owned(), json!(usage.prompt_tokens));
    if usage.completion_tokens > 0 {
        fields.insert("completion_tokens".to_owned(), json!(usage.completion_tokens));
    }
    fields.insert("total_tokens".to_owned(), json!(usage.total_tokens));
    fields.extend(usage.extra.clone());
    Value::Object(fields)
}

/// Why a body that could not be read as what was asked for is none: the error that it holds, or `problem`.
pub(crate) fn no_answer(body: &[u8], problem: &serde_json::Error) -> Trouble {
    #[derive(Deserialize)]
    struct Told {
        error: Option<Value>,
    }
    match serde_json::from_slice(body) {
        Ok(Told { error: Some(error) }) => Trouble::InBand(error),
        _ => Trouble::garbage(problem),
    }
}
