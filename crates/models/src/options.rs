//! What the operator says about one upstream, and its check.
//!
//! Owns the defaults and the refusals, each of which names the field and what is allowed. Refuses to repeat a value that
//! may hold a secret.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use api::{Error, Secret};
use dialects::Wire;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::address::Guard;
use crate::secret::Redactor;

/// Which version of HTTP is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// What both sides prefer, by ALPN; HTTP/1.1 without TLS.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only, without TLS by prior knowledge.
    Http2,
}

/// One upstream as the operator describes it. [`UpstreamOptions::new`] gives the defaults that the fields name.
#[derive(Clone)]
pub struct UpstreamOptions {
    /// The operator's name for it, shown in messages.
    pub name: String,
    /// Scheme, host, port and the path before `/chat/completions`: `https://api.openai.com/v1`.
    pub base_url: String,
    /// What it speaks. Default: [`Wire::Chat`].
    pub wire: Wire,
    /// Sent as `authorization: Bearer`.
    pub key: Option<Secret>,
    /// Sent with every request: an organisation, a key of another form. Values are never shown.
    pub headers: Vec<(String, String)>,
    /// Loopback, private and link-local addresses, and plain `http://`, are allowed. Default: no.
    pub allow_private_addresses: bool,
    /// PEM certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Default: [`HttpVersion::Auto`].
    pub http_version: HttpVersion,
    /// For name look-up, TCP and TLS together. Default: 5 s.
    pub connect_timeout: Duration,
    /// To the first event of a stream. A whole answer has until its own deadline, and counts as the upstream's failure
    /// if that was at least this far. Default: 30 s.
    pub first_byte_timeout: Duration,
    /// Silence inside a stream. Default: 30 s.
    pub idle_timeout: Duration,
    /// The largest whole answer, in bytes. Default: 32 MiB.
    pub body_bytes_max: usize,
    /// Answers under way at once, a stream until its end; as many again wait. Default: 256.
    pub concurrency_max: u32,
    /// Connections kept open without work, for 30 s. Default: 64.
    pub idle_connections_max: u32,
    /// Retries of one call, inside the upstream's retry budget. Default: 2.
    pub retries_max: u32,
    /// The longest wait before a retry, whatever `retry-after` says: above it the call fails at once. Default: 2 s.
    pub retry_wait_max: Duration,
    /// Makes the waits between retries repeatable. Default: none.
    pub seed: Option<u64>,
}

