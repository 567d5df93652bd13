//! The choice among targets, as tables over a small world: two external models and one local.

use std::time::Duration;

use api::{Contract, Fault, Money, Signal, Signals, Tenant};

use super::{conditions, facts, signals, told};
use crate::{Catalogue, Conditions, Facts, Latency, Learned, Policies, explain};

fn small_world(rules: &str) -> Policies {
    let models = "[provider.p]\nbase_url = \"https://a\"\n\
        [[model]]\nname = \"cheap\"\nkind = \"provider\"\nprovider = \"p\"\ncontext_tokens = 1000\nsupports = [\"tools\"]\n\
        quality = { default = 0.6 }\nprices = { input = 1, output = 1 }\nfirst_token_ms = 100\nper_token_ms = 10\nprompt_token_us = 0\n\
        [[model]]\nname = \"good\"\nkind = \"provider\"\nprovider = \"p\"\ncontext_tokens = 9000\nsupports = [\"tools\", \"images\", \"json\"]\n\
        quality = { default = 0.9 }\nprices = { input = 10, output = 10 }\nfirst_token_ms = 50\nper_token_ms = 1\nprompt_token_us = 0\n\
        [[model]]\nname = \"local\"\nkind = \"llama\"\npath = \"x\"\nquality = { default = 0.3 }\nfirst_token_ms = 10\nper_token_ms = 20\nprompt_token_us = 0\n";
    let track = if rules.contains(".question]]") { "" } else { "track = \"external\"\n" };
    let policy = format!(
        "default = \"auto\"\n[policy.auto]\n{track}targets.local = [\"local\"]\n\
         targets.external = [\"cheap\", \"good\"]\n{rules}"
    );
    let catalogue = Catalogue::parse("m", models, &|_| None).unwrap();
    Policies::parse("p", &policy, &catalogue).unwrap()
}

#[test]
fn the_cheapest_over_the_floor_and_inside_the_budgets_is_taken() {
    let tenant = Tenant::open();
    let usd = |usd: f64| Money::from_usd(usd).unwrap();
    // cheap: 0.0002 USD and 1.1 s; good: 0.002 USD and 0.15 s; local: nothing and 2.01 s.
    let (open, signals) = (facts(&tenant), signals());
    let soon = Facts { latency_budget: Some(Duration::from_millis(500)), ..open };
    let poor = Facts { cost_budget: Some(usd(0.001)), ..open };
    let hopeless = Facts { latency_budget: soon.latency_budget, cost_budget: poor.cost_budget, ..open };
    let images = Facts { images: true, ..open };
    for (rules, facts, expected) in [
        ("", open, "cheap"),
        ("quality_floor = 0.8", open, "good"),
        ("", soon, "good"),
        ("", poor, "cheap"),
        ("latency_budget_ms = 500", open, "good"),
        ("cost_budget_usd = 0.001", open, "cheap"),
        ("cost_budget_usd = 1.0\nlatency_budget_ms = 500", poor, "budget_too_small"),
        ("quality_floor = 0.8", poor, "cheap yields"),
        ("quality_floor = 0.8\non_budget_miss = \"cost\"", poor, "good yields"),
        ("quality_floor = 0.8\non_budget_miss = \"refuse\"", poor, "budget_too_small"),
        ("quality_floor = 0.8\non_budget_miss = \"latency\"", poor, "cheap yields"),
        ("on_budget_miss = \"latency\"", hopeless, "cheap yields"),
        ("on_budget_miss = \"cost\"", hopeless, "good yields"),
        // Only the cost budget is left: the fastest inside it, not the cheapest.
        (
            "quality_floor = 0.95\non_budget_miss = \"latency\"\nescalate.external = [\"local\"]",
            hopeless,
            "cheap yields",
        ),
        ("", hopeless, "budget_too_small"),
        ("", images, "good"),
        ("", Facts { audio: true, ..open }, "unsupported_request"),
        ("when_unavailable.external = \"local\"", Facts { private: true, ..open }, "local yields"),
        ("", Facts { private: true, ..open }, "private_request"),
        ("", Facts { logprobs: true, ..open }, "unsupported_request"),
        ("", Facts { contract: &Contract::JsonObject, ..open }, "good"),
    ] {
        let plan = small_world(rules).default_policy().decide(&facts, &signals, &conditions());
        let got = match plan {
            Ok(plan) => {
                format!("{}{}", plan.targets[0].model, if plan.degraded.is_some() { " yields" } else { "" })
            }
            Err(error) => error.code.to_owned(),
        };
        assert_eq!(got, expected, "{rules} {facts:?}");
    }
    let long = Signals { tokens_in: 5000, ..signals };
    let plan = small_world("").default_policy().decide(&open, &long, &conditions()).unwrap();
    assert_eq!(plan.targets[0].model, "good");
    assert_eq!(plan.candidates[0].lost, "takes 1000 tokens in all, and this needs 5100");
}

