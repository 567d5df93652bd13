//! An answer, written to a client as this dialect's stream of events.
//!
//! Owns the order of events, their numbers, and that everything opened is closed. Refuses to write the end of a whole
//! answer for a broken one.

use api::{ChoiceDelta, Chunk, Completion, Error, Fault, ReplyMessage, sse};
use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::answer::{self, Client, Ending, Identity};
use super::draft::{self, Item, Kind, Part, PartKind};
use super::{PARAGRAPH, annotations, id_of, items, kept, list_of, object, text_of};

/// Writes one streamed answer.
#[derive(Debug)]
pub struct Writer {
    client: Client,
    identity: Identity,
    begun: bool,
    sequence: u64,
    items: Vec<Item>,
    /// The message or the reasoning that is being written.
    open: Option<usize>,
    /// Chat's places of tool calls, and their items.
    calls: Vec<(u64, usize)>,
    /// A provider's places of items, and ours.
    places: Vec<(u64, usize)>,
    /// Characters of text so far.
    chars: u64,
    /// All of it came in one chunk, its annotations too, which come once more at the end.
    came_whole: bool,
    out: Vec<u8>,
}

impl Writer {
    /// A writer of `client`'s answer.
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            identity: Identity::default(),
            begun: false,
            sequence: 0,
            items: Vec::new(),
            open: None,
            calls: Vec::new(),
            places: Vec::new(),
            chars: 0,
            came_whole: false,
            out: Vec::new(),
        }
    }

    pub(crate) fn chunk(&mut self, chunk: &Chunk) -> Result<Bytes, Error> {
        self.begin(&chunk.id, chunk.created, &chunk.model)?;
        // The dialect has one answer.
        for choice in chunk.choices.iter().filter(|choice| choice.index == 0) {
            self.delta(choice)?;
        }
        Ok(self.take())
    }

    pub(crate) fn finish(&mut self, answer: &Completion, told: Value) -> Result<Bytes, Error> {
        self.begin(&answer.id, answer.created, &answer.model)?;
        let choice = answer.choices.first();
        let ending = Ending::of(choice);
        self.close(ending.status)?;
        let mut response = self.client.response(&self.identity, ending.status, &self.output(ending.status));
        answer::close(&mut response, answer, &ending);
        let mut event = object(json!({ "response": response }));
        if !told.is_null() {
            event.insert("pointsman".to_owned(), told);
        }
        self.emit(&format!("response.{}", ending.status), event)?;
        Ok(self.take())
    }

    /// Clients that follow the response see that it failed; those that do not, the official ones, raise the error.
    pub(crate) fn broken(&mut self, error: &Error) -> Result<Bytes, Error> {
        let body = error.body();
        let inner = body.get("error").cloned().unwrap_or_default();
        if self.begun {
            let mut response = self.client.response(&self.identity, "failed", &self.output("incomplete"));
            let code = match error.fault {
                Fault::RateLimited | Fault::BudgetExceeded => "rate_limit_exceeded",
                Fault::BadRequest | Fault::Unprocessable => "invalid_prompt",
                _ => "server_error",
            };
            response.insert("error".to_owned(), json!({"code": code, "message": error.message}));
            self.emit("response.failed", object(json!({ "response": response })))?;
        }
        let event = json!({
            "code": error.code, "message": error.message, "param": error.param, "error": inner,
        });
        self.emit("error", object(event))?;
        Ok(self.take())
    }

    fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.out).into()
    }

    fn emit(&mut self, name: &str, fields: Map<String, Value>) -> Result<(), Error> {
        let mut event = object(json!({ "type": name }));
        event.extend(fields);
        event.insert("sequence_number".to_owned(), self.sequence.into());
        self.sequence = self.sequence.saturating_add(1);
        self.out.extend_from_slice(&sse::named(name, &event).map_err(Error::internal)?);
        Ok(())
    }

    fn begin(&mut self, id: &str, created: u64, model: &str) -> Result<(), Error> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        self.identity = Identity::new(id, created, model);
        for name in ["response.created", "response.in_progress"] {
            let response = self.client.response(&self.identity, "in_progress", &[]);
            self.emit(name, object(json!({ "response": response })))?;
        }
        Ok(())
    }

    fn delta(&mut self, choice: &ChoiceDelta) -> Result<(), Error> {
        let extra = &choice.delta.extra;
        let own = kept(extra);
        if self.items.is_empty()
            && let Some(output) = self.whole(choice)?
        {
            self.came_whole = true;
            return output.iter().try_for_each(|item| self.item(item));
        }
        let events = own.and_then(|own| own.get("events")?.as_array());
        for event in events.into_iter().flatten() {
            self.mark(event)?;
        }
        self.reasoning(extra, events.is_some_and(|events| !events.is_empty()))?;
        if let Some(text) = choice.delta.content.as_deref().filter(|text| !text.is_empty()) {
            let logprobs = choice.extra.get("logprobs");
            let tokens = logprobs.map(|logprobs| list_of(logprobs, "content")).unwrap_or_default();
            self.text(PartKind::Text, text, tokens)?;
        }
        if let Some(text) = extra.get("refusal").and_then(Value::as_str).filter(|text| !text.is_empty()) {
            self.text(PartKind::Refusal, text, &[])?;
        }
        let calls = extra.get("tool_calls").and_then(Value::as_array);
        for (place, call) in calls.into_iter().flatten().enumerate() {
            self.call(place, call)?;
        }
        let found = extra.get("annotations").and_then(Value::as_array);
        for annotation in found.into_iter().flatten() {
            if !self.came_whole || !self.has(annotation) {
                self.annotation(annotation)?;
            }
        }
        Ok(())
    }

    /// The items of an answer that came whole, in an order that its pieces do not tell.
    fn whole(&self, choice: &ChoiceDelta) -> Result<Option<Vec<Value>>, Error> {
        let Some(own) = kept(&choice.delta.extra) else { return Ok(None) };
        if let Some(output) = own.get("output").and_then(Value::as_array) {
            return Ok(Some(output.clone()));
        }
        if !own.contains_key("order") {
            return Ok(None);
        }
        let message = ReplyMessage {
            content: choice.delta.content.clone(),
            extra: choice.delta.extra.clone(),
            ..ReplyMessage::default()
        };
        answer::made_output(&self.identity.id, &message, choice.extra.get("logprobs")).map(Some)
    }

    fn reasoning(&mut self, extra: &Map<String, Value>, is_marked: bool) -> Result<(), Error> {
        let items =
            extra.get("reasoning_items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let text = ["reasoning_content", "reasoning"].iter().find_map(|key| extra.get(*key)?.as_str());
        let text = text.unwrap_or_default();
        // A paragraph's end is its event; items that come with their text have it inside.
        let is_told = text.is_empty() || (is_marked && text == PARAGRAPH) || !items.is_empty();
        if !is_told {
            self.text(PartKind::Summary, text, &[])?;
        }
        if let Some(blocks) = extra.get("thinking_blocks").and_then(Value::as_array) {
            let at = self.open_of(Kind::Reasoning)?;
            if let Some(item) = self.items.get_mut(at) {
                item.blocks.extend(blocks.iter().cloned());
            }
        }
        for item in items {
            match self.open.filter(|at| self.items.get(*at).is_some_and(|open| open.kind == Kind::Reasoning))
            {
                Some(at) => self.replace(at, item)?,
                None => self.item(item)?,
            }
        }
        Ok(())
    }

    /// The open reasoning item is whole: this is all of it.
    fn replace(&mut self, at: usize, item: &Value) -> Result<(), Error> {
        if let Some(open) = self.items.get_mut(at) {
            // Its id has been told already.
            let id = open.fields.get("id").cloned();
            open.fields = object(item.clone());
            open.fields.extend(id.map(|id| ("id".to_owned(), id)));
            open.is_whole = true;
        }
        self.close_item(at, "completed")
    }

    /// Writes an item that came whole.
    fn item(&mut self, item: &Value) -> Result<(), Error> {
        let kind = match text_of(item, "type") {
            "message" => Kind::Message,
            "reasoning" => Kind::Reasoning,
            "function_call" => {
                let at = self.add(Kind::Call, fields(item))?;
                self.argue(at, text_of(item, "arguments"))?;
                return self.close_item(at, "completed");
            }
            _ => Kind::Foreign,
        };
        let at = self.add(kind, fields(item))?;
        for (kind, part) in draft::parts(item).filter(|_| kind != Kind::Foreign) {
            self.open_part(at, kind)?;
            self.text(kind, text_of(part, kind.done_key()), list_of(part, "logprobs"))?;
            let begins = self.last_part(at).map_or(0, |part| part.begins);
            for annotation in list_of(part, "annotations") {
                self.annotation(&annotations::to_chat(annotation, begins))?;
            }
        }
        if matches!(kind, Kind::Reasoning | Kind::Foreign)
            && let Some(open) = self.items.get_mut(at)
        {
            open.fields = object(item.clone());
            open.is_whole = true;
        }
        self.close_item(at, "completed")
    }

    /// Follows an event of the provider's stream that says what chunks do not.
    fn mark(&mut self, event: &Value) -> Result<(), Error> {
        let place = event.get("output_index").and_then(Value::as_u64);
        match text_of(event, "type") {
            "response.output_item.added" => {
                let Some(item) = event.get("item") else { return Ok(()) };
                let kind = match text_of(item, "type") {
                    "message" => Kind::Message,
                    "reasoning" => Kind::Reasoning,
                    _ => Kind::Foreign,
                };
                let fields = if kind == Kind::Foreign { object(item.clone()) } else { fields(item) };
                let at = self.add(kind, fields)?;
                self.places.extend(place.map(|place| (place, at)));
                Ok(())
            }
            "response.content_part.added" | "response.reasoning_summary_part.added" => {
                let kind = event.get("part").and_then(PartKind::of);
                let Some(kind) = kind else { return Ok(()) };
                let at = self.open_of(if kind.is_reasoning() { Kind::Reasoning } else { Kind::Message })?;
                self.open_part(at, kind)
            }
            name => self.pass(name, event, place),
        }
    }

    /// Passes on an event of an item that chat does not know.
    fn pass(&mut self, name: &str, event: &Value, place: Option<u64>) -> Result<(), Error> {
        let known = self.places.iter().rev().find(|(theirs, _)| Some(*theirs) == place);
        let Some(at) = known.map(|(_, ours)| *ours) else { return Ok(()) };
        if name == "response.output_item.done"
            && let Some(item) = self.items.get_mut(at)
        {
            item.fields = event.get("item").cloned().map(object).unwrap_or_default();
            return self.close_item(at, "completed");
        }
        let mut fields = object(event.clone());
        fields.shift_remove("type");
        fields.insert("output_index".to_owned(), at.into());
        self.emit(name, fields)
    }

    // === items and parts ===

    /// Opens an item; what was open and has all of its text is closed first.
    fn add(&mut self, kind: Kind, fields: Map<String, Value>) -> Result<usize, Error> {
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
    fn tell(&mut self, at: usize) -> Result<(), Error> {
        let Some(item) = self.items.get_mut(at).filter(|item| !item.told) else { return Ok(()) };
        if item.kind == Kind::Call && !item.done && text_of_map(&item.fields, "name").is_empty() {
            return Ok(());
        }
        item.told = true;
        let event = json!({"output_index": at, "item": item.opening()});
        self.emit("response.output_item.added", object(event))
    }

    /// The open item of this kind, opened where there is none.
    fn open_of(&mut self, kind: Kind) -> Result<usize, Error> {
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

    fn last_part(&mut self, at: usize) -> Option<&mut Part> {
        self.items.get_mut(at)?.parts.last_mut()
    }

    fn open_part(&mut self, at: usize, kind: PartKind) -> Result<(), Error> {
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

    fn text(&mut self, kind: PartKind, text: &str, tokens: &[Value]) -> Result<(), Error> {
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

    fn has(&self, annotation: &Value) -> bool {
        let mut parts = self.items.iter().flat_map(|item| &item.parts);
        parts.any(|part| {
            part.annotations.iter().any(|known| annotations::to_chat(known, part.begins) == *annotation)
        })
    }

    /// Puts an annotation to the text that it is about, the last one, even where that has ended: it may come late.
    fn annotation(&mut self, annotation: &Value) -> Result<(), Error> {
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

    fn call(&mut self, place: usize, call: &Value) -> Result<(), Error> {
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

    fn argue(&mut self, at: usize, text: &str) -> Result<(), Error> {
        let Some(item) = self.items.get_mut(at).filter(|_| !text.is_empty()) else { return Ok(()) };
        item.arguments.push_str(text);
        if !item.told {
            return Ok(());
        }
        let event = json!({"item_id": item.id(), "output_index": at, "delta": text});
        self.emit("response.function_call_arguments.delta", object(event))
    }

    // === ends ===

    fn close_part(&mut self, at: usize) -> Result<(), Error> {
        let Some(part) = self.last_part(at).filter(|part| !part.done) else { return Ok(()) };
        part.done = true;
        let (kind, index) = (part.kind, part.index);
        let mut said = object(json!({ kind.done_key(): part.text }));
        if kind == PartKind::Text {
            said.insert("logprobs".to_owned(), json!(part.logprobs));
        }
        let value = part.value();
        let id = self.items.get(at).map(Item::id).unwrap_or_default();
        let about = object(json!({"item_id": id, "output_index": at, kind.index_key(): index}));
        let text = about.clone().into_iter().chain(said).collect();
        self.emit(&format!("{}.done", kind.text_event()), text)?;
        let part = about.into_iter().chain([("part".to_owned(), value)]).collect();
        self.emit(kind.part_done(), part)
    }

    fn close_item(&mut self, at: usize, status: &str) -> Result<(), Error> {
        if self.open == Some(at) {
            self.open = None;
        }
        self.close_part(at)?;
        let Some(item) = self.items.get_mut(at).filter(|item| !item.done) else { return Ok(()) };
        item.done = true;
        if item.kind == Kind::Call {
            let untold = !item.told;
            self.tell(at)?;
            let Some(item) = self.items.get_mut(at) else { return Ok(()) };
            let before = if untold { std::mem::take(&mut item.arguments) } else { String::new() };
            self.argue(at, &before)?;
            let Some(item) = self.items.get(at) else { return Ok(()) };
            let event = json!({
                "item_id": item.id(), "output_index": at, "name": item.fields.get("name"),
                "arguments": item.arguments,
            });
            self.emit("response.function_call_arguments.done", object(event))?;
        }
        let Some(item) = self.items.get(at) else { return Ok(()) };
        let event = json!({"output_index": at, "item": item.value(status)});
        self.emit("response.output_item.done", object(event))
    }

    fn close_open(&mut self) -> Result<(), Error> {
        self.open.map_or(Ok(()), |at| self.close_item(at, "completed"))
    }

    /// Calls end one by one where they come one after another; those that come interleaved end together.
    fn close_calls_that_are_whole(&mut self) -> Result<(), Error> {
        let is_whole = |item: &Item| serde_json::from_str::<IgnoredAny>(&item.arguments).is_ok();
        for place in 0..self.items.len() {
            let open = self.items.get(place).filter(|item| item.kind == Kind::Call && !item.done);
            if open.is_some_and(is_whole) {
                self.close_item(place, "completed")?;
            }
        }
        Ok(())
    }

    fn close_calls(&mut self, status: &str) -> Result<(), Error> {
        for place in 0..self.items.len() {
            if self.items.get(place).is_some_and(|item| item.kind == Kind::Call && !item.done) {
                self.close_item(place, status)?;
            }
        }
        Ok(())
    }

    /// Closes everything; the last item has the answer's own status.
    fn close(&mut self, status: &str) -> Result<(), Error> {
        let last = self.items.len().checked_sub(1);
        for place in 0..self.items.len() {
            let status = if Some(place) == last { status } else { "completed" };
            self.close_item(place, status)?;
        }
        Ok(())
    }

    fn output(&self, status: &str) -> Vec<Value> {
        let last = self.items.len().checked_sub(1);
        let status_of = |place: usize| if Some(place) == last { status } else { "completed" };
        self.items.iter().enumerate().map(|(place, item)| item.value(status_of(place))).collect()
    }
}

/// An item's own fields, without what is said in it.
fn fields(item: &Value) -> Map<String, Value> {
    let mut fields = object(item.clone());
    for key in ["content", "summary", "arguments", "status", "encrypted_content"] {
        fields.shift_remove(key);
    }
    fields
}

fn text_of_map<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}
