//! What can go wrong in a call, and what follows from it.
//!
//! Owns the map from every fault of an upstream to one [`api::Error`], to whether the same upstream is tried again and
//! to what its breaker learns. Refuses to let a secret or an address into a message for the caller.

use std::error::Error as StdError;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

use api::{Error, Fault, Source};
use dialects::Trouble;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::address::Unresolved;
use crate::breaker::Outcome;
use crate::connect::Unconnected;
use crate::said::{Said, limits_reset, retry_after};
use crate::secret::Redactor;

/// A failed attempt.
#[derive(Debug)]
pub(crate) struct Failure {
    /// For the caller; `retry_safe` says that another target may do better.
    pub(crate) error: Error,
    /// Where another attempt may do better.
    pub(crate) again: Again,
    /// What it says about the upstream's health.
    pub(crate) outcome: Outcome,
}

/// Where another attempt may do better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Nowhere in this upstream.
    No,
    /// At another endpoint of the upstream.
    Elsewhere,
    /// At the same endpoint in a moment, at another at once.
    Here,
}

/// Why an endpoint is left out for a while though it is not broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shun {
    /// Its key is refused, or its account is spent.
    Key,
    /// It has had too many requests, and says when to come back.
    Load(Option<Duration>),
}

const MESSAGE_CHARS_MAX: usize = 600;
const DETAIL_CHARS_MAX: usize = 2_000;

impl Failure {
    /// The upstream broke: tried again, and counted against it.
    fn broken(code: &'static str, message: &str, detail: impl std::fmt::Display) -> Self {
        let error = Error::new(Fault::UpstreamFailed, code, message).with_detail(detail).retryable();
        Self { error, again: Again::Here, outcome: Outcome::Bad }
    }

    /// It ran out of time: not tried again at the same endpoint.
    fn slow(code: &'static str, message: &str, outcome: Outcome) -> Self {
        let error = Error::new(Fault::UpstreamTimeout, code, message).retryable();
        Self { error, again: Again::Elsewhere, outcome }
    }

    /// It does not want what it was sent.
    fn refused(code: &'static str, message: impl Into<String>, detail: String) -> Self {
        let error = Error::new(Fault::UpstreamRefused, code, message).with_detail(detail);
        Self { error, again: Again::No, outcome: Outcome::Good }
    }

    /// The upstream's dialect has no words for it.
    pub(crate) fn unsupported(error: Error) -> Self {
        Self { error, again: Again::No, outcome: Outcome::Unknown }
    }

    /// What came is no answer.
    pub(crate) fn of_trouble(trouble: Trouble, redactor: &Redactor) -> Self {
        match trouble {
            Trouble::Garbage(why) => Self::garbage(redactor.clean(&why, DETAIL_CHARS_MAX)),
            Trouble::InBand(error) => Self::in_band(&error, redactor),
            Trouble::Cut(why) => Self::cut(redactor.clean(&why, DETAIL_CHARS_MAX)),
        }
    }

    /// The answer stopped before its end.
    pub(crate) fn cut(detail: impl std::fmt::Display) -> Self {
        let message = "The model's provider broke its answer off. Try again; what has come is not whole.";
        Self::broken("upstream_cut", message, detail)
    }

    /// What came is no answer.
    pub(crate) fn garbage(detail: impl std::fmt::Display) -> Self {
        let message =
            "The model's provider sent something that is no answer. Try again or choose another model.";
        Self::broken("upstream_garbage", message, detail)
    }

    /// A started stream went silent.
    pub(crate) fn stalled(silence: Duration) -> Self {
        let message = "The model's provider stopped in the middle of its answer. Try again; what has come is not whole.";
        let mut failure = Self::slow("upstream_stalled", message, Outcome::Bad);
        failure.error.detail = Some(format!("nothing came for {silence:?}"));
        failure
    }

    /// No first byte in the time that the operator allows.
    pub(crate) fn no_first_byte(allowed: Duration) -> Self {
        let message =
            "The model's provider did not begin to answer in time. Try again or choose another model.";
        let mut failure = Self::slow("upstream_timeout", message, Outcome::Bad);
        failure.error.detail = Some(format!("no event within {allowed:?}"));
        failure
    }

