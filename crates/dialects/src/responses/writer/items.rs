//! The items and parts of the answer: what opens them, and what is said in them.

use api::Error;
use serde_json::{Map, Value, json};

use super::super::draft::{self, Item, Kind, Part, PartKind};
use super::super::{annotations, id_of, items, kept, object, text_of};
use super::Writer;

impl Writer {
    /// Opens an item; what was open and has all of its text is closed first.
    pub(super) fn add(&mut self, kind: Kind, fields: Map<String, Value>) -> Result<usize, Error> {
        self.close_open()?;
        if kind != Kind::Call {
            self.close_calls("completed")?;
        }
        let at = self.items.len();
        self.items.push(Item::new(kind, fields));
        if matches!(kind, Kind::Message | Kind::Reasoning) {
            self.open = Some(at);
        }
        self.tell(at)?;
        Ok(at)
    }

    /// Writes an item's opening event, once its name is known.
    pub(super) fn tell(&mut self, at: usize) -> Result<(), Error> {
        let Some(item) = self.items.get_mut(at).filter(|item| !item.told) else { return Ok(()) };
        if item.kind == Kind::Call && !item.done && text_of_map(&item.fields, "name").is_empty() {
            return Ok(());
        }
        item.told = true;
        let event = json!({"output_index": at, "item": item.opening()});
        self.emit("response.output_item.added", object(event))
    }

    /// The open item of this kind, opened where there is none.
    pub(super) fn open_of(&mut self, kind: Kind) -> Result<usize, Error> {
        if let Some(at) = self.open.filter(|at| self.items.get(*at).is_some_and(|item| item.kind == kind)) {
            return Ok(at);
        }
        let seed = self.identity.id.strip_prefix("resp_").unwrap_or(&self.identity.id);
        // The first of its kind has the name that a whole answer would give it.
        let seed = match self.items.iter().filter(|item| item.kind == kind).count() {
            0 => seed.to_owned(),
            before => format!("{before}_{seed}"),
        };
        let fields = match kind {
            Kind::Reasoning => draft::made_up_reasoning(&seed),
            _ => object(json!({"id": id_of("msg_", &seed), "type": "message", "role": "assistant"})),
        };
        self.add(kind, fields)
    }

    pub(super) fn last_part(&mut self, at: usize) -> Option<&mut Part> {
        self.items.get_mut(at)?.parts.last_mut()
    }

    pub(super) fn open_part(&mut self, at: usize, kind: PartKind) -> Result<(), Error> {
        self.close_part(at)?;
        let begins = self.chars;
        let Some(item) = self.items.get_mut(at) else { return Ok(()) };
        let index = item.count(kind);
        let (annotations, logprobs) = (Vec::new(), Vec::new());
        let part = Part { kind, index, text: String::new(), annotations, logprobs, begins, done: false };
        let event = self.about(at, &part, json!({"part": kind.empty()}));
        if let Some(item) = self.items.get_mut(at) {
            item.parts.push(part);
        }
        self.emit(kind.added(), event)
    }

    /// An event's fields that say which part it is about, and `more`.
    fn about(&self, at: usize, part: &Part, more: Value) -> Map<String, Value> {
        let id = self.items.get(at).map(Item::id).unwrap_or_default();
        let mut event = object(json!({"item_id": id, "output_index": at, part.kind.index_key(): part.index}));
        event.extend(object(more));
        event
    }

    pub(super) fn text(&mut self, kind: PartKind, text: &str, tokens: &[Value]) -> Result<(), Error> {
        let owner = if kind.is_reasoning() { Kind::Reasoning } else { Kind::Message };
        let at = self.open_of(owner)?;
        // A provider's chunks of reasoning do not say which of the two kinds they are: the open part does.
        let fits = |part: &Part| {
            !part.done && (part.kind == kind || (part.kind.is_reasoning() && kind.is_reasoning()))
        };
        if !self.last_part(at).is_some_and(|part| fits(part)) {
            self.open_part(at, kind)?;
        }
        if text.is_empty() {
            return Ok(());
        }
        let Some(part) = self.last_part(at) else { return Ok(()) };
        part.text.push_str(text);
        part.logprobs.extend_from_slice(tokens);
        let (kind, index) = (part.kind, part.index);
        let id = self.items.get(at).map(Item::id).unwrap_or_default();
        let mut event =
            object(json!({"item_id": id, "output_index": at, kind.index_key(): index, "delta": text}));
        if kind == PartKind::Text {
            self.chars = self.chars.saturating_add(annotations::length(text));
            event.insert("logprobs".to_owned(), json!(tokens));
        }
        self.emit(&format!("{}.delta", kind.text_event()), event)
    }

