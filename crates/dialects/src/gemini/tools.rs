//! Tools and the choice among them.

use api::Error;
use serde_json::{Map, Value, json};

use crate::foreign::unsupported;

/// Google's own tools, which a chat client names as Gemini does: `{"googleSearch": {}}`.
const BUILT_IN: [&str; 8] = [
    "googleSearch",
    "googleSearchRetrieval",
    "codeExecution",
    "urlContext",
    "computerUse",
    "fileSearch",
    "googleMaps",
    "enterpriseWebSearch",
];

/// Writes `tools` and `toolConfig`.
pub(super) fn write(body: &Map<String, Value>, out: &mut Map<String, Value>) -> Result<(), Error> {
    let Offered { declarations, mut others, strict } = offered(body)?;
    let choice = choice(body, strict)?;
    if declarations.is_empty() {
        if choice.as_ref().is_some_and(|choice| !["NONE", "AUTO"].contains(&choice.mode)) {
            return Err(Error::field(
                "tool_choice",
                "`tool_choice` asks for a function: offer it in `tools`.",
            ));
        }
    } else {
        let mode = choice.as_ref().map(|choice| choice.mode);
        if mode != Some("NONE") && body.get("parallel_tool_calls") == Some(&Value::Bool(false)) {
            return Err(unsupported(
                "parallel_tool_calls",
                "Gemini cannot be kept from calling several functions at once: leave `parallel_tool_calls` out.",
            ));
        }
        if let Some(choice) = choice {
            choice.must_be_of(&declarations)?;
            out.insert("toolConfig".to_owned(), json!({ "functionCallingConfig": choice.config() }));
        }
        others.insert(0, json!({ "functionDeclarations": declarations }));
    }
    if !others.is_empty() {
        out.insert("tools".to_owned(), Value::Array(others));
    }
    Ok(())
}

struct Offered {
    declarations: Vec<Value>,
    others: Vec<Value>,
    strict: bool,
}

fn offered(body: &Map<String, Value>) -> Result<Offered, Error> {
    let mut offered = Offered { declarations: Vec::new(), others: Vec::new(), strict: false };
    let tools = match body.get("tools") {
        None | Some(Value::Null) => return Ok(offered),
        Some(Value::Array(tools)) => tools,
        Some(_) => return Err(Error::field("tools", "`tools` must be an array.")),
    };
    for (place, tool) in tools.iter().enumerate() {
        let at = format!("tools[{place}]");
        let Some(tool) = tool.as_object() else {
            return Err(Error::field(at, "A tool must be an object."));
        };
        match tool.get("type").and_then(Value::as_str) {
            Some("function") => {
                offered.strict |= tool.get("function").and_then(|function| function.get("strict"))
                    == Some(&Value::Bool(true));
                offered.declarations.push(declaration(&at, tool)?);
            }
            None if !tool.is_empty() && tool.keys().all(|key| BUILT_IN.contains(&key.as_str())) => {
                offered.others.push(Value::Object(tool.clone()));
            }
            _ => {
                let message = format!(
                    "Gemini takes tools of the type `function`, and its own without a `type`: {}.",
                    BUILT_IN.join(", ")
                );
                return Err(unsupported(format!("{at}.type"), message));
            }
        }
    }
    Ok(offered)
}

fn declaration(at: &str, tool: &Map<String, Value>) -> Result<Value, Error> {
    let known = ["type", "function", "cache_control"];
    if let Some((key, _)) =
        tool.iter().find(|(key, value)| !value.is_null() && !known.contains(&key.as_str()))
    {
        return Err(no_such(&format!("{at}.{key}"), key));
    }
    let Some(function) = tool.get("function").and_then(Value::as_object) else {
        return Err(Error::field(format!("{at}.function"), "`function` must be an object."));
    };
    if !function.get("name").is_some_and(Value::is_string) {
        return Err(Error::field(format!("{at}.function.name"), "`name` must be a string."));
    }
    let mut declaration = Map::new();
    for (key, value) in function.iter().filter(|(_, value)| !value.is_null()) {
        let theirs = match key.as_str() {
            "name" | "description" => key.as_str(),
            "parameters" => "parametersJsonSchema",
            "strict" | "cache_control" => continue,
            _ => return Err(no_such(&format!("{at}.function.{key}"), key)),
        };
        declaration.insert(theirs.to_owned(), value.clone());
    }
    Ok(Value::Object(declaration))
}

