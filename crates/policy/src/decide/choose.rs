//! The choice among the targets that can be asked at all.
//!
//! Tries one stage after another, each a set of conditions with an order among those that meet them. A stage that
//! lets a budget go takes the smallest of what that budget measures; every other stage keeps the budget. That is why a
//! tighter budget never leads to a dearer or slower target: either the target chosen before still stands, or the
//! new one is below the new budget, which the old one was not, or it is the smallest of a set that holds the old one.

use std::cmp::Ordering;
use std::time::Duration;

use api::Money;

use super::{Considered, shown};
use crate::policy::Yields;

/// What a plan has to keep to.
#[derive(Clone, Debug)]
pub(super) struct Budgets {
    pub(super) quality_floor: f32,
    /// Against the expected cost.
    pub(super) cost: Option<Money>,
    /// Against the expected time to the whole answer.
    pub(super) latency: Option<Duration>,
    /// Against the worst case, and never yielding.
    pub(super) funds: Option<Money>,
    pub(super) attempts_max: usize,
}

/// The order among targets that meet a stage's conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// The chosen track before those that it goes on to, then the cheapest.
    Preference,
    Best,
    Cheapest,
    Fastest,
}

/// Conditions, and an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) floor: bool,
    pub(super) cost: bool,
    pub(super) latency: bool,
    order: Order,
}

/// The places of the chosen targets, first choice first, and the stage that chose them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) places: Vec<usize>,
    pub(super) stage: Stage,
}

const EVERYTHING: Stage = Stage { floor: true, cost: true, latency: true, order: Order::Preference };
const BOTH_BUDGETS: Stage = Stage { floor: false, cost: true, latency: true, order: Order::Best };
const FLOOR_AND_COST: Stage = Stage { floor: true, cost: true, latency: false, order: Order::Fastest };
const FLOOR_AND_LATENCY: Stage = Stage { floor: true, cost: false, latency: true, order: Order::Cheapest };
const COST_ONLY: Stage = Stage { floor: false, cost: true, latency: false, order: Order::Fastest };
const LATENCY_ONLY: Stage = Stage { floor: false, cost: false, latency: true, order: Order::Cheapest };

impl Stage {
    /// The stages of a policy, by what it lets yield. Where that is not enough the floor yields as well.
    pub(super) fn all(yields: Yields) -> &'static [Self] {
        match yields {
            Yields::Quality => &[EVERYTHING, BOTH_BUDGETS],
            Yields::Latency => &[EVERYTHING, FLOOR_AND_COST, BOTH_BUDGETS, COST_ONLY],
            Yields::Cost => &[EVERYTHING, FLOOR_AND_LATENCY, BOTH_BUDGETS, LATENCY_ONLY],
            Yields::Refuse => &[EVERYTHING],
        }
    }

    /// The stages for a request that names its model, whose quality is the caller's affair.
    pub(super) fn named(yields: Yields) -> &'static [Self] {
        match yields {
            Yields::Quality | Yields::Refuse => &[BOTH_BUDGETS],
            Yields::Latency => &[BOTH_BUDGETS, COST_ONLY],
            Yields::Cost => &[BOTH_BUDGETS, LATENCY_ONLY],
        }
    }

    fn admits(self, candidate: &Considered, budgets: &Budgets) -> bool {
        candidate.obstacle.is_none()
            && (!self.floor || budgets.over_floor(candidate))
            && (!self.cost || budgets.inside_cost(candidate))
            && (!self.latency || budgets.inside_latency(candidate))
    }

    /// A total order but for equals, which keep the operator's.
    fn compare(self, a: &Considered, b: &Considered) -> Ordering {
        let cheaper = a.estimate.cost.cmp(&b.estimate.cost);
        let faster = a.estimate.whole.cmp(&b.estimate.whole);
        let better = b.estimate.quality.total_cmp(&a.estimate.quality);
        let nearer = a.rank.cmp(&b.rank);
        match self.order {
            Order::Preference => nearer.then(cheaper).then(faster),
            Order::Best => better.then(cheaper).then(faster),
            Order::Cheapest => cheaper.then(better).then(faster),
            Order::Fastest => faster.then(better).then(cheaper),
        }
    }
}

impl Budgets {
    fn over_floor(&self, candidate: &Considered) -> bool {
        candidate.estimate.quality >= self.quality_floor
    }

    fn inside_cost(&self, candidate: &Considered) -> bool {
        self.cost.is_none_or(|budget| candidate.estimate.cost <= budget)
    }

    fn inside_latency(&self, candidate: &Considered) -> bool {
        self.latency.is_none_or(|budget| candidate.estimate.whole <= budget)
    }

    /// Why a candidate is not in the plan.
    pub(super) fn why_lost(&self, candidate: &Considered) -> String {
        if let Some(obstacle) = &candidate.obstacle {
            return obstacle.told().to_owned();
        }
        let estimate = &candidate.estimate;
        let mut reasons = Vec::new();
        if !self.over_floor(candidate) {
            reasons.push(format!(
                "quality {:.2} is under the floor of {:.2}",
                estimate.quality, self.quality_floor
            ));
        }
        if let Some(budget) = self.cost.filter(|_| !self.inside_cost(candidate)) {
            reasons.push(format!("costs {} USD, over the budget of {budget}", estimate.cost));
        }
        if let Some(budget) = self.latency.filter(|_| !self.inside_latency(candidate)) {
            reasons.push(format!("takes {}, over the budget of {}", shown(estimate.whole), shown(budget)));
        }
        if reasons.is_empty() {
            reasons.push("the targets before it are enough, or leave too little of the budget".to_owned());
        }
        reasons.join("; ")
    }
}

/// The targets of the first stage that anybody meets.
pub(super) fn choose(considered: &[Considered], budgets: &Budgets, stages: &[Stage]) -> Option<Choice> {
    stages.iter().find_map(|stage| {
        let admitted = (0..considered.len()).filter(|place| stage.admits(&considered[*place], budgets));
        let mut places: Vec<usize> = admitted.collect();
        places.sort_by(|a, b| stage.compare(&considered[*a], &considered[*b]));
        let places = affordable(&places, considered, budgets, *stage);
        (!places.is_empty()).then_some(Choice { places, stage: *stage })
    })
}

/// The first choice, and as many of the others as the budgets pay for should all of them be tried. A plan that is
/// over its budget already has no second try.
fn affordable(places: &[usize], considered: &[Considered], budgets: &Budgets, stage: Stage) -> Vec<usize> {
    let attempts_max = match (stage.cost, budgets.cost) {
        (false, Some(_)) => 1,
        _ => budgets.attempts_max,
    };
    let (mut expected, mut worst) = (Money::ZERO, Money::ZERO);
    let mut taken = Vec::new();
    for place in places {
        let estimate = &considered[*place].estimate;
        let (next, next_worst) = (expected + estimate.cost, worst + estimate.cost_max);
        let fits = budgets.cost.is_none_or(|budget| !stage.cost || next <= budget)
            && budgets.funds.is_none_or(|funds| next_worst <= funds);
        if taken.len() < attempts_max && (fits || taken.is_empty()) {
            (expected, worst) = (next, next_worst);
            taken.push(*place);
        }
    }
    taken
}
