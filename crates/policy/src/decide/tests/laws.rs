//! The laws of every plan, over worlds of any kind.
//!
//! What a tighter budget does, precisely: of two requests that differ only in one budget (of the policy, the tenant or
//! the request, whoever sets it), where both get a plan, the first target of the tighter one is not expected to cost
//! more (cost budget) or to take longer (latency budget), whatever `on_budget_miss` says. A faster target may well cost
//! more, and a cheaper one take longer: each budget bounds what it measures. Where no limit yielded in either plan, all
//! targets of the tighter one together cost no more either, and its ceiling is no higher.

use std::time::Duration;

use api::{Estimate, Money, Plan, Signal, Signals, Track};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::asked::{Asked, Limits, asked, asked_for};
use super::world::world;
use crate::explain::with;
use crate::{Conditions, Learned, Policies, Route};

fn expected_cost(plan: &Plan) -> Money {
    plan.targets.iter().map(|target| target.estimate.cost).sum()
}

fn limits_of(policies: &Policies, asked: &Asked) -> (Option<Duration>, Option<Money>, f32) {
    asked.with(policies, |route, facts, conditions| {
        let budgets = route.policy().budgets(facts, conditions);
        (budgets.latency, budgets.cost, budgets.quality_floor)
    })
}

/// Whether a request must stay on this host, told without the code under test: by the rules of `policy.toml`.
fn private(policies: &Policies, asked: &Asked) -> bool {
    let names =
        [asked.tenant.policy.as_deref().unwrap_or("auto"), asked.header.unwrap_or("auto"), asked.model];
    let chosen = match policies.get(asked.model) {
        Some(policy) if asked.model != "auto" => Some(policy),
        _ => asked.header.and_then(|name| policies.get(name)),
    };
    let standing = policies.get(names[0]).unwrap();
    let rules = [Some(standing), chosen].into_iter().flatten().map(|policy| policy.rules.privacy);
    let named = policies.get(asked.model).is_none();
    let found = |least: f32| asked.signals.private_data >= least || asked.signals.private_data.is_nan();
    asked.private
        || asked.tenant.private
        || rules.clone().any(|rule| rule.always)
        || rules.clone().any(|rule| (rule.named_models || !named) && rule.private_data.is_some_and(found))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_tighter_cost_budget_never_makes_a_plan_dearer((world, asked, share) in (world(), asked(), 0.1..1.0f64)) {
        let start = asked.limits.cost.unwrap_or(40_000_000) as f64;
        let tighten = |limits: &mut Limits, step| limits.cost = Some((start * f64::powi(share, step)) as i64);
        for (before, after) in tighter_and_tighter(&world.policies(), &asked, tighten) {
            prop_assert!(after.targets[0].estimate.cost <= before.targets[0].estimate.cost);
            if before.degraded.is_none() && after.degraded.is_none() {
                prop_assert!(expected_cost(&after) <= expected_cost(&before));
                prop_assert!(after.cost_ceiling <= before.cost_ceiling);
            }
        }
    }

    #[test]
    fn a_tighter_latency_budget_never_makes_a_plan_slower((world, asked, share) in (world(), asked(), 0.1..1.0f64)) {
        let start = asked.limits.latency.unwrap_or(30_000) as f64;
        let tighten = |limits: &mut Limits, step| limits.latency = Some((start * f64::powi(share, step)) as u64);
        for (before, after) in tighter_and_tighter(&world.policies(), &asked, tighten) {
            prop_assert!(after.targets[0].estimate.whole <= before.targets[0].estimate.whole);
        }
    }

    #[test]
    fn it_does_not_matter_who_sets_a_limit((world, asked) in (world(), asked())) {
        let policies = world.policies();
        let least = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
        let both = Limits {
            latency: least(asked.limits.latency, asked.tenants_limits.latency),
            cost: asked.limits.cost.into_iter().chain(asked.tenants_limits.cost).min(),
        };
        let by_request = Asked { limits: both, tenants_limits: Limits::default(), ..asked.clone() };
        let by_tenant = Asked { limits: Limits::default(), tenants_limits: both, ..asked.clone() };
        let plan = asked.decide(&policies);
        prop_assert_eq!(&plan, &by_request.decide(&policies));
        prop_assert_eq!(&plan, &by_tenant.decide(&policies));
    }

    #[test]
    fn a_plan_never_costs_more_than_the_funds((world, asked, share) in (world(), asked(), 0.0..1.0f64)) {
        let policies = world.policies();
        let funds = (asked.funds.unwrap_or(400_000_000) as f64 * share) as i64;
        let tighter = Asked { funds: Some(funds), ..asked };
        if let Ok(plan) = tighter.decide(&policies) {
            let worst: Money = plan.targets.iter().map(|target| target.estimate.cost_max).sum();
            prop_assert!(worst.nanos() <= funds);
            prop_assert!(plan.cost_ceiling <= worst);
        }
    }

    #[test]
    fn a_private_request_never_gets_an_external_target_nor_a_shadow((world, asked) in (world(), asked())) {
        let policies = world.policies();
        let Ok(plan) = asked.decide(&policies) else { return Ok(()) };
        prop_assert_eq!(plan.private, private(&policies, &asked));
        if plan.private {
            prop_assert_eq!(&plan.shadow, &None);
            for target in &plan.targets {
                prop_assert_eq!(policies.catalogue().get(&target.model).unwrap().track, Track::Local);
            }
        }
    }

    #[test]
    fn a_shadow_is_another_model_that_can_take_the_request((world, asked) in (world(), asked())) {
        let policies = world.policies();
        let Ok(plan) = asked.decide(&policies) else { return Ok(()) };
        let Some(shadow) = &plan.shadow else { return Ok(()) };
        prop_assert!(shadow.model != plan.targets[0].model && shadow.share > 0.0 && shadow.share <= 1.0);
        prop_assert!(policies.get(asked.model).is_some(), "{} named its model", asked.model);
        prop_assert!(fits(&policies, &asked, &plan, &shadow.model));
    }

    #[test]
    fn the_same_inputs_give_the_same_plan((world, asked) in (world(), asked())) {
        let (one, other) = (world.policies(), world.policies());
        let (plan, again) = (asked.decide(&one), asked.decide(&other));
        prop_assert_eq!(&plan, &again);
        prop_assert_eq!(&plan, &asked.decide(&one));
    }

    #[test]
    fn no_plan_holds_a_target_that_the_request_excludes((world, asked) in (world(), asked())) {
        let policies = world.policies();
        let Ok(plan) = asked.decide(&policies) else { return Ok(()) };
        prop_assert!(!plan.targets.is_empty());
        for target in &plan.targets {
            prop_assert!(fits(&policies, &asked, &plan, &target.model), "{}", target.model);
            let told: Vec<&str> = plan.candidates.iter().filter(|candidate| candidate.model == target.model)
                .map(|candidate| candidate.lost.as_str()).collect();
            prop_assert_eq!(told, [""]);
        }
        let taken = plan.candidates.iter().filter(|candidate| candidate.lost.is_empty()).count();
        prop_assert_eq!(taken, plan.targets.len());
    }

    #[test]
    fn a_plan_that_admits_nothing_keeps_every_limit((world, asked) in (world(), asked())) {
        let policies = world.policies();
        let Ok(plan) = asked.decide(&policies) else { return Ok(()) };
        if plan.degraded.is_some() {
            return Ok(());
        }
        let (latency, cost, floor) = limits_of(&policies, &asked);
        prop_assert!(cost.is_none_or(|cost| expected_cost(&plan) <= cost));
        for target in &plan.targets {
            // Whoever names a model has judged its quality.
            prop_assert!(plan.policy == "direct" || target.estimate.quality >= floor);
            prop_assert!(latency.is_none_or(|latency| target.estimate.whole <= latency));
        }
    }

    #[test]
    fn more_evidence_moves_quality_from_the_prior_to_what_was_learned(
        (world, asked) in (world(), asked_for(&["m0", "m1", "task/t"])),
        (learned, less, more) in (-0.5..1.5f32, -0.5..1.5f32, -0.5..1.5f32),
    ) {
        let policies = world.policies();
        let asked = Asked { funds: None, limits: Limits::default(), ..asked };
        let estimate = |known: Option<Learned>| -> Option<Estimate> {
            asked.with(&policies, |route, facts, conditions| {
                let conditions = Conditions { quality: &|_| known, available: &|_| Ok(()), ..*conditions };
                Some(route.decide(facts, &asked.signals, &conditions).ok()?.targets[0].estimate)
            })
        };
        let of = |evidence: f32| estimate(Some(Learned { quality: learned, evidence }));
        let (less, more) = (less.min(more), less.max(more));
        let Some(((prior, low), (high, end))) = estimate(None).zip(of(less)).zip(of(more).zip(of(1.0))) else { return Ok(()) };
        let all = [prior.quality, low.quality, high.quality, end.quality];
        prop_assert!(all.is_sorted() || all.iter().rev().is_sorted(), "{all:?}");
        prop_assert_eq!((prior.evidence, end.evidence), (0.0, 1.0));
        prop_assert_eq!((low.evidence, high.evidence), (less.clamp(0.0, 1.0), more.clamp(0.0, 1.0)));
        if asked.model != "task/t" {
            prop_assert_eq!(end.quality, learned.clamp(0.0, 1.0));
        }
        prop_assert_eq!(of(0.0).map(|none| none.quality), Some(prior.quality));
        for wrong in [f32::NAN, f32::INFINITY] {
            prop_assert_eq!(of(wrong), Some(prior));
            prop_assert_eq!(estimate(Some(Learned { quality: wrong, evidence: 1.0 })), Some(prior));
        }
    }

    #[test]
    fn the_nearest_change_changes_the_choice((world, asked) in (world(), asked_for(&["auto", "b", "c"]))) {
        let policies = world.policies();
        asked.with(&policies, |route, facts, conditions| {
            let Route::Policy(policy) = route else { return Ok(()) };
            let choice = |signals: &Signals| {
                let plan = policy.decide(facts, signals, conditions).ok()?;
                Some((plan.track, plan.targets[0].model.clone()))
            };
            let Some(change) = policy.nearest_change(facts, &asked.signals, conditions) else { return Ok(()) };
            let changed = with(&asked.signals, change.signal, change.to).unwrap();
            prop_assert_eq!(choice(&changed), Some((change.track, change.model.clone())));
            prop_assert_ne!(choice(&asked.signals), Some((change.track, change.model)));
            Ok(())
        })?;
    }

    #[test]
    fn what_no_question_comes_to_does_not_lead_elsewhere(
        (world, asked, to) in (world(), asked_for(&["auto", "b"]), 0.0..1.0f64)
    ) {
        let policies = world.policies();
        asked.with(&policies, |route, facts, conditions| {
            let Route::Policy(policy) = route else { return Ok(()) };
            let walk = |signals: &Signals| {
                let plan = policy.decide(facts, signals, conditions).ok()?;
                Some(plan.steps.into_iter().map(|step| (step.id, step.yes)).collect::<Vec<_>>())
            };
            let asks = policy.asks(facts, &asked.signals, asked.index_ready);
            prop_assert_eq!(asks.union(policy.reads()), policy.reads());
            for signal in Signal::ALL.iter().filter(|signal| !asks.has(**signal)) {
                // What a target may see or cost is not the flow's affair.
                let Some(other) = with(&asked.signals, *signal, to) else { continue };
                if let (Some(before), Some(after)) = (walk(&asked.signals), walk(&other)) {
                    prop_assert_eq!(before, after, "{}", signal.name());
                }
            }
            Ok(())
        })?;
    }
}

