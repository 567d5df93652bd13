//! The peers of a measurement: a provider that answers at once, and the barest relay that hyper allows.

#![expect(clippy::print_stdout, reason = "a child tells its port to whoever started it")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::process::end_with_parent;

const ANSWER: &str = r#"{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"Paris is the capital of France."},"finish_reason":"stop"}],"usage":{"prompt_tokens":14,"completion_tokens":7,"total_tokens":21}}"#;

/// Serves chat completions that are always the same, for ever.
pub fn instant_provider() {
    serve(|| async {
        |request: Request<Incoming>| async move {
            let _ = request.into_body().collect().await;
            let mut response = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
            let json = hyper::header::HeaderValue::from_static("application/json");
            response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
            response
        }
    });
}

/// Passes each connection's requests to one connection of its own to `upstream`, and the answers back frame by frame, for
/// ever.
///
/// # Panics
/// `upstream` is no address.
pub fn relay(upstream: &str) {
    let upstream: SocketAddr = upstream.parse().expect("an address");
    serve(move || async move {
        let sender = Arc::new(tokio::sync::Mutex::new(connect::<Incoming>(upstream).await));
        move |request: Request<Incoming>| {
            let sender = Arc::clone(&sender);
            async move {
                let mut sender = sender.lock().await;
                sender.ready().await.expect("the provider's connection");
                sender.send_request(request).await.expect("an answer")
            }
        }
    });
}

/// Binds a free port, says which, and serves for ever with the service that `make` gives for each connection.
fn serve<M, Making, S, R, B>(make: M)
where
    M: Fn() -> Making + Clone + Send + 'static,
    Making: Future<Output = S> + Send,
    S: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
    R: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    end_with_parent();
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
                let service = service_fn(move |request| {
                    let answering = answer(request);
                    async move { Ok::<_, Infallible>(answering.await) }
                });
                // A client that goes away ends its connection; that is all there is to say about it.
                let _ = serving.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}

/// One HTTP/1.1 connection.
pub(super) async fn connect<B>(address: SocketAddr) -> SendRequest<B>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("TCP_NODELAY");
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
    tokio::spawn(connection);
    sender
}
