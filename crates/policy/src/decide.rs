//! From signals to a plan: the cheapest target over the quality floor and inside both budgets, and what is done when
//! there is none.
//!
//! Owns the choice and its reasons. Two laws hold, and the tests check them: a tighter budget never leads to a target
//! that costs or takes more, and a private request never leads to one beyond this host.

mod choose;
mod refuse;

use std::sync::Arc;
use std::time::Duration;

use api::{Candidate, Error, Estimate, Grounding, Money, Plan, PlannedTarget, Shadow, Signals, Track};

use self::choose::{Budgets, Choice, Stage};
use crate::catalogue::{ANY_TASK, Model, ModelKind};
use crate::estimate::{Obstacle, Request};
use crate::expression::context;
use crate::facts::{Conditions, Facts, View, Witness};
use crate::flow::{End, Walk};
use crate::policy::{Otherwise, Policy, Shadowing, Yields};

/// What the search for targets came to.
struct Found<'a> {
    /// The track that answers.
    track: Track,
    considered: &'a [Considered],
    choice: &'a Choice,
    /// The targets of the tracks that it stands in for.
    lost: &'a [Considered],
}

/// A target with what is expected of it.
#[derive(Clone, Debug)]
struct Considered {
    model: Arc<Model>,
    estimate: Estimate,
    obstacle: Option<Obstacle>,
    /// 0 for the chosen track's own targets, more for those that the plan may go on to.
    rank: usize,
}

impl Policy {
    /// Asks the questions and chooses the targets.
    ///
    /// # Errors
    /// Where no target can take the request, or none inside the budgets and the policy lets nothing yield: 403 for a
    /// private request, 422 for one that needs or allows what nobody can do, 429 where the money is spent, 503 where
    /// something has to be set. The message names every target and its reason.
    pub fn decide(
        &self,
        facts: &Facts<'_>,
        signals: &Signals,
        conditions: &Conditions<'_>,
    ) -> Result<Plan, Error> {
        let witness = Witness::new(View { facts, signals, index_ready: conditions.index_ready });
        let walk = self.flow.walk(&witness, &context(&witness));
        self.plan(&walk, &self.request(facts, signals, conditions, false))
    }

    /// The plan for a request that names its model: no questions, but the privacy rule, the request's needs and the
    /// budgets hold.
    ///
    /// # Errors
    /// As [`Policy::decide`].
    pub fn direct(
        &self,
        model: &Arc<Model>,
        facts: &Facts<'_>,
        signals: &Signals,
        conditions: &Conditions<'_>,
    ) -> Result<Plan, Error> {
        let mut request = self.request(facts, signals, conditions, true);
        let track = match model.kind {
            ModelKind::Extractive => Track::Retrieval,
            ModelKind::Provided { .. } | ModelKind::Llama { .. } | ModelKind::Task => model.track,
        };
        request.retrieval = (track == Track::Retrieval).then_some(&self.rules.retrieval);
        let considered = vec![consider(&request, Arc::clone(model), 0)];
        // Whoever names a model has judged its quality.
        let budgets = Budgets { quality_floor: 0.0, ..self.budgets(facts, conditions) };
        let Some(choice) = choose::choose(&considered, &budgets, Stage::named(self.rules.on_budget_miss))
        else {
            return Err(refuse::refusal(&considered, &budgets));
        };
        let end = End { track, targets: None };
        let walk = Walk { end, authoritative: false, reason: None, steps: Vec::new() };
        let found = Found { track, considered: &considered, choice: &choice, lost: &[] };
        let mut plan = self.assemble(&walk, &request, &budgets, &found);
        plan.policy = "direct".to_owned();
        plan.reason = "named".to_owned();
        Ok(plan)
    }

