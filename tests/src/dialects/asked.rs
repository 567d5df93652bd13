//! Reads a request of any dialect: what was asked, in one form. Refuses what the dialect itself would refuse.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::Dialect;
use crate::provider::Incoming;

/// What was asked.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) wants_usage: bool,
    pub(super) system: String,
    /// The last text of the user.
    pub(super) text: String,
    /// The beginning of the answer, where it is to be continued.
    pub(super) begun: String,
    /// Each as its media type and the length of its data.
    pub(super) images: Vec<String>,
    /// The names of the functions offered.
    pub(super) tools: Vec<String>,
    /// The calls of the conversation, as `name(city)`, with their results.
    pub(super) results: Vec<(String, String)>,
    pub(super) schema: Option<Value>,
    pub(super) stops: Vec<String>,
    /// Temperature, top-p and the longest answer.
    pub(super) sampling: String,
    calls: HashMap<String, String>,
}

type Read = Result<(), String>;

impl Asked {
    /// A stream is asked of `model`, with its usage.
    pub(super) fn of_stream(model: &str) -> Self {
        Self { model: model.to_owned(), stream: true, wants_usage: true, ..Self::default() }
    }

    pub(super) fn read(dialect: Dialect, incoming: &Incoming) -> Result<Self, String> {
        let body = &incoming.body;
        let mut asked = Self {
            model: body["model"].as_str().unwrap_or_default().to_owned(),
            stream: body["stream"] == true,
            wants_usage: true,
            ..Self::default()
        };
        match dialect {
            Dialect::OpenAi => asked.chat(body)?,
            Dialect::Azure => {
                let deployment = incoming.path.split('/').nth(4).unwrap_or_default();
                deployment.clone_into(&mut asked.model);
                asked.chat(body)?;
            }
            Dialect::Responses => asked.responses(body)?,
            Dialect::Anthropic => {
                need(
                    incoming.header("anthropic-version") == "2023-06-01",
                    "anthropic-version: header is required",
                )?;
                asked.anthropic(body)?;
            }
            Dialect::Gemini => {
                let call = incoming.path.rsplit('/').next().unwrap_or_default();
                let (model, call) = call.split_once(':').unwrap_or_default();
                model.clone_into(&mut asked.model);
                asked.stream = call.starts_with("stream");
                asked.gemini(body)?;
            }
        }
        need(asked.calls.len() == asked.results.len(), "every call needs its result")?;
        Ok(asked)
    }

    fn sampled(&mut self, body: &Value, names: [&str; 3]) {
        let values = names.map(|name| body[name].to_string());
        self.sampling = values.join(" ");
    }

    fn called(&mut self, id: &str, name: &str, arguments: &Value) -> Read {
        need(!id.is_empty() && !name.is_empty(), "a call needs its id and name")?;
        let city = arguments["city"].as_str().ok_or("the arguments of a call are not as they were given")?;
        need(self.calls.insert(id.to_owned(), format!("{name}({city})")).is_none(), "two calls with one id")
    }

    fn result(&mut self, id: &str, result: &str) -> Read {
        let call = self.calls.get(id).ok_or_else(|| format!("a result for the unknown call {id}"))?;
        self.results.push((call.clone(), result.to_owned()));
        Ok(())
    }

    fn image(&mut self, media: &str, data: &str) {
        self.images.push(format!("{media}, {} characters", data.len()));
    }

    fn image_url(&mut self, url: &str) -> Read {
        let (media, data) = url
            .strip_prefix("data:")
            .and_then(|rest| rest.split_once(";base64,"))
            .ok_or("an image must be a data URL")?;
        self.image(media, data);
        Ok(())
    }

    fn chat(&mut self, body: &Value) -> Read {
        self.wants_usage = body["stream_options"]["include_usage"] == true;
        self.sampled(body, ["temperature", "top_p", longest(body, "max_completion_tokens", "max_tokens")]);
        self.stops = strings(&body["stop"]);
        self.schema = given(&body["response_format"]["json_schema"]["schema"]);
        for tool in items(&body["tools"]) {
            need(tool["function"]["parameters"].is_object(), "tools need their parameters")?;
            self.tools.push(word(&tool["function"], "name")?);
        }
        for message in items(&body["messages"]) {
            match message["role"].as_str() {
                Some("system" | "developer") => self.system = texts(&message["content"]),
                Some("user") => {
                    self.text = texts(&message["content"]);
                    for part in items(&message["content"]).iter().filter(|part| part["type"] == "image_url") {
                        self.image_url(&word(&part["image_url"], "url")?)?;
                    }
                }
                Some("assistant") => {
                    if message["prefix"] == true {
                        self.begun = texts(&message["content"]);
                    }
                    for call in items(&message["tool_calls"]) {
                        let arguments = word(&call["function"], "arguments")?;
                        let arguments = serde_json::from_str(&arguments).unwrap_or_default();
                        self.called(&word(call, "id")?, &word(&call["function"], "name")?, &arguments)?;
                    }
                }
                Some("tool") => self.result(&word(message, "tool_call_id")?, &texts(&message["content"]))?,
                _ => return Err("a message needs its role".to_owned()),
            }
        }
        Ok(())
    }

