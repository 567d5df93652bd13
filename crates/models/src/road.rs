//! The way to an address: TCP through the address guard.
//!
//! Owns the sockets' settings.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::address::{Guard, Resolver};

/// A connection, before TLS.
pub(crate) type Lane = TokioIo<TcpStream>;

type Failed = Box<dyn StdError + Send + Sync>;

const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Road {
    direct: HttpConnector<Resolver>,
}

impl Road {
    /// The way to addresses that `guard` passes.
    pub(crate) fn new(guard: Guard, timeout: Duration) -> Self {
        Self { direct: tcp(guard, timeout) }
    }
}

fn tcp(guard: Guard, timeout: Duration) -> HttpConnector<Resolver> {
    let mut tcp = HttpConnector::new_with_resolver(Resolver { guard });
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEP_ALIVE));
    tcp.set_connect_timeout(Some(timeout));
    tcp
}

impl Service<Uri> for Road {
    type Response = Lane;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<Lane, Failed>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialled = self.direct.call(uri);
        Box::pin(async move { dialled.await.map_err(Into::into) })
    }
}
