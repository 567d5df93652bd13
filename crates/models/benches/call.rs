//! CPU time of one call on its own thread, beside the bare client under it: `cargo bench -p models --bench call`.
//!
//! Both sides talk to the same small server on another thread, over one kept connection. The bare client sends a body that is
//! already written and reads the answer's bytes; the call also writes the request, reads the answer into values and
//! keeps its limits.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark on a terminal")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use api::{ChatRequest, Reply};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use models::{Upstream, UpstreamOptions, Upstreams};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const CALLS: u32 = 20_000;
const ROUNDS: u32 = 5;
const CHUNKS: u32 = 100;
const COMPLETION: &str = r#"{"id":"c1","object":"chat.completion","created":5,"model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"The quick brown fox jumps over the lazy dog.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,"prompt_tokens_details":{"cached_tokens":0}}}"#;
const CHUNK: &str = r#"data: {"id":"c2","object":"chat.completion.chunk","created":5,"model":"m-1","system_fingerprint":"fp","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null}

"#;

/// A server that answers each request with the same bytes.
fn serve(response: Vec<u8>) -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                socket.set_nodelay(true).unwrap();
                let response = response.clone();
                tokio::spawn(async move {
                    let mut read = vec![0; 64 << 10];
                    // Every request here is small enough to come in one piece.
                    while socket.read(&mut read).await.is_ok_and(|size| size > 0) {
                        if socket.write_all(&response).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
    });
    told.recv().unwrap()
}

/// CPU time of this thread so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

/// The least CPU time per call over the rounds: other work on the machine only ever adds.
async fn measure(what: &str, calls: u32, mut call: impl AsyncFnMut()) {
    for _ in 0..calls / 10 {
        call().await;
    }
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let before = cpu();
        for _ in 0..calls {
            call().await;
        }
        best = best.min((cpu() - before) / calls);
    }
    println!("{what:44} {:8.2} µs CPU", best.as_secs_f64() * 1e6);
}

fn request(stream: bool) -> ChatRequest {
    let body = format!(
        r#"{{"model":"auto","messages":[{{"role":"system","content":"You are helpful."}},{{"role":"user","content":"{}"}}],"stream":{stream}}}"#,
        "Tell me about foxes. ".repeat(10)
    );
    ChatRequest::from_body(api::parse_object(body.as_bytes()).unwrap()).unwrap()
}

async fn bare(address: SocketAddr, what: &str, calls: u32) {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(tcp);
    let uri: http::Uri = format!("http://{address}/v1/chat/completions").parse().unwrap();
    let body = Bytes::from(serde_json::to_vec(&request(true).body).unwrap());
    measure(what, calls, async || {
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri.clone())
            .header("content-type", "application/json")
            .body(Full::new(body.clone()))
            .unwrap();
        let mut body = client.request(request).await.unwrap().into_body();
        while let Some(frame) = body.frame().await {
            frame.unwrap();
        }
    })
    .await;
}

async fn ours(address: SocketAddr, stream: bool, what: &str, calls: u32) {
    let mut options = UpstreamOptions::new("bench", format!("http://{address}/v1"));
    options.allow_private_addresses = true;
    let upstream = Upstream::new(&Upstreams::new(), options).unwrap();
    let request = request(stream);
    measure(what, calls, async || {
        let deadline = Instant::now() + Duration::from_secs(60);
        match upstream.chat("m-1", &request, deadline, &[]).await.unwrap().reply {
            Reply::Whole(completion) => assert_eq!(completion.choices.len(), 1),
            Reply::Stream(mut stream) => {
                while let Some(chunk) = stream.next().await {
                    chunk.unwrap();
                }
            }
        }
    })
    .await;
}

fn main() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type:";
    let length = COMPLETION.len();
    let whole = serve(
        format!("{head} application/json\r\ncontent-length: {length}\r\n\r\n{COMPLETION}").into_bytes(),
    );
    let mut stream = format!("{head} text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
    let size = CHUNK.len();
    (0..CHUNKS).for_each(|_| stream.push_str(&format!("{size:x}\r\n{CHUNK}\r\n")));
    stream.push_str("e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    let stream = serve(stream.into_bytes());

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        bare(whole, "whole answer, bare client", CALLS).await;
        ours(whole, false, "whole answer, call", CALLS).await;
        bare(stream, "stream of 100 chunks, bare client", CALLS / 20).await;
        ours(stream, true, "stream of 100 chunks, call", CALLS / 20).await;
    });
}
