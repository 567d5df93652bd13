//! A question to a model that no client waits for: off the request's path, inside a spending cap of its own, in the book like
//! every call. Never for a private request: its callers see to that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::{ChatRequest, Completion, Error, Money, Reply, Tenant, Usage};
use ledger::{Record, Tokens};
use tokio::sync::OwnedSemaphorePermit;

use super::call::{gather_reply, usage_of};
use crate::house::{Backend, House, now_ms, now_s};
use crate::live::Live;

/// Questions under way at once; beyond, none are asked.
pub(crate) const ASIDES_MAX: usize = 8;
/// A reservation outlives its deadline by this much.
const SETTLING: Duration = Duration::from_secs(60);

/// A question to be asked.
pub(super) struct Aside {
    pub(super) house: Arc<House>,
    pub(super) live: Arc<Live>,
    /// Who pays: a tenant of its own, for what is learnt here is the operator's, and so is the bill.
    pub(super) payer: String,
    pub(super) usd_per_day: Money,
    pub(super) policy: String,
    /// What for, in the book.
    pub(super) reason: &'static str,
    pub(super) model: String,
    pub(super) request: ChatRequest,
    /// Tokens of the prompt, as they were counted for the answer that was given.
    pub(super) prompt_tokens: u64,
    pub(super) deadline: Duration,
}

/// What came of it.
pub(super) enum Asked {
    /// The cap of the day is reached.
    NoBudget,
    /// The model failed.
    Failed(Record),
    Answered(Record, Box<Completion>),
}

/// A seat for one question; `None` where too many are under way.
pub(super) fn seat(house: &House) -> Option<OwnedSemaphorePermit> {
    Arc::clone(&house.asides).try_acquire_owned().ok()
}

impl Aside {
    /// Asks. What is known of the answer is in the record, which is the caller's to write.
    pub(super) async fn ask(&self) -> Asked {
        let now = now_ms();
        let tenant = Tenant {
            name: Arc::from(self.payer.as_str()),
            daily_budget: Some(self.usd_per_day),
            ..Tenant::open()
        };
        let expires = now + u64::try_from((self.deadline + SETTLING).as_millis()).unwrap_or(u64::MAX / 2);
        let Ok(reservation) = self.house.funds.reserve(&tenant, self.worst(), now, expires) else {
            return Asked::NoBudget;
        };
        let began = Instant::now();
        let answered = self.answer().await;
        let mut record = self.record(&tenant, now, began.elapsed());
        let asked = match answered {
            Ok(completion) => {
                let usage = usage_of(&completion, &self.request);
                record.status = 200;
                record.tokens = Tokens::from(&usage);
                record.cost = self.live.prices(&self.model).cost(&usage);
                record.reference_cost = record.cost;
                Asked::Answered(record, Box::new(completion))
            }
            Err(error) => {
                tracing::info!(model = %self.model, reason = self.reason, %error, "a question aside failed");
                record.status = error.fault.status();
                record.error_code = Some(error.code.to_owned());
                Asked::Failed(record)
            }
        };
        reservation.post(asked.cost());
        asked
    }

    /// The most that it can cost: the prompt, and the longest answer.
    fn worst(&self) -> Money {
        let Some(model) = self.live.policies.catalogue().get(&self.model) else { return Money::ZERO };
        let wanted = self.request.sampling.max_tokens;
        let longest = wanted.map_or(model.output_tokens_max, |max| max.min(model.output_tokens_max));
        let answers = u64::from(self.request.sampling.n.max(1));
        model.prices.cost(&Usage::exact(self.prompt_tokens, longest.saturating_mul(answers)))
    }

    fn record(&self, tenant: &Tenant, at_ms: u64, took: Duration) -> Record {
        Record {
            id: uuid::Uuid::now_v7().simple().to_string(),
            at_ms,
            tenant: tenant.name.to_string(),
            policy: self.policy.clone(),
            reason: self.reason.to_owned(),
            model: self.model.clone(),
            provider: self.live.provider_of(&self.model).to_owned(),
            attempts: 1,
            whole_ms: took.as_secs_f64() * 1e3,
            ..Record::default()
        }
    }

    async fn answer(&self) -> Result<Completion, Error> {
        let deadline = Instant::now() + self.deadline;
        let backend = self.house.backend(&self.model)?;
        let reply = match &*backend {
            Backend::Upstream { upstream, id } => {
                upstream.chat(id, &self.request, deadline, &[]).await?.reply
            }
            Backend::Llama(local) => {
                let id = format!("chatcmpl-{}", uuid::Uuid::now_v7().simple());
                Reply::Stream(local.chat(&self.request, &id, now_s(), &self.model, deadline)?)
            }
            Backend::Task | Backend::Extractive => {
                return Err(Error::internal("only a model of models.toml is asked aside"));
            }
            Backend::Missing(why) => {
                return Err(Error::new(api::Fault::Unavailable, "target_unavailable", why.clone()));
            }
        };
        gather_reply(reply).await
    }
}

impl Asked {
    fn cost(&self) -> Money {
        match self {
            Self::NoBudget => Money::ZERO,
            Self::Failed(record) | Self::Answered(record, _) => record.cost,
        }
    }
}
