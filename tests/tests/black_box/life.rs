//! Starting, reloading, stopping, and what is in the way of each.

use std::net::TcpListener;

use serde_json::json;
use tests::{ANSWER, Events, Gateway, Provider, Request, eventually, question, run};

use crate::house::setup;
use crate::streams;

#[test]
fn a_port_in_use_is_one_sentence() {
    let provider = Provider::start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (key, other) in [("data", "admin"), ("admin", "data")] {
        let setup = setup(&provider, &["ok"]).with_changed(
            "gateway.toml",
            &format!("{key} = \"127.0.0.1:0\""),
            &format!("{key} = \"{address}\""),
        );
        let output = run(&setup, &["serve"]);
        assert_eq!(output.code, Some(69), "{}", output.stderr);
        assert!(
            output.stderr.contains(&address) && output.stderr.contains(&format!("listen.{key}")),
            "{}",
            output.stderr
        );
        assert!(!output.stderr.contains(&format!("listen.{other}")));
    }
}

#[test]
fn a_second_gateway_on_the_same_state_is_refused() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok"]);
    let _first = Gateway::start(&setup);
    let output = run(&setup, &["serve"]);
    assert_eq!(output.code, Some(69), "{}", output.stderr);
    assert!(output.stderr.contains("files.state"), "{}", output.stderr);
}

#[test]
fn missing_model_files_are_one_sentence() {
    let provider = Provider::start();
    for (key, part) in [("model", "make models"), ("runtime", "make models")] {
        let setup = setup(&provider, &["ok"]);
        let text = setup.read("gateway.toml");
        let line = text.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
        let setup = setup.with_changed("gateway.toml", line, &format!("{key} = \"nowhere/at-all\""));
        let output = run(&setup, &["serve"]);
        assert_eq!(output.code, Some(69), "{key}: {}", output.stderr);
        assert!(
            output.stderr.contains("nowhere/at-all") && output.stderr.contains(part),
            "{key}: {}",
            output.stderr
        );
        assert!(!output.stderr.contains("panicked"), "{key}: {}", output.stderr);
    }
}

#[test]
fn a_model_whose_file_is_missing_is_left_out_and_says_what_to_do() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok"]).with(
        "models.toml",
        "[[model]]\nname = \"gone\"\nkind = \"llama\"\npath = \"nowhere.gguf\"\nquality = { default = 0.2 }\n",
    );
    let gateway = Gateway::start(&setup);
    let answer = gateway.ask("gone", json!({})).expect(503);
    assert!(answer.message().contains("make models"), "{}", answer.message());
    gateway.ask("ok", json!({})).expect(200);
}

#[test]
fn a_provider_without_its_key_says_what_to_set() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok"]).with_env("TEST_UPSTREAM_KEY", "");
    let gateway = Gateway::start(&setup);
    let answer = gateway.ask("ok", json!({})).expect(503);
    assert!(answer.message().contains("TEST_UPSTREAM_KEY"), "{}", answer.message());
    assert!(provider.attempts("ok").is_empty());
}

/// Streams that are under way when the gateway is told to end.
const STREAMS: usize = 200;

#[test]
fn a_drain_finishes_what_is_under_way() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok", "gated"]);
    let mut gateway = Gateway::start(&setup);
    let body = question("gated", json!({"stream": true}));
    let open = || Request::post("/v1/chat/completions", &body).open(gateway.data);
    let mut live: Vec<Events> = (0..STREAMS).map(|_| open()).collect();
    let begun: Vec<String> = live.iter_mut().map(|stream| stream.next_event().unwrap()).collect();
    gateway.signal("TERM");
    gateway.wait_for_log("draining");
    gateway.admin("/readyz").expect(503);
    gateway.admin("/livez").expect(200);
    eventually("new connections are refused", || std::net::TcpStream::connect(gateway.data).is_err());
    provider.open_gate("gated");
    for (stream, first) in live.into_iter().zip(begun) {
        let (text, said) = streams::text([vec![first], stream.events()].concat());
        assert_eq!((text.as_str(), said.last().unwrap().as_str()), (ANSWER, "[DONE]"));
    }
    assert!(gateway.wait().success(), "{}", gateway.log());
    let report = run(&setup, &["report", "--json"]).stdout;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["total"]["requests"], &report["total"]["errors"]), (&json!(STREAMS), &json!(0)));
}

#[test]
fn a_refused_reload_leaves_the_old_files_serving() {
    const GAUGE: &str = "pointsman_config_last_reload_successful";
    let provider = Provider::start();
    let setup = setup(&provider, &["ok"]);
    let gateway = Gateway::start(&setup);
    assert_eq!(gateway.metric(GAUGE), 1.0);
    let good = setup.read("policy.toml");
    setup.write("policy.toml", &format!("{good}\n[policy.bad]\ntrack = \"sideways\"\n"));
    gateway.signal("HUP");
    gateway.wait_for_log("sideways");
    eventually("the gauge falls", || gateway.metric(GAUGE) == 0.0);
    let refused = gateway.admin("/api/config").expect(200).json()["refused"].to_string();
    assert!(refused.contains("sideways") && refused.contains("policy.toml"), "{refused}");
    gateway.ask("ok", json!({})).expect(200);

    setup.write("policy.toml", &format!("{good}\n[policy.new]\nlike = \"plain\"\ntrack = \"external\"\n"));
    gateway.signal("HUP");
    eventually("the gauge rises", || gateway.metric(GAUGE) == 1.0);
    gateway.ask("new", json!({"seed": 1})).expect(200);
    assert!(gateway.admin("/api/config").expect(200).json()["refused"].is_null());
}

#[test]
fn a_changed_file_is_read_without_a_signal() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok"]);
    let gateway = Gateway::start(&setup);
    gateway.ask("later", json!({})).expect(404);
    let text = setup.read("policy.toml");
    setup.write("policy.toml", &format!("{text}\n[policy.later]\nlike = \"plain\"\ntrack = \"external\"\n"));
    eventually("the new policy is known", || gateway.ask("later", json!({})).status == 200);
}
