//! One place where an upstream's models are served, as the operator describes it, and its check.
//!
//! Owns the address of a call, the headers that go with it and which of them carry the key, by what the upstream speaks.
//! Refuses to repeat a value that may hold a secret.

use std::fmt;

use api::{Error, Secret};
use dialects::{Wire, path_segment};
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::address::Guard;
use crate::secret::Redactor;

/// One place where an upstream's models are served: an address and what opens it.
#[derive(Clone, Default)]
pub struct EndpointOptions {
    /// Scheme, host, port and the path before the dialect's own: `https://api.openai.com/v1`.
    pub base_url: String,
    /// Sent in the header that the dialect has for it.
    pub key: Option<Secret>,
    /// Sent with every request: an organisation, a key of another form. Values are never shown.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for EndpointOptions {
    /// Without the values of headers, and without the address: some are keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("EndpointOptions")
            .field("key", &self.key)
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}

/// A checked endpoint, in the form that calls need.
pub(crate) struct Site {
    /// Without a slash at its end.
    pub(crate) base: String,
    /// The same, taken apart.
    pub(crate) address: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) is_tls: bool,
    pub(crate) redactor: Redactor,
}

impl Site {
    /// Checks `options`; `at` stands before the names of their fields in what is refused.
    pub(crate) fn new(options: &EndpointOptions, wire: Wire, guard: Guard, at: &str) -> Result<Self, Error> {
        let base = options.base_url.trim_end_matches('/');
        let uri = check_base(base, guard)
            .map_err(|wrong| Error::field(format!("{at}base_url"), format!("`base_url` {wrong}")))?;
        let (headers, secrets) = headers(options, wire, at)?;
        let address = uri.authority().map_or("", http::uri::Authority::as_str);
        Ok(Self {
            base: base.to_owned(),
            headers,
            is_tls: uri.scheme() == Some(&Scheme::HTTPS),
            redactor: Redactor::new(secrets, address),
            address: uri.clone(),
        })
    }

    /// Where `path` is, below this one's base.
    pub(crate) fn uri(&self, wire: Wire, path: &str, api_version: &str) -> Result<Uri, Error> {
        let base = &self.base;
        let uri = match wire {
            Wire::Azure => format!("{base}{path}?api-version={}", path_segment(api_version)),
            Wire::Chat | Wire::Responses | Wire::Messages | Wire::Gemini => format!("{base}{path}"),
        };
        uri.parse().map_err(|_| {
            let message = "The model's own name cannot stand in an address; correct its `id` in models.toml.";
            Error::field("model", message)
        })
    }
}

/// The header that carries the key, and what stands before the key in it.
fn key_header(wire: Wire) -> (HeaderName, &'static str) {
    match wire {
        Wire::Chat | Wire::Responses => (AUTHORIZATION, "Bearer "),
        Wire::Messages => (HeaderName::from_static("x-api-key"), ""),
        Wire::Gemini => (HeaderName::from_static("x-goog-api-key"), ""),
        Wire::Azure => (HeaderName::from_static("api-key"), ""),
    }
}

fn check_base(base: &str, guard: Guard) -> Result<Uri, &'static str> {
    if base.contains(['?', '#']) {
        return Err("must end with its path: no `?` and no `#`.");
    }
    let uri: Uri = base.parse().map_err(|_| SHAPE)?;
    let host = uri.host().filter(|host| !host.is_empty()).ok_or(SHAPE)?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("must not hold a user or a password; give the key as `key` or in `headers`.");
    }
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if guard.allow_private => {}
        Some("http") => {
            return Err("must begin with https://; plain http:// is for servers of your own, with \
                 `allow_private_addresses` set.");
        }
        _ => return Err(SHAPE),
    }
    if !guard.admits_literal(host) {
        return Err(
            "names an address that is not on the public internet; set `allow_private_addresses` if that is meant.",
        );
    }
    Ok(uri)
}

