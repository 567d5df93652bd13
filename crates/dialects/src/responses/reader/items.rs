//! Where items and their parts begin and end, and which of them an event is about.

use std::collections::VecDeque;

use api::Chunk;
use serde_json::{Map, Value, json};

use super::super::draft::PartKind;
use super::super::{PARAGRAPH, keep, list_of, object, text_of};
use super::{Item, Kind, Part, Reader, number};

impl Reader {
    pub(super) fn added(&mut self, event: Map<String, Value>, chunks: &mut VecDeque<Chunk>) {
        let Some(item) = event.get("item").filter(|item| item.is_object()) else { return };
        let place = number(&event, "output_index");
        let kind = match text_of(item, "type") {
            "message" => Kind::Message,
            "reasoning" => Kind::Reasoning,
            "function_call" => Kind::Call(self.calls),
            _ => Kind::Foreign,
        };
        self.items.insert(place, Item { kind, parts: Vec::new() });
        let Kind::Call(index) = kind else {
            self.mark(&Value::Object(event), None, chunks);
            return;
        };
        self.calls = self.calls.saturating_add(1);
        let arguments = text_of(item, "arguments").to_owned();
        let mut call = object(json!({
            "index": index, "id": text_of(item, "call_id"), "type": "function",
            "function": {"name": text_of(item, "name"), "arguments": arguments},
        }));
        if let Some(id) = item.get("id").filter(|id| id.is_string()) {
            keep(&mut call, "id", id.clone());
        }
        self.push_extra("tool_calls", json!([call]), chunks);
        if !arguments.is_empty()
            && let Some(item) = self.items.get_mut(&place)
        {
            item.parts.push(Part { kind: PartKind::Text, index: 0, begins: 0, is_empty: false });
        }
    }

    pub(super) fn item_done(&mut self, event: Map<String, Value>, chunks: &mut VecDeque<Chunk>) {
        let Some(item) = event.get("item").filter(|item| item.is_object()).cloned() else { return };
        let place = number(&event, "output_index");
        if !self.items.contains_key(&place) {
            // Some servers only send items that are done.
            let mut opening = item.clone();
            for (key, empty) in [("content", json!([])), ("summary", json!([])), ("arguments", json!(""))] {
                if let Some(value) = opening.get_mut(key) {
                    *value = empty;
                }
            }
            self.added(
                object(json!({"type": "response.output_item.added", "output_index": place, "item": opening})),
                chunks,
            );
        }
        match self.items.get(&place).map(|item| item.kind) {
            Some(Kind::Reasoning) => {
                self.rest_of(&item, place, chunks);
                self.push_extra("reasoning_items", json!([item]), chunks);
            }
            Some(Kind::Message) => self.rest_of(&item, place, chunks),
            Some(Kind::Call(_)) => {
                let whole = object(json!({"output_index": place, "arguments": text_of(&item, "arguments")}));
                self.arguments(&whole, "arguments", chunks);
            }
            Some(Kind::Foreign) => self.mark(&Value::Object(event), None, chunks),
            None => {}
        }
    }

    /// The texts of an item that is done, where none of a part has come.
    fn rest_of(&mut self, item: &Value, place: u64, chunks: &mut VecDeque<Chunk>) {
        let lists = [("summary", "summary_index"), ("content", "content_index")];
        for (list, index_key) in lists {
            for (index, part) in list_of(item, list).iter().enumerate() {
                let (kind, key) = match text_of(part, "type") {
                    "output_text" => (PartKind::Text, "text"),
                    "refusal" => (PartKind::Refusal, "refusal"),
                    "summary_text" => (PartKind::Summary, "text"),
                    "reasoning_text" => (PartKind::ReasoningText, "text"),
                    _ => continue,
                };
                let event = object(json!({
                    "output_index": place, index_key: index, "part": {"type": part.get("type")}, key: text_of(part, key),
                }));
                self.text(kind, true, &event, chunks);
            }
        }
    }

    /// Finds the part that an event is about, and says where a part begins that no chunk tells.
    pub(super) fn part(
        &mut self,
        kind: PartKind,
        event: &Map<String, Value>,
        chunks: &mut VecDeque<Chunk>,
    ) -> Option<&mut Part> {
        let (place, index) = (number(event, "output_index"), number(event, kind.index_key()));
        let owner = if kind.is_reasoning() { Kind::Reasoning } else { Kind::Message };
        let chars = self.chars;
        let item = self.items.entry(place).or_insert(Item { kind: owner, parts: Vec::new() });
        if item.kind != owner {
            return None;
        }
        let known = item.parts.iter().position(|part| part.kind == kind && part.index == index);
        if known.is_none() {
            let is_first = item.parts.is_empty();
            item.parts.push(Part { kind, index, begins: chars, is_empty: true });
            let reasoned = kind.is_reasoning() && std::mem::replace(&mut self.has_reasoned, true);
            if !is_first || reasoned || kind == PartKind::ReasoningText {
                let mark = json!({
                    "type": kind.added(), "output_index": place, kind.index_key(): index, "part": kind.empty(),
                });
                self.mark(&mark, reasoned.then_some(PARAGRAPH), chunks);
            }
        }
        let parts = &mut self.items.get_mut(&place)?.parts;
        let at = known.unwrap_or(parts.len().checked_sub(1)?);
        parts.get_mut(at)
    }
}
