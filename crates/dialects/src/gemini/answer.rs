//! Answers, whole and by events: both come in one form, so both are read by one reader.

use std::collections::{BTreeMap, VecDeque};

use api::sse::Event;
use api::{ChoiceDelta, Chunk, Completion, Delta, Gather, Usage};
use serde_json::{Map, Value, json};

use super::calls::Calls;
use super::media;
use crate::{Progress, Trouble};

/// A whole answer.
pub(crate) fn whole(body: &[u8]) -> Result<Completion, Trouble> {
    let mut reader = Reader::new(1);
    let mut gather = Gather::new();
    if let Some(chunk) = reader.read(parse(body)?)? {
        gather.push(&chunk);
    }
    if !reader.has_begun() {
        return Err(Trouble::garbage("an answer without candidates"));
    }
    reader.ended()?;
    Ok(gather.finish())
}

/// Reads one streamed reply.
#[derive(Debug)]
pub struct Reader {
    expected: usize,
    id: String,
    answers: BTreeMap<u32, Answer>,
    /// The prompt was refused: there will be no other answer.
    blocked: bool,
}

/// What has come of one candidate.
#[derive(Debug, Default)]
struct Answer {
    calls: Calls,
    finished: bool,
    /// What is said again with each event: given on once, at the end.
    fields: Map<String, Value>,
    seal: Option<String>,
}

impl Reader {
    /// A reader of a reply that should hold `answers` answers.
    pub(crate) fn new(answers: u32) -> Self {
        let expected = usize::try_from(answers).unwrap_or(usize::MAX);
        Self { expected, id: String::new(), answers: BTreeMap::new(), blocked: false }
    }

    pub(crate) fn event(&mut self, event: &Event, chunks: &mut VecDeque<Chunk>) -> Result<Progress, Trouble> {
        let data = event.data.trim();
        // Some relays end every stream as OpenAI does.
        if data == "[DONE]" {
            return self.ended().map(|()| Progress::Done);
        }
        if !data.is_empty() {
            chunks.extend(self.read(parse(data.as_bytes())?)?);
        }
        Ok(Progress::More)
    }

    pub(crate) fn ended(&self) -> Result<(), Trouble> {
        let is_whole = self.answers.values().all(|answer| answer.finished);
        let has_all = self.blocked || self.answers.len() >= self.expected;
        if self.has_begun() && is_whole && has_all {
            return Ok(());
        }
        Err(Trouble::Cut("a candidate has no finish reason".to_owned()))
    }

    fn has_begun(&self) -> bool {
        !self.answers.is_empty()
    }

    /// What an event adds, `None` where it says nothing.
    fn read(&mut self, mut body: Map<String, Value>) -> Result<Option<Chunk>, Trouble> {
        let mut chunk = Chunk { object: "chat.completion.chunk".to_owned(), ..Chunk::default() };
        if let Some(Value::String(id)) = body.shift_remove("responseId") {
            self.id = id;
        }
        chunk.id.clone_from(&self.id);
        if let Some(Value::String(model)) = body.shift_remove("modelVersion") {
            chunk.model = model;
        }
        let usage = body.shift_remove("usageMetadata");
        match body.shift_remove("candidates") {
            None | Some(Value::Null) => {}
            Some(Value::Array(candidates)) => {
                for candidate in candidates {
                    let Value::Object(candidate) = candidate else {
                        return Err(Trouble::garbage("a candidate that is no object"));
                    };
                    let choice = self.candidate(candidate)?;
                    // A piece of a call says nothing yet.
                    let is_index = ChoiceDelta { index: choice.index, ..ChoiceDelta::default() };
                    if choice != is_index {
                        chunk.choices.push(choice);
                    }
                }
            }
            Some(_) => return Err(Trouble::garbage("`candidates` is no array")),
        }
        if !self.has_begun() {
            chunk.choices.extend(self.blocked(body.get("promptFeedback")));
        }
        // Counts go up from event to event: the last ones come with the last finish reason, or after it.
        if self.has_begun() && self.answers.values().all(|answer| answer.finished) {
            chunk.usage = usage.as_ref().and_then(usage_of);
        }
        body.retain(|_, value| !value.is_null());
        if !body.is_empty() {
            chunk.extra.insert("provider_specific_fields".to_owned(), body.into());
        }
        let is_empty = chunk.choices.is_empty() && chunk.usage.is_none() && chunk.extra.is_empty();
        Ok((!is_empty).then_some(chunk))
    }

