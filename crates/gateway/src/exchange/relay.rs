//! The answer goes to the client. A streamed one is pumped by a task of its own that outlives the client: hyper drops
//! the exchange when the client leaves, and the money must be settled all the same.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use api::{Chunk, Chunks, Completion, Error, Gather, Usage, UsageBasis};
use bytes::Bytes;
use cache::{CacheStatus, Entry, Key, Origin};
use dialects::{Client, Writer};
use futures_util::{StreamExt, stream};
use http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{HeaderName, Response};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use super::call::{Answer, Called, estimated};
use super::decide::Decided;
use super::resume::Resume;
use super::{Ticket, annotate, audit, shadow, sources};
use crate::answered::{self, Answered, LABEL_BYTES_MAX};
use crate::body::{Body, fed, whole};
use crate::explain;
use crate::house::now_ms;
use crate::tasks::clerk::{Heard, News};
use crate::tasks::is_single_turn;
use crate::tasks::said::{self, single_text};

/// A comment goes out after this long a silence, so that proxies between us and the client keep the connection.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// A client that takes nothing for this long is gone.
const CLIENT_STALL_MAX: Duration = Duration::from_secs(60);

impl Called {
    /// Sends the answer and settles, now or when the last byte is out.
    pub(crate) fn relay(self) -> Response<Body> {
        let Self { decided, answer, sources } = self;
        match answer {
            Answer::Whole(completion) if !decided.request.stream => relay_whole(decided, *completion),
            Answer::Whole(completion) => {
                let chunks = stream::iter(completion.into_chunks().into_iter().map(Ok));
                relay_stream(decided, Box::pin(chunks), Vec::new(), true)
            }
            Answer::Stream { read, rest } => {
                let chunks = Box::pin(stream::iter(read.into_iter().map(Ok)).chain(rest));
                relay_stream(decided, chunks, sources, false)
            }
        }
    }
}

fn relay_whole(decided: Decided, mut completion: Completion) -> Response<Body> {
    keep_in_mind(&decided, &completion);
    let Decided { mut ticket, key, plan, insight, wishes, client, .. } = decided;
    let remembered = remember(&ticket, key.as_ref(), &completion);
    let stored = remembered.is_some();
    let told_more = wishes.explain || plan.degraded.is_some();
    if wishes.explain {
        completion.extra.insert("pointsman".to_owned(), explain::json(&plan, &insight.signals));
    }
    admit_degraded(&mut completion.extra, plan.degraded.as_deref());
    // What was remembered is written as JSON already.
    let remembered = remembered.filter(|_| !told_more && client.writes_as_kept(&completion));
    let written = match remembered.map_or_else(|| client.whole(&completion), Ok) {
        Ok(written) => written,
        Err(error) => return *ticket.refuse(&error),
    };
    let mut response = json_bytes(written);
    ticket.record.status = 200;
    ticket.stage("relay");
    ticket.decorate(response.headers_mut());
    ticket.decorate_cost(response.headers_mut());
    let status = CacheStatus::Forwarded { why: ticket.forwarded, stored, collapsed: false };
    stored_headers(response.headers_mut(), &status, None);
    ticket.observe_latency();
    ticket.settle();
    response
}

fn relay_stream(
    decided: Decided,
    chunks: Chunks,
    cited: Vec<api::Citation>,
    charged: bool,
) -> Response<Body> {
    let (feeder, body) = fed();
    let mut response = event_stream(body);
    decided.ticket.decorate(response.headers_mut());
    let status = CacheStatus::forwarded(decided.ticket.forwarded);
    stored_headers(response.headers_mut(), &status, None);
    let house = decided.ticket.house.clone();
    let writer = decided.client.writer().with_prompt_tokens(decided.insight.signals.tokens_in);
    let resume = Resume::of(&decided);
    let pump = Pump { gather: Gather::new(), writer, resume, decided, feeder, cited, charged };
    house.relays.spawn(pump.run(chunks));
    response
}

/// What happened to the stream.
enum Ending {
    Whole,
    Broken(Error),
    ClientLeft,
}

/// The task that carries a stream from a target to the client.
struct Pump {
    decided: Decided,
    gather: Gather,
    writer: Writer,
    /// Who could continue the answer; `None` where it is not to be continued.
    resume: Option<Resume>,
    feeder: mpsc::Sender<Bytes>,
    cited: Vec<api::Citation>,
    /// The usage has been charged with the whole answer.
    charged: bool,
}

