//! What a stream says of its prompt's tokens before anybody has counted them.

#![allow(clippy::expect_used, reason = "a test that cannot go on has failed")]

use api::{Chunk, parse_object};
use dialects::Face;
use serde_json::Value;

/// The first event that a client of `face` gets, where the prompt is held to have `estimate` tokens.
fn check(face: Face, body: &str, estimate: Option<u64>, expected: Option<u64>) {
    let body = parse_object(body.as_bytes()).expect("an object");
    let writer = face.read(body).expect("a request").1.writer();
    let mut writer = match estimate {
        Some(tokens) => writer.with_prompt_tokens(tokens),
        None => writer,
    };
    let bytes = writer.chunk(&Chunk::text("a", 1, "m", "x")).expect("events");
    let text = std::str::from_utf8(&bytes).expect("text");
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("an event");
    let event: Value = serde_json::from_str(data).expect("JSON");
    assert_eq!(event["message"]["usage"]["input_tokens"].as_u64(), expected, "{face:?}");
}

#[test]
fn only_a_stream_that_begins_with_a_count_is_told_the_estimate() {
    let messages = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#;
    check(Face::Messages, messages, Some(31), Some(31));
    check(Face::Messages, messages, None, Some(0));
    let chat = r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
    check(Face::Chat, chat, Some(31), None);
    check(Face::Responses, r#"{"model":"m","input":"x"}"#, Some(31), None);
}
