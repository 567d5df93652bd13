//! The shipped policy question by question, choices as a table, and the laws of every plan.

use std::time::Duration;

use api::{Contract, Fault, Kind, Money, Plan, Signal, Signals, TaskMatch, Tenant, Track};
use proptest::prelude::*;

use crate::{Catalogue, Conditions, Facts, Latency, Learned, Policies, explain};

const MODELS: &str = include_str!("../../../../config/models.toml");
const POLICY: &str = include_str!("../../../../config/policy.toml");

fn shipped(key: bool) -> Policies {
    let env = |name: &str| (key && name == "OPENAI_API_KEY").then(|| "sk-test".to_owned());
    let catalogue = Catalogue::parse("models.toml", MODELS, &env).unwrap();
    Policies::parse("policy.toml", POLICY, &catalogue).unwrap()
}

fn facts(tenant: &Tenant) -> Facts<'_> {
    Facts {
        requested_model: "auto",
        stream: false,
        tools: false,
        images: false,
        audio: false,
        logprobs: false,
        contract: &Contract::Free,
        messages: 1,
        tenant,
        tags: &[],
        task_header: None,
        latency_budget: None,
        cost_budget: None,
        private: false,
        max_tokens: None,
        n: 1,
    }
}

fn conditions() -> Conditions<'static> {
    Conditions {
        available: &|_| Ok(()),
        observed: &|_| None,
        quality: &|_| None,
        index_ready: true,
        funds_remaining: None,
    }
}

fn signals() -> Signals {
    Signals { kind: Kind::Question, tokens_in: 100, tokens_out: 100, ..Signals::default() }
}

fn task(in_distribution: f32, labels: u64) -> Option<TaskMatch> {
    Some(TaskMatch { name: "intent".into(), labels, in_distribution })
}

/// `track reason first-target`, or the error's code.
fn told(plan: &Result<Plan, api::Error>) -> String {
    match plan {
        Ok(plan) => format!("{} {} {}", plan.track, plan.reason, plan.targets[0].model),
        Err(error) => error.code.to_owned(),
    }
}

#[test]
fn the_shipped_policy_answers_each_question_of_the_flow() {
    let policies = shipped(true);
    let tenant = Tenant::open();
    let base = signals();
    let closed = |kind, task| Signals { kind, task, ..signals() };
    for (signals, expected) in [
        (Signals { mimicry: 0.9, ..base.clone() }, "external mimicry gpt-4.1-mini"),
        (
            Signals { reasoning: 0.9, kind: Kind::Reasoning, ..base.clone() },
            "external reasoning gpt-4.1-mini",
        ),
        (Signals { several_tasks: 0.9, ..base.clone() }, "external several-tasks gpt-4.1-mini"),
        // No head and no model for numbers here: the local track goes on to a larger one.
        (
            Signals { regression: 0.9, kind: Kind::Regression, ..base.clone() },
            "local regression gpt-4.1-mini",
        ),
        (closed(Kind::Classification, None), "external few-labels gpt-4.1-mini"),
        (closed(Kind::Classification, task(0.9, 20)), "external few-labels gpt-4.1-mini"),
        (closed(Kind::Classification, task(0.2, 900)), "external out-of-distribution gpt-4.1-mini"),
        (closed(Kind::Classification, task(0.9, 900)), "local knowledge task/intent"),
        (
            Signals { knowledge: 0.9, ..closed(Kind::Classification, task(0.9, 900)) },
            "local knowledge task/intent",
        ),
        (Signals { creative: 0.9, ..base.clone() }, "external creative gpt-4.1-mini"),
        (closed(Kind::Code, None), "external creative gpt-4.1-mini"),
        (Signals { kind: Kind::Rewriting, ..base.clone() }, "local knowledge gpt-4.1-mini"),
        (
            Signals { knowledge: 0.9, context_given: 0.9, context_sufficient: 0.9, ..base.clone() },
            "local context gpt-4.1-mini",
        ),
        (Signals { knowledge: 0.9, conflict: 0.9, ..base.clone() }, "retrieval conflict extractive"),
        (Signals { knowledge: 0.9, coverage: 0.9, ..base.clone() }, "retrieval covered extractive"),
        (Signals { knowledge: 0.9, coverage: 0.1, ..base.clone() }, "external covered gpt-4.1-mini"),
        (Signals { private_data: 0.9, mimicry: 0.9, ..base.clone() }, "local mimicry smollm2"),
    ] {
        let plan = policies.default_policy().decide(&facts(&tenant), &signals, &conditions());
        assert_eq!(told(&plan), expected, "{signals:?}");
    }
}