/// The headers of every request, and the secrets among them.
fn headers(options: &EndpointOptions, wire: Wire, at: &str) -> Result<(HeaderMap, Vec<Secret>), Error> {
    let mut headers = HeaderMap::with_capacity(options.headers.len() + 8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("pointsman/", env!("CARGO_PKG_VERSION"))));
    if wire == Wire::Messages {
        // The format's own version; a later one is the operator's to set.
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    }
    let mut secrets = Vec::new();
    let (key_name, scheme) = key_header(wire);
    if let Some(key) = &options.key {
        let shape = "`key` must be visible ASCII characters without spaces, and not empty.";
        let visible = !key.expose().is_empty() && key.expose().bytes().all(|byte| byte.is_ascii_graphic());
        let value = HeaderValue::try_from(format!("{scheme}{}", key.expose()));
        let mut value =
            value.ok().filter(|_| visible).ok_or_else(|| Error::field(format!("{at}key"), shape))?;
        value.set_sensitive(true);
        headers.insert(key_name.clone(), value);
        secrets.push(key.clone());
    }
    for (place, (name, value)) in options.headers.iter().enumerate() {
        let wrong = |message: &str| Error::field(format!("{at}headers[{place}]"), message);
        let name: HeaderName = name.parse().map_err(|_| wrong("The name is not that of a header."))?;
        if is_framing(&name) {
            return Err(wrong(
                "This header is set by the gateway: content-type, host and the framing headers are not yours.",
            ));
        }
        if name == key_name && options.key.is_some() {
            return Err(wrong(&format!("`{key_name}` and `key` cannot both be given.")));
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

const SHAPE: &str = "must be an address such as https://api.openai.com/v1.";
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

#[cfg(test)]
mod tests {
    use super::*;

    fn site(url: &str, wire: Wire, allow_private: bool) -> Result<Site, Error> {
        let options = EndpointOptions {
            base_url: url.to_owned(),
            key: Some(Secret::new("hunter2")),
            ..EndpointOptions::default()
        };
        Site::new(&options, wire, Guard { allow_private }, "")
    }

    fn check_url(url: &str, allow_private: bool, expected: &str) {
        let site = site(url, Wire::Chat, allow_private).expect("an address");
        let uri = site.uri(Wire::Chat, &Wire::Chat.path("m", false), "").expect("an address");
        assert_eq!(uri, expected);
    }

    #[test]
    fn an_address_is_taken_or_refused_by_name() {
        check_url("https://a.example/v1/", false, "https://a.example/v1/chat/completions");
        check_url("https://a.example:8443", false, "https://a.example:8443/chat/completions");
        check_url("http://127.0.0.1:8000/v1", true, "http://127.0.0.1:8000/v1/chat/completions");
        check_url("https://[2606:4700::1]/v1", false, "https://[2606:4700::1]/v1/chat/completions");
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
            let error = site(url, Wire::Chat, false).err().expect("a refusal");
            assert_eq!(error.param.as_deref(), Some("base_url"), "{url}: {error}");
            assert!(!error.message.contains("hunter2"), "{error}");
        }
    }

    fn check_wire(wire: Wire, model: &str, path: &str, header: (&str, &str)) {
        let site = site("https://a.example", wire, false).expect("an address");
        let uri = site.uri(wire, &wire.path(model, true), "2024-10-21").expect("an address");
        assert_eq!(uri.path_and_query().map(|path| path.as_str()), Some(path));
        let sent = &site.headers[header.0];
        assert_eq!(sent, header.1);
        assert!(sent.is_sensitive());
    }

    #[test]
    fn paths_and_keys_follow_the_dialect() {
        check_wire(Wire::Chat, "a b", "/chat/completions", ("authorization", "Bearer hunter2"));
        check_wire(Wire::Messages, "m", "/messages", ("x-api-key", "hunter2"));
        check_wire(Wire::Responses, "m", "/responses", ("authorization", "Bearer hunter2"));
        let path = "/models/gemini-x:streamGenerateContent?alt=sse";
        check_wire(Wire::Gemini, "gemini-x", path, ("x-goog-api-key", "hunter2"));
        let path = "/openai/deployments/a%20%2Fb/chat/completions?api-version=2024-10-21";
        check_wire(Wire::Azure, "a /b", path, ("api-key", "hunter2"));
    }
}
