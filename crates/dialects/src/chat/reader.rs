//! A streamed answer, event by event.
//!
//! Owns which of the answers have come to their end. Refuses to call a stream whole before all that were asked for have.

use std::collections::VecDeque;

use api::sse::Event;
use api::{ChoiceDelta, Chunk};
use serde_json::Value;

use super::answer::{drop_nulls, refuse_broken, refuse_error};
use crate::{Progress, Trouble};

/// OpenAI's own limit of `n`, and far more calls than any answer has: what is gathered stays in bounds.
const ANSWERS_MAX: u32 = 128;
const CALLS_MAX: u64 = 1024;

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
        if choice.index >= ANSWERS_MAX || calls(choice).any(|index| index >= CALLS_MAX) {
            return Err(Trouble::garbage("an answer or a call beyond any number that can be asked for"));
        }
    }
    Ok(chunk)
}

/// The numbers of the calls in a chunk.
fn calls(choice: &ChoiceDelta) -> impl Iterator<Item = u64> {
    let calls = choice.delta.extra.get("tool_calls").and_then(Value::as_array);
    calls.into_iter().flatten().filter_map(|call| call.get("index")?.as_u64())
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

    fn kind_of(trouble: &Trouble) -> String {
        match trouble {
            Trouble::Garbage(_) => "garbage".to_owned(),
            Trouble::InBand(error) => format!("error {}", error["code"]),
            Trouble::Cut(_) => "cut".to_owned(),
        }
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
        check_event("", r#"{"choices":[{"delta":{"content":"a"},"index":128}]}"#, Err("garbage"));
        check_event("", r#"{"choices":[{"delta":{"tool_calls":[{"index":1024}]}}]}"#, Err("garbage"));
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
