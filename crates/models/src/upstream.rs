//! One upstream, and the life of one call to it.
//!
//! Owns the order of a call: a place, an attempt, and further attempts as long as budget, breaker and deadline have one and
//! nothing has been passed on. Refuses a second attempt after the first part of a stream.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::{ChatRequest, Error, Reply};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::backoff::Jitter;
use crate::budget::Budget;
use crate::clock::{Clock, Limits};
use crate::connect::{Client, Pool, Upstreams};
use crate::endpoints::{Chosen, Endpoint, Endpoints, Visited};
use crate::failure::{Again, Failure};
use crate::hedge::Hedging;
use crate::options::UpstreamOptions;
use crate::secret::Redactor;
use crate::site::is_framing;
use crate::slots::{Slot, Slots};
use crate::stream::Answer;
use crate::traffic::{Attempt, Health};
use crate::whole::{self, Unread};

/// An answer, whole or begun.
pub struct Answered {
    /// The answer. A stream's error items follow [`api::Chunks`].
    pub reply: Reply,
    /// The upstream's own name for the request, for its support.
    pub upstream_request_id: Option<String>,
    /// Attempts that it took, at least 1.
    pub attempts: u32,
    /// Two of them were under way at once: the upstream may charge the prompt of the one that was given up.
    pub hedged: bool,
}

/// One upstream: its endpoints, connections and what is known of its health. Clones are the same upstream.
#[derive(Clone)]
pub struct Upstream(Arc<Inner>);

struct Inner {
    options: UpstreamOptions,
    endpoints: Endpoints,
    pool: Arc<Pool>,
    slots: Arc<Slots>,
    allowance: Arc<Mutex<Allowance>>,
    jitter: Arc<Jitter>,
}

/// What the upstream's calls may spend on further attempts.
struct Allowance {
    budget: Budget,
    hedging: Hedging,
}

/// A request as each of its attempts sends it.
struct Call {
    body: Bytes,
    model_id: String,
    /// What is added to each endpoint's own headers.
    headers: HeaderMap,
    stream: bool,
    answers: u32,
    limits: Limits,
}

/// What a call has done so far.
#[derive(Default)]
struct Tally {
    visited: Visited,
    attempts: u32,
    hedged: bool,
}

/// What an attempt gave.
enum Opened {
    Whole(Box<api::Completion>),
    Stream(Box<Answer>),
}

/// The same, with the upstream's name for the request.
type Begun = (Opened, Option<String>);

/// What an upstream says about its failure is read this far.
const ERROR_BYTES_MAX: usize = 16 << 10;

impl Upstream {
    /// Checks the options and makes the pool. Opens no connection.
    ///
    /// # Errors
    /// A 400 whose `param` is the first field of `options` that is not what it should be.
    pub fn new(upstreams: &Upstreams, options: UpstreamOptions) -> Result<Self, Error> {
        let sites = options.check()?;
        let pool = upstreams.pool(&options, &sites)?;
        let now = Instant::now();
        Ok(Self(Arc::new(Inner {
            endpoints: Endpoints::new(&options.name, sites, None),
            pool: Arc::new(pool),
            slots: Slots::new(options.concurrency_max),
            allowance: Arc::new(Mutex::new(Allowance { budget: Budget::new(now), hedging: Hedging::new() })),
            jitter: Arc::new(Jitter::new(options.seed)),
            options,
        })))
    }

