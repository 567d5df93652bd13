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
    /// `error.code`, `error.type`, `error.status` and the reasons in its details, as text.
    names: Vec<String>,
    number: Option<u64>,
    pub(crate) param: Option<String>,
    /// When to come back, where the body says it.
    pub(crate) retry_delay: Option<Duration>,
    /// All of it, for the log.
    pub(crate) raw: String,
}

impl Said {
    /// Reads a body, in whole or in its beginning.
    pub(crate) fn from_body(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => {
                // Gemini's streams put their error into a list of one.
                let value = value.get(0).unwrap_or(&value);
                Self::from_error(value.get("error").unwrap_or(value))
            }
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
        let details = error.get("details").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let told = |name: &'static str| details.iter().filter_map(move |detail| detail.get(name)?.as_str());
        let names = ["code", "type", "status"].into_iter().filter_map(field);
        Self {
            message: message.unwrap_or_else(|| "(it gave no reason)".to_owned()),
            names: names.chain(told("reason").map(str::to_owned)).collect(),
            number: ["code", "status", "status_code"]
                .iter()
                .find_map(|name| error.get(*name).and_then(Value::as_u64)),
            param: field("param"),
            retry_delay: told("retryDelay").find_map(duration),
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
        let known = STATUSES.iter().find(|(name, _)| self.is(name)).map(|(_, status)| *status);
        known.or_else(|| (self.refusal() != REFUSED).then_some(400))
    }

    /// Whether it refuses the key, whatever its status says.
    pub(crate) fn is_bad_key(&self) -> bool {
        self.is("API_KEY_INVALID") || self.is("invalid_api_key")
    }

    /// Whether the account is spent, whatever its status says.
    pub(crate) fn is_spent(&self) -> bool {
        self.is("insufficient_quota")
            || self.is("billing_error")
            || self.message.contains("credit balance is too low")
    }

    /// The code of a refusal: those that a plan acts on keep their own.
    pub(crate) fn refusal(&self) -> &'static str {
        if ["context_length_exceeded", "string_above_max_length", "exceed_context_size_error"]
            .iter()
            .any(|name| self.is(name))
            || self.mentions(&TOO_LONG)
        {
            "context_length_exceeded"
        } else if self.is("content_filter") || self.is("content_policy_violation") || self.mentions(&FILTERED)
        {
            "content_filter"
        } else {
            REFUSED
        }
    }

    fn mentions(&self, phrases: &[&str]) -> bool {
        let message = self.message.to_ascii_lowercase();
        phrases.iter().any(|phrase| message.contains(phrase))
    }
}

/// The statuses that names stand for in errors without one: OpenAI's, Anthropic's and Google's.
const STATUSES: [(&str, u16); 27] = [
    ("insufficient_quota", 429),
    ("rate_limit_exceeded", 429),
    ("rate_limit_error", 429),
    ("RESOURCE_EXHAUSTED", 429),
    ("authentication_error", 401),
    ("invalid_api_key", 401),
    ("UNAUTHENTICATED", 401),
    ("permission_error", 403),
    ("PERMISSION_DENIED", 403),
    ("billing_error", 402),
    ("invalid_request_error", 400),
    ("invalid_prompt", 400),
    ("BadRequestError", 400),
    ("INVALID_ARGUMENT", 400),
    ("FAILED_PRECONDITION", 400),
    ("OUT_OF_RANGE", 400),
    ("not_found_error", 404),
    ("NOT_FOUND", 404),
    ("request_too_large", 413),
    ("api_error", 500),
    ("server_error", 500),
    ("INTERNAL", 500),
    ("UNAVAILABLE", 503),
    ("timeout_error", 504),
    ("DEADLINE_EXCEEDED", 504),
    ("overloaded_error", 529),
    ("UNKNOWN", 500),
];

/// How providers without a name for it say that the request does not fit the model, in lower case.
const TOO_LONG: [&str; 15] = [
    "prompt is too long",
    "exceed context limit",
    "maximum context length",
    "exceeds the maximum number of tokens allowed",
    "exceeds the available context size",
    "exceeds the context window",
    "input is too long for requested model",
    "reduce the length of the messages",
    "larger than the maximum context size",
    "longer than the maximum model length",
    "longer than the model's context length",
    "the model's context length is only",
    "exceeds the context length",
    "reduce the input token count",
    "must have less than",
];
const FILTERED: [&str; 3] =
    ["blocked by content filtering policy", "content management policy", "violating our usage policy"];

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

