//! A streamed answer of Anthropic's, as chunks.
//!
//! Owns the blocks that are open. Refuses to call the answer whole before `message_stop`, or without a stop reason.

use std::collections::{BTreeMap, VecDeque};

use api::sse::Event;
use api::{ChoiceDelta, Chunk, Delta};
use serde_json::{Map, Value, json};

use super::answer::{self, Order};
use super::blocks::{self, BLOCKS, given, keep_rest, text};
use super::{OWN, citations, usage};
use crate::{Progress, Trouble};

/// Reads one streamed reply.
#[derive(Debug, Default)]
pub struct Reader {
    id: String,
    model: String,
    has_begun: bool,
    open: BTreeMap<u64, Open>,
    order: Order,
    calls: u64,
    /// Characters of text in the blocks that have ended.
    chars: u64,
    usage: Map<String, Value>,
    /// Why it ended, and what else the message says.
    ending: Map<String, Value>,
}

/// A block that has begun.
#[derive(Debug)]
struct Open {
    block: Map<String, Value>,
    input: String,
    is_listed: bool,
    call: u64,
}

impl Reader {
    pub(crate) fn event(&mut self, event: &Event, chunks: &mut VecDeque<Chunk>) -> Result<Progress, Trouble> {
        if event.data.trim().is_empty() {
            return Ok(Progress::More);
        }
        let data: Value = serde_json::from_str(&event.data)
            .map_err(|problem| Trouble::garbage(format!("an event that is not JSON: {problem}")))?;
        let data = data.as_object().ok_or_else(|| Trouble::garbage("an event that is no object"))?;
        answer::refuse_error(data)?;
        let inner = |key: &str| {
            let inner = data.get(key).and_then(Value::as_object);
            inner.ok_or_else(|| Trouble::garbage(format!("an event without `{key}`")))
        };
        let index = data.get("index").and_then(Value::as_u64).unwrap_or(0);
        match text(data, "type").unwrap_or(&event.name) {
            "message_start" => self.start(inner("message")?, chunks),
            "content_block_start" => self.open(index, inner("content_block")?, chunks),
            "content_block_delta" => self.add(index, inner("delta")?, chunks),
            "content_block_stop" => self.close(index, chunks),
            "message_delta" => {
                keep_rest(&mut self.ending, inner("delta")?, &[]);
                keep_rest(&mut self.ending, data, &["type", "delta", "usage"]);
                self.count(data);
            }
            "message_stop" => {
                self.stop(chunks)?;
                return Ok(Progress::Done);
            }
            "error" => return Err(Trouble::InBand(Value::Object(data.clone()))),
            _ => {}
        }
        Ok(Progress::More)
    }

    /// Only `message_stop` ends an answer.
    #[expect(clippy::unused_self, reason = "every dialect's reader is asked")]
    pub(crate) fn ended(&self) -> Result<(), Trouble> {
        Err(Trouble::Cut("the stream ended before `message_stop`".to_owned()))
    }

    fn chunk(&self, delta: Delta) -> Chunk {
        Chunk {
            id: self.id.clone(),
            object: "chat.completion.chunk".to_owned(),
            model: self.model.clone(),
            choices: vec![ChoiceDelta { delta, ..ChoiceDelta::default() }],
            ..Chunk::default()
        }
    }

    fn extra(&self, key: &str, value: Value) -> Chunk {
        let mut delta = Delta::default();
        delta.extra.insert(key.to_owned(), value);
        self.chunk(delta)
    }

    fn say(&self, said: &str, chunks: &mut VecDeque<Chunk>) {
        if !said.is_empty() {
            chunks.push_back(self.chunk(Delta { content: Some(said.to_owned()), ..Delta::default() }));
        }
    }

    fn think(&self, thought: &str, chunks: &mut VecDeque<Chunk>) {
        if !thought.is_empty() {
            chunks.push_back(self.extra("reasoning_content", thought.into()));
        }
    }

