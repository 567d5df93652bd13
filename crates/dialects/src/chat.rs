//! OpenAI's chat completions, as OpenAI and everything compatible with it speaks them.
//!
//! Owns the writing of a request and the reading of answers, whole and by events. Refuses to drop what it does not know:
//! unknown fields pass both ways. Refuses an answer without choices, and an error dressed as an answer.

use std::borrow::Cow;
use std::collections::VecDeque;

use api::sse::{self, Event};
use api::{ChatRequest, Chunk, Completion, Error};
use bytes::Bytes;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use crate::foreign::{foreign, is_reserved};
use crate::{Progress, Trouble};

/// The request's body: what came, with the upstream's own `model`, and with the usage asked for where it streams.
///
/// # Errors
/// The request holds what only another dialect has words for.
pub(crate) fn body(request: &ChatRequest, model: &str) -> Result<Bytes, Error> {
    foreign(&request.body, "")?;
    let mut bytes = Vec::with_capacity(1024);
    serde_json::to_writer(&mut bytes, &Outgoing { request, model }).map_err(Error::internal)?;
    Ok(bytes.into())
}

/// Writes the body in its own order, without copying it first.
struct Outgoing<'a> {
    request: &'a ChatRequest,
    model: &'a str,
}

impl Serialize for Outgoing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { request, model } = self;
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in &request.body {
            match key.as_str() {
                // What is under it are hints: anything else has been refused.
                key if is_reserved(key) => {}
                "messages" => map.serialize_entry(key, &Conversation(value))?,
                "model" => map.serialize_entry(key, model)?,
                "stream_options" if request.stream => {
                    map.serialize_entry(key, &with_usage(value.as_object()))?;
                }
                _ => map.serialize_entry(key, value)?,
            }
        }
        if request.stream && !request.body.contains_key("stream_options") {
            map.serialize_entry("stream_options", &with_usage(None))?;
        }
        map.end()
    }
}

/// Messages without what only the house and other dialects know: providers refuse keys that they do not know.
struct Conversation<'a>(&'a Value);

/// What other dialects' answers leave in a conversation for their own next turn.
const KEEPSAKES: [&str; 4] = ["thinking_blocks", "reasoning_items", "provider_specific_fields", "is_error"];

impl Serialize for Conversation<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(messages) = self.0.as_array() else { return self.0.serialize(serializer) };
        serializer.collect_seq(messages.iter().map(plain))
    }
}

/// A message as chat knows it; borrowed where it is that already.
fn plain(message: &Value) -> Cow<'_, Value> {
    let calls = |message: &Value| {
        let calls = message.get("tool_calls").and_then(Value::as_array);
        calls.is_some_and(|calls| calls.iter().any(|call| call.get("provider_specific_fields").is_some()))
    };
    if !KEEPSAKES.iter().any(|key| message.get(key).is_some()) && !calls(message) {
        return Cow::Borrowed(message);
    }
    let mut message = message.clone();
    if let Some(fields) = message.as_object_mut() {
        if fields.contains_key("thinking_blocks") || fields.contains_key("reasoning_items") {
            fields.shift_remove("reasoning_content");
        }
        fields.retain(|key, _| !KEEPSAKES.contains(&key.as_str()));
    }
    let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
    for call in calls.into_iter().flatten().filter_map(Value::as_object_mut) {
        call.shift_remove("provider_specific_fields");
    }
    Cow::Owned(message)
}

fn with_usage(options: Option<&Map<String, Value>>) -> Map<String, Value> {
    let mut options = options.cloned().unwrap_or_default();
    options.insert("include_usage".to_owned(), Value::Bool(true));
    options
}

