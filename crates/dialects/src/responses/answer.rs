//! A whole answer, both ways.
//!
//! Owns the response object, its usage and how it ended. Refuses to call an answer whole that failed, was cancelled or
//! still runs.

use api::{Choice, Completion, Error, ReplyMessage};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::said::message;
use super::{id_of, items, keep, kept, list_of, object, text_of, usage};
use crate::Trouble;

/// Fields of a response that repeat what the client said, and are written from its own words.
const ECHOED: [&str; 7] = ["instructions", "tools", "tool_choice", "text", "metadata", "prompt", "store"];

/// Fields of a response that have their own place in chat's form.
const TRANSLATED: [&str; 10] = [
    "id",
    "object",
    "created_at",
    "status",
    "error",
    "incomplete_details",
    "model",
    "output",
    "usage",
    "service_tier",
];

/// A client that speaks this dialect.
#[derive(Clone, Debug)]
pub struct Client {
    /// What its answers say of its request.
    echo: Map<String, Value>,
}

impl Client {
    /// The client that sent `body`.
    pub(super) fn of(body: &Map<String, Value>) -> Self {
        let mut echo = object(json!({
            "background": false, "instructions": null, "max_output_tokens": null, "max_tool_calls": null,
            "parallel_tool_calls": true, "previous_response_id": null,
            "reasoning": {"effort": null, "summary": null}, "store": false, "temperature": null,
            "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_logprobs": 0,
            "top_p": null, "truncation": "disabled", "user": null, "metadata": {},
        }));
        const ONLY_ASKED: [&str; 4] =
            ["prompt", "prompt_cache_key", "safety_identifier", "prompt_cache_retention"];
        for (key, value) in body.iter().filter(|(_, value)| !value.is_null()) {
            let echoed = echo.contains_key(key) || ONLY_ASKED.contains(&key.as_str());
            match (echo.get_mut(key), value) {
                (Some(Value::Object(there)), Value::Object(more)) => there.extend(more.clone()),
                _ if echoed => {
                    echo.insert(key.clone(), value.clone());
                }
                _ => {}
            }
        }
        if let Some(Value::String(id)) = body.get("conversation") {
            echo.insert("conversation".to_owned(), json!({ "id": id }));
        } else if let Some(conversation @ Value::Object(_)) = body.get("conversation") {
            echo.insert("conversation".to_owned(), conversation.clone());
        }
        Self { echo }
    }

    /// The body of a whole answer.
    pub(crate) fn whole(&self, completion: &Completion) -> Result<Bytes, Error> {
        let choice = completion.choices.first();
        let ending = Ending::of(choice);
        let mut output = choice.map(|choice| output(&completion.id, choice)).transpose()?.unwrap_or_default();
        if ending.status == "incomplete" {
            cut_short(&mut output);
        }
        let mut response = self.response(&Identity::of(completion), ending.status, &output);
        close(&mut response, completion, &ending);
        if let Some(told) = completion.extra.get("pointsman") {
            response.insert("pointsman".to_owned(), told.clone());
        }
        serde_json::to_vec(&response).map(Bytes::from).map_err(Error::internal)
    }

    /// The response object, as far as it is known before its end.
    pub(super) fn response(&self, identity: &Identity, status: &str, output: &[Value]) -> Map<String, Value> {
        let mut response = object(json!({
            "id": identity.id, "object": "response", "created_at": identity.created, "status": status,
            "error": null, "incomplete_details": null, "model": identity.model, "output": output,
        }));
        response.extend(self.echo.clone());
        response.insert("usage".to_owned(), Value::Null);
        response
    }
}

/// Which answer it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity {
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) model: String,
}

impl Identity {
    fn of(completion: &Completion) -> Self {
        Self::new(&completion.id, completion.created, &completion.model)
    }

    pub(super) fn new(id: &str, created: u64, model: &str) -> Self {
        Self { id: id_of("resp_", id), created, model: model.to_owned() }
    }
}

/// How an answer ended.
pub(super) struct Ending {
    pub(super) status: &'static str,
    reason: Option<String>,
}