#[test]
fn passages_are_authoritative_only_where_the_question_says_so() {
    let (policies, tenant) = (shipped(true), Tenant::open());
    for (conflict, authoritative) in [(0.9, true), (0.1, false)] {
        let signals = Signals { knowledge: 0.9, coverage: 0.9, conflict, ..signals() };
        let plan = policies.default_policy().decide(&facts(&tenant), &signals, &conditions()).unwrap();
        let grounding = plan.grounding.unwrap();
        assert_eq!((grounding.authoritative, grounding.passages_max), (authoritative, 6));
        let models: Vec<&str> = plan.targets.iter().map(|target| target.model.as_str()).collect();
        assert_eq!(models, ["extractive", "gpt-4.1-mini", "gpt-4.1"]);
    }
    let signals = Signals { mimicry: 0.9, ..signals() };
    let plan = policies.default_policy().decide(&facts(&tenant), &signals, &conditions()).unwrap();
    assert_eq!(plan.grounding, None);
}

#[test]
fn what_stands_in_says_so() {
    let tenant = Tenant::open();
    let hard = Signals { reasoning: 0.9, kind: Kind::Reasoning, ..signals() };
    let knowing = Signals { knowledge: 0.9, conflict: 0.9, ..signals() };
    let no_index = Conditions { index_ready: false, ..conditions() };
    let down = Conditions { available: &|_| Err("it is resting for 20 s".into()), ..conditions() };
    let private = Facts { private: true, ..facts(&tenant) };
    for (key, name, facts, signals, conditions, expected, part) in [
        (
            false,
            "auto",
            &facts(&tenant),
            &hard,
            &conditions(),
            "local reasoning smollm2",
            "The external track could not take this request (gpt-4.1-mini: set OPENAI_API_KEY; gpt-4.1: set OPENAI_API_KEY); the local track did its best. The quality floor of 0.60 yielded: smollm2 is expected to reach 0.05.",
        ),
        (
            true,
            "auto",
            &facts(&tenant),
            &knowing,
            &no_index,
            "external conflict gpt-4.1-mini",
            "The retrieval track could not take this request (extractive: there is no index yet",
        ),
        (
            true,
            "auto",
            &private,
            &hard,
            &conditions(),
            "local reasoning smollm2",
            "(the request asks to stay on this host); the local track did its best.",
        ),
        (
            true,
            "on-host",
            &facts(&tenant),
            &hard,
            &conditions(),
            "local reasoning smollm2",
            "(requests under this policy stay on this host)",
        ),
        (
            true,
            "docs",
            &facts(&tenant),
            &hard,
            &no_index,
            "no_model_available",
            "extractive: there is no index yet: run `pointsman index build`",
        ),
        (
            true,
            "auto",
            &facts(&tenant),
            &hard,
            &down,
            "no_model_available",
            "smollm2: it is resting for 20 s",
        ),
    ] {
        let policies = shipped(key);
        let plan = policies.get(name).unwrap().decide(facts, signals, conditions);
        assert_eq!(told(&plan), expected);
        let said = plan.map_or_else(|error| error.message, |plan| plan.degraded.unwrap_or_default());
        assert!(said.contains(part), "{said}");
    }
}