    /// The call's own deadline came, `waited` after its attempt began. It counts against the upstream only where that is
    /// as long as the operator would have waited for a first byte.
    pub(crate) fn deadline(waited: Duration, first_byte_timeout: Duration) -> Self {
        let message = "The answer was not there by the deadline. Allow more time or choose a faster model.";
        let outcome = if waited >= first_byte_timeout { Outcome::Bad } else { Outcome::Unknown };
        let mut failure = Self::slow("upstream_timeout", message, outcome);
        failure.again = Again::No;
        failure.error.detail = Some(format!("the deadline came after {waited:?}"));
        failure
    }

    /// The breaker is open.
    pub(crate) fn resting(wait: Duration) -> Self {
        let message = "The model's provider keeps failing and is left alone for a moment. Try again shortly or choose \
                       another model.";
        Self::not_called("upstream_resting", message, wait)
    }

    /// All places are taken, and all places in the line.
    pub(crate) fn busy() -> Self {
        let message = "The gateway has as many calls under way to this model's provider as it may. Try again shortly or \
                       choose another model.";
        Self::not_called("upstream_busy", message, Duration::from_secs(1))
    }

    fn not_called(code: &'static str, message: &str, wait: Duration) -> Self {
        let error = Error::new(Fault::Unavailable, code, message).with_retry_after(wait).retryable();
        Self { error, again: Again::No, outcome: Outcome::Unknown }
    }