#[test]
fn the_tenants_limits_count_where_they_are_stricter() {
    let signals = signals();
    let limits = |latency_ms: Option<u64>, cost_nanos: Option<i64>, quality_floor: Option<f32>| Tenant {
        latency_budget: latency_ms.map(Duration::from_millis),
        cost_budget: cost_nanos.map(Money::from_nanos),
        quality_floor,
        ..Tenant::open()
    };
    for (rules, tenant, expected) in [
        ("", limits(None, None, None), "cheap"),
        ("", limits(Some(500), None, None), "good"),
        ("latency_budget_ms = 500", limits(Some(5000), None, None), "good"),
        ("", limits(None, None, Some(0.8)), "good"),
        ("quality_floor = 0.8", limits(None, None, Some(0.1)), "good"),
        (
            "quality_floor = 0.8\non_budget_miss = \"refuse\"",
            limits(None, Some(1_000_000), None),
            "budget_too_small",
        ),
        ("cost_budget_usd = 0.001", limits(None, Some(1_000_000_000), None), "cheap"),
        // A floor yields as the policy says.
        ("cost_budget_usd = 0.001", limits(None, None, Some(0.8)), "cheap"),
    ] {
        let plan = small_world(rules).default_policy().decide(&facts(&tenant), &signals, &conditions());
        let got = plan.map_or_else(|error| error.code.to_owned(), |plan| plan.targets[0].model.clone());
        assert_eq!(got, expected, "{rules} {tenant:?}");
    }
}

