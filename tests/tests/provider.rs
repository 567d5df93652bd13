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
        ("pieces-0", true, true),
        ("pieces-7", true, true),
        ("flaky-0", true, true),
    ] {
        let events = open(&provider, model, true).events();
        assert_eq!(text(&events), ANSWER, "{model}");
        assert_eq!(events.contains(&"[DONE]".to_owned()), done, "{model}");
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
        ("flaky-1", 500, "500"),
        ("flaky-1", 200, ANSWER),
        ("nobody", 404, "no such model"),
    ] {
        let answer = open(&provider, model, false).whole().expect(status);
        assert!(answer.text().contains(part), "{model}: {}", answer.text());
    }
    assert_eq!(provider.attempts("flaky-1").len(), 2);
    assert_eq!(provider.last("ok").body["messages"][0]["role"], "user");
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
