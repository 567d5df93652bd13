//! A request's body: what the whole of it asks for. Its messages are `contents`, its tools `tools`.

use api::{ChatRequest, Contract, Error};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{contents, tools};
use crate::foreign::{foreign, is_reserved, unsupported};

/// What cannot change the answer.
const HINTS: [&str; 6] =
    ["user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prediction"];

/// What a chat client may write of Gemini's own outside of `gemini`.
const OWN: [&str; 5] = ["safetySettings", "cachedContent", "labels", "generationConfig", "toolConfig"];

/// How a generation of models is asked to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Generation {
    /// By a number of tokens.
    Budgets,
    /// By a level; these also want every call of a function that comes back sealed.
    Levels,
}

impl Generation {
    fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        match ["gemini-1", "gemini-2", "gemma", "learnlm"].iter().any(|older| name.starts_with(older)) {
            true => Self::Budgets,
            false => Self::Levels,
        }
    }
}

/// The body for the provider's model `model`, which itself stands in the path.
pub(crate) fn body(request: &ChatRequest, model: &str) -> Result<Bytes, Error> {
    let chat = &request.body;
    foreign(chat, "gemini")?;
    let generation = Generation::of(model);
    let contents = contents::read(chat, generation)?;
    let mut config = config(request, generation)?;
    if let Some(resolution) = contents.resolution {
        config.insert("mediaResolution".to_owned(), resolution.into());
    }
    let mut out = Map::new();
    if !contents.system.is_empty() {
        out.insert("systemInstruction".to_owned(), json!({ "parts": contents.system }));
    }
    out.insert("contents".to_owned(), contents.turns.into());
    tools::write(chat, &mut out)?;
    if !config.is_empty() {
        out.insert("generationConfig".to_owned(), config.into());
    }
    if let Some(tier) = service_tier(chat)? {
        out.insert("serviceTier".to_owned(), tier.into());
    }
    for key in OWN {
        if let Some(value) = chat.get(key).filter(|value| !value.is_null()) {
            let single = Map::from_iter([(key.to_owned(), value.clone())]);
            put_own(&mut out, &single, "")?;
        }
    }
    match chat.get("gemini") {
        None | Some(Value::Null) => {}
        Some(Value::Object(own)) => put_own(&mut out, own, "gemini.")?,
        Some(_) => return Err(Error::field("gemini", "`gemini` must be an object of Gemini's own fields.")),
    }
    serde_json::to_vec(&out).map(Bytes::from).map_err(Error::internal)
}

/// Everything but messages, tools and what is Gemini's own; refuses what Gemini has no words for.
fn config(request: &ChatRequest, generation: Generation) -> Result<Map<String, Value>, Error> {
    let mut config = Map::new();
    let mut put = |key: &str, value: Value| {
        config.insert(key.to_owned(), value);
    };
    let sampling = &request.sampling;
    for (key, value) in request.body.iter().filter(|(_, value)| !value.is_null()) {
        match key.as_str() {
            "temperature" => put("temperature", value.clone()),
            "top_p" => put("topP", value.clone()),
            "top_k" => put("topK", whole_number(key, value)?),
            "max_completion_tokens" | "max_tokens" => put("maxOutputTokens", sampling.max_tokens.into()),
            "stop" => {
                // Gemini takes no more; a stop that is left out lets the answer run on.
                if sampling.stop.len() > 5 {
                    return Err(unsupported("stop", "Gemini takes at most 5 stop sequences."));
                }
                if !sampling.stop.is_empty() {
                    put("stopSequences", sampling.stop.clone().into());
                }
            }
            "n" if sampling.n == 1 => {}
            "n" => put("candidateCount", sampling.n.into()),
            "seed" => put("seed", seed(value)?),
            "presence_penalty" => penalty(key, value)?.into_iter().for_each(|v| put("presencePenalty", v)),
            "frequency_penalty" => penalty(key, value)?.into_iter().for_each(|v| put("frequencyPenalty", v)),
            "logprobs" if !sampling.logprobs => {}
            "logprobs" => put("responseLogprobs", Value::Bool(true)),
            "top_logprobs" if sampling.top_logprobs == 0 => {}
            "top_logprobs" => put("logprobs", sampling.top_logprobs.into()),
            "response_format" => match &request.contract {
                Contract::Free | Contract::Labels(_) => {}
                Contract::JsonObject => put("responseMimeType", "application/json".into()),
                Contract::JsonSchema(schema) => {
                    put("responseMimeType", "application/json".into());
                    put("responseJsonSchema", schema.clone());
                }
            },
            "reasoning_effort" => put("thinkingConfig", thinking(value, generation)?),
            "modalities" => modalities(value)?.into_iter().for_each(|v| put("responseModalities", v)),
            "model" | "messages" | "stream" | "stream_options" | "service_tier" => {}
            // What is under another dialect's key are hints: anything else has been refused.
            reserved if is_reserved(reserved) => {}
            "tools" | "tool_choice" | "parallel_tool_calls" => {}
            known if OWN.contains(&known) || HINTS.contains(&known) => {}
            _ if is_default(key, value) => {}
            _ => return Err(no_words(key)),
        }
    }
    Ok(config)
}