impl Pump {
    async fn run(mut self, mut chunks: Chunks) {
        let mut ending = self.carry(&mut chunks).await;
        while let Ending::Broken(error) = &ending {
            // What broke off is let go before somebody else is asked.
            chunks = Box::pin(stream::empty());
            let feeder = self.feeder.clone();
            let rest = tokio::select! {
                () = feeder.closed() => {
                    ending = Ending::ClientLeft;
                    break;
                }
                rest = self.go_on(error) => rest,
            };
            let Some(rest) = rest else { break };
            chunks = rest;
            ending = self.carry(&mut chunks).await;
        }
        // The upstream is let go before anything else: a client that left pays for no further token.
        drop(chunks);
        self.end(ending).await;
    }

    async fn carry(&mut self, chunks: &mut Chunks) -> Ending {
        // One of each for the whole stream: made anew for every chunk, they cost as much as writing it.
        let feeder = self.feeder.clone();
        let mut left = pin!(feeder.closed());
        let mut beat = pin!(tokio::time::sleep(HEARTBEAT_EVERY));
        let mut quiet_since = Instant::now();
        loop {
            let next = tokio::select! {
                biased;
                () = &mut left => return Ending::ClientLeft,
                next = chunks.next() => next,
                () = &mut beat => {
                    if quiet_since.elapsed() >= HEARTBEAT_EVERY {
                        if !self.send(self.writer.heartbeat()).await {
                            return Ending::ClientLeft;
                        }
                        quiet_since = Instant::now();
                    }
                    beat.as_mut().reset(quiet_since + HEARTBEAT_EVERY);
                    continue;
                }
            };
            let sent = match next {
                Some(Ok(chunk)) => self.pass(chunk).await,
                Some(Err(error)) => return Ending::Broken(error),
                None => return Ending::Whole,
            };
            if !sent {
                return Ending::ClientLeft;
            }
            quiet_since = Instant::now();
        }
    }

    /// Passes a chunk on, without the usage, which has its own place at the end.
    async fn pass(&mut self, mut chunk: Chunk) -> bool {
        if chunk.created == 0 {
            // Not every dialect says when.
            chunk.created = self.decided.ticket.record.at_ms / 1000;
        }
        if self.decided.ticket.record.first_token_ms.is_none() {
            self.decided.ticket.record.first_token_ms =
                Some(self.decided.ticket.elapsed().as_secs_f64() * 1e3);
        }
        let ends = chunk.choices.iter().any(|choice| choice.finish_reason.is_some());
        if ends && !self.cited.is_empty() {
            let cited = std::mem::take(&mut self.cited);
            for choice in &mut chunk.choices {
                annotate(&mut choice.delta.extra, "", &cited);
            }
            let authoritative =
                self.decided.plan.grounding.as_ref().is_some_and(|grounding| grounding.authoritative);
            let mut said =
                Chunk::text(&chunk.id, chunk.created, &chunk.model, sources(&cited, authoritative));
            said.extra.clone_from(&chunk.extra);
            if !self.emit(&said).await {
                return false;
            }
        }
        if let Some(resume) = &mut self.resume {
            resume.fit(&mut chunk, &self.gather);
        }
        self.gather.push(&chunk);
        let only_usage = chunk.usage.take().is_some() && chunk.choices.is_empty();
        let held_back = self.resume.is_some() && !chunk.says_something() && self.gather.said().is_some();
        only_usage || held_back || self.emit_pushed(&chunk).await
    }

    /// Has the answer that broke off continued by somebody who can.
    async fn go_on(&mut self, error: &Error) -> Option<Chunks> {
        let resume = self.resume.as_mut()?;
        let said = self.gather.said()?;
        let cut = estimated(&self.decided, said.len());
        let rest = resume.go_on(&mut self.decided, said, cut, error).await?;
        self.gather.forget_usage();
        Some(rest)
    }

    async fn emit(&mut self, chunk: &Chunk) -> bool {
        self.gather.push(chunk);
        self.emit_pushed(chunk).await
    }

