//! A decision, told as JSON. (As text it is told by `policy`.)

use std::fmt::Write as _;
use std::sync::Arc;

use api::{Plan, Signal, Signals, Tenant};
use ledger::Record;
use serde_json::{Map, Value, json};

use crate::decider::{Case, Decider};
use crate::decisions::{Decision, Entry, Told};

/// Exemplars that are told of.
pub(crate) const NEAR: usize = 5;

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

/// A decision of the past with how it ended, as JSON.
pub(crate) fn past_json(decider: &Decider, entry: &Entry) -> Value {
    let mut told = match &entry.told {
        Told::Decided(decision) => {
            let mut told = json(&decision.plan, &decision.signals);
            told["opinions"] = json!(decision.opinions);
            told["stated"] = json!(decision.stated);
            match nearest_change(decider, entry, decision) {
                Ok(change) => told["nearest_change"] = json!(change),
                Err(why) => told["nearest_change_unknown"] = json!(why),
            }
            told
        }
        Told::Cached(origin) => json!({ "cached_from": origin }),
        Told::Shadow(compared) => json!({ "shadow_of": compared }),
    };
    told["record"] = record(&entry.record);
    told
}

/// How an exchange ended; money in dollars, as everywhere outside the book.
pub(crate) fn record(record: &Record) -> Value {
    let mut told = json!(record);
    if let Some(told) = told.as_object_mut() {
        for (kept, shown, money) in [
            ("cost", "cost_usd", record.cost),
            ("reference_cost", "reference_cost_usd", record.reference_cost),
        ] {
            told.shift_remove(kept);
            told.insert(shown.to_owned(), json!(money.usd()));
        }
    }
    told
}

/// A decision of the past with how it ended, for people.
pub(crate) fn past_text(decider: &Decider, entry: &Entry) -> String {
    let record = &entry.record;
    let mut text = String::new();
    let who = if record.model.is_empty() { "nobody" } else { &record.model };
    // Writing to a text cannot fail.
    _ = writeln!(
        text,
        "{}: tenant {}, answered by {who} with status {} after {:.0} ms and {} attempt(s), for {} USD",
        record.id, record.tenant, record.status, record.whole_ms, record.attempts, record.cost
    );
    match &entry.told {
        Told::Decided(decision) => {
            text.push_str(&policy::explain(&decision.plan, &decision.signals));
            match nearest_change(decider, entry, decision) {
                Ok(Some(change)) => _ = write!(text, "it would have been otherwise {change}"),
                Ok(None) => {}
                Err(why) => _ = write!(text, "what would have changed it is not known: {why}"),
            }
        }
        Told::Cached(origin) => _ = write!(text, "from the cache: the answer to {origin}"),
        Told::Shadow(compared) => {
            let agreement =
                compared.agreement.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.2}"));
            _ = write!(
                text,
                "a shadow of {}: its agreement with {} is {agreement}",
                compared.decision, compared.model
            );
        }
    }
    text
}

/// The smallest change that would have led elsewhere, by the configuration that decided; prices, latencies and what could
/// be called are those of now.
fn nearest_change(decider: &Decider, entry: &Entry, decision: &Decision) -> Result<Option<String>, String> {
    let live = decider.live.load();
    if live.revision != decision.revision {
        return Err("the configuration has changed since".to_owned());
    }
    let tenants = &decider.settings.tenants;
    let known = tenants.iter().find(|known| *known.tenant.name == *entry.record.tenant);
    let tenant = known.map_or_else(|| Arc::new(Tenant::open()), |known| Arc::clone(&known.tenant));
    let case = Case {
        live: &live,
        stated: &decision.stated,
        tenant: &tenant,
        signals: &decision.signals,
        opinions: &decision.opinions,
        funds_remaining: None,
    };
    Ok(decider.nearest_change(&case))
}
