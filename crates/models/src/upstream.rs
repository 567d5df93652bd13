//! One upstream, and the life of one call to it.
//!
//! Owns the order of a call: a place, an attempt, and further attempts as long as budget, breaker and deadline have one and
//! nothing has been passed on. Refuses a second attempt after the first part of a stream.

use std::fmt;
use std::sync::Arc;

use api::{ChatRequest, Error, Reply};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::backoff::Jitter;
use crate::clock::{Clock, Limits};
use crate::connect::{Client, Upstreams};
use crate::failure::Failure;
use crate::options::{UpstreamOptions, is_framing};
use crate::secret::Redactor;
use crate::slots::Slots;
use crate::stream::Answer;
use crate::traffic::{Attempt, Health, Traffic};
use crate::whole::{self, Unread};

/// An answer, whole or begun.
pub struct Answered {
    /// The answer. A stream's error items follow [`api::Chunks`].
    pub reply: Reply,
    /// The upstream's own name for the request, for its support.
    pub upstream_request_id: Option<String>,
    /// Attempts that it took, at least 1.
    pub attempts: u32,
}

/// One upstream: its address, key, connections and what is known of its health. Clones are the same upstream.
#[derive(Clone)]
pub struct Upstream(Arc<Inner>);

struct Inner {
    options: UpstreamOptions,
    uri: Uri,
    headers: HeaderMap,
    redactor: Arc<Redactor>,
    client: Client,
    slots: Arc<Slots>,
    traffic: Arc<Traffic>,
    jitter: Jitter,
}

/// A request as each of its attempts sends it.
struct Call {
    body: Bytes,
    headers: HeaderMap,
    stream: bool,
    answers: u32,
    limits: Limits,
}

/// What an attempt gave.
enum Opened {
    Whole(Box<api::Completion>),
    Stream(Box<Answer>),
}

/// What an upstream says about its failure is read this far.
const ERROR_BYTES_MAX: usize = 16 << 10;

impl Upstream {
    /// Checks the options and makes the pool. Opens no connection.
    ///
    /// # Errors
    /// A 400 whose `param` is the first field of `options` that is not what it should be.
    pub fn new(upstreams: &Upstreams, options: UpstreamOptions) -> Result<Self, Error> {
        let endpoint = options.check()?;
        let client = upstreams.client(&options, endpoint.guard, endpoint.is_tls)?;
        Ok(Self(Arc::new(Inner {
            uri: endpoint.uri,
            headers: endpoint.headers,
            redactor: Arc::new(endpoint.redactor),
            client,
            slots: Slots::new(options.concurrency_max),
            traffic: Traffic::new(&options.name),
            jitter: Jitter::new(options.seed),
            options,
        })))
    }

    /// Asks the upstream's model `model_id` for a chat completion, by `deadline`. `trace` is sent along, except where a
    /// header of that name is already set. A stream is given back once its first chunk is there.
    ///
    /// Dropping the future, or the stream that it gives, cancels the work at the upstream.
    ///
    /// # Errors
    /// `upstream_*` codes for what the upstream did, with its own status where it gave one; `context_length_exceeded` and
    /// `content_filter` where it refused for that reason. `retry_safe` says that another target may do better.
    pub async fn chat(
        &self,
        model_id: &str,
        request: &ChatRequest,
        deadline: std::time::Instant,
        trace: &[(HeaderName, HeaderValue)],
    ) -> Result<Answered, Error> {
        let inner = &self.0;
        let call = inner.call(model_id, request, Instant::from_std(deadline), trace).map_err(to_error)?;
        let Some(slot) = inner.slots.take(call.limits.deadline).await else {
            return Err(Failure::busy().error);
        };
        let mut attempt = inner.traffic.first().map_err(|wait| Failure::resting(wait).error)?;
        let mut attempts = 1;
        loop {
            match inner.attempt(&call, attempt).await {
                Ok((opened, upstream_request_id)) => {
                    let reply = match opened {
                        Opened::Whole(completion) => Reply::Whole(completion),
                        Opened::Stream(mut answer) => {
                            answer.hold(slot);
                            Reply::Stream(Box::into_pin(answer))
                        }
                    };
                    return Ok(Answered { reply, upstream_request_id, attempts });
                }
                Err(failure) => {
                    tracing::debug!(upstream = inner.options.name, attempts, error = %failure.error, "attempt failed");
                    let Some(next) = inner.next_attempt(&failure, attempts, call.limits.deadline).await
                    else {
                        return Err(failure.error);
                    };
                    attempt = next;
                    attempts += 1;
                }
            }
        }
    }

    /// The operator's name for it.
    pub fn name(&self) -> &str {
        &self.0.options.name
    }

    /// How it is doing.
    pub fn health(&self) -> Health {
        self.0.traffic.health(self.0.slots.taken())
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Upstream").field(&self.0.options.name).finish()
    }
}

fn to_error(failure: Failure) -> Error {
    failure.error
}

