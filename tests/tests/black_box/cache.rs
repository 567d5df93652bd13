//! Answers given again: exactly the same request, told in `cache-status`, and never an answer that was not whole.

use serde_json::json;
use tests::{ANSWER, Answer, Request, question};

use crate::house::shared;

fn ask(seed: u32, stream: bool, control: &str) -> Answer {
    let body = question("ok+cached", json!({"seed": seed, "stream": stream}));
    let request = Request::post("/v1/chat/completions", &body);
    let request = if control.is_empty() { request } else { request.header("cache-control", control) };
    request.send(shared().gateway.data)
}

fn called(seed: u32) -> usize {
    let attempts = shared().provider.attempts("ok+cached");
    attempts.iter().filter(|attempt| attempt.body["seed"] == seed).count()
}

#[test]
fn the_same_request_is_answered_from_memory() {
    let first = ask(1, false, "").expect(200);
    assert!(first.header("cache-status").starts_with("pointsman; fwd="), "{}", first.header("cache-status"));
    assert_eq!(first.header("age"), "");
    let second = ask(1, false, "").expect(200);
    let status = second.header("cache-status");
    let ttl = status.strip_prefix("pointsman; hit; ttl=").unwrap_or_else(|| panic!("{status}"));
    assert!((3000..=3600).contains(&ttl.parse::<u64>().unwrap()), "{status}");
    assert!(second.header("age").parse::<u64>().unwrap() < 600);
    assert_eq!(second.content(), ANSWER);
    assert_eq!(second.header("x-pointsman-cost-usd"), "0.00");
    assert_eq!(second.header("x-pointsman-track"), "external");
    assert_eq!(called(1), 1);
    let streamed = ask(1, true, "").expect(200);
    assert!(streamed.header("cache-status").contains("; hit"));
    assert!(streamed.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(called(1), 1);
}

#[test]
fn a_streamed_answer_is_remembered_once_it_is_whole() {
    ask(2, true, "").expect(200);
    // The last byte has been read, and the answer is remembered before it is sent.
    let again = ask(2, false, "").expect(200);
    assert!(again.header("cache-status").contains("; hit"), "{}", again.header("cache-status"));
    assert_eq!((again.content().as_str(), called(2)), (ANSWER, 1));
}

#[test]
fn the_callers_wishes_hold() {
    assert_eq!(ask(3, false, "only-if-cached").expect(504).code(), "not_cached");
    assert_eq!(called(3), 0);
    ask(3, false, "no-store").expect(200);
    ask(3, false, "").expect(200);
    assert_eq!(called(3), 2, "an answer that must not be stored is not");
    ask(3, false, "only-if-cached").expect(200);
    let fresh = ask(3, false, "no-cache").expect(200);
    assert!(fresh.header("cache-status").contains("fwd="));
    assert_eq!(called(3), 3);
}
