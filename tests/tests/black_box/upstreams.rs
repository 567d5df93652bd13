//! What a provider does wrong, and what the caller is told.

use serde_json::json;
use tests::{ANSWER, Gateway, Provider, Request, question};

use crate::house::{setup, shared};

#[test]
fn each_fault_has_its_status_and_code() {
    for (model, status, code, upstream_status) in [
        ("e400", 424, "upstream_refused", Some(400)),
        ("e401", 424, "upstream_key_refused", Some(401)),
        ("e429", 429, "upstream_rate_limited", Some(429)),
        ("e500", 502, "upstream_failed", Some(500)),
        ("e503", 502, "upstream_failed", Some(503)),
        ("reset", 502, "upstream_cut", None),
        ("garbage", 502, "upstream_garbage", None),
        ("garbage-head", 502, "upstream_garbage", None),
        ("redirect", 502, "upstream_redirected", Some(302)),
        ("error-in-200", 502, "upstream_failed", Some(500)),
        ("cut-0", 502, "upstream_cut", None),
        ("cut-1", 502, "upstream_cut", None),
    ] {
        for stream in [false, true] {
            let answer = shared().gateway.ask(model, json!({"stream": stream})).expect(status);
            let error = &answer.json()["error"];
            assert_eq!(answer.code(), code, "{model}: {error}");
            assert_eq!(error["upstream_status"].as_u64(), upstream_status, "{model}: {error}");
            assert_eq!(answer.header("x-pointsman-model"), model);
            let told = answer.text();
            assert!(!told.contains("127.0.0.1") && !told.contains("upstream-secret"), "{told}");
        }
        assert_eq!(shared().provider.attempts(model).len(), 2, "{model}: nothing failed is remembered");
    }
}

#[test]
fn a_rate_limit_is_passed_on_with_its_time() {
    let answer = shared().gateway.ask("e429+timed", json!({})).expect(429);
    assert_eq!(answer.header("retry-after"), "7");
}

#[test]
fn what_the_provider_refuses_is_told_in_its_words() {
    let answer = shared().gateway.ask("e400+words", json!({})).expect(424);
    assert!(answer.message().contains("The provider says 400"), "{}", answer.message());
    assert_eq!(answer.json()["error"]["param"], "messages");
}

#[test]
fn a_provider_that_is_silent_runs_out_of_time() {
    let ask = |model: &str, stream: bool| {
        let request = Request::post("/v1/chat/completions", &question(model, json!({"stream": stream})));
        request.header("x-pointsman-policy", "hasty").send(shared().gateway.data)
    };
    let answer = ask("stall+whole", false).expect(504);
    assert_eq!(answer.code(), "upstream_timeout");
    shared().provider.wait_until_left("stall+whole");
}

#[test]
fn a_fault_that_may_pass_is_tried_again() {
    let answer = shared().gateway.ask("flaky", json!({})).expect(200);
    assert_eq!(answer.content(), ANSWER);
    assert_eq!(shared().provider.attempts("flaky-1").len(), 2);
    assert_eq!(shared().provider.last("flaky-1").header("x-vendor"), "v1");
}

#[test]
fn the_next_target_of_the_plan_takes_over() {
    // Its own gateway: among targets of one price the faster goes first, once the speed of both is known.
    let provider = Provider::start();
    let plan =
        "[policy.second]\nlike = \"plain\"\ntrack = \"external\"\ntargets.external = [\"e500\", \"ok\"]\n";
    let gateway = Gateway::start(&setup(&provider, &["e500", "ok"]).with("policy.toml", plan));
    let answer = gateway.ask("second", json!({})).expect(200);
    assert_eq!((answer.content().as_str(), answer.header("x-pointsman-model")), (ANSWER, "ok"));
    assert_eq!(answer.header("x-pointsman-attempts"), "2");
}

#[test]
fn what_is_too_long_for_one_goes_only_to_a_larger_one() {
    // The second is checked for repetition only while a third one waits that could do better.
    for (models, large) in [(["too-long", "ok+same", "ok"], "ok"), (["too-long", "loops", "ok"], "loops")] {
        let provider = Provider::start();
        let plan = format!(
            "[policy.growing]\nlike = \"plain\"\ntrack = \"external\"\ntargets.external = {models:?}\n\
             check.external = {{ repetition = true }}\n"
        );
        let setup = setup(&provider, &models).with("policy.toml", &plan);
        let text = setup.read("models.toml");
        let (first, rest) = text.split_once(&format!("name = {large:?}")).unwrap();
        let rest = rest.replacen("context_tokens = 100000", "context_tokens = 200000", 1);
        let gateway =
            Gateway::start(&setup.with_file("models.toml", &format!("{first}name = {large:?}{rest}")));
        let answer = gateway.ask("growing", json!({})).expect(200);
        assert_eq!(answer.header("x-pointsman-model"), large);
        assert_eq!(answer.header("x-pointsman-attempts"), "2");
        for model in models.iter().filter(|model| !["too-long", large].contains(model)) {
            assert_eq!(provider.attempts(model).len(), 0, "{model} is no larger");
        }
    }
}

#[test]
fn unknown_fields_go_out_and_our_own_key_with_them() {
    let more = json!({
        "temperature": 0.25,
        "logit_bias": {"50256": -100},
        "vendor": {"deep": [1, {"er": null}], "big": 12_345_678_901_234_567_u64},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    });
    let body = question("ok+forward", more.clone());
    let request = Request::post("/v1/chat/completions", &body)
        .header("authorization", "Bearer callers-own")
        .header("cookie", "session=1")
        .header("x-api-key", "callers-own");
    request.send(shared().gateway.data).expect(200);
    let sent = shared().provider.last("ok+forward");
    for (field, value) in more.as_object().unwrap() {
        assert_eq!(&sent.body[field], value, "{field}");
    }
    assert_eq!(sent.body["messages"], body["messages"]);
    assert_eq!(sent.header("authorization"), "Bearer upstream-secret");
    assert_eq!((sent.header("cookie"), sent.header("x-api-key")), ("", ""), "headers of callers stay here");
}
