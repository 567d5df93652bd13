//! OpenAI's older text completions, as clients speak them: a prompt in, a text out.
//!
//! Owns the reading of a request into one message of a chat, and the writing of answers. Refuses by name prompts of
//! token ids, several prompts, `suffix` and `best_of`, which a chat cannot do.
//!
//! A chat answers where a completion goes on: the same request reads otherwise to an older model. What is thought aloud
//! before the text is not shown.
//!
//! Left out, `max_tokens` is [`MAX_TOKENS_DEFAULT`], as OpenAI documents this endpoint and vLLM serves it: a client that
//! was written for it pays for no more than it would there, and `finish_reason: length` tells it that there was more.
//! (LiteLLM and Ollama leave such an answer to the model's own limit.)

use std::collections::BTreeMap;

use api::{ChatRequest, Chunk, Completion, Error, Fault, sse};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// The most tokens of an answer where the client names no limit.
const MAX_TOKENS_DEFAULT: u64 = 16;

/// A client that speaks this dialect.
#[derive(Clone, Debug)]
pub struct Client {
    /// The prompt, where its answers begin with it.
    echo: Option<String>,
    include_usage: bool,
}

/// Reads and checks a request.
pub(crate) fn read(mut body: Map<String, Value>) -> Result<(ChatRequest, Client), Error> {
    body.retain(|_, value| !value.is_null());
    let prompt = prompt(body.shift_remove("prompt"))?;
    let echo = echo(&mut body)?;
    refuse(&mut body)?;
    log_probabilities(&mut body, echo)?;
    if !["max_tokens", "max_completion_tokens"].into_iter().any(|key| body.contains_key(key)) {
        body.insert("max_tokens".to_owned(), MAX_TOKENS_DEFAULT.into());
    }
    body.insert("messages".to_owned(), json!([{"role": "user", "content": prompt}]));
    let request = ChatRequest::from_body(body)?;
    let client = Client { echo: echo.then_some(prompt), include_usage: request.include_usage };
    Ok((request, client))
}

fn prompt(prompt: Option<Value>) -> Result<String, Error> {
    let refused = |message: &str| Err(Error::field("prompt", message));
    match prompt {
        None => refused("`prompt` is missing."),
        Some(Value::String(text)) => Ok(text),
        Some(Value::Array(mut list)) => match list.pop() {
            Some(Value::String(text)) if list.is_empty() => Ok(text),
            Some(Value::String(_)) => {
                refused("`prompt` must be one prompt: send each in a request of its own.")
            }
            Some(_) => refused("`prompt` must be text: lists of token ids mean nothing to another model."),
            None => refused("`prompt` must not be empty."),
        },
        Some(_) => refused("`prompt` must be a string or an array of one string."),
    }
}

fn echo(body: &mut Map<String, Value>) -> Result<bool, Error> {
    match body.shift_remove("echo") {
        None => Ok(false),
        Some(Value::Bool(wanted)) => Ok(wanted),
        Some(_) => Err(Error::field("echo", "`echo` must be true or false.")),
    }
}

fn refuse(body: &mut Map<String, Value>) -> Result<(), Error> {
    let unsupported = |key: &str, message: String| {
        Err(Error::new(Fault::BadRequest, "unsupported_by_target", message).with_param(key))
    };
    if body.shift_remove("suffix").is_some_and(|suffix| suffix != "") {
        let message = "`suffix` cannot be used: no model here fills in the middle. Leave it out.";
        return unsupported("suffix", message.to_owned());
    }
    // As many tries as answers is what `n` says alone.
    let answers = body.get("n").cloned().unwrap_or_else(|| 1.into());
    if body.shift_remove("best_of").is_some_and(|tries| tries != answers) {
        let message = "`best_of` must be as `n`: answers are not ranked here.";
        return unsupported("best_of", message.to_owned());
    }
    for key in ["messages", "tools", "tool_choice", "functions", "response_format", "top_logprobs"] {
        if body.contains_key(key) {
            let message = format!("`{key}` is no field of text completions: use /v1/chat/completions.");
            return unsupported(key, message);
        }
    }
    Ok(())
}

fn log_probabilities(body: &mut Map<String, Value>, echo: bool) -> Result<(), Error> {
    const ALTERNATIVES_MAX: u64 = 20;
    let Some(value) = body.shift_remove("logprobs") else { return Ok(()) };
    let Some(count) = value.as_u64().filter(|count| *count <= ALTERNATIVES_MAX) else {
        let message = format!("`logprobs` must be a whole number from 0 to {ALTERNATIVES_MAX}.");
        return Err(Error::field("logprobs", message));
    };
    if echo {
        let message = "`logprobs` cannot be used with `echo`: the prompt's tokens have none in a chat.";
        return Err(Error::new(Fault::BadRequest, "unsupported_by_target", message).with_param("logprobs"));
    }
    body.insert("logprobs".to_owned(), Value::Bool(true));
    body.insert("top_logprobs".to_owned(), count.into());
    Ok(())
}