    fn candidate(&mut self, mut candidate: Map<String, Value>) -> Result<ChoiceDelta, Trouble> {
        // Zero is left out.
        let index = match candidate.shift_remove("index") {
            None | Some(Value::Null) => 0,
            Some(index) => index
                .as_u64()
                .and_then(|index| u32::try_from(index).ok())
                .ok_or_else(|| Trouble::garbage("`index` is no number"))?,
        };
        let mut choice = ChoiceDelta { index, ..ChoiceDelta::default() };
        let id = &self.id;
        let answer = self.answers.entry(index).or_insert_with(|| {
            choice.delta.role = Some("assistant".to_owned());
            Answer::default()
        });
        for part in parts(candidate.shift_remove("content"))? {
            let Value::Object(part) = part else { return Err(Trouble::garbage("a part that is no object")) };
            answer.part(part, &mut choice.delta, |call| format!("call_{id}_{index}_{call}"))?;
        }
        if let Some(logprobs) = candidate.shift_remove("logprobsResult").as_ref().and_then(logprobs) {
            choice.extra.insert("logprobs".to_owned(), logprobs);
        }
        let finish = candidate.shift_remove("finishReason");
        let message = candidate.get("finishMessage").and_then(Value::as_str);
        if let Some(native) = finish.as_ref().and_then(Value::as_str).filter(|native| !native.is_empty()) {
            let reason =
                finish_reason(native, answer.calls.count > 0).ok_or_else(|| broken(native, message))?;
            if reason == "content_filter" {
                choice.extra.insert("native_finish_reason".to_owned(), native.into());
            }
            // An answer that ended early may have cut a call, which is then told as none: its arguments would seem whole.
            if !answer.calls.are_whole() && ["stop", "tool_calls"].contains(&reason) {
                return Err(Trouble::Cut("a function call has no end".to_owned()));
            }
            choice.finish_reason = Some(reason.to_owned());
            answer.finished = true;
        }
        candidate.retain(|_, value| !value.is_null());
        answer.fields.append(&mut candidate);
        if answer.finished {
            answer.give_out(&mut choice.delta);
        }
        Ok(choice)
    }

    /// A prompt that was refused is a refusal by the first answer, which is the only one.
    fn blocked(&mut self, feedback: Option<&Value>) -> Option<ChoiceDelta> {
        let text = |key: &str| feedback.and_then(|feedback| feedback.get(key)).and_then(Value::as_str);
        let reason = text("blockReason").filter(|reason| !reason.is_empty())?;
        self.blocked = true;
        self.answers.insert(0, Answer { finished: true, ..Answer::default() });
        let said = text("blockReasonMessage").map(str::to_owned);
        let refusal = said.unwrap_or_else(|| format!("The provider refused the prompt: {reason}."));
        let mut choice = ChoiceDelta::default();
        choice.delta.role = Some("assistant".to_owned());
        choice.delta.extra.insert("refusal".to_owned(), refusal.into());
        choice.extra.insert("native_finish_reason".to_owned(), reason.into());
        choice.finish_reason = Some("content_filter".to_owned());
        Some(choice)
    }
}

impl Answer {
    fn part(
        &mut self,
        part: Map<String, Value>,
        delta: &mut Delta,
        id: impl Fn(usize) -> String,
    ) -> Result<(), Trouble> {
        let seal = match part.get("thoughtSignature") {
            Some(Value::String(seal)) => Some(seal.clone()),
            _ => None,
        };
        if let Some(Value::Object(call)) = part.get("functionCall") {
            if let Some(call) = self.calls.read(call, seal, id)? {
                push(&mut delta.extra, "tool_calls", call);
            }
        } else if let Some(Value::String(text)) = part.get("text") {
            if part.get("thought") == Some(&Value::Bool(true)) {
                append(&mut delta.extra, "reasoning_content", text);
            } else if !text.is_empty() {
                delta.content.get_or_insert_default().push_str(text);
            }
            self.seal = seal.or(self.seal.take());
        } else if let Some(url) = part.get("inlineData").and_then(media::to_url) {
            let mut image = json!({ "type": "image_url", "image_url": { "url": url } });
            if let (Some(seal), Some(image)) = (seal, image.as_object_mut()) {
                image.insert("extra_content".to_owned(), carried(&seal));
            }
            push(&mut delta.extra, "images", image);
        } else if !part.is_empty() {
            let fields = delta.extra.entry("provider_specific_fields").or_insert_with(|| json!({}));
            if let Some(fields) = fields.as_object_mut() {
                push(fields, "gemini_parts", part.into());
            }
        }
        Ok(())
    }

