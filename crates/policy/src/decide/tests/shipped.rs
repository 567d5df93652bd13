//! The shipped policy, question by question, and how a decision under it is told.

use api::{Kind, Signals, Tenant};

use super::{conditions, facts, shipped, signals, task, told};
use crate::{Conditions, Facts, explain};

#[test]
fn the_shipped_policy_answers_each_question_of_the_flow() {
    let policies = shipped(true);
    let tenant = Tenant::open();
    let base = signals();
    let asking = Signals { knowledge: 0.4, coverage: 0.9, ..signals() };
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
        // It looks like a question about a text, but the text is in the index.
        (Signals { kind: Kind::Comprehension, ..asking.clone() }, "retrieval covered extractive"),
        (Signals { conflict: 0.9, ..asking.clone() }, "retrieval conflict extractive"),
        (Signals { context_sufficient: 0.9, ..asking.clone() }, "local knowledge gpt-4.1-mini"),
        (Signals { kind: Kind::Rewriting, ..asking.clone() }, "local knowledge gpt-4.1-mini"),
        (Signals { coverage: 0.4, ..asking.clone() }, "local knowledge gpt-4.1-mini"),
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
        "[task=, reasoning=0.55]\n",
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