impl Ending {
    pub(super) fn of(choice: Option<&Choice>) -> Self {
        let native = choice.and_then(|choice| choice.extra.get("native_finish_reason")?.as_str());
        let incomplete =
            |reason: Option<&str>| Self { status: "incomplete", reason: reason.map(str::to_owned) };
        match choice.and_then(|choice| choice.finish_reason.as_deref()) {
            Some("length") => match native {
                Some(word @ ("max_messages" | "steered")) => incomplete(Some(word)),
                _ => incomplete(Some("max_output_tokens")),
            },
            Some("content_filter") => incomplete(Some("content_filter")),
            Some(_) => Self { status: "completed", reason: None },
            None => incomplete(None),
        }
    }
}

/// Puts into the response what is known at its end.
pub(super) fn close(response: &mut Map<String, Value>, completion: &Completion, ending: &Ending) {
    if let Some(reason) = &ending.reason {
        response.insert("incomplete_details".to_owned(), json!({ "reason": reason }));
    }
    if let Some(usage) = &completion.usage {
        response.insert("usage".to_owned(), usage::from_chat(usage));
    }
    if let Some(tier) = completion.extra.get("service_tier") {
        response.insert("service_tier".to_owned(), tier.clone());
    }
    for (key, value) in kept(&completion.extra).into_iter().flatten() {
        response.insert(key.clone(), value.clone());
    }
}

/// The last thing in an answer that ended early ended early too.
pub(super) fn cut_short(output: &mut [Value]) {
    if let Some(item) = output.last_mut().and_then(Value::as_object_mut)
        && item.get("status").is_some_and(|status| status == "completed")
    {
        item.insert("status".to_owned(), "incomplete".into());
    }
}

/// The items of an answer: as they came where the answer still says the same, and made of it otherwise.
fn output(id: &str, choice: &Choice) -> Result<Vec<Value>, Error> {
    if let Some(output) = raw_output(choice) {
        return Ok(output);
    }
    made_output(id, &choice.message, choice.extra.get("logprobs"))
}

/// The items as the provider sent them, if they are kept and nothing was changed since.
fn raw_output(choice: &Choice) -> Option<Vec<Value>> {
    let output = kept(&choice.message.extra)?.get("output")?.as_array()?;
    let (said, _) = message(output);
    let same = |key: &str| said.extra.get(key) == choice.message.extra.get(key);
    let unchanged = said.content.as_deref().unwrap_or_default()
        == choice.message.content.as_deref().unwrap_or_default()
        && ["refusal", "annotations"].into_iter().all(same);
    unchanged.then(|| output.clone())
}

/// The items that a message is made into.
pub(super) fn made_output(
    id: &str,
    message: &ReplyMessage,
    logprobs: Option<&Value>,
) -> Result<Vec<Value>, Error> {
    let mut map = message.extra.clone();
    map.insert("content".to_owned(), message.content.clone().map_or(Value::Null, Value::String));
    let seed = id.strip_prefix("resp_").unwrap_or(id);
    let mut output = items::assistant("message", &map, Some(seed))?;
    let tokens = logprobs.map(|logprobs| list_of(logprobs, "content")).unwrap_or_default();
    let first = output
        .iter_mut()
        .find(|item| text_of(item, "type") == "message")
        .and_then(|item| item.get_mut("content")?.get_mut(0)?.as_object_mut());
    if let Some(part) = first.filter(|_| !tokens.is_empty())
        && part.contains_key("text")
    {
        part.insert("logprobs".to_owned(), json!(tokens));
    }
    Ok(output)
}

/// Reads a whole answer.
pub(crate) fn whole(body: &[u8]) -> Result<Completion, Trouble> {
    let value: Value =
        serde_json::from_slice(body).map_err(|problem| Trouble::garbage(format!("not JSON: {problem}")))?;
    let Value::Object(response) = value else { return Err(Trouble::garbage("not an object")) };
    if let Some(error) = response.get("error").filter(|error| !error.is_null()) {
        return Err(Trouble::InBand(error.clone()));
    }
    completion(&response)
}

