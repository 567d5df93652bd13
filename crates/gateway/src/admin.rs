//! The admin plane: health, metrics, what runs. On an address of its own; neither probe calls an upstream.

use std::sync::Arc;

use api::{Error, Fault};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use crate::body::{Body, whole};
use crate::data::json_response;
use crate::exchange::refusal;
use crate::house::House;

/// Answers one request on the admin port.
#[expect(clippy::unused_async, reason = "the listener takes a future, and later endpoints wait")]
pub(crate) async fn answer(house: Arc<House>, request: Request<Incoming>) -> Response<Body> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return refusal(&Error::new(
            Fault::MethodNotAllowed,
            "method_not_allowed",
            "The admin port takes GET.",
        ));
    }
    match request.uri().path() {
        "/livez" => text("ok\n", "text/plain; charset=utf-8"),
        "/readyz" => ready(&house),
        "/metrics" => {
            text(house.metrics.exposition(), "application/openmetrics-text; version=1.0.0; charset=utf-8")
        }
        "/api/config" => config(&house),
        _ => refusal(&Error::new(
            Fault::NotFound,
            "unknown_path",
            "This port serves GET /livez, /readyz, /metrics and /api/config.",
        )),
    }
}

/// Ready while requests can be taken: not during the drain.
fn ready(house: &House) -> Response<Body> {
    if house.stop.is_cancelled() {
        let mut response = text("draining\n", "text/plain; charset=utf-8");
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return response;
    }
    text("ok\n", "text/plain; charset=utf-8")
}

/// What runs, and why the last change was refused, where it was.
fn config(house: &House) -> Response<Body> {
    let live = house.decider.live.load();
    json_response(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": live.revision,
        "file": house.decider.settings.file.display().to_string(),
        "policies": live.policies.all().iter().map(|policy| policy.name()).collect::<Vec<_>>(),
        "models": house.decider.models(&live).into_iter().map(|(id, _)| id).collect::<Vec<_>>(),
        "refused": house.refused_change(),
    }))
}

fn text(body: impl Into<bytes::Bytes>, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(whole(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