    /// Counts are totals: later ones replace earlier ones, and what is not said again stays.
    fn count(&mut self, event: &Map<String, Value>) {
        let usage = event.get("usage").and_then(Value::as_object);
        for (key, value) in usage.into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            self.usage.insert(key.clone(), value.clone());
        }
    }

    fn start(&mut self, message: &Map<String, Value>, chunks: &mut VecDeque<Chunk>) {
        text(message, "id").unwrap_or_default().clone_into(&mut self.id);
        text(message, "model").unwrap_or_default().clone_into(&mut self.model);
        self.has_begun = true;
        self.ending = answer::own_of(message);
        self.count(message);
        chunks.push_back(self.chunk(Delta { role: Some("assistant".to_owned()), ..Delta::default() }));
    }

    fn open(&mut self, index: u64, block: &Map<String, Value>, chunks: &mut VecDeque<Chunk>) {
        let is_listed = self.order.lists(block);
        match text(block, "type") {
            Some("text") => {
                if is_listed {
                    chunks.push_back(self.extra("provider_specific_fields", json!({BLOCKS: []})));
                }
                self.say(text(block, "text").unwrap_or_default(), chunks);
            }
            Some("thinking") => self.think(text(block, "thinking").unwrap_or_default(), chunks),
            Some("tool_use") => {
                let mut call = blocks::call_head(block);
                call.insert("index".to_owned(), self.calls.into());
                call.insert("function".to_owned(), json!({"name": block.get("name"), "arguments": ""}));
                chunks.push_back(self.extra("tool_calls", json!([call])));
                self.calls += 1;
            }
            _ => {}
        }
        let call = self.calls.saturating_sub(1);
        self.open.insert(index, Open { block: block.clone(), input: String::new(), is_listed, call });
    }

    fn arguments(&self, call: u64, piece: &str, chunks: &mut VecDeque<Chunk>) {
        if !piece.is_empty() {
            let piece = json!([{"index": call, "function": {"arguments": piece}}]);
            chunks.push_back(self.extra("tool_calls", piece));
        }
    }

    fn add(&mut self, index: u64, delta: &Map<String, Value>, chunks: &mut VecDeque<Chunk>) {
        let Some(mut open) = self.open.remove(&index) else { return };
        let piece = |key: &str| text(delta, key).unwrap_or_default();
        match text(delta, "type") {
            Some("text_delta") => {
                append(&mut open.block, "text", piece("text"));
                self.say(piece("text"), chunks);
            }
            Some("thinking_delta") => {
                append(&mut open.block, "thinking", piece("thinking"));
                self.think(piece("thinking"), chunks);
            }
            Some("input_json_delta") => {
                open.input.push_str(piece("partial_json"));
                if text(&open.block, "type") == Some("tool_use") {
                    self.arguments(open.call, piece("partial_json"), chunks);
                }
            }
            Some("citations_delta") => {
                open.is_listed = true;
                self.order.is_listing = true;
                let known = open.block.entry("citations").or_insert(Value::Null);
                if !known.is_array() {
                    *known = json!([]);
                }
                if let (Some(list), Some(citation)) = (known.as_array_mut(), given(delta, "citation")) {
                    list.push(citation.clone());
                }
            }
            _ => keep_rest(&mut open.block, delta, &["type"]),
        }
        self.open.insert(index, open);
    }

    fn close(&mut self, index: u64, chunks: &mut VecDeque<Chunk>) {
        let Some(mut open) = self.open.remove(&index) else { return };
        let kind = text(&open.block, "type").unwrap_or_default().to_owned();
        if kind == "tool_use" && open.input.is_empty() {
            let input = given(&open.block, "input").map_or_else(|| "{}".to_owned(), Value::to_string);
            self.arguments(open.call, &input, chunks);
        }
        if let Ok(input) = serde_json::from_str::<Value>(&open.input) {
            open.block.insert("input".to_owned(), input);
        }
        let mut delta = Delta::default();
        if kind == "text" {
            let annotations = citations::to_chat(&open.block, self.chars);
            self.chars = self
                .chars
                .saturating_add(open.block.get("text").and_then(Value::as_str).map_or(0, citations::length));
            if !annotations.is_empty() {
                delta.extra.insert("annotations".to_owned(), Value::Array(annotations));
            }
        }
        let block = Value::Object(open.block);
        if open.is_listed {
            delta.extra.insert("provider_specific_fields".to_owned(), json!({BLOCKS: [&block]}));
        }
        if matches!(kind.as_str(), "thinking" | "redacted_thinking") {
            delta.extra.insert("thinking_blocks".to_owned(), json!([block]));
        }
        if !delta.extra.is_empty() {
            chunks.push_back(self.chunk(delta));
        }
    }

    fn stop(&mut self, chunks: &mut VecDeque<Chunk>) -> Result<(), Trouble> {
        let word = text(&self.ending, "stop_reason").filter(|_| self.has_begun && self.open.is_empty());
        let word = word.ok_or_else(|| Trouble::Cut("`message_stop` before the answer's end".to_owned()))?;
        let (finish, extra) = answer::finish(word, self.ending.get("stop_sequence"), self.calls > 0);
        let mut last = self.chunk(Delta::default());
        for choice in &mut last.choices {
            choice.finish_reason = Some(finish.to_owned());
            choice.extra.clone_from(&extra);
        }
        let own = answer::own_of(&self.ending);
        if !own.is_empty() {
            last.extra.insert(OWN.to_owned(), Value::Object(own));
        }
        chunks.push_back(last);
        if !self.usage.is_empty() {
            chunks.push_back(Chunk::of_usage(&self.id, 0, &self.model, usage::read(&self.usage)));
        }
        Ok(())
    }
}

fn append(block: &mut Map<String, Value>, key: &str, piece: &str) {
    match block.get_mut(key) {
        Some(Value::String(text)) => text.push_str(piece),
        _ => {
            block.insert(key.to_owned(), piece.into());
        }
    }
}
