//! What the operator says about one upstream, and its check.
//!
//! Owns the defaults and the refusals, each of which names the field and what is allowed. Refuses to repeat a value that
//! may hold a secret.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use api::{Error, Secret};
use dialects::Wire;

use crate::address::Guard;
use crate::hedge::Hedge;
use crate::site::{EndpointOptions, Site};

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
    /// Scheme, host, port and the path before the dialect's own: `https://api.openai.com/v1`.
    pub base_url: String,
    /// What it speaks. Default: [`Wire::Chat`].
    pub wire: Wire,
    /// Sent in the header that the dialect has for it: `authorization: Bearer`, `api-key`, `x-api-key`.
    pub key: Option<Secret>,
    /// Sent with every request: an organisation, a key of another form. Values are never shown.
    pub headers: Vec<(String, String)>,
    /// Further places that serve the same models, each with its own key: calls are spread over the first and these.
    /// Default: none.
    pub endpoints: Vec<EndpointOptions>,
    /// Azure's `api-version`. Default: `2024-10-21`.
    pub api_version: String,
    /// Second attempts at calls that are slow to begin. Default: none.
    pub hedge: Option<Hedge>,
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
    /// The largest whole answer, in bytes; a stream may have four times as many. Default: 32 MiB.
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
            endpoints: Vec::new(),
            api_version: "2024-10-21".to_owned(),
            hedge: None,
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

    /// The endpoints, checked with everything else.
    pub(crate) fn check(&self) -> Result<Vec<Site>, Error> {
        self.check_limits()?;
        let guard = self.guard();
        let first = EndpointOptions {
            base_url: self.base_url.clone(),
            key: self.key.clone(),
            headers: self.headers.clone(),
        };
        let mut sites = vec![Site::new(&first, self.wire, guard, "")?];
        for (place, endpoint) in self.endpoints.iter().enumerate() {
            sites.push(Site::new(endpoint, self.wire, guard, &format!("endpoints[{place}]."))?);
        }
        Ok(sites)
    }

    /// What its addresses may be.
    pub(crate) fn guard(&self) -> Guard {
        Guard { allow_private: self.allow_private_addresses }
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
        if self.endpoints.len() >= ENDPOINTS_MAX {
            let message = format!("`endpoints` must be at most {}.", ENDPOINTS_MAX - 1);
            return Err(Error::field("endpoints", message));
        }
        self.hedge.as_ref().map_or(Ok(()), Hedge::check)
    }
}

const TIMEOUT_MAX: Duration = Duration::from_secs(3600);
const CONCURRENCY_MAX: u32 = 100_000;
const RETRIES_MAX: u32 = 10;
/// The first one counted.
pub(crate) const ENDPOINTS_MAX: usize = 64;

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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut UpstreamOptions), param: &str) {
        let mut options = UpstreamOptions::new("one", "https://api.example.com/v1");
        change(&mut options);
        let error = options.check().err().unwrap_or_else(|| panic!("{param} was let through"));
        assert_eq!(error.param.as_deref(), Some(param), "{error}");
        assert!(!error.message.contains("hunter2"), "{error}");
    }

    #[test]
    fn wrong_fields_are_named() {
        check(|options| options.name.clear(), "name");
        check(|options| options.key = Some(Secret::new("")), "key");
        check(|options| options.key = Some(Secret::new("hunter2 hunter2")), "key");
        check(|options| options.idle_timeout = Duration::ZERO, "idle_timeout");
        check(|options| options.connect_timeout = Duration::MAX, "connect_timeout");
        check(|options| options.concurrency_max = 0, "concurrency_max");
        check(|options| options.retries_max = 1000, "retries_max");
        check(|options| options.body_bytes_max = 0, "body_bytes_max");
        let wrong = EndpointOptions { base_url: "http://a.example".into(), ..EndpointOptions::default() };
        check(|options| options.endpoints = vec![wrong], "endpoints[0].base_url");
        let keyless = EndpointOptions {
            key: Some(Secret::new("")),
            base_url: "https://a.example".into(),
            headers: vec![],
        };
        check(|options| options.endpoints = vec![keyless.clone(); 2], "endpoints[0].key");
        check(|options| options.endpoints = vec![keyless; ENDPOINTS_MAX], "endpoints");
        for (name, value) in
            [("host", "x"), ("a b", "x"), ("x-a", "hunter2\r\nx-b: 1"), ("Content-Length", "1")]
        {
            check(|options| options.headers = vec![(name.into(), value.into())], "headers[0]");
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