    /// The same upstream as `options` describe it now. What still holds is kept: what is known of endpoints that are
    /// still there, the places that are taken, the retry budget, and the connections where nothing has changed that
    /// they depend on. Calls under way end as they began. `upstreams` should be the same as for [`Upstream::new`].
    ///
    /// # Errors
    /// As for [`Upstream::new`]; this one is as it was then.
    pub fn renewed(&self, upstreams: &Upstreams, options: UpstreamOptions) -> Result<Self, Error> {
        let before = &self.0;
        let sites = options.check()?;
        let pool = upstreams.pool_like(&before.pool, &options, &sites)?;
        before.slots.resize(options.concurrency_max);
        Ok(Self(Arc::new(Inner {
            endpoints: Endpoints::new(&options.name, sites, Some(&before.endpoints)),
            pool,
            slots: Arc::clone(&before.slots),
            allowance: Arc::clone(&before.allowance),
            jitter: Arc::clone(&before.jitter),
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
        inner.request();
        let mut tally = Tally { attempts: 1, ..Tally::default() };
        let mut chosen = inner.choose(&call, &mut tally).map_err(|wait| Failure::resting(wait).error)?;
        loop {
            match Box::pin(inner.hedged(&call, chosen, &mut tally)).await {
                Ok((opened, upstream_request_id)) => {
                    let reply = match opened {
                        Opened::Whole(completion) => Reply::Whole(completion),
                        Opened::Stream(mut answer) => {
                            answer.hold(slot);
                            Reply::Stream(Box::into_pin(answer))
                        }
                    };
                    let Tally { attempts, hedged, .. } = tally;
                    return Ok(Answered { reply, upstream_request_id, attempts, hedged });
                }
                Err(failure) => {
                    let attempts = tally.attempts;
                    tracing::debug!(upstream = inner.options.name, attempts, error = %failure.error, "attempt failed");
                    let Some(next) = inner.next(&call, &failure, &mut tally).await else {
                        return Err(failure.error);
                    };
                    chosen = next;
                    tally.attempts += 1;
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
        self.0.endpoints.together(self.0.slots.taken())
    }

    /// How each of its endpoints is doing, in the operator's order.
    pub fn endpoints(&self) -> Vec<Health> {
        self.0.endpoints.health().collect()
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
        let mut headers = HeaderMap::with_capacity(trace.len() + 1);
        let accept = if request.stream { "text/event-stream" } else { "application/json" };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        for (name, value) in trace.iter().filter(|(name, _)| !is_framing(name)) {
            headers.append(name, value.clone());
        }
        Ok(Call {
            body: self.options.wire.body(request, model_id).map_err(Failure::unsupported)?,
            model_id: model_id.to_owned(),
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

    /// A call came.
    fn request(&self) {
        let mut allowance = self.allowance();
        allowance.budget.request();
        if let Some(hedge) = self.options.hedge {
            allowance.hedging.request(hedge);
        }
    }

    fn choose(&self, call: &Call, tally: &mut Tally) -> Result<Chosen<'_>, Duration> {
        self.endpoints.choose(call.stream, &self.jitter, &mut tally.visited)
    }

    /// The next attempt, where there may be one: at another endpoint at once, at the same after a wait.
    async fn next(&self, call: &Call, failure: &Failure, tally: &mut Tally) -> Option<Chosen<'_>> {
        if failure.again == Again::No || tally.attempts > self.options.retries_max {
            return None;
        }
        if let Some(place) = self.endpoints.elsewhere(call.stream, &self.jitter, tally.visited) {
            let in_time = Instant::now() < call.limits.deadline;
            return (in_time && self.pay_retry())
                .then(|| self.endpoints.begin(place, call.stream, &mut tally.visited).ok())
                .flatten();
        }
        if failure.again == Again::Elsewhere {
            return None;
        }
        let wait = self.jitter.wait(tally.attempts).max(failure.error.retry_after.unwrap_or_default());
        let at = Instant::now() + wait;
        if wait > self.options.retry_wait_max || at >= call.limits.deadline || !self.pay_retry() {
            return None;
        }
        tokio::time::sleep_until(at).await;
        self.choose(call, tally).ok()
    }

    /// One attempt, and another beside it where it is slow to begin and a hedge can be had: the first to open wins and the
    /// other is dropped.
    async fn hedged(&self, call: &Call, chosen: Chosen<'_>, tally: &mut Tally) -> Result<Begun, Failure> {
        let mut first = Box::pin(self.attempt(call, chosen));
        let Some(patience) = self.patience(call.stream) else { return first.await };
        let began = Instant::now();
        if let Ok(begun) = tokio::time::timeout(patience, &mut first).await {
            return begun;
        }
        // Its place ends with the race: the winner goes on in the call's own.
        let Some((second, _place)) = self.hedge(call, tally) else { return first.await };
        let mut second = Box::pin(self.attempt(call, second));
        let (failure, other) = tokio::select! {
            begun = &mut first => match begun {
                Ok(begun) => return Ok(begun),
                Err(failure) => (failure, second),
            },
            begun = &mut second => match begun {
                Ok(begun) => {
                    // What was given up took at least this long.
                    self.allowance().hedging.observe(call.stream, began.elapsed());
                    return Ok(begun);
                }
                Err(failure) => (failure, first),
            },
        };
        match failure.again {
            Again::No => Err(failure),
            Again::Here | Again::Elsewhere => other.await,
        }
    }

    /// How long an attempt has alone; `None` where it will not be hedged.
    fn patience(&self, stream: bool) -> Option<Duration> {
        let hedge = self.options.hedge?;
        let allowance = self.allowance();
        allowance.hedging.after(hedge, stream).filter(|_| allowance.hedging.has_one())
    }

    /// A second attempt beside the first, where share, budget, places and endpoints have one.
    fn hedge(&self, call: &Call, tally: &mut Tally) -> Option<(Chosen<'_>, Slot)> {
        let elsewhere = self.endpoints.elsewhere(call.stream, &self.jitter, tally.visited);
        let endpoint = elsewhere.or_else(|| self.endpoints.only(call.stream))?;
        let slot = self.slots.take_now()?;
        {
            let mut allowance = self.allowance();
            if !allowance.hedging.has_one() || !allowance.budget.retry(Instant::now()) {
                return None;
            }
            allowance.hedging.take();
        }
        let second = self.endpoints.begin(endpoint, call.stream, &mut tally.visited).ok()?;
        tally.attempts += 1;
        tally.hedged = true;
        Some((second, slot))
    }

    fn pay_retry(&self) -> bool {
        self.allowance().budget.retry(Instant::now())
    }

    fn allowance(&self) -> std::sync::MutexGuard<'_, Allowance> {
        // Counters stay usable whatever their last writer did.
        self.allowance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One attempt, settled unless it gives a stream, which settles itself.
    async fn attempt(&self, call: &Call, chosen: Chosen<'_>) -> Result<Begun, Failure> {
        let began = Instant::now();
        let begun = self.exchange(call, chosen).await;
        if begun.is_ok() && self.options.hedge.is_some() {
            self.allowance().hedging.observe(call.stream, began.elapsed());
        }
        begun
    }

    async fn exchange(&self, call: &Call, chosen: Chosen<'_>) -> Result<Begun, Failure> {
        let Chosen { endpoint, mut attempt } = chosen;
        let mut clock = Clock::start(call.limits, call.stream);
        let client = if attempt.is_probe() { self.pool.fresh() } else { self.pool.client() };
        let response = match self.head(call, endpoint, &client, &mut clock).await {
            Ok(response) => response,
            Err(failure) => return Err(settle(attempt, failure)),
        };
        let id = request_id(response.headers());
        if call.stream {
            let redactor = Arc::clone(&endpoint.redactor);
            let reader = self.options.wire.reader(call.answers);
            let mut answer =
                Box::new(Answer::new(response.into_body(), reader, clock, attempt, redactor, id.clone()));
            answer.open().await?;
            return Ok((Opened::Stream(answer), id));
        }
        match self.whole(response, &mut clock, &endpoint.redactor).await {
            Ok(completion) => {
                attempt.opened();
                attempt.succeeded();
                Ok((Opened::Whole(Box::new(completion)), id))
            }
            Err(failure) => Err(settle(attempt, failure.of_request(id.as_deref()))),
        }
    }

    /// Sends the request; an answer comes back only if its head is that of what was asked for.
    async fn head(
        &self,
        call: &Call,
        endpoint: &Endpoint,
        client: &Client,
        clock: &mut Clock,
    ) -> Result<Response<Incoming>, Failure> {
        let request = self.written(call, endpoint).map_err(Failure::unsupported)?;
        let response = clock.guard(client.request(request)).await?;
        let response = response.map_err(|error| Failure::exchange(&error, &endpoint.redactor))?;
        let wanted = if call.stream { "text/event-stream" } else { "application/json" };
        let (status, headers) = (response.status(), response.headers());
        let id = request_id(headers);
        let failure = if !status.is_success() {
            let (head, body) = response.into_parts();
            let said = clock.guard(whole::beginning(body, ERROR_BYTES_MAX)).await.unwrap_or_default();
            Failure::status(status, &head.headers, &said, &endpoint.redactor)
        } else if is_encoded(headers) {
            Failure::garbage("a compressed answer, which was not asked for")
        } else if is_type(headers, wanted) || (!call.stream && !is_type(headers, "text/event-stream")) {
            return Ok(response);
        } else {
            of_other_type(response, clock, &endpoint.redactor).await
        };
        Err(failure.of_request(id.as_deref()))
    }

    /// The request as the endpoint gets it.
    fn written(&self, call: &Call, endpoint: &Endpoint) -> Result<Request<Full<Bytes>>, Error> {
        let options = &self.options;
        let uri: Uri = endpoint.site.uri(options.wire, &call.model_id, call.stream, &options.api_version)?;
        let mut headers = endpoint.site.headers.clone();
        for (name, value) in &call.headers {
            if !endpoint.site.headers.contains_key(name) {
                headers.append(name, value.clone());
            }
        }
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn whole(
        &self,
        response: Response<Incoming>,
        clock: &mut Clock,
        redactor: &Redactor,
    ) -> Result<api::Completion, Failure> {
        let bytes_max = self.options.body_bytes_max;
        match clock.guard(whole::read(response.into_body(), bytes_max)).await? {
            Ok(body) => {
                let whole = self.options.wire.whole(&body);
                whole.map_err(|trouble| Failure::of_trouble(trouble, redactor))
            }
            Err(Unread::TooLarge) => {
                let mut failure = Failure::garbage(format!("an answer over {bytes_max} bytes"));
                failure.again = Again::No;
                Err(failure)
            }
            Err(Unread::Broken(error)) => Err(Failure::body(&error, redactor)),
        }
    }
}

/// A 200 of the wrong type: often an error in JSON where a stream was asked for.
async fn of_other_type(response: Response<Incoming>, clock: &mut Clock, redactor: &Redactor) -> Failure {
    let (head, body) = response.into_parts();
    let said = clock.guard(whole::beginning(body, ERROR_BYTES_MAX)).await.unwrap_or_default();
    let error = serde_json::from_slice::<serde_json::Value>(&said)
        .ok()
        .and_then(|mut value| value.get_mut("error").map(serde_json::Value::take))
        .filter(|error| !error.is_null());
    match error {
        Some(error) => Failure::in_band(&error, redactor),
        None => Failure::garbage(format!("an answer of type {:?}", head.headers.get(CONTENT_TYPE))),
    }
}

fn settle(attempt: Attempt, failure: Failure) -> Failure {
    attempt.failed(&failure);
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
