//! What is asked behind a task's answers: the reference, for a share of what a certificate let pass, and a model that labels,
//! a second time. Off the request's path, inside the task's spending cap. Never for a private request.

use std::sync::Arc;

use api::Completion;

use super::aside::{Aside, Asked, seat};
use super::call::usage_of;
use super::decide::Decided;
use crate::tasks::clerk::{AskedAgain, Audited, News};
use crate::tasks::said::single_text;
use crate::tasks::{Case, in_share};

/// Until a model was asked twice so often, more of its answers are asked for again: nothing is learnt from them before.
const SURE_AFTER: usize = 40;
const SHARE_BEFORE: f32 = 0.34;

/// Asks behind an answer of a task, if it belongs to the share.
pub(super) fn cast(decided: &Decided, given: &Completion) {
    let Decided { ticket, plan, insight, request, .. } = decided;
    let Some(case) = insight.case.as_ref().filter(|_| !plan.private) else { return };
    let Some(text) = single_text(given) else { return };
    let answered_by = &ticket.record.model;
    let purpose = if *answered_by == format!("{}{}", policy::TASK_PREFIX, case.task.name) {
        reference(decided, case).map(|model| (model, "audit"))
    } else {
        asked_again(decided, case, answered_by).map(|model| (model, "self_agreement"))
    };
    let Some((model, reason)) = purpose else { return };
    let Some(seat) = seat(&ticket.house) else { return };
    let spec = case.task.spec();
    let aside = Aside {
        house: Arc::clone(&ticket.house),
        live: Arc::clone(&ticket.live),
        payer: format!("audit of task/{}", case.task.name),
        usd_per_day: spec.audit.usd_per_day,
        policy: plan.policy.clone(),
        reason,
        model,
        prompt_tokens: usage_of(given, request).prompt_tokens,
        request: request.clone(),
        deadline: plan.deadline,
    };
    let behind = Behind {
        aside,
        tenant: Arc::clone(&ticket.tenant.name),
        case: case.clone(),
        given: text.to_owned(),
        decision: ticket.id().to_owned(),
    };
    tokio::spawn(async move {
        behind.run().await;
        drop(seat);
    });
}

/// The model that an accepted answer is compared with, if it is to be.
fn reference(decided: &Decided, case: &Case) -> Option<String> {
    let opinion = case.opinion.as_ref().filter(|opinion| opinion.accepted)?;
    let spec = case.task.spec();
    if !opinion.is_drawn(decided.ticket.id(), spec.audit.share) {
        return None;
    }
    let named = spec.audit.model.clone().or_else(|| spec.reference.models.first().cloned());
    let live = &decided.ticket.live;
    named.or_else(|| {
        let policy =
            live.policies.get(&decided.plan.policy).unwrap_or_else(|| live.policies.default_policy());
        policy.reference_model().map(|model| model.name.to_string())
    })
}

/// The model that gave this answer, if it labels and is to be asked again.
fn asked_again(decided: &Decided, case: &Case, model: &str) -> Option<String> {
    let spec = case.task.spec();
    let external = decided.ticket.live.is_external(model);
    if spec.reference.self_agreement_min <= 0.0 || !case.task.is_labelled_by(model, external) {
        return None;
    }
    let asked = case.task.watch().annotators.get(model).map_or(0, |tally| tally.asked);
    let share = if asked < SURE_AFTER { SHARE_BEFORE } else { spec.reference.self_agreement_share };
    in_share(decided.ticket.id(), share).then(|| model.to_owned())
}

struct Behind {
    aside: Aside,
    tenant: Arc<str>,
    case: Case,
    given: String,
    decision: String,
}

impl Behind {
    async fn run(self) {
        let house = Arc::clone(&self.aside.house);
        let (record, answer) = match self.aside.ask().await {
            Asked::NoBudget => return,
            Asked::Failed(record) => (record, None),
            Asked::Answered(record, completion) => (record, single_text(&completion).map(str::to_owned)),
        };
        if house.book.append(record).is_err() {
            house.metrics.unrecorded.inc();
        }
        let Some(answer) = answer else { return };
        let news = match (self.aside.reason, self.case.opinion.clone()) {
            ("audit", Some(opinion)) => News::Audited(Box::new(Audited {
                tenant: self.tenant,
                case: self.case,
                opinion,
                reference: self.aside.model,
                answer,
                decision: self.decision,
            })),
            _ => News::AskedAgain(Box::new(AskedAgain {
                case: self.case,
                model: self.aside.model,
                first: self.given,
                second: answer,
            })),
        };
        if !house.clerk.tell(news) {
            house.metrics.untold.inc();
        }
    }
}
