//! What a provider's items say, as one message of chat.
//!
//! Owns the joining of texts, and what is kept so that the items can be made again. Refuses nothing: items that chat does
//! not know are kept by the answer that they are of.

use api::ReplyMessage;
use serde_json::{Map, Value, json};

use super::{annotations, items, keep, list_of, object, text_of};

/// What items say, as a message of chat, and its tokens' log-probabilities.
pub(super) fn message(output: &[Value]) -> (ReplyMessage, Vec<Value>) {
    let mut said = Said::default();
    for item in output {
        said.add(item);
    }
    said.into_message()
}

#[derive(Default)]
struct Said {
    text: Option<String>,
    refusal: Option<String>,
    annotations: Vec<Value>,
    logprobs: Vec<Value>,
    reasoning: Vec<Value>,
    reasoning_text: String,
    calls: Vec<Value>,
    order: Vec<&'static str>,
    beside: Map<String, Value>,
}

impl Said {
    fn add(&mut self, item: &Value) {
        match text_of(item, "type") {
            "message" => self.message(item),
            "reasoning" => {
                for text in items::reasoning_texts(item) {
                    if !self.reasoning_text.is_empty() {
                        self.reasoning_text.push_str(super::PARAGRAPH);
                    }
                    self.reasoning_text.push_str(text);
                }
                self.reasoning.push(item.clone());
                self.order.push("reasoning");
            }
            "function_call" => {
                self.calls.push(call(item));
                self.order.push("function_call");
            }
            _ => {}
        }
    }

    fn message(&mut self, item: &Value) {
        if !self.order.contains(&"message") {
            for key in ["id", "phase"] {
                if let Some(value) = item.get(key).filter(|value| !value.is_null()) {
                    keep(&mut self.beside, key, value.clone());
                }
            }
        }
        self.order.push("message");
        for part in list_of(item, "content") {
            match text_of(part, "type") {
                "output_text" => {
                    let text = self.text.get_or_insert_default();
                    let base = annotations::length(text);
                    text.push_str(text_of(part, "text"));
                    let found = list_of(part, "annotations").iter();
                    self.annotations.extend(found.map(|found| annotations::to_chat(found, base)));
                    self.logprobs.extend_from_slice(list_of(part, "logprobs"));
                }
                "refusal" => self.refusal.get_or_insert_default().push_str(text_of(part, "refusal")),
                _ => {}
            }
        }
    }

    fn into_message(self) -> (ReplyMessage, Vec<Value>) {
        let mut extra = Map::new();
        if !self.reasoning_text.is_empty() {
            extra.insert("reasoning_content".to_owned(), self.reasoning_text.into());
        }
        extra.extend(self.refusal.map(|text| ("refusal".to_owned(), text.into())));
        let lists = [
            ("reasoning_items", self.reasoning),
            ("tool_calls", self.calls),
            ("annotations", self.annotations),
        ];
        for (key, list) in lists {
            if !list.is_empty() {
                extra.insert(key.to_owned(), Value::Array(list));
            }
        }
        extra.extend(self.beside);
        if !super::input::is_usual(&self.order) {
            keep(&mut extra, "order", json!(self.order));
        }
        let message = ReplyMessage { role: "assistant".to_owned(), content: self.text, extra };
        (message, self.logprobs)
    }
}

fn call(item: &Value) -> Value {
    let mut call = object(json!({
        "id": text_of(item, "call_id"), "type": "function",
        "function": {"name": text_of(item, "name"), "arguments": text_of(item, "arguments")},
    }));
    if let Some(id) = item.get("id").filter(|id| id.is_string()) {
        keep(&mut call, "id", id.clone());
    }
    Value::Object(call)
}