    /// The request could not be sent, or its answer's head not be read.
    pub(crate) fn exchange(error: &hyper_util::client::legacy::Error, redactor: &Redactor) -> Self {
        let detail = redactor.clean(&chain(error), DETAIL_CHARS_MAX);
        if error.is_connect() {
            return Self::unreachable(error, detail);
        }
        if find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse) {
            return Self::garbage(detail);
        }
        Self::cut(detail)
    }

    fn unreachable(error: &hyper_util::client::legacy::Error, detail: String) -> Self {
        let message = "The model's provider cannot be reached. Try again or choose another model.";
        let mut failure = Self::broken("upstream_unreachable", message, detail);
        if matches!(find::<Unresolved>(error), Some(Unresolved::Refused(_))) {
            failure.error.code = "upstream_address_refused";
            failure.again = Again::Elsewhere;
        }
        // A black hole is not tried again: the connection has had its time.
        if matches!(find::<Unconnected>(error), Some(Unconnected::TooSlow)) {
            failure.again = Again::Elsewhere;
        }
        failure
    }

    /// The answer's body broke off.
    pub(crate) fn body(error: &hyper::Error, redactor: &Redactor) -> Self {
        Self::cut(redactor.clean(&chain(error), DETAIL_CHARS_MAX))
    }

    /// An answer with a status other than 2xx; `body` is its beginning.
    pub(crate) fn status(status: StatusCode, headers: &HeaderMap, body: &[u8], redactor: &Redactor) -> Self {
        let said = Said::from_body(body);
        let retry_after = retry_after(headers, SystemTime::now());
        let mut failure = Self::told(status.as_u16(), &said, redactor);
        failure.error.upstream_status = Some(status.as_u16());
        let limited = failure.error.code == "upstream_rate_limited";
        failure.error.retry_after = retry_after
            .or_else(|| said.retry_delay.filter(|_| limited))
            .or_else(|| limits_reset(headers).filter(|_| limited));
        failure
    }

    /// An `error` object inside an answer that began well.
    pub(crate) fn in_band(error: &Value, redactor: &Redactor) -> Self {
        let said = Said::from_error(error);
        let status = said.status();
        let mut failure = Self::told(status.unwrap_or(500), &said, redactor);
        failure.error.upstream_status = status;
        failure.error.retry_after =
            said.retry_delay.filter(|_| failure.error.code == "upstream_rate_limited");
        failure
    }

    fn told(status: u16, said: &Said, redactor: &Redactor) -> Self {
        let detail = redactor.clean(&format!("{status}: {}", said.raw), DETAIL_CHARS_MAX);
        let theirs = redactor.clean(&said.message, MESSAGE_CHARS_MAX);
        match status {
            400..=499 if said.is_bad_key() => {
                Self::refused("upstream_key_refused", KEY_REFUSED, detail).elsewhere()
            }
            400..=499 if said.is_spent() => {
                Self::refused("upstream_quota_spent", QUOTA_SPENT, detail).elsewhere()
            }
            401 | 403 => Self::refused("upstream_key_refused", KEY_REFUSED, detail).elsewhere(),
            402 => Self::refused("upstream_quota_spent", QUOTA_SPENT, detail).elsewhere(),
            429 => Self::limited(detail),
            // Some servers say by a 500 what is no fault of theirs: it must not open the breaker for everybody else.
            500 if said.refusal() == "context_length_exceeded" => {
                Self::refused("context_length_exceeded", refusal(&theirs), detail)
            }
            408 | 409 | 425 | 500..=599 => {
                let mut failure = Self::broken("upstream_failed", FAILED, detail);
                if matches!(status, 501 | 505) {
                    failure.again = Again::Elsewhere;
                }
                failure
            }
            300..=399 => {
                let mut failure = Self::broken("upstream_redirected", REDIRECTED, detail);
                failure.again = Again::Elsewhere;
                failure
            }
            400..=499 => {
                let mut failure = Self::refused(said.refusal(), refusal(&theirs), detail);
                failure.error.param =
                    said.param.as_deref().map(|param| redactor.clean(param, MESSAGE_CHARS_MAX));
                // A missing model is the operator's mistake, not the request's.
                if status == 404 { failure.elsewhere() } else { failure }
            }
            _ => Self::garbage(detail),
        }
    }

    fn limited(detail: String) -> Self {
        let message = "The model's provider has had too many requests from this gateway. Try again later or choose \
                       another model.";
        let mut error = Error::new(Fault::RateLimited, "upstream_rate_limited", message);
        error = error.with_detail(detail).retryable();
        error.source = Source::Upstream;
        Self { error, again: Again::Here, outcome: Outcome::Unknown }
    }

    fn elsewhere(mut self) -> Self {
        self.error.retry_safe = true;
        self.again = Again::Elsewhere;
        self
    }

    /// The same, after a part of the answer has been passed on: nothing may try it again.
    pub(crate) fn midway(mut self) -> Self {
        self.error.retry_safe = false;
        self.again = Again::No;
        self
    }

    /// Whether the endpoint is to be left out for a while.
    pub(crate) fn shun(&self) -> Option<Shun> {
        match self.error.code {
            "upstream_key_refused" | "upstream_quota_spent" => Some(Shun::Key),
            "upstream_rate_limited" => Some(Shun::Load(self.error.retry_after)),
            _ => None,
        }
    }

    /// The same, with the upstream's name for the request in the log.
    pub(crate) fn of_request(mut self, id: Option<&str>) -> Self {
        if let Some(id) = id {
            let detail = self.error.detail.take().unwrap_or_default();
            self.error.detail = Some(format!("{detail} [upstream request {id}]"));
        }
        self
    }
}

const KEY_REFUSED: &str = "The model's provider does not accept this gateway's key. The request is not at fault: the \
                           gateway's operator must check the key.";
const QUOTA_SPENT: &str = "The gateway's account with the model's provider is spent. The request is not at fault: the \
                           gateway's operator must see to the account.";
const FAILED: &str = "The model's provider failed; `upstream_status` has its own status. Try again or choose another \
                      model.";
const REDIRECTED: &str = "The model's provider answered with a redirect, which the gateway does not follow: its operator \
                          must correct the address.";

fn refusal(theirs: &str) -> String {
    format!("The model's provider refused the request: {theirs}")
}

/// An error and all its causes in one line.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string does not fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