impl Inner {
    fn call(
        &self,
        model_id: &str,
        request: &ChatRequest,
        deadline: Instant,
        trace: &[(HeaderName, HeaderValue)],
    ) -> Result<Call, Failure> {
        let mut headers = self.headers.clone();
        let accept = if request.stream { "text/event-stream" } else { "application/json" };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        for (name, value) in trace {
            if !is_framing(name) && !self.headers.contains_key(name) {
                headers.append(name, value.clone());
            }
        }
        Ok(Call {
            body: self.options.wire.body(request, model_id).map_err(Failure::unsupported)?,
            headers,
            stream: request.stream,
            answers: request.sampling.n,
            limits: Limits {
                deadline,
                first_byte_timeout: self.options.first_byte_timeout,
                idle_timeout: self.options.idle_timeout,
            },
        })
    }

    /// Waits for the next attempt's time, where there may be one.
    async fn next_attempt(&self, failure: &Failure, attempts: u32, deadline: Instant) -> Option<Attempt> {
        if !failure.again || attempts > self.options.retries_max {
            return None;
        }
        let wait = self.jitter.wait(attempts).max(failure.error.retry_after.unwrap_or_default());
        let at = Instant::now() + wait;
        if wait > self.options.retry_wait_max || at >= deadline || !self.traffic.pay_retry() {
            return None;
        }
        tokio::time::sleep_until(at).await;
        self.traffic.again().ok()
    }

    /// One attempt, settled unless it gives a stream, which settles itself.
    async fn attempt(&self, call: &Call, attempt: Attempt) -> Result<(Opened, Option<String>), Failure> {
        let mut clock = Clock::start(call.limits, call.stream);
        let response = match self.head(call, &mut clock).await {
            Ok(response) => response,
            Err(failure) => return Err(settle(attempt, failure)),
        };
        let id = request_id(response.headers());
        if call.stream {
            let redactor = Arc::clone(&self.redactor);
            let reader = self.options.wire.reader(call.answers);
            let mut answer =
                Box::new(Answer::new(response.into_body(), reader, clock, attempt, redactor, id.clone()));
            answer.open().await?;
            return Ok((Opened::Stream(answer), id));
        }
        match self.whole(response, &mut clock).await {
            Ok(completion) => {
                attempt.succeeded();
                Ok((Opened::Whole(Box::new(completion)), id))
            }
            Err(failure) => Err(settle(attempt, failure.of_request(id.as_deref()))),
        }
    }

    /// Sends the request; an answer comes back only if its head is that of what was asked for.
    async fn head(&self, call: &Call, clock: &mut Clock) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = call.headers.clone();
        let response = clock.guard(self.client.request(request)).await?;
        let response = response.map_err(|error| Failure::exchange(&error, &self.redactor))?;
        let wanted = if call.stream { "text/event-stream" } else { "application/json" };
        let (status, headers) = (response.status(), response.headers());
        let id = request_id(headers);
        let failure = if !status.is_success() {
            let (head, body) = response.into_parts();
            let said = clock.guard(whole::beginning(body, ERROR_BYTES_MAX)).await.unwrap_or_default();
            Failure::status(status, &head.headers, &said, &self.redactor)
        } else if is_encoded(headers) {
            Failure::garbage("a compressed answer, which was not asked for")
        } else if is_type(headers, wanted) || (!call.stream && !is_type(headers, "text/event-stream")) {
            return Ok(response);
        } else {
            self.of_other_type(response, clock).await
        };
        Err(failure.of_request(id.as_deref()))
    }

    /// A 200 of the wrong type: often an error in JSON where a stream was asked for.
    async fn of_other_type(&self, response: Response<Incoming>, clock: &mut Clock) -> Failure {
        let (head, body) = response.into_parts();
        let said = clock.guard(whole::beginning(body, ERROR_BYTES_MAX)).await.unwrap_or_default();
        let error = serde_json::from_slice::<serde_json::Value>(&said)
            .ok()
            .and_then(|mut value| value.get_mut("error").map(serde_json::Value::take))
            .filter(|error| !error.is_null());
        match error {
            Some(error) => Failure::in_band(&error, &self.redactor),
            None => Failure::garbage(format!("an answer of type {:?}", head.headers.get(CONTENT_TYPE))),
        }
    }

    async fn whole(
        &self,
        response: Response<Incoming>,
        clock: &mut Clock,
    ) -> Result<api::Completion, Failure> {
        let bytes_max = self.options.body_bytes_max;
        match clock.guard(whole::read(response.into_body(), bytes_max)).await? {
            Ok(body) => {
                let whole = self.options.wire.whole(&body);
                whole.map_err(|trouble| Failure::of_trouble(trouble, &self.redactor))
            }
            Err(Unread::TooLarge) => {
                let mut failure = Failure::garbage(format!("an answer over {bytes_max} bytes"));
                failure.again = false;
                Err(failure)
            }
            Err(Unread::Broken(error)) => Err(Failure::body(&error, &self.redactor)),
        }
    }
}

fn settle(attempt: Attempt, failure: Failure) -> Failure {
    attempt.failed(failure.outcome, failure.error.code);
    failure
}

fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    let given = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let essence = given.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(wanted.as_bytes())
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The upstream's name for the request, as providers give it.
fn request_id(headers: &HeaderMap) -> Option<String> {
    const ID_BYTES_MAX: usize = 200;
    let value = ["x-request-id", "request-id"].iter().find_map(|name| headers.get(*name))?;
    value.to_str().ok().filter(|id| id.len() <= ID_BYTES_MAX).map(str::to_owned)
}
