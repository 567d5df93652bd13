//! Vectors and ranks: one target and no plan, under the same rules of privacy, time, money and the book as any request.
//!
//! Owns who answers such a request and what it may cost. Refuses whatever only one of the two endpoints knows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::{Error, Fault, Money, Track, Usage};
use http::{HeaderName, HeaderValue, Response};
use models::{Done, Upstream};
use policy::{Duty, Service};
use serde_json::Value;

use super::admit::Admitted;
use super::call::trace_headers;
use super::read::read_json;
use super::relay::json_response;
use super::{Step, Ticket};
use crate::body::Body;
use crate::house::{Backend, now_ms};
use crate::wishes::Wishes;

/// Neither vectors nor ranks are worth waiting for longer.
const DEADLINE: Duration = Duration::from_secs(60);
/// A reservation outlives its deadline by this much.
const SETTLING: Duration = Duration::from_secs(5);
/// What stands for the encoder of this process beside its name.
const ANY: &str = "auto";

/// Who answers.
pub(super) enum Answerer {
    /// The encoder of this process.
    Encoder,
    /// A model behind a provider.
    Service(Arc<Service>),
}

impl Answerer {
    /// Who answers for `model`.
    ///
    /// # Errors
    /// 404 for a name that nobody has who does `duty`, with those that there are.
    fn find(ticket: &Ticket, model: &str, duty: Duty) -> Result<Self, Error> {
        let encoder = &ticket.house.decider.settings.encoder.name;
        if model == ANY || model == encoder {
            return Ok(Self::Encoder);
        }
        let catalogue = ticket.live.policies.catalogue();
        if let Some(service) = catalogue.service(model).filter(|service| service.duty == duty) {
            return Ok(Self::Service(Arc::clone(service)));
        }
        let others = catalogue.services().iter().filter(|service| service.duty == duty);
        let names: Vec<&str> =
            std::iter::once(encoder.as_str()).chain(others.map(|service| &*service.name)).collect();
        let shown: String = model.chars().take(100).collect();
        let message = format!(
            "There is no model `{shown}` that serves {}. There are: {}.",
            duty.name(),
            names.join(", ")
        );
        Err(Error::new(Fault::NotFound, "model_not_found", message).with_param("model"))
    }
}

/// An exchange whose answerer is known.
pub(super) struct Serving {
    pub(super) ticket: Ticket,
    pub(super) answerer: Answerer,
    wishes: Wishes,
}

impl Admitted {
    /// Reads the body with `from_body` and finds who answers for the model that `model` sees in it.
    pub(super) async fn read_for<T>(
        self,
        duty: Duty,
        from_body: impl FnOnce(serde_json::Map<String, Value>) -> Result<T, Error>,
        model: impl FnOnce(&T) -> &str,
    ) -> Step<(Serving, T)> {
        let Self { mut ticket, wishes, headers, body, .. } = self;
        let limits = &ticket.house.decider.settings.limits;
        let read = read_json(&headers, body, limits).await.and_then(|bytes| api::parse_object(&bytes));
        let found = read.and_then(from_body).and_then(|request| {
            let name = model(&request);
            name.clone_into(&mut ticket.record.requested_model);
            let answerer = Answerer::find(&ticket, name, duty)?;
            Ok((request, answerer))
        });
        match found {
            Ok((request, answerer)) => {
                ticket.stage("read");
                Ok((Serving { ticket, answerer, wishes }, request))
            }
            Err(error) => Err(ticket.refuse(&error)),
        }
    }
}

/// What is asked of a model behind a provider.
pub(super) struct Call<'a> {
    pub(super) upstream: &'a Upstream,
    /// The provider's name for the model.
    pub(super) id: &'a str,
    pub(super) deadline: Instant,
    pub(super) trace: &'a [(HeaderName, HeaderValue)],
}

impl Serving {
    /// Asks a model behind a provider about `tokens` tokens, by estimate.
    ///
    /// # Errors
    /// 403 for what may not leave this host, 422 for what costs more than it may, 429 where the money is spent, 503 where
    /// something has to be set, and what the provider does.
    pub(super) async fn ask<T>(
        &mut self,
        service: &Service,
        tokens: u64,
        asking: impl AsyncFnOnce(Call<'_>) -> Result<Done<T>, Error>,
    ) -> Result<T, Error> {
        let Self { ticket, wishes, .. } = self;
        ticket.record.track = Some(service.track);
        ticket.record.private = wishes.private || ticket.tenant.private;
        if ticket.record.private && service.track == Track::External {
            let message = "This request may not leave this host; name a model that runs here.";
            return Err(Error::new(Fault::Forbidden, "private_request", message));
        }
        let worst = service.prices.cost(&Usage::estimated(tokens, 0));
        let most = [wishes.cost_budget, ticket.tenant.cost_budget].into_iter().flatten().min();
        if most.is_some_and(|most| worst > most) {
            return Err(over_budget(worst));
        }
        let now = now_ms();
        let expires =
            now.saturating_add(u64::try_from((DEADLINE + SETTLING).as_millis()).unwrap_or(u64::MAX));
        ticket.hold(ticket.house.funds.reserve(&ticket.tenant, worst, now, expires)?);
        ticket.stage("reserve");
        let backend = ticket.house.backend(&service.name)?;
        let (upstream, id) = match &*backend {
            Backend::Upstream { upstream, id } => (upstream, id.as_str()),
            Backend::Missing(why) => {
                return Err(Error::new(Fault::Unavailable, "target_unavailable", why.clone()));
            }
            Backend::Task | Backend::Extractive | Backend::Llama(_) => {
                return Err(Error::internal("a model behind a provider is not behind it"));
            }
        };
        ticket.expect(tokens);
        ticket.attempt(&service.name);
        let trace = trace_headers(ticket);
        let deadline = ticket.started() + DEADLINE;
        let done = ticket.waiting(asking(Call { upstream, id, deadline, trace: &trace })).await;
        match done {
            Ok(done) => {
                if done.hedged {
                    ticket.charge_hedge();
                }
                Ok(done.value)
            }
            Err(error) => {
                ticket.failed_attempt();
                Err(error)
            }
        }
    }

    /// Lets the encoder of this process work, on a thread that may block.
    pub(super) async fn encode<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&classify::Encoder) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let house = Arc::clone(&self.ticket.house);
        self.ticket.record.track = Some(Track::Local);
        self.ticket.attempt(&house.decider.settings.encoder.name);
        let working = tokio::task::spawn_blocking(move || work(&house.decider.encoder));
        self.ticket.waiting(working).await.map_err(Error::internal)?
    }

    /// Ends the exchange with an answer that used `usage`.
    pub(super) fn answer(mut self, usage: &Usage, body: &Value) -> Response<Body> {
        self.ticket.charge(usage);
        let mut response = json_response(body);
        self.ticket.record.status = 200;
        self.ticket.decorate(response.headers_mut());
        self.ticket.decorate_cost(response.headers_mut());
        self.ticket.settle();
        response
    }
}

fn over_budget(worst: Money) -> Error {
    let message = format!(
        "This request may cost {worst} USD, which is over its budget: send less at a time, or name a cheaper model."
    );
    Error::new(Fault::Unprocessable, "cost_budget_exceeded", message)
}

/// Tokens of texts whose model has a tokenizer that is not known here: four bytes a token, the usual rule of thumb.
pub(super) fn tokens_in<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    texts.into_iter().map(|text| text.len().div_ceil(4) as u64).sum()
}
