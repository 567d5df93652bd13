//! From a request to a plan whose worst case is paid for: measured, decided, reserved.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::{ChatRequest, Error, Fault, Plan};
use cache::Key;
use dialects::Client;

use super::recall::Missed;
use super::{Step, Ticket};
use crate::decider::{Case, Insight};
use crate::decisions::Decision;
use crate::house::now_ms;
use crate::metrics::TaskLabels;
use crate::stated::Stated;
use crate::wishes::Wishes;

/// A reservation outlives its deadline by this much, for what is settled after the last byte.
const SETTLING: Duration = Duration::from_secs(60);

/// A request whose signals are known.
pub(crate) struct Classified {
    ticket: Ticket,
    wishes: Wishes,
    request: ChatRequest,
    client: Client,
    stated: Arc<Stated>,
    key: Option<Key>,
    insight: Insight,
}

/// A request with a plan.
pub(crate) struct Decided {
    pub(crate) ticket: Ticket,
    pub(crate) wishes: Wishes,
    pub(crate) request: ChatRequest,
    /// How the answer is written.
    pub(crate) client: Client,
    /// Under which the answer may be remembered.
    pub(crate) key: Option<Key>,
    pub(crate) insight: Insight,
    pub(crate) plan: Arc<Plan>,
    /// Whether the prompt of the last call carried examples of its task; `None` where there were none to be shown.
    pub(crate) with_examples: Option<bool>,
    /// What the target was sent that streams the answer, where another may have to continue it.
    pub(crate) sent: Option<Box<ChatRequest>>,
}

/// A request whose worst case is paid for.
pub(crate) struct Funded(pub(crate) Decided);

impl Missed {
    /// Measures what the policy reads, and nothing else.
    pub(crate) async fn classify(self) -> Step<Classified> {
        let Self { mut ticket, wishes, request, client, key } = self;
        let stated = Arc::new(Stated::of(&request, &wishes, &ticket.tenant));
        let decider = &ticket.house.decider;
        let measured = decider.measure(&ticket.live, &request, &stated, &ticket.tenant, &wishes.reach).await;
        ticket.stage("classify");
        match measured {
            Ok(insight) => Ok(Classified { ticket, wishes, request, client, stated, key, insight }),
            Err(error) => Err(ticket.refuse(&error)),
        }
    }
}

impl Classified {
    /// Asks the policy. Later stages only obey its plan.
    pub(crate) fn decide(self) -> Step<Decided> {
        let Self { mut ticket, wishes, request, client, stated, key, insight } = self;
        match decide(&ticket, &stated, &insight) {
            Ok(plan) => {
                let plan = Arc::new(plan);
                ticket.set_plan(&plan, insight.signals.tokens_in);
                if let Some(case) = &insight.case {
                    let labels = TaskLabels { task: case.task.name.clone(), result: case.result() };
                    ticket.house.metrics.task_answers.get_or_create(&labels).inc();
                }
                ticket.set_decision(Decision {
                    revision: ticket.live.revision.clone(),
                    stated,
                    signals: Arc::clone(&insight.signals),
                    opinions: insight.opinions.clone(),
                    plan: Arc::clone(&plan),
                });
                ticket.stage("decide");
                let key = key.filter(|_| plan.cache.write);
                Ok(Decided {
                    ticket,
                    wishes,
                    request,
                    client,
                    key,
                    insight,
                    plan,
                    with_examples: None,
                    sent: None,
                })
            }
            Err(error) => Err(ticket.refuse(&error)),
        }
    }
}

/// The plan for a request whose signals are known.
pub(super) fn decide(ticket: &Ticket, stated: &Stated, insight: &Insight) -> Result<Plan, Error> {
    // The policy knows no clock, so it cannot say when a spent budget is whole again.
    ticket.house.decider.plan(&case(ticket, stated, insight)).map_err(|error| match error.fault {
        Fault::BudgetExceeded => error.with_retry_after(ledger::until_next_day(now_ms())),
        _ => error,
    })
}

/// What the decision about a request rests on.
pub(super) fn case<'a>(ticket: &'a Ticket, stated: &'a Stated, insight: &'a Insight) -> Case<'a> {
    Case {
        live: &ticket.live,
        stated,
        tenant: &ticket.tenant,
        signals: &insight.signals,
        opinions: &insight.opinions,
        funds_remaining: ticket.house.funds.remaining(&ticket.tenant, now_ms()),
    }
}

impl Decided {
    /// Sets aside the most that the plan can cost: every target of it, since a failed one may have been paid for.
    pub(crate) fn reserve(mut self) -> Step<Funded> {
        let targets = self.plan.targets.iter().map(|target| target.estimate.cost_max);
        let worst = targets.chain(self.rerank_cost_max()).sum();
        let now = now_ms();
        let expires = u64::try_from((self.plan.deadline + SETTLING).as_millis()).unwrap_or(u64::MAX / 2);
        let reserved = self.ticket.house.funds.reserve(&self.ticket.tenant, worst, now, now + expires);
        match reserved {
            Ok(reservation) => {
                self.ticket.hold(reservation);
                self.ticket.stage("reserve");
                Ok(Funded(self))
            }
            Err(error) => Err(self.ticket.refuse(&error)),
        }
    }

    /// When the whole answer must be there.
    pub(crate) fn deadline(&self) -> Instant {
        self.ticket.started() + self.plan.deadline
    }
}
