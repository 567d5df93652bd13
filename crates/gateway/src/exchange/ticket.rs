//! The one place where an exchange is settled: money posted or voided, the record written, the metrics counted.
//!
//! A ticket is opened when a request arrives and settles exactly once: by [`Ticket::settle`], or, when hyper drops the
//! exchange because the client has left, by its own `Drop`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::{Error, Fault, Money, Plan, Priority, Source, Tenant, Usage, UsageBasis};
use cache::Forwarded;
use dialects::Face;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use ledger::{Record, Reservation, Tokens};
use serde_json::Value;

use super::relay::json_response;
use crate::admission::Place;
use crate::body::{Body, whole};
use crate::decisions::{Decision, Entry, Told};
use crate::house::{House, now_ms};
use crate::live::Live;
use crate::metrics::{
    CallLabels, DecisionLabels, MoneyLabels, ShedLabels, StageLabels, TenantLabels, TokenLabels,
};

/// The client left before its answer was whole; nginx's number, known to every operator.
const CLIENT_CLOSED: u16 = 499;
/// Request ids from outside are kept when they are this short and plain; others are replaced.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// An open account of one exchange.
pub(crate) struct Ticket {
    pub(crate) house: Arc<House>,
    pub(crate) live: Arc<Live>,
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) record: Record,
    request_id: HeaderValue,
    started: Instant,
    stage_began: Instant,
    /// Time spent waiting for targets: not our overhead.
    waited: Duration,
    /// When the target that answers was called.
    called: Option<Instant>,
    /// A call is under way whose usage is not known yet.
    calling: bool,
    /// The prompt's length, for a call that is broken off before it tells.
    prompt_tokens: u64,
    reservation: Option<Reservation>,
    /// Its place among the requests under way.
    place: Option<Place>,
    /// What the log of decisions is told at the end.
    told: Option<Told>,
    operation: &'static str,
    /// The dialect of whoever asks: refusals are written in it.
    face: Face,
    error_code: &'static str,
    /// Why the request went past the cache.
    pub(crate) forwarded: Forwarded,
    /// The exchange is of no model's business, and so has no place in the book.
    off_the_book: bool,
    settled: bool,
}

impl Ticket {
    pub(crate) fn open(
        house: Arc<House>,
        headers: &HeaderMap,
        started: Instant,
        operation: &'static str,
        face: Face,
    ) -> Self {
        let live = house.decider.live.load_full();
        let id = uuid::Uuid::now_v7().simple().to_string();
        let given = headers.get("x-request-id").filter(|value| {
            value.len() <= REQUEST_ID_BYTES_MAX && value.as_bytes().iter().all(u8::is_ascii_graphic)
        });
        let request_id = given
            .cloned()
            .or_else(|| HeaderValue::from_str(&id).ok())
            .unwrap_or(HeaderValue::from_static("-"));
        let record = Record { id, at_ms: now_ms(), ..Record::default() };
        house.metrics.in_flight.inc();
        Self {
            tenant: Arc::clone(&house.nobody),
            house,
            live,
            record,
            request_id,
            started,
            stage_began: started,
            waited: Duration::ZERO,
            called: None,
            calling: false,
            prompt_tokens: 0,
            reservation: None,
            place: None,
            told: None,
            operation,
            face,
            error_code: "",
            forwarded: Forwarded::Bypass,
            off_the_book: false,
            settled: false,
        }
    }

    pub(crate) fn set_tenant(&mut self, tenant: Arc<Tenant>) {
        self.record.tenant = tenant.name.to_string();
        self.tenant = tenant;
    }

    /// Takes a place among the requests under way, as long as there is one for this priority.
    ///
    /// # Errors
    /// A 503 `overloaded`, which is counted.
    pub(crate) fn enter(&mut self, priority: Priority) -> Result<(), Error> {
        self.place = Some(self.house.admission.enter(priority).inspect_err(|_| {
            let labels = ShedLabels { tenant: self.tenant.name.to_string(), priority: priority.name() };
            self.house.metrics.shed.get_or_create(&labels).inc();
        })?);
        Ok(())
    }

