//! The load: requests of one shape, as fast as the answers come or at a fixed rate.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::SendRequest;
use tokio::runtime::{Builder, Runtime};

use crate::peers::connect;

/// What a request looks like.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// A concrete external model, each text a new one.
    Direct,
    /// The same request again and again.
    Repeated,
    /// `auto`, with about this many tokens, each text a new one.
    Auto(usize),
    /// A policy whose one question words and form answer, so that the encoder is not asked; the same texts.
    Words(usize),
}

impl Shape {
    fn body(self, number: usize) -> Bytes {
        let (model, text) = match self {
            Self::Direct => ("bench", format!("What is the capital of country number {number}?")),
            Self::Repeated => ("bench", "What is the capital of France?".to_owned()),
            Self::Auto(tokens) | Self::Words(tokens) => {
                let filler = "The council met again on Tuesday to discuss the new bridge over the river. ";
                let text = filler.repeat((tokens * 4).saturating_sub(60) / filler.len());
                (
                    if matches!(self, Self::Auto(_)) { "auto" } else { "words" },
                    format!("{text}Write a short story, number {number}, in the style of an old sailor."),
                )
            }
        };
        let body = serde_json::json!({ "model": model, "messages": [{ "role": "user", "content": text }] });
        Bytes::from(body.to_string())
    }
}

/// A load generator with one thread of its own.
pub(crate) struct Load(Runtime);

impl Load {
    pub(crate) fn new() -> Self {
        Self(Builder::new_current_thread().enable_all().build().expect("a runtime"))
    }

    /// Sends `requests` requests over `connections` connections, each waiting for its answer before the next.
    pub(crate) fn closed(&self, port: u16, shape: Shape, requests: usize, connections: usize, round: usize) {
        self.0.block_on(async {
            let each = requests / connections;
            let mut workers = Vec::new();
            for worker in 0..connections {
                let mut sender = connect(SocketAddr::from(([127, 0, 0, 1], port))).await;
                workers.push(tokio::spawn(async move {
                    for turn in 0..each {
                        ask(&mut sender, shape.body((round * connections + worker) * each + turn)).await;
                    }
                }));
            }
            for worker in workers {
                worker.await.expect("a worker");
            }
        });
    }

    /// Sends `rate` requests a second for `time`; the latencies in milliseconds, each from the moment at which the
    /// request was due, so that a stall is not hidden by requests that were never sent.
    pub(crate) fn open(&self, port: u16, shape: Shape, rate: u32, time: Duration) -> Vec<f64> {
        self.0.block_on(async {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let total = (time.as_secs_f64() * f64::from(rate)) as usize;
            let idle = std::sync::Arc::new(tokio::sync::Mutex::new(Vec::new()));
            let begin = Instant::now() + Duration::from_millis(50);
            let mut asking = Vec::with_capacity(total);
            for number in 0..total {
                let due = begin + Duration::from_secs_f64(number as f64 / f64::from(rate));
                tokio::time::sleep_until(due.into()).await;
                let idle = std::sync::Arc::clone(&idle);
                asking.push(tokio::spawn(async move {
                    let kept = idle.lock().await.pop();
                    let mut sender = match kept {
                        Some(sender) => sender,
                        None => connect(address).await,
                    };
                    ask(&mut sender, shape.body(1_000_000 + number)).await;
                    let took = due.elapsed();
                    idle.lock().await.push(sender);
                    took.as_secs_f64() * 1e3
                }));
            }
            let mut millis = Vec::with_capacity(total);
            for asked in asking {
                millis.push(asked.await.expect("an answer"));
            }
            millis
        })
    }
}

async fn ask(sender: &mut SendRequest<Full<Bytes>>, body: Bytes) {
    let request = Request::post("/v1/chat/completions")
        .header("host", "127.0.0.1")
        .header("content-type", "application/json")
        .body(Full::new(body))
        .expect("a request");
    sender.ready().await.expect("a connection");
    let answer = sender.send_request(request).await.expect("an answer");
    let status = answer.status();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
}
