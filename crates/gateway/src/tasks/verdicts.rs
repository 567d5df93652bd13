//! What follows from what the clerk is told: counts, labels, and which version answers. Only the clerk's thread calls this.

use std::sync::Arc;

use super::case::Opinion;
use super::clerk::{AskedAgain, Audited, Brought, Told, bring};
use super::described::Described;
use super::labels::{By, Kept, Label};
use super::task::Task;
use super::version::Standing;
use crate::house::now_ms;

/// After a demotion so many new labels, or this share of what is known, are worth a training.
const FRESH_MIN: usize = 100;
const FRESH_SHARE: usize = 20;

/// Counts a request that a version gave an opinion on; a canary that has answered enough takes over.
pub(super) fn see_request(task: &Arc<Task>, opinion: &Opinion) {
    if !opinion.version.certificate.in_force(now_ms()) {
        // What an expired certificate does not cover says nothing about the requests.
        return;
    }
    let (alarm, seen) = {
        let mut watch = task.watch();
        let alarm = watch.see_request(&opinion.version, opinion.answer.typicality, opinion.accepted);
        (alarm, watch.versions.get(&opinion.version.number).map_or(0, |version| version.seen))
    };
    if let Some(why) = alarm {
        demote(task, opinion.version.number, &why);
        return;
    }
    let number = opinion.version.number;
    // It may have been promoted, or dropped, since this request was answered.
    let on_trial = task.served().standing.canary == Some(number);
    if on_trial && seen >= task.spec().canary.answers {
        let why = format!("version {number} has given {seen} answers without an alarm");
        change(task, "promoted", &why, |standing| {
            if standing.canary == Some(number) {
                standing.promote(number);
                standing.drifted_at_ms = None;
            }
        });
    }
}

/// An audited answer: counted, acted on, and a label.
pub(super) fn audit(audited: Audited, brought: &mut Brought) {
    let Audited { tenant, case, opinion, reference, answer, decision } = audited;
    let task = &case.task;
    let spec = task.spec();
    let Some(truth) = task.form(&spec, &[]).read(&answer) else { return };
    let agreed = truth.agrees(&opinion.answer.said, spec.tolerance);
    let alarm = task.watch().see_audit(&opinion.version, agreed);
    if let Some(why) = alarm {
        demote(task, opinion.version.number, &why);
    }
    if spec.capture.enabled {
        let vector = case.vector.as_deref().map(Described::of);
        let label = Label {
            tenant: tenant.to_string(),
            input: case.input,
            truth,
            by: By::Model,
            model: Some(reference),
            logprob: None,
            decision: Some(decision),
            at_ms: now_ms(),
            drawn: true,
        };
        bring(brought, &case.task, Kept { label, vector });
    }
}

/// A model that was asked twice: counted.
pub(super) fn ask_again(again: &AskedAgain) {
    let task = &again.case.task;
    let spec = task.spec();
    let form = task.form(&spec, &[]);
    let agreed = match (form.read(&again.first), form.read(&again.second)) {
        (Some(first), Some(second)) => first.agrees(&second, spec.tolerance),
        _ => false,
    };
    task.watch().annotators.entry(again.model.clone()).or_default().add(agreed);
}

/// A person's word: a label, and a verdict on what examples in prompts do.
pub(super) fn person(told: Told, brought: &mut Brought) {
    let Told { tenant, task, input, label, said, with_examples, decision } = told;
    let spec = task.spec();
    let form = task.form(&spec, &[]);
    let Some(truth) = form.read(&label) else { return };
    if let (Some(with_examples), Some(said)) = (with_examples, said) {
        let right = form.read(&said).is_some_and(|said| said.agrees(&truth, spec.tolerance));
        task.watch().few.arm(with_examples).judged.add(right);
    }
    let label = Label {
        tenant: tenant.to_string(),
        input,
        truth,
        by: By::Human,
        model: None,
        logprob: None,
        decision: Some(decision),
        at_ms: now_ms(),
        drawn: false,
    };
    bring(brought, &task, Kept { label, vector: None });
}

/// A training that has ended.
pub(super) fn trained(task: &Arc<Task>, result: Result<(), String>) {
    match result {
        Ok(()) => {
            if let Err(error) = task.refresh() {
                tracing::error!(task = %task.name, %error, "the trained version could not be taken up");
            }
        }
        Err(why) => task.tell("training_failed", &why),
    }
}

/// Takes a version out of service, if it still is in it. If it is the one that answers, what was labelled so far proves
/// nothing any more; if it was on trial, the one before goes on.
fn demote(task: &Arc<Task>, number: u32, why: &str) {
    let now = now_ms();
    let served = task.served();
    let told = format!("version {number}: {why}");
    if served.standing.serving == Some(number) {
        change(task, "demoted", &told, |standing| {
            standing.demote(number, why, now);
            standing.drifted_at_ms = Some(now);
        });
    } else if served.standing.canary == Some(number) {
        change(task, "trial_ended", &told, |standing| standing.demote(number, why, now));
    }
}

fn change(task: &Arc<Task>, what: &str, why: &str, change: impl FnOnce(&mut Standing)) {
    match task.change_standing(change) {
        Ok(()) => task.tell(what, why),
        Err(error) => tracing::error!(task = %task.name, %error, what, "could not be written"),
    }
}

/// Whether there is enough that no version has learnt from yet.
pub(super) fn wants_training(task: &Arc<Task>) -> bool {
    let spec = task.spec();
    if !spec.train.auto {
        return false;
    }
    let usable = task.usable_count();
    let served = task.served();
    let known =
        task.watch().tried_with.max(served.newest.as_ref().map_or(0, |version| version.card.examples));
    if known == 0 {
        return usable >= spec.train.examples_min;
    }
    let serving = served.serving.as_ref().is_some_and(|version| version.certificate.in_force(now_ms()));
    if serving {
        return usable as f64 >= known as f64 * (1.0 + f64::from(spec.train.grow_share));
    }
    usable >= spec.train.examples_min && usable >= known + FRESH_MIN.max(known / FRESH_SHARE)
}