/// When the spent ones of the provider's limits begin anew: `x-ratelimit-reset-requests` and `-tokens`, which hold a time
/// to wait ("6m0s", "1.5s", "20ms"), beside a `remaining` of 0.
pub(crate) fn limits_reset(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: String| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    ["requests", "tokens"]
        .iter()
        .filter(|kind| text(format!("x-ratelimit-remaining-{kind}")) == Some("0"))
        .filter_map(|kind| duration(text(format!("x-ratelimit-reset-{kind}"))?))
        .max()
        .map(|wait| wait.min(RETRY_AFTER_MAX))
}

/// A time as Go and Google write it: numbers with units, the greatest first; seconds where there is no unit.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().ok()?;
        let after = &rest[end..];
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        seconds += number
            * match &after[..unit_end] {
                "" | "s" => 1.0,
                "ms" => 1e-3,
                "us" | "\u{b5}s" => 1e-6,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                _ => return None,
            };
        rest = &after[unit_end..];
    }
    let wait = Duration::try_from_secs_f64(seconds).ok().filter(|_| !text.is_empty())?;
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

    fn check_body(body: &str, status: Option<u16>, refusal: &str, delay_ms: Option<u64>) {
        let said = Said::from_body(body.as_bytes());
        let got = (said.status(), said.refusal(), said.retry_delay);
        assert_eq!(got, (status, refusal, delay_ms.map(Duration::from_millis)), "{body}");
    }

    #[test]
    fn each_provider_says_it_in_its_own_way() {
        let long = "context_length_exceeded";
        let anthropic = |kind: &str, message: &str| {
            format!(
                r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}},"request_id":"r"}}"#
            )
        };
        check_body(&anthropic("overloaded_error", "Overloaded"), Some(529), REFUSED, None);
        check_body(&anthropic("rate_limit_error", "x"), Some(429), REFUSED, None);
        check_body(&anthropic("api_error", "x"), Some(500), REFUSED, None);
        let too_long = "prompt is too long: 210000 tokens > 200000 maximum";
        check_body(&anthropic("invalid_request_error", too_long), Some(400), long, None);
        let both = "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000";
        check_body(&anthropic("invalid_request_error", both), Some(400), long, None);
        let filtered = "Output blocked by content filtering policy";
        check_body(&anthropic("invalid_request_error", filtered), Some(400), "content_filter", None);

        let limited = r#"{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED","details":[
            {"@type":"type.googleapis.com/google.rpc.Help"},
            {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.5s"}]}}"#;
        check_body(limited, Some(429), REFUSED, Some(34_500));
        check_body(&format!("[{limited}]"), Some(429), REFUSED, Some(34_500));
        let tokens = r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"The input token count (9) exceeds the maximum number of tokens allowed (8)."}}"#;
        check_body(tokens, Some(400), long, None);
        check_body(r#"{"error":{"status":"UNAVAILABLE","message":"x"}}"#, Some(503), REFUSED, None);

        let llama = r#"{"error":{"code":400,"message":"x","type":"exceed_context_size_error"}}"#;
        check_body(llama, Some(400), long, None);
        let vllm = r#"{"object":"error","message":"This model's maximum context length is 8 tokens.","type":"BadRequestError","code":400}"#;
        check_body(vllm, Some(400), long, None);
        check_body("[]", None, REFUSED, None);
        check_body(r#"{"error":{"details":{"reason":5},"code":"x"}}"#, None, REFUSED, None);
    }

    fn check_refusal(expected: &str, bodies: &[&str]) {
        for body in bodies {
            assert_eq!(Said::from_body(body.as_bytes()).refusal(), expected, "{body}");
        }
    }

    #[test]
    fn what_a_plan_acts_on_is_known_in_every_wording() {
        check_refusal(
            "context_length_exceeded",
            &[
                // OpenAI's chat, responses and embeddings, and Azure's.
                r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens. Please reduce the length of the messages.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
                r#"{"error":{"message":"Your input exceeds the context window of this model. Please adjust your input and try again.","type":"invalid_request_error","param":"input","code":"context_length_exceeded"}}"#,
                r#"{"error":{"message":"This model's maximum context length is 8192 tokens, however you requested 9001 tokens (9001 in your prompt; 0 for the completion).","type":"invalid_request_error","param":null,"code":null}}"#,
                // Anthropic's.
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again"}}"#,
                // Gemini's, of today and before.
                r#"{"error":{"code":400,"message":"The input token count (1236488) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}"#,
                r#"{"error":{"code":400,"message":"Unable to submit request because the input token count is 40000 but model only supports up to 32768. Reduce the input token count and try again.","status":"INVALID_ARGUMENT"}}"#,
                // vLLM's, of four ages.
                r#"{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens in the messages.","type":"BadRequestError","param":null,"code":400}"#,
                r#"{"error":{"message":"The decoder prompt (length 5951) is longer than the maximum model length of 4096. Make sure that `max_model_len` is no smaller than the number of text tokens.","type":"BadRequestError","param":null,"code":400}}"#,
                r#"{"error":{"message":"You passed 40961 input tokens and requested 0 output tokens. However, the model's context length is only 40960 tokens, resulting in a maximum input length of 40960 tokens.","type":"BadRequestError","param":"input_tokens","code":400}}"#,
                r#"{"error":{"message":"Input length (9000) exceeds model's maximum context length (8192).","type":"BadRequestError","param":"input_text","code":400}}"#,
                // Of SGLang, Ollama, llama.cpp and text-embeddings-inference.
                r#"{"object":"error","message":"The input (9001 tokens) is longer than the model's context length (8192 tokens).","type":"BadRequestError","code":400}"#,
                r#"{"error":"the input length exceeds the context length"}"#,
                r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}}"#,
                r#"{"error":"Input validation error: `inputs` must have less than 512 tokens. Given: 600","error_type":"Validation"}"#,
            ],
        );
        check_refusal(
            "content_filter",
            &[
                r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400}}"#,
                r#"{"error":{"message":"Your request was rejected as a result of our safety system.","type":"invalid_request_error","code":"content_policy_violation"}}"#,
                r#"{"error":{"message":"Invalid prompt: your prompt was flagged as potentially violating our usage policy.","type":"invalid_request_error","code":"invalid_prompt"}}"#,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}"#,
            ],
        );
        check_refusal(
            REFUSED,
            &[
                r#"{"error":{"message":"Invalid prompt: it must not be empty.","code":"invalid_prompt"}}"#,
                r#"{"error":{"message":"max_tokens is too large","type":"invalid_request_error"}}"#,
                r#"{"error":{"message":"context length must be set","type":"invalid_request_error"}}"#,
            ],
        );
    }

    #[test]
    fn keys_and_accounts_are_told_from_bad_requests() {
        let bad =
            r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#;
        assert!(Said::from_body(bad.as_bytes()).is_bad_key());
        let spent = r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to call."}}"#;
        assert!(Said::from_body(spent.as_bytes()).is_spent());
    }

    #[test]
    fn spent_limits_say_when_they_begin_anew() {
        for (text, expected) in [
            ("6m0s", Some(360_000)),
            ("1.5s", Some(1_500)),
            ("20ms", Some(20)),
            ("1h2m3s", Some(3_723_000)),
            ("7", Some(7_000)),
            ("", None),
            ("soon", None),
            ("1x", None),
            ("s", None),
            ("1..2s", None),
            ("999999999999999999999999999h", None),
            ("100000h", Some(86_400_000)),
        ] {
            assert_eq!(duration(text), expected.map(Duration::from_millis), "{text}");
        }
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: &'static str| {
            headers.insert(name, http::HeaderValue::from_static(value));
            limits_reset(&headers)
        };
        assert_eq!(set("x-ratelimit-reset-requests", "1m"), None);
        assert_eq!(set("x-ratelimit-remaining-requests", "3"), None);
        assert_eq!(set("x-ratelimit-reset-tokens", "2s"), None);
        assert_eq!(set("x-ratelimit-remaining-tokens", "0"), Some(Duration::from_secs(2)));
        assert_eq!(set("x-ratelimit-remaining-requests", "0"), Some(Duration::from_secs(60)));
    }
}