#[test]
fn a_question_may_name_its_targets() {
    let (tenant, signals) = (Tenant::open(), signals());
    let ask = |when: &str, yes: &str| {
        let question = format!(
            "when_unavailable.external = \"local\"\n[[policy.auto.question]]\n\
             id = \"q\"\nask = \"?\"\nwhen = '{when}'\nyes = {yes}\nno = \"external\"\n"
        );
        small_world(&question)
    };
    let good = r#"{ track = "external", targets = ["good"] }"#;
    let open = facts(&tenant);
    for (policies, facts, expected) in [
        (ask("noise < 0.5", good), open, "good of good"),
        (ask("noise > 0.5", good), open, "cheap of cheap, good"),
        // Who stands in is who the policy names for that track.
        (ask("noise < 0.5", good), Facts { private: true, ..open }, "local of local, good"),
        (
            ask("noise < 0.5", r#"{ track = "local", targets = ["task", "local"] }"#),
            open,
            "local of task, local",
        ),
    ] {
        let plan = policies.default_policy().decide(&facts, &signals, &conditions()).unwrap();
        let models: Vec<&str> = plan.candidates.iter().map(|candidate| candidate.model.as_str()).collect();
        assert_eq!(format!("{} of {}", plan.targets[0].model, models.join(", ")), expected);
    }
    assert!(
        ask("noise < 0.5", r#"{ track = "local", targets = ["task"] }"#)
            .default_policy()
            .reads()
            .has(Signal::Task)
    );
}

#[test]
fn a_plan_tells_what_makes_the_next_target_answer() {
    let tenant = Tenant::open();
    let known = Conditions { quality: &|_| Some(Learned { quality: 0.95, evidence: 0.25 }), ..conditions() };
    for (rules, told) in [
        ("", "  asks the next target where an answer breaks its contract\n"),
        (
            "check.external = { whole = true, repetition = true }",
            "where an answer breaks its contract, or is cut off by the target's limit, or repeats itself\n",
        ),
        ("attempts_max = 1", "USD\ntargets, in the order"),
        ("check.external = { contract = false }", "USD\ntargets, in the order"),
        ("", "  cheap  quality 0.69 (evidence 0.25), cost 0.0002 USD"),
    ] {
        let plan = small_world(rules).default_policy().decide(&facts(&tenant), &signals(), &known).unwrap();
        let text = explain(&plan, &signals());
        assert!(text.contains(told), "{text}\nlacks {told}");
    }
}

#[test]
fn a_shadow_follows_only_what_may_be_seen() {
    let tenant = Tenant::open();
    let open = facts(&tenant);
    let rules = |model: &str, share: f32| {
        format!(
            "when_unavailable.external = \"local\"\nshadow = {{ model = \"{model}\", share = {share}, usd_per_day = 2 }}\n\
             [privacy]\nprivate_data = 0.5"
        )
    };
    let found = Signals { private_data: 0.6, ..signals() };
    let long = Signals { tokens_in: 950, ..signals() };
    let penniless = Conditions { funds_remaining: Some(Money::from_nanos(3_000_000)), ..conditions() };
    let down = Conditions {
        available: &|name| if name == "good" { Err("it rests".into()) } else { Ok(()) },
        ..conditions()
    };
    for (shadow, share, asked, facts, signals, conditions, expected) in [
        ("good", 0.25, "auto", open, &signals(), &conditions(), "cheap, good"),
        ("local", 0.25, "auto", open, &signals(), &conditions(), "cheap, local"),
        ("good", 0.0, "auto", open, &signals(), &conditions(), "cheap"),
        ("cheap", 0.25, "auto", open, &signals(), &conditions(), "cheap"),
        ("good", 0.25, "cheap", open, &signals(), &conditions(), "cheap"),
        ("good", 0.25, "auto", open, &found, &conditions(), "local"),
        ("good", 0.25, "auto", Facts { private: true, ..open }, &signals(), &conditions(), "local"),
        ("local", 0.25, "auto", Facts { tools: true, ..open }, &signals(), &conditions(), "cheap"),
        ("cheap", 0.25, "auto", open, &long, &conditions(), "good"),
        ("good", 0.25, "auto", open, &signals(), &down, "cheap"),
        // The tenant cannot pay for it, and need not.
        ("good", 0.25, "auto", open, &signals(), &penniless, "cheap, good"),
    ] {
        let policies = small_world(&rules(shadow, share));
        let route = policies.resolve(asked, &tenant, None).unwrap();
        let plan = route.decide(&facts, signals, conditions).unwrap();
        let text = explain(&plan, signals);
        let told = format!(
            "a share of 0.25 of such requests goes to {shadow} as well, for at most 2.00 USD a day\n"
        );
        assert_eq!(text.contains(&told), plan.shadow.is_some(), "{text}");
        let shadow = plan.shadow.map(|shadow| {
            assert_eq!((shadow.share, shadow.usd_per_day), (0.25, Money::from_nanos(2_000_000_000)));
            format!(", {}", shadow.model)
        });
        assert_eq!(
            format!("{}{}", plan.targets[0].model, shadow.unwrap_or_default()),
            expected,
            "{asked} {facts:?}"
        );
    }
}

#[test]
fn the_worst_case_must_be_within_the_funds() {
    let (policies, tenant) = (small_world(""), Tenant::open());
    let funds = |nanos| Conditions { funds_remaining: Some(Money::from_nanos(nanos)), ..conditions() };
    // cheap: 100 tokens in and at most 900 out at a dollar a million: 0.001 USD.
    let plan = policies.default_policy().decide(&facts(&tenant), &signals(), &funds(1_000_000)).unwrap();
    assert_eq!((plan.targets.len(), plan.cost_ceiling), (1, Money::from_nanos(1_000_000)));
    let error = policies.default_policy().decide(&facts(&tenant), &signals(), &funds(999_999)).unwrap_err();
    assert_eq!((error.fault, error.code), (Fault::BudgetExceeded, "budget_exceeded"));
    assert!(
        error.message.contains("cheap: may cost 0.001 USD, more than the 0.000999999 USD left"),
        "{}",
        error.message
    );
    // A request that limits its answer needs less.
    let short = Facts { max_tokens: Some(10), ..facts(&tenant) };
    assert!(policies.default_policy().decide(&short, &signals(), &funds(110_000)).is_ok());
}

#[test]
fn outcomes_and_observations_take_the_priors_place() {
    let (policies, tenant) = (small_world("latency_budget_ms = 2000"), Tenant::open());
    let decide = |conditions: &Conditions<'_>| {
        policies.default_policy().decide(&facts(&tenant), &signals(), conditions).unwrap().targets.remove(0)
    };
    let slow = |name: &str| {
        let ms = Duration::from_millis;
        (name == "cheap").then(|| Latency { first_token: ms(900), per_token: ms(50) })
    };
    assert_eq!(decide(&Conditions { observed: &slow, ..conditions() }).model, "good");
    let bad = |name: &str| (name == "cheap").then_some(Learned { quality: 0.1, evidence: 1.0 });
    assert_eq!(decide(&Conditions { quality: &bad, ..conditions() }).model, "good");
    let wild = |_: &str| Some(Learned { quality: f32::NAN, evidence: 1.0 });
    assert_eq!(decide(&Conditions { quality: &wild, ..conditions() }).estimate.quality, 0.6);
    assert_eq!(decide(&conditions()).estimate.whole, Duration::from_millis(1100));
}

#[test]
fn a_named_model_keeps_privacy_needs_and_budgets() {
    let tenant = Tenant::open();
    let open = facts(&tenant);
    let found = Signals { private_data: 0.9, ..signals() };
    let poor = Facts { cost_budget: Some(Money::from_nanos(1)), ..open };
    let privacy = "[privacy]\nprivate_data = 0.5";
    for (rules, model, facts, signals, expected) in [
        ("quality_floor = 0.99", "cheap", open, &signals(), "external named cheap"),
        ("", "local", Facts { private: true, ..open }, &signals(), "local named local"),
        ("", "task/intent", open, &signals(), "local named task/intent"),
        ("", "extractive", open, &signals(), "retrieval named extractive"),
        ("", "cheap", Facts { private: true, ..open }, &signals(), "private_request"),
        (privacy, "cheap", open, &found, "private_request"),
        (privacy, "cheap", open, &Signals { private_data: f32::NAN, ..signals() }, "private_request"),
        (
            "[privacy]\nprivate_data = 0.5\nnamed_models = false",
            "cheap",
            open,
            &found,
            "external named cheap",
        ),
        ("", "cheap", Facts { images: true, ..open }, &signals(), "unsupported_request"),
        ("", "cheap", poor, &signals(), "budget_too_small"),
        ("on_budget_miss = \"cost\"", "cheap", poor, &signals(), "external named cheap"),
        ("", "task/intent", Facts { tools: true, ..open }, &signals(), "unsupported_request"),
    ] {
        let policies = small_world(rules);
        let plan = policies.resolve(model, &tenant, None).unwrap().decide(&facts, signals, &conditions());
        assert_eq!(told(&plan), expected, "{rules} {model}");
        assert_eq!(plan.is_ok_and(|plan| plan.degraded.is_some()), rules.contains("cost"), "{rules} {model}");
    }
}
