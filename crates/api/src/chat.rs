//! A chat request: the whole body as it came, and the fields that the gateway reads, checked.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Error;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The application's instructions.
    System,
    /// OpenAI's newer name for the application's instructions.
    Developer,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// A tool's result.
    Tool,
    /// A tool's result in the older form.
    Function,
}

impl FromStr for Role {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "system" => Self::System,
            "developer" => Self::Developer,
            "user" => Self::User,
            "assistant" => Self::Assistant,
            "tool" => Self::Tool,
            "function" => Self::Function,
            _ => return Err(()),
        })
    }
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Text.
    Text(String),
    /// An image, by URL or inline.
    Image,
    /// Sound, a file, or a kind of part that came after this was written.
    Other(String),
}

/// What a message says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Parts in order.
    Parts(Vec<Part>),
    /// Nothing, as in an assistant's message that only calls tools.
    Empty,
}

impl Content {
    /// All text in it, parts joined by a newline.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Empty => String::new(),
            Self::Parts(parts) => {
                let texts: Vec<&str> = parts
                    .iter()
                    .filter_map(|part| match part {
                        Part::Text(text) => Some(text.as_str()),
                        Part::Image | Part::Other(_) => None,
                    })
                    .collect();
                texts.join("\n")
            }
        }
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content,
}

/// The form that the answer must have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contract {
    /// Any text.
    #[default]
    Free,
    /// One of these labels, as the prompt lists them.
    Labels(Vec<String>),
    /// Any JSON object.
    JsonObject,
    /// JSON of this schema.
    JsonSchema(Value),
}

/// How tokens are chosen and when to stop.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// 0 to 2; `None` leaves it to the model.
    pub temperature: Option<f32>,
    /// 0 to 1; `None` leaves it to the model.
    pub top_p: Option<f32>,
    /// For repeatable answers.
    pub seed: Option<u64>,
    /// Strings that end the answer, at most 16.
    pub stop: Vec<String>,
    /// The most tokens of the answer (`max_completion_tokens`, or the older `max_tokens`).
    pub max_tokens: Option<u64>,
    /// Log-probabilities are wanted.
    pub logprobs: bool,
    /// With this many alternatives for each token, at most 20.
    pub top_logprobs: u8,
    /// How many answers, 1 to 128.
    pub n: u32,
}

/// A checked chat request. `body` is what came, unknown fields and order included; everything else was read from it.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    /// The whole body: what a target of the same dialect is sent, with only `model` and `stream_options` changed.
    pub body: Map<String, Value>,
    /// A model, an alias, `auto`, `task/NAME` or a policy's name.
    pub model: String,
    /// The conversation, never empty.
    pub messages: Vec<Message>,
    /// The answer is wanted piece by piece.
    pub stream: bool,
    /// A last chunk with the usage is wanted.
    pub include_usage: bool,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Tools are offered.
    pub tools: bool,
    /// The form that `response_format` asks for.
    pub contract: Contract,
}

impl ChatRequest {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// A 400 naming the first field that is not what it should be and what is allowed.
    pub fn from_body(body: Map<String, Value>) -> Result<Self, Error> {
        let fields = Fields(&body);
        let model = fields.required_text("model")?;
        let messages = messages(&body)?;
        let stream = fields.boolean("stream")?.unwrap_or(false);
        let include_usage = include_usage(&body)?;
        let sampling = sampling(&fields)?;
        let tools = ["tools", "functions"]
            .iter()
            .any(|key| body.get(*key).and_then(Value::as_array).is_some_and(|list| !list.is_empty()));
        let contract = contract(&body)?;
        Ok(Self { model, messages, stream, include_usage, sampling, tools, contract, body })
    }

    /// The last thing that the user said, empty where there is none.
    pub fn last_user_text(&self) -> String {
        let last = self.messages.iter().rev().find(|message| message.role == Role::User);
        last.map(|message| message.content.text()).unwrap_or_default()
    }

    /// The application's instructions, joined by a newline.
    pub fn system_text(&self) -> String {
        let texts: Vec<String> = self
            .messages
            .iter()
            .filter(|message| matches!(message.role, Role::System | Role::Developer))
            .map(|message| message.content.text())
            .collect();
        texts.join("\n")
    }

    /// Whether any message has a part that `test` accepts.
    pub fn has_part(&self, test: impl Fn(&Part) -> bool) -> bool {
        self.messages.iter().any(|message| match &message.content {
            Content::Parts(parts) => parts.iter().any(&test),
            Content::Text(_) | Content::Empty => false,
        })
    }
}

