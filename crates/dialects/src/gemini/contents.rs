//! Messages as Gemini's turns: `contents` and `systemInstruction`.

use std::collections::HashMap;

use api::Error;
use serde_json::{Map, Value, json};

use super::media;
use super::request::Generation;
use crate::foreign::{are_citations, unsupported};

/// What stands in for the seal of a call that another model made, as Google documents it for such conversations.
const NO_SEAL: &str = "skip_thought_signature_validator";

/// The messages of a request.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) system: Vec<Value>,
    pub(super) turns: Vec<Value>,
    /// The one resolution of all images, where it is not left to the model.
    pub(super) resolution: Option<&'static str>,
}

/// Reads a chat body's messages.
pub(super) fn read(chat: &Map<String, Value>, generation: Generation) -> Result<Contents, Error> {
    let mut reading =
        Reading { generation, system: Vec::new(), turns: Vec::new(), names: HashMap::new(), detail: None };
    let messages = chat.get("messages").and_then(Value::as_array);
    for (place, message) in messages.into_iter().flatten().enumerate() {
        if let Some(message) = message.as_object() {
            reading.message(&format!("messages[{place}]"), message)?;
        }
    }
    if reading.turns.is_empty() {
        let message = "Gemini needs a message with content that is not a system's.";
        return Err(unsupported("messages", message));
    }
    let turns = reading.turns.into_iter().map(|(role, parts)| json!({ "role": role, "parts": parts }));
    Ok(Contents {
        turns: turns.collect(),
        system: reading.system,
        resolution: reading.detail.filter(|detail| !detail.is_empty()),
    })
}

struct Reading<'a> {
    generation: Generation,
    system: Vec<Value>,
    turns: Vec<(&'static str, Vec<Value>)>,
    /// The functions of the calls so far, by the calls' ids.
    names: HashMap<&'a str, &'a str>,
    /// The detail of the images so far, empty for the model's choice.
    detail: Option<&'static str>,
}

impl<'a> Reading<'a> {
    fn message(&mut self, at: &str, message: &'a Map<String, Value>) -> Result<(), Error> {
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        refuse_unknown(at, role, message)?;
        match role {
            "system" | "developer" => {
                let parts = self.content(at, message)?;
                if parts.iter().any(|part| part.get("text").is_none()) {
                    let message = "Gemini's instructions are text: send anything else in a user's message.";
                    return Err(unsupported(format!("{at}.content"), message));
                }
                self.system.extend(parts);
            }
            "assistant" => {
                let parts = self.assistant(at, message)?;
                self.turn("model", parts);
            }
            "tool" => {
                let part = self.tool(at, message)?;
                self.turn("user", vec![part]);
            }
            "user" => {
                let parts = self.content(at, message)?;
                self.turn("user", parts);
            }
            _ => {
                let message = "Gemini has no messages of the older functions: send them as `tool` messages.";
                return Err(unsupported(format!("{at}.role"), message));
            }
        }
        Ok(())
    }

    /// Neighbours of one role are one turn: results of parallel calls must be, and calls must follow a user's turn.
    fn turn(&mut self, role: &'static str, parts: Vec<Value>) {
        match self.turns.last_mut() {
            _ if parts.is_empty() => {}
            Some((last, there)) if *last == role => there.extend(parts),
            _ => self.turns.push((role, parts)),
        }
    }

    fn content(&mut self, at: &str, message: &Map<String, Value>) -> Result<Vec<Value>, Error> {
        match message.get("content") {
            Some(Value::String(text)) => Ok(text_part(text).into_iter().collect()),
            Some(Value::Array(list)) => {
                let mut parts = Vec::with_capacity(list.len());
                for (n, part) in list.iter().enumerate() {
                    if let Some(part) = part.as_object() {
                        parts.extend(self.part(&format!("{at}.content[{n}]"), part)?);
                    }
                }
                Ok(parts)
            }
            _ => Ok(Vec::new()),
        }
    }