impl Client {
    /// The body of a whole answer.
    pub(crate) fn whole(&self, completion: &Completion) -> Result<Bytes, Error> {
        let choices = completion.choices.iter().map(|choice| {
            let refusal = choice.message.extra.get("refusal").and_then(Value::as_str);
            let text = said(choice.message.content.as_deref(), refusal);
            let text = format!("{}{text}", self.echo.as_deref().unwrap_or_default());
            let logprobs = older_logprobs(choice.extra.get("logprobs"), &mut 0);
            written(choice.index, &text, &logprobs, choice.finish_reason.as_deref())
        });
        let choices = choices.collect();
        let mut answer = answer(&completion.id, completion.created, &completion.model, choices);
        answer.extend(completion.usage.as_ref().map(|usage| ("usage".to_owned(), json!(usage))));
        answer.extend(completion.extra.clone());
        serde_json::to_vec(&answer).map(Bytes::from).map_err(Error::internal)
    }
}

/// Writes one streamed answer.
#[derive(Debug)]
pub struct Writer {
    client: Client,
    /// How many characters of each answer have been written.
    written: BTreeMap<u32, u64>,
}

impl Writer {
    /// A writer of `client`'s answer.
    pub(crate) fn new(client: Client) -> Self {
        Self { client, written: BTreeMap::new() }
    }

    pub(crate) fn chunk(&mut self, chunk: &Chunk) -> Result<Bytes, Error> {
        let mut choices = Vec::new();
        for choice in &chunk.choices {
            let refusal = choice.delta.extra.get("refusal").and_then(Value::as_str);
            let mut text = said(choice.delta.content.as_deref(), refusal);
            let is_first = !self.written.contains_key(&choice.index);
            if let Some(prompt) = self.client.echo.as_ref().filter(|_| is_first) {
                text.insert_str(0, prompt);
            }
            let place = self.written.entry(choice.index).or_default();
            let logprobs = older_logprobs(choice.extra.get("logprobs"), place);
            if !text.is_empty() || !logprobs.is_null() || choice.finish_reason.is_some() {
                choices.push(written(choice.index, &text, &logprobs, choice.finish_reason.as_deref()));
            }
        }
        if choices.is_empty() {
            return Ok(Bytes::new());
        }
        sse::data(&answer(&chunk.id, chunk.created, &chunk.model, choices)).map_err(Error::internal)
    }

    pub(crate) fn finish(&self, whole: &Completion, told: Value) -> Result<Bytes, Error> {
        let usage = whole.usage.as_ref().filter(|_| self.client.include_usage);
        let Some(usage) = usage else { return Ok(sse::DONE) };
        let mut last = answer(&whole.id, whole.created, &whole.model, Vec::new());
        last.insert("usage".to_owned(), json!(usage));
        if !told.is_null() {
            last.insert("pointsman".to_owned(), told);
        }
        let last = sse::data(&last).map_err(Error::internal)?;
        Ok([last, sse::DONE].concat().into())
    }
}

fn said(content: Option<&str>, refusal: Option<&str>) -> String {
    format!("{}{}", content.unwrap_or_default(), refusal.unwrap_or_default())
}

fn written(index: u32, text: &str, logprobs: &Value, finish: Option<&str>) -> Value {
    json!({"text": text, "index": index, "logprobs": logprobs, "finish_reason": finish})
}

fn answer(id: &str, created: u64, model: &str, choices: Vec<Value>) -> Map<String, Value> {
    let id = if id.starts_with("cmpl-") { id.to_owned() } else { format!("cmpl-{id}") };
    let mut answer = Map::new();
    answer.insert("id".to_owned(), id.into());
    answer.insert("object".to_owned(), "text_completion".into());
    answer.insert("created".to_owned(), created.into());
    answer.insert("model".to_owned(), model.into());
    answer.insert("choices".to_owned(), Value::Array(choices));
    answer
}

/// The older form of log-probabilities: columns, with each token's place in the text from `place` on.
fn older_logprobs(logprobs: Option<&Value>, place: &mut u64) -> Value {
    let tokens = logprobs.and_then(|logprobs| logprobs.get("content")?.as_array());
    let Some(tokens) = tokens.filter(|tokens| !tokens.is_empty()) else { return Value::Null };
    let (mut texts, mut own, mut top, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for token in tokens {
        let text = token.get("token").and_then(Value::as_str).unwrap_or_default();
        let others = token.get("top_logprobs").and_then(Value::as_array);
        let others: Map<String, Value> = others
            .into_iter()
            .flatten()
            .filter_map(|other| {
                Some((other.get("token")?.as_str()?.to_owned(), other.get("logprob")?.clone()))
            })
            .collect();
        texts.push(text);
        own.push(token.get("logprob").cloned().unwrap_or_default());
        top.push(others);
        offsets.push(*place);
        *place = place.saturating_add(u64::try_from(text.chars().count()).unwrap_or(u64::MAX));
    }
    json!({"tokens": texts, "token_logprobs": own, "top_logprobs": top, "text_offset": offsets})
}