impl UpstreamOptions {
    /// An upstream with the defaults.
    pub fn new(name: impl Into<String>, base_url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            base_url: base_url.into(),
            wire: Wire::default(),
            key: None,
            headers: Vec::new(),
            allow_private_addresses: false,
            ca_file: None,
            http_version: HttpVersion::Auto,
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
            body_bytes_max: 32 << 20,
            concurrency_max: 256,
            idle_connections_max: 64,
            retries_max: 2,
            retry_wait_max: Duration::from_secs(2),
            seed: None,
        }
    }

    /// What calls are made of, checked.
    pub(crate) fn check(&self) -> Result<Endpoint, Error> {
        self.check_limits()?;
        let guard = Guard { allow_private: self.allow_private_addresses };
        let (base, uri) = self.uri(guard)?;
        let (headers, secrets) = self.headers()?;
        let address = base.authority().map_or("", http::uri::Authority::as_str);
        let is_tls = base.scheme() == Some(&Scheme::HTTPS);
        Ok(Endpoint { uri, headers, guard, is_tls, redactor: Redactor::new(secrets, address) })
    }

    fn check_limits(&self) -> Result<(), Error> {
        if self.name.is_empty() {
            return Err(Error::field("name", "`name` must not be empty."));
        }
        for (field, timeout) in [
            ("connect_timeout", self.connect_timeout),
            ("first_byte_timeout", self.first_byte_timeout),
            ("idle_timeout", self.idle_timeout),
        ] {
            if timeout.is_zero() || timeout > TIMEOUT_MAX {
                return Err(Error::field(field, format!("`{field}` must be above 0 and at most 1 hour.")));
            }
        }
        if !(1..=CONCURRENCY_MAX).contains(&self.concurrency_max) {
            let message = format!("`concurrency_max` must be from 1 to {CONCURRENCY_MAX}.");
            return Err(Error::field("concurrency_max", message));
        }
        if self.retries_max > RETRIES_MAX {
            let message = format!("`retries_max` must be from 0 to {RETRIES_MAX}.");
            return Err(Error::field("retries_max", message));
        }
        if self.body_bytes_max == 0 {
            return Err(Error::field("body_bytes_max", "`body_bytes_max` must be above 0."));
        }
        Ok(())
    }

    /// The base and the address of chat completions below it.
    fn uri(&self, guard: Guard) -> Result<(Uri, Uri), Error> {
        let wrong = |message: &str| Error::field("base_url", format!("`base_url` {message}"));
        let text = self.base_url.trim_end_matches('/');
        if text.contains(['?', '#']) {
            return Err(wrong("must end with its path: no `?` and no `#`."));
        }
        let base: Uri = text.parse().map_err(|_| wrong(SHAPE))?;
        let host = base.host().filter(|host| !host.is_empty()).ok_or_else(|| wrong(SHAPE))?;
        if base.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(wrong("must not hold a user or a password; give the key as `key` or in `headers`."));
        }
        match base.scheme_str() {
            Some("https") => {}
            Some("http") if self.allow_private_addresses => {}
            Some("http") => {
                return Err(wrong(
                    "must begin with https://; plain http:// is for servers of your own, with \
                     `allow_private_addresses` set.",
                ));
            }
            _ => return Err(wrong(SHAPE)),
        }
        if !guard.admits_literal(host) {
            return Err(wrong(
                "names an address that is not on the public internet; set `allow_private_addresses` if that is meant.",
            ));
        }
        let uri = format!("{text}/chat/completions").parse().map_err(|_| wrong(SHAPE))?;
        Ok((base, uri))
    }

    /// The headers of every request, and the secrets among them.
    fn headers(&self) -> Result<(HeaderMap, Vec<Secret>), Error> {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 8);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers
            .insert(USER_AGENT, HeaderValue::from_static(concat!("pointsman/", env!("CARGO_PKG_VERSION"))));
        let mut secrets = Vec::new();
        if let Some(key) = &self.key {
            let shape = "`key` must be visible ASCII characters without spaces, and not empty.";
            let visible =
                !key.expose().is_empty() && key.expose().bytes().all(|byte| byte.is_ascii_graphic());
            let value = HeaderValue::try_from(format!("Bearer {}", key.expose()));
            let mut value = value.ok().filter(|_| visible).ok_or_else(|| Error::field("key", shape))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
            secrets.push(key.clone());
        }
        for (place, (name, value)) in self.headers.iter().enumerate() {
            let wrong = |message: &str| Error::field(format!("headers[{place}]"), message);
            let name: HeaderName = name.parse().map_err(|_| wrong("The name is not that of a header."))?;
            if FRAMING.contains(&name.as_str()) {
                return Err(wrong(
                    "This header is set by the gateway: content-type, host and the framing headers are not yours.",
                ));
            }
            if name == AUTHORIZATION && self.key.is_some() {
                return Err(wrong("`authorization` and `key` cannot both be given."));
            }
            let mut sent = HeaderValue::from_str(value.trim())
                .map_err(|_| wrong("The value must be visible ASCII characters and spaces."))?;
            sent.set_sensitive(true);
            if holds_secret(name.as_str()) {
                let bare = value.trim();
                secrets.push(Secret::new(bare.split_once(' ').map_or(bare, |(_, credential)| credential)));
            }
            headers.insert(name, sent);
        }
        Ok((headers, secrets))
    }
}

const SHAPE: &str = "must be an address such as https://api.openai.com/v1.";
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);
const CONCURRENCY_MAX: u32 = 100_000;
const RETRIES_MAX: u32 = 10;
/// Set by the gateway or by HTTP itself.
const FRAMING: [&str; 12] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a header of this name is sent by the gateway alone, so that nobody else may set it.
pub(crate) fn is_framing(name: &HeaderName) -> bool {
    FRAMING.contains(&name.as_str())
}