    fn responses(&mut self, body: &Value) -> Read {
        self.sampled(body, ["temperature", "top_p", "max_output_tokens"]);
        self.schema = given(&body["text"]["format"]["schema"]);
        self.system = body["instructions"].as_str().unwrap_or_default().to_owned();
        for tool in items(&body["tools"]) {
            need(
                tool["type"] == "function" && tool["parameters"].is_object(),
                "tools need their parameters",
            )?;
            self.tools.push(word(tool, "name")?);
        }
        if let Some(text) = body["input"].as_str() {
            text.clone_into(&mut self.text);
        }
        for item in items(&body["input"]) {
            match item["type"].as_str().unwrap_or("message") {
                "message" => match item["role"].as_str() {
                    Some("system" | "developer") => self.system = texts(&item["content"]),
                    Some("user") => {
                        self.text = texts(&item["content"]);
                        for part in
                            items(&item["content"]).iter().filter(|part| part["type"] == "input_image")
                        {
                            self.image_url(&word(part, "image_url")?)?;
                        }
                    }
                    Some("assistant") => {
                        let right = |part: &Value| part["type"] == "output_text" || part["type"] == "refusal";
                        let right = items(&item["content"]).iter().all(right);
                        need(right, "the parts of an answer are output_text or refusal")?;
                    }
                    _ => return Err("a message needs its role".to_owned()),
                },
                "function_call" => {
                    let arguments = serde_json::from_str(&word(item, "arguments")?).unwrap_or_default();
                    self.called(&word(item, "call_id")?, &word(item, "name")?, &arguments)?;
                }
                "function_call_output" => self.result(&word(item, "call_id")?, &texts(&item["output"]))?,
                "reasoning" => need(item["summary"].is_array(), "reasoning needs its summary")?,
                other => return Err(format!("no such item: {other}")),
            }
        }
        Ok(())
    }

    fn anthropic(&mut self, body: &Value) -> Read {
        need(body["max_tokens"].is_u64(), "max_tokens: field required")?;
        self.sampled(body, ["temperature", "top_p", "max_tokens"]);
        self.stops = strings(&body["stop_sequences"]);
        self.schema = given(&body["output_config"]["format"]["schema"]);
        self.system = texts(&body["system"]);
        for tool in items(&body["tools"]) {
            need(tool["input_schema"].is_object(), "tools need their input_schema")?;
            self.tools.push(word(tool, "name")?);
        }
        for message in items(&body["messages"]) {
            need(["user", "assistant"].iter().any(|role| message["role"] == *role), "no such role")?;
            if message["role"] == "user" {
                self.text = texts(&message["content"]);
            }
            for block in items(&message["content"]) {
                match block["type"].as_str() {
                    Some("image") => {
                        self.image(&word(&block["source"], "media_type")?, &word(&block["source"], "data")?);
                    }
                    Some("tool_use") => {
                        self.called(&word(block, "id")?, &word(block, "name")?, &block["input"])?;
                    }
                    Some("tool_result") => {
                        self.result(&word(block, "tool_use_id")?, &texts(&block["content"]))?;
                    }
                    Some("text" | "thinking") => {}
                    other => return Err(format!("no such block: {other:?}")),
                }
            }
        }
        Ok(())
    }

    fn gemini(&mut self, body: &Value) -> Read {
        let config = &body["generationConfig"];
        self.sampled(config, ["temperature", "topP", "maxOutputTokens"]);
        self.stops = strings(&config["stopSequences"]);
        self.schema = given(&config["responseJsonSchema"]);
        need(self.schema.is_none() || config["responseMimeType"] == "application/json", "no media type")?;
        self.system = texts(&body["systemInstruction"]["parts"]);
        for tool in items(&body["tools"]) {
            for function in items(&tool["functionDeclarations"]) {
                self.tools.push(word(function, "name")?);
            }
        }
        // Calls without ids are told apart by name and order.
        let (mut calls, mut results) = (0, 0);
        for turn in items(&body["contents"]) {
            need(["user", "model"].iter().any(|role| turn["role"] == *role), "no such role")?;
            if turn["role"] == "user" {
                self.text = texts(&turn["parts"]);
            }
            for part in items(&turn["parts"]) {
                if let Some(call) = part.get("functionCall") {
                    self.called(&format!("call {calls}"), &word(call, "name")?, &call["args"])?;
                    calls += 1;
                }
                if let Some(result) = part.get("functionResponse") {
                    need(result["response"].is_object(), "a function's response is an object")?;
                    let name = word(result, "name")?;
                    let id = format!("call {results}");
                    let own = self.calls.get(&id).is_some_and(|call| call.starts_with(&format!("{name}(")));
                    need(own, "a response for another function than was called")?;
                    let values =
                        result["response"].as_object().into_iter().flat_map(|object| object.values());
                    let told: Vec<String> = values.map(texts).collect();
                    self.result(&id, &told.join(" "))?;
                    results += 1;
                }
                if let Some(data) = part.get("inlineData") {
                    self.image(&word(data, "mimeType")?, &word(data, "data")?);
                }
            }
        }
        Ok(())
    }
}

fn need(holds: bool, otherwise: &str) -> Read {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

fn word(of: &Value, key: &str) -> Result<String, String> {
    of[key].as_str().map(str::to_owned).ok_or_else(|| format!("{key}: a string is required"))
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn given(value: &Value) -> Option<Value> {
    (!value.is_null()).then(|| value.clone())
}

fn strings(value: &Value) -> Vec<String> {
    let one = value.as_str().map(|text| json!([text]));
    let list = one.as_ref().unwrap_or(value);
    items(list).iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// All text of a content: a string, or parts of which some have `text`.
fn texts(content: &Value) -> String {
    if let Some(text) = content.as_str() {
        return text.to_owned();
    }
    items(content).iter().filter_map(|part| part["text"].as_str()).collect()
}

fn longest<'a>(body: &Value, first: &'a str, second: &'a str) -> &'a str {
    if body[first].is_null() { second } else { first }
}