/// The first cause of type `E`.
fn find<E: StdError + 'static>(error: &dyn StdError) -> Option<&E> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// fault's status, code, tried again here, safe elsewhere, what the breaker learns
    type Expected = (u16, &'static str, Again, bool, Outcome);

    fn check_status(status: u16, body: &str, expected: Expected) {
        let redactor = Redactor::new([api::Secret::new("sk-secret-0123456789")], "host.example");
        let status = StatusCode::from_u16(status).expect("a status");
        let failure = Failure::status(status, &HeaderMap::new(), body.as_bytes(), &redactor);
        let error = failure.error;
        let got = (error.fault.status(), error.code, failure.again, error.retry_safe, failure.outcome);
        assert_eq!(got, expected, "{status} {body}");
        assert_eq!(error.upstream_status, Some(status.as_u16()));
        let shown = format!("{} {:?}", error.message, error.detail);
        assert!(!shown.contains("0123456789") && !shown.contains("host.example"), "{shown}");
    }

    #[test]
    fn each_status_has_its_meaning() {
        use Again::{Elsewhere, Here, No};
        use Outcome::{Bad, Good, Unknown};
        let leak = r#"{"error":{"message":"no sk-secret-0123456789 at host.example"}}"#;
        check_status(400, leak, (424, "upstream_refused", No, false, Good));
        check_status(401, leak, (424, "upstream_key_refused", Elsewhere, true, Good));
        check_status(403, leak, (424, "upstream_key_refused", Elsewhere, true, Good));
        check_status(402, "", (424, "upstream_quota_spent", Elsewhere, true, Good));
        check_status(404, leak, (424, "upstream_refused", Elsewhere, true, Good));
        check_status(422, "{}", (424, "upstream_refused", No, false, Good));
        check_status(418, "\u{1}", (424, "upstream_refused", No, false, Good));
        check_status(408, leak, (502, "upstream_failed", Here, true, Bad));
        check_status(409, leak, (502, "upstream_failed", Here, true, Bad));
        check_status(429, leak, (429, "upstream_rate_limited", Here, true, Unknown));
        let spent = r#"{"error":{"message":"x","code":"insufficient_quota"}}"#;
        check_status(429, spent, (424, "upstream_quota_spent", Elsewhere, true, Good));
        for status in [500, 502, 503, 504, 529] {
            check_status(status, leak, (502, "upstream_failed", Here, true, Bad));
        }
        check_status(501, leak, (502, "upstream_failed", Elsewhere, true, Bad));
        check_status(302, "", (502, "upstream_redirected", Elsewhere, true, Bad));
        let long = r#"{"error":{"message":"too long","code":"context_length_exceeded","param":"messages"}}"#;
        check_status(400, long, (424, "context_length_exceeded", No, false, Good));
        let by_500 = r#"{"error":"the input length exceeds the context length"}"#;
        check_status(500, by_500, (424, "context_length_exceeded", No, false, Good));
        check_status(503, by_500, (502, "upstream_failed", Here, true, Bad));
        let filtered = r#"{"error":{"message":"no","code":"content_filter"}}"#;
        check_status(400, filtered, (424, "content_filter", No, false, Good));
    }

    #[test]
    fn an_error_inside_an_answer_is_read_like_a_status() {
        let redactor = Redactor::new([], "");
        for (error, code, status) in [
            (r#"{"message":"x","code":502}"#, "upstream_failed", Some(502)),
            (r#"{"message":"x","type":"server_error"}"#, "upstream_failed", Some(500)),
            (r#"{"message":"x","type":"overloaded_error"}"#, "upstream_failed", Some(529)),
            (r#"{"message":"x","type":"something_new"}"#, "upstream_failed", None),
            (r#"{"message":"x","code":429}"#, "upstream_rate_limited", Some(429)),
            (r#"{"message":"x","type":"rate_limit_error"}"#, "upstream_rate_limited", Some(429)),
            (r#"{"message":"x","type":"invalid_request_error"}"#, "upstream_refused", Some(400)),
            (r#"{"message":"x","code":"context_length_exceeded"}"#, "context_length_exceeded", Some(400)),
            (r#""just text""#, "upstream_failed", None),
            (r#"{"code":99999999999}"#, "upstream_failed", None),
        ] {
            let value: Value = serde_json::from_str(error).expect("JSON");
            let failure = Failure::in_band(&value, &redactor);
            assert_eq!((failure.error.code, failure.error.upstream_status), (code, status), "{error}");
        }
    }
}