/// What a response object says.
pub(super) fn completion(response: &Map<String, Value>) -> Result<Completion, Trouble> {
    let Some(output) = response.get("output").and_then(Value::as_array) else {
        return Err(Trouble::garbage("a response without `output`"));
    };
    let (mut message, logprobs) = message(output);
    let (finish, native) = finish(response, output)?;
    let id = response.get("id").and_then(Value::as_str).unwrap_or_default();
    let tokens = json!({"content": logprobs, "refusal": null});
    let logprobs = (!logprobs.is_empty()).then_some(tokens);
    if !is_told_by(id, &message, logprobs.as_ref(), output, finish) {
        keep(&mut message.extra, "output", Value::Array(output.clone()));
    }
    let mut extra = Map::new();
    extra.extend(logprobs.map(|logprobs| ("logprobs".to_owned(), logprobs)));
    extra.extend(native.map(|reason| ("native_finish_reason".to_owned(), reason.into())));
    let choice = Choice { index: 0, message, finish_reason: Some(finish.to_owned()), extra };
    Ok(Completion {
        id: id.to_owned(),
        object: "chat.completion".to_owned(),
        created: created(response),
        model: response.get("model").and_then(Value::as_str).unwrap_or_default().to_owned(),
        choices: vec![choice],
        usage: response.get("usage").and_then(usage::to_chat),
        extra: beside(response),
    })
}

/// The items made of the message are those that came: nothing else needs to be kept.
fn is_told_by(
    id: &str,
    message: &ReplyMessage,
    logprobs: Option<&Value>,
    output: &[Value],
    finish: &str,
) -> bool {
    let Ok(mut made) = made_output(id, message, logprobs) else { return false };
    if matches!(finish, "length" | "content_filter") {
        cut_short(&mut made);
    }
    made == items::normal(output)
}

/// When the response was begun; some servers write a fraction.
pub(super) fn created(response: &Map<String, Value>) -> u64 {
    let Some(created) = response.get("created_at") else { return 0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    let seconds = created.as_f64().map(|seconds| seconds as u64);
    created.as_u64().or(seconds).unwrap_or(0)
}

/// The response's own fields that are neither translated nor an echo.
pub(super) fn beside(response: &Map<String, Value>) -> Map<String, Value> {
    let mut extra = Map::new();
    if let Some(tier) = response.get("service_tier").filter(|tier| !tier.is_null()) {
        extra.insert("service_tier".to_owned(), tier.clone());
    }
    for (key, value) in response {
        let elsewhere = TRANSLATED.contains(&key.as_str()) || ECHOED.contains(&key.as_str());
        if !elsewhere && !value.is_null() {
            keep(&mut extra, key, value.clone());
        }
    }
    extra
}

/// Chat's word for how a response ended, and the provider's own where it says more.
fn finish(
    response: &Map<String, Value>,
    output: &[Value],
) -> Result<(&'static str, Option<String>), Trouble> {
    match response.get("status").and_then(Value::as_str) {
        Some("completed") | None => {
            let calls = output.iter().any(|item| text_of(item, "type") == "function_call");
            Ok((if calls { "tool_calls" } else { "stop" }, None))
        }
        Some("incomplete") => {
            let details = response.get("incomplete_details");
            match details.map(|details| text_of(details, "reason")).unwrap_or_default() {
                "content_filter" => Ok(("content_filter", None)),
                "max_output_tokens" => Ok(("length", None)),
                "" => Err(Trouble::Cut("an incomplete response without a reason".to_owned())),
                other => Ok(("length", Some(other.to_owned()))),
            }
        }
        Some("failed") => Err(failed(response)),
        Some(other) => Err(Trouble::Cut(format!("the response's status is `{other}`"))),
    }
}

/// The error of a response that failed.
pub(super) fn failed(response: &Map<String, Value>) -> Trouble {
    let error = response.get("error").filter(|error| !error.is_null()).cloned();
    let unsaid = || json!({"type": "server_error", "message": "The response failed without saying why."});
    Trouble::InBand(error.unwrap_or_else(unsaid))
}
