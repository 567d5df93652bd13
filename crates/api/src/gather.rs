//! A streamed answer made whole, and a whole answer made a stream.

use serde_json::{Map, Value};

use crate::{Choice, ChoiceDelta, Chunk, Completion, Delta, PROVIDER_FIELDS, ReplyMessage, Usage};

/// Puts the chunks of one reply together.
///
/// Text is appended. Tool calls are joined by their `index`, their `arguments` appended. Lists inside `logprobs` are
/// appended. Anything else that a delta carries: strings are appended (reasoning, refusals), other values replace.
#[derive(Debug, Default)]
pub struct Gather {
    completion: Completion,
    text_bytes: usize,
}

impl Gather {
    /// Nothing gathered yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of text gathered so far, over all answers.
    pub fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// The text of the only answer so far; `None` where there is more than text, which nobody else could continue. What only
    /// the provider's own dialect has words for stands beside the text, and the text goes on without it.
    pub fn said(&self) -> Option<&str> {
        let [choice] = self.completion.choices.as_slice() else { return None };
        let beside = ["role", PROVIDER_FIELDS];
        let more = choice
            .message
            .extra
            .iter()
            .any(|(key, value)| !beside.contains(&key.as_str()) && !value.is_null());
        choice.message.content.as_deref().filter(|text| !text.is_empty() && !more)
    }

    /// What the answer is called: its id, when it was made and by which model.
    pub fn name(&self) -> (&str, u64, &str) {
        (&self.completion.id, self.completion.created, &self.completion.model)
    }

    /// The usage, once a chunk has brought it.
    pub fn usage(&self) -> Option<&Usage> {
        self.completion.usage.as_ref()
    }

    /// Leaves out a usage that is not of the whole answer.
    pub fn forget_usage(&mut self) {
        self.completion.usage = None;
    }

    /// Adds a chunk.
    pub fn push(&mut self, chunk: &Chunk) {
        if self.completion.id.is_empty() {
            self.completion.id.clone_from(&chunk.id);
            self.completion.created = chunk.created;
            self.completion.model.clone_from(&chunk.model);
        }
        for (key, value) in &chunk.extra {
            // Most say the same on every chunk.
            match self.completion.extra.get_mut(key) {
                Some(own) if own == value => {}
                Some(own) => own.clone_from(value),
                None => drop(self.completion.extra.insert(key.clone(), value.clone())),
            }
        }
        if let Some(usage) = &chunk.usage {
            self.completion.usage = Some(usage.clone());
        }
        for delta in &chunk.choices {
            self.text_bytes += delta.delta.content.as_ref().map_or(0, String::len);
            let choice = self.choice(delta.index);
            add(choice, delta);
        }
    }

    /// The whole reply.
    pub fn finish(mut self) -> Completion {
        "chat.completion".clone_into(&mut self.completion.object);
        self.completion.choices.sort_by_key(|choice| choice.index);
        for choice in &mut self.completion.choices {
            if let Some(Value::Array(calls)) = choice.message.extra.get_mut("tool_calls") {
                for call in calls.iter_mut().filter_map(Value::as_object_mut) {
                    call.shift_remove("index");
                }
            }
        }
        self.completion
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let choices = &mut self.completion.choices;
        let place = choices.iter().position(|choice| choice.index == index).unwrap_or_else(|| {
            let message = ReplyMessage { role: "assistant".to_owned(), ..ReplyMessage::default() };
            choices.push(Choice { index, message, ..Choice::default() });
            choices.len() - 1
        });
        &mut choices[place]
    }
}

fn add(choice: &mut Choice, delta: &ChoiceDelta) {
    if let Some(text) = &delta.delta.content {
        choice.message.content.get_or_insert_default().push_str(text);
    }
    for (key, value) in &delta.delta.extra {
        if key == "tool_calls" {
            let calls = choice.message.extra.entry(key.clone()).or_insert_with(|| Value::Array(Vec::new()));
            add_tool_calls(calls, value);
        } else {
            merge(&mut choice.message.extra, key, value);
        }
    }
    for (key, value) in &delta.extra {
        merge(&mut choice.extra, key, value);
    }
    if delta.finish_reason.is_some() {
        choice.finish_reason.clone_from(&delta.finish_reason);
    }
}

fn merge(into: &mut Map<String, Value>, key: &str, value: &Value) {
    match (into.get_mut(key), value) {
        (Some(Value::String(text)), Value::String(more)) => text.push_str(more),
        (Some(Value::Array(list)), Value::Array(more)) => list.extend(more.iter().cloned()),
        (Some(Value::Object(map)), Value::Object(more)) => {
            for (key, value) in more {
                merge(map, key, value);
            }
        }
        (Some(_), Value::Null) => {}
        _ => {
            into.insert(key.to_owned(), value.clone());
        }
    }
}

