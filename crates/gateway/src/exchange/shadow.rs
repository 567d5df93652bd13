//! A share of requests also goes to another target, off the request's path and inside a spending cap of its own: how the
//! answers agree shows what a change of targets would do, before it is made. Never for a private request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::{ChatRequest, Completion, Contract, Error, Money, Plan, Shadow, Tenant, Usage, cosine};
use ledger::{Record, Tokens};

use super::call::{gather_reply, usage_of};
use super::ticket::Ticket;
use crate::answered::same_answer;
use crate::decisions::{Compared, Entry, Told};
use crate::house::{Backend, House, now_ms};
use crate::live::Live;
use crate::metrics::ShadowLabels;

/// Shadows under way at once; beyond, requests cast none.
pub(crate) const SHADOWS_MAX: usize = 8;
/// A shadow's reservation outlives its deadline by this much.
const SETTLING: Duration = Duration::from_secs(60);

/// Sends a request to its plan's shadow as well, if it belongs to the share.
pub(super) fn cast(ticket: &Ticket, plan: &Plan, request: &ChatRequest, given: &Completion) {
    let Some(shadow) =
        plan.shadow.as_ref().filter(|shadow| !plan.private && chosen(ticket.id(), shadow.share))
    else {
        return;
    };
    let Ok(seat) = Arc::clone(&ticket.house.shadows).try_acquire_owned() else { return };
    let cast = Cast {
        house: Arc::clone(&ticket.house),
        live: Arc::clone(&ticket.live),
        decision: ticket.id().to_owned(),
        model: ticket.record.model.clone(),
        policy: plan.policy.clone(),
        request: request.clone(),
        given: given.clone(),
        worst: worst(&ticket.live, &shadow.model, request, given),
        deadline: plan.deadline,
        shadow: shadow.clone(),
    };
    tokio::spawn(async move {
        cast.run().await;
        drop(seat);
    });
}

