//! Several endpoints of one upstream: retries, ejection, hedges, and new keys.

use std::time::{Duration, Instant};

use api::Secret;
use futures_util::future::join_all;
use models::{BreakerState, EndpointOptions, Hedge, HttpVersion, Upstream, UpstreamOptions, Upstreams};

use crate::provider::{EVENTS, Provider, STREAM_HEAD, Script, Step, answer, good, streamed};
use crate::{chat, drain, failed, request, text};

fn options(providers: &[&Provider]) -> UpstreamOptions {
    let mut options = UpstreamOptions::new("test", providers[0].base_url());
    options.allow_private_addresses = true;
    options.seed = Some(1);
    options.endpoints = providers[1..]
        .iter()
        .map(|provider| EndpointOptions { base_url: provider.base_url(), ..EndpointOptions::default() })
        .collect();
    options
}

fn upstream(options: UpstreamOptions) -> Upstream {
    Upstream::new(&Upstreams::new(), options).unwrap()
}

/// One endpoint always gives `script`, the other is good: every call comes through, with at most `bad_max` of ten
/// attempts at the bad one, and a probe for each half second that a busy machine takes.
async fn check_goes_elsewhere(script: Script, bad_max: usize) {
    let (bad, fine) = (Provider::start([script]).await, Provider::start([good()]).await);
    let mut options = options(&[&bad, &fine]);
    options.first_byte_timeout = Duration::from_millis(100);
    let upstream = upstream(options);
    let began = Instant::now();
    for _ in 0..10 {
        chat(&upstream, &request("")).await.unwrap();
    }
    assert_eq!(fine.log().len(), 10);
    let halves = began.elapsed().as_millis() / 500;
    // What is shunned is not probed.
    let probes = if bad_max > 1 { usize::try_from(halves).unwrap() } else { 0 };
    assert!((1..=bad_max + probes).contains(&bad.log().len()), "{} at the bad one", bad.log().len());
}

#[tokio::test]
async fn an_endpoint_in_trouble_is_left_for_another_at_once() {
    check_goes_elsewhere(answer(401, "", "{}"), 1).await;
    check_goes_elsewhere(answer(402, "", "{}"), 1).await;
    check_goes_elsewhere(answer(429, "retry-after: 60\r\n", "{}"), 1).await;
    check_goes_elsewhere(answer(404, "", "{}"), 5).await;
    check_goes_elsewhere(answer(500, "", "{}"), 5).await;
    check_goes_elsewhere(vec![Step::Reset], 5).await;
}

