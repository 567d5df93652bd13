//! A streamed answer for a messages client, in the official order: one block at a time.
//!
//! Owns the blocks' numbers, and what must wait: while a tool call's arguments are not whole, pieces of anything else are
//! kept back, because this dialect ends a block before it begins the next. Refuses arguments for a call that has ended.

use std::collections::{BTreeSet, VecDeque};

use api::{Choice, Chunk, Completion, Delta, Error, Fault, sse};
use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value, json};

use super::blocks::{self, keep_rest, text};
use super::{OWN, answer, citations, usage};

/// Writes one streamed answer.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    /// Tokens that the prompt is held to have, until the target has counted.
    prompt_tokens: u64,
    has_begun: bool,
    next: u64,
    open: Option<Open>,
    begun: BTreeSet<u64>,
    waiting: VecDeque<Piece>,
}

/// The block that is open.
#[derive(Clone, Debug)]
enum Open {
    Text,
    Thinking,
    Call { index: u64, depth: Depth },
}

/// One step of an answer.
#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Thinking(String),
    Call(Map<String, Value>),
    /// A thinking block, complete; its text may have gone by.
    Thought(Map<String, Value>),
    /// A listed block, complete; a text may have gone by.
    Listed(Map<String, Value>),
    /// A block that nothing of has gone by.
    Block(Value),
    /// What follows is another block.
    Break,
}

/// How deep in a JSON value its pieces have come so far.
#[derive(Clone, Debug, Default)]
struct Depth {
    depth: u64,
    has_begun: bool,
    in_text: bool,
    is_escaped: bool,
}

impl Depth {
    fn push(&mut self, piece: &str) {
        for byte in piece.bytes() {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_text => self.is_escaped = true,
                b'"' => self.in_text = !self.in_text,
                b'{' | b'[' if !self.in_text => {
                    self.depth += 1;
                    self.has_begun = true;
                }
                b'}' | b']' if !self.in_text => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.has_begun && self.depth == 0
    }
}

impl Writer {
    /// The same with an estimate of the prompt's tokens for the stream's first event.
    pub(crate) fn with_prompt_tokens(self, prompt_tokens: u64) -> Self {
        Self { prompt_tokens, ..self }
    }

    /// The events of a chunk.
    pub(crate) fn chunk(&mut self, chunk: &Chunk) -> Result<Bytes, Error> {
        let mut out = BytesMut::new();
        self.begin(&chunk.id, &chunk.model, &mut out)?;
        for choice in chunk.choices.iter().filter(|choice| choice.index == 0) {
            for piece in pieces(&choice.delta)? {
                self.take(piece, &mut out)?;
            }
        }
        Ok(out.freeze())
    }

    /// The events that end a whole answer.
    pub(crate) fn finish(&mut self, whole: &Completion, told: &Value) -> Result<Bytes, Error> {
        let mut out = BytesMut::new();
        self.begin(&whole.id, &whole.model, &mut out)?;
        self.close(&mut out)?;
        while !self.waiting.is_empty() {
            self.drain(&mut out)?;
            self.close(&mut out)?;
        }
        let choice = whole.choices.first().cloned().unwrap_or_default();
        let sequence = choice.extra.get("stop_sequence").cloned().unwrap_or_default();
        let mut delta = Map::new();
        delta.insert("stop_reason".to_owned(), answer::stop_reason(&choice));
        delta.insert("stop_sequence".to_owned(), sequence);
        let mut last = Map::new();
        last.insert("type".to_owned(), "message_delta".into());
        for (key, value) in whole.extra.get(OWN).and_then(Value::as_object).into_iter().flatten() {
            let place = if key == "context_management" { &mut last } else { &mut delta };
            place.insert(key.clone(), value.clone());
        }
        last.insert("delta".to_owned(), Value::Object(delta));
        last.insert("usage".to_owned(), Value::Object(usage::write(whole.usage.as_ref())));
        let annotations = citations::untold(choice.message.extra.get("annotations"), &blocks_of(&choice));
        if !annotations.is_empty() {
            last.insert("annotations".to_owned(), Value::Array(annotations));
        }
        event("message_delta", &Value::Object(last), &mut out)?;
        let mut stop = json!({"type": "message_stop"});
        if !told.is_null() {
            stop["pointsman"] = told.clone();
        }
        event("message_stop", &stop, &mut out)?;
        Ok(out.freeze())
    }

    /// The event that ends a broken answer.
    pub(crate) fn broken(error: &Error) -> Result<Bytes, Error> {
        sse::named("error", &answer::error_of(error)).map_err(Error::internal)
    }

    /// What keeps an idle connection open.
    pub(crate) fn heartbeat() -> Bytes {
        Bytes::from_static(b"event: ping\ndata: {\"type\": \"ping\"}\n\n")
    }

    fn begin(&mut self, id: &str, model: &str, out: &mut BytesMut) -> Result<(), Error> {
        if std::mem::replace(&mut self.has_begun, true) {
            return Ok(());
        }
        let message = json!({
            "id": answer::id(id), "type": "message", "role": "assistant", "model": model, "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": self.prompt_tokens, "output_tokens": 0},
        });
        event("message_start", &json!({"type": "message_start", "message": message}), out)
    }