    /// This exchange calls no model: a decision without the call, a verdict.
    pub(crate) fn keep_off_the_book(&mut self) {
        self.off_the_book = true;
    }

    /// The id of the exchange, which is the id of its decision.
    pub(crate) fn id(&self) -> &str {
        &self.record.id
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Ends the stage that has been running.
    pub(crate) fn stage(&mut self, stage: &'static str) {
        let now = Instant::now();
        let took = now - self.stage_began;
        self.stage_began = now;
        self.house.metrics.overhead.get_or_create(&StageLabels { stage }).observe(took.as_secs_f64());
    }

    /// Waits for a target, so that its time is not counted as ours.
    pub(crate) async fn waiting<T>(&mut self, work: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let result = work.await;
        self.waited += began.elapsed();
        self.stage_began = Instant::now();
        result
    }

    /// Time spent in the gateway itself so far.
    pub(crate) fn overhead(&self) -> Duration {
        self.elapsed().saturating_sub(self.waited)
    }

    pub(crate) fn set_plan(&mut self, plan: &Plan, prompt_tokens: u64) {
        self.prompt_tokens = prompt_tokens;
        self.record.policy.clone_from(&plan.policy);
        self.record.reason.clone_from(&plan.reason);
        self.record.track = Some(plan.track);
        self.record.private = plan.private;
        let labels = DecisionLabels {
            track: plan.track.name(),
            policy: plan.policy.clone(),
            reason: plan.reason.clone(),
        };
        self.house.metrics.decisions.get_or_create(&labels).inc();
        if plan.degraded.is_some() {
            self.house.metrics.degraded.get_or_create(&labels).inc();
        }
    }

    /// Lets the log know what was decided.
    pub(crate) fn set_decision(&mut self, decision: Decision) {
        self.told = Some(Told::Decided(Arc::new(decision)));
    }

    /// Lets the log know which decision led to the stored answer that is given.
    pub(crate) fn set_cached(&mut self, decision: &str) {
        self.told = Some(Told::Cached(decision.to_owned()));
    }

    pub(crate) fn hold(&mut self, reservation: Reservation) {
        self.reservation = Some(reservation);
    }

    /// The prompt has so many tokens, by estimate.
    pub(crate) fn expect(&mut self, prompt_tokens: u64) {
        self.prompt_tokens = prompt_tokens;
    }

    /// A target has been called.
    pub(crate) fn attempt(&mut self, model: &str) {
        model.clone_into(&mut self.record.model);
        self.live.provider_of(model).clone_into(&mut self.record.provider);
        self.record.attempts += 1;
        self.called = Some(Instant::now());
        self.calling = true;
    }

    /// Adds what a call has used, also that of a call whose answer was not good enough, at the price of the model that
    /// was called. What the last answer would have cost on the policy's reference model is what it is compared with.
    pub(crate) fn charge(&mut self, usage: &Usage) {
        self.calling = false;
        let cost = self.live.prices(&self.record.model).cost(usage);
        self.record.cost += cost;
        let tokens = Tokens::from(usage);
        self.record.tokens.prompt += tokens.prompt;
        self.record.tokens.cached += tokens.cached;
        self.record.tokens.completion += tokens.completion;
        self.record.tokens.basis = tokens.basis;
        let reference = self.live.reference_cost(&self.record.policy, usage);
        self.record.reference_cost = reference.unwrap_or(self.record.cost);
    }

    /// Adds what somebody has used besides the model that answers.
    pub(crate) fn charge_aside(&mut self, model: &str, usage: &Usage) {
        self.record.cost += self.live.prices(model).cost(usage);
    }

    /// A second attempt was made beside the one that answers: its prompt has been read as well.
    pub(crate) fn charge_hedge(&mut self) {
        let usage = Usage::estimated(self.prompt_tokens, 0);
        self.record.cost += self.live.prices(&self.record.model).cost(&usage);
    }

    /// A target failed: what it used, if anything, it did not say.
    pub(crate) fn failed_attempt(&mut self) {
        self.calling = false;
    }

    /// Lets later plans know how long this answer took.
    pub(crate) fn observe_latency(&self) {
        let Some(called) = self.called else { return };
        let whole = called.elapsed();
        let first = self
            .record
            .first_token_ms
            .map_or(whole, |ms| Duration::from_secs_f64(ms / 1e3).saturating_sub(called - self.started));
        let tokens = self.record.tokens.completion;
        self.house.decider.latencies.observe(&self.record.model, first, whole, tokens);
    }

    /// The id that joins our log with the caller's and the upstream's.
    pub(crate) fn request_id(&self) -> &HeaderValue {
        &self.request_id
    }

    /// Ends the exchange with a refusal.
    pub(crate) fn refuse(mut self, error: &Error) -> Box<Response<Body>> {
        let id = self.request_id.to_str().unwrap_or_default();
        let mut response = refusal_in(self.face, error, id);
        self.decorate(response.headers_mut());
        self.record.status = error.fault.status();
        self.fail(error.code);
        match error.source {
            Source::Client => tracing::debug!(id = %self.record.id, %error, "refused"),
            Source::Upstream => {
                tracing::warn!(id = %self.record.id, model = %self.record.model, %error, "upstream failed");
            }
            Source::Gateway if error.fault == Fault::Internal => {
                tracing::error!(id = %self.record.id, %error, "internal error");
            }
            Source::Gateway => tracing::warn!(id = %self.record.id, %error, "refused"),
        }
        self.settle();
        Box::new(response)
    }

    /// Ends the exchange with a JSON answer of our own.
    pub(crate) fn answer(mut self, told: &Value) -> Response<Body> {
        let mut response = json_response(told);
        self.record.status = 200;
        self.decorate(response.headers_mut());
        self.settle();
        response
    }

    /// The exchange failed: codes are literals of this program, so they may be labels.
    pub(crate) fn fail(&mut self, code: &'static str) {
        self.error_code = code;
        self.record.error_code = Some(code.to_owned());
    }

    /// Ends the exchange. Everything that is known about it must be in the record by now.
    pub(crate) fn settle(mut self) {
        self.settle_once();
    }

    /// The headers that every response of this exchange carries.
    pub(crate) fn decorate(&self, headers: &mut HeaderMap) {
        headers.insert("x-request-id", self.request_id.clone());
        put(headers, "x-pointsman-decision", self.id());
        if let Some(track) = self.record.track {
            put(headers, "x-pointsman-track", track.name());
        }
        if !self.record.model.is_empty() {
            put(headers, "x-pointsman-model", &self.record.model);
            put(headers, "x-pointsman-provider", &self.record.provider);
        }
        put(headers, "x-pointsman-attempts", &self.record.attempts.to_string());
        put(headers, "x-pointsman-overhead-ms", &format!("{:.3}", self.overhead().as_secs_f64() * 1e3));
    }

    /// The headers that are known only with a whole answer.
    pub(crate) fn decorate_cost(&self, headers: &mut HeaderMap) {
        put(headers, "x-pointsman-cost-usd", &self.record.cost.to_string());
        put(headers, "x-pointsman-saved-usd", &self.saved().to_string());
        if self.record.tokens.basis == UsageBasis::Estimated {
            put(headers, "x-pointsman-usage", "estimated");
        }
    }

    /// What was saved against the reference model; negative where it would have been cheaper.
    pub(crate) fn saved(&self) -> Money {
        self.record.reference_cost - self.record.cost
    }

    fn settle_once(&mut self) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        self.record.whole_ms = self.elapsed().as_secs_f64() * 1e3;
        if let Some(reservation) = self.reservation.take() {
            reservation.post(self.record.cost);
        }
        self.count();
        if let Some(told) = self.told.take().filter(|_| self.house.decisions.kept()) {
            let taken = self.house.decisions.add(Entry { record: self.record.clone(), told });
            if !taken {
                self.house.metrics.decisions_left_out.inc();
            }
        }
        if !self.off_the_book && self.house.book.append(self.record.clone()).is_err() {
            self.house.metrics.unrecorded.inc();
        }
        tracing::debug!(
            id = %self.record.id,
            status = self.record.status,
            model = %self.record.model,
            reason = %self.record.reason,
            whole_ms = self.record.whole_ms,
            "settled"
        );
    }

