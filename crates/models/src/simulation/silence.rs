//! A connection of HTTP/2 whose peer goes silent: pings notice it long before any call would.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api::{ChatRequest, Reply};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::{Instant, sleep};
use turmoil::net::TcpListener;

use super::Outcome;
use crate::{HttpVersion, Proxies, Upstream, UpstreamOptions, Upstreams};

/// Longer than anything here should take: no call's own time may be what ends it.
const FAR: Duration = Duration::from_secs(600);
/// Within a ping's interval and the wait for its answer, and not before a ping can have gone unanswered.
const NOTICED: std::ops::Range<Duration> = Duration::from_secs(10)..Duration::from_secs(27);
const EVENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
const END: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// Whether the network between the two is broken.
type Broken = Rc<Cell<bool>>;

// === the provider ===

async fn provide(connections: Arc<AtomicUsize>) -> Outcome {
    let listener = TcpListener::bind(("0.0.0.0", 80)).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        connections.fetch_add(1, Ordering::Relaxed);
        tokio::task::spawn_local(async move {
            let served = http2::Builder::new(TokioExecutor::new());
            // A connection that breaks is part of the game.
            let _ = served.serve_connection(TokioIo::new(socket), service_fn(answer)).await;
        });
    }
}

type Events = std::pin::Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

/// A stream that ends where it is asked to, and otherwise says no more after its first word.
async fn answer(request: Request<Incoming>) -> Result<Response<StreamBody<Events>>, hyper::Error> {
    let asked = request.into_body().collect().await?.to_bytes();
    let ends = asked.windows(5).any(|window| window == b"whole");
    let frame = |text: &'static str| Ok(Frame::data(Bytes::from_static(text.as_bytes())));
    let first = stream::iter([frame(EVENT)]);
    let events: Events = if ends {
        Box::pin(first.chain(stream::iter([frame(END)])))
    } else {
        Box::pin(first.chain(stream::pending()))
    };
    let mut response = Response::new(StreamBody::new(events));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

// === the client ===

/// How a stream ended.
async fn read(upstream: &Upstream, content: &str) -> Result<Option<&'static str>, api::Error> {
    read_with(upstream, content, || {}).await
}

/// The same; `begun` is called at the first word.
async fn read_with(
    upstream: &Upstream,
    content: &str,
    begun: impl FnOnce(),
) -> Result<Option<&'static str>, api::Error> {
    let body =
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{content}"}}],"stream":true}}"#);
    let request = ChatRequest::from_body(api::parse_object(body.as_bytes())?)?;
    let answered = upstream.chat("m", &request, (Instant::now() + FAR).into_std(), &[]).await?;
    let Reply::Stream(mut chunks) = answered.reply else {
        return Err(api::Error::internal("a stream was asked for"));
    };
    begun();
    while let Some(chunk) = chunks.next().await {
        if let Err(error) = chunk {
            return Ok(Some(error.code));
        }
    }
    Ok(None)
}

async fn call_all(broken: Broken, connections: Arc<AtomicUsize>) -> Outcome {
    let mut options = UpstreamOptions::new("provider", "http://provider/v1");
    options.allow_private_addresses = true;
    options.http_version = HttpVersion::Http2;
    options.retries_max = 0;
    options.idle_timeout = FAR;
    options.first_byte_timeout = FAR;
    let upstream = Upstream::new(&Upstreams::with_proxies(Proxies::default()), options)?;
    let opened = || connections.load(Ordering::Relaxed);

    assert_eq!((read(&upstream, "whole").await?, read(&upstream, "whole").await?), (None, None));
    assert_eq!(opened(), 1, "one connection serves both");

    // In the middle of an answer.
    let mut since = Instant::now();
    let ended = read_with(&upstream, "silent", || {
        since = Instant::now();
        broken.set(true);
    });
    assert_eq!(ended.await?, Some("upstream_cut"));
    assert!(NOTICED.contains(&since.elapsed()), "noticed after {:?}", since.elapsed());
    broken.set(false);
    sleep(Duration::from_secs(1)).await;
    assert_eq!((read(&upstream, "whole").await?, opened()), (None, 2));

    // While nobody calls: the next call must not be given the dead connection.
    broken.set(true);
    sleep(NOTICED.end).await;
    broken.set(false);
    sleep(Duration::from_secs(1)).await;
    let asked = Instant::now();
    assert_eq!((read(&upstream, "whole").await?, opened()), (None, 3));
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    Ok(())
}

#[test]
fn a_silent_peer_of_http2_is_noticed_by_pings() {
    let (broken, connections) = (Broken::default(), Arc::<AtomicUsize>::default());
    let mut sim = turmoil::Builder::new()
        .simulation_duration(FAR)
        .tick_duration(Duration::from_millis(10))
        .min_message_latency(Duration::from_millis(5))
        .max_message_latency(Duration::from_millis(5))
        .build();
    let counted = Arc::clone(&connections);
    sim.host("provider", move || provide(Arc::clone(&counted)));
    sim.client("client", call_all(Rc::clone(&broken), connections));
    let mut was = false;
    loop {
        match sim.step() {
            Ok(true) => return,
            Ok(false) if broken.get() == was => {}
            Ok(false) => {
                was = broken.get();
                if was { sim.partition("client", "provider") } else { sim.repair("client", "provider") }
            }
            Err(error) => panic!("{error}"),
        }
    }
}
