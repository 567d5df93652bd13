//! What a decision is tested with: the shipped files, plain facts and signals.

mod asked;
mod choice;
mod laws;
mod shipped;
mod world;

use api::{Contract, Kind, Plan, Signals, TaskMatch, Tenant};

use crate::file::Place;
use crate::{Catalogue, Conditions, Facts, Policies};

const MODELS: &str = include_str!("../../../../config/models.toml");
const POLICY: &str = include_str!("../../../../config/policy.toml");

fn shipped(key: bool) -> Policies {
    let env =
        |place: Place<'_>| (key && place == Place::Variable("OPENAI_API_KEY")).then(|| "sk-test".to_owned());
    let catalogue = Catalogue::parse("models.toml", MODELS, &env).unwrap();
    Policies::parse("policy.toml", POLICY, &catalogue).unwrap()
}

fn facts(tenant: &Tenant) -> Facts<'_> {
    Facts {
        requested_model: "auto",
        stream: false,
        tools: false,
        images: false,
        audio: false,
        logprobs: false,
        contract: &Contract::Free,
        messages: 1,
        tenant,
        tags: &[],
        task_header: None,
        store: None,
        latency_budget: None,
        cost_budget: None,
        private: false,
        max_tokens: None,
        n: 1,
    }
}

fn conditions() -> Conditions<'static> {
    Conditions {
        available: &|_| Ok(()),
        observed: &|_| None,
        quality: &|_| None,
        index_ready: true,
        funds_remaining: None,
    }
}

fn signals() -> Signals {
    Signals { kind: Kind::Question, tokens_in: 100, tokens_out: 100, ..Signals::default() }
}

fn task(in_distribution: f32, labels: u64) -> Option<TaskMatch> {
    Some(TaskMatch { name: "intent".into(), labels, in_distribution, accepted: 1.0 })
}

fn told(plan: &Result<Plan, api::Error>) -> String {
    match plan {
        Ok(plan) => format!("{} {} {}", plan.track, plan.reason, plan.targets[0].model),
        Err(error) => error.code.to_owned(),
    }
}
