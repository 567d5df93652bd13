//! `POST /v1/rerank`, answered by a model behind a provider, or by the encoder of this process: its score is the cosine of
//! question and document, which finds the same meaning in other words but does not read the two together as a
//! cross-encoder does.

use std::sync::Arc;

use api::{Embed, Error, Usage, Vector, cosine};
use dialects::{Ranked, RerankRequest, Reranked};
use http::Response;
use policy::Duty;

use super::service::{Answerer, Call, Serving, tokens_in};
use super::{Arrived, Step};
use crate::body::Body;

/// Answers one rerank request.
pub(crate) async fn rerank(arrived: Arrived) -> Response<Body> {
    rerank_or_refuse(arrived).await.unwrap_or_else(|refusal| *refusal)
}

async fn rerank_or_refuse(arrived: Arrived) -> Step<Response<Body>> {
    let admitted = arrived.admit()?;
    let reading = admitted.read_for(Duty::Rerank, RerankRequest::from_body, |request| &request.model);
    let (mut serving, request) = reading.await?;
    let request = Arc::new(request);
    let estimate = tokens_of(&request);
    match rank(&mut serving, &request, estimate).await {
        Ok(mut ranked) => {
            let usage = ranked.usage.get_or_insert_with(|| Usage::estimated(estimate, 0)).clone();
            let id = format!("rerank-{}", serving.ticket.id());
            let body = ranked.body(&id, &request, &serving.ticket.record.model);
            Ok(serving.answer(&usage, &body))
        }
        Err(error) => Err(serving.ticket.refuse(&error)),
    }
}

async fn rank(serving: &mut Serving, request: &Arc<RerankRequest>, tokens: u64) -> Result<Reranked, Error> {
    if let Answerer::Service(service) = &serving.answerer {
        let service = Arc::clone(service);
        let asking =
            async |call: Call<'_>| call.upstream.rerank(call.id, request, call.deadline, call.trace).await;
        return serving.ask(&service, tokens, asking).await;
    }
    let request = Arc::clone(request);
    serving.encode(move |encoder| by_meaning(encoder, &request)).await
}

/// The documents by how close their meaning is to the question's.
fn by_meaning(encoder: &classify::Encoder, request: &RerankRequest) -> Result<Reranked, Error> {
    let texts: Vec<&str> =
        std::iter::once(&request.query).chain(&request.documents).map(String::as_str).collect();
    let vectors = encoder.embed(&texts)?;
    let Some((question, documents)) = vectors.split_first() else {
        return Err(Error::internal("the encoder gave no vector"));
    };
    let ranked = |(index, document): (usize, &Vector)| {
        // An opposite meaning is no more relevant than none.
        Ranked { index, score: f64::from(cosine(question, document).clamp(0.0, 1.0)) }
    };
    let mut results: Vec<Ranked> = documents.iter().enumerate().map(ranked).collect();
    results.sort_by(|a, b| b.score.total_cmp(&a.score));
    results.truncate(request.top_n.unwrap_or(usize::MAX));
    let tokens: usize = texts.iter().map(|text| encoder.count_tokens(text)).sum();
    Ok(Reranked { results, usage: Some(Usage::exact(tokens as u64, 0)), search_units: None })
}

/// What a model that reads the question beside each document reads.
fn tokens_of(request: &RerankRequest) -> u64 {
    let query = tokens_in([request.query.as_str()]).saturating_mul(request.documents.len() as u64);
    query.saturating_add(tokens_in(request.documents.iter().map(String::as_str)))
}