    fn count(&self) {
        let metrics = &self.house.metrics;
        let record = &self.record;
        metrics.in_flight.dec();
        let call = CallLabels {
            gen_ai_operation_name: self.operation,
            gen_ai_provider_name: record.provider.clone(),
            gen_ai_request_model: record.model.clone(),
            error_type: self.error_code,
        };
        metrics.request.get_or_create(&call).observe(record.whole_ms / 1e3);
        if let Some(first_ms) = record.first_token_ms {
            metrics.first_token.get_or_create(&call).observe(first_ms / 1e3);
            let more = record.tokens.completion.saturating_sub(1);
            if more > 0 {
                let per_token = (record.whole_ms - first_ms) / 1e3 / more as f64;
                metrics.per_token.get_or_create(&call).observe(per_token);
            }
        }
        if !self.waited.is_zero() {
            metrics.operation.get_or_create(&call).observe(self.waited.as_secs_f64());
        }
        metrics
            .overhead
            .get_or_create(&StageLabels { stage: "total" })
            .observe(self.overhead().as_secs_f64());
        for (kind, tokens) in [("input", record.tokens.prompt), ("output", record.tokens.completion)] {
            if tokens > 0 {
                let labels = TokenLabels {
                    gen_ai_provider_name: record.provider.clone(),
                    gen_ai_request_model: record.model.clone(),
                    gen_ai_token_type: kind,
                };
                metrics.tokens.get_or_create(&labels).inc_by(tokens);
            }
        }
        self.count_money();
    }

