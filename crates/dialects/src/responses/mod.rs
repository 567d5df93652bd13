//! OpenAI's Responses, as clients and providers speak it.
//!
//! Owns the reading and writing of requests, answers and streams of events, both ways. Same dialect in and out loses
//! nothing, up to what the API itself holds equal: a string `input` and its one message, an empty and a missing list of
//! annotations or log-probabilities, null and absent.
//!
//! Where chat has no words for something of this dialect:
//! - top-level fields stay under `responses` of the chat body; tools that are no functions in its `tools`, with nulls
//!   where the functions stand;
//! - items and parts without a counterpart stay as parts `responses.<type>`, a whole item under `item` in it;
//! - what an item says beside its content (`id`, `status`, `phase`, an unusual order) stays under
//!   `provider_specific_fields.responses` of its message or tool call. Other dialects may pass over that: it is no content;
//! - in answers, events of items that chat does not know are kept there under `events`, an unusual `output` under
//!   `output`, and the response's own fields beside the choices.
//!
//! Passed over as hints, which cannot change an answer: `stream_options` of chat (the usage always comes), earlier
//! reasoning of other dialects (`reasoning_content`, `thinking_blocks`: only their own models can read it), padding
//! against eavesdroppers (`obfuscation`). A failed tool's `is_error` becomes the status `incomplete` of its output.
//! Refused by name: `item_reference`, because the house keeps no items.

mod annotations;
mod answer;
mod body;
mod draft;
mod input;
mod items;
mod reader;
mod request;
mod said;
mod tools;
mod usage;
mod writer;

use api::Error;
use serde_json::{Map, Value};

pub(crate) use answer::Client;
pub(crate) use answer::whole;
pub(crate) use body::body;
pub(crate) use reader::Reader;
pub(crate) use request::{in_own_words, read};
pub(crate) use writer::Writer;

/// The name of what is kept for this dialect.
const OWN: &str = "responses";

/// Where what is kept for a provider's dialect stands on messages, tool calls and answers.
const KEPT: &str = "provider_specific_fields";

/// Ids of the reasoning items that are written for answers of other dialects begin with this: no provider knows them.
const MADE_UP_REASONING: &str = "rs_pointsman_";

/// Stands between two pieces of reasoning where chat has one text.
const PARAGRAPH: &str = "\n\n";

/// What asks for log-probabilities.
const LOGPROBS: &str = "message.output_text.logprobs";

/// What is kept for this dialect on a message, a tool call or an answer.
fn kept(map: &Map<String, Value>) -> Option<&Map<String, Value>> {
    map.get(KEPT)?.get(OWN)?.as_object()
}

/// Keeps `value` for this dialect.
fn keep(map: &mut Map<String, Value>, key: &str, value: Value) {
    let fields = map.entry(KEPT).or_insert_with(|| Value::Object(Map::new()));
    let Some(fields) = fields.as_object_mut() else { return };
    let own = fields.entry(OWN).or_insert_with(|| Value::Object(Map::new()));
    if let Some(own) = own.as_object_mut() {
        own.insert(key.to_owned(), value);
    }
}

/// This dialect has no words for `param`.
fn unsupported(param: &str) -> Error {
    let message = format!(
        "`{param}` cannot be said in OpenAI's Responses, which this request's target speaks. Leave it out, or name \
         another model."
    );
    crate::foreign::unsupported(param, message)
}

fn text_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list_of<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Takes the list under `key`; empty where there is none.
fn take_list(map: &mut Map<String, Value>, key: &str) -> Vec<Value> {
    match map.remove(key) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

/// `value` as an object, empty where it is none.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// An id that providers of this dialect accept: its prefix, then letters, digits, `_` and `-`, 64 at most.
fn id_of(prefix: &str, id: &str) -> String {
    const CHARS_MAX: usize = 64;
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let bare = id.strip_prefix(prefix).unwrap_or(id);
    prefix.chars().chain(bare.chars().map(allowed)).take(CHARS_MAX).collect()
}