    fn request<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        signals: &'a Signals,
        conditions: &'a Conditions<'a>,
        named: bool,
    ) -> Request<'a> {
        Request {
            facts,
            signals,
            conditions,
            named,
            retrieval: None,
            private: self.private(facts, signals, named),
            task_in_distribution_min: self.rules.task_in_distribution_min,
        }
    }

    /// Why a request may not leave this host. A caller's word can only add to the reasons.
    fn private(&self, facts: &Facts<'_>, signals: &Signals, named: bool) -> Option<&'static str> {
        let rule = self.rules.privacy;
        let found = rule.private_data.filter(|_| rule.named_models || !named);
        [
            (facts.private, "the request asks to stay on this host"),
            (facts.tenant.private, "requests of this tenant stay on this host"),
            (rule.always, "requests under this policy stay on this host"),
            // What could not be measured is not known to be harmless.
            (
                found.is_some_and(|least| signals.private_data >= least || signals.private_data.is_nan()),
                "the request carries private data, which stays on this host",
            ),
        ]
        .into_iter()
        .find_map(|(holds, reason)| holds.then_some(reason))
    }

    /// The strictest of the policy's limits, the tenant's and the request's.
    fn budgets(&self, facts: &Facts<'_>, conditions: &Conditions<'_>) -> Budgets {
        let (rules, tenant) = (&self.rules, facts.tenant);
        Budgets {
            quality_floor: rules.quality_floor.max(tenant.quality_floor.unwrap_or(0.0)),
            cost: stricter(stricter(rules.cost_budget, tenant.cost_budget), facts.cost_budget),
            latency: stricter(stricter(rules.latency_budget, tenant.latency_budget), facts.latency_budget),
            funds: conditions.funds_remaining,
            attempts_max: self.rules.attempts_max,
        }
    }

    /// Looks for targets on the track of the flow, then on those that stand in for it.
    fn plan(&self, walk: &Walk, request: &Request<'_>) -> Result<Plan, Error> {
        let budgets = self.budgets(request.facts, request.conditions);
        let mut tried: Vec<Track> = Vec::new();
        let mut lost: Vec<Considered> = Vec::new();
        let mut track = walk.end.track;
        loop {
            tried.push(track);
            let grounded = (track == Track::Retrieval).then_some(&self.rules.retrieval);
            let request = Request { retrieval: grounded, ..*request };
            let considered = self.consider_track(&request, track, walk);
            if considered.iter().any(|considered| considered.obstacle.is_none()) {
                let yields = self.yields(tried.len() > 1);
                let Some(choice) = choose::choose(&considered, &budgets, Stage::all(yields)) else {
                    lost.extend(considered);
                    return Err(refuse::refusal(&lost, &budgets));
                };
                let found = Found { track, considered: &considered, choice: &choice, lost: &lost };
                return Ok(self.assemble(walk, &request, &budgets, &found));
            }
            lost.extend(considered);
            track = match self.when_unavailable.of(track) {
                Otherwise::Track(next) if !tried.contains(next) => *next,
                Otherwise::Track(_) | Otherwise::Refuse => return Err(refuse::refusal(&lost, &budgets)),
            };
        }
    }

    /// A track that stands in for another does its best: that is what the operator asked for.
    fn yields(&self, standing_in: bool) -> Yields {
        match self.rules.on_budget_miss {
            Yields::Refuse if standing_in => Yields::Quality,
            yields => yields,
        }
    }

    /// The targets of a track and of those that it goes on to, each once. The flow may name others for its own end.
    fn consider_track(&self, request: &Request<'_>, track: Track, walk: &Walk) -> Vec<Considered> {
        let mut considered: Vec<Considered> = Vec::new();
        let named = walk.end.targets.as_deref().filter(|_| track == walk.end.track);
        let own = named.unwrap_or(self.targets.of(track));
        let next = self.escalate.of(track).iter().map(|track| self.targets.of(*track).as_slice());
        for (rank, models) in std::iter::once(own).chain(next).enumerate() {
            for model in models {
                let model = own_task(model, request.signals);
                if considered.iter().all(|known| known.model.name != model.name) {
                    considered.push(consider(request, model, rank));
                }
            }
        }
        considered
    }

    fn assemble(&self, walk: &Walk, request: &Request<'_>, budgets: &Budgets, found: &Found<'_>) -> Plan {
        let Found { track, considered, choice, .. } = *found;
        let planned = |place: &usize| PlannedTarget {
            model: considered[*place].model.name.to_string(),
            estimate: considered[*place].estimate,
        };
        let targets: Vec<PlannedTarget> = choice.places.iter().map(planned).collect();
        let worst: Money = targets.iter().map(|target| target.estimate.cost_max).sum();
        let cap = stricter(budgets.cost.filter(|_| choice.stage.cost), budgets.funds);
        let grounding = request.retrieval.map(|retrieval| Grounding {
            store: request.facts.store.unwrap_or(&retrieval.store).to_owned(),
            passages_max: retrieval.passages_max,
            authoritative: walk.authoritative,
            coverage_min: retrieval.coverage_min,
            checked: retrieval.checked,
        });
        Plan {
            policy: self.name.to_string(),
            track,
            reason: walk
                .reason
                .and_then(|place| self.flow.questions.get(place))
                .map_or_else(|| track.name().to_owned(), |question| question.id.clone()),
            cost_ceiling: cap.map_or(worst, |cap| cap.min(worst)),
            shadow: self.shadow(request, &targets),
            targets,
            grounding,
            checks: *self.checks.of(track),
            on_broken_stream: self.rules.on_broken_stream,
            cache: self.rules.cache,
            deadline: self.rules.deadline,
            private: request.private.is_some(),
            degraded: refuse::degraded(walk.end.track, budgets, found),
            steps: walk.steps.clone(),
            candidates: candidates(budgets, found),
        }
    }
}