    async fn emit_pushed(&mut self, chunk: &Chunk) -> bool {
        match self.writer.chunk(chunk) {
            // Another dialect may have nothing to say of it.
            Ok(bytes) if bytes.is_empty() => true,
            Ok(bytes) => self.send(bytes).await,
            Err(error) => {
                tracing::error!(%error, "a chunk could not be written");
                false
            }
        }
    }

    async fn send(&self, bytes: Bytes) -> bool {
        // There is room, nearly always, and no need for a timer.
        match self.feeder.try_send(bytes) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(bytes)) => {
                matches!(tokio::time::timeout(CLIENT_STALL_MAX, self.feeder.send(bytes)).await, Ok(Ok(())))
            }
        }
    }

    /// Tells the client how it ended, remembers a whole answer, and settles.
    async fn end(mut self, ending: Ending) {
        let usage = self.charge();
        match ending {
            Ending::Whole => {
                self.decided.ticket.record.status = 200;
                self.finish(&usage).await;
            }
            Ending::Broken(error) => {
                tracing::warn!(id = %self.decided.ticket.id(), %error, "the stream broke");
                self.decided.ticket.record.status = 200;
                self.decided.ticket.fail(error.code);
                if let Ok(bytes) = self.writer.broken(&error) {
                    self.send(bytes).await;
                }
            }
            Ending::ClientLeft => {
                self.decided.ticket.record.status = 499;
                self.decided.ticket.fail("client_closed");
            }
        }
        self.decided.ticket.observe_latency();
        self.decided.ticket.settle();
    }

    /// Charges what the target said it used, or, where it was cut off before saying so, an estimate.
    fn charge(&mut self) -> Usage {
        let told = self.gather.usage().cloned();
        let before = self.resume.as_ref().map_or(0, Resume::bytes_before);
        let new_bytes = self.gather.text_bytes().saturating_sub(before);
        // Whoever was to continue has said nothing; what broke off is paid for.
        self.charged |= told.is_none() && before > 0 && new_bytes == 0;
        let usage = told.unwrap_or_else(|| estimated(&self.decided, new_bytes));
        let ticket = &mut self.decided.ticket;
        if !self.charged {
            ticket.charge(&usage);
        }
        match &self.resume {
            Some(resume) => resume.together(usage),
            None => usage,
        }
    }

    async fn finish(&mut self, usage: &Usage) {
        let mut completion = std::mem::take(&mut self.gather).finish();
        completion.usage = Some(usage.clone());
        keep_in_mind(&self.decided, &completion);
        remember(&self.decided.ticket, self.decided.key.as_ref(), &completion);
        match self.writer.finish(&completion, self.totals()) {
            Ok(bytes) => drop(self.send(bytes).await),
            Err(error) => tracing::error!(%error, "the end of a stream could not be written"),
        }
    }

    /// What a whole answer carries in its headers.
    fn totals(&self) -> Value {
        let ticket = &self.decided.ticket;
        let mut totals = json!({
            "cost_usd": ticket.record.cost.usd(),
            "saved_usd": ticket.saved().usd(),
            "attempts": ticket.record.attempts,
        });
        if ticket.record.tokens.basis == UsageBasis::Estimated {
            totals["usage"] = json!("estimated");
        }
        if self.decided.wishes.explain {
            totals["explanation"] = explain::json(&self.decided.plan, &self.decided.insight.signals);
        }
        if let Some(degraded) = &self.decided.plan.degraded {
            totals["degraded"] = json!(degraded);
        }
        totals
    }
}

/// Lets a whole answer be judged later, and compared now. What is private stays out of both.
fn keep_in_mind(decided: &Decided, completion: &Completion) {
    let Decided { ticket, plan, request, insight, .. } = decided;
    if plan.private {
        return;
    }
    tell_clerk(decided, completion);
    audit::cast(decided, completion);
    if ticket.house.decider.settings.feedback.bytes_max > 0 {
        let task = insight
            .case
            .as_ref()
            .map(|case| (Arc::clone(&case.task), case.input.clone(), decided.with_examples));
        let answered = Answered {
            tenant: Arc::clone(&ticket.tenant.name),
            prompt: request.last_user_text(),
            vector: insight.vector.clone(),
            model: ticket.record.model.clone(),
            cost: ticket.record.cost,
            said: answered::short(completion),
            task,
        };
        ticket.house.judgeable.put(ticket.id(), answered);
    }
    shadow::cast(ticket, plan, request, completion);
}

