//! Worlds for the laws: any catalogue, and any policies over it.

use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::{Catalogue, Policies};

/// Two files that fit together.
#[derive(Clone, Debug)]
pub(super) struct World {
    models: String,
    policies: String,
}

impl World {
    pub(super) fn policies(&self) -> Policies {
        let catalogue = Catalogue::parse("m", &self.models, &|_| None).unwrap();
        let read = Policies::parse("p", &self.policies, &catalogue);
        read.unwrap_or_else(|mistakes| panic!("{mistakes}\n{}", self.policies))
    }
}

/// Probabilities in steps of a twentieth: often equal to a threshold, and to each other.
pub(super) fn share() -> impl Strategy<Value = f32> {
    (0..=20u8).prop_map(|steps| f32::from(steps) / 20.0)
}

/// One line of TOML, or none.
fn line<T: std::fmt::Display>(
    key: &'static str,
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = String> {
    option::weighted(0.4, value)
        .prop_map(move |value| value.map_or(String::new(), |value| format!("{key} = {value}\n")))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sort {
    /// Behind an API.
    External,
    /// On a server of the operator's.
    Nearby,
    /// In this process.
    Inside,
}

/// The table of one model, without its name.
fn model(sort: Sort) -> impl Strategy<Value = String> {
    let kind = match sort {
        Sort::External => "kind = \"provider\"\nprovider = \"p\"\n",
        Sort::Nearby => "kind = \"provider\"\nprovider = \"q\"\ntrack = \"local\"\n",
        Sort::Inside => "kind = \"llama\"\npath = \"x\"\n",
    };
    let prices = (0.0..20.0f64, 0.0..20.0f64, prop_oneof![Just(0.0), 0.0..0.01f64]);
    let speed = (1..3000u32, 0..20u32, 0..500u32);
    let sizes = (200..20_000u32, line("output_tokens_max", 1..4000u32));
    let supports = subsequence(vec!["tools", "images", "audio", "json", "logprobs"], 2..=5);
    let quality = (share(), share(), option::of(share()));
    (prices, speed, sizes, supports, quality).prop_map(
        move |(
            (input, output, request),
            (first, each, reading),
            (context, output_max),
            supports,
            quality,
        )| {
            let (default, code, grounded) = quality;
            let grounded = grounded.map_or(String::new(), |grounded| format!(", grounded = {grounded}"));
            format!(
                "{kind}context_tokens = {context}\n{output_max}supports = {supports:?}\n\
                 prices = {{ input = {input}, output = {output}, request = {request} }}\n\
                 quality = {{ default = {default}, code = {code}{grounded} }}\n\
                 first_token_ms = {first}\nper_token_ms = {each}\nprompt_token_us = {reading}\n"
            )
        },
    )
}

fn models() -> impl Strategy<Value = Vec<(Sort, String)>> {
    let sorts = vec(select(vec![Sort::External, Sort::Nearby, Sort::Inside]), 1..5);
    // One of each side at least, or no track has a target.
    sorts.prop_flat_map(|more| {
        let all: Vec<Sort> = [Sort::External, Sort::Inside].into_iter().chain(more).collect();
        all.into_iter().map(|sort| (Just(sort), model(sort))).collect::<Vec<_>>()
    })
}

/// Where an answer leads, as it is written; `next` only where there is one.
fn turn(names: &[Vec<String>; 3]) -> impl Strategy<Value = String> + use<> {
    let names = names.clone();
    let list = (0..3usize).prop_flat_map(move |track| {
        let all = names[track].clone();
        let some = 1..=all.len();
        subsequence(all, some)
            .prop_map(move |some| format!("{{ track = \"{}\", targets = {some:?} }}", TRACKS[track]))
    });
    prop_oneof![3 => select(TRACKS.to_vec()).prop_map(|track| format!("\"{track}\"")), 1 => list]
}

const TRACKS: [&str; 3] = ["local", "retrieval", "external"];

/// A condition that reads something.
fn condition() -> impl Strategy<Value = String> {
    let number =
        select(vec!["knowledge", "noise", "reasoning", "coverage", "private_data", "task_in_distribution"]);
    let sign = select(vec![">=", ">", "<", "<="]);
    prop_oneof![
        4 => (number, sign, share()).prop_map(|(name, sign, at)| format!("{name} {sign} {at:?}")),
        1 => (0..3000u32).prop_map(|at| format!("tokens_in > {at}")),
        1 => (share(), share()).prop_map(|(a, b)| format!("task == \"\" && noise >= {a:?} || creative >= {b:?}")),
        1 => select(vec!["request.tools", "request.private", "index_ready", "\"beta\" in tags", "kind == \"code\""])
            .prop_map(str::to_owned),
    ]
}

/// The questions of the policy `auto`: each but the last can go on to the next one.
fn flow(names: &[Vec<String>; 3]) -> impl Strategy<Value = String> + use<> {
    let question = (condition(), turn(names), turn(names), any::<bool>());
    vec(question, 1..5).prop_map(|questions| {
        let last = questions.len() - 1;
        let told = questions.iter().enumerate().map(|(place, (when, one, other, on_yes))| {
            let (yes, no) = match (place < last, on_yes) {
                (false, _) => (one.as_str(), other.as_str()),
                (true, true) => ("\"next\"", other.as_str()),
                (true, false) => (one.as_str(), "\"next\""),
            };
            format!(
                "[[policy.auto.question]]\nid = \"q{place}\"\nask = \"?\"\nwhen = '{when}'\nyes = {yes}\nno = {no}\n"
            )
        });
        told.collect()
    })
}

/// The keys that any policy may have.
fn rules() -> impl Strategy<Value = String> {
    let limits = (
        line("quality_floor", share()),
        line("latency_budget_ms", 1..30_000u32),
        line("cost_budget_usd", 0.0..0.1f64),
        line("private_data", share()),
        line("private", weighted(0.2)),
        line("attempts_max", 2..6u8),
    );
    let quoted = |values: Vec<&'static str>| select(values).prop_map(|value| format!("\"{value}\""));
    let ways = (
        line("on_budget_miss", quoted(vec!["cost", "latency", "quality", "refuse"])),
        line("escalate.local", select(vec!["[]", "[\"external\"]"])),
        line("escalate.retrieval", select(vec!["[\"local\", \"external\"]", "[\"external\"]"])),
        line("escalate.external", select(vec!["[]", "[\"local\"]"])),
        line("when_unavailable.local", quoted(vec!["retrieval", "external", "refuse"])),
        line("when_unavailable.retrieval", quoted(vec!["local", "external", "refuse"])),
        line("when_unavailable.external", quoted(vec!["local", "retrieval", "refuse"])),
    );
    (limits, ways).prop_map(|(limits, ways)| {
        let (a, b, c, d, e, f) = limits;
        let (g, h, i, j, k, l, m) = ways;
        [a, b, c, d, e, f, g, h, i, j, k, l, m].concat()
    })
}

/// A shadow, where the rules allow one.
fn shadowed(rules: &str, model: Option<usize>, share: f32) -> String {
    match model.filter(|_| !rules.contains("private = true")) {
        Some(model) => format!("shadow = {{ model = \"m{model}\", share = {share}, usd_per_day = 1 }}\n"),
        None => String::new(),
    }
}

/// Models of any price, speed, quality and ability, and three policies with any rules over them.
pub(super) fn world() -> impl Strategy<Value = World> {
    models().prop_flat_map(|models| {
        let count = models.len();
        let names = |wanted: &dyn Fn(Sort) -> bool, first: &str| {
            let of_sort = models.iter().enumerate().filter(|(_, (sort, _))| wanted(*sort));
            let found = of_sort.map(|(place, _)| format!("m{place}"));
            Some(first.to_owned())
                .filter(|first| !first.is_empty())
                .into_iter()
                .chain(found)
                .collect::<Vec<_>>()
        };
        let lists = [
            names(&|sort| sort != Sort::External, "task"),
            names(&|_| true, "extractive"),
            names(&|_| true, ""),
        ];
        let text: String = models
            .iter()
            .enumerate()
            .map(|(place, (_, table))| format!("[[model]]\nname = \"m{place}\"\n{table}"))
            .collect();
        let shadow = || (option::of(0..count), share());
        let privacy = (line("private_data", share()), line("named_models", any::<bool>()));
        let like = select(TRACKS.to_vec());
        (
            Just((text, lists.clone())),
            flow(&lists),
            [rules(), rules(), rules()],
            [shadow(), shadow(), shadow()],
            privacy,
            like,
        )
            .prop_map(|((models, lists), flow, rules, shadows, (least, named), track)| {
                let [auto, b, c]: [String; 3] = std::array::from_fn(|at| {
                    let (model, share) = shadows[at];
                    format!(
                        "{}{}",
                        rules[at],
                        shadowed(&rules[at], model.filter(|_| !rules[0].contains("private = true")), share)
                    )
                });
                let [local, retrieval, external] = lists;
                let providers = "[provider.p]\nbase_url = \"https://a\"\n\
                                 [provider.q]\nbase_url = \"http://b\"\nallow_private_addresses = true\n";
                let policies = format!(
                    "default = \"auto\"\n[privacy]\n{least}{named}[policy.b]\nlike = \"auto\"\n{b}\
                     [policy.c]\nlike = \"auto\"\ntrack = \"{track}\"\n{c}\
                     [policy.auto]\ntargets.local = {local:?}\ntargets.retrieval = {retrieval:?}\n\
                     targets.external = {external:?}\n{auto}{flow}"
                );
                World { models: format!("{providers}{models}"), policies }
            })
    })
}
