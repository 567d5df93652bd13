//! Connections: the way there, TLS, and one pool per upstream.
//!
//! Owns the trust in certificates and the time that connecting may take. Refuses to follow the process's default TLS
//! provider: it is ring, chosen here.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use api::Error;
use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use crate::address::Guard;
use crate::lane::Lane;
use crate::options::{HttpVersion, UpstreamOptions};
use crate::road::{Proxies, Road};
use crate::site::Site;

/// Sends requests over kept connections.
pub(crate) type Client = legacy::Client<Connector, Full<Bytes>>;

/// One upstream's connections, and what they were made from.
pub(crate) struct Pool {
    client: Mutex<Client>,
    connector: Connector,
    wiring: Wiring,
}

impl Pool {
    fn new(connector: Connector, wiring: Wiring) -> Self {
        Self { client: Mutex::new(client(&wiring, connector.clone())), connector, wiring }
    }

    /// The client that all share.
    pub(crate) fn client(&self) -> Client {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same without any connection, for a probe: what is kept from before a failure may be dead without showing it,
    /// and one probe after another would only find that out. Calls under way keep theirs.
    pub(crate) fn fresh(&self) -> Client {
        let fresh = client(&self.wiring, self.connector.clone());
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&fresh);
        fresh
    }
}

fn client(wiring: &Wiring, connector: Connector) -> Client {
    let idle_max = usize::try_from(wiring.idle_connections_max).unwrap_or(usize::MAX);
    legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_KEPT)
        .pool_max_idle_per_host(idle_max)
        .http1_max_buf_size(READ_BYTES_MAX)
        .http2_only(wiring.http_version == HttpVersion::Http2)
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PONG)
        .http2_keep_alive_while_idle(true)
        .build(connector)
}

/// Everything that connections depend on: keys are not part of it.
#[derive(PartialEq)]
struct Wiring {
    allow_private: bool,
    is_tls: bool,
    /// The certificates themselves: a file may be replaced under its name.
    ca: Option<Vec<u8>>,
    http_version: HttpVersion,
    connect_timeout: Duration,
    idle_connections_max: u32,
}

impl Wiring {
    fn new(options: &UpstreamOptions, sites: &[Site]) -> Result<Self, Error> {
        let is_tls = sites.iter().any(|site| site.is_tls);
        let ca = options.ca_file.as_deref().filter(|_| is_tls).map(std::fs::read).transpose();
        let ca =
            ca.map_err(|error| Error::field("ca_file", format!("`ca_file` cannot be read: {error}.")))?;
        Ok(Self {
            allow_private: options.allow_private_addresses,
            is_tls,
            ca,
            http_version: options.http_version,
            connect_timeout: options.connect_timeout,
            idle_connections_max: options.idle_connections_max,
        })
    }
}

/// Below the idle time of common load balancers (60 s and more), so that they do not close what is about to be used.
const IDLE_KEPT: Duration = Duration::from_secs(30);
/// A connection of HTTP/2 that does not answer a ping is closed, with everything on it: nothing else would notice a
/// peer that is gone before the calls' own deadlines.
const PING: Duration = Duration::from_secs(15);
const PONG: Duration = Duration::from_secs(10);
/// The most that is read ahead on one HTTP/1.1 connection, head included.
const READ_BYTES_MAX: usize = 128 << 10;

/// What upstreams share: the trusted certificates, read once, when the first upstream needs them.
#[derive(Clone)]
pub struct Upstreams {
    system_roots: Arc<OnceLock<SystemRoots>>,
    proxies: Proxies,
}

impl Default for Upstreams {
    fn default() -> Self {
        Self::new()
    }
}

struct SystemRoots {
    store: RootCertStore,
    problems: Vec<String>,
}

impl Upstreams {
    /// With the environment's proxies. No certificate is read yet.
    pub fn new() -> Self {
        Self::with_proxies(Proxies::from_env())
    }

    /// With these proxies and no others.
    pub fn with_proxies(proxies: Proxies) -> Self {
        Self { system_roots: Arc::default(), proxies }
    }