fn no_such(at: &str, key: &str) -> Error {
    unsupported(at, format!("Gemini has no `{key}` of a function: leave it out."))
}

struct Choice {
    mode: &'static str,
    names: Vec<Value>,
}

impl Choice {
    /// Gemini itself answers a name that it was not offered with an error that names no field.
    fn must_be_of(&self, declarations: &[Value]) -> Result<(), Error> {
        let is_offered = |name: &Value| declarations.iter().any(|offered| offered.get("name") == Some(name));
        if self.names.iter().all(is_offered) {
            return Ok(());
        }
        Err(Error::field(
            "tool_choice",
            "`tool_choice` names a function that is not in `tools`: offer it there.",
        ))
    }

    fn config(self) -> Value {
        match self.names.is_empty() {
            true => json!({ "mode": self.mode }),
            false => json!({ "mode": self.mode, "allowedFunctionNames": self.names }),
        }
    }
}

fn choice(body: &Map<String, Value>, strict: bool) -> Result<Option<Choice>, Error> {
    // Only `VALIDATED` holds the arguments to their schema while it leaves the model free to call nothing.
    let free = if strict { "VALIDATED" } else { "AUTO" };
    let plain = |mode| Ok(Some(Choice { mode, names: Vec::new() }));
    let wrong = || {
        let allowed = "`tool_choice` must be none, auto, required, or an object that names a function.";
        Error::field("tool_choice", allowed)
    };
    match body.get("tool_choice") {
        None | Some(Value::Null) if strict => plain(free),
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(word)) => match word.as_str() {
            "none" => plain("NONE"),
            "auto" => plain(free),
            "required" => plain("ANY"),
            _ => Err(wrong()),
        },
        Some(Value::Object(choice)) => match choice.get("type").and_then(Value::as_str) {
            Some("function") => {
                let name = choice.get("function").and_then(|function| function.get("name"));
                let name = name.filter(|name| name.is_string()).ok_or_else(wrong)?;
                Ok(Some(Choice { mode: "ANY", names: vec![name.clone()] }))
            }
            Some("allowed_tools") => allowed(choice).map(Some),
            _ => Err(wrong()),
        },
        Some(_) => Err(wrong()),
    }
}

/// `{"type":"allowed_tools","allowed_tools":{"mode":...,"tools":[...]}}`.
fn allowed(choice: &Map<String, Value>) -> Result<Choice, Error> {
    let allowed = choice.get("allowed_tools").unwrap_or(&Value::Null);
    let mode = match allowed["mode"].as_str() {
        Some("required") => "ANY",
        // Names may go with ANY and VALIDATED only.
        Some("auto") => "VALIDATED",
        _ => {
            let message = "`tool_choice.allowed_tools.mode` must be auto or required.";
            return Err(Error::field("tool_choice.allowed_tools.mode", message));
        }
    };
    let name = |tool: &Value| tool["function"].get("name").filter(|name| name.is_string()).cloned();
    let tools = allowed["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Option<Vec<Value>> = tools.iter().map(name).collect();
    match names.filter(|names| !names.is_empty()) {
        Some(names) => Ok(Choice { mode, names }),
        None => {
            let message =
                "`tool_choice.allowed_tools.tools` must name one or more of the functions in `tools`.";
            Err(Error::field("tool_choice.allowed_tools.tools", message))
        }
    }
}
