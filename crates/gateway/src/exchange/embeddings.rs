//! `POST /v1/embeddings`, answered by the encoder of this process or by a model behind a provider.

use std::sync::Arc;

use api::{Embed, Error, Usage};
use dialects::{Embedded, EmbeddingsRequest, Input};
use http::Response;
use policy::Duty;

use super::service::{Answerer, Call, Serving, tokens_in};
use super::{Arrived, Step};
use crate::body::Body;

/// Answers one embeddings request.
pub(crate) async fn embeddings(arrived: Arrived) -> Response<Body> {
    embeddings_or_refuse(arrived).await.unwrap_or_else(|refusal| *refusal)
}

async fn embeddings_or_refuse(arrived: Arrived) -> Step<Response<Body>> {
    let admitted = arrived.admit()?;
    let reading = admitted.read_for(Duty::Embeddings, EmbeddingsRequest::from_body, |request| &request.model);
    let (mut serving, request) = reading.await?;
    let base64 = request.base64;
    let estimate = tokens_of(&request);
    match embed(&mut serving, request, estimate).await {
        Ok(mut embedded) => {
            let usage = embedded.usage.get_or_insert_with(|| Usage::estimated(estimate, 0)).clone();
            let body = embedded.body(&serving.ticket.record.model, base64);
            Ok(serving.answer(&usage, &body))
        }
        Err(error) => Err(serving.ticket.refuse(&error)),
    }
}

async fn embed(serving: &mut Serving, request: EmbeddingsRequest, tokens: u64) -> Result<Embedded, Error> {
    if let Answerer::Service(service) = &serving.answerer {
        let service = Arc::clone(service);
        let asking =
            async |call: Call<'_>| call.upstream.embed(call.id, &request, call.deadline, call.trace).await;
        return serving.ask(&service, tokens, asking).await;
    }
    let settings = &serving.ticket.house.decider.settings.encoder;
    let texts = texts(request, &settings.name, serving.ticket.house.decider.encoder.dimensions())?;
    let work = move |encoder: &classify::Encoder| {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = encoder.embed(&texts)?;
        let tokens: usize = texts.iter().map(|text| encoder.count_tokens(text)).sum();
        Ok(Embedded { vectors, usage: Some(Usage::exact(tokens as u64, 0)) })
    };
    serving.encode(work).await
}

/// What the encoder of this process can read of a request.
fn texts(request: EmbeddingsRequest, name: &str, dimensions: usize) -> Result<Vec<String>, Error> {
    if request.dimensions.is_some_and(|wanted| usize::try_from(wanted).ok() != Some(dimensions)) {
        let allowed = format!("`dimensions` must be {dimensions}: `{name}` has no other size.");
        return Err(Error::field("dimensions", allowed));
    }
    let text = |input: Input| match input {
        Input::Text(text) => Ok(text),
        Input::Tokens(_) => {
            let message = format!("`{name}` takes texts; token ids are those of another model.");
            Err(Error::field("input", message))
        }
    };
    request.inputs.into_iter().map(text).collect()
}

fn tokens_of(request: &EmbeddingsRequest) -> u64 {
    let tokens = |input: &Input| match input {
        Input::Text(text) => tokens_in([text.as_str()]),
        Input::Tokens(tokens) => tokens.len() as u64,
    };
    request.inputs.iter().map(tokens).sum()
}