/// Typed look-ups in a body, with errors that name the field.
struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn required_text(&self, key: &str) -> Result<String, Error> {
        match self.get(key) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            Some(_) => Err(Error::field(key, format!("`{key}` must be a non-empty string."))),
            None => Err(Error::field(key, format!("`{key}` is missing."))),
        }
    }

    fn boolean(&self, key: &str) -> Result<Option<bool>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(Error::field(key, format!("`{key}` must be true or false."))),
        }
    }

    fn number(&self, key: &str, low: f64, high: f64) -> Result<Option<f64>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_f64() {
            Some(number) if (low..=high).contains(&number) => Ok(Some(number)),
            _ => Err(Error::field(key, format!("`{key}` must be a number from {low} to {high}."))),
        }
    }

    fn count(&self, key: &str, low: u64, high: u64) -> Result<Option<u64>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_u64() {
            Some(number) if (low..=high).contains(&number) => Ok(Some(number)),
            _ => Err(Error::field(key, format!("`{key}` must be a whole number from {low} to {high}."))),
        }
    }
}

fn messages(body: &Map<String, Value>) -> Result<Vec<Message>, Error> {
    let list = match body.get("messages") {
        Some(Value::Array(list)) if !list.is_empty() => list,
        Some(_) => return Err(Error::field("messages", "`messages` must be a non-empty array.")),
        None => return Err(Error::field("messages", "`messages` is missing.")),
    };
    list.iter().enumerate().map(|(place, value)| message(place, value)).collect()
}

fn message(place: usize, value: &Value) -> Result<Message, Error> {
    let at = |field: &str| format!("messages[{place}]{field}");
    let Some(object) = value.as_object() else {
        return Err(Error::field(at(""), "A message must be an object with `role` and `content`."));
    };
    let role = object.get("role").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let Some(role) = role else {
        let allowed = "`role` must be system, developer, user, assistant, tool or function.";
        return Err(Error::field(at(".role"), allowed));
    };
    let content = match object.get("content") {
        Some(Value::String(text)) => Content::Text(text.clone()),
        Some(Value::Array(parts)) => {
            let parts: Result<Vec<Part>, Error> = parts
                .iter()
                .enumerate()
                .map(|(n, value)| part(&at(&format!(".content[{n}]")), value))
                .collect();
            Content::Parts(parts?)
        }
        None | Some(Value::Null) if matches!(role, Role::Assistant | Role::Function) => Content::Empty,
        _ => {
            let allowed = "`content` must be a string or an array of parts.";
            return Err(Error::field(at(".content"), allowed));
        }
    };
    Ok(Message { role, content })
}

fn part(at: &str, value: &Value) -> Result<Part, Error> {
    let kind = value.get("type").and_then(Value::as_str);
    let Some(kind) = kind else {
        return Err(Error::field(format!("{at}.type"), "A part needs a `type`: text, image_url, ..."));
    };
    Ok(match kind {
        "text" => match value.get("text") {
            Some(Value::String(text)) => Part::Text(text.clone()),
            _ => return Err(Error::field(format!("{at}.text"), "`text` must be a string.")),
        },
        "image_url" => Part::Image,
        other => Part::Other(other.to_owned()),
    })
}

fn include_usage(body: &Map<String, Value>) -> Result<bool, Error> {
    match body.get("stream_options") {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Object(options)) => match options.get("include_usage") {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(wanted)) => Ok(*wanted),
            Some(_) => {
                Err(Error::field("stream_options.include_usage", "`include_usage` must be true or false."))
            }
        },
        Some(_) => Err(Error::field("stream_options", "`stream_options` must be an object.")),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "every number is range-checked by its reader")]
fn sampling(fields: &Fields<'_>) -> Result<Sampling, Error> {
    const TOKENS_MAX: u64 = 10_000_000;
    let newer = fields.count("max_completion_tokens", 1, TOKENS_MAX)?;
    let older = fields.count("max_tokens", 1, TOKENS_MAX)?;
    Ok(Sampling {
        temperature: fields.number("temperature", 0.0, 2.0)?.map(|value| value as f32),
        top_p: fields.number("top_p", 0.0, 1.0)?.map(|value| value as f32),
        seed: seed(fields)?,
        stop: stop(fields)?,
        max_tokens: newer.or(older),
        logprobs: fields.boolean("logprobs")?.unwrap_or(false),
        top_logprobs: fields.count("top_logprobs", 0, 20)?.unwrap_or(0) as u8,
        n: fields.count("n", 1, 128)?.unwrap_or(1) as u32,
    })
}