    /// A call whose arguments are not whole keeps its block open.
    fn must_wait(&self, piece: &Piece) -> bool {
        let Some(Open::Call { index, depth }) = &self.open else { return false };
        let is_its_own = matches!(piece, Piece::Call(call) if index_of(call) == *index);
        !is_its_own && (!depth.is_whole() || !self.waiting.is_empty())
    }

    fn take(&mut self, piece: Piece, out: &mut BytesMut) -> Result<(), Error> {
        if self.must_wait(&piece) {
            self.waiting.push_back(piece);
            return Ok(());
        }
        self.write(piece, out)?;
        let is_free = match &self.open {
            Some(Open::Call { depth, .. }) => depth.is_whole(),
            _ => true,
        };
        if is_free && !self.waiting.is_empty() { self.drain(out) } else { Ok(()) }
    }

    /// Writes what has waited, in its order, until a call is open whose arguments are not whole.
    fn drain(&mut self, out: &mut BytesMut) -> Result<(), Error> {
        let waiting = std::mem::take(&mut self.waiting);
        let mut kept = VecDeque::new();
        for piece in waiting {
            if self.must_wait(&piece) {
                kept.push_back(piece);
            } else {
                self.write(piece, out)?;
            }
        }
        self.waiting = kept;
        Ok(())
    }

    fn write(&mut self, piece: Piece, out: &mut BytesMut) -> Result<(), Error> {
        match piece {
            Piece::Break => self.close(out),
            Piece::Text(said) => {
                if !matches!(self.open, Some(Open::Text)) {
                    self.start(json!({"type": "text", "text": ""}), Open::Text, out)?;
                }
                self.delta(json!({"type": "text_delta", "text": said}), out)
            }
            Piece::Thinking(thought) => {
                if !matches!(self.open, Some(Open::Thinking)) {
                    let head = json!({"type": "thinking", "thinking": "", "signature": ""});
                    self.start(head, Open::Thinking, out)?;
                }
                self.delta(json!({"type": "thinking_delta", "thinking": thought}), out)
            }
            Piece::Thought(block) => {
                if text(&block, "type") == Some("thinking") && matches!(self.open, Some(Open::Thinking)) {
                    self.sign(&block, out)?;
                    return self.close(out);
                }
                self.block(Value::Object(block), out)
            }
            Piece::Listed(block) => {
                if text(&block, "type") == Some("text") && matches!(self.open, Some(Open::Text)) {
                    self.cite(&block, out)?;
                    return self.close(out);
                }
                self.block(Value::Object(block), out)
            }
            Piece::Block(block) => self.block(block, out),
            Piece::Call(call) => self.call(&call, out),
        }
    }

    fn call(&mut self, call: &Map<String, Value>, out: &mut BytesMut) -> Result<(), Error> {
        let place = index_of(call);
        let function = call.get("function").and_then(Value::as_object);
        let piece = function.and_then(|function| text(function, "arguments")).unwrap_or_default();
        let is_open = matches!(&self.open, Some(Open::Call { index, .. }) if *index == place);
        if !is_open {
            if !self.begun.insert(place) {
                return if piece.trim().is_empty() { Ok(()) } else { Err(too_late()) };
            }
            let head = Value::Object(blocks::tool_use_head(call));
            self.start(head, Open::Call { index: place, depth: Depth::default() }, out)?;
        }
        if piece.is_empty() {
            return Ok(());
        }
        if let Some(Open::Call { depth, .. }) = &mut self.open {
            depth.push(piece);
        }
        self.delta(json!({"type": "input_json_delta", "partial_json": piece}), out)
    }

    /// A block that is complete, from its start to its stop.
    fn block(&mut self, block: Value, out: &mut BytesMut) -> Result<(), Error> {
        let Value::Object(mut block) = block else { return Ok(()) };
        match text(&block, "type").unwrap_or_default() {
            "text" => {
                let mut head = block.clone();
                head.insert("text".to_owned(), "".into());
                if head.get("citations").is_some_and(Value::is_array) {
                    head.insert("citations".to_owned(), json!([]));
                }
                self.start(Value::Object(head), Open::Text, out)?;
                self.delta(json!({"type": "text_delta", "text": block.get("text")}), out)?;
                self.cite(&block, out)?;
            }
            "thinking" => {
                let mut head = block.clone();
                head.insert("thinking".to_owned(), "".into());
                head.insert("signature".to_owned(), "".into());
                self.start(Value::Object(head), Open::Thinking, out)?;
                if let Some(thought) = text(&block, "thinking").filter(|text| !text.is_empty()) {
                    self.delta(json!({"type": "thinking_delta", "thinking": thought}), out)?;
                }
                self.sign(&block, out)?;
            }
            "tool_use" | "server_tool_use" | "mcp_tool_use" => {
                let input = block.insert("input".to_owned(), json!({})).unwrap_or_default().to_string();
                self.start(Value::Object(block), Open::Text, out)?;
                self.delta(json!({"type": "input_json_delta", "partial_json": input}), out)?;
            }
            _ => self.start(Value::Object(block), Open::Text, out)?,
        }
        self.close(out)
    }

