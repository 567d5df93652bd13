//! An answer, written to a client as this dialect's stream of events.
//!
//! Owns the order of events, their numbers, and that everything opened is closed. Refuses to write the end of a whole
//! answer for a broken one.

mod ends;
mod items;

use api::{ChoiceDelta, Chunk, Completion, Error, Fault, ReplyMessage, sse};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::answer::{self, Client, Ending, Identity};
use super::draft::{self, Item, Kind, PartKind};
use super::{PARAGRAPH, annotations, kept, list_of, object, text_of};

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
}

/// An item's own fields, without what is said in it.
fn fields(item: &Value) -> Map<String, Value> {
    let mut fields = object(item.clone());
    for key in ["content", "summary", "arguments", "status", "encrypted_content"] {
        fields.shift_remove(key);
    }
    fields
}