/// Lets the clerk know of an answer that may be a label, or one of a task's own.
fn tell_clerk(decided: &Decided, completion: &Completion) {
    let Decided { ticket, request, insight, .. } = decided;
    let Some(answer) = single_text(completion) else { return };
    let model = &ticket.record.model;
    // What is no task's, and too long for a label, is of no interest.
    if insight.case.is_none() && (answer.len() > LABEL_BYTES_MAX || request.tools) {
        return;
    }
    let heard = Heard {
        tenant: Arc::clone(&ticket.tenant.name),
        system: request.system_text(),
        user: request.last_user_text(),
        single_turn: is_single_turn(request),
        contract: request.contract.clone(),
        header: decided.wishes.task.clone(),
        answer: answer.to_owned(),
        logprob: said::logprob(completion),
        external: ticket.live.is_external(model),
        model: model.clone(),
        decision: ticket.id().to_owned(),
        prompt_tokens: ticket.record.tokens.prompt,
        case: insight.case.clone(),
        with_examples: decided.with_examples,
    };
    if !ticket.house.clerk.tell(News::Heard(Box::new(heard))) {
        ticket.house.metrics.untold.inc();
    }
}

/// Remembers a whole answer where the plan allows it; what is remembered comes back as JSON. A task's model is quick enough,
/// and what it says holds no longer than its certificate.
fn remember(ticket: &Ticket, key: Option<&Key>, completion: &Completion) -> Option<Bytes> {
    let (Some(key), Some(track)) = (key, ticket.record.track) else { return None };
    let record = &ticket.record;
    if record.model.starts_with(policy::TASK_PREFIX) {
        return None;
    }
    let origin = Origin {
        track,
        model: record.model.clone(),
        provider: record.provider.clone(),
        cost: record.cost,
        reference_cost: record.reference_cost,
        decision: record.id.clone(),
    };
    let entry = Entry::whole(completion.clone(), origin, now_ms()).ok()?;
    let written = entry.body().clone();
    ticket.house.answers.put(*key, entry).then_some(written)
}

/// Marks an answer that is not what the policy would have wanted.
fn admit_degraded(extra: &mut Map<String, Value>, degraded: Option<&str>) {
    let Some(degraded) = degraded else { return };
    let ours = extra.entry("pointsman").or_insert_with(|| json!({}));
    if let Some(ours) = ours.as_object_mut() {
        ours.insert("degraded".to_owned(), json!(degraded));
    }
}

/// A stored answer in the form that its client wants.
///
/// # Errors
/// It cannot be written.
pub(crate) fn respond_stored(
    entry: &Entry,
    client: &Client,
    streamed: bool,
) -> Result<Response<Body>, Error> {
    if !streamed {
        let as_kept = client.writes_as_kept(entry.completion());
        let stored = as_kept.then(|| entry.body().clone());
        return Ok(json_bytes(stored.map_or_else(|| client.whole(entry.completion()), Ok)?));
    }
    let counted = entry.completion().usage.as_ref().map_or(0, |usage| usage.prompt_tokens);
    let mut writer = client.writer().with_prompt_tokens(counted);
    let mut events = Vec::new();
    for mut chunk in entry.completion().clone().into_chunks() {
        chunk.usage = None;
        if !chunk.choices.is_empty() {
            events.extend_from_slice(&writer.chunk(&chunk)?);
        }
    }
    events.extend_from_slice(&writer.finish(entry.completion(), Value::Null)?);
    Ok(event_stream(whole(events)))
}

pub(crate) fn json_response(value: &impl serde::Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(bytes) => json_bytes(bytes.into()),
        Err(error) => super::refusal(&Error::internal(error)),
    }
}

fn json_bytes(bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(whole(bytes));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn event_stream(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx would otherwise gather the events before passing them on.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// `cache-status` (RFC 9211) and `age`.
pub(crate) fn stored_headers(headers: &mut HeaderMap, status: &CacheStatus, age: Option<Duration>) {
    if let Ok(value) = HeaderValue::from_str(&status.to_string()) {
        headers.insert(HeaderName::from_static("cache-status"), value);
    }
    if let Some(age) = age {
        headers.insert(AGE, HeaderValue::from(age.as_secs()));
    }
}