    fn part(&mut self, at: &str, part: &Map<String, Value>) -> Result<Option<Value>, Error> {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        if let Some(own) = kind.strip_prefix("gemini.") {
            let mut raw = part.clone();
            raw.shift_remove("type");
            return match raw.contains_key(own) {
                true => Ok(Some(raw.into())),
                false => Err(Error::field(at, format!("A part of the type `{kind}` must have `{own}`."))),
            };
        }
        let known = [kind, "type", "cache_control", "extra_content"];
        if let Some((key, _)) = part.iter().find(|(key, value)| {
            !value.is_null() && !known.contains(&key.as_str()) && !are_citations(key, value)
        }) {
            let message = format!("Gemini has no `{key}` of a part `{kind}`: leave it out.");
            return Err(unsupported(format!("{at}.{key}"), message));
        }
        let inner = format!("{at}.{kind}");
        let object = || {
            let wrong = || Error::field(&inner, format!("`{kind}` must be an object."));
            part.get(kind).and_then(Value::as_object).ok_or_else(wrong)
        };
        let made = match kind {
            "text" | "refusal" => part.get(kind).and_then(Value::as_str).and_then(text_part),
            "image_url" | "video_url" => Some(self.image(&inner, part.get(kind))?),
            "file" => Some(media::of_file(&inner, object()?)?),
            "input_audio" => Some(media::of_audio(&inner, object()?)?),
            _ => {
                let message = format!("Gemini has no part of the type `{kind}`: leave it out.");
                return Err(unsupported(format!("{at}.type"), message));
            }
        };
        Ok(made.map(|made| sealed(made, seal(part))))
    }

    fn image(&mut self, at: &str, image: Option<&Value>) -> Result<Value, Error> {
        let (url, detail) = match image {
            Some(Value::String(url)) => (Some(url.as_str()), None),
            Some(Value::Object(image)) => {
                let unknown = |key: &&String| !["url", "detail"].contains(&key.as_str());
                if let Some(key) = image.keys().find(unknown) {
                    let message = format!("Gemini has no `{key}` of an image: leave it out.");
                    return Err(unsupported(format!("{at}.{key}"), message));
                }
                (image.get("url").and_then(Value::as_str), image.get("detail"))
            }
            _ => (None, None),
        };
        let Some(url) = url else { return Err(Error::field(format!("{at}.url"), "`url` must be a string.")) };
        self.note_detail(&format!("{at}.detail"), detail)?;
        media::of_url(&format!("{at}.url"), url)
    }

    fn note_detail(&mut self, at: &str, detail: Option<&Value>) -> Result<(), Error> {
        let detail = match detail {
            None | Some(Value::Null) => "",
            Some(detail) => match detail.as_str() {
                Some("auto") => "",
                Some("low") => "MEDIA_RESOLUTION_LOW",
                Some("high") => "MEDIA_RESOLUTION_HIGH",
                _ => return Err(unsupported(at, "Gemini has an image's `detail` in auto, low and high.")),
            },
        };
        if self.detail.is_some_and(|before| before != detail) {
            let message =
                "Gemini has one resolution for all images of a request: give all the same `detail`.";
            return Err(unsupported(at, message));
        }
        self.detail = Some(detail);
        Ok(())
    }

    fn assistant(&mut self, at: &str, message: &'a Map<String, Value>) -> Result<Vec<Value>, Error> {
        let mut parts = Vec::new();
        let reasoning = message.get("reasoning_content").and_then(Value::as_str);
        if let Some(text) = reasoning.filter(|text| !text.is_empty()) {
            parts.push(json!({ "text": text, "thought": true }));
        }
        let theirs = message.get("provider_specific_fields").and_then(|fields| fields.get("gemini_parts"));
        parts.extend(
            theirs.and_then(Value::as_array).into_iter().flatten().filter(|part| part.is_object()).cloned(),
        );
        let mut said = self.content(at, message)?;
        said.extend(message.get("refusal").and_then(Value::as_str).and_then(text_part));
        if let Some(seal) = seal(message) {
            // Where no text came with it, the seal came with an empty one.
            match said.pop() {
                Some(last) => said.push(sealed(last, Some(seal))),
                None => said.push(json!({ "text": "", "thoughtSignature": seal })),
            }
        }
        parts.append(&mut said);
        for (n, image) in list(at, message, "images")?.iter().enumerate() {
            let at = format!("{at}.images[{n}]");
            let url = image.get("image_url").and_then(|image| image.get("url")).and_then(Value::as_str);
            let Some(url) = url else { return Err(Error::field(at, "An image must have `image_url.url`.")) };
            let seal = image.as_object().and_then(seal);
            parts.push(sealed(media::of_url(&format!("{at}.image_url.url"), url)?, seal));
        }
        for (n, call) in list(at, message, "tool_calls")?.iter().enumerate() {
            parts.push(self.call(&format!("{at}.tool_calls[{n}]"), n == 0, call)?);
        }
        Ok(parts)
    }

