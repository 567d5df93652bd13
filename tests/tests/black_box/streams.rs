//! Answers piece by piece: whole ones come through whatever the wire does to them, broken ones say so.

use serde_json::{Value, json};
use tests::{ANSWER, Events, Gateway, Provider, Request, question, run};

use crate::house::{in_process, setup, shared};

/// Asks `model` for a stream.
fn open(gateway: &Gateway, model: &str, more: Value) -> Events {
    let mut body = question(model, more);
    body["stream"] = json!(true);
    Request::post("/v1/chat/completions", &body).open(gateway.data)
}

/// The text of a stream's chunks, and everything else that was said: finish reasons, `usage`, `error:CODE`, `[DONE]`.
pub(crate) fn text(events: Vec<String>) -> (String, Vec<String>) {
    let mut text = String::new();
    let mut said = Vec::new();
    for event in events {
        if event == "[DONE]" {
            said.push(event);
            continue;
        }
        let chunk: Value = serde_json::from_str(&event).unwrap_or_else(|error| panic!("{error} in {event}"));
        if let Some(code) = chunk["error"]["code"].as_str() {
            said.push(format!("error:{code}"));
        }
        for choice in chunk["choices"].as_array().into_iter().flatten() {
            text += choice["delta"]["content"].as_str().unwrap_or("");
            said.extend(choice["finish_reason"].as_str().map(str::to_owned));
        }
        if !chunk["usage"].is_null() {
            assert_eq!(chunk["choices"], json!([]), "usage has a chunk of its own");
            said.push("usage".to_owned());
        }
    }
    (text, said)
}

#[test]
fn a_stream_comes_through_whatever_its_form() {
    for model in [
        "ok",
        "crlf",
        "no-space",
        "no-done",
        "no-usage",
        "usage-on-choice",
        "comments",
        "pieces-0",
        "pieces-1",
        "pieces-2",
        "pieces-3",
    ] {
        for usage in [false, true] {
            let more = json!({"seed": 100 + u8::from(usage), "stream_options": {"include_usage": usage}});
            let stream = open(&shared().gateway, model, more);
            assert_eq!(stream.status(), 200);
            assert!(stream.header("content-type").starts_with("text/event-stream"));
            assert_eq!(stream.header("x-pointsman-model"), model);
            let expected: &[&str] = if usage { &["stop", "usage", "[DONE]"] } else { &["stop", "[DONE]"] };
            let (text, said) = text(stream.events());
            assert_eq!(text, ANSWER, "{model}");
            assert_eq!(said, expected, "{model}");
        }
    }
}

#[test]
fn usage_is_always_asked_for_and_shown_only_to_who_asked() {
    let stream = open(&shared().gateway, "ok+usage", json!({"stream_options": {"include_usage": true}}));
    let events = stream.events();
    let usage = events.iter().find(|event| event.contains("\"usage\":{")).unwrap();
    let usage: Value = serde_json::from_str(usage).unwrap();
    assert_eq!(usage["usage"]["prompt_tokens"], 11);
    assert_eq!(usage["usage"]["completion_tokens"], 7);
    assert_eq!(usage["pointsman"]["cost_usd"], 0.000_023, "{usage}");
    open(&shared().gateway, "ok+usage", json!({"seed": 5})).events();
    let asked = shared().provider.last("ok+usage").body;
    assert_eq!(asked["stream_options"]["include_usage"], true, "{asked}");
}

#[test]
fn a_stream_that_is_cut_is_never_called_whole() {
    for (model, begun) in
        [("cut-60", false), ("cut-150", false), ("cut-400", true), ("cut-1200", true), ("cut-1500", true)]
    {
        let stream = open(&shared().gateway, model, json!({}));
        if !begun {
            let answer = stream.whole().expect(502);
            assert_eq!(answer.code(), "upstream_cut", "{model}");
            continue;
        }
        assert_eq!(stream.status(), 200, "{model}");
        let (text, said) = text(stream.events());
        assert!(
            ANSWER.starts_with(&text) && text != ANSWER || said.contains(&"stop".to_owned()),
            "{model}: {text}"
        );
        assert_eq!(said.last().unwrap(), "error:upstream_cut", "{model}: {said:?}");
        assert!(!said.contains(&"[DONE]".to_owned()), "{model}: {said:?}");
    }
}

#[test]
fn trouble_in_the_middle_is_told_in_band() {
    for (model, code) in [("stall", "upstream_stalled"), ("error-in-stream", "upstream_failed")] {
        let (text, said) = text(open(&shared().gateway, model, json!({})).events());
        assert_eq!(text, "Zug ", "{model}");
        assert_eq!(said, [format!("error:{code}")], "{model}");
    }
    shared().provider.wait_until_left("stall");
}

#[test]
fn a_client_that_leaves_takes_the_upstream_with_it_and_is_settled() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok", "stall+left"]);
    let gateway = Gateway::start(&setup);
    let mut stream = open(&gateway, "stall+left", json!({}));
    assert!(stream.next_event().is_some());
    stream.leave();
    provider.wait_until_left("stall+left");
    gateway.wait_until_idle();
    gateway.stop();
    let report: Value = serde_json::from_str(&run(&setup, &["report", "--json"]).stdout).unwrap();
    let row = &report["rows"][0];
    assert_eq!(
        (row["model"].as_str(), row["requests"].as_u64(), row["errors"].as_u64()),
        (Some("stall+left"), Some(1), Some(1))
    );
    assert!(row["cost_usd"].as_f64().unwrap() > 0.0, "what was written until then is owed: {row}");
    assert!(row["tokens_out"].as_u64().unwrap() < 7, "{row}");
}

