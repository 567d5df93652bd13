//! Ends: everything that was opened is closed, once, and what was said stands in it.

use api::Error;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::super::draft::{Item, Kind, PartKind};
use super::super::object;
use super::Writer;

impl Writer {
    pub(super) fn close_part(&mut self, at: usize) -> Result<(), Error> {
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

    pub(super) fn close_item(&mut self, at: usize, status: &str) -> Result<(), Error> {
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

    pub(super) fn close_open(&mut self) -> Result<(), Error> {
        self.open.map_or(Ok(()), |at| self.close_item(at, "completed"))
    }

    /// Calls end one by one where they come one after another; those that come interleaved end together.
    pub(super) fn close_calls_that_are_whole(&mut self) -> Result<(), Error> {
        let is_whole = |item: &Item| serde_json::from_str::<IgnoredAny>(&item.arguments).is_ok();
        for place in 0..self.items.len() {
            let open = self.items.get(place).filter(|item| item.kind == Kind::Call && !item.done);
            if open.is_some_and(is_whole) {
                self.close_item(place, "completed")?;
            }
        }
        Ok(())
    }

    pub(super) fn close_calls(&mut self, status: &str) -> Result<(), Error> {
        for place in 0..self.items.len() {
            if self.items.get(place).is_some_and(|item| item.kind == Kind::Call && !item.done) {
                self.close_item(place, status)?;
            }
        }
        Ok(())
    }

    /// Closes everything; the last item has the answer's own status.
    pub(super) fn close(&mut self, status: &str) -> Result<(), Error> {
        let last = self.items.len().checked_sub(1);
        for place in 0..self.items.len() {
            let status = if Some(place) == last { status } else { "completed" };
            self.close_item(place, status)?;
        }
        Ok(())
    }

    pub(super) fn output(&self, status: &str) -> Vec<Value> {
        let last = self.items.len().checked_sub(1);
        let status_of = |place: usize| if Some(place) == last { status } else { "completed" };
        self.items.iter().enumerate().map(|(place, item)| item.value(status_of(place))).collect()
    }
}
