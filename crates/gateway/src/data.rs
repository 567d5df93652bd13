//! The data plane: which request goes where.

use std::sync::Arc;
use std::time::Instant;

use api::{Error, Fault};
use dialects::Face;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::body::{Body, whole};
use crate::exchange::{self, Arrived, refusal, refusal_in};
use crate::framing;
use crate::house::House;
use crate::vector_stores;

/// Answers one request on the data port.
pub(crate) async fn answer(house: Arc<House>, request: Request<Incoming>) -> Response<Body> {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let face = face_at(&path);
    if let Err(error) = framing::check(&parts) {
        // What follows on this connection may be part of the same attempt to be misunderstood.
        let mut response = refusal_in(face, &error, "");
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return response;
    }
    let (allowed, operation) = match path.as_str() {
        "/v1/chat/completions"
        | "/v1/route"
        | "/v1/messages"
        | "/v1/messages/count_tokens"
        | "/v1/responses" => (Method::POST, "chat"),
        "/v1/completions" => (Method::POST, "text_completion"),
        "/v1/feedback" => (Method::POST, "feedback"),
        "/v1/embeddings" => (Method::POST, "embeddings"),
        "/v1/rerank" | "/v2/rerank" => (Method::POST, "rerank"),
        "/v1/models" => (Method::GET, ""),
        path if vector_stores::serves(path) => {
            let operation = "vector_stores";
            return vector_stores::answer(Arrived { house, parts, body, started, operation, face }).await;
        }
        path if path.starts_with("/v1/models/") => (Method::GET, ""),
        _ => return refusal_in(face, &unknown_path(&path), ""),
    };
    if parts.method != allowed {
        return wrong_method(face, &path, &allowed);
    }
    let arrived = Arrived { house, parts, body, started, operation, face };
    match path.as_str() {
        "/v1/chat/completions" | "/v1/completions" | "/v1/messages" | "/v1/responses" => {
            exchange::answer(arrived).await
        }
        "/v1/messages/count_tokens" => exchange::count_tokens(arrived).await,
        "/v1/route" => exchange::route(arrived).await,
        "/v1/feedback" => exchange::feedback(arrived).await,
        "/v1/embeddings" => exchange::embeddings(arrived).await,
        "/v1/rerank" | "/v2/rerank" => exchange::rerank(arrived).await,
        path => models(&arrived, path),
    }
}

/// The dialect that is spoken at `path`.
fn face_at(path: &str) -> Face {
    match path {
        "/v1/completions" => Face::Completions,
        "/v1/messages" | "/v1/messages/count_tokens" => Face::Messages,
        "/v1/responses" => Face::Responses,
        _ => Face::Chat,
    }
}

fn unknown_path(path: &str) -> Error {
    let shown: String = path.chars().take(100).collect();
    Error::new(
        Fault::NotFound,
        "unknown_path",
        format!(
            "There is nothing at `{shown}`. This port serves POST /v1/chat/completions, /v1/responses, \
             /v1/messages, /v1/completions, /v1/embeddings, /v1/rerank, /v1/feedback, /v1/route, /v1/files and GET /v1/models, /v1/vector_stores."
        ),
    )
}

pub(crate) fn wrong_method(face: Face, path: &str, allowed: &Method) -> Response<Body> {
    let error =
        Error::new(Fault::MethodNotAllowed, "method_not_allowed", format!("`{path}` takes {allowed} only."));
    let mut response = refusal_in(face, &error, "");
    if let Ok(value) = HeaderValue::from_str(allowed.as_str()) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

/// `GET /v1/models` and `GET /v1/models/{id}`; ids may hold slashes (`task/NAME`).
fn models(arrived: &Arrived, path: &str) -> Response<Body> {
    let live = arrived.house.decider.live.load();
    if let Err(error) = live.keys.authenticate(exchange::presented_key(&arrived.parts.headers)) {
        return refusal(&error);
    }
    let all = arrived.house.decider.models(&live);
    let described = |(id, owner): &(String, String)| -> Value {
        json!({ "id": id, "object": "model", "created": arrived.house.started_s, "owned_by": owner })
    };
    let body = match path.strip_prefix("/v1/models/") {
        None => json!({ "object": "list", "data": all.iter().map(described).collect::<Vec<_>>() }),
        Some(id) => match all.iter().find(|(known, _)| known == id) {
            Some(model) => described(model),
            None => return refusal(&no_model(id, &all)),
        },
    };
    json_response(&body)
}

fn no_model(id: &str, all: &[(String, String)]) -> Error {
    let shown: String = id.chars().take(100).collect();
    let names: Vec<&str> = all.iter().map(|(id, _)| id.as_str()).collect();
    let message = format!("There is no model `{shown}`. There are: {}.", names.join(", "));
    Error::new(Fault::NotFound, "model_not_found", message).with_param("model")
}

/// A 200 with a JSON body.
pub(crate) fn json_response(body: &Value) -> Response<Body> {
    let mut response = Response::new(whole(body.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
