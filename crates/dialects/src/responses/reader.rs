//! A provider's stream of events, read into chat's chunks.
//!
//! Owns which item and which part of it an event is about. Refuses to call an answer whole without the event that says
//! so.
//!
//! Chat's chunks do not say where a message, a part or a paragraph of reasoning begins. Where that is not plain from the
//! chunks alone, the event that says it travels beside them, under `provider_specific_fields.responses.events`, and so
//! do the events of items that chat does not know.

mod items;

use std::collections::{BTreeMap, VecDeque};

use api::sse::Event;
use api::{ChoiceDelta, Chunk, Delta};
use serde_json::{Map, Value, json};

use super::draft::PartKind;
use super::{annotations, answer, keep, kept, text_of};
use crate::{Progress, Trouble};

/// Reads one streamed reply.
#[derive(Debug, Default)]
pub struct Reader {
    base: Chunk,
    items: BTreeMap<u64, Item>,
    calls: u64,
    /// Characters of text so far, which is where the next part begins.
    chars: u64,
    has_role: bool,
    has_reasoned: bool,
    done: bool,
}

#[derive(Debug)]
struct Item {
    kind: Kind,
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Message,
    Reasoning,
    /// With its place among the calls.
    Call(u64),
    Foreign,
}

#[derive(Debug)]
struct Part {
    kind: PartKind,
    index: u64,
    begins: u64,
    is_empty: bool,
}