fn no_words(key: &str) -> Error {
    let instead = match key {
        "functions" | "function_call" => "offer functions in `tools`.",
        "web_search_options" => "offer the tool {\"googleSearch\": {}}.",
        _ => "leave it out, or name a model of another provider. Gemini's own fields go under `gemini`.",
    };
    unsupported(key, format!("Gemini has no `{key}`: {instead}"))
}

/// What asks for nothing.
fn is_default(key: &str, value: &Value) -> bool {
    match key {
        "logit_bias" => value.as_object().is_some_and(Map::is_empty),
        "functions" => value.as_array().is_some_and(Vec::is_empty),
        "store" => value == &Value::Bool(false),
        "verbosity" => value == "medium",
        _ => false,
    }
}

fn whole_number(key: &str, value: &Value) -> Result<Value, Error> {
    match value.as_u64() {
        Some(_) => Ok(value.clone()),
        None => Err(Error::field(key, format!("`{key}` must be a whole number."))),
    }
}

fn seed(value: &Value) -> Result<Value, Error> {
    match value.as_i64().and_then(|seed| i32::try_from(seed).ok()) {
        Some(seed) => Ok(seed.into()),
        None => Err(unsupported("seed", "Gemini takes seeds of 32 bits: -2147483648 to 2147483647.")),
    }
}

fn penalty(key: &str, value: &Value) -> Result<Option<Value>, Error> {
    match value.as_f64() {
        // Many models refuse the field itself.
        Some(0.0) => Ok(None),
        Some(number) if (-2.0..=2.0).contains(&number) => Ok(Some(value.clone())),
        _ => Err(Error::field(key, format!("`{key}` must be a number from -2 to 2."))),
    }
}

fn thinking(value: &Value, generation: Generation) -> Result<Value, Error> {
    let word = value.as_str().unwrap_or_default();
    if !["none", "minimal", "low", "medium", "high", "xhigh"].contains(&word) {
        let allowed = "`reasoning_effort` must be none, minimal, low, medium, high or xhigh.";
        return Err(Error::field("reasoning_effort", allowed));
    }
    // The numbers of Google's own endpoint for chat clients.
    match (generation, word) {
        (Generation::Budgets, "none") => Ok(json!({ "thinkingBudget": 0 })),
        (Generation::Budgets, "minimal" | "low") => Ok(budget(1_024)),
        (Generation::Budgets, "medium") => Ok(budget(8_192)),
        (Generation::Budgets, "high") => Ok(budget(24_576)),
        (Generation::Levels, "minimal" | "low" | "medium" | "high" | "xhigh") => {
            Ok(json!({ "thinkingLevel": word.to_uppercase(), "includeThoughts": true }))
        }
        _ => Err(unsupported(
            "reasoning_effort",
            format!(
                "This model has no reasoning effort `{word}`: ask for another, or set \
                 `gemini.generationConfig.thinkingConfig` yourself."
            ),
        )),
    }
}

fn budget(tokens: u32) -> Value {
    json!({ "thinkingBudget": tokens, "includeThoughts": true })
}

fn modalities(value: &Value) -> Result<Option<Value>, Error> {
    let wrong = || Error::field("modalities", "`modalities` must be an array of text and image.");
    let words: Option<Vec<&str>> = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
    let words = words.ok_or_else(wrong)?;
    if let Some(word) = words.iter().find(|word| !["text", "image"].contains(word)) {
        return Err(unsupported(
            "modalities",
            format!("`{word}` cannot be had of Gemini in this form: ask for text or image."),
        ));
    }
    if words == ["text"] || words.is_empty() {
        return Ok(None);
    }
    Ok(Some(words.iter().map(|word| word.to_uppercase()).collect()))
}

fn service_tier(chat: &Map<String, Value>) -> Result<Option<&'static str>, Error> {
    match chat.get("service_tier") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(tier)) => match tier.as_str() {
            "auto" | "default" => Ok(None),
            "flex" => Ok(Some("flex")),
            "priority" => Ok(Some("priority")),
            "standard" => Ok(Some("standard")),
            _ => {
                Err(unsupported("service_tier", "Gemini has the service tiers flex, standard and priority."))
            }
        },
        Some(_) => Err(Error::field("service_tier", "`service_tier` must be a string.")),
    }
}

/// Merges Gemini's own fields. One that the chat request has set already must agree: neither is silently the stronger.
fn put_own(out: &mut Map<String, Value>, own: &Map<String, Value>, at: &str) -> Result<(), Error> {
    for (key, value) in own.iter().filter(|(_, value)| !value.is_null()) {
        match (out.get_mut(key), value) {
            (None, _) => {
                out.insert(key.clone(), value.clone());
            }
            (Some(Value::Object(there)), Value::Object(more)) => {
                put_own(there, more, &format!("{at}{key}."))?;
            }
            (Some(Value::Array(there)), Value::Array(more)) if key == "tools" => {
                there.extend(more.iter().cloned());
            }
            (Some(there), _) if there == value => {}
            (Some(_), _) => {
                let message = format!(
                    "`{key}` is said twice: here, and by a field of the chat request that means the same. Leave one out."
                );
                return Err(Error::field(format!("{at}{key}"), message));
            }
        }
    }
    Ok(())
}
