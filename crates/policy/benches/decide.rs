//! What a decision under the shipped policy costs: `cargo bench -p policy`.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a benchmark prints its figures and stops at a mistake"
)]

use std::hint::black_box;
use std::time::Instant;

use api::{Contract, Kind, Signals, Tenant};
use policy::{Catalogue, Conditions, Facts, Policies};

const ROUNDS: usize = 20_000;

fn main() {
    let models = include_str!("../../../config/models.toml");
    let text = include_str!("../../../config/policy.toml");
    let read = || {
        let catalogue = Catalogue::parse("models.toml", models, &|place| {
            (place == policy::file::Place::Variable("OPENAI_API_KEY")).then(|| "key".to_owned())
        });
        Policies::parse("policy.toml", text, &catalogue.expect("models.toml")).expect("policy.toml")
    };
    let started = Instant::now();
    let policies = read();
    println!("{:<44} {:>9.1} µs", "reading both files", started.elapsed().as_secs_f64() * 1e6);

    let knowing =
        Signals { kind: Kind::Question, knowledge: 0.9, coverage: 0.9, tokens_in: 60, ..Signals::default() };
    let chatty = Signals { mimicry: 0.9, tokens_in: 60, ..Signals::default() };
    for (name, model, signals) in [
        ("auto, all eleven questions, retrieval", "auto", &knowing),
        ("auto, the first question, external", "auto", &chatty),
        ("a named model", "gpt-4.1", &chatty),
    ] {
        println!("{name:<44} {:>9.1} µs", median(|| decide(&policies, model, signals)));
    }
}

fn decide(policies: &Policies, model: &str, signals: &Signals) {
    let tenant = Tenant::open();
    let facts = Facts {
        requested_model: model,
        stream: true,
        tools: false,
        images: false,
        audio: false,
        logprobs: false,
        contract: &Contract::Free,
        messages: 2,
        tenant: &tenant,
        tags: &[],
        task_header: None,
        store: None,
        latency_budget: None,
        cost_budget: None,
        private: false,
        max_tokens: None,
        n: 1,
    };
    let conditions = Conditions {
        available: &|_| Ok(()),
        observed: &|_| None,
        quality: &|_| None,
        index_ready: true,
        funds_remaining: None,
    };
    let route = policies.resolve(model, &tenant, None).expect("a known model");
    black_box(route.decide(&facts, signals, &conditions)).expect("a plan");
}

/// The median of many single calls, in µs.
fn median(work: impl Fn()) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            work();
            started.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}
