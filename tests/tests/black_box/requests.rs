//! Requests that are wrong, each told what is wrong and what is allowed.

use serde_json::json;
use tests::{Request, question};

use crate::house::{BODY_BYTES_MAX, shared};

const CHAT: &str = "/v1/chat/completions";

#[test]
fn wrong_bodies_are_told_where_and_why() {
    let user = r#"[{"role":"user","content":"hi"}]"#;
    for (body, status, code, param, part) in [
        ("{\"model\": \"ok\",\n \"messages\": [}", 400, "invalid_json", None, "line 2 column 15"),
        ("", 400, "invalid_json", None, "line 1 column 0"),
        ("[]", 400, "invalid_json", None, "must be a JSON object"),
        (r#"{"model":"ok","model":"e500","messages":[]}"#, 400, "invalid_json", None, "given twice"),
        ("{\"model\":\"\u{0}", 400, "invalid_json", None, "line 1"),
        (r#"{"messages":[]}"#, 400, "invalid_value", Some("model"), "missing"),
        (r#"{"model":"ok"}"#, 400, "invalid_value", Some("messages"), "missing"),
        (
            r#"{"model":"ok","messages":[{"role":"boss","content":""}]}"#,
            400,
            "invalid_value",
            Some("messages[0].role"),
            "system",
        ),
        (
            &format!(r#"{{"model":"ok","messages":{user},"temperature":9}}"#),
            400,
            "invalid_value",
            Some("temperature"),
            "0 to 2",
        ),
        (&format!(r#"{{"model":"okk","messages":{user}}}"#), 404, "model_not_found", Some("model"), "`ok`"),
        (
            &format!(r#"{{"model":"task/none","messages":{user}}}"#),
            404,
            "model_not_found",
            Some("model"),
            "none",
        ),
    ] {
        let answer = Request::post_bytes(CHAT, body.as_bytes()).send(shared().gateway.data).expect(status);
        let error = &answer.json()["error"];
        assert_eq!((answer.code().as_str(), error["param"].as_str()), (code, param), "{body}: {error}");
        assert!(answer.message().contains(part), "{body}: {} lacks {part}", answer.message());
        assert!(!error["type"].as_str().unwrap().is_empty());
    }
}

#[test]
fn bodies_that_are_not_utf8_are_refused() {
    let body = b"{\"model\":\"ok\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}".to_vec();
    let answer = Request::post_bytes(CHAT, body).send(shared().gateway.data).expect(400);
    assert_eq!(answer.code(), "invalid_json");
}

#[test]
fn a_body_over_the_cap_is_refused_announced_or_not() {
    let large = question("ok", json!({"user": "x".repeat(BODY_BYTES_MAX)}));
    let answer = Request::post(CHAT, &large).send(shared().gateway.data).expect(413);
    assert_eq!(answer.code(), "body_too_large");
    assert!(answer.message().contains(&BODY_BYTES_MAX.to_string()), "{}", answer.message());
    let mut chunked = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
        content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        .to_vec();
    for _ in 0..=BODY_BYTES_MAX / 1024 {
        chunked.extend_from_slice(b"400\r\n");
        chunked.extend_from_slice(&[b' '; 1024]);
        chunked.extend_from_slice(b"\r\n");
    }
    assert_eq!(tests::raw(shared().gateway.data, &chunked), [413]);
}

#[test]
fn only_json_is_read() {
    let request = Request::post(CHAT, &question("ok", json!({})));
    for request in [
        request.clone().without("content-type"),
        request.clone().without("content-type").header("content-type", "text/plain"),
        request.clone().header("content-encoding", "gzip"),
    ] {
        assert_eq!(
            request.send(shared().gateway.data).expect(415).json()["error"]["type"],
            "invalid_request_error"
        );
    }
    let with_charset =
        request.without("content-type").header("content-type", "application/json; charset=utf-8");
    with_charset.send(shared().gateway.data).expect(200);
}

#[test]
fn paths_and_methods_that_are_not_there_say_what_is() {
    let data = shared().gateway.data;
    let unknown = Request::post("/v1/chat/completion", &json!({})).send(data).expect(404);
    assert!(unknown.message().contains("/v1/chat/completions"), "{}", unknown.message());
    let method = Request::get(CHAT).send(data).expect(405);
    assert_eq!(method.header("allow"), "POST");
    for path in ["/metrics", "/livez", "/readyz", "/api/config", "/"] {
        Request::get(path).send(data).expect(404);
    }
}

#[test]
fn wrong_headers_are_named() {
    for (name, value) in [
        ("x-pointsman-latency-budget-ms", "soon"),
        ("x-pointsman-cost-budget-usd", "-1"),
        ("x-pointsman-privacy", "perhaps"),
    ] {
        let request = Request::post(CHAT, &question("ok", json!({}))).header(name, value);
        let answer = request.send(shared().gateway.data).expect(400);
        assert_eq!(answer.json()["error"]["param"], name);
    }
    let policy = Request::post(CHAT, &question("auto", json!({}))).header("x-pointsman-policy", "none");
    let answer = policy.send(shared().gateway.data).expect(404);
    assert!(answer.message().contains("plain"), "{}", answer.message());
    let task = Request::post(CHAT, &question("auto", json!({}))).header("x-pointsman-task", "none");
    let answer = task.send(shared().gateway.data).expect(404);
    assert_eq!(answer.json()["error"]["param"], "x-pointsman-task");
}

#[test]
fn the_admin_port_tells_health_and_metrics_and_serves_no_model() {
    let gateway = &shared().gateway;
    gateway.ask("ok", json!({"seed": 77})).expect(200);
    gateway.admin("/livez").expect(200);
    gateway.admin("/readyz").expect(200);
    let metrics = gateway.admin("/metrics").expect(200).text();
    for name in [
        "pointsman_decisions_total{",
        "pointsman_cost_usd_total",
        "pointsman_overhead_seconds",
        "pointsman_cache_requests_total{",
        "gen_ai_client_token_usage",
        "pointsman_config_last_reload_successful 1",
    ] {
        assert!(metrics.contains(name), "no {name} in\n{metrics}");
    }
    Request::post(CHAT, &question("ok", json!({}))).send(gateway.admin).expect(405);
}