/// Pairs of plans, the second under a tighter budget: for requests that name each policy or a model, step by step.
fn tighter_and_tighter(
    policies: &Policies,
    asked: &Asked,
    tighten: impl Fn(&mut Limits, i32),
) -> Vec<(Plan, Plan)> {
    let mut pairs = Vec::new();
    for model in ["auto", "b", "c", "m0", "m1"] {
        let steps = (0..6).map(|step| {
            let mut tighter = Asked { model, header: None, ..asked.clone() };
            if step > 0 {
                tighten(&mut tighter.limits, step);
            }
            tighter.decide(policies)
        });
        let plans: Vec<Plan> = steps.flatten().collect();
        pairs.extend(plans.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())));
    }
    pairs
}

/// Whether a target of the plan has all that the request needs.
fn fits(policies: &Policies, asked: &Asked, plan: &Plan, name: &str) -> bool {
    let model = policies.catalogue().get(name).unwrap();
    let (needs, supports) = (asked.needs, model.supports);
    let passages = plan.grounding.as_ref().map_or(0, |grounding| grounding.passages_max as u64 * 200);
    let answer =
        needs.max_tokens.unwrap_or(u64::MAX).min(asked.signals.tokens_out).min(model.output_tokens_max);
    (!needs.tools || supports.tools)
        && (!needs.images || supports.images)
        && (!needs.audio || supports.audio)
        && (!needs.json || supports.json)
        && (!needs.logprobs || supports.logprobs)
        && (needs.n == 1 || model.missing().is_some() || model.provider() != "pointsman")
        && asked.signals.tokens_in + passages + answer <= model.context_tokens
}

