//! Answers that come at once.

use std::time::{Duration, Instant};

use api::Reply;
use api::Secret;
use http::{HeaderName, HeaderValue};

use crate::provider::{COMPLETION, Provider, Script, Step, answer, good, then};
use crate::{chat, failed, far, request, upstream};

const KEY: &str = "sk-test-0123456789abcdef";

#[tokio::test]
async fn a_request_is_sent_as_it_came_and_its_answer_comes_back() {
    let provider = Provider::start([good()]).await;
    let upstream = upstream(&provider, |options| {
        options.key = Some(Secret::new(KEY));
        options.headers = vec![("OpenAI-Organization".into(), "org-1".into())];
    });
    let trace = [
        (HeaderName::from_static("traceparent"), HeaderValue::from_static("00-1-2-01")),
        (HeaderName::from_static("authorization"), HeaderValue::from_static("Bearer theirs")),
        (HeaderName::from_static("content-length"), HeaderValue::from_static("1")),
    ];
    let asked = request(r#","top_k":5,"stream":false"#);
    let answered = upstream.chat("their-model", &asked, far(), &trace).await.unwrap();

    assert_eq!((answered.attempts, answered.upstream_request_id.as_deref()), (1, Some("req-7")));
    let Reply::Whole(completion) = answered.reply else { panic!("a whole answer was asked for") };
    assert_eq!(
        serde_json::to_value(&completion).unwrap(),
        serde_json::from_str::<serde_json::Value>(COMPLETION).unwrap()
    );
    assert_eq!(completion.usage.unwrap().cached_tokens(), 4);

    let seen = &provider.log()[0];
    assert!(seen.head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{}", seen.head);
    for header in [
        "authorization: Bearer sk-test-0123456789abcdef\r\n",
        "openai-organization: org-1\r\n",
        "content-type: application/json\r\n",
        "accept: application/json\r\n",
        "accept-encoding: identity\r\n",
        "traceparent: 00-1-2-01\r\n",
    ] {
        assert!(seen.head.contains(header), "{} lacks {header}", seen.head);
    }
    assert_eq!(seen.head.matches("authorization").count(), 1);
    assert_eq!(
        seen.body,
        r#"{"model":"their-model","messages":[{"role":"user","content":"Hello"}],"top_k":5,"stream":false}"#
    );
}

/// The first attempt meets `script`; the second is good.
async fn check_recovers(script: Script) {
    let provider = Provider::start([script, good()]).await;
    let answered = chat(&upstream(&provider, |_| {}), &request("")).await.unwrap();
    assert_eq!((answered.attempts, provider.log().len()), (2, 2));
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    check_recovers(answer(500, "", "{}")).await;
    check_recovers(answer(503, "retry-after: 0\r\n", "<html>")).await;
    check_recovers(answer(429, "retry-after: 0\r\n", r#"{"error":{"message":"slow down"}}"#)).await;
    check_recovers(answer(200, "", r#"{"error":{"message":"overloaded","type":"server_error"}}"#)).await;
    check_recovers(answer(200, "", "<html>")).await;
    check_recovers(answer(200, "", r#"{"id":"x"}"#)).await;
    check_recovers(answer(200, "content-encoding: gzip\r\n", COMPLETION)).await;
    check_recovers(vec![Step::Reset]).await;
    check_recovers(vec![Step::Close]).await;
    check_recovers(then(vec![Step::Send(b"HTTP/1.1 banana\r\n\r\n".to_vec())], Step::Close)).await;
    check_recovers(then(
        vec![Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"ch".to_vec())],
        Step::Close,
    ))
    .await;
    check_recovers(then(
        vec![Step::Send(b"HTTP/1.1 200 OK\r\n\r\n{\"choices\":[{\"message\":{\"con".to_vec())],
        Step::Close,
    ))
    .await;
}

/// One attempt, and its error's status, code, upstream's status, and whether another target may do better.
async fn check_fails(script: Script, expected: (u16, &str, Option<u16>, bool)) -> api::Error {
    let provider = Provider::start([script, good()]).await;
    let upstream = upstream(&provider, |options| {
        options.key = Some(Secret::new(KEY));
        options.body_bytes_max = 1000;
    });
    let error = failed(&upstream, &request("")).await;
    let got = (error.fault.status(), error.code, error.upstream_status, error.retry_safe);
    assert_eq!(got, expected, "{error}");
    assert_eq!(provider.log().len(), 1, "{error}");
    assert!(!error.to_string().contains("0123456789"), "{error}");
    assert!(!error.message.contains(&provider.port().to_string()), "{error}");
    error
}

#[tokio::test]
async fn what_will_not_pass_is_told_at_once() {
    let refusal = format!(r#"{{"error":{{"message":"`top_k` is not for {KEY}","param":"top_k"}}}}"#);
    let error = check_fails(answer(400, "", &refusal), (424, "upstream_refused", Some(400), false)).await;
    assert!(error.message.contains("`top_k` is not for [secret]"), "{error}");
    assert_eq!(error.param.as_deref(), Some("top_k"));
    check_fails(answer(401, "", &refusal), (424, "upstream_key_refused", Some(401), true)).await;
    check_fails(answer(404, "", "no such page"), (424, "upstream_refused", Some(404), true)).await;
    check_fails(
        answer(302, "location: http://127.0.0.1/\r\n", ""),
        (502, "upstream_redirected", Some(302), true),
    )
    .await;
    let error = check_fails(
        answer(429, "retry-after: 3600\r\n", "{}"),
        (429, "upstream_rate_limited", Some(429), true),
    )
    .await;
    assert_eq!(error.retry_after, Some(Duration::from_secs(3600)));
    assert!(error.detail.unwrap().contains("429"));
}

#[tokio::test]
async fn a_body_over_its_cap_is_refused_announced_or_not() {
    let large = format!(r#"{{"choices":[],"x":"{}"}}"#, "x".repeat(2000));
    check_fails(answer(200, "", &large), (502, "upstream_garbage", None, true)).await;
    let unannounced = [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".as_slice(),
        b"3e8\r\n",
        &[b' '; 1000],
        b"\r\n",
    ]
    .concat();
    let script = vec![
        Step::Send(unannounced),
        Step::Send(b"3e8\r\n".to_vec()),
        Step::Send(vec![b' '; 1000]),
        Step::Hang,
    ];
    check_fails(script, (502, "upstream_garbage", None, true)).await;
}

#[tokio::test]
async fn a_wait_that_does_not_fit_the_deadline_is_not_begun() {
    let provider = Provider::start([answer(429, "retry-after: 1\r\n", "{}"), good()]).await;
    let upstream = upstream(&provider, |_| {});
    let deadline = Instant::now() + Duration::from_millis(900);
    let error = upstream.chat("m", &request(""), deadline, &[]).await.err().unwrap();
    assert_eq!(error.error.code, "upstream_rate_limited");
    assert!(Instant::now() < deadline);
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let provider = Provider::start([answer(429, "retry-after-ms: 300\r\n", "{}"), good()]).await;
    let before = Instant::now();
    let answered = chat(&upstream(&provider, |_| {}), &request("")).await.unwrap();
    assert_eq!(answered.attempts, 2);
    assert!(before.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_silent_upstream_ends_at_the_deadline_and_is_left() {
    let provider = Provider::start([vec![Step::Hang]]).await;
    let upstream = upstream(&provider, |_| {});
    let deadline = Instant::now() + Duration::from_millis(50);
    let error = upstream.chat("m", &request(""), deadline, &[]).await.err().unwrap();
    assert_eq!((error.error.fault.status(), error.error.code), (504, "upstream_timeout"));
    provider.client_left().await;
    assert_eq!(upstream.health().in_flight, 0);
}

#[tokio::test]
async fn a_dropped_call_leaves_the_upstream() {
    let provider = Provider::start([vec![Step::Hang]]).await;
    let upstream = upstream(&provider, |_| {});
    let asked = request("");
    let call = tokio::spawn(async move { upstream.chat("m", &asked, far(), &[]).await.is_ok() });
    while provider.log().is_empty() {
        tokio::task::yield_now().await;
    }
    call.abort();
    provider.client_left().await;
}

#[tokio::test]
async fn connections_are_used_again() {
    let provider = Provider::start([good()]).await;
    let upstream = upstream(&provider, |_| {});
    for _ in 0..10 {
        chat(&upstream, &request("")).await.unwrap();
        // The connection's own task puts it back.
        tokio::task::yield_now().await;
    }
    assert_eq!((provider.log().len(), provider.connections()), (10, 1));
}