#[test]
fn a_client_that_leaves_before_the_answer_cancels_the_call() {
    let request = Request::post("/v1/chat/completions", &question("stall+gone", json!({})));
    request.send_and_leave(shared().gateway.data, || {
        tests::eventually("the call goes out", || !shared().provider.attempts("stall+gone").is_empty());
    });
    shared().provider.wait_until_left("stall+gone");
}

/// A gateway whose policy for each `N` asks `cut-N` first and `continues` after it.
fn gateway_of_cuts(on_broken_stream: &str, cuts: &[usize]) -> (Provider, Gateway, tests::Setup) {
    let provider = Provider::start();
    let names: Vec<String> = cuts.iter().map(|bytes| format!("cut-{bytes}")).collect();
    let models: Vec<&str> = names.iter().map(String::as_str).chain(["ok", "continues"]).collect();
    let policies: String = names
        .iter()
        .map(|name| {
            format!(
                "[policy.\"of-{name}\"]\nlike = \"plain\"\ntrack = \"external\"\n\
                 on_broken_stream = \"{on_broken_stream}\"\nquality_floor = 0.0\n\
                 targets.external = [\"{name}\", \"continues\"]\n"
            )
        })
        .collect();
    let setup = setup(&provider, &models)
        .with_changed(
            "models.toml",
            "[provider.\"continues\"]\n",
            "[provider.\"continues\"]\ncontinues = \"prefix\"\n",
        )
        .with("policy.toml", &policies);
    let gateway = Gateway::start(&setup);
    (provider, gateway, setup)
}

fn check_rescued(on_broken_stream: &str, cuts: &[usize]) {
    let (provider, gateway, _setup) = gateway_of_cuts(on_broken_stream, cuts);
    for bytes in cuts {
        let policy = format!("of-cut-{bytes}");
        let more = json!({"stream_options": {"include_usage": true}, "seed": bytes});
        let stream = open(&gateway, &policy, more);
        assert_eq!(stream.status(), 200, "cut after {bytes}");
        let (told, said) = text(stream.events());
        assert_eq!(told, ANSWER, "cut after {bytes}: {said:?}");
        assert_eq!(said, ["stop", "usage", "[DONE]"], "cut after {bytes}");
    }
    assert!(!provider.attempts("continues").is_empty());
}

#[test]
fn an_answer_cut_anywhere_is_continued_without_a_seam() {
    let cuts: Vec<usize> = (0..1500).step_by(31).collect();
    check_rescued("resume", &cuts);
}

#[test]
fn a_model_in_the_process_continues_what_another_began() {
    let provider = Provider::start();
    let setup = setup(&provider, &["cut-1000", "ok"]).with("models.toml", &in_process(0.9)).with(
        "policy.toml",
        "[policy.rescued]\nlike = \"plain\"\ntrack = \"external\"\non_broken_stream = \"resume\"\n\
         quality_floor = 0.0\ntargets.external = [\"cut-1000\"]\ntargets.local = [\"small\"]\n\
         escalate.external = [\"local\"]\n",
    );
    let gateway = Gateway::start(&setup);
    let more = json!({"temperature": 0, "stream_options": {"include_usage": true}});
    let (told, said) = text(open(&gateway, "rescued", more).events());
    let begun: String =
        told.chars().zip(ANSWER.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
    assert!(begun.len() > 10 && told.len() > begun.len(), "{told}");
    assert_eq!(said.last().map(String::as_str), Some("[DONE]"), "{said:?}");
}

#[test]
fn a_held_answer_is_whole_whoever_breaks_off() {
    check_rescued("hold", &[0, 300, 700, 1100]);
}

#[test]
fn a_usage_that_the_provider_does_not_tell_is_estimated_and_called_so() {
    for (model, called) in [("ok", ""), ("no-usage", "estimated")] {
        let answer = shared().gateway.ask(model, json!({"seed": 901})).expect(200);
        assert_eq!(answer.header("x-pointsman-usage"), called, "{model}");
        let more = json!({"seed": 902, "stream_options": {"include_usage": true}});
        let events = open(&shared().gateway, model, more).events();
        let last: Value = serde_json::from_str(&events[events.len() - 2]).unwrap();
        assert_eq!(last["pointsman"]["usage"].as_str().unwrap_or(""), called, "{model}: {last}");
    }
}

#[test]
fn what_nobody_can_continue_is_told() {
    let provider = Provider::start();
    let setup = setup(&provider, &["cut-700", "ok", "e500"])
        .with_changed("models.toml", "[provider.\"e500\"]\n", "[provider.\"e500\"]\ncontinues = \"prefix\"\n")
        .with(
            "policy.toml",
            "[policy.unlucky]\nlike = \"plain\"\ntrack = \"external\"\non_broken_stream = \"resume\"\n\
             quality_floor = 0.0\ntargets.external = [\"cut-700\", \"e500\"]\n",
        );
    let gateway = Gateway::start(&setup);
    let (told, said) = text(open(&gateway, "unlucky", json!({})).events());
    assert!(ANSWER.starts_with(&told) && !told.is_empty() && told != ANSWER, "{told}");
    assert_eq!(said, ["error:upstream_cut"]);
    let asked = provider.last("e500").body["messages"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(asked, json!({"role": "assistant", "content": told, "prefix": true}));
}