    /// What was kept for the end.
    fn give_out(&mut self, delta: &mut Delta) {
        if let Some(seal) = self.seal.take() {
            delta.extra.insert("extra_content".to_owned(), carried(&seal));
        }
        let mut kept = std::mem::take(&mut self.fields);
        if kept.is_empty() {
            return;
        }
        let fields = delta.extra.entry("provider_specific_fields").or_insert_with(|| json!({}));
        if let Some(fields) = fields.as_object_mut() {
            fields.append(&mut kept);
        }
    }
}

/// An object, or the error that it is.
fn parse(text: &[u8]) -> Result<Map<String, Value>, Trouble> {
    let value: Value =
        serde_json::from_slice(text).map_err(|problem| Trouble::garbage(format!("not JSON: {problem}")))?;
    // Without `alt=sse` an answer, and an error too, is a list.
    let error = value.get("error").or_else(|| value.get(0)?.get("error"));
    if let Some(error) = error.filter(|error| !error.is_null()) {
        return Err(Trouble::InBand(error.clone()));
    }
    match value {
        Value::Object(body) => Ok(body),
        _ => Err(Trouble::garbage("no object")),
    }
}

fn parts(content: Option<Value>) -> Result<Vec<Value>, Trouble> {
    let parts = match content {
        None | Some(Value::Null) => None,
        Some(Value::Object(mut content)) => content.shift_remove("parts"),
        Some(_) => return Err(Trouble::garbage("`content` is no object")),
    };
    match parts {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(parts)) => Ok(parts),
        Some(_) => Err(Trouble::garbage("`parts` is no array")),
    }
}

/// A seal of thoughts, as chat clients carry it.
pub(super) fn carried(seal: &str) -> Value {
    json!({ "google": { "thought_signature": seal } })
}

fn push(into: &mut Map<String, Value>, key: &str, value: Value) {
    if let Some(list) = into.entry(key).or_insert_with(|| json!([])).as_array_mut() {
        list.push(value);
    }
}

fn append(into: &mut Map<String, Value>, key: &str, text: &str) {
    if let Value::String(there) = into.entry(key).or_insert_with(|| Value::String(String::new())) {
        there.push_str(text);
    }
}

/// Chat's word; `None` where the answer broke off.
fn finish_reason(native: &str, has_calls: bool) -> Option<&'static str> {
    match native {
        "STOP" if has_calls => Some("tool_calls"),
        "STOP" => Some("stop"),
        "MAX_TOKENS" => Some("length"),
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "LANGUAGE"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => Some("content_filter"),
        _ => None,
    }
}

fn broken(native: &str, message: Option<&str>) -> Trouble {
    let message = message.unwrap_or("the model broke its answer off");
    Trouble::InBand(json!({ "type": "finish_reason", "code": native, "message": message }))
}

fn usage_of(counts: &Value) -> Option<Usage> {
    let count = |key: &str| counts.get(key).and_then(Value::as_u64);
    let prompt = count("promptTokenCount")?.saturating_add(count("toolUsePromptTokenCount").unwrap_or(0));
    let thoughts = count("thoughtsTokenCount");
    let mut usage = Usage::exact(
        prompt,
        count("candidatesTokenCount").unwrap_or(0).saturating_add(thoughts.unwrap_or(0)),
    );
    if let Some(cached) = count("cachedContentTokenCount") {
        usage = usage.with_cached(cached);
    }
    if let Some(thoughts) = thoughts {
        usage.extra.insert("completion_tokens_details".to_owned(), json!({ "reasoning_tokens": thoughts }));
    }
    Some(usage)
}

/// The tokens chosen, each with those that were as likely.
fn logprobs(result: &Value) -> Option<Value> {
    let chosen = result.get("chosenCandidates")?.as_array()?;
    let tops = result.get("topCandidates").and_then(Value::as_array);
    let content = chosen.iter().enumerate().map(|(place, token)| {
        let top = tops.and_then(|tops| tops.get(place)?.get("candidates")?.as_array());
        let mut token = token_of(token);
        let others: Vec<Value> =
            top.into_iter().flatten().map(|other| Value::Object(token_of(other))).collect();
        token.insert("top_logprobs".to_owned(), others.into());
        Value::Object(token)
    });
    Some(json!({ "content": content.collect::<Vec<_>>(), "refusal": null }))
}

fn token_of(token: &Value) -> Map<String, Value> {
    let text = token.get("token").and_then(Value::as_str).unwrap_or_default();
    // Zero, a certainty, is left out.
    let logprob = token.get("logProbability").and_then(Value::as_f64).unwrap_or(0.0);
    Map::from_iter([
        ("token".to_owned(), text.into()),
        ("logprob".to_owned(), logprob.into()),
        ("bytes".to_owned(), text.as_bytes().into()),
    ])
}
