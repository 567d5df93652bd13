//! The way to an address: TCP through the address guard, or a tunnel through the operator's proxy.
//!
//! Owns the sockets' settings and which proxy is used. A proxy's own address comes from the operator's environment and
//! may be private; what goes through it are the operator's targets, whose literal addresses have been checked. Their names
//! are the proxy's to resolve. Refuses proxies that are not spoken to in plain HTTP, and a proxy that cannot be read: a
//! mistyped one must not mean none.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use api::Error;
use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tower_service::Service;

use crate::address::{Guard, Resolver};
use crate::lane::Lane;

type Failed = Box<dyn StdError + Send + Sync>;
type Dialling = Pin<Box<dyn Future<Output = Result<Lane, Failed>> + Send>>;

const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// The proxies that upstreams are reached through, in curl's terms. Values may hold a user and a password; nothing shows
/// them.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For `https://` upstreams.
    pub https: String,
    /// For `http://` upstreams.
    pub http: String,
    /// Where the one for the scheme is empty.
    pub all: String,
    /// Hosts that are reached without one: names with everything below them, addresses, networks, or `*`.
    pub none: String,
}

impl Proxies {
    /// `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, each in capital or small letters.
    pub fn from_env() -> Self {
        let read = |name: &str| {
            let value = std::env::var(name).ok().filter(|value| !value.is_empty());
            value.or_else(|| std::env::var(name.to_ascii_lowercase()).ok()).unwrap_or_default()
        };
        Self {
            https: read("HTTPS_PROXY"),
            http: read("HTTP_PROXY"),
            all: read("ALL_PROXY"),
            none: read("NO_PROXY"),
        }
    }

    fn matcher(&self) -> Matcher {
        Matcher::builder()
            .https(self.https.as_str())
            .http(self.http.as_str())
            .all(self.all.as_str())
            .no(self.none.as_str())
            .build()
    }

    /// Refuses a proxy for `target` that cannot be used.
    fn check(&self, target: &Uri) -> Result<(), Error> {
        let own = match target.scheme() == Some(&Scheme::HTTPS) {
            true => ("HTTPS_PROXY", &self.https),
            false => ("HTTP_PROXY", &self.http),
        };
        let (name, value) = if own.1.is_empty() { ("ALL_PROXY", &self.all) } else { own };
        let any = Self { https: String::new(), http: String::new(), all: ANY.to_owned(), ..self.clone() };
        if value.is_empty() || any.matcher().intercept(target).is_none() {
            return Ok(());
        }
        // By itself: a proxy for all would hide a mistake in the one for the scheme.
        let found = Self { all: value.clone(), ..any }.matcher().intercept(target);
        let has_host = |uri: &Uri| uri.host().is_some_and(|host| !host.is_empty());
        if found.is_some_and(|proxy| proxy.uri().scheme() == Some(&Scheme::HTTP) && has_host(proxy.uri())) {
            return Ok(());
        }
        let message = format!(
            "The environment's {name} must be an address such as http://proxy.example:3128, with a user and a password \
             before the host where it wants them; other kinds of proxies are not spoken to."
        );
        Err(Error::field(name, message))
    }
}

/// Some proxy, to see whether one would be used.
const ANY: &str = "http://proxy.invalid:1";

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Road {
    direct: Dial,
    to_proxy: Dial,
    proxies: Arc<Matcher>,
}

impl Road {
    /// The way to addresses that `guard` passes, of which `targets` are examples.
    ///
    /// # Errors
    /// A proxy for one of them that cannot be used.
    pub(crate) fn new<'a>(
        guard: Guard,
        timeout: Duration,
        proxies: &Proxies,
        targets: impl IntoIterator<Item = &'a Uri>,
    ) -> Result<Self, Error> {
        targets.into_iter().try_for_each(|target| proxies.check(target))?;
        let direct = Dial(tcp(guard, timeout));
        let to_proxy = Dial(tcp(Guard { allow_private: true }, timeout));
        Ok(Self { direct, to_proxy, proxies: Arc::new(proxies.matcher()) })
    }

    fn tunnel(&self, proxy: &Intercept, target: Uri) -> Dialling {
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.to_proxy.clone());
        if let Some(password) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(password.clone());
        }
        let connecting = tunnel.call(with_port(target));
        Box::pin(async move { connecting.await.map_err(Into::into) })
    }
}

impl Service<Uri> for Road {
    type Response = Lane;
    type Error = Failed;
    type Future = Dialling;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Dialling {
        match self.proxies.intercept(&target) {
            Some(proxy) => self.tunnel(&proxy, target),
            None => self.direct.call(target),
        }
    }
}

/// A tunnel takes 443 where no port is said, which is not that of `http://`.
fn with_port(target: Uri) -> Uri {
    if target.port().is_some() || target.scheme() != Some(&Scheme::HTTP) {
        return target;
    }
    let authority = format!("{}:80", target.host().unwrap_or_default());
    Uri::builder().scheme("http").authority(authority).path_and_query("/").build().unwrap_or(target)
}

/// Opens TCP connections.
#[derive(Clone)]
struct Dial(HttpConnector<Resolver>);

fn tcp(guard: Guard, timeout: Duration) -> HttpConnector<Resolver> {
    let mut tcp = HttpConnector::new_with_resolver(Resolver { guard });
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEP_ALIVE));
    tcp.set_connect_timeout(Some(timeout));
    tcp
}

impl Service<Uri> for Dial {
    type Response = Lane;
    type Error = Failed;
    type Future = Dialling;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Dialling {
        #[cfg(test)]
        if turmoil::in_simulation() {
            return Box::pin(crate::simulation::dial(uri));
        }
        let dialled = self.0.call(uri);
        Box::pin(async move { Ok(Lane::new(dialled.await?)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(proxies: &Proxies, target: &str, refused: Option<&str>) {
        let target: Uri = target.parse().expect("an address");
        let checked = proxies.check(&target);
        assert_eq!(checked.as_ref().err().and_then(|error| error.param.as_deref()), refused, "{target}");
        assert!(checked.err().is_none_or(|error| !error.message.contains("hunter2")));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused_by_name() {
        let some = |https: &str, http: &str, all: &str| Proxies {
            https: https.to_owned(),
            http: http.to_owned(),
            all: all.to_owned(),
            none: ".inside.example,10.0.0.0/8".to_owned(),
        };
        check(&some("http://u:hunter2@p:3128", "", ""), "https://a.example", None);
        check(&some("p:3128", "", ""), "https://a.example", None);
        check(&some("https://u:hunter2@p", "", ""), "https://a.example", Some("HTTPS_PROXY"));
        check(&some("socks5://p", "", ""), "https://a.example", Some("HTTPS_PROXY"));
        check(&some("socks5://p", "", ""), "http://a.example", None);
        check(&some("socks5://p", "", ""), "https://b.inside.example", None);
        check(&some("", "", "hunter2 :// hunter2"), "http://a.example", Some("ALL_PROXY"));
        check(&some("", "", "socks5://p"), "http://10.1.2.3", None);
        check(&some("", "http://", "http://p"), "http://a.example", Some("HTTP_PROXY"));
        check(&Proxies::default(), "https://a.example", None);
    }

    #[test]
    fn the_port_of_plain_http_is_said() {
        for (target, expected) in [
            ("http://a.example/v1", "http://a.example:80/"),
            ("http://[::1]/v1", "http://[::1]:80/"),
            ("http://a.example:8000/v1", "http://a.example:8000/v1"),
            ("https://a.example/v1", "https://a.example/v1"),
        ] {
            assert_eq!(with_port(target.parse().expect("an address")), expected);
        }
    }
}
