//! Many calls to an upstream in trouble.

use std::time::{Duration, Instant};

use api::Reply;
use futures_util::StreamExt;
use futures_util::future::join_all;
use models::BreakerState;

use crate::provider::{EVENTS, LAST_PIECE, Provider, Step, answer, begun, good, opening, then};
use crate::{chat, failed, far, request, upstream};

#[tokio::test]
async fn the_breaker_opens_and_one_probe_closes_it() {
    let bad = answer(500, "", "{}");
    let scripts = [bad.clone(), bad.clone(), bad.clone(), bad.clone(), bad, good()];
    let provider = Provider::start(scripts).await;
    let upstream = upstream(&provider, |options| options.retries_max = 0);
    let asked = request("");
    for _ in 0..5 {
        assert_eq!(failed(&upstream, &asked).await.code, "upstream_failed");
    }
    let resting = failed(&upstream, &asked).await;
    assert_eq!((resting.fault.status(), resting.code, resting.retry_safe), (503, "upstream_resting", true));
    assert_eq!(upstream.health().breaker, BreakerState::Open);
    assert_eq!(provider.log().len(), 5, "nothing is sent while it is open");

    tokio::time::sleep(resting.retry_after.unwrap()).await;
    // All of these are first polled before any answer can come: one is the probe.
    let calls = join_all((0..8).map(|_| chat(&upstream, &asked))).await;
    assert_eq!(calls.iter().filter(|call| call.is_ok()).count(), 1);
    assert_eq!(provider.log().len(), 6);
    assert_eq!(upstream.health().breaker, BreakerState::Closed);
    assert!(join_all((0..8).map(|_| chat(&upstream, &asked))).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn streams_count_by_how_they_end() {
    let provider = Provider::start([then(begun(opening()), Step::Close)]).await;
    let upstream = upstream(&provider, |options| options.retries_max = 0);
    let asked = request(r#","stream":true"#);
    for _ in 0..5 {
        let (_, error) = crate::drain(chat(&upstream, &asked).await.unwrap()).await;
        assert_eq!(error.unwrap().code, "upstream_cut");
    }
    assert_eq!(failed(&upstream, &asked).await.code, "upstream_resting");
}

#[tokio::test]
async fn retries_stay_inside_their_budget() {
    // A 429 does not open the breaker, so that only the budget holds the retries back.
    let provider = Provider::start([answer(429, "retry-after: 0\r\n", "{}")]).await;
    let upstream = upstream(&provider, |options| options.retries_max = 4);
    let asked = request("");
    let before = Instant::now();
    let mut requests = 0;
    for _ in 0..2 {
        let calls = join_all((0..50).map(|_| chat(&upstream, &asked))).await;
        assert!(calls.iter().all(Result::is_err));
        requests += calls.len();
    }
    let (attempts, seconds) = (provider.log().len(), before.elapsed().as_secs_f64());
    let allowed = 1.2 * requests as f64 + 10.0 * seconds + 10.0;
    assert!(attempts > requests, "there are retries at all");
    assert!(attempts as f64 <= allowed, "{attempts} attempts for {requests} requests in {seconds} s");
}

#[tokio::test]
async fn places_end_when_answers_end() {
    let mut slow = begun(opening());
    slow.push(Step::Hang);
    let provider = Provider::start([slow, good()]).await;
    let upstream = upstream(&provider, |options| options.concurrency_max = 1);
    let Reply::Stream(mut stream) = chat(&upstream, &request(r#","stream":true"#)).await.unwrap().reply
    else {
        panic!("a stream was asked for")
    };
    stream.next().await.unwrap().unwrap();
    let asked = request("");
    let (waited, refused, ()) = tokio::join!(chat(&upstream, &asked), chat(&upstream, &asked), async {
        assert_eq!(provider.log().len(), 1, "the place is taken until the stream ends");
        drop(stream);
    });
    assert_eq!(waited.unwrap().attempts, 1);
    let refused = refused.err().unwrap();
    assert_eq!((refused.fault.status(), refused.code, refused.retry_safe), (503, "upstream_busy", true));
    assert_eq!(upstream.health().in_flight, 0);
}

#[tokio::test]
async fn waiting_for_a_place_ends_at_the_deadline() {
    let provider = Provider::start([vec![Step::Hang]]).await;
    let upstream = upstream(&provider, |options| options.concurrency_max = 1);
    let asked = request("");
    let soon = Instant::now() + Duration::from_millis(50);
    let (first, second) = tokio::join!(
        upstream.chat("m", &asked, soon + Duration::from_millis(50), &[]),
        upstream.chat("m", &asked, soon, &[])
    );
    assert_eq!(first.err().unwrap().error.code, "upstream_timeout");
    assert_eq!(second.err().unwrap().error.code, "upstream_busy");
}

#[tokio::test]
async fn many_streams_at_once_come_through() {
    let whole = vec![
        Step::Send(crate::provider::STREAM_HEAD.to_vec()),
        Step::Send(crate::provider::piece(EVENTS.as_bytes())),
        Step::Send(LAST_PIECE.to_vec()),
    ];
    let provider = Provider::start([whole]).await;
    let upstream = upstream(&provider, |options| options.concurrency_max = 50);
    let asked = request(r#","stream":true"#);
    let calls = join_all((0..100).map(async |_| {
        let answered = upstream.chat("m", &asked, far(), &[]).await.unwrap();
        crate::drain(answered).await
    }));
    for (chunks, error) in calls.await {
        assert_eq!((error, crate::text(&chunks).as_str()), (None, "Grüß Gott"));
    }
    assert_eq!(upstream.health().in_flight, 0);
}
