//! The provider that misbehaves must misbehave as its table says: otherwise the other tests prove nothing.

#![expect(clippy::expect_used, reason = "a test that cannot set its scene should fail where it stands")]

use std::net::SocketAddr;

use serde_json::json;
use tests::{ANSWER, Events, Provider, Request, question};

fn address(provider: &Provider) -> SocketAddr {
    let url = provider.base_url();
    url.trim_start_matches("http://").trim_end_matches("/v1").parse().expect("an address")
}

fn open(provider: &Provider, model: &str, stream: bool) -> Events {
    Request::post("/v1/chat/completions", &question(model, json!({"stream": stream}))).open(address(provider))
}

fn text(events: &[String]) -> String {
    let chunks = events.iter().filter(|event| *event != "[DONE]");
    let chunks = chunks.map(|event| serde_json::from_str::<serde_json::Value>(event).expect(event));
    chunks.map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().unwrap_or("").to_owned()).collect()
}

#[test]
fn whole_streams_say_the_answer_in_every_form() {
    let provider = Provider::start();
    for (model, done, usage) in [
        ("ok", true, true),
        ("ok+other", true, true),
        ("crlf", true, true),
        ("no-space", true, true),
        ("no-done", false, true),
        ("no-usage", true, false),
        ("usage-on-choice", true, true),
        ("comments", true, true),
        ("multi-line", true, true),
        ("bom", true, true),
        ("pieces-0", true, true),
        ("pieces-7", true, true),
        ("flaky-0", true, true),
    ] {
        let events = open(&provider, model, true).events();
        assert_eq!(text(&events), ANSWER, "{model}");
        assert_eq!(events.contains(&"[DONE]".to_owned()), done, "{model}");
        let events: Vec<String> = events.iter().map(|event| event.replace("\": ", "\":")).collect();
        assert_eq!(events.iter().any(|event| event.contains("\"usage\":{")), usage, "{model}");
        let stops = events.iter().filter(|event| event.contains("\"finish_reason\":\"stop\"")).count();
        assert_eq!(stops, 1, "{model}");
    }
}

#[test]
fn faults_are_what_they_are_called() {
    let provider = Provider::start();
    for (model, status, part) in [
        ("ok", 200, ANSWER),
        ("e400", 400, "The provider says 400"),
        ("e429", 429, "429"),
        ("e500", 500, "500"),
        ("error-in-200", 200, "on fire"),
        ("garbage", 200, "<html>"),
        ("redirect", 302, ""),
        ("e529", 529, "529"),
        ("e429-bare", 429, "Slow down"),
        ("spent", 429, "insufficient_quota"),
        ("too-long", 400, "context_length_exceeded"),
        ("filtered", 400, "content_filter"),
        ("declines", 200, "content_filter"),
        ("truncated", 200, "chat.completion"),
        ("gzip", 200, "\u{fffd}"),
        ("other", 200, tests::OTHER),
        ("flaky-1", 500, "500"),
        ("flaky-1", 200, ANSWER),
        ("nobody", 404, "no such model"),
    ] {
        let answer = open(&provider, model, false).whole().expect(status);
        assert!(answer.text().contains(part), "{model}: {}", answer.text());
    }
    assert_eq!(open(&provider, "e429", false).header("retry-after"), "7");
    assert_eq!(open(&provider, "e429-bare", false).header("retry-after"), "");
    assert_eq!(open(&provider, "gzip", false).header("content-encoding"), "gzip");
    assert_eq!(open(&provider, "gzip-unsaid", false).header("content-encoding"), "");
    assert!(
        serde_json::from_str::<serde_json::Value>(&open(&provider, "truncated", false).whole().text())
            .is_err()
    );
    assert_eq!(provider.attempts("flaky-1").len(), 2);
    assert_eq!(provider.last("ok").body["messages"][0]["role"], "user");
}