#[tokio::test]
async fn a_late_first_byte_is_looked_for_elsewhere() {
    let (silent, fine) =
        (Provider::start([vec![Step::Hang]]).await, Provider::start([streamed(EVENTS)]).await);
    let mut options = options(&[&silent, &fine]);
    options.first_byte_timeout = Duration::from_millis(100);
    let upstream = upstream(options);
    let asked = request(r#","stream":true"#);
    let mut attempts = 0;
    for _ in 0..5 {
        let answered = chat(&upstream, &asked).await.unwrap();
        attempts += answered.attempts;
        assert_eq!(text(&drain(answered).await.0), "Grüß Gott");
    }
    assert!(attempts >= 6, "the silent one was tried: {attempts}");
}

#[tokio::test]
async fn the_last_endpoint_is_never_left_out_for_its_key() {
    let (one, two) =
        (Provider::start([answer(401, "", "{}")]).await, Provider::start([answer(403, "", "{}")]).await);
    let upstream = upstream(options(&[&one, &two]));
    for _ in 0..4 {
        assert_eq!(failed(&upstream, &request("")).await.code, "upstream_key_refused");
    }
    assert!(one.log().len() + two.log().len() >= 4);
    assert_eq!(upstream.health().breaker, BreakerState::Closed);
}

#[tokio::test]
async fn all_endpoints_resting_is_told() {
    let (one, two) =
        (Provider::start([answer(500, "", "{}")]).await, Provider::start([answer(500, "", "{}")]).await);
    let mut options = options(&[&one, &two]);
    options.retries_max = 0;
    let upstream = upstream(options);
    let mut codes = Vec::new();
    for _ in 0..20 {
        codes.push(failed(&upstream, &request("")).await.code);
    }
    assert_eq!(codes.last(), Some(&"upstream_resting"), "{codes:?}");
    assert_eq!(one.log().len() + two.log().len(), 10);
    assert!(upstream.endpoints().iter().all(|health| health.breaker == BreakerState::Open));
}

#[tokio::test]
async fn calls_are_spread_over_endpoints() {
    let (one, two) = (Provider::start([good()]).await, Provider::start([good()]).await);
    let upstream = upstream(options(&[&one, &two]));
    let asked = request("");
    assert!(join_all((0..40).map(|_| chat(&upstream, &asked))).await.iter().all(Result::is_ok));
    assert!(one.log().len() >= 10 && two.log().len() >= 10, "{} {}", one.log().len(), two.log().len());
}

/// The first of `slow` answers is good 60 times, then hangs.
async fn slow_after_60() -> Provider {
    let mut scripts: Vec<Script> = vec![good(); 60];
    scripts.push(vec![Step::Hang]);
    scripts.push(good());
    Provider::start(scripts).await
}

#[tokio::test]
async fn a_slow_call_is_hedged_and_the_loser_left() {
    let provider = slow_after_60().await;
    let mut options = options(&[&provider]);
    options.hedge = Some(Hedge { quantile: 0.999, share_max: 0.05 });
    let upstream = upstream(options);
    let mut answered = Vec::new();
    for _ in 0..61 {
        answered.push(chat(&upstream, &request("")).await.unwrap());
    }
    let hedged = answered.iter().filter(|answered| answered.hedged).count();
    assert!((1..=3).contains(&hedged), "{hedged} of 61 calls were hedged");
    let last = answered.pop().unwrap();
    assert_eq!((last.attempts, last.hedged), (2, true));
    provider.client_left().await;
    assert_eq!(upstream.health().in_flight, 0);
}

#[tokio::test]
async fn nothing_is_hedged_before_enough_is_known() {
    let provider = Provider::start([vec![Step::Hang]]).await;
    let mut options = options(&[&provider]);
    options.hedge = Some(Hedge { quantile: 0.5, share_max: 0.5 });
    let upstream = upstream(options);
    let soon = std::time::Instant::now() + Duration::from_millis(200);
    let error = upstream.chat("m", &request(""), soon, &[]).await.err().unwrap();
    assert_eq!((error.code, provider.log().len()), ("upstream_timeout", 1));
}

#[tokio::test]
async fn a_new_key_keeps_connections_and_health() {
    let provider = Provider::start([good(), answer(500, "", "{}"), answer(401, "", "{}"), good()]).await;
    let upstreams = Upstreams::new();
    let mut options = options(&[&provider]);
    options.retries_max = 0;
    options.key = Some(Secret::new("first-key"));
    let first = Upstream::new(&upstreams, options.clone()).unwrap();
    chat(&first, &request("")).await.unwrap();
    failed(&first, &request("")).await;
    failed(&first, &request("")).await;

    options.key = Some(Secret::new("second-key"));
    options.concurrency_max = 7;
    let second = first.renewed(&upstreams, options.clone()).unwrap();
    assert_eq!(second.health(), first.health());
    assert_eq!(second.health().recent_failures, 1);
    chat(&second, &request("")).await.unwrap();
    let keys: Vec<bool> = provider.log().iter().map(|seen| seen.head.contains("Bearer second-key")).collect();
    assert_eq!((keys, provider.connections()), (vec![false, false, false, true], 1));

    options.http_version = HttpVersion::Http1;
    chat(&second.renewed(&upstreams, options.clone()).unwrap(), &request("")).await.unwrap();
    assert_eq!(provider.connections(), 2, "another way to connect needs other connections");

    options.key = Some(Secret::new("two words"));
    assert_eq!(second.renewed(&upstreams, options).unwrap_err().param.as_deref(), Some("key"));
}

#[tokio::test]
async fn each_endpoint_gets_its_own_key() {
    let (one, two) =
        (Provider::start([answer(401, "", "{}")]).await, Provider::start([answer(401, "", "{}")]).await);
    let mut options = options(&[&one, &two]);
    options.key = Some(Secret::new("key-of-one"));
    options.endpoints[0].key = Some(Secret::new("key-of-two"));
    failed(&upstream(options), &request("")).await;
    for (provider, key) in [(one, "key-of-one"), (two, "key-of-two")] {
        assert!(provider.log()[0].head.contains(&format!("authorization: Bearer {key}\r\n")));
    }
}

#[tokio::test]
async fn a_stream_that_has_begun_is_not_hedged() {
    let mut slow_end = vec![Step::Send(STREAM_HEAD.to_vec())];
    slow_end.push(Step::Send(crate::provider::piece(crate::provider::opening().as_bytes())));
    slow_end.push(Step::Hang);
    let mut scripts: Vec<Script> = vec![streamed(EVENTS); 60];
    scripts.push(slow_end);
    let provider = Provider::start(scripts).await;
    let mut options = options(&[&provider]);
    options.hedge = Some(Hedge { quantile: 0.999, share_max: 0.5 });
    options.idle_timeout = Duration::from_millis(200);
    let upstream = upstream(options);
    let asked = request(r#","stream":true"#);
    for _ in 0..60 {
        drain(chat(&upstream, &asked).await.unwrap()).await;
    }
    let (chunks, error) = drain(chat(&upstream, &asked).await.unwrap()).await;
    assert_eq!((text(&chunks).as_str(), error.unwrap().code), ("Grüß", "upstream_stalled"));
}
