//! Answers that come piece by piece, and every way that they can break.

use std::time::Duration;

use api::Reply;
use futures_util::StreamExt;

use crate::provider::{
    EVENTS, LAST_PIECE, Provider, STREAM_HEAD, Script, Step, answer, begun, opening, piece, streamed, then,
};
use crate::{chat, drain, failed, request, text, upstream};

const STREAM: &str = r#","stream":true"#;

#[tokio::test]
async fn a_stream_comes_through_whole_with_its_usage() {
    let provider = Provider::start([streamed(EVENTS)]).await;
    let answered = chat(&upstream(&provider, |_| {}), &request(STREAM)).await.unwrap();
    assert_eq!((answered.attempts, answered.upstream_request_id.as_deref()), (1, Some("req-8")));
    let (chunks, error) = drain(answered).await;
    assert_eq!((error, chunks.len(), text(&chunks)), (None, 5, "Grüß Gott".to_owned()));
    assert_eq!(chunks[0].extra["system_fingerprint"], "fp");
    assert_eq!(chunks[4].usage.as_ref().unwrap().completion_tokens, 4);
    let seen = &provider.log()[0];
    assert!(seen.head.contains("accept: text/event-stream\r\n"));
    assert!(
        seen.body.ends_with(r#""stream":true,"stream_options":{"include_usage":true}}"#),
        "{}",
        seen.body
    );
}

/// A stream of `events` that ends well; `n` answers were asked for.
async fn check_whole(events: &str, n: u32, expected: &str) {
    let provider = Provider::start([streamed(events)]).await;
    let asked = request(&format!(r#","stream":true,"n":{n}"#));
    let (chunks, error) = drain(chat(&upstream(&provider, |_| {}), &asked).await.unwrap()).await;
    assert_eq!((error, text(&chunks).as_str()), (None, expected), "{events}");
}

#[tokio::test]
async fn other_ways_to_write_a_stream_are_understood() {
    check_whole(&EVENTS.replace('\n', "\r\n"), 1, "Grüß Gott").await;
    check_whole(&EVENTS.replace("data: ", "data:"), 1, "Grüß Gott").await;
    check_whole(&EVENTS.replace("data: {", ": a comment\n\ndata:\n\nid: 4\ndata: {"), 1, "Grüß Gott").await;
    check_whole(&format!("\u{feff}{EVENTS}"), 1, "Grüß Gott").await;
    check_whole(EVENTS.trim_end(), 1, "Grüß Gott").await;
    // No [DONE], but the answer has told its end.
    check_whole(&EVENTS.replace("data: [DONE]\n\n", ""), 1, "Grüß Gott").await;
    // Usage on the last chunk that has choices.
    let usage = r#"data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#;
    check_whole(&format!("{usage}\n\ndata: [DONE]\n\n"), 1, "x").await;
    let two = r#"data: {"choices":[{"index":1,"delta":{"content":"b"},"finish_reason":"stop"}]}"#;
    check_whole(&format!("{usage}\n\n{two}\n\n"), 2, "xb").await;
}

/// A stream that breaks after `script`: every chunk before it comes through, then the error.
async fn check_breaks(script: Script, n: u32, code: &str) {
    let script_end = script.last().cloned();
    let provider = Provider::start([script]).await;
    let upstream = upstream(&provider, |options| {
        options.retries_max = 0;
        if matches!(script_end, Some(Step::Hang)) {
            options.idle_timeout = Duration::from_millis(100);
        }
    });
    let asked = request(&format!(r#","stream":true,"n":{n}"#));
    let (chunks, error) = drain(chat(&upstream, &asked).await.unwrap()).await;
    let error = error.unwrap();
    assert_eq!((error.code, error.retry_safe), (code, false), "{error}");
    assert_eq!(text(&chunks), "Grüß");
    assert!(chunks.iter().all(|chunk| chunk.choices.iter().all(|choice| choice.finish_reason.is_none())));
    let health = upstream.health();
    assert_eq!((health.recent_failures, health.last_failure, health.in_flight), (1, Some(code), 0));
}

#[tokio::test]
async fn a_broken_stream_ends_with_an_error() {
    check_breaks(then(begun(opening()), Step::Close), 1, "upstream_cut").await;
    check_breaks(then(begun(opening()), Step::Reset), 1, "upstream_cut").await;
    check_breaks(then(begun(opening()), Step::Hang), 1, "upstream_stalled").await;
    check_breaks(streamed(opening()), 1, "upstream_cut").await;
    check_breaks(streamed(&format!("{}data: {{\"ch", opening())), 1, "upstream_cut").await;
    check_breaks(begun(&format!("{}data: {{\"ch\n\n", opening())), 1, "upstream_garbage").await;
    check_breaks(begun(&format!("{}data: <html>\n\n", opening())), 1, "upstream_garbage").await;
    let in_band = r#"data: {"error":{"message":"the engine died","code":500}}"#;
    check_breaks(begun(&format!("{}{in_band}\n\ndata: [DONE]\n\n", opening())), 1, "upstream_failed").await;
    let named = "event: error\ndata: {\"message\":\"the engine died\"}";
    check_breaks(begun(&format!("{}{named}\n\n", opening())), 1, "upstream_failed").await;
    let not_utf8 = [STREAM_HEAD, &piece(opening().as_bytes()), &piece(b"data: \xff\xfe\n\n")].concat();
    check_breaks(vec![Step::Send(not_utf8)], 1, "upstream_garbage").await;
}

#[tokio::test]
async fn a_stream_without_an_end_is_ended() {
    // Four times the size of a whole answer, and never all of it in memory.
    let words = opening().repeat(50);
    let provider = Provider::start([then(begun(&words), Step::Hang)]).await;
    let upstream = upstream(&provider, |options| options.body_bytes_max = words.len() / 8);
    let (chunks, error) = drain(chat(&upstream, &request(STREAM)).await.unwrap()).await;
    assert_eq!(error.unwrap().code, "upstream_garbage");
    assert!(text(&chunks).len() < 50 * "Grüß".len());
}

#[tokio::test]
async fn one_ended_answer_of_two_is_not_the_whole() {
    let provider = Provider::start([streamed(&EVENTS.replace("data: [DONE]\n\n", ""))]).await;
    let asked = request(r#","stream":true,"n":2"#);
    let (_, error) = drain(chat(&upstream(&provider, |_| {}), &asked).await.unwrap()).await;
    assert_eq!(error.unwrap().code, "upstream_cut");
}

/// The text of an answer to `script` if the stream says that it is whole.
async fn whole_text(script: Script) -> Option<String> {
    let provider = Provider::start([script]).await;
    let upstream = upstream(&provider, |options| options.retries_max = 0);
    let answered = chat(&upstream, &request(STREAM)).await.ok()?;
    let (chunks, error) = drain(answered).await;
    error.is_none().then(|| text(&chunks))
}

#[tokio::test]
async fn a_stream_cut_at_any_byte_is_never_a_whole_answer() {
    let done = EVENTS.len();
    let told_its_end = EVENTS.find(r#""finish_reason":"stop"}],"usage":null}"#).unwrap() + 38;
    let unmeasured = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    for cut in 0..=done {
        let sent = &EVENTS.as_bytes()[..cut];
        // A chunked body that breaks off is always seen, up to the end of `[DONE]` itself.
        let chunked = [STREAM_HEAD, &piece(sent)].concat();
        for end in [Step::Close, Step::Reset] {
            // A reset may overtake what was sent before it, so that even the whole may be lost with it.
            let must = cut == done && matches!(end, Step::Close);
            let whole = whole_text(vec![Step::Send(chunked.clone()), end]).await;
            assert!(whole.is_none() || cut == done, "cut at {cut}: {whole:?}");
            assert!(whole.is_some() || !must, "the whole stream must be taken");
        }
        // Without a length, the end of the connection is the end of the body: the answer itself must tell its end.
        let whole = whole_text(vec![Step::Send([unmeasured, sent].concat()), Step::Close]).await;
        let between_events = sent.ends_with(b"}\n\n") || cut == done;
        assert!(whole.is_none() || cut >= told_its_end, "cut at {cut}: {whole:?}");
        assert!(whole.is_some() || cut < told_its_end || !between_events, "cut at {cut}");
        assert!(whole.is_none_or(|text| text == "Grüß Gott"), "cut at {cut}");
    }
}

#[tokio::test]
async fn a_stream_means_the_same_in_any_pieces() {
    for size in [1, 2, 3, 7, 64] {
        let mut bytes = STREAM_HEAD.to_vec();
        EVENTS.as_bytes().chunks(size).for_each(|part| bytes.extend(piece(part)));
        bytes.extend(LAST_PIECE);
        assert_eq!(
            whole_text(vec![Step::Send(bytes)]).await.as_deref(),
            Some("Grüß Gott"),
            "pieces of {size}"
        );
    }
}

/// A stream whose first attempt meets `script` before any part of an answer.
async fn check_recovers(script: Script) {
    let provider = Provider::start([script, streamed(EVENTS)]).await;
    let answered = chat(&upstream(&provider, |_| {}), &request(STREAM)).await.unwrap();
    assert_eq!((answered.attempts, provider.log().len()), (2, 2));
    assert_eq!(text(&drain(answered).await.0), "Grüß Gott");
}

#[tokio::test]
async fn a_failure_before_the_first_chunk_is_tried_again() {
    let in_band = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";
    check_recovers(streamed(in_band)).await;
    check_recovers(streamed("data: [DONE]\n\n")).await;
    check_recovers(streamed("")).await;
    check_recovers(then(begun(": wait\n\ndata: {"), Step::Close)).await;
    check_recovers(answer(200, "", r#"{"error":{"message":"overloaded","code":503}}"#)).await;
    check_recovers(answer(200, "", "{}")).await;
    check_recovers(answer(502, "", "<html>")).await;
    check_recovers(vec![Step::Reset]).await;
}

#[tokio::test]
async fn a_late_first_chunk_is_a_failure_and_the_upstream_is_left() {
    let slow_heads: [Script; 3] = [
        vec![Step::Hang],
        vec![Step::Send(STREAM_HEAD.to_vec()), Step::Hang],
        then(begun(": queued\n\n"), Step::Hang),
    ];
    for script in slow_heads {
        let provider = Provider::start([script]).await;
        let upstream = upstream(&provider, |options| options.first_byte_timeout = Duration::from_millis(100));
        let error = failed(&upstream, &request(STREAM)).await;
        assert_eq!((error.code, error.retry_safe), ("upstream_timeout", true));
        provider.client_left().await;
        assert_eq!(upstream.health().recent_failures, 1);
    }
}

#[tokio::test]
async fn the_deadline_holds_inside_a_stream() {
    let provider = Provider::start([then(begun(opening()), Step::Hang)]).await;
    let upstream = upstream(&provider, |_| {});
    let deadline = std::time::Instant::now() + Duration::from_millis(500);
    let answered = upstream.chat("m", &request(STREAM), deadline, &[]).await.unwrap();
    let (_, error) = drain(answered).await;
    assert_eq!(error.unwrap().code, "upstream_timeout");
    provider.client_left().await;
    assert_eq!(upstream.health().recent_failures, 0, "our own deadline is not the upstream's failure");
}

#[tokio::test]
async fn a_dropped_stream_leaves_the_upstream_at_once() {
    let provider = Provider::start([then(begun(opening()), Step::Hang)]).await;
    let upstream = upstream(&provider, |_| {});
    let Reply::Stream(mut stream) = chat(&upstream, &request(STREAM)).await.unwrap().reply else {
        panic!("a stream was asked for")
    };
    assert!(stream.next().await.unwrap().is_ok());
    assert_eq!(upstream.health().in_flight, 1);
    drop(stream);
    provider.client_left().await;
    let health = upstream.health();
    assert_eq!((health.in_flight, health.recent_failures), (0, 0));
}

#[tokio::test]
async fn a_finished_stream_gives_its_connection_back() {
    // The body's end comes with [DONE], or shortly after it.
    let late: Script =
        vec![Step::Send([STREAM_HEAD, &piece(EVENTS.as_bytes())].concat()), Step::Send(LAST_PIECE.to_vec())];
    for script in [streamed(EVENTS), late] {
        let provider = Provider::start([script]).await;
        let upstream = upstream(&provider, |_| {});
        for _ in 0..10 {
            let (_, error) = drain(chat(&upstream, &request(STREAM)).await.unwrap()).await;
            assert_eq!(error, None);
            // The rest of the body is read by tasks of their own.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        assert!(provider.connections() <= 2, "{} connections", provider.connections());
    }
}

#[tokio::test]
async fn an_endless_event_is_refused() {
    let mut script = begun(opening());
    script.push(Step::Send(format!("{:x}\r\n", 6 << 20).into_bytes()));
    script.push(Step::Send(vec![b'x'; 6 << 20]));
    check_breaks(script, 1, "upstream_garbage").await;
}

/// A recorded stream of another dialect, cut here and there and then closed or reset: only all of it is a whole answer.
/// Every byte has its turn in the simulation (`src/simulation/breaks.rs`); these are the system's own sockets.
async fn check_cuts(wire: dialects::Wire, recorded: &str) {
    let whole = Provider::start([streamed(recorded)]).await;
    let (_, error) =
        drain(chat(&upstream(&whole, |options| options.wire = wire), &request(STREAM)).await.unwrap()).await;
    assert_eq!(error, None, "{wire:?}");
    let near_the_end = recorded.len() - 8;
    for cut in (0..near_the_end).step_by(17).chain(near_the_end..=recorded.len()) {
        let sent = [STREAM_HEAD, &piece(&recorded.as_bytes()[..cut])].concat();
        for end in [Step::Close, Step::Reset] {
            let provider = Provider::start([vec![Step::Send(sent.clone()), end]]).await;
            let upstream = upstream(&provider, |options| {
                options.retries_max = 0;
                options.wire = wire;
            });
            let Ok(answered) = chat(&upstream, &request(STREAM)).await else { continue };
            let (_, error) = drain(answered).await;
            // The last line breaks add nothing to an event that says that the answer is whole.
            let all = recorded.as_bytes()[cut..].trim_ascii().is_empty();
            assert!(error.is_some() || all, "{wire:?} cut at {cut} is given as whole");
        }
    }
}

#[tokio::test]
async fn streams_of_other_dialects_are_never_whole_when_cut() {
    use dialects::Wire::{Gemini, Messages, Responses};
    check_cuts(Messages, include_str!("../../../dialects/tests/golden/messages/tools.sse")).await;
    check_cuts(Gemini, include_str!("../../../dialects/tests/golden/gemini/text.sse")).await;
    check_cuts(Responses, include_str!("../recorded/responses.sse")).await;
}