impl Reader {
    /// A reader of a new reply.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn event(&mut self, event: &Event, chunks: &mut VecDeque<Chunk>) -> Result<Progress, Trouble> {
        let data = event.data.trim();
        if data.is_empty() {
            return Ok(Progress::More);
        }
        if data == "[DONE]" {
            return self.ended().map(|()| Progress::Done);
        }
        let value: Value = serde_json::from_str(data)
            .map_err(|problem| Trouble::garbage(format!("an event that is not JSON: {problem}")))?;
        let Value::Object(value) = value else { return Err(Trouble::garbage("an event that is no object")) };
        let kind = value.get("type").and_then(Value::as_str).unwrap_or(&event.name).to_owned();
        self.read(&kind, value, chunks)
    }

    pub(crate) fn ended(&self) -> Result<(), Trouble> {
        match self.done {
            true => Ok(()),
            false => Err(Trouble::Cut("the stream ended before its response did".to_owned())),
        }
    }

    fn read(
        &mut self,
        kind: &str,
        event: Map<String, Value>,
        chunks: &mut VecDeque<Chunk>,
    ) -> Result<Progress, Trouble> {
        if kind == "error" || event.get("error").is_some_and(|error| !error.is_null()) {
            let error = event.get("error").filter(|error| !error.is_null()).cloned();
            return Err(Trouble::InBand(error.unwrap_or(Value::Object(event))));
        }
        if let Some(response) = event.get("response").and_then(Value::as_object) {
            self.note(response);
        }
        match kind {
            "response.created" | "response.in_progress" | "response.queued" => {}
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                return self.end(kind, &event, chunks);
            }
            "response.output_item.added" => self.added(event, chunks),
            "response.output_item.done" => self.item_done(event, chunks),
            "response.content_part.added" | "response.reasoning_summary_part.added" => {
                if let Some(part) = part_of(kind, &event) {
                    self.part(part, &event, chunks);
                }
            }
            "response.output_text.annotation.added" => self.annotation(&event, chunks),
            "response.function_call_arguments.delta" => self.arguments(&event, "delta", chunks),
            "response.function_call_arguments.done" => self.arguments(&event, "arguments", chunks),
            "response.content_part.done" | "response.reasoning_summary_part.done" => {}
            _ => match part_of(kind, &event) {
                Some(part) => self.text(part, kind.ends_with(".done"), &event, chunks),
                None => self.unknown(event, chunks),
            },
        }
        Ok(Progress::More)
    }

    fn note(&mut self, response: &Map<String, Value>) {
        if self.base.id.is_empty() {
            let text = |key: &str| response.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            self.base = Chunk {
                id: text("id"),
                object: "chat.completion.chunk".to_owned(),
                created: answer::created(response),
                model: text("model"),
                ..Chunk::default()
            };
        }
    }

    fn push(&mut self, mut delta: Delta, extra: Map<String, Value>, chunks: &mut VecDeque<Chunk>) {
        if !std::mem::replace(&mut self.has_role, true) {
            delta.role = Some("assistant".to_owned());
        }
        let choice = ChoiceDelta { index: 0, delta, finish_reason: None, extra };
        chunks.push_back(Chunk { choices: vec![choice], ..self.base.clone() });
    }

    fn push_extra(&mut self, key: &str, value: Value, chunks: &mut VecDeque<Chunk>) {
        let mut delta = Delta::default();
        delta.extra.insert(key.to_owned(), value);
        self.push(delta, Map::new(), chunks);
    }

    /// Passes an event on beside the chunks, with `text` of reasoning in the same chunk.
    fn mark(&mut self, event: &Value, text: Option<&str>, chunks: &mut VecDeque<Chunk>) {
        let mut delta = Delta::default();
        keep(&mut delta.extra, "events", json!([event]));
        if let Some(text) = text {
            delta.extra.insert("reasoning_content".to_owned(), text.into());
        }
        self.push(delta, Map::new(), chunks);
    }

    /// A piece of text, or all of it, which counts where no piece has come.
    fn text(
        &mut self,
        kind: PartKind,
        is_done: bool,
        event: &Map<String, Value>,
        chunks: &mut VecDeque<Chunk>,
    ) {
        let key = if is_done { kind.done_key() } else { "delta" };
        let text = event.get(key).and_then(Value::as_str).unwrap_or_default();
        let Some(part) = self.part(kind, event, chunks) else { return };
        if text.is_empty() || (is_done && !part.is_empty) {
            return;
        }
        part.is_empty = false;
        let mut delta = Delta::default();
        let mut extra = Map::new();
        match kind {
            PartKind::Text => {
                delta.content = Some(text.to_owned());
                self.chars = self.chars.saturating_add(annotations::length(text));
                let logprobs = event.get("logprobs").and_then(Value::as_array);
                if let Some(tokens) = logprobs.filter(|tokens| !tokens.is_empty()) {
                    extra.insert("logprobs".to_owned(), json!({"content": tokens, "refusal": null}));
                }
            }
            PartKind::Refusal => {
                delta.extra.insert("refusal".to_owned(), text.into());
            }
            PartKind::Summary | PartKind::ReasoningText => {
                delta.extra.insert("reasoning_content".to_owned(), text.into());
            }
        }
        self.push(delta, extra, chunks);
    }

    fn annotation(&mut self, event: &Map<String, Value>, chunks: &mut VecDeque<Chunk>) {
        let Some(annotation) = event.get("annotation").filter(|value| !value.is_null()) else { return };
        let Some(part) = self.part(PartKind::Text, event, chunks) else { return };
        let annotation = annotations::to_chat(annotation, part.begins);
        self.push_extra("annotations", json!([annotation]), chunks);
    }

    fn arguments(&mut self, event: &Map<String, Value>, key: &str, chunks: &mut VecDeque<Chunk>) {
        let text = event.get(key).and_then(Value::as_str).unwrap_or_default();
        let Some(item) = self.items.get_mut(&number(event, "output_index")) else { return };
        let Kind::Call(index) = item.kind else { return };
        if text.is_empty() || (key != "delta" && !item.parts.is_empty()) {
            return;
        }
        if item.parts.is_empty() {
            item.parts.push(Part { kind: PartKind::Text, index: 0, begins: 0, is_empty: false });
        }
        let call = json!([{"index": index, "function": {"arguments": text}}]);
        self.push_extra("tool_calls", call, chunks);
    }

    /// Events of items that chat does not know travel as they are; anything else unknown is no part of an answer.
    fn unknown(&mut self, event: Map<String, Value>, chunks: &mut VecDeque<Chunk>) {
        let item = event.get("output_index").and_then(Value::as_u64).and_then(|place| self.items.get(&place));
        if item.is_some_and(|item| item.kind == Kind::Foreign) {
            self.mark(&Value::Object(event), None, chunks);
        }
    }

    fn end(
        &mut self,
        kind: &str,
        event: &Map<String, Value>,
        chunks: &mut VecDeque<Chunk>,
    ) -> Result<Progress, Trouble> {
        let Some(response) = event.get("response").and_then(Value::as_object) else {
            return Err(Trouble::garbage(format!("`{kind}` without its response")));
        };
        if kind == "response.failed" {
            return Err(answer::failed(response));
        }
        let mut response = response.clone();
        let status = kind.trim_start_matches("response.");
        response.entry("status").or_insert(status.into());
        response.entry("output").or_insert_with(|| json!([]));
        let completion = answer::completion(&response)?;
        if self.items.is_empty() {
            // Nothing came piece by piece: all of it is here.
            chunks.extend(completion.into_chunks());
            self.done = true;
            return Ok(Progress::Done);
        }
        let mut delta = Delta::default();
        if let Some(choice) = completion.choices.first() {
            // Whatever of the whole its pieces do not tell.
            for (key, value) in kept(&choice.message.extra).into_iter().flatten() {
                keep(&mut delta.extra, key, value.clone());
            }
            self.push(delta, Map::new(), chunks);
            if let Some(last) = chunks.back_mut().and_then(|chunk| chunk.choices.first_mut()) {
                last.finish_reason.clone_from(&choice.finish_reason);
                if let Some(native) = choice.extra.get("native_finish_reason") {
                    last.extra.insert("native_finish_reason".to_owned(), native.clone());
                }
            }
        }
        if let Some(last) = chunks.back_mut() {
            last.extra = completion.extra;
        }
        if let Some(usage) = completion.usage {
            let base = self.base.clone();
            chunks.push_back(Chunk { usage: Some(usage), ..base });
        }
        self.done = true;
        Ok(Progress::Done)
    }
}

/// The kind of part that an event is about, where it is about one.
fn part_of(kind: &str, event: &Map<String, Value>) -> Option<PartKind> {
    match kind {
        "response.output_text.delta" | "response.output_text.done" => Some(PartKind::Text),
        "response.refusal.delta" | "response.refusal.done" => Some(PartKind::Refusal),
        "response.reasoning_summary_text.delta"
        | "response.reasoning_summary_text.done"
        | "response.reasoning_summary_part.added" => Some(PartKind::Summary),
        "response.reasoning_text.delta" | "response.reasoning_text.done" => Some(PartKind::ReasoningText),
        "response.content_part.added" => match event.get("part").map(|part| text_of(part, "type"))? {
            "output_text" => Some(PartKind::Text),
            "refusal" => Some(PartKind::Refusal),
            "reasoning_text" => Some(PartKind::ReasoningText),
            _ => None,
        },
        _ => None,
    }
}

fn number(event: &Map<String, Value>, key: &str) -> u64 {
    event.get(key).and_then(Value::as_u64).unwrap_or(0)
}
