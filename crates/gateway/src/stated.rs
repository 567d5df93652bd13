//! What a request states about itself, in an owned form: a decision can be told, and thought over, long after its
//! request is gone. Holds no text of the request.

use std::time::Duration;

use api::{ChatRequest, Money, Signals, Tenant};
use policy::Facts;
use serde::{Deserialize, Serialize};

use crate::wishes::Wishes;

/// The facts of one request that need no measuring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stated {
    pub(crate) model: String,
    stream: bool,
    tools: bool,
    logprobs: bool,
    messages: usize,
    tags: Vec<String>,
    pub(crate) task: Option<String>,
    pub(crate) policy: Option<String>,
    #[serde(default)]
    pub(crate) store: Option<String>,
    latency_budget: Option<Duration>,
    cost_budget: Option<Money>,
    private: bool,
    max_tokens: Option<u64>,
    n: u32,
}

impl Stated {
    /// What `request` states, with the wishes of its headers.
    pub(crate) fn of(request: &ChatRequest, wishes: &Wishes, tenant: &Tenant) -> Self {
        Self {
            model: request.model.clone(),
            stream: request.stream,
            tools: request.tools,
            logprobs: request.sampling.logprobs,
            messages: request.messages.len(),
            tags: wishes.tags.clone(),
            task: wishes.task.clone(),
            policy: wishes.policy.clone(),
            store: wishes.reach.store.clone(),
            latency_budget: wishes.latency_budget,
            cost_budget: wishes.cost_budget,
            private: wishes.private || tenant.private,
            max_tokens: request.sampling.max_tokens,
            n: request.sampling.n,
        }
    }

    /// The same as the policy reads it.
    pub(crate) fn facts<'a>(&'a self, tenant: &'a Tenant, signals: &'a Signals) -> Facts<'a> {
        Facts {
            requested_model: &self.model,
            stream: self.stream,
            tools: self.tools,
            images: signals.modality.images,
            audio: signals.modality.audio,
            logprobs: self.logprobs,
            contract: &signals.contract,
            messages: self.messages,
            tenant,
            tags: &self.tags,
            task_header: self.task.as_deref(),
            store: self.store.as_deref(),
            latency_budget: self.latency_budget,
            cost_budget: self.cost_budget,
            private: self.private,
            max_tokens: self.max_tokens,
            n: self.n,
        }
    }
}
