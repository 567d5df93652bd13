//! Calls to a provider that misbehaves on purpose, through the crate's public face only.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set its scene should fail")]

mod connections;
mod endpoints;
mod provider;
mod proxies;
mod storms;
mod streams;
mod vectors;
mod whole;

use std::time::{Duration, Instant};

use api::{ChatRequest, Chunk, Error, Reply};
use futures_util::StreamExt;
use models::{Answered, Upstream, UpstreamOptions, Upstreams};

use crate::provider::Provider;

/// Far enough never to matter.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn request(extra: &str) -> ChatRequest {
    let body = format!(r#"{{"model":"auto","messages":[{{"role":"user","content":"Hello"}}]{extra}}}"#);
    ChatRequest::from_body(api::parse_object(body.as_bytes()).unwrap()).unwrap()
}

fn upstream(provider: &Provider, change: impl FnOnce(&mut UpstreamOptions)) -> Upstream {
    let mut options = UpstreamOptions::new("test", provider.base_url());
    options.allow_private_addresses = true;
    options.seed = Some(1);
    change(&mut options);
    Upstream::new(&Upstreams::new(), options).unwrap()
}

async fn chat(upstream: &Upstream, request: &ChatRequest) -> Result<Answered, Error> {
    upstream.chat("their-model", request, far(), &[]).await
}

async fn failed(upstream: &Upstream, request: &ChatRequest) -> Error {
    match chat(upstream, request).await {
        Ok(_) => panic!("the call should have failed"),
        Err(error) => error,
    }
}

/// All chunks of a stream, and the error that it ended with.
async fn drain(answered: Answered) -> (Vec<Chunk>, Option<Error>) {
    let Reply::Stream(mut stream) = answered.reply else { panic!("a stream was asked for") };
    let mut chunks = Vec::new();
    let mut error = None;
    while let Some(item) = stream.next().await {
        assert!(error.is_none(), "an error is the last item");
        match item {
            Ok(chunk) => chunks.push(chunk),
            Err(ended) => error = Some(ended),
        }
    }
    assert!(stream.next().await.is_none(), "the end stays the end");
    (chunks, error)
}

fn text(chunks: &[Chunk]) -> String {
    chunks
        .iter()
        .flat_map(|chunk| &chunk.choices)
        .filter_map(|choice| choice.delta.content.as_deref())
        .collect()
}