fn holds_secret(header: &str) -> bool {
    ["auth", "key", "token", "secret", "cookie"].iter().any(|part| header.contains(part))
}

impl fmt::Debug for UpstreamOptions {
    /// Without the values of headers: some are keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("UpstreamOptions")
            .field("name", &self.name)
            .field("key", &self.key)
            .field("headers", &headers)
            .field("allow_private_addresses", &self.allow_private_addresses)
            .field("http_version", &self.http_version)
            .field("concurrency_max", &self.concurrency_max)
            .finish_non_exhaustive()
    }
}

/// Checked options, in the form that calls need.
pub(crate) struct Endpoint {
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) guard: Guard,
    pub(crate) is_tls: bool,
    pub(crate) redactor: Redactor,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut UpstreamOptions), expected: Result<&str, &str>) {
        let mut options = UpstreamOptions::new("one", "https://api.example.com/v1");
        change(&mut options);
        match (options.check(), expected) {
            (Ok(endpoint), Ok(uri)) => assert_eq!(endpoint.uri, uri),
            (Err(error), Err(param)) => {
                assert_eq!(error.param.as_deref(), Some(param), "{error}");
                assert!(!error.message.contains("hunter2"), "{error}");
            }
            (Ok(endpoint), Err(param)) => panic!("{param} was let through: {}", endpoint.uri),
            (Err(error), Ok(_)) => panic!("{error}"),
        }
    }

    fn check_url(url: &str, allow_private: bool, expected: Result<&str, &str>) {
        check(
            |options| {
                options.base_url = url.to_owned();
                options.allow_private_addresses = allow_private;
            },
            expected,
        );
    }

    #[test]
    fn an_address_is_taken_or_refused_by_name() {
        check_url("https://a.example/v1/", false, Ok("https://a.example/v1/chat/completions"));
        check_url("https://a.example:8443", false, Ok("https://a.example:8443/chat/completions"));
        check_url("http://127.0.0.1:8000/v1", true, Ok("http://127.0.0.1:8000/v1/chat/completions"));
        check_url("https://[2606:4700::1]/v1", false, Ok("https://[2606:4700::1]/v1/chat/completions"));
        for url in [
            "",
            "a.example",
            "/v1",
            "ftp://a.example",
            "https://",
            "https://a.example/v1?key=hunter2",
            "https://a.example/#x",
            "https://u:hunter2@a.example/v1",
            "http://a.example/v1",
            "https://127.0.0.1/v1",
            "https://169.254.169.254/",
            "https://[::1]/v1",
            "https://[::ffff:10.0.0.1]/",
            "https://10.1.2.3:443/v1",
        ] {
            check_url(url, false, Err("base_url"));
        }
    }

    #[test]
    fn other_fields_are_named_too() {
        check(|options| options.name.clear(), Err("name"));
        check(|options| options.key = Some(Secret::new("")), Err("key"));
        check(|options| options.key = Some(Secret::new("hunter2 hunter2")), Err("key"));
        check(|options| options.idle_timeout = Duration::ZERO, Err("idle_timeout"));
        check(|options| options.connect_timeout = Duration::MAX, Err("connect_timeout"));
        check(|options| options.concurrency_max = 0, Err("concurrency_max"));
        check(|options| options.retries_max = 1000, Err("retries_max"));
        check(|options| options.body_bytes_max = 0, Err("body_bytes_max"));
        for (name, value) in
            [("host", "x"), ("a b", "x"), ("x-a", "hunter2\r\nx-b: 1"), ("Content-Length", "1")]
        {
            check(|options| options.headers = vec![(name.into(), value.into())], Err("headers[0]"));
        }
    }

    #[test]
    fn options_are_shown_without_secrets() {
        let mut options = UpstreamOptions::new("one", "https://u:hunter2@a.example/v1");
        options.key = Some(Secret::new("hunter2"));
        options.headers = vec![("api-key".into(), "hunter2".into())];
        let shown = format!("{options:?}");
        assert!(shown.contains("api-key") && !shown.contains("hunter2"), "{shown}");
    }
}
