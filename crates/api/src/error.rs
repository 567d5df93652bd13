//! What can go wrong, told twice: to the caller and to the log.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

/// What went wrong. Each has one HTTP status ([`Fault::status`]) and one `error.type` ([`Fault::kind`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The request is not what the endpoint takes.
    BadRequest,
    /// No key, or one that is not known.
    Unauthorized,
    /// The key may not do this.
    Forbidden,
    /// No such path, model or id.
    NotFound,
    /// The path is there, the method is not.
    MethodNotAllowed,
    /// The client was too slow in sending.
    RequestTimeout,
    /// The body is over its cap.
    BodyTooLarge,
    /// The headers are over their cap.
    HeadersTooLarge,
    /// The body is not of a type that the endpoint reads.
    UnsupportedMedia,
    /// Well-formed, but it cannot be done: a request that its model cannot serve, say.
    Unprocessable,
    /// Too many requests or tokens.
    RateLimited,
    /// The money is spent.
    BudgetExceeded,
    /// The upstream refused what we sent it (a 4xx that is not about load).
    UpstreamRefused,
    /// The upstream failed: a 5xx, a reset, nonsense.
    UpstreamFailed,
    /// Nothing can serve this now.
    Unavailable,
    /// The upstream, or the plan's deadline, ran out of time.
    UpstreamTimeout,
    /// Our own mistake.
    Internal,
}

impl Fault {
    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::BodyTooLarge => 413,
            Self::UnsupportedMedia => 415,
            Self::Unprocessable => 422,
            Self::UpstreamRefused => 424,
            Self::RateLimited | Self::BudgetExceeded => 429,
            Self::HeadersTooLarge => 431,
            Self::Internal => 500,
            Self::UpstreamFailed => 502,
            Self::Unavailable => 503,
            Self::UpstreamTimeout => 504,
        }
    }

    /// The `error.type` of OpenAI's dialect.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::BadRequest
            | Self::MethodNotAllowed
            | Self::BodyTooLarge
            | Self::HeadersTooLarge
            | Self::UnsupportedMedia
            | Self::Unprocessable
            | Self::NotFound
            | Self::RequestTimeout => "invalid_request_error",
            Self::Unauthorized => "authentication_error",
            Self::Forbidden => "permission_error",
            Self::RateLimited => "rate_limit_error",
            Self::BudgetExceeded => "insufficient_quota",
            Self::UpstreamRefused | Self::UpstreamFailed | Self::UpstreamTimeout => "upstream_error",
            Self::Unavailable => "service_unavailable_error",
            Self::Internal => "server_error",
        }
    }
}

/// Whose doing it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The caller's.
    Client,
    /// A target's.
    Upstream,
    /// Ours.
    Gateway,
}

/// A failure with a message for the caller, which says what to do, and a detail for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What went wrong.
    pub fault: Fault,
    /// For the caller: what is wrong and what to do. Never a secret, a path of the host or an upstream's address.
    pub message: String,
    /// The field at fault: `messages[2].content`.
    pub param: Option<String>,
    /// A stable short name: `model_not_found`.
    pub code: &'static str,
    /// For the log only.
    pub detail: Option<String>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// The upstream's own status.
    pub upstream_status: Option<u16>,
    /// Whose doing it was.
    pub source: Source,
    /// Nothing has happened yet that a second try would do twice, and a second try may fare better.
    pub retry_safe: bool,
}

impl Error {
    /// A failure of `fault`; its source follows from it until set otherwise.
    pub fn new(fault: Fault, code: &'static str, message: impl Into<String>) -> Self {
        let source = match fault {
            Fault::UpstreamRefused | Fault::UpstreamFailed | Fault::UpstreamTimeout => Source::Upstream,
            Fault::Internal | Fault::Unavailable => Source::Gateway,
            _ => Source::Client,
        };
        Self {
            fault,
            message: message.into(),
            param: None,
            code,
            detail: None,
            retry_after: None,
            upstream_status: None,
            source,
            retry_safe: false,
        }
    }

    /// A 400 about one field.
    pub fn field(param: impl Into<String>, message: impl Into<String>) -> Self {
        let mut error = Self::new(Fault::BadRequest, "invalid_value", message);
        error.param = Some(param.into());
        error
    }

    /// A failure of our own, with what happened for the log only.
    pub fn internal(detail: impl fmt::Display) -> Self {
        Self::new(
            Fault::Internal,
            "internal_error",
            "The gateway failed on this request; its log has the details under this request's id.",
        )
        .with_detail(detail)
    }

    /// The same with a detail for the log.
    #[must_use]
    pub fn with_detail(mut self, detail: impl fmt::Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    /// The same, naming the field at fault.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The same, saying when to come back.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The same, with the upstream's own status.
    #[must_use]
    pub fn with_upstream_status(mut self, status: u16) -> Self {
        self.upstream_status = Some(status);
        self
    }

    /// The same, safe to try again elsewhere.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retry_safe = true;
        self
    }

    /// The body in OpenAI's dialect.
    pub fn body(&self) -> Value {
        let mut error = json!({
            "message": self.message,
            "type": self.fault.kind(),
            "param": self.param,
            "code": self.code,
        });
        if let Some(status) = self.upstream_status {
            error["upstream_status"] = json!(status);
        }
        json!({ "error": error })
    }
}

impl fmt::Display for Error {
    /// For the log: the code, the message, and the detail where there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, " ({detail})"))
    }
}

impl std::error::Error for Error {}