/// A whole answer.
pub(crate) fn whole(body: &[u8]) -> Result<Completion, Trouble> {
    let completion = match serde_json::from_slice::<Completion>(body) {
        Ok(completion) => completion,
        Err(problem) => {
            let mut value: Value =
                serde_json::from_slice(body).map_err(|_| Trouble::garbage(format!("not JSON: {problem}")))?;
            refuse_error(value.get("error"))?;
            drop_nulls(&mut value);
            serde_json::from_value(value)
                .map_err(|_| Trouble::garbage(format!("not an answer: {problem}")))?
        }
    };
    refuse_error(completion.extra.get("error"))?;
    if completion.choices.is_empty() {
        return Err(Trouble::garbage("an answer without choices"));
    }
    for choice in &completion.choices {
        refuse_broken(choice.finish_reason.as_deref(), &choice.extra)?;
    }
    Ok(completion)
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

/// Reads one streamed reply.
#[derive(Debug)]
pub struct Reader(Finished);

impl Reader {
    /// A reader of a reply that should hold `answers` answers.
    pub(crate) fn new(answers: u32) -> Self {
        Self(Finished::new(answers))
    }

    pub(crate) fn event(&mut self, event: &Event, chunks: &mut VecDeque<Chunk>) -> Result<Progress, Trouble> {
        let data = event.data.trim();
        if data == "[DONE]" {
            return match self.0.has_begun() {
                true => Ok(Progress::Done),
                false => Err(Trouble::garbage("[DONE] without an answer")),
            };
        }
        // Some servers keep a connection open with empty events.
        if !data.is_empty() {
            let chunk = chunk(&event.name, data)?;
            self.0.note(&chunk);
            chunks.push_back(chunk);
        }
        Ok(Progress::More)
    }

    pub(crate) fn ended(&self) -> Result<(), Trouble> {
        if self.0.has_begun() && self.0.is_whole() {
            return Ok(());
        }
        Err(Trouble::Cut("the stream ended before its answer did".to_owned()))
    }
}

fn chunk(name: &str, data: &str) -> Result<Chunk, Trouble> {
    let chunk = match serde_json::from_str::<Chunk>(data) {
        Ok(chunk) => chunk,
        Err(problem) => {
            let mut value: Value = serde_json::from_str(data)
                .map_err(|_| Trouble::garbage(format!("an event that is not JSON: {problem}")))?;
            refuse_error(value.get("error"))?;
            drop_nulls(&mut value);
            serde_json::from_value(value)
                .map_err(|_| Trouble::garbage(format!("an event that is no chunk: {problem}")))?
        }
    };
    refuse_error(chunk.extra.get("error"))?;
    if name == "error" {
        return Err(Trouble::InBand(Value::Object(chunk.extra)));
    }
    for choice in &chunk.choices {
        refuse_broken(choice.finish_reason.as_deref(), &choice.extra)?;
    }
    Ok(chunk)
}

fn refuse_error(error: Option<&Value>) -> Result<(), Trouble> {
    match error {
        None | Some(Value::Null) => Ok(()),
        Some(error) => Err(Trouble::InBand(error.clone())),
    }
}

/// Aggregators say that their own upstream failed by the finish reason `error`, with the error inside the choice.
fn refuse_broken(finish: Option<&str>, extra: &Map<String, Value>) -> Result<(), Trouble> {
    if finish != Some("error") {
        return Ok(());
    }
    refuse_error(extra.get("error"))?;
    Err(Trouble::Cut("the finish reason is `error`".to_owned()))
}

/// Some servers write null where the format has a number, a text or nothing at all, and times with a fraction.
fn drop_nulls(value: &mut Value) {
    let Some(object) = value.as_object_mut() else { return };
    object.retain(|_, value| !value.is_null());
    if let Some(created) = object.get_mut("created")
        && let Some(seconds) = created.as_f64()
        && !created.is_u64()
    {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
        let whole = seconds as u64;
        *created = whole.into();
    }
    if let Some(usage) = object.get_mut("usage").and_then(Value::as_object_mut) {
        usage.retain(|_, value| !value.is_null());
    }
    let choices = object.get_mut("choices").and_then(Value::as_array_mut);
    for choice in choices.into_iter().flatten().filter_map(Value::as_object_mut) {
        // A null that may stand is the same as a field left out.
        choice.retain(|key, value| !value.is_null() || key == "logprobs");
    }
}

/// Which of the answers in a stream have come to their end.
#[derive(Debug)]
struct Finished {
    seen: u128,
    finished: u128,
    expected: u32,
}

impl Finished {
    /// Nothing seen of `expected` answers.
    fn new(expected: u32) -> Self {
        Self { seen: 0, finished: 0, expected }
    }

    /// Takes note of a chunk.
    fn note(&mut self, chunk: &Chunk) {
        for choice in &chunk.choices {
            let bit = 1u128.checked_shl(choice.index).unwrap_or(0);
            self.seen |= bit;
            if choice.finish_reason.as_deref().is_some_and(|reason| !reason.is_empty()) {
                self.finished |= bit;
            }
        }
    }

    /// Anything of an answer has come.
    fn has_begun(&self) -> bool {
        self.seen != 0
    }

    /// Every answer has come to its end, and all that were asked for have come.
    fn is_whole(&self) -> bool {
        self.seen == self.finished && self.finished.count_ones() >= self.expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &str) -> ChatRequest {
        ChatRequest::from_body(api::parse_object(body.as_bytes()).expect("an object")).expect("a request")
    }

    fn check_body(came: &str, sent: &str) {
        let bytes = body(&request(came), "their-model").expect("a body");
        assert_eq!(std::str::from_utf8(&bytes).expect("text"), sent);
    }

    #[test]
    fn a_request_keeps_its_order_and_unknown_fields() {
        check_body(
            r#"{"z":[1,{"b":2.5,"a":null}],"model":"auto","messages":[{"role":"user","content":"é"}],"top_k":5}"#,
            r#"{"z":[1,{"b":2.5,"a":null}],"model":"their-model","messages":[{"role":"user","content":"é"}],"top_k":5}"#,
        );
        let messages = r#""messages":[{"role":"user","content":"x"}]"#;
        check_body(
            &format!(r#"{{"model":"m","stream":true,{messages}}}"#),
            &format!(
                r#"{{"model":"their-model","stream":true,{messages},"stream_options":{{"include_usage":true}}}}"#
            ),
        );
        check_body(
            &format!(
                r#"{{"model":"m","stream_options":{{"include_usage":false,"x":1}},"stream":true,{messages}}}"#
            ),
            &format!(
                r#"{{"model":"their-model","stream_options":{{"include_usage":true,"x":1}},"stream":true,{messages}}}"#
            ),
        );
        check_body(
            &format!(r#"{{"model":"m","stream":true,"stream_options":null,{messages}}}"#),
            &format!(
                r#"{{"model":"their-model","stream":true,"stream_options":{{"include_usage":true}},{messages}}}"#
            ),
        );
    }

    #[test]
    fn a_provider_is_sent_nothing_that_only_other_dialects_know() {
        check_body(
            r#"{"model":"m","responses":{"background":false},"messages":[{"role":"assistant","content":"a","reasoning_content":"r",
            "thinking_blocks":[],"tool_calls":[{"id":"1","provider_specific_fields":{}}]},{"role":"assistant","reasoning_content":"kept","content":"b"}]}"#,
            r#"{"model":"their-model","messages":[{"role":"assistant","content":"a","tool_calls":[{"id":"1"}]},{"role":"assistant","reasoning_content":"kept","content":"b"}]}"#,
        );
        let foreign = request(
            r#"{"model":"m","responses":{"conversation":"c"},"messages":[{"role":"user","content":"x"}]}"#,
        );
        let refused = body(&foreign, "m").expect_err("only Responses knows it");
        assert_eq!((refused.code, refused.param.as_deref()), ("unsupported_by_target", Some("conversation")));
    }

    fn kind_of(trouble: &Trouble) -> String {
        match trouble {
            Trouble::Garbage(_) => "garbage".to_owned(),
            Trouble::InBand(error) => format!("error {}", error["code"]),
            Trouble::Cut(_) => "cut".to_owned(),
        }
    }

    fn check_whole(answer: &str, expected: Result<&str, &str>) {
        match (whole(answer.as_bytes()), expected) {
            (Ok(got), Ok(text)) => {
                assert_eq!(got.choices[0].message.content.as_deref(), Some(text), "{answer}");
            }
            (Err(trouble), Err(kind)) => assert_eq!(kind_of(&trouble), kind, "{answer}"),
            (got, _) => panic!("{answer}: {got:?}"),
        }
    }

    #[test]
    fn a_whole_answer_is_told_from_everything_else() {
        check_whole(
            r#"{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"error":null}"#,
            Ok("hi"),
        );
        check_whole(
            r#"{"id":null,"created":1.5e9,"model":null,"choices":[{"index":null,"message":{"content":"hi"},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":3,"completion_tokens":null}}"#,
            Ok("hi"),
        );
        check_whole(r#"{"error":{"message":"no","code":500}}"#, Err("error 500"));
        check_whole(r#"{"choices":[],"error":{"message":"no","code":429}}"#, Err("error 429"));
        check_whole(r#"{"choices":[]}"#, Err("garbage"));
        check_whole(r#"{"object":"list","data":[]}"#, Err("garbage"));
        check_whole(r#"{"choices":[{"message":{"content":"hi"#, Err("garbage"));
        check_whole("<html>", Err("garbage"));
        check_whole("", Err("garbage"));
        check_whole("[]", Err("garbage"));
        check_whole(
            r#"{"choices":[{"message":{"content":"h"},"finish_reason":"error","error":{"code":503,"message":"x"}}]}"#,
            Err("error 503"),
        );
    }

    fn check_event(name: &str, data: &str, expected: Result<Option<&str>, &str>) {
        let event = Event { name: name.to_owned(), data: data.to_owned() };
        let mut chunks = VecDeque::new();
        let read = Reader::new(1).event(&event, &mut chunks);
        let said = chunks.front().map(|chunk| chunk.choices[0].delta.content.as_deref().unwrap_or_default());
        match (read, expected) {
            (Ok(Progress::More), Ok(text)) => assert_eq!(said, text, "{data}"),
            (Err(trouble), Err(kind)) => assert_eq!(kind_of(&trouble), kind, "{data}"),
            (read, _) => panic!("{data}: expected {expected:?}, got {read:?}"),
        }
    }

    #[test]
    fn an_event_is_a_chunk_an_end_or_an_error() {
        check_event("", r#"{"choices":[{"delta":{"content":"a"}}],"usage":null}"#, Ok(Some("a")));
        check_event("", r#"{"id":null,"choices":[{"delta":{"content":"a"},"index":null}]}"#, Ok(Some("a")));
        check_event("", " ", Ok(None));
        check_event("", "[DONE]", Err("garbage"));
        check_event("", r#"{"error":{"message":"x"}}"#, Err("error null"));
        check_event("", r#"{"error":"x","choices":1}"#, Err("error null"));
        check_event("error", r#"{"message":"x","code":429}"#, Err("error 429"));
        check_event("", r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#, Err("cut"));
        check_event("", "{", Err("garbage"));
        check_event("", "[]", Err("garbage"));
        let mut reader = Reader::new(1);
        let mut chunks = VecDeque::new();
        for (data, progress) in
            [(r#"{"choices":[{"delta":{"content":"a"}}]}"#, Progress::More), (" [DONE] ", Progress::Done)]
        {
            let event = Event { name: String::new(), data: data.to_owned() };
            assert_eq!(reader.event(&event, &mut chunks), Ok(progress), "{data}");
        }
    }

    #[test]
    fn an_answer_is_whole_when_all_that_were_asked_for_ended() {
        let chunk = |index: u32, finish: Option<&str>| {
            let mut chunk = Chunk::text("", 0, "", "x");
            chunk.choices[0].index = index;
            chunk.choices[0].finish_reason = finish.map(str::to_owned);
            chunk
        };
        let mut finished = Finished::new(2);
        assert!(!finished.has_begun() && !finished.is_whole());
        finished.note(&chunk(0, None));
        finished.note(&chunk(0, Some("stop")));
        assert!(finished.has_begun() && !finished.is_whole(), "the second answer has not come");
        finished.note(&chunk(1, Some("")));
        assert!(!finished.is_whole(), "an empty reason is none");
        finished.note(&chunk(1, Some("length")));
        assert!(finished.is_whole());
        finished.note(&chunk(u32::MAX, None));
        assert!(finished.is_whole());
    }
}