/// Whether an exchange belongs to a share: the same answer whenever it is asked.
fn chosen(id: &str, share: f32) -> bool {
    let hash = blake3::hash(id.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    f64::from(u32::from_le_bytes([a, b, c, d])) < f64::from(share) * f64::from(u32::MAX)
}

/// The most that the shadow can cost: the prompt as it was counted for the answer that was given, and the longest answer.
fn worst(live: &Live, model: &str, request: &ChatRequest, given: &Completion) -> Money {
    let Some(model) = live.policies.catalogue().get(model) else { return Money::ZERO };
    let longest =
        request.sampling.max_tokens.map_or(model.output_tokens_max, |max| max.min(model.output_tokens_max));
    let answers = u64::from(request.sampling.n.max(1));
    model.prices.cost(&Usage::exact(usage_of(given, request).prompt_tokens, longest.saturating_mul(answers)))
}

struct Cast {
    house: Arc<House>,
    live: Arc<Live>,
    decision: String,
    model: String,
    policy: String,
    request: ChatRequest,
    given: Completion,
    /// The most that it may cost.
    worst: Money,
    deadline: Duration,
    shadow: Shadow,
}

impl Cast {
    async fn run(self) {
        let now = now_ms();
        // A tenant of its own: what is learnt here is the operator's, and so is the bill.
        let tenant = Tenant {
            name: Arc::from(format!("shadow of {}", self.policy)),
            daily_budget: Some(self.shadow.usd_per_day),
            ..Tenant::open()
        };
        let expires = now + u64::try_from((self.deadline + SETTLING).as_millis()).unwrap_or(u64::MAX / 2);
        let Ok(reservation) = self.house.funds.reserve(&tenant, self.worst, now, expires) else {
            self.count("no_budget");
            return;
        };
        let began = Instant::now();
        let answered = self.answer().await;
        let mut record = self.record(&tenant, now, began.elapsed());
        let agreement = match answered {
            Ok(completion) => {
                let usage = usage_of(&completion, &self.request);
                record.status = 200;
                record.tokens = Tokens::from(&usage);
                record.cost = self.live.prices(&self.shadow.model).cost(&usage);
                record.reference_cost = record.cost;
                self.agreement(completion).await
            }
            Err(error) => {
                tracing::info!(decision = %self.decision, model = %self.shadow.model, %error, "a shadow failed");
                record.status = error.fault.status();
                record.error_code = Some(error.code.to_owned());
                None
            }
        };
        reservation.post(record.cost);
        self.tell(record, agreement);
    }

    fn record(&self, tenant: &Tenant, at_ms: u64, took: Duration) -> Record {
        Record {
            id: uuid::Uuid::now_v7().simple().to_string(),
            at_ms,
            tenant: tenant.name.to_string(),
            policy: self.policy.clone(),
            reason: "shadow".to_owned(),
            model: self.shadow.model.clone(),
            provider: self.live.provider_of(&self.shadow.model).to_owned(),
            attempts: 1,
            whole_ms: took.as_secs_f64() * 1e3,
            ..Record::default()
        }
    }

    fn tell(&self, record: Record, agreement: Option<f32>) {
        let told =
            Told::Shadow(Compared { decision: self.decision.clone(), model: self.model.clone(), agreement });
        if !self.house.decisions.add(Entry { record: record.clone(), told }) {
            self.house.metrics.decisions_left_out.inc();
        }
        if self.house.book.append(record).is_err() {
            self.house.metrics.unrecorded.inc();
        }
        if let Some(agreement) = agreement {
            let labels = self.labels("compared");
            self.house.metrics.shadow_agreement.get_or_create(&labels).observe(f64::from(agreement));
        }
        self.count(if agreement.is_some() { "compared" } else { "failed" });
    }

    async fn answer(&self) -> Result<Completion, Error> {
        let deadline = Instant::now() + self.deadline;
        let backend = self.house.backend(&self.shadow.model)?;
        let reply = match &*backend {
            Backend::Upstream { upstream, id } => {
                upstream.chat(id, &self.request, deadline, &[]).await?.reply
            }
            Backend::Llama(local) => api::Reply::Stream(local.chat(
                &self.request,
                &format!("chatcmpl-{}", self.decision),
                crate::house::now_s(),
                &self.shadow.model,
                deadline,
            )?),
            Backend::Task | Backend::Extractive => {
                return Err(Error::internal("a shadow is a model of models.toml"));
            }
            Backend::Missing(why) => {
                return Err(Error::new(api::Fault::Unavailable, "target_unavailable", why.clone()));
            }
        };
        gather_reply(reply).await
    }

    /// How much two answers agree: equal or not where there is a contract, else the cosine of their vectors.
    async fn agreement(&self, other: Completion) -> Option<f32> {
        let [one, other] = [text(&self.given)?, text(&other)?];
        if self.request.contract != Contract::Free {
            return Some(f32::from(u8::from(same_answer(&one, &other))));
        }
        let house = Arc::clone(&self.house);
        let work = move || {
            let alike = cosine(&house.decider.vector(&one).ok()?, &house.decider.vector(&other).ok()?);
            Some(alike.clamp(0.0, 1.0))
        };
        tokio::task::spawn_blocking(work).await.ok().flatten()
    }

    fn count(&self, result: &'static str) {
        self.house.metrics.shadows.get_or_create(&self.labels(result)).inc();
    }

    fn labels(&self, result: &'static str) -> ShadowLabels {
        ShadowLabels {
            policy: self.policy.clone(),
            model: self.model.clone(),
            shadow: self.shadow.model.clone(),
            result,
        }
    }
}

fn text(completion: &Completion) -> Option<String> {
    completion.choices.first()?.message.content.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_what_it_says() {
        let of = |share: f32| (0..2000).filter(|number| chosen(&format!("id-{number}"), share)).count();
        assert_eq!((of(0.0), of(1.0)), (0, 2000));
        assert!((150..250).contains(&of(0.1)), "{}", of(0.1));
    }
}
