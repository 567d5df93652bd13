//! Vectors and ranks: the same life of a call as a chat answer's.

use std::time::{Duration, Instant};

use api::Error;
use dialects::{Embedded, EmbeddingsRequest, RerankRequest, Reranked, Wire};
use http::{HeaderName, HeaderValue};
use models::{Done, EndpointOptions, Hedge, Upstream, UpstreamOptions};

use crate::provider::{Provider, Script, Step, answer, then};
use crate::{far, upstream};

const VECTORS: &str = r#"{"object":"list","data":[{"object":"embedding","index":1,"embedding":[3,4]},{"object":"embedding","index":0,"embedding":"AACAPwAAAEA="}],"model":"m-1","usage":{"prompt_tokens":5,"total_tokens":5}}"#;
const RANKS: &str = r#"{"results":[{"index":1,"relevance_score":0.25},{"index":0,"relevance_score":0.75}],"usage":{"total_tokens":9}}"#;

fn texts(extra: &str) -> EmbeddingsRequest {
    let body = format!(r#"{{"model":"auto","input":["a","b"]{extra}}}"#);
    EmbeddingsRequest::from_body(api::parse_object(body.as_bytes()).unwrap()).unwrap()
}

fn documents(extra: &str) -> RerankRequest {
    let body = format!(r#"{{"model":"auto","query":"q","documents":["a","b"]{extra}}}"#);
    RerankRequest::from_body(api::parse_object(body.as_bytes()).unwrap()).unwrap()
}

async fn embed(upstream: &Upstream, request: &EmbeddingsRequest) -> Result<Done<Embedded>, Error> {
    upstream.embed("their-model", request, far(), &[]).await
}

async fn rerank(upstream: &Upstream, request: &RerankRequest) -> Result<Done<Reranked>, Error> {
    upstream.rerank("their-model", request, far(), &[]).await
}

fn vectors() -> Script {
    answer(200, "x-request-id: req-9\r\n", VECTORS)
}

fn ranks() -> Script {
    answer(200, "x-request-id: req-9\r\n", RANKS)
}

#[tokio::test]
async fn vectors_come_back_in_the_order_of_their_texts() {
    let provider = Provider::start([vectors()]).await;
    let upstream = upstream(&provider, |_| {});
    let trace = [(HeaderName::from_static("traceparent"), HeaderValue::from_static("00-1-2-01"))];
    let asked = texts(r#","user":"u""#);
    // Spawned, as the gateway does: the future must be one that may move between threads.
    let done = tokio::spawn(async move { upstream.embed("their-model", &asked, far(), &trace).await });
    let done = done.await.unwrap().unwrap();
    assert_eq!((done.attempts, done.hedged, done.upstream_request_id.as_deref()), (1, false, Some("req-9")));
    assert_eq!(done.value.vectors, [[1.0, 2.0], [3.0, 4.0]]);
    assert_eq!(done.value.usage.unwrap().prompt_tokens, 5);
    let seen = &provider.log()[0];
    assert!(seen.head.starts_with("POST /v1/embeddings HTTP/1.1\r\n"), "{}", seen.head);
    assert!(
        seen.head.contains("traceparent: 00-1-2-01\r\n")
            && seen.head.contains("accept: application/json\r\n")
    );
    assert_eq!(
        seen.body,
        r#"{"model":"their-model","input":["a","b"],"encoding_format":"base64","user":"u"}"#
    );
}

#[tokio::test]
async fn ranks_come_back_best_first() {
    let provider = Provider::start([ranks()]).await;
    let done = rerank(&upstream(&provider, |_| {}), &documents(r#","top_n":1"#)).await.unwrap();
    assert_eq!((done.attempts, done.upstream_request_id.as_deref()), (1, Some("req-9")));
    let [best] = &done.value.results[..] else { panic!("one was asked for: {:?}", done.value) };
    assert_eq!((best.index, best.score, done.value.usage.unwrap().prompt_tokens), (0, 0.75, 9));
    let seen = &provider.log()[0];
    assert!(seen.head.starts_with("POST /v1/rerank HTTP/1.1\r\n"), "{}", seen.head);
    assert_eq!(seen.body, r#"{"model":"their-model","query":"q","documents":["a","b"],"top_n":1}"#);
}

async fn check_path(wire: Wire, script: Script, path: &str) {
    let provider = Provider::start([script]).await;
    let upstream = upstream(&provider, |options| options.wire = wire);
    embed(&upstream, &texts("")).await.unwrap();
    let head = &provider.log()[0].head;
    assert!(head.starts_with(&format!("POST /v1{path} HTTP/1.1\r\n")), "{head}");
}

#[tokio::test]
async fn each_dialect_has_its_path() {
    let gemini = r#"{"embeddings":[{"values":[1]},{"values":[2]}]}"#;
    check_path(Wire::Responses, vectors(), "/embeddings").await;
    let azure = "/openai/deployments/their-model/embeddings?api-version=2024-10-21";
    check_path(Wire::Azure, vectors(), azure).await;
    check_path(Wire::Gemini, answer(200, "", gemini), "/models/their-model:batchEmbedContents").await;
}

#[tokio::test]
async fn what_a_dialect_lacks_is_refused_before_any_call() {
    let provider = Provider::start([vectors()]).await;
    for (wire, embeds) in [
        (Wire::Messages, false),
        (Wire::Gemini, true),
        (Wire::Azure, true),
        (Wire::Chat, true),
        (Wire::Responses, true),
    ] {
        let upstream = upstream(&provider, |options| options.wire = wire);
        let refused = [
            (!embeds).then_some("embeddings"),
            (!matches!(wire, Wire::Chat | Wire::Responses)).then_some("rerank"),
        ];
        for what in refused.into_iter().flatten() {
            let error = match what {
                "rerank" => rerank(&upstream, &documents("")).await.err(),
                _ => embed(&upstream, &texts("")).await.err(),
            };
            let error = error.unwrap_or_else(|| panic!("{wire:?} has no {what}"));
            assert_eq!(
                (error.code, error.param.as_deref()),
                ("unsupported_by_target", Some("model")),
                "{error}"
            );
            assert_eq!(error.fault.status(), 400);
            assert_eq!(upstream.health().in_flight, 0);
        }
    }
    assert_eq!(provider.connections(), 0);
}

/// The first attempt meets `script` with vectors, the second is good; the same for ranks.
async fn check_recovers(script: Script) {
    let provider = Provider::start([script.clone(), vectors()]).await;
    let done = embed(&upstream(&provider, |_| {}), &texts(r#","dimensions":2"#)).await.unwrap();
    assert_eq!((done.attempts, provider.log().len()), (2, 2));
    let provider = Provider::start([script, ranks()]).await;
    let done = rerank(&upstream(&provider, |_| {}), &documents("")).await.unwrap();
    assert_eq!((done.attempts, provider.log().len()), (2, 2));
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    check_recovers(answer(500, "", "{}")).await;
    check_recovers(answer(429, "retry-after: 0\r\n", "{}")).await;
    check_recovers(answer(200, "", r#"{"error":{"message":"overloaded","type":"server_error"}}"#)).await;
    check_recovers(answer(200, "", "<html>")).await;
    check_recovers(answer(200, "", r#"{"data":[],"results":[]}"#)).await;
    check_recovers(answer(
        200,
        "",
        r#"{"data":[{"index":0,"embedding":[1,2]},{"index":2,"embedding":[1,2]}],"results":[{"index":0,"relevance_score":1},{"index":2,"relevance_score":1}]}"#,
    ))
    .await;
    // Vectors of three numbers where two were asked for, and one rank of two.
    check_recovers(answer(
        200,
        "",
        r#"{"data":[{"index":0,"embedding":[1,2,3]},{"index":1,"embedding":[1,2,3]}],"results":[{"index":0,"relevance_score":1}]}"#,
    ))
    .await;
    check_recovers(vec![Step::Reset]).await;
    check_recovers(then(
        vec![Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{\"data\":[".to_vec())],
        Step::Close,
    ))
    .await;
}

/// One attempt, and its error's status, code, and whether another target may do better.
async fn check_fails(script: Script, expected: (u16, &str, bool)) {
    let provider = Provider::start([script]).await;
    let upstream = upstream(&provider, |options| {
        options.retries_max = 0;
        options.body_bytes_max = 1000;
    });
    for error in [
        embed(&upstream, &texts("")).await.unwrap_err(),
        rerank(&upstream, &documents("")).await.unwrap_err(),
    ] {
        assert_eq!((error.fault.status(), error.code, error.retry_safe), expected, "{error}");
    }
    assert_eq!((provider.log().len(), upstream.health().in_flight), (2, 0));
}

#[tokio::test]
async fn what_comes_of_a_failure_is_what_comes_of_it_in_a_chat() {
    let long = r#"{"error":{"message":"This model's maximum context length is 8192 tokens","type":"invalid_request_error"}}"#;
    check_fails(answer(400, "", long), (424, "context_length_exceeded", false)).await;
    check_fails(answer(401, "", "{}"), (424, "upstream_key_refused", true)).await;
    check_fails(answer(422, "", r#"{"detail":"no"}"#), (424, "upstream_refused", false)).await;
    check_fails(answer(200, "", r#"{"data":[]}"#), (502, "upstream_garbage", true)).await;
    check_fails(answer(200, "", &format!("{:1001}", "{}")), (502, "upstream_garbage", true)).await;
    check_fails(vec![Step::Reset], (502, "upstream_cut", true)).await;
}

#[tokio::test]
async fn a_silent_upstream_ends_at_the_deadline_and_is_left() {
    let provider = Provider::start([vec![Step::Hang]]).await;
    let upstream = upstream(&provider, |_| {});
    let soon = Instant::now() + Duration::from_millis(50);
    let error = upstream.embed("m", &texts(""), soon, &[]).await.unwrap_err();
    assert_eq!(error.code, "upstream_timeout");
    provider.client_left().await;
    let soon = Instant::now() + Duration::from_millis(50);
    let error = upstream.rerank("m", &documents(""), soon, &[]).await.unwrap_err();
    assert_eq!((error.code, upstream.health().in_flight), ("upstream_timeout", 0));
    provider.client_left().await;
}

#[tokio::test]
async fn many_and_long_vectors_come_through() {
    // Over the size that is read on a thread of its own.
    let (count, length) = (300, 1_536);
    let vector: Vec<String> = (0..length).map(|n| format!("{}.5", n % 7)).collect();
    let data: Vec<String> = (0..count)
        .map(|index| format!(r#"{{"index":{index},"embedding":[{}]}}"#, vector.join(",")))
        .collect();
    let body = format!(r#"{{"data":[{}]}}"#, data.join(","));
    assert!(body.len() > 1 << 20);
    let provider = Provider::start([answer(200, "", &body)]).await;
    let input = vec!["x"; count];
    let request = serde_json::json!({ "model": "m", "input": input });
    let request = EmbeddingsRequest::from_body(request.as_object().cloned().unwrap()).unwrap();
    let done = embed(&upstream(&provider, |_| {}), &request).await.unwrap();
    assert_eq!((done.value.vectors.len(), done.value.usage), (count, None));
    assert!(done.value.vectors.iter().all(|vector| vector.len() == length && vector[1] == 1.5));
    let broken = body.replacen(r#""index":299"#, r#""index":298"#, 1);
    let provider = Provider::start([answer(200, "", &broken)]).await;
    let error = embed(&upstream(&provider, |options| options.retries_max = 0), &request).await.unwrap_err();
    assert_eq!(error.code, "upstream_garbage");
}

#[tokio::test]
async fn an_answer_cut_at_any_byte_is_never_given_on() {
    for (body, embeds) in [(VECTORS, true), (RANKS, false)] {
        let measured = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        for cut in 0..=body.len() {
            // Without a length, the end of the connection is the end of the body.
            for head in [measured.as_str(), "HTTP/1.1 200 OK\r\n\r\n"] {
                let script = vec![Step::Send(format!("{head}{}", &body[..cut]).into_bytes()), Step::Close];
                let provider = Provider::start([script]).await;
                let upstream = upstream(&provider, |options| options.retries_max = 0);
                let taken = match embeds {
                    true => embed(&upstream, &texts("")).await.is_ok(),
                    false => rerank(&upstream, &documents("")).await.is_ok(),
                };
                assert_eq!(taken, cut == body.len(), "{body} cut at {cut}");
            }
        }
    }
}

#[tokio::test]
async fn a_bad_endpoint_is_left_for_another() {
    let (bad, fine) = (Provider::start([answer(401, "", "{}")]).await, Provider::start([vectors()]).await);
    let upstream = upstream(&bad, |options: &mut UpstreamOptions| {
        options.endpoints = vec![EndpointOptions { base_url: fine.base_url(), ..EndpointOptions::default() }];
    });
    for _ in 0..10 {
        embed(&upstream, &texts("")).await.unwrap();
    }
    assert_eq!((bad.log().len(), fine.log().len()), (1, 10));
}

#[tokio::test]
async fn slow_vectors_are_hedged_by_the_times_of_vectors() {
    let mut scripts: Vec<Script> = vec![vectors(); 60];
    scripts.push(vec![Step::Hang]);
    scripts.push(vectors());
    let provider = Provider::start(scripts).await;
    let upstream = upstream(&provider, |options| {
        options.hedge = Some(Hedge { quantile: 0.999, share_max: 0.05 });
    });
    let mut done = Vec::new();
    for _ in 0..61 {
        done.push(embed(&upstream, &texts("")).await.unwrap());
    }
    assert!(done.iter().any(|done| done.hedged && done.attempts == 2));
    provider.client_left().await;
    // Nothing is known of ranks yet: the first of them waits alone.
    let silent = Provider::start([vec![Step::Hang]]).await;
    let renewed = upstream.renewed(&models::Upstreams::new(), {
        let mut options = UpstreamOptions::new("test", silent.base_url());
        options.allow_private_addresses = true;
        options.hedge = Some(Hedge { quantile: 0.5, share_max: 0.5 });
        options
    });
    let soon = Instant::now() + Duration::from_millis(100);
    let error = renewed.unwrap().rerank("m", &documents(""), soon, &[]).await.unwrap_err();
    assert_eq!((error.code, silent.log().len()), ("upstream_timeout", 1));
}
