//! What is on the wire between requests: ambiguous framing is refused, and nothing after it is read as a request.

use tests::raw;

use crate::house::shared;

const BODY: &str = r#"{"model":"ok","messages":[{"role":"user","content":"framing"}]}"#;

fn post(headers: &str, body: &str) -> String {
    format!("POST /v1/chat/completions HTTP/1.1\r\n{headers}content-type: application/json\r\n\r\n{body}")
}

/// Sends bytes and compares the statuses of all responses up to the connection's end.
fn check(what: &str, bytes: &str, expected: &[u16]) {
    assert_eq!(raw(shared().gateway.data, bytes.as_bytes()), expected, "{what}");
}

#[test]
fn ambiguous_requests_are_refused_and_end_the_connection() {
    let length = BODY.len();
    let smuggled = "GET /v1/models HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    for (what, head) in [
        ("two hosts", format!("host: a\r\nhost: b\r\ncontent-length: {length}\r\n")),
        ("no host", format!("content-length: {length}\r\n")),
        ("an empty host", format!("host:\r\ncontent-length: {length}\r\n")),
        ("two lengths", format!("host: a\r\ncontent-length: {length}\r\ncontent-length: 5\r\n")),
        ("a length that is no number", "host: a\r\ncontent-length: +5\r\n".to_owned()),
        ("a negative length", "host: a\r\ncontent-length: -1\r\n".to_owned()),
        ("a space before the colon", format!("host: a\r\ncontent-length : {length}\r\n")),
        ("a folded header", format!("host: a\r\nx-a: b\r\n c\r\ncontent-length: {length}\r\n")),
        ("an unknown coding", "host: a\r\ntransfer-encoding: gzip\r\n".to_owned()),
        ("two codings", "host: a\r\ntransfer-encoding: gzip, chunked\r\n".to_owned()),
        (
            "chunked twice",
            "host: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n".to_owned(),
        ),
        (
            "a key that a proxy would drop",
            format!("host: a\r\nconnection: close, Authorization\r\ncontent-length: {length}\r\n"),
        ),
        ("a key under another name", format!("host: a\r\nx_api_key: k\r\ncontent-length: {length}\r\n")),
        (
            "a second length under another name",
            format!("host: a\r\ncontent-length: {length}\r\ncontent_length: 5\r\n"),
        ),
    ] {
        check(what, &(post(&head, BODY) + smuggled), &[400]);
    }
    let get = |headers: &str| format!("GET /v1/models HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
    check("a GET with a body", &(get("content-length: 5\r\n") + "hello" + smuggled), &[400]);
    check("a chunked GET", &(get("transfer-encoding: chunked\r\n") + "0\r\n\r\n" + smuggled), &[400]);
    let both = post("host: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n");
    check("both lengths", &(both + smuggled), &[400]);
    let absolute = format!("GET http://evil.example/v1/models HTTP/1.1\r\nhost: a\r\n\r\n{smuggled}");
    check("a foreign authority", &absolute, &[400]);
}

#[test]
fn sound_requests_follow_each_other_on_one_connection() {
    let one = post(&format!("host: a\r\ncontent-length: {}\r\n", BODY.len()), BODY);
    let last = "GET /v1/models HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    check("two in a row", &(one.clone() + last), &[200, 200]);
    let chunked = format!("{:x}\r\n{BODY}\r\n0\r\n\r\n", BODY.len());
    let chunked = post("host: a\r\ntransfer-encoding: Chunked\r\n", &chunked);
    check("a chunked one", &(chunked + last), &[200, 200]);
    check(
        "an absolute form",
        "GET http://a/v1/models HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        &[200],
    );
    let bare = "GET /v1/models HTTP/1.1\nhost: a\nconnection: close\n\n";
    check("lines that end with LF alone", bare, &[200]);
    check(
        "an empty body and every word of `connection`",
        "GET /v1/models HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: Keep-Alive, TE, close\r\n\r\n",
        &[200],
    );
    check("HTTP/1.0 without a host", "GET /v1/models HTTP/1.0\r\n\r\n", &[200]);
}

#[test]
fn heads_that_are_too_large_or_no_http_are_refused() {
    let large = format!("GET /v1/models HTTP/1.1\r\nhost: a\r\nx-a: {}\r\n\r\n", "x".repeat(100_000));
    check("a large head", &large, &[431]);
    check("no HTTP", "\u{16}\u{3}\u{1}hello\r\n\r\n", &[400]);
    check("an unknown version", "GET /v1/models HTTP/9.9\r\nhost: a\r\n\r\n", &[400]);
}

#[test]
fn slow_and_silent_clients_are_closed() {
    // The helper fails where a connection is still open after its patience.
    let partial = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-slow: ";
    for (what, bytes) in [("silence", ""), ("half a head", partial)] {
        let statuses = raw(shared().gateway.data, bytes.as_bytes());
        assert!(statuses.is_empty() || statuses == [408], "{what}: {statuses:?}");
    }
    let half_a_body = post("host: a\r\nconnection: close\r\ncontent-length: 500\r\n", "{\"model\":");
    check("half a body", &half_a_body, &[408]);
}