    fn count_money(&self) {
        let metrics = &self.house.metrics;
        let labels = MoneyLabels {
            tenant: self.tenant.name.to_string(),
            track: self.record.track.map_or("", api::Track::name),
            model: self.record.model.clone(),
        };
        if self.record.cost > Money::ZERO {
            metrics.cost.get_or_create(&labels).inc_by(self.record.cost.usd());
        }
        // A counter cannot fall: where the reference model would have been cheaper nothing is added, and the report
        // shows the loss.
        let saved = self.record.reference_cost.less(self.record.cost);
        if saved > Money::ZERO {
            metrics.saved.get_or_create(&labels).inc_by(saved.usd());
        }
        if let Some(left) = self.house.funds.remaining(&self.tenant, self.record.at_ms) {
            let labels = TenantLabels { tenant: self.tenant.name.to_string() };
            metrics.budget.get_or_create(&labels).set(left.usd());
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.settled {
            if self.calling {
                // The target has read the prompt and will bill it, whoever listens.
                self.charge(&Usage::estimated(self.prompt_tokens, 0));
            }
            self.record.status = CLIENT_CLOSED;
            self.fail("client_closed");
            self.settle_once();
        }
    }
}

/// A response that carries an error in OpenAI's dialect.
pub(crate) fn refusal(error: &Error) -> Response<Body> {
    refusal_in(Face::Chat, error, "")
}

/// A response that carries an error in the dialect of whoever asks, who may not know the request by an id yet.
pub(crate) fn refusal_in(face: Face, error: &Error, request_id: &str) -> Response<Body> {
    let mut response = Response::new(whole(face.refusal(error, request_id).to_string()));
    *response.status_mut() =
        StatusCode::from_u16(error.fault.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(after) = error.retry_after {
        // Rounded up: a client that comes back a moment too early is refused again.
        headers.insert(RETRY_AFTER, HeaderValue::from(after.as_millis().div_ceil(1000).max(1) as u64));
    }
    response
}

/// Sets a header whose value is ours or an operator's; one that cannot be a header value is left out.
pub(crate) fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