impl Policy {
    /// Who else may see the request. Whoever names a model has chosen who sees it; and who cannot take the request would
    /// only fail.
    fn shadow(&self, request: &Request<'_>, targets: &[PlannedTarget]) -> Option<Shadow> {
        let Shadowing { model, share, usd_per_day } = self.shadow.as_ref()?;
        let is_first = targets.first().is_none_or(|first| *first.model == *model.name);
        if request.private.is_some() || request.named || is_first || *share <= 0.0 {
            return None;
        }
        // Its money is the operator's own, not the tenant's.
        match request.obstacle(model, &request.estimate(model)) {
            None | Some(Obstacle::Funds(_)) => {
                Some(Shadow { model: model.name.to_string(), share: *share, usd_per_day: *usd_per_day })
            }
            Some(_) => None,
        }
    }
}

/// The model, with `task` replaced by the task that the request belongs to.
fn own_task(model: &Arc<Model>, signals: &Signals) -> Arc<Model> {
    match &signals.task {
        Some(task) if *model.name == *ANY_TASK => Arc::new(model.as_task(&task.name)),
        _ => Arc::clone(model),
    }
}

fn consider(request: &Request<'_>, model: Arc<Model>, rank: usize) -> Considered {
    let estimate = request.estimate(&model);
    let obstacle = request.obstacle(&model, &estimate);
    Considered { model, estimate, obstacle, rank }
}

fn candidates(budgets: &Budgets, found: &Found<'_>) -> Vec<Candidate> {
    let Found { considered, choice, lost, .. } = *found;
    let told = |considered: &Considered, lost: String| Candidate {
        model: considered.model.name.to_string(),
        estimate: considered.estimate,
        lost,
    };
    let here = considered.iter().enumerate().map(|(place, candidate)| {
        let lost = match choice.places.contains(&place) {
            true => String::new(),
            false => budgets.why_lost(candidate),
        };
        told(candidate, lost)
    });
    let is_elsewhere =
        |candidate: &&Considered| considered.iter().all(|known| known.model.name != candidate.model.name);
    let before =
        lost.iter().filter(is_elsewhere).map(|candidate| told(candidate, budgets.why_lost(candidate)));
    here.chain(before).collect()
}

fn stricter<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Milliseconds below a second, else seconds.
pub(crate) fn shown(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests;