#[test]
fn broken_streams_end_as_they_are_called() {
    let provider = Provider::start();
    let check = |model: &str, said: &str, last: &str| {
        let mut stream = open(&provider, model, true);
        let events: Vec<String> = std::iter::from_fn(|| stream.next_event()).collect();
        let chunks: Vec<String> = events.iter().filter(|event| event.contains("choices")).cloned().collect();
        assert_eq!(text(&chunks), said, "{model}");
        assert!(events.last().expect(model).contains(last), "{model}: {events:?}");
    };
    check("no-end", ANSWER, "choices");
    check("only-done", "", "[DONE]");
    check("error-first", "", "on fire");
    check("error-in-stream", "Zug ", "on fire");
    for (model, said) in [("endless", "Zug fährt fährt "), ("words-then-comments", "Zug "), ("stall", "Zug ")]
    {
        let mut stream = open(&provider, model, true);
        let count = 1 + said.split_inclusive(' ').count();
        let events: Vec<String> = (0..count).filter_map(|_| stream.next_event()).collect();
        assert_eq!(text(&events), said, "{model}");
        stream.leave();
    }
}

#[test]
fn what_is_too_much_is_more_than_a_gateway_takes() {
    let provider = Provider::start();
    let size = |model: &str, stream: bool| open(&provider, model, stream).whole().body.len();
    assert!(size("oversize", false) > 32 << 20);
    assert!(size("oversize-unsaid", false) > 32 << 20);
}

#[test]
fn a_gate_holds_until_it_is_opened() {
    let provider = Provider::start();
    let mut stream = open(&provider, "gated", true);
    let mut events: Vec<String> = (0..2).filter_map(|_| stream.next_event()).collect();
    assert_eq!(text(&events), "Zug ");
    provider.open_gate("gated");
    events.extend(stream.events());
    assert_eq!(text(&events), ANSWER);
}

#[test]
fn a_client_that_leaves_is_noticed() {
    let provider = Provider::start();
    for stream in [true, false] {
        let model = format!("stall+{stream}");
        if stream {
            let mut stream = open(&provider, &model, true);
            assert!(stream.next_event().is_some());
            stream.leave();
        } else {
            let request = Request::post("/v1/chat/completions", &question(&model, json!({})));
            request.send_and_leave(address(&provider), || {
                tests::eventually("the request arrives", || !provider.attempts(&model).is_empty());
            });
        }
        provider.wait_until_left(&model);
    }
}

#[test]
fn cuts_and_resets_end_the_connection() {
    let provider = Provider::start();
    let post = |model: &str, stream: bool| {
        let body = question(model, json!({"stream": stream})).to_string();
        let length = body.len();
        let head =
            format!("POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
        tests::raw(address(&provider), format!("{head}{body}").as_bytes())
    };
    assert!(post("reset", true).is_empty());
    assert!(post("garbage-head", true).is_empty());
    assert_eq!(post("cut-5", false), [200]);
    assert_eq!(post("cut-5", true), [200]);
}

#[test]
fn a_script_answers_with_the_usage_of_its_texts() {
    let provider = Provider::answering(|body| {
        let asked = body["messages"][0]["content"].as_str()?;
        asked.starts_with("Where").then(|| format!("To {asked}"))
    });
    let ask = |model: &str| {
        Request::post("/v1/chat/completions", &question(model, json!({}))).send(address(&provider))
    };
    let answer = ask("scripted").expect(200);
    assert_eq!(answer.content(), "To Where does the train go?");
    assert_eq!(answer.json()["usage"]["prompt_tokens"], 24 / 4 + 1);
    assert_eq!(text(&open(&provider, "scripted", true).events()), "To Where does the train go?");
    let unknown = question("scripted", json!({"messages": [{"role": "user", "content": "Why?"}]}));
    Request::post("/v1/chat/completions", &unknown).send(address(&provider)).expect(500);
    assert_eq!(provider.calls(), 3);
    let mute = Provider::start();
    Request::post("/v1/chat/completions", &question("scripted", json!({}))).send(address(&mute)).expect(500);
}