    fn call(&mut self, at: &str, is_first: bool, call: &'a Value) -> Result<Value, Error> {
        if !matches!(call.get("type").and_then(Value::as_str), None | Some("function")) {
            let message = "Gemini has calls of functions only.";
            return Err(unsupported(format!("{at}.type"), message));
        }
        let function = call.get("function");
        let text = |key: &str| function.and_then(|function| function.get(key)).and_then(Value::as_str);
        let Some(name) = text("name") else {
            return Err(Error::field(format!("{at}.function.name"), "`name` must be a string."));
        };
        let arguments = match text("arguments").map(str::trim) {
            None | Some("") => Map::new(),
            Some(arguments) => serde_json::from_str(arguments).map_err(|_| {
                let allowed = "`arguments` must be a JSON object, written as a string.";
                Error::field(format!("{at}.function.arguments"), allowed)
            })?,
        };
        let mut theirs = Map::new();
        if let Some(id) = call.get("id").and_then(Value::as_str) {
            self.names.insert(id, name);
            theirs.insert("id".to_owned(), id.into());
        }
        theirs.insert("name".to_owned(), name.into());
        theirs.insert("args".to_owned(), arguments.into());
        // Of parallel calls, only the first one is sealed.
        let stand_in = (is_first && self.generation == Generation::Levels).then_some(NO_SEAL);
        let seal = call.as_object().and_then(seal).or(stand_in);
        Ok(sealed(json!({ "functionCall": theirs }), seal))
    }

    fn tool(&mut self, at: &str, message: &Map<String, Value>) -> Result<Value, Error> {
        let text = |key: &str| message.get(key).and_then(Value::as_str);
        let id = text("tool_call_id");
        let name = id.and_then(|id| self.names.get(id).copied()).or_else(|| text("name"));
        let Some(name) = name else {
            let message = "No earlier message calls a tool by this id: send the assistant's message with its `tool_calls`.";
            return Err(Error::field(format!("{at}.tool_call_id"), message));
        };
        let parts = self.content(at, message)?;
        let (texts, media): (Vec<Value>, Vec<Value>) =
            parts.into_iter().partition(|part| part.get("text").is_some());
        let texts: Vec<&str> =
            texts.iter().filter_map(|part| part.get("text")).filter_map(Value::as_str).collect();
        let said = if message.get("is_error") == Some(&Value::Bool(true)) { "error" } else { "output" };
        let mut response = Map::new();
        if let Some(id) = id {
            response.insert("id".to_owned(), id.into());
        }
        response.insert("name".to_owned(), name.into());
        response.insert("response".to_owned(), json!({ said: texts.join("\n") }));
        if !media.is_empty() {
            response.insert("parts".to_owned(), media.into());
        }
        Ok(json!({ "functionResponse": response }))
    }
}

/// Refuses what a message says beside its content and Gemini has no place for.
fn refuse_unknown(at: &str, role: &str, message: &Map<String, Value>) -> Result<(), Error> {
    let known: &[&str] = match role {
        "assistant" => &[
            "refusal",
            "tool_calls",
            "reasoning_content",
            "extra_content",
            "images",
            "provider_specific_fields",
            // Left out: see the module's text.
            "annotations",
            "thinking_blocks",
            "reasoning_items",
        ],
        "tool" => &["tool_call_id", "name", "is_error"],
        _ => &[],
    };
    let is_known = |key: &str| ["role", "content", "cache_control"].contains(&key) || known.contains(&key);
    match message.iter().find(|(key, value)| !value.is_null() && !is_known(key)) {
        None => Ok(()),
        Some((key, _)) => {
            let message = format!("Gemini has no `{key}` of {role} messages: leave it out.");
            Err(unsupported(format!("{at}.{key}"), message))
        }
    }
}

fn list<'m>(at: &str, message: &'m Map<String, Value>, key: &str) -> Result<&'m [Value], Error> {
    match message.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(Error::field(format!("{at}.{key}"), format!("`{key}` must be an array."))),
    }
}

/// Gemini refuses empty texts.
fn text_part(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!({ "text": text }))
}

/// The seal that an answer came with.
fn seal(of: &Map<String, Value>) -> Option<&str> {
    of.get("extra_content")?.get("google")?.get("thought_signature")?.as_str()
}

fn sealed(mut part: Value, seal: Option<&str>) -> Value {
    if let (Some(part), Some(seal)) = (part.as_object_mut(), seal) {
        part.insert("thoughtSignature".to_owned(), seal.into());
    }
    part
}
