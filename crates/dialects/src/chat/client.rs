//! A client that speaks this dialect: answers are written for it as the house keeps them, without what is kept only for
//! clients of another dialect.
//!
//! Owns the end of a stream, and what a chat client has no use for. Refuses to hold back anything that says something.

use api::sse;
use api::{ChatRequest, ChoiceDelta, Chunk, Completion, Error, PROVIDER_FIELDS};
use bytes::Bytes;
use serde_json::{Map, Value};

/// Whether an answer holds nothing that is kept for clients of another dialect alone.
pub(crate) fn is_plain(completion: &Completion) -> bool {
    !completion.choices.iter().any(|choice| has_marks(&choice.message.extra))
}

/// A client that speaks this dialect.
#[derive(Clone, Debug)]
pub struct Client {
    include_usage: bool,
}

impl Client {
    /// The client that asks `request`.
    pub(crate) fn of(request: &ChatRequest) -> Self {
        Self { include_usage: request.include_usage }
    }

    /// The body of a whole answer.
    #[expect(clippy::unused_self, reason = "every dialect's client is asked")]
    pub(crate) fn whole(&self, completion: &Completion) -> Result<Bytes, Error> {
        let json = |completion| serde_json::to_vec(completion).map(Bytes::from).map_err(Error::internal);
        if is_plain(completion) {
            return json(completion);
        }
        let mut completion = completion.clone();
        completion.choices.iter_mut().for_each(|choice| drop_marks(&mut choice.message.extra));
        json(&completion)
    }

    /// The event that passes a chunk on; nothing, where it holds nothing that a chat client can use.
    #[expect(clippy::unused_self, reason = "every dialect's client is asked")]
    pub(crate) fn chunk(&self, chunk: &Chunk) -> Result<Bytes, Error> {
        if !chunk.choices.iter().any(|choice| has_marks(&choice.delta.extra)) {
            return sse::data(chunk).map_err(Error::internal);
        }
        let mut chunk = chunk.clone();
        chunk.choices.iter_mut().for_each(|choice| drop_marks(&mut choice.delta.extra));
        if chunk.usage.is_none() && chunk.extra.is_empty() && chunk.choices.iter().all(is_empty) {
            return Ok(Bytes::new());
        }
        sse::data(&chunk).map_err(Error::internal)
    }

    /// The usage, where the client asked for it, and the event that says that the answer is whole.
    pub(crate) fn finish(&self, answer: &Completion, told: Value) -> Result<Bytes, Error> {
        let Some(usage) = answer.usage.clone().filter(|_| self.include_usage) else { return Ok(sse::DONE) };
        let mut last = Chunk::of_usage(&answer.id, answer.created, &answer.model, usage);
        if !told.is_null() {
            last.extra.insert("pointsman".to_owned(), told);
        }
        let last = sse::data(&last).map_err(Error::internal)?;
        Ok([last, sse::DONE].concat().into())
    }
}

/// Something in what is kept says where a part of another dialect's stream begins or ends, and no more than that.
fn has_marks(extra: &Map<String, Value>) -> bool {
    let Some(kept) = extra.get(PROVIDER_FIELDS).and_then(Value::as_object) else { return false };
    kept.get("responses").is_some_and(|own| own.get("events").is_some())
        || kept.get("anthropic_blocks").is_some_and(is_empty_list)
}

fn drop_marks(extra: &mut Map<String, Value>) {
    let Some(kept) = extra.get_mut(PROVIDER_FIELDS).and_then(Value::as_object_mut) else { return };
    if let Some(own) = kept.get_mut("responses").and_then(Value::as_object_mut) {
        own.shift_remove("events");
        if own.is_empty() {
            kept.shift_remove("responses");
        }
    }
    if kept.get("anthropic_blocks").is_some_and(is_empty_list) {
        kept.shift_remove("anthropic_blocks");
    }
    if kept.is_empty() {
        extra.shift_remove(PROVIDER_FIELDS);
    }
}

fn is_empty_list(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

fn is_empty(choice: &ChoiceDelta) -> bool {
    let delta = &choice.delta;
    let says = delta.role.is_some() || delta.content.is_some() || !delta.extra.is_empty();
    !says && choice.finish_reason.is_none() && choice.extra.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(delta: &Value, expected: Option<&Value>) {
        let came = json!({"id": "1", "object": "chat.completion.chunk", "created": 5, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": null}]});
        let chunk: Chunk = serde_json::from_value(came.clone()).expect("a chunk");
        let bytes = Client { include_usage: false }.chunk(&chunk).expect("an event");
        let told = std::str::from_utf8(&bytes).expect("text").strip_prefix("data: ");
        let told: Option<Value> = told.map(|data| serde_json::from_str(data).expect("JSON"));
        let expected = expected.map(|delta| {
            let mut chunk = came.clone();
            chunk["choices"][0]["delta"] = delta.clone();
            chunk
        });
        assert_eq!(told, expected, "{came}");
    }

    #[test]
    fn a_chat_client_is_told_what_it_can_use_and_no_more() {
        let marks = |kept: Value| json!({"provider_specific_fields": kept});
        let event = json!({"type": "response.web_search_call.searching"});
        check(&marks(json!({"responses": {"events": [event]}})), None);
        check(&marks(json!({"anthropic_blocks": []})), None);
        let kept = marks(json!({"responses": {"id": "msg_1"}}));
        check(&marks(json!({"responses": {"id": "msg_1", "events": []}})), Some(&kept));
        check(&kept, Some(&kept));
        let block = marks(json!({"anthropic_blocks": [{"type": "text", "text": "x"}]}));
        check(&block, Some(&block));
        for (key, value) in [("reasoning_content", "\n\n"), ("role", "assistant")] {
            let mut marked = marks(json!({"responses": {"events": [event]}}));
            marked[key] = value.into();
            check(&marked, Some(&json!({ key: value })));
        }
        check(&json!({}), Some(&json!({})));
    }
}
