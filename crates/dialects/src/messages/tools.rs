//! A chat body's tools and the choice among them, as Anthropic is asked.
//!
//! Owns what each form of `tool_choice` becomes. Refuses by name the kinds of tools that Anthropic does not know, and a
//! choice of what is not offered.

use api::Error;
use serde_json::{Map, Value, json};

use super::OWN;
use super::blocks::{given, keep_rest, text};
use crate::foreign::unsupported;

/// The tools that are offered.
pub(super) fn offered(value: &Value) -> Result<Value, Error> {
    let read = value.as_array().into_iter().flatten().enumerate().map(|(n, tool)| {
        let wrong =
            || unsupported(format!("tools[{n}].type"), "This target takes tools of the type function.");
        let mut tool = tool.as_object().ok_or_else(wrong)?.clone();
        let kind = text(&tool, "type").unwrap_or_default();
        if let Some(own) = kind.strip_prefix(OWN).and_then(|kind| kind.strip_prefix('.')) {
            tool["type"] = own.into();
            return Ok(Value::Object(tool));
        }
        if kind != "function" {
            return Err(wrong());
        }
        let Some(Value::Object(function)) = tool.shift_remove("function") else { return Err(wrong()) };
        tool.shift_remove("type");
        let mut made = Map::new();
        keep_rest(&mut made, &function, &["parameters"]);
        let schema = given(&function, "parameters").cloned();
        made.insert(
            "input_schema".to_owned(),
            schema.unwrap_or_else(|| json!({"type": "object", "properties": {}})),
        );
        keep_rest(&mut made, &tool, &[]);
        Ok(Value::Object(made))
    });
    Ok(Value::Array(read.collect::<Result<_, Error>>()?))
}

/// Writes `tool_choice`, and leaves of the tools only those that may be called.
///
/// Anthropic has no list of allowed tools: what is not allowed is not offered.
pub(super) fn choose(chat: &Map<String, Value>, body: &mut Map<String, Value>) -> Result<(), Error> {
    let mut choice = match given(chat, "tool_choice") {
        Some(Value::String(word)) => json!({"type": if word == "required" { "any" } else { word.as_str() }}),
        Some(Value::Object(named)) => named_choice(named, body)?,
        _ => Value::Null,
    };
    let parallel = given(chat, "parallel_tool_calls").and_then(Value::as_bool);
    if parallel == Some(false) && choice.is_null() && body.contains_key("tools") {
        choice = json!({"type": "auto"});
    }
    if let (Some(parallel), Some(choice)) = (parallel, choice.as_object_mut())
        && choice["type"] != "none"
    {
        choice.insert("disable_parallel_tool_use".to_owned(), (!parallel).into());
    }
    if !choice.is_null() {
        body.insert("tool_choice".to_owned(), choice);
    }
    Ok(())
}

fn named_choice(choice: &Map<String, Value>, body: &mut Map<String, Value>) -> Result<Value, Error> {
    match text(choice, "type") {
        Some("function") => match choice.get("function").and_then(|function| function["name"].as_str()) {
            Some(name) => Ok(json!({"type": "tool", "name": name})),
            None => Err(Error::field("tool_choice.function.name", "`name` must be a string.")),
        },
        Some("allowed_tools") => allowed(choice, body),
        _ => {
            let allowed = "For this target, `tool_choice.type` must be function or allowed_tools.";
            Err(unsupported("tool_choice.type", allowed))
        }
    }
}

fn allowed(choice: &Map<String, Value>, body: &mut Map<String, Value>) -> Result<Value, Error> {
    let allowed = choice.get("allowed_tools").unwrap_or(&Value::Null);
    let kind = match allowed["mode"].as_str() {
        Some("auto") => "auto",
        Some("required") => "any",
        _ => {
            let message = "`tool_choice.allowed_tools.mode` must be auto or required.";
            return Err(Error::field("tool_choice.allowed_tools.mode", message));
        }
    };
    let names: Option<Vec<&str>> = allowed["tools"]
        .as_array()
        .map(|tools| tools.iter().map(|tool| tool["function"]["name"].as_str()).collect())
        .unwrap_or_default();
    let offered = body.get_mut("tools").and_then(Value::as_array_mut);
    let (Some(names), Some(offered)) = (names.filter(|names| !names.is_empty()), offered) else {
        return Err(not_offered());
    };
    offered.retain(|tool| tool["name"].as_str().is_some_and(|name| names.contains(&name)));
    let is_offered = |name: &&str| offered.iter().any(|tool| tool["name"] == **name);
    if !names.iter().all(is_offered) {
        return Err(not_offered());
    }
    Ok(json!({"type": kind}))
}

fn not_offered() -> Error {
    let message = "`tool_choice.allowed_tools.tools` must name one or more of the functions in `tools`.";
    Error::field("tool_choice.allowed_tools.tools", message)
}
