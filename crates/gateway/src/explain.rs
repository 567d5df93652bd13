//! A decision, told as JSON. (As text it is told by `policy`.)

use api::{Plan, Signal, Signals};
use serde_json::{Map, Value, json};

/// The plan, the signals, and the reasons.
pub(crate) fn json(plan: &Plan, signals: &Signals) -> Value {
    let measured: Map<String, Value> =
        Signal::ALL.iter().map(|signal| (signal.name().to_owned(), json!(signals.value(*signal)))).collect();
    let targets: Vec<Value> = plan
        .targets
        .iter()
        .map(|target| json!({ "model": target.model, "estimate": estimate(&target.estimate) }))
        .collect();
    let candidates: Vec<Value> = plan
        .candidates
        .iter()
        .map(|candidate| {
            json!({
                "model": candidate.model,
                "estimate": estimate(&candidate.estimate),
                "lost": candidate.lost,
            })
        })
        .collect();
    json!({
        "policy": plan.policy,
        "track": plan.track,
        "reason": plan.reason,
        "targets": targets,
        "grounding": plan.grounding,
        "checks": plan.checks,
        "shadow": plan.shadow,
        "cache": plan.cache,
        "deadline_ms": plan.deadline.as_secs_f64() * 1e3,
        "cost_ceiling_usd": plan.cost_ceiling.usd(),
        "private": plan.private,
        "degraded": plan.degraded,
        "steps": plan.steps,
        "candidates": candidates,
        "signals": measured,
        "private_kinds": signals.private_kinds,
    })
}

fn estimate(estimate: &api::Estimate) -> Value {
    json!({
        "quality": estimate.quality,
        "evidence": estimate.evidence,
        "cost_usd": estimate.cost.usd(),
        "cost_max_usd": estimate.cost_max.usd(),
        "first_token_ms": estimate.first_token.as_secs_f64() * 1e3,
        "whole_ms": estimate.whole.as_secs_f64() * 1e3,
    })
}