/// Two external models and one local, with everything about them in the open.
fn small_world(rules: &str) -> Policies {
    let models = "[provider.p]\nbase_url = \"https://a\"\n\
        [[model]]\nname = \"cheap\"\nkind = \"openai\"\nprovider = \"p\"\ncontext_tokens = 1000\nsupports = [\"tools\"]\n\
        quality = { default = 0.6 }\nprices = { input = 1, output = 1 }\nfirst_token_ms = 100\nper_token_ms = 10\nprompt_token_us = 0\n\
        [[model]]\nname = \"good\"\nkind = \"openai\"\nprovider = \"p\"\ncontext_tokens = 9000\nsupports = [\"tools\", \"images\", \"json\"]\n\
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

#[test]
fn an_explanation_tells_the_whole_decision() {
    let (policies, tenant) = (shipped(true), Tenant::open());
    let signals = Signals { reasoning: 0.55, kind: Kind::Rewriting, language: "eng".into(), ..signals() };
    let policy = policies.default_policy();
    let plan = policy.decide(&facts(&tenant), &signals, &conditions()).unwrap();
    let text = explain(&plan, &signals);
    for part in [
        "gpt-4.1-mini, on the external track (policy auto, reason reasoning)\n",
        "  may take 120.0 s and cost ",
        "  no   mimicry    1. Is it mimicking a human (a chatbot, a persona)?  [task=, mimicry=0.00]\n",
        "  yes  reasoning  2. Is it hard",
        "[task=, reasoning=0.55]",
        "  gpt-4.1-mini  quality 0.80, cost 0.0002 USD (at most 0.0524688), first token 502 ms, whole 1.5 s\n",
        "request: rewriting (0.00 sure), language eng, 100 tokens in, about 100 out\n",
    ] {
        assert!(text.contains(part), "{text}\nlacks {part}");
    }
    let change = policy.nearest_change(&facts(&tenant), &signals, &conditions()).unwrap();
    assert_eq!(
        change.to_string(),
        "with reasoning at 0.499 instead of 0.550, gpt-4.1-mini on the local track"
    );
    let private = Signals { private_data: 0.9, ..signals };
    let plan = policy.decide(&facts(&tenant), &private, &conditions()).unwrap();
    let text = explain(&plan, &private);
    assert!(
        text.contains(
            "but: The external track could not take this request (the request carries private data"
        )
    );
    assert!(text.contains("not taken:\n  task          quality 0.00"), "{text}");
}

// === The laws ===

#[derive(Clone, Debug)]
struct World {
    policies: String,
    models: String,
}

impl World {
    fn policies(&self) -> Policies {
        let catalogue = Catalogue::parse("m", &self.models, &|_| None).unwrap();
        Policies::parse("p", &self.policies, &catalogue).unwrap()
    }
}

/// Models of any price, speed, quality and ability, and a policy with any rules over them.
fn world() -> impl Strategy<Value = World> {
    let supports = proptest::sample::subsequence(vec!["tools", "images", "json", "logprobs"], 0..=4);
    let model = (0.0..20.0f64, 0.0..1.0f64, 1..3000u32, 0..40u32, 200..20_000u32, supports);
    let yields = prop_oneof![Just("cost"), Just("latency"), Just("quality"), Just("refuse")];
    let fallback = prop_oneof![Just("local"), Just("refuse")];
    let track = prop_oneof![Just("local"), Just("external"), Just("retrieval")];
    (proptest::collection::vec(model, 3..7), yields, fallback, track, 0.0..1.0f64, 1..5u8).prop_map(
        |(models, yields, fallback, track, floor, attempts)| {
            let mut text = "[provider.p]\nbase_url = \"https://a\"\n".to_owned();
            let (mut locals, mut externals) = (Vec::new(), Vec::new());
            for (place, (price, quality, first, per_token, context, supports)) in models.iter().enumerate() {
                let (kind, names) = match place % 2 {
                    0 => ("kind = \"openai\"\nprovider = \"p\"", &mut externals),
                    _ => ("kind = \"llama\"\npath = \"x\"", &mut locals),
                };
                names.push(format!("\"m{place}\""));
                text += &format!(
                    "[[model]]\nname = \"m{place}\"\n{kind}\ncontext_tokens = {context}\nsupports = {supports:?}\n\
                     prices = {{ input = {price}, output = {price} }}\nquality = {{ default = {quality} }}\n\
                     first_token_ms = {first}\nper_token_ms = {per_token}\n"
                );
            }
            let (locals, externals) = (locals.join(", "), externals.join(", "));
            let policies = format!(
                "default = \"auto\"\n[privacy]\nprivate_data = 0.5\n[policy.auto]\ntrack = \"{track}\"\n\
                 quality_floor = {floor}\non_budget_miss = \"{yields}\"\nattempts_max = {attempts}\n\
                 targets.local = [\"task\", {locals}]\ntargets.external = [{externals}]\n\
                 targets.retrieval = [\"extractive\", {externals}, {locals}]\nescalate.local = [\"external\"]\n\
                 when_unavailable.external = \"{fallback}\"\nwhen_unavailable.retrieval = \"external\"\n"
            );
            World { policies, models: text }
        },
    )
}

#[derive(Clone, Debug)]
struct Asked {
    needs: [bool; 5],
    latency: Option<u64>,
    cost: Option<i64>,
    funds: Option<i64>,
    signals: Signals,
    max_tokens: Option<u64>,
}

fn asked() -> impl Strategy<Value = Asked> {
    let limits = (
        proptest::option::of(1..5000u64),
        proptest::option::of(0..40_000_000i64),
        proptest::option::of(0..400_000_000i64),
        proptest::option::of(1..2000u64),
    );
    let signals = (1..9000u64, 1..2000u64, 0.0..1.0f32, 0.0..1.0f32);
    let rare = proptest::bool::weighted(0.15);
    ([rare, rare, rare, rare, proptest::bool::weighted(0.3)], limits, signals).prop_map(
        |(needs, (latency, cost, funds, max_tokens), (tokens_in, tokens_out, private_data, like))| {
            let task = Some(TaskMatch { name: "t".into(), labels: 9, in_distribution: like });
            let signals = Signals { tokens_in, tokens_out, private_data, task, ..Signals::default() };
            Asked { needs, latency, cost, funds, signals, max_tokens }
        },
    )
}

fn decide(policies: &Policies, asked: &Asked, model: &str) -> Result<Plan, api::Error> {
    let tenant = Tenant::open();
    let contract = if asked.needs[2] { Contract::JsonObject } else { Contract::Free };
    let facts = Facts {
        tools: asked.needs[0],
        images: asked.needs[1],
        logprobs: asked.needs[3],
        private: asked.needs[4],
        contract: &contract,
        latency_budget: asked.latency.map(Duration::from_millis),
        cost_budget: asked.cost.map(Money::from_nanos),
        max_tokens: asked.max_tokens,
        ..facts(&tenant)
    };
    let funds_remaining = asked.funds.map(Money::from_nanos);
    let conditions = Conditions { funds_remaining, ..conditions() };
    policies.resolve(model, &tenant, None).unwrap().decide(&facts, &asked.signals, &conditions)
}

fn expected_cost(plan: &Plan) -> Money {
    plan.targets.iter().map(|target| target.estimate.cost).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_tighter_cost_budget_never_makes_a_plan_dearer(world in world(), asked in asked(), share in 0.0..1.0f64) {
        let policies = world.policies();
        for model in ["auto", "m0", "m1"] {
            let budget = asked.cost.unwrap_or(40_000_000);
            let tighter = Asked { cost: Some((budget as f64 * share) as i64), ..asked.clone() };
            if let (Ok(before), Ok(after)) = (decide(&policies, &asked, model), decide(&policies, &tighter, model)) {
                prop_assert!(after.targets[0].estimate.cost <= before.targets[0].estimate.cost);
                if before.degraded.is_none() && after.degraded.is_none() {
                    prop_assert!(expected_cost(&after) <= expected_cost(&before));
                    prop_assert!(after.cost_ceiling <= before.cost_ceiling);
                }
            }
        }
    }

    #[test]
    fn a_tighter_latency_budget_never_makes_a_plan_slower(world in world(), asked in asked(), share in 0.0..1.0f64) {
        let policies = world.policies();
        for model in ["auto", "m0", "m1"] {
            let budget = asked.latency.unwrap_or(60_000);
            let tighter = Asked { latency: Some((budget as f64 * share) as u64), ..asked.clone() };
            if let (Ok(before), Ok(after)) = (decide(&policies, &asked, model), decide(&policies, &tighter, model)) {
                prop_assert!(after.targets[0].estimate.whole <= before.targets[0].estimate.whole);
            }
        }
    }

    #[test]
    fn a_plan_never_costs_more_than_the_funds(world in world(), asked in asked(), share in 0.0..1.0f64) {
        let policies = world.policies();
        let funds = asked.funds.unwrap_or(400_000_000);
        let tighter = Asked { funds: Some((funds as f64 * share) as i64), ..asked.clone() };
        if let Ok(after) = decide(&policies, &tighter, "auto") {
            let worst: Money = after.targets.iter().map(|target| target.estimate.cost_max).sum();
            prop_assert!(Some(worst.nanos()) <= tighter.funds);
            prop_assert!(after.cost_ceiling <= worst);
            if let Ok(before) = decide(&policies, &asked, "auto") {
                prop_assert!(after.targets[0].estimate.cost_max <= before.targets[0].estimate.cost_max
                    || after.targets[0].model == before.targets[0].model
                    || after.targets[0].estimate.cost_max.nanos() <= tighter.funds.unwrap_or(0));
            }
        }
    }

    #[test]
    fn a_private_request_never_gets_an_external_target(world in world(), asked in asked()) {
        let policies = world.policies();
        for model in ["auto", "m0", "m1", "m2"] {
            let Ok(plan) = decide(&policies, &asked, model) else { continue };
            let private = asked.needs[4] || asked.signals.private_data >= 0.5;
            prop_assert_eq!(plan.private, private);
            for target in plan.targets.iter().filter(|_| private) {
                prop_assert_eq!(policies.catalogue().get(&target.model).unwrap().track, Track::Local);
            }
        }
    }

    #[test]
    fn the_same_inputs_give_the_same_plan(world in world(), asked in asked()) {
        let (one, other) = (world.policies(), world.policies());
        prop_assert_eq!(decide(&one, &asked, "auto"), decide(&other, &asked, "auto"));
    }

    #[test]
    fn no_plan_holds_a_target_that_the_request_excludes(world in world(), asked in asked()) {
        let policies = world.policies();
        for model in ["auto", "m0", "m1"] {
            let Ok(plan) = decide(&policies, &asked, model) else { continue };
            prop_assert!(!plan.targets.is_empty());
            let passages = plan.grounding.as_ref().map_or(0, |grounding| grounding.passages_max as u64 * 200);
            for target in &plan.targets {
                let model = policies.catalogue().get(&target.model).unwrap();
                let [tools, images, json, logprobs, _] = asked.needs;
                prop_assert!(!tools || model.supports.tools);
                prop_assert!(!images || model.supports.images);
                prop_assert!(!json || model.supports.json);
                prop_assert!(!logprobs || model.supports.logprobs);
                let answer = asked.max_tokens.unwrap_or(u64::MAX).min(asked.signals.tokens_out);
                let needed = asked.signals.tokens_in + passages + answer.min(model.output_tokens_max);
                prop_assert!(needed <= model.context_tokens);
                let place = plan.candidates.iter().filter(|candidate| candidate.model == target.model);
                prop_assert!(place.clone().count() == 1 && place.clone().all(|candidate| candidate.lost.is_empty()));
            }
            let told = plan.candidates.iter().filter(|candidate| candidate.lost.is_empty()).count();
            prop_assert_eq!(told, plan.targets.len());
        }
    }

    #[test]
    fn a_plan_that_admits_nothing_keeps_every_limit(world in world(), asked in asked()) {
        let Ok(plan) = decide(&world.policies(), &asked, "auto") else { return Ok(()) };
        let policies = world.policies();
        if plan.degraded.is_some() {
            return Ok(());
        }
        let floor = policies.default_policy().rules.quality_floor;
        prop_assert!(asked.cost.is_none_or(|cost| expected_cost(&plan).nanos() <= cost));
        for target in &plan.targets {
            prop_assert!(target.estimate.quality >= floor);
            prop_assert!(asked.latency.is_none_or(|ms| target.estimate.whole <= Duration::from_millis(ms)));
        }
    }
}