    pub(super) fn has(&self, annotation: &Value) -> bool {
        let mut parts = self.items.iter().flat_map(|item| &item.parts);
        parts.any(|part| {
            part.annotations.iter().any(|known| annotations::to_chat(known, part.begins) == *annotation)
        })
    }

    /// Puts an annotation to the text that it is about, the last one, even where that has ended: it may come late.
    pub(super) fn annotation(&mut self, annotation: &Value) -> Result<(), Error> {
        let has_text = |item: &Item| item.parts.iter().any(|part| part.kind == PartKind::Text);
        let at = match self.items.iter().rposition(has_text) {
            Some(at) => at,
            None => {
                let at = self.open_of(Kind::Message)?;
                self.open_part(at, PartKind::Text)?;
                at
            }
        };
        let Some(item) = self.items.get_mut(at) else { return Ok(()) };
        let Some(part) = item.parts.iter_mut().rfind(|part| part.kind == PartKind::Text) else {
            return Ok(());
        };
        let annotation = annotations::from_chat(annotation, part.begins);
        let place = part.annotations.len();
        part.annotations.push(annotation.clone());
        let index = part.index;
        let event = json!({
            "item_id": item.id(), "output_index": at, "content_index": index, "annotation_index": place,
            "annotation": annotation,
        });
        self.emit("response.output_text.annotation.added", object(event))
    }

    pub(super) fn call(&mut self, place: usize, call: &Value) -> Result<(), Error> {
        let fallback = u64::try_from(place).unwrap_or(u64::MAX);
        let index = call.get("index").and_then(Value::as_u64).unwrap_or(fallback);
        let function = call.get("function").unwrap_or(&Value::Null);
        let known = self.calls.iter().find(|(theirs, _)| *theirs == index).map(|(_, at)| *at);
        let at = match known {
            Some(at) => at,
            None => {
                self.close_calls_that_are_whole()?;
                let id = text_of(call, "id");
                let own = call.as_object().and_then(kept).and_then(|own| own.get("id")?.as_str());
                let seed =
                    if id.is_empty() { format!("{index}_{}", self.identity.id) } else { id.to_owned() };
                let item = own.map_or_else(|| items::call_item_id(&seed), str::to_owned);
                let fields = json!({
                    "id": item, "type": "function_call", "call_id": id, "name": text_of(function, "name"),
                });
                let at = self.add(Kind::Call, object(fields))?;
                self.calls.push((index, at));
                at
            }
        };
        if let Some(item) = self.items.get_mut(at).filter(|item| !item.told) {
            for (key, value) in [("call_id", text_of(call, "id")), ("name", text_of(function, "name"))] {
                if !value.is_empty() {
                    item.fields.insert(key.to_owned(), value.into());
                }
            }
            self.tell(at)?;
            // What came before the name.
            let before = self
                .items
                .get_mut(at)
                .filter(|item| item.told)
                .map(|item| std::mem::take(&mut item.arguments));
            self.argue(at, &before.unwrap_or_default())?;
        }
        self.argue(at, text_of(function, "arguments"))
    }

    pub(super) fn argue(&mut self, at: usize, text: &str) -> Result<(), Error> {
        let Some(item) = self.items.get_mut(at).filter(|_| !text.is_empty()) else { return Ok(()) };
        item.arguments.push_str(text);
        if !item.told {
            return Ok(());
        }
        let event = json!({"item_id": item.id(), "output_index": at, "delta": text});
        self.emit("response.function_call_arguments.delta", object(event))
    }
}

fn text_of_map<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}
