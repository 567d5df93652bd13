//! `POST /v1/embeddings`, answered by the encoder of this process.

use std::sync::Arc;

use api::{Embed, Error, Fault, Track, Usage, Vector, parse_object};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Response;
use serde_json::{Map, Value, json};

use super::read::read_json;
use super::relay::json_response;
use super::{Arrived, Step};
use crate::body::Body;

/// Texts of one request; OpenAI's own limit.
const INPUTS_MAX: usize = 2048;

/// Answers one embeddings request.
pub(crate) async fn embeddings(arrived: Arrived) -> Response<Body> {
    embeddings_or_refuse(arrived).await.unwrap_or_else(|refusal| *refusal)
}

async fn embeddings_or_refuse(arrived: Arrived) -> Step<Response<Body>> {
    let admitted = arrived.admit()?;
    let mut ticket = admitted.ticket;
    let house = Arc::clone(&ticket.house);
    let asked = read_json(&admitted.headers, admitted.body, &house.decider.settings.limits)
        .await
        .and_then(|bytes| parse_object(&bytes))
        .and_then(|body| {
            Asked::from_body(&body, &house.decider.settings.encoder.name, house.decider.encoder.dimensions())
        });
    let asked = match asked {
        Ok(asked) => asked,
        Err(error) => return Err(ticket.refuse(&error)),
    };
    ticket.record.track = Some(Track::Local);
    ticket.record.requested_model.clone_from(&house.decider.settings.encoder.name);
    ticket.attempt(&house.decider.settings.encoder.name);
    let Asked { texts, base64 } = asked;
    let work = move || -> Result<(Vec<Vector>, u64), Error> {
        let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = house.decider.encoder.embed(&borrowed)?;
        let tokens: usize = borrowed.iter().map(|text| house.decider.encoder.count_tokens(text)).sum();
        Ok((vectors, tokens as u64))
    };
    let done = ticket.waiting(tokio::task::spawn_blocking(work)).await;
    match done.map_err(Error::internal).and_then(|result| result) {
        Ok((vectors, tokens)) => {
            let model = ticket.record.model.clone();
            let mut response = json_response(&body(&vectors, base64, &model, tokens));
            ticket.record.tokens = (&Usage::exact(tokens, 0)).into();
            ticket.record.status = 200;
            ticket.decorate(response.headers_mut());
            ticket.decorate_cost(response.headers_mut());
            ticket.settle();
            Ok(response)
        }
        Err(error) => Err(ticket.refuse(&error)),
    }
}

/// A checked embeddings request.
struct Asked {
    texts: Vec<String>,
    base64: bool,
}

impl Asked {
    fn from_body(body: &Map<String, Value>, name: &str, dimensions: usize) -> Result<Self, Error> {
        match body.get("model").and_then(Value::as_str) {
            Some(model) if model == name || model == "auto" => {}
            Some(model) => {
                let message = format!("There is no embedding model `{model}`; this gateway has `{name}`.");
                return Err(Error::new(Fault::NotFound, "model_not_found", message).with_param("model"));
            }
            None => return Err(Error::field("model", "`model` is missing.")),
        }
        let base64 = match body.get("encoding_format") {
            None | Some(Value::Null) => false,
            Some(Value::String(format)) if format == "float" => false,
            Some(Value::String(format)) if format == "base64" => true,
            Some(_) => {
                return Err(Error::field("encoding_format", "`encoding_format` must be float or base64."));
            }
        };
        match body.get("dimensions") {
            None | Some(Value::Null) => {}
            Some(wanted) if wanted.as_u64() == Some(dimensions as u64) => {}
            Some(_) => {
                let allowed = format!("`dimensions` must be {dimensions}: `{name}` has no other size.");
                return Err(Error::field("dimensions", allowed));
            }
        }
        Ok(Self { texts: texts(body.get("input"))?, base64 })
    }
}

fn texts(input: Option<&Value>) -> Result<Vec<String>, Error> {
    let wrong = || {
        let allowed =
            "`input` must be a string or an array of 1 to 2048 non-empty strings; token ids are not taken.";
        Error::field("input", allowed)
    };
    let texts: Vec<String> = match input {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) if (1..=INPUTS_MAX).contains(&list.len()) => {
            let texts: Option<Vec<String>> =
                list.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            texts.ok_or_else(wrong)?
        }
        _ => return Err(wrong()),
    };
    if texts.iter().any(String::is_empty) { Err(wrong()) } else { Ok(texts) }
}

fn body(vectors: &[Vector], base64: bool, model: &str, tokens: u64) -> Value {
    let data: Vec<Value> = vectors
        .iter()
        .enumerate()
        .map(|(index, vector)| {
            let embedding = if base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                Value::String(STANDARD.encode(bytes))
            } else {
                json!(vector)
            };
            json!({ "object": "embedding", "index": index, "embedding": embedding })
        })
        .collect();
    json!({
        "object": "list",
        "data": data,
        "model": model,
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    })
}
