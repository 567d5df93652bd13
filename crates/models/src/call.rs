//! The life of one call, whatever it asks.
//!
//! Owns the order: a place, an attempt, and further attempts as long as budget, breaker and deadline have one and nothing
//! has been passed on; and the second attempt beside a slow first. Refuses a further attempt after the first piece of a
//! stream.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use api::Error;
use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::clock::Limits;
use crate::endpoints::{Chosen, Visited};
use crate::failure::{Again, Failure};
use crate::question::{Form, Question};
use crate::site::is_framing;
use crate::slots::Slot;
use crate::upstream::{Allowance, Inner};

/// A request as each of its attempts sends it.
pub(crate) struct Call<'q, Q> {
    pub(crate) question: &'q Q,
    pub(crate) form: Form,
    pub(crate) path: String,
    pub(crate) body: Bytes,
    /// What is added to each endpoint's own headers.
    pub(crate) headers: HeaderMap,
    pub(crate) limits: Limits,
}

/// What a call has done so far.
#[derive(Default)]
struct Tally {
    visited: Visited,
    attempts: u32,
    hedged: bool,
}

/// What a call gave, and its place, which ends with the answer.
pub(crate) struct Ended<T> {
    pub(crate) given: T,
    pub(crate) slot: Slot,
    pub(crate) upstream_request_id: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) hedged: bool,
}

/// What an attempt gave, with the upstream's name for the request.
pub(crate) type Begun<T> = (T, Option<String>);

impl Inner {
    /// Asks `question` of the model `model_id`, by `deadline`.
    pub(crate) async fn ask<Q: Question>(
        &self,
        model_id: &str,
        question: &Q,
        deadline: std::time::Instant,
        trace: &[(HeaderName, HeaderValue)],
    ) -> Result<Ended<Q::Given>, Error> {
        let call = self.call(model_id, question, Instant::from_std(deadline), trace)?;
        let Some(slot) = self.slots.take(call.limits.deadline).await else {
            return Err(Failure::busy().error);
        };
        self.came();
        let mut tally = Tally { attempts: 1, ..Tally::default() };
        let mut chosen = self.choose(call.form, &mut tally).map_err(|wait| Failure::resting(wait).error)?;
        loop {
            match Box::pin(self.hedged(&call, chosen, &mut tally)).await {
                Ok((given, upstream_request_id)) => {
                    let Tally { attempts, hedged, .. } = tally;
                    return Ok(Ended { given, slot, upstream_request_id, attempts, hedged });
                }
                Err(failure) => {
                    let attempts = tally.attempts;
                    tracing::debug!(upstream = self.options.name, attempts, error = %failure.error, "attempt failed");
                    let Some(next) = self.next(&call, &failure, &mut tally).await else {
                        return Err(failure.error);
                    };
                    chosen = next;
                    tally.attempts += 1;
                }
            }
        }
    }

    fn call<'q, Q: Question>(
        &self,
        model_id: &str,
        question: &'q Q,
        deadline: Instant,
        trace: &[(HeaderName, HeaderValue)],
    ) -> Result<Call<'q, Q>, Error> {
        let form = question.form();
        let mut headers = HeaderMap::with_capacity(trace.len() + 1);
        let accept = if form == Form::Stream { "text/event-stream" } else { "application/json" };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        for (name, value) in trace.iter().filter(|(name, _)| !is_framing(name)) {
            headers.append(name, value.clone());
        }
        let limits = Limits {
            deadline,
            first_byte_timeout: self.options.first_byte_timeout,
            idle_timeout: self.options.idle_timeout,
        };
        let wire = self.options.wire;
        let (path, body) = (question.path(wire, model_id)?, question.body(wire, model_id)?);
        Ok(Call { question, form, path, body, headers, limits })
    }

    /// A call came.
    fn came(&self) {
        let mut allowance = self.allowance();
        allowance.budget.request();
        if let Some(hedge) = self.options.hedge {
            allowance.hedging.request(hedge);
        }
    }

    fn choose(&self, form: Form, tally: &mut Tally) -> Result<Chosen<'_>, Duration> {
        self.endpoints.choose(form, &self.jitter, &mut tally.visited)
    }

    /// The next attempt, where there may be one: at another endpoint at once, at the same after a wait.
    async fn next<Q>(&self, call: &Call<'_, Q>, failure: &Failure, tally: &mut Tally) -> Option<Chosen<'_>> {
        if failure.again == Again::No || tally.attempts > self.options.retries_max {
            return None;
        }
        if let Some(place) = self.endpoints.elsewhere(call.form, &self.jitter, tally.visited) {
            let in_time = Instant::now() < call.limits.deadline;
            return (in_time && self.pay_retry())
                .then(|| self.endpoints.begin(place, call.form, &mut tally.visited).ok())
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
        self.choose(call.form, tally).ok()
    }

    /// One attempt, and another beside it where it is slow to begin and a hedge can be had: the first to open wins and the
    /// other is dropped.
    async fn hedged<Q: Question>(
        &self,
        call: &Call<'_, Q>,
        chosen: Chosen<'_>,
        tally: &mut Tally,
    ) -> Result<Begun<Q::Given>, Failure> {
        let mut first = Box::pin(self.attempt(call, chosen));
        let Some(patience) = self.patience(call.form) else { return first.await };
        let began = Instant::now();
        if let Ok(begun) = tokio::time::timeout(patience, &mut first).await {
            return begun;
        }
        // Its place ends with the race: the winner goes on in the call's own.
        let Some((second, _place)) = self.hedge(call.form, tally) else { return first.await };
        let mut second = Box::pin(self.attempt(call, second));
        let (failure, other) = tokio::select! {
            begun = &mut first => match begun {
                Ok(begun) => return Ok(begun),
                Err(failure) => (failure, second),
            },
            begun = &mut second => match begun {
                Ok(begun) => {
                    // What was given up took at least this long.
                    self.allowance().hedging.observe(call.form, began.elapsed());
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
    fn patience(&self, form: Form) -> Option<Duration> {
        let hedge = self.options.hedge?;
        let allowance = self.allowance();
        allowance.hedging.after(hedge, form).filter(|_| allowance.hedging.has_one())
    }

    /// A second attempt beside the first, where share, budget, places and endpoints have one.
    fn hedge(&self, form: Form, tally: &mut Tally) -> Option<(Chosen<'_>, Slot)> {
        let elsewhere = self.endpoints.elsewhere(form, &self.jitter, tally.visited);
        let endpoint = elsewhere.or_else(|| self.endpoints.only(form))?;
        let slot = self.slots.take_now()?;
        {
            let mut allowance = self.allowance();
            if !allowance.hedging.has_one() || !allowance.budget.retry(Instant::now()) {
                return None;
            }
            allowance.hedging.take();
        }
        let second = self.endpoints.begin(endpoint, form, &mut tally.visited).ok()?;
        tally.attempts += 1;
        tally.hedged = true;
        Some((second, slot))
    }

    fn pay_retry(&self) -> bool {
        self.allowance().budget.retry(Instant::now())
    }

    fn allowance(&self) -> MutexGuard<'_, Allowance> {
        // Counters stay usable whatever their last writer did.
        self.allowance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One attempt, settled unless it gives a stream, which settles itself.
    async fn attempt<Q: Question>(
        &self,
        call: &Call<'_, Q>,
        chosen: Chosen<'_>,
    ) -> Result<Begun<Q::Given>, Failure> {
        let began = Instant::now();
        let begun = self.exchange(call, chosen).await;
        if begun.is_ok() && self.options.hedge.is_some() {
            self.allowance().hedging.observe(call.form, began.elapsed());
        }
        begun
    }
}
