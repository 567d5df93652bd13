//! Requests for the laws: of any need, by any tenant, at any moment.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use api::{Contract, Kind, Money, Plan, Signals, TaskMatch, Tenant};
use proptest::bool::weighted;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::world::share;
use crate::{Conditions, Facts, Latency, Learned, Policies, Route};

/// Limits that a request, a tenant or both may set: milliseconds and nano-dollars.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) latency: Option<u64>,
    pub(super) cost: Option<i64>,
}

fn limits() -> impl Strategy<Value = Limits> {
    (option::weighted(0.3, 1..20_000u64), option::weighted(0.3, 0..60_000_000i64))
        .prop_map(|(latency, cost)| Limits { latency, cost })
}

/// What a request needs of its target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    pub(super) tools: bool,
    pub(super) images: bool,
    pub(super) audio: bool,
    pub(super) json: bool,
    pub(super) logprobs: bool,
    pub(super) n: u32,
    pub(super) max_tokens: Option<u64>,
}

/// A request, its tenant and the moment in which it is decided.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) model: &'static str,
    pub(super) header: Option<&'static str>,
    pub(super) needs: Needs,
    pub(super) limits: Limits,
    pub(super) private: bool,
    pub(super) beta: bool,
    pub(super) tenant: Tenant,
    pub(super) tenants_limits: Limits,
    pub(super) funds: Option<i64>,
    pub(super) signals: Signals,
    pub(super) index_ready: bool,
    /// Stands for what has been learned and observed, and for who is there.
    pub(super) moment: u64,
}

/// Requests that name one of these.
pub(super) fn asked_for(models: &'static [&'static str]) -> impl Strategy<Value = Asked> {
    let rare = || weighted(0.06);
    let needs = ([rare(), rare(), rare(), rare(), rare()], prop_oneof![9 => Just(1), 1 => 2..4u32]);
    let needs = (needs, option::of(1..2000u64)).prop_map(
        |(([tools, images, audio, json, logprobs], n), max_tokens)| Needs {
            tools,
            images,
            audio,
            json,
            logprobs,
            n,
            max_tokens,
        },
    );
    let names = || option::of(select(vec!["auto", "b", "c"]));
    let tenant = (names(), weighted(0.1), limits(), option::of(share()));
    let moment = (option::weighted(0.3, 0..400_000_000i64), weighted(0.8), any::<u64>());
    let request = (select(models.to_vec()), names(), limits(), weighted(0.1), any::<bool>());
    (request, needs, tenant, signals(), moment).prop_map(
        |((model, header, limits, private, beta), needs, tenant, signals, (funds, index_ready, moment))| {
            let (policy, always, tenants_limits, quality_floor) = tenant;
            let policy = policy.map(std::sync::Arc::from);
            let tenant = Tenant { policy, private: always, quality_floor, ..Tenant::open() };
            Asked {
                model,
                header,
                needs,
                limits,
                private,
                beta,
                tenant,
                tenants_limits,
                funds,
                signals,
                index_ready,
                moment,
            }
        },
    )
}

/// Requests of every sort.
pub(super) fn asked() -> impl Strategy<Value = Asked> {
    asked_for(&["auto", "auto", "auto", "b", "c", "m0", "m1", "m2", "extractive", "task/t"])
}

fn signals() -> impl Strategy<Value = Signals> {
    let counts = (1..5000u64, 1..800u64);
    let probabilities = [share(), share(), share(), share(), share()];
    let private_data = prop_oneof![9 => share(), 1 => Just(f32::NAN)];
    let kind = select(vec![Kind::Question, Kind::Code]);
    (counts, probabilities, private_data, kind, option::of(share())).prop_map(
        |(
            (tokens_in, tokens_out),
            [knowledge, noise, reasoning, coverage, creative],
            private_data,
            kind,
            like,
        )| {
            let task = like.map(|in_distribution| TaskMatch {
                name: "t".into(),
                labels: 9,
                in_distribution,
                accepted: 1.0,
            });
            let base = Signals {
                knowledge,
                noise,
                reasoning,
                coverage,
                creative,
                private_data,
                ..Signals::default()
            };
            Signals { tokens_in, tokens_out, kind, task, ..base }
        },
    )
}

/// A number that belongs to this moment, this model and this question.
fn drawn(moment: u64, model: &str, question: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (moment, model, question).hash(&mut hasher);
    hasher.finish()
}

impl Asked {
    /// Runs `judge` on the route with everything that it needs.
    pub(super) fn with<T>(
        &self,
        policies: &Policies,
        judge: impl FnOnce(Route<'_>, &Facts<'_>, &Conditions<'_>) -> T,
    ) -> T {
        let tags = if self.beta { vec!["beta".to_owned()] } else { Vec::new() };
        let tenant = Tenant {
            latency_budget: self.tenants_limits.latency.map(Duration::from_millis),
            cost_budget: self.tenants_limits.cost.map(Money::from_nanos),
            ..self.tenant.clone()
        };
        let facts = Facts {
            requested_model: self.model,
            stream: false,
            tools: self.needs.tools,
            images: self.needs.images,
            audio: self.needs.audio,
            logprobs: self.needs.logprobs,
            contract: if self.needs.json { &Contract::JsonObject } else { &Contract::Free },
            messages: 1,
            tenant: &tenant,
            tags: &tags,
            task_header: None,
            store: None,
            latency_budget: self.limits.latency.map(Duration::from_millis),
            cost_budget: self.limits.cost.map(Money::from_nanos),
            private: self.private,
            max_tokens: self.needs.max_tokens,
            n: self.needs.n,
        };
        let moment = self.moment;
        let conditions = Conditions {
            available: &|model| match drawn(moment, model, "available") % 8 {
                0 => Err("it rests".into()),
                _ => Ok(()),
            },
            observed: &|model| {
                let drawn = drawn(moment, model, "observed");
                let (first_token, per_token) =
                    (Duration::from_millis(drawn % 997), Duration::from_micros(drawn % 29_989));
                drawn.is_multiple_of(2).then_some(Latency { first_token, per_token })
            },
            quality: &|model| {
                let drawn = drawn(moment, model, "quality");
                let (quality, evidence) = ((drawn % 21) as f32 / 20.0, (drawn / 64 % 21) as f32 / 20.0);
                drawn.is_multiple_of(2).then_some(Learned { quality, evidence })
            },
            index_ready: self.index_ready,
            funds_remaining: self.funds.map(Money::from_nanos),
        };
        let route = policies.resolve(self.model, &tenant, self.header).unwrap();
        judge(route, &facts, &conditions)
    }

    /// The plan.
    pub(super) fn decide(&self, policies: &Policies) -> Result<Plan, api::Error> {
        self.with(policies, |route, facts, conditions| route.decide(facts, &self.signals, conditions))
    }
}