    fn sign(&self, block: &Map<String, Value>, out: &mut BytesMut) -> Result<(), Error> {
        match text(block, "signature").filter(|signature| !signature.is_empty()) {
            Some(signature) => self.delta(json!({"type": "signature_delta", "signature": signature}), out),
            None => Ok(()),
        }
    }

    fn cite(&self, block: &Map<String, Value>, out: &mut BytesMut) -> Result<(), Error> {
        for citation in blocks::objects(block, "citations") {
            self.delta(json!({"type": "citations_delta", "citation": citation}), out)?;
        }
        Ok(())
    }

    #[expect(clippy::needless_pass_by_value, reason = "it is made for this call")]
    fn start(&mut self, block: Value, open: Open, out: &mut BytesMut) -> Result<(), Error> {
        self.close(out)?;
        self.open = Some(open);
        let data = json!({"type": "content_block_start", "index": self.next, "content_block": block});
        event("content_block_start", &data, out)
    }

    #[expect(clippy::needless_pass_by_value, reason = "it is made for this call")]
    fn delta(&self, delta: Value, out: &mut BytesMut) -> Result<(), Error> {
        let data = json!({"type": "content_block_delta", "index": self.next, "delta": delta});
        event("content_block_delta", &data, out)
    }

    fn close(&mut self, out: &mut BytesMut) -> Result<(), Error> {
        if self.open.take().is_none() {
            return Ok(());
        }
        let data = json!({"type": "content_block_stop", "index": self.next});
        self.next += 1;
        event("content_block_stop", &data, out)
    }
}

/// What a message's listed blocks say for themselves, behind the text before them.
fn blocks_of(choice: &Choice) -> Vec<Value> {
    let mut said = choice.message.extra.clone();
    said.retain(|key, _| key == "provider_specific_fields");
    said.extend(choice.message.content.clone().map(|text| ("content".to_owned(), text.into())));
    answer::content(&said).unwrap_or_default()
}

fn event(name: &str, data: &Value, out: &mut BytesMut) -> Result<(), Error> {
    out.extend_from_slice(&sse::named(name, data).map_err(Error::internal)?);
    Ok(())
}

fn index_of(call: &Map<String, Value>) -> u64 {
    call.get("index").and_then(Value::as_u64).unwrap_or(0)
}

fn too_late() -> Error {
    let message = "The model's answer has more of a tool call after its end, which this dialect cannot say.";
    Error::new(Fault::UpstreamFailed, "upstream_malformed", message)
}

/// What a delta adds, in the order in which it is said.
fn pieces(delta: &Delta) -> Result<Vec<Piece>, Error> {
    let extra = &delta.extra;
    let said = delta.content.as_deref().filter(|text| !text.is_empty());
    let thought = ["reasoning_content", "reasoning"].iter().find_map(|key| text(extra, key));
    let thought = thought.filter(|text| !text.is_empty());
    let calls = blocks::objects(extra, "tool_calls");
    let (listed, thinking) = (blocks::listed(extra), blocks::objects(extra, "thinking_blocks"));
    let is_complete = !listed.is_empty() || !thinking.is_empty();
    if is_complete && (said.is_some() || thought.is_some() || !calls.is_empty()) {
        let mut all = Map::new();
        keep_rest(&mut all, extra, &[]);
        all.insert("content".to_owned(), said.unwrap_or_default().into());
        return Ok(answer::content(&all)?.into_iter().map(Piece::Block).collect());
    }
    let mut pieces = Vec::new();
    pieces.extend(thought.map(|text| Piece::Thinking(text.to_owned())));
    pieces.extend(thinking.into_iter().map(|block| Piece::Thought(block.clone())));
    if extra.contains_key("provider_specific_fields") && listed.is_empty() && is_break(extra) {
        pieces.push(Piece::Break);
    }
    pieces.extend(said.map(|text| Piece::Text(text.to_owned())));
    let refusal = text(extra, "refusal").filter(|text| !text.is_empty());
    pieces.extend(refusal.map(|text| Piece::Text(text.to_owned())));
    pieces.extend(calls.into_iter().map(|call| Piece::Call(call.clone())));
    // Calls and thinking that are listed have gone by.
    let has_gone = |block: &Map<String, Value>| {
        matches!(text(block, "type"), Some("tool_use" | "thinking" | "redacted_thinking"))
    };
    let listed = listed.iter().filter_map(Value::as_object).filter(|block| !has_gone(block));
    pieces.extend(listed.map(|block| Piece::Listed(block.clone())));
    Ok(pieces)
}

fn is_break(extra: &Map<String, Value>) -> bool {
    let fields = extra.get("provider_specific_fields");
    fields.and_then(|fields| fields.get(blocks::BLOCKS)).is_some_and(|list| list == &json!([]))
}
