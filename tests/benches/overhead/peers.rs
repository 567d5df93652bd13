//! The two peers of the measurement: a provider that answers at once, and the barest relay that hyper allows.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &str = r#"{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"Paris is the capital of France."},"finish_reason":"stop"}],"usage":{"prompt_tokens":14,"completion_tokens":7,"total_tokens":21}}"#;

/// Serves chat completions that are always the same.
pub(crate) fn provider() {
    serve(|| async {
        service(|request: Request<Incoming>| async move {
            let _ = request.into_body().collect().await;
            json(Bytes::from_static(ANSWER.as_bytes()))
        })
    });
}

/// Passes each connection's requests to one connection of its own to `upstream`.
pub(crate) fn relay(upstream: &str) {
    let upstream: SocketAddr = upstream.parse().expect("an address");
    serve(move || async move {
        let sender = std::sync::Arc::new(tokio::sync::Mutex::new(connect(upstream).await));
        service(move |request: Request<Incoming>| {
            let sender = std::sync::Arc::clone(&sender);
            async move {
                let mut sender = sender.lock().await;
                let (parts, body) = request.into_parts();
                let body = body.collect().await.expect("a body").to_bytes();
                let mut onward = Request::new(Full::new(body));
                *onward.method_mut() = parts.method;
                *onward.uri_mut() = parts.uri;
                *onward.headers_mut() = parts.headers;
                let answer = sender.send_request(onward).await.expect("an answer");
                json(answer.into_body().collect().await.expect("a body").to_bytes())
            }
        })
    });
}

type Answer = Result<Response<Full<Bytes>>, Infallible>;

fn service<F, R>(answer: F) -> impl Fn(Request<Incoming>) -> R
where
    F: Fn(Request<Incoming>) -> R,
    R: Future<Output = Answer>,
{
    answer
}

fn json(body: Bytes) -> Answer {
    let mut response = Response::new(Full::new(body));
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    Ok(response)
}

/// Binds a free port, says which, and serves for ever with the service that `make` gives for each connection.
fn serve<M, Making, S, R>(make: M)
where
    M: Fn() -> Making + Clone + Send + 'static,
    Making: Future<Output = S> + Send,
    S: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
    R: Future<Output = Answer> + Send + 'static,
{
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address").port());
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("TCP_NODELAY");
            let make = make.clone();
            tokio::spawn(async move {
                let answer = make().await;
                let serving = hyper::server::conn::http1::Builder::new();
                // A client that goes away ends its connection; that is all there is to say about it.
                let _ = serving.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
            });
        }
    });
}

/// One HTTP/1.1 connection.
pub(crate) async fn connect(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("TCP_NODELAY");
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
    tokio::spawn(connection);
    sender
}
