//! What an upstream says about its failure, in the forms that providers use.
//!
//! Owns the reading of error bodies and of `retry-after`. Refuses to judge: what follows from it is `failure`'s.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use serde_json::Value;

const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// What an upstream said in an error, in the forms that providers use.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) message: String,
    /// `error.code`, `error.type` and `error.status`, as text.
    names: Vec<String>,
    number: Option<u64>,
    pub(crate) param: Option<String>,
    /// All of it, for the log.
    pub(crate) raw: String,
}

impl Said {
    /// Reads a body, in whole or in its beginning.
    pub(crate) fn from_body(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self::from_error(value.get("error").unwrap_or(&value)),
            Err(_) => Self {
                message: "(its answer is not JSON)".to_owned(),
                raw: String::from_utf8_lossy(body).into_owned(),
                ..Self::default()
            },
        }
    }

    /// Reads an `error` object.
    pub(crate) fn from_error(error: &Value) -> Self {
        let field = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        let text = error.as_str().map(str::to_owned);
        let message = text.or_else(|| field("message")).or_else(|| field("detail"));
        Self {
            message: message.unwrap_or_else(|| "(it gave no reason)".to_owned()),
            names: ["code", "type", "status"].into_iter().filter_map(field).collect(),
            number: ["code", "status", "status_code"]
                .iter()
                .find_map(|name| error.get(*name).and_then(Value::as_u64)),
            param: field("param"),
            raw: error.to_string(),
        }
    }

    /// Whether it names itself `name`.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.names.iter().any(|own| own == name)
    }

    /// The HTTP status that the error stands for.
    pub(crate) fn status(&self) -> Option<u16> {
        let number = self.number.and_then(|number| u16::try_from(number).ok());
        number.filter(|status| (300..600).contains(status)).or_else(|| self.status_by_name())
    }

    fn status_by_name(&self) -> Option<u16> {
        const NAMES: [(&str, u16); 8] = [
            ("insufficient_quota", 429),
            ("rate_limit_exceeded", 429),
            ("rate_limit_error", 429),
            ("RESOURCE_EXHAUSTED", 429),
            ("authentication_error", 401),
            ("invalid_api_key", 401),
            ("invalid_request_error", 400),
            ("BadRequestError", 400),
        ];
        let known = NAMES.iter().find(|(name, _)| self.is(name)).map(|(_, status)| *status);
        known.or_else(|| (self.refusal() != REFUSED).then_some(400))
    }

    /// The code of a refusal: those that a plan acts on keep their own.
    pub(crate) fn refusal(&self) -> &'static str {
        if self.is("context_length_exceeded") || self.is("string_above_max_length") {
            "context_length_exceeded"
        } else if self.is("content_filter") || self.is("content_policy_violation") {
            "content_filter"
        } else {
            REFUSED
        }
    }
}

const REFUSED: &str = "upstream_refused";

/// `retry-after-ms`, or `retry-after` as seconds or as a date; at most a day.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    let milliseconds = text("retry-after-ms").and_then(number).map(|number| number / 1000.0);
    let wait = match (milliseconds, text("retry-after")) {
        (Some(seconds), _) => Duration::try_from_secs_f64(seconds).ok()?,
        (None, Some(value)) => match number(value) {
            Some(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
            None => httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or(Duration::ZERO),
        },
        (None, None) => return None,
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_retry_after(headers: &[(&'static str, &'static str)], expected: Option<u64>) {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        let map: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect();
        let expected = expected.map(Duration::from_millis);
        assert_eq!(retry_after(&map, now), expected, "{headers:?}");
    }

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        check_retry_after(&[], None);
        check_retry_after(&[("retry-after", "3")], Some(3_000));
        check_retry_after(&[("retry-after", "1.5")], Some(1_500));
        check_retry_after(&[("retry-after", "9"), ("retry-after-ms", "250")], Some(250));
        check_retry_after(&[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")], Some(10_000));
        check_retry_after(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")], Some(0));
        check_retry_after(&[("retry-after", "99999999999999999999999999")], None);
        check_retry_after(&[("retry-after", "99999999")], Some(86_400_000));
        for value in ["", "-1", "soon", "NaN", "inf"] {
            check_retry_after(&[("retry-after", value)], None);
        }
    }
}