/// A law over worlds in which nothing happens proves nothing.
#[test]
fn the_worlds_are_broad() {
    let mut runner = TestRunner::deterministic();
    let cases = (world(), asked());
    let mut seen = std::collections::BTreeMap::new();
    let total = 1000;
    for _ in 0..total {
        let (world, asked) = cases.new_tree(&mut runner).unwrap().current();
        let plan = asked.decide(&world.policies());
        let mut count =
            |name: &'static str, holds: bool| *seen.entry(name).or_insert(0) += usize::from(holds);
        match &plan {
            Ok(plan) => {
                let tracks = [Track::Local, Track::Retrieval, Track::External];
                for (name, track) in ["local", "retrieval", "external"].into_iter().zip(tracks) {
                    count(name, plan.track == track);
                }
                count("private", plan.private);
                count("shadow", plan.shadow.is_some());
                count("degraded", plan.degraded.is_some());
                count("several", plan.targets.len() > 1);
                count("named", plan.policy == "direct");
                count("evidence", plan.targets[0].estimate.evidence > 0.0);
                count("asked", !plan.steps.is_empty());
            }
            Err(error) => count(error.code, true),
        }
    }
    for (name, least) in [
        ("local", 150),
        ("retrieval", 100),
        ("external", 100),
        ("private", 150),
        ("shadow", 20),
        ("degraded", 100),
        ("several", 50),
        ("named", 100),
        ("evidence", 150),
        ("asked", 150),
        ("no_model_available", 10),
        ("budget_exceeded", 10),
        ("private_request", 10),
        ("unsupported_request", 10),
        ("budget_too_small", 10),
    ] {
        assert!(seen.get(name).copied().unwrap_or(0) >= least, "{name} of {total}: {seen:?}");
    }
}