fn seed(fields: &Fields<'_>) -> Result<Option<u64>, Error> {
    match fields.get("seed") {
        None => Ok(None),
        Some(value) => value
            .as_i64()
            .map(|seed| Some(seed.cast_unsigned()))
            .ok_or_else(|| Error::field("seed", "`seed` must be a whole number of 64 bits.")),
    }
}

fn stop(fields: &Fields<'_>) -> Result<Vec<String>, Error> {
    const STOPS_MAX: usize = 16;
    let wrong =
        || Error::field("stop", format!("`stop` must be a string or an array of 1 to {STOPS_MAX} strings."));
    let stops: Vec<String> = match fields.get("stop") {
        None => return Ok(Vec::new()),
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) if list.len() <= STOPS_MAX => {
            let texts: Option<Vec<String>> =
                list.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            texts.ok_or_else(wrong)?
        }
        Some(_) => return Err(wrong()),
    };
    Ok(stops.into_iter().filter(|text| !text.is_empty()).collect())
}

fn contract(body: &Map<String, Value>) -> Result<Contract, Error> {
    let Some(format) = body.get("response_format").filter(|value| !value.is_null()) else {
        return Ok(Contract::Free);
    };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(Contract::Free),
        Some("json_object") => Ok(Contract::JsonObject),
        Some("json_schema") => match format.get("json_schema").and_then(|outer| outer.get("schema")) {
            Some(schema) => Ok(Contract::JsonSchema(schema.clone())),
            None => Err(Error::field(
                "response_format.json_schema.schema",
                "`json_schema` must be an object with a `schema`.",
            )),
        },
        _ => Err(Error::field(
            "response_format.type",
            "`response_format.type` must be text, json_object or json_schema.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_object;

    fn read(body: &str) -> Result<ChatRequest, Error> {
        ChatRequest::from_body(parse_object(body.as_bytes())?)
    }

    #[test]
    fn a_wrong_field_is_named() {
        let user = r#"{"role":"user","content":"hi"}"#;
        for (body, param) in [
            (r#"{"messages":[]}"#.to_owned(), "model"),
            (r#"{"model":"m"}"#.to_owned(), "messages"),
            (r#"{"model":"m","messages":[]}"#.to_owned(), "messages"),
            (r#"{"model":"m","messages":[1]}"#.to_owned(), "messages[0]"),
            (r#"{"model":"m","messages":[{"role":"king"}]}"#.to_owned(), "messages[0].role"),
            (r#"{"model":"m","messages":[{"role":"user"}]}"#.to_owned(), "messages[0].content"),
            (
                r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}"#.to_owned(),
                "messages[0].content[0].text",
            ),
            (format!(r#"{{"model":"m","messages":[{user}],"temperature":3}}"#), "temperature"),
            (format!(r#"{{"model":"m","messages":[{user}],"n":0}}"#), "n"),
            (format!(r#"{{"model":"m","messages":[{user}],"stream":"yes"}}"#), "stream"),
            (format!(r#"{{"model":"m","messages":[{user}],"stop":[1]}}"#), "stop"),
            (format!(r#"{{"model":"m","messages":[{user}],"max_tokens":-1}}"#), "max_tokens"),
            (
                format!(r#"{{"model":"m","messages":[{user}],"response_format":{{"type":"x"}}}}"#),
                "response_format.type",
            ),
        ] {
            let error = read(&body).expect_err(&body);
            assert_eq!(error.param.as_deref(), Some(param), "{body}");
            assert_eq!(error.fault.status(), 400);
        }
    }

    #[test]
    fn unknown_fields_stay_and_nulls_are_absent() {
        let request = read(
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"},
            {"type":"image_url","image_url":{"url":"x"}},{"type":"text","text":"b"}]}],
            "vendor_thing":{"k":1},"stop":null,"seed":-1,"max_completion_tokens":5,"max_tokens":9}"#,
        )
        .expect("a valid body");
        assert_eq!(request.last_user_text(), "a\nb");
        assert!(request.body.contains_key("vendor_thing"));
        assert!(request.has_part(|part| *part == Part::Image));
        assert_eq!(request.sampling.max_tokens, Some(5));
        assert_eq!(request.sampling.seed, Some(u64::MAX));
    }
}
