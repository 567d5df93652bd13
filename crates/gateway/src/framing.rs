//! What hyper 1.12 lets through and two readers of one connection could understand differently.
//!
//! Owns the list and refuses with a 400, after which the connection ends. Taken on purpose: a bare LF at the end of a line of
//! a head, which RFC 9112 (2.2) lets a recipient take, and which cannot move the border between two requests here, because
//! whoever stands in front sends heads of its own; and an absolute form that names the same host.

use api::{Error, Fault};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method, Version};

/// What `connection` may name: the rest is for whoever reads the request at its end, and a proxy that obeys would take it
/// away on its way there.
const HOP_BY_HOP: [&str; 6] = ["close", "keep-alive", "te", "trailer", "upgrade", "http2-settings"];

/// Headers that decide who asks, for what and how long the request is: with `_` for `-` some servers in front of this one
/// read them as the same.
const TRUSTED: [&str; 4] = ["x-api-key", "content-length", "transfer-encoding", "x-request-id"];
const TRUSTED_PREFIX: &str = "x-pointsman-";

/// Refuses an ambiguous head.
///
/// # Errors
/// A 400 `bad_framing` that says what to send instead.
pub(crate) fn check(parts: &Parts) -> Result<(), Error> {
    host(parts)?;
    length(&parts.headers)?;
    connection(&parts.headers)?;
    names(&parts.headers)?;
    bodiless(parts)
}

fn wrong(message: impl Into<String>) -> Result<(), Error> {
    Err(Error::new(Fault::BadRequest, "bad_framing", message))
}

fn host(parts: &Parts) -> Result<(), Error> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return wrong("Send one `host` header, not several."),
        (Some(host), None) if host.is_empty() => return wrong("The `host` header is empty."),
        (None, None) if parts.version == Version::HTTP_11 => return wrong("HTTP/1.1 needs a `host` header."),
        _ => {}
    }
    match (parts.uri.authority(), parts.headers.get(HOST)) {
        (Some(authority), Some(host)) if authority.as_str().as_bytes() != host.as_bytes() => {
            wrong("The request line names another host than the `host` header.")
        }
        _ => Ok(()),
    }
}

fn length(headers: &HeaderMap) -> Result<(), Error> {
    if !headers.contains_key(TRANSFER_ENCODING) {
        return Ok(());
    }
    if headers.contains_key(CONTENT_LENGTH) {
        return wrong("Send `content-length` or `transfer-encoding`, not both.");
    }
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    match encodings.all(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        true => Ok(()),
        false => wrong("The only `transfer-encoding` that is taken is `chunked`."),
    }
}

fn connection(headers: &HeaderMap) -> Result<(), Error> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let mut named = values.flat_map(|value| value.split(',')).map(str::trim).filter(|name| !name.is_empty());
    let other = named.find(|name| !HOP_BY_HOP.iter().any(|known| known.eq_ignore_ascii_case(name)));
    match other {
        None => Ok(()),
        Some(_) => wrong(format!("`connection` may only name {}.", HOP_BY_HOP.join(", "))),
    }
}

fn names(headers: &HeaderMap) -> Result<(), Error> {
    for name in headers.keys().map(http::HeaderName::as_str).filter(|name| name.contains('_')) {
        let dashed = name.replace('_', "-");
        if TRUSTED.contains(&dashed.as_str()) || dashed.starts_with(TRUSTED_PREFIX) {
            return wrong(format!("There is no header `{name}`; send `{dashed}`."));
        }
    }
    Ok(())
}

fn bodiless(parts: &Parts) -> Result<(), Error> {
    let empty = |value: &http::HeaderValue| value.as_bytes().iter().all(|digit| *digit == b'0');
    let has_body = parts.headers.contains_key(TRANSFER_ENCODING)
        || parts.headers.get(CONTENT_LENGTH).is_some_and(|length| !empty(length));
    match matches!(parts.method, Method::GET | Method::HEAD) && has_body {
        true => wrong("A GET has no body."),
        false => Ok(()),
    }
}