fn add_tool_calls(calls: &mut Value, more: &Value) {
    let (Value::Array(calls), Value::Array(more)) = (calls, more) else { return };
    for piece in more {
        let index = piece.get("index");
        let known = calls.iter_mut().find(|call| index.is_some() && call.get("index") == index);
        match (known.and_then(Value::as_object_mut), piece.as_object()) {
            (Some(call), Some(piece)) => {
                for (key, value) in piece {
                    if key == "function" {
                        merge(call, key, value);
                    } else {
                        call.insert(key.clone(), value.clone());
                    }
                }
            }
            _ => calls.push(piece.clone()),
        }
    }
}

impl Completion {
    /// A reply with one answer.
    pub fn of_text(id: &str, created: u64, model: &str, text: String, usage: Usage) -> Self {
        let message = ReplyMessage { role: "assistant".to_owned(), content: Some(text), extra: Map::new() };
        let choice = Choice { message, finish_reason: Some("stop".to_owned()), ..Choice::default() };
        Self {
            id: id.to_owned(),
            object: "chat.completion".to_owned(),
            created,
            model: model.to_owned(),
            choices: vec![choice],
            usage: Some(usage),
            extra: Map::new(),
        }
    }

    /// The text of the first answer.
    pub fn text(&self) -> &str {
        self.choices.first().and_then(|choice| choice.message.content.as_deref()).unwrap_or("")
    }

    /// Whether every answer ended by itself or at the caller's own limit.
    pub fn is_whole(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|choice| choice.finish_reason.is_some())
    }

    /// The same reply as chunks: an opening and the whole of each answer, its ending, and the usage.
    pub fn into_chunks(self) -> Vec<Chunk> {
        let base = Chunk {
            id: self.id,
            object: "chat.completion.chunk".to_owned(),
            created: self.created,
            model: self.model,
            extra: self.extra,
            ..Chunk::default()
        };
        let mut chunks = Vec::with_capacity(self.choices.len() * 2 + 1);
        for choice in self.choices {
            let mut extra = with_call_indexes(choice.message.extra);
            // What an answer rests on is known when it is whole.
            let annotations = extra.remove_entry("annotations").into_iter().collect();
            let delta = Delta { role: Some("assistant".to_owned()), content: choice.message.content, extra };
            let said = ChoiceDelta { index: choice.index, delta, finish_reason: None, extra: choice.extra };
            let ended = ChoiceDelta {
                index: choice.index,
                delta: Delta { extra: annotations, ..Delta::default() },
                finish_reason: choice.finish_reason,
                ..ChoiceDelta::default()
            };
            chunks.push(Chunk { choices: vec![said], ..base.clone() });
            chunks.push(Chunk { choices: vec![ended], ..base.clone() });
        }
        if let Some(usage) = self.usage {
            chunks.push(Chunk { usage: Some(usage), ..base });
        }
        chunks
    }
}

/// Tool calls of a stream carry their place in the list, those of a whole answer do not.
fn with_call_indexes(mut extra: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Array(calls)) = extra.get_mut("tool_calls") {
        for (place, call) in calls.iter_mut().filter_map(Value::as_object_mut).enumerate() {
            call.insert("index".to_owned(), Value::from(place));
        }
    }
    extra
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn gathered(chunks: &[Value]) -> Completion {
        let mut gather = Gather::new();
        for chunk in chunks {
            gather.push(&serde_json::from_value(chunk.clone()).expect("a chunk"));
        }
        gather.finish()
    }

    #[test]
    fn a_stream_with_two_answers_tools_and_logprobs_becomes_whole() {
        let whole = gathered(&[
            json!({"id":"a","created":1,"model":"m","choices":[{"index":1,"delta":{"role":"assistant","content":"B"}}]}),
            json!({"id":"a","choices":[{"index":0,"delta":{"content":"A"},"logprobs":{"content":[{"token":"A"}]}}]}),
            json!({"id":"a","choices":[{"index":0,"delta":{"content":"a","reasoning":"hm"},"logprobs":{"content":[{"token":"a"}]}}]}),
            json!({"id":"a","choices":[{"index":0,"delta":{"reasoning":"m","tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":"{\"x\""}}]}}]}),
            json!({"id":"a","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}]}),
            json!({"id":"a","choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}),
            json!({"id":"a","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}),
        ]);
        let value = serde_json::to_value(&whole).expect("JSON");
        assert_eq!(
            value,
            json!({"id":"a","object":"chat.completion","created":1,"model":"m","choices":[
                {"index":0,"message":{"role":"assistant","content":"Aa","reasoning":"hmm",
                    "tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},
                 "finish_reason":"tool_calls","logprobs":{"content":[{"token":"A"},{"token":"a"}]}},
                {"index":1,"message":{"role":"assistant","content":"B"},"finish_reason":"stop"}],
                "usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}})
        );
        assert!(whole.is_whole());
    }

    #[test]
    fn a_whole_answer_streamed_and_gathered_is_itself() {
        let whole = Completion::of_text("id", 5, "m", "héllo".to_owned(), Usage::exact(2, 1));
        let mut gather = Gather::new();
        for chunk in whole.clone().into_chunks() {
            gather.push(&chunk);
        }
        assert_eq!(gather.finish(), whole);
    }
}
