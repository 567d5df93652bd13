//! A task as people and programs read it: `/api/tasks`, `pointsman task show`.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::task::Task;
use super::version::Version;
use super::watch::{Arm, Watch};
use crate::house::now_ms;

/// Events that are told.
const EVENTS: usize = 20;

/// Everything about a task.
pub(crate) fn json(task: &Task) -> Value {
    let (spec, served) = (task.spec(), task.served());
    let usable = task.usable_count();
    let (total, counts) = {
        let labels = task.labels();
        (labels.len(), labels.counts())
    };
    let watch = task.watch();
    let version = |version: &Version| told(version, &watch);
    let events = task.events();
    json!({
        "name": task.name,
        "kind": spec.kind.name(),
        "labels": { "total": total, "usable": usable, "by": counts },
        "serving": served.serving.as_deref().map(version),
        "canary": served.canary.as_deref().map(version),
        "newest": served.newest.as_deref().map(version),
        "demoted": served.standing.demoted,
        "earlier": served.standing.earlier,
        "training": task.training.load(Ordering::Acquire),
        "annotators": watch.annotators,
        "few": { "enabled": spec.few.enabled, "with": arm(&watch.few.with), "without": arm(&watch.few.without) },
        "problems": served.problems,
        "events": events.iter().rev().take(EVENTS).rev().collect::<Vec<_>>(),
    })
}

fn told(version: &Version, watch: &Watch) -> Value {
    let seen = watch.versions.get(&version.number);
    json!({
        "version": version.number,
        "trained_at_ms": version.trained_at_ms,
        "train_s": version.train_s,
        "data": version.data,
        "encoder": version.encoder,
        "labels": version.labels,
        "accuracy": version.card.accuracy,
        "macro_f1": version.card.macro_f1,
        "ece": version.card.ece,
        "mean_absolute_error": version.card.mean_absolute_error,
        "chosen": version.card.chosen,
        "certificate": version.certificate,
        "in_force": version.certificate.in_force(now_ms()),
        "requests": seen.map_or(0, |seen| seen.seen),
        "accepted": seen.map_or(0, |seen| seen.accepted),
        "audits": seen.map(|seen| seen.audits).unwrap_or_default(),
    })
}

fn arm(arm: &Arm) -> Value {
    let per_answer = (arm.form.asked > 0).then(|| arm.prompt_tokens as f64 / arm.form.asked as f64);
    json!({
        "answers": arm.form.asked,
        "in_form": arm.form.share(),
        "judged": arm.judged.asked,
        "right": arm.judged.share(),
        "prompt_tokens_per_answer": per_answer,
    })
}

/// A prompt that looks like a task.
pub(crate) fn proposal(proposal: &classify::Proposal) -> Value {
    json!({
        "id": proposal.id,
        "tenant": proposal.tenant,
        "system": proposal.system.as_ref().map(ToString::to_string),
        "user": proposal.user.as_ref().map(ToString::to_string),
        "labels": proposal.labels.iter().map(|(label, count)| json!([label, count])).collect::<Vec<_>>(),
        "requests": proposal.requests,
        "models": proposal.models,
        "samples": proposal.samples,
    })
}
