//! What holds for the head of any request: nothing panics, what is refused is a 400 that says what to send, and what is
//! taken is within its bounds.

use std::time::Duration;

use api::Fault;
use http::{HeaderName, HeaderValue, Method, Request};

use crate::framing;
use crate::wishes::Wishes;

/// Lines of `name: value`; a first line that begins with `P` makes it a POST.
pub fn heads(data: &[u8]) {
    let mut request = Request::new(());
    if data.starts_with(b"P") {
        *request.method_mut() = Method::POST;
    }
    for line in data.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            request.headers_mut().append(name, value);
        }
    }
    let (parts, ()) = request.into_parts();
    if let Err(error) = framing::check(&parts) {
        assert_eq!((error.fault, error.code), (Fault::BadRequest, "bad_framing"), "{error}");
    }
    match Wishes::read(&parts.headers) {
        Ok(wishes) => {
            assert!(wishes.tags.len() <= 16 && wishes.tags.iter().all(|tag| tag.len() <= 64));
            assert!(wishes.latency_budget.is_none_or(|budget| budget <= Duration::from_secs(3600)));
            assert!(wishes.cost_budget.is_none_or(|budget| budget >= api::Money::ZERO));
        }
        Err(error) => {
            assert_eq!(error.fault, Fault::BadRequest, "{error}");
            assert!(error.param.is_some() && !error.message.is_empty(), "{error}");
        }
    }
}
