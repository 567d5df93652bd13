//! Tools and the choice among them: flat in this dialect, nested in chat's.
//!
//! Owns function tools, both ways. Refuses to guess at other kinds: they are kept for a provider of this dialect, and
//! chat's own other kinds are refused by name.

use api::Error;
use serde_json::{Map, Value, json};

use super::{list_of, object, text_of, unsupported};

/// Splits a client's tools into chat's functions and, where there are others, all of them with nulls for the functions.
pub(super) fn to_chat(tools: Value) -> Result<(Vec<Value>, Option<Value>), Error> {
    let Value::Array(tools) = tools else {
        return Err(Error::field("tools", "`tools` must be an array."));
    };
    let mut functions = Vec::new();
    let mut others = Vec::with_capacity(tools.len());
    for (place, tool) in tools.into_iter().enumerate() {
        match tool.get("type").and_then(Value::as_str) {
            Some("function") => {
                functions.push(function_to_chat(place, tool)?);
                others.push(Value::Null);
            }
            Some(_) => others.push(tool),
            None => {
                return Err(Error::field(
                    format!("tools[{place}].type"),
                    "A tool needs a `type`: function, ...",
                ));
            }
        }
    }
    let others = others.iter().any(|tool| !tool.is_null()).then_some(Value::Array(others));
    Ok((functions, others))
}

fn function_to_chat(place: usize, tool: Value) -> Result<Value, Error> {
    let mut function = object(tool);
    function.shift_remove("type");
    if function.get("name").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(Error::field(format!("tools[{place}].name"), "`name` must be a non-empty string."));
    }
    // Left out, this dialect means another thing than chat does; null says that nothing was said.
    function.entry("strict").or_insert(Value::Null);
    Ok(json!({"type": "function", "function": function}))
}

/// All tools for a provider: the functions in their places among the `others`.
pub(super) fn from_chat(tools: &[Value], others: &[Value]) -> Result<Vec<Value>, Error> {
    let mut functions = Vec::with_capacity(tools.len());
    for (place, tool) in tools.iter().enumerate() {
        functions.push(function_from_chat(place, tool)?);
    }
    let mut functions = functions.into_iter();
    let mut all: Vec<Value> = others
        .iter()
        .filter_map(|other| if other.is_null() { functions.next() } else { Some(other.clone()) })
        .collect();
    all.extend(functions);
    Ok(all)
}

fn function_from_chat(place: usize, tool: &Value) -> Result<Value, Error> {
    let Some(function) = tool.get("function").and_then(Value::as_object) else {
        return Err(unsupported(&format!("tools[{place}]")));
    };
    let mut flat = Map::new();
    flat.insert("type".to_owned(), "function".into());
    flat.extend(function.clone());
    // Chat is loose where nothing is said, this dialect is strict.
    if flat.get("strict").is_some_and(Value::is_null) {
        flat.shift_remove("strict");
    } else {
        flat.entry("strict").or_insert(Value::Bool(false));
    }
    // Required here, with null for none.
    flat.entry("parameters").or_insert(Value::Null);
    Ok(Value::Object(flat))
}

/// Chat's form of a choice; `None` where only a provider of this dialect can read it.
pub(super) fn choice_to_chat(choice: &Value) -> Option<Value> {
    if choice.is_string() {
        return Some(choice.clone());
    }
    match text_of(choice, "type") {
        "function" => Some(json!({"type": "function", "function": {"name": choice.get("name")?}})),
        "allowed_tools" => {
            let tools: Option<Vec<Value>> = list_of(choice, "tools")
                .iter()
                .map(|tool| match text_of(tool, "type") {
                    "function" => choice_to_chat(tool),
                    _ => None,
                })
                .collect();
            let allowed = json!({"mode": choice.get("mode")?, "tools": tools?});
            Some(json!({"type": "allowed_tools", "allowed_tools": allowed}))
        }
        _ => None,
    }
}

/// This dialect's form of chat's choice.
pub(super) fn choice_from_chat(choice: &Value) -> Result<Value, Error> {
    let refused = || unsupported("tool_choice");
    if choice.is_string() {
        return Ok(choice.clone());
    }
    if let Some(function) = choice.get("function") {
        let name = function.get("name").ok_or_else(refused)?;
        return Ok(json!({"type": "function", "name": name}));
    }
    let allowed = choice.get("allowed_tools").ok_or_else(refused)?;
    let tools: Result<Vec<Value>, Error> = list_of(allowed, "tools").iter().map(choice_from_chat).collect();
    let mode = allowed.get("mode").ok_or_else(refused)?;
    Ok(json!({"type": "allowed_tools", "mode": mode, "tools": tools?}))
}
