//! A share of requests also goes to another target, off the request's path and inside a spending cap of its own: how the
//! answers agree shows what a change of targets would do, before it is made. Never for a private request.

use std::sync::Arc;

use api::{ChatRequest, Completion, Contract, Plan, cosine};
use ledger::Record;

use super::aside::{Aside, Asked, seat};
use super::call::usage_of;
use super::ticket::Ticket;
use crate::answered::same_answer;
use crate::decisions::{Compared, Entry, Told};
use crate::metrics::ShadowLabels;
use crate::tasks::in_share;

/// Sends a request to its plan's shadow as well, if it belongs to the share.
pub(super) fn cast(ticket: &Ticket, plan: &Plan, request: &ChatRequest, given: &Completion) {
    let Some(shadow) =
        plan.shadow.as_ref().filter(|shadow| !plan.private && in_share(ticket.id(), shadow.share))
    else {
        return;
    };
    let Some(seat) = seat(&ticket.house) else { return };
    let cast = Cast {
        aside: Aside {
            house: Arc::clone(&ticket.house),
            live: Arc::clone(&ticket.live),
            payer: format!("shadow of {}", plan.policy),
            usd_per_day: shadow.usd_per_day,
            policy: plan.policy.clone(),
            reason: "shadow",
            model: shadow.model.clone(),
            prompt_tokens: usage_of(given, request).prompt_tokens,
            request: request.clone(),
            deadline: plan.deadline,
        },
        decision: ticket.id().to_owned(),
        model: ticket.record.model.clone(),
        given: given.clone(),
    };
    tokio::spawn(async move {
        cast.run().await;
        drop(seat);
    });
}

struct Cast {
    aside: Aside,
    decision: String,
    /// The model whose answer the client has.
    model: String,
    given: Completion,
}

impl Cast {
    async fn run(self) {
        match self.aside.ask().await {
            Asked::NoBudget => self.count("no_budget"),
            Asked::Failed(record) => self.tell(record, None),
            Asked::Answered(record, completion) => {
                let agreement = self.agreement(&completion).await;
                self.tell(record, agreement);
            }
        }
    }

    fn tell(&self, record: Record, agreement: Option<f32>) {
        let house = &self.aside.house;
        let told =
            Told::Shadow(Compared { decision: self.decision.clone(), model: self.model.clone(), agreement });
        if !house.decisions.add(Entry { record: record.clone(), told }) {
            house.metrics.decisions_left_out.inc();
        }
        if house.book.append(record).is_err() {
            house.metrics.unrecorded.inc();
        }
        if let Some(agreement) = agreement {
            let labels = self.labels("compared");
            house.metrics.shadow_agreement.get_or_create(&labels).observe(f64::from(agreement));
        }
        self.count(if agreement.is_some() { "compared" } else { "failed" });
    }

    /// How much two answers agree: equal or not where there is a contract, else the cosine of their vectors.
    async fn agreement(&self, other: &Completion) -> Option<f32> {
        let [one, other] = [text(&self.given)?, text(other)?];
        if self.aside.request.contract != Contract::Free {
            return Some(f32::from(u8::from(same_answer(&one, &other))));
        }
        let house = Arc::clone(&self.aside.house);
        let work = move || {
            let alike = cosine(&house.decider.vector(&one).ok()?, &house.decider.vector(&other).ok()?);
            Some(alike.clamp(0.0, 1.0))
        };
        tokio::task::spawn_blocking(work).await.ok().flatten()
    }

    fn count(&self, result: &'static str) {
        self.aside.house.metrics.shadows.get_or_create(&self.labels(result)).inc();
    }

    fn labels(&self, result: &'static str) -> ShadowLabels {
        ShadowLabels {
            policy: self.aside.policy.clone(),
            model: self.model.clone(),
            shadow: self.aside.model.clone(),
            result,
        }
    }
}

fn text(completion: &Completion) -> Option<String> {
    completion.choices.first()?.message.content.clone()
}