    /// A pool for the upstream of `options`, at `sites`.
    pub(crate) fn pool(&self, options: &UpstreamOptions, sites: &[Site]) -> Result<Pool, Error> {
        self.wired(Wiring::new(options, sites)?, options.guard(), sites)
    }

    /// The same, where `before` will not do.
    pub(crate) fn pool_like(
        &self,
        before: &Arc<Pool>,
        options: &UpstreamOptions,
        sites: &[Site],
    ) -> Result<Arc<Pool>, Error> {
        let wiring = Wiring::new(options, sites)?;
        if wiring == before.wiring {
            return Ok(Arc::clone(before));
        }
        self.wired(wiring, options.guard(), sites).map(Arc::new)
    }

    fn wired(&self, wiring: Wiring, guard: Guard, sites: &[Site]) -> Result<Pool, Error> {
        let tls = self.tls(&wiring)?;
        let timeout = wiring.connect_timeout;
        let road = Road::new(guard, timeout, &self.proxies, sites.iter().map(|site| &site.address))?;
        let connector = Connector { inner: HttpsConnector::from((road, tls)), timeout };
        Ok(Pool::new(connector, wiring))
    }

    fn tls(&self, wiring: &Wiring) -> Result<ClientConfig, Error> {
        let provider: CryptoProvider = rustls::crypto::ring::default_provider();
        let roots = if wiring.is_tls { self.roots(wiring.ca.as_deref())? } else { RootCertStore::empty() };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .map_err(Error::internal)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (h1, h2) = (b"http/1.1".to_vec(), b"h2".to_vec());
        config.alpn_protocols = match wiring.http_version {
            HttpVersion::Auto => vec![h2, h1],
            HttpVersion::Http1 => vec![h1],
            HttpVersion::Http2 => vec![h2],
        };
        Ok(config)
    }

    fn roots(&self, ca: Option<&[u8]>) -> Result<RootCertStore, Error> {
        let system = self.system_roots.get_or_init(SystemRoots::read);
        let mut roots = system.store.clone();
        if let Some(pem) = ca {
            add(&mut roots, pem)
                .map_err(|problem| Error::field("ca_file", format!("`ca_file` {problem}")))?;
        }
        if roots.is_empty() {
            let message = "The system has no trusted certificates; install its package of them (ca-certificates) \
                           or name a file of them in `ca_file`.";
            return Err(Error::field("ca_file", message).with_detail(system.problems.join("; ")));
        }
        Ok(roots)
    }
}

impl SystemRoots {
    fn read() -> Self {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(found.certs);
        Self { store, problems: found.errors.iter().map(ToString::to_string).collect() }
    }
}

fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), String> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("is not a file of PEM certificates: {error}."))?;
    if certificates.is_empty() {
        return Err("holds no PEM certificate.".to_owned());
    }
    for certificate in certificates {
        roots
            .add(certificate)
            .map_err(|error| format!("holds a certificate that cannot be used: {error}."))?;
    }
    Ok(())
}

/// Connects within a time: name look-up, TCP and TLS together.
#[derive(Clone)]
pub(crate) struct Connector {
    inner: HttpsConnector<Road>,
    timeout: Duration,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Unconnected {
    /// It took longer than `connect_timeout`.
    TooSlow,
    /// Name look-up, TCP or TLS failed.
    Failed(Box<dyn StdError + Send + Sync>),
}

impl fmt::Display for Unconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooSlow => "no connection within `connect_timeout`",
            Self::Failed(_) => "no connection",
        })
    }
}

impl StdError for Unconnected {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::TooSlow => None,
            Self::Failed(cause) => Some(&**cause),
        }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<Lane>;
    type Error = Unconnected;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Unconnected>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unconnected>> {
        self.inner.poll_ready(cx).map_err(Unconnected::Failed)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.timeout, self.inner.call(uri));
        Box::pin(async move {
            match connecting.await {
                Ok(connected) => connected.map_err(Unconnected::Failed),
                Err(_) => Err(Unconnected::TooSlow),
            }
        })
    }
}
