//! Wrong `policy.toml` files as a table, the shipped one, and what a request's `model` stands for.

use std::sync::Arc;

use api::{Checks, Fault, Signal, Tenant, Track};

use super::*;

const MODELS: &str = "[provider.p]\nbase_url = \"https://a/v1\"\n\
    [[model]]\nname = \"big\"\nkind = \"provider\"\nprovider = \"p\"\ncontext_tokens = 9000\n\
    quality = { default = 0.9 }\nprices = { input = 1, output = 2 }\n\
    [[model]]\nname = \"small\"\nkind = \"llama\"\npath = \"x\"\nquality = { default = 0.4 }\n\
    [[alias]]\nname = \"gpt\"\nmodel = \"big\"\n";

fn catalogue() -> Catalogue {
    Catalogue::parse("models.toml", MODELS, &|_| None).unwrap()
}

fn parse(text: &str) -> Result<Policies, Mistakes> {
    Policies::parse("policy.toml", text, &catalogue())
}

const HEAD: &str =
    "default = \"auto\"\n[policy.auto]\ntargets.local = [\"small\"]\ntargets.external = [\"big\"]\n";

const SHADOW: &str = r#"{ model = "gpt", share = 0.01, usd_per_day = 1.0 }"#;

/// A file with these questions: `id: when ? yes : no`.
fn questions(lines: &[&str]) -> String {
    let mut text = HEAD.to_owned();
    for line in lines {
        let (id, rest) = line.split_once(": ").unwrap();
        let (when, turns) = rest.split_once(" ? ").unwrap();
        let (yes, no) = turns.split_once(" : ").unwrap();
        text += &format!(
            "[[policy.auto.question]]\nid = \"{id}\"\nask = \"?\"\nwhen = '{when}'\nyes = \"{yes}\"\nno = \"{no}\"\n"
        );
    }
    text
}

fn check(text: &str, expected: &str) {
    let got = parse(text).err().map(|mistakes| mistakes.to_string()).unwrap_or_default();
    assert!(if expected.is_empty() { got.is_empty() } else { got.contains(expected) }, "{text}\n---\n{got}");
}

#[test]
fn wrong_questions_are_told_with_line_and_key() {
    for (lines, expected) in [
        (&["a: mimicry > 0.5 ? external : local"][..], ""),
        (&["a: mimicry > 0.5 ? c : next", "b: noise > 0.5 ? local : c", "c: true ? local : external"], ""),
        (
            &["a: mimcry > 0.5 ? external : local"],
            "policy.toml:8: policy.auto.question[0].when: `mimcry` is not a signal",
        ),
        (&["a: mimicry ? external : local"], "question[0].when: this expression gives a number"),
        (
            &["a: mimicry > ? external : local"],
            "policy.toml:8: policy.auto.question[0].when: this is not an expression",
        ),
        (
            &["a: true ? extern : local"],
            "policy.toml:9: policy.auto.question[0].yes: `extern` is neither a track nor a question below; did you mean `external`?; allowed: local, retrieval, external, next",
        ),
        (
            &["a: true ? local : next"],
            "policy.toml:10: policy.auto.question[0].no: this is the last question",
        ),
        (
            &["a: noise > 0.1 ? a : local"],
            "question[0].yes: `a` is not below this question: a flow that goes back",
        ),
        (
            &["a: noise > 0.1 ? b : local", "b: noise > 0.2 ? a : local"],
            "policy.toml:15: policy.auto.question[1].yes: `a` is not below",
        ),
        (
            &[
                "a: noise > 0.1 ? c : local",
                "b: noise > 0.2 ? local : c",
                "c: noise > 0.3 ? local : external",
            ],
            "policy.toml:12: policy.auto.question[1].id: no answer leads to the question `b`",
        ),
        (
            &["a: true ? local : next", "b: noise > 0.2 ? local : external"],
            "question[1].id: no answer leads to the question `b`",
        ),
        (
            &["a: noise > 0.1 ? local : next", "a: noise > 0.2 ? local : external"],
            "question[1].id: the id `a` is given twice",
        ),
        (&["next: noise > 0.1 ? local : external"], "question[0].id: `next` already means a way to go on"),
        (&["a b: noise > 0.1 ? local : external"], "question[0].id: an id is made of letters"),
        (
            &["a: noise > 0.1 ? retrieval : external"],
            "policy.toml:2: policy.auto: requests can come to the retrieval track, but `targets.retrieval` names nobody",
        ),
    ] {
        check(&questions(lines), expected);
    }
}

#[test]
fn wrong_target_lists_of_questions_are_told_with_line_and_key() {
    // Lines 9 and 10 are `yes` and `no` of the first question.
    let ask = |yes: &str| {
        questions(&["a: noise > 0.1 ? external : local"])
            .replace("yes = \"external\"", &format!("yes = {yes}"))
    };
    for (yes, expected) in [
        (r#"{ track = "external", targets = ["gpt"] }"#, ""),
        (r#"{ track = "local", targets = ["task/x", "small"] }"#, ""),
        // The policy's own `targets.retrieval` is not asked for.
        (r#"{ track = "retrieval", targets = ["extractive"] }"#, ""),
        (r#"{ targets = ["big"] }"#, "policy.toml:9: policy.auto.question[0].yes.track: this key is missing"),
        (
            r#"{ track = "external" }"#,
            "policy.toml:9: policy.auto.question[0].yes.targets: this key is missing",
        ),
        (
            r#"{ track = "extrenal", targets = ["big"] }"#,
            "yes.track: `extrenal` is not known; did you mean `external`?",
        ),
        (
            r#"{ track = "external", targets = ["bigg"] }"#,
            "policy.toml:9: policy.auto.question[0].yes.targets[0]: there is no model `bigg`; did you mean `big`?",
        ),
        (r#"{ track = "local", targets = ["big"] }"#, "yes.targets[0]: `big` is not on this host"),
        (r#"{ track = "external", targets = ["task"] }"#, "yes.targets[0]: `task` answers with a label"),
        (
            r#"{ track = "external", targets = ["big", "big"] }"#,
            "yes.targets[1]: `big` is in this list twice",
        ),
        (r#"{ track = "external", targets = [] }"#, "yes.targets: this list names nobody"),
        (
            r#"{ track = "external", tragets = ["big"] }"#,
            "yes.tragets: this key is unknown; did you mean `targets`?",
        ),
        (r#"["big"]"#, "policy.toml:9: policy.auto.question[0].yes: this must be"),
    ] {
        check(&ask(yes), expected);
    }
    let passages = ask(r#"{ track = "retrieval", targets = ["big"] }"#) + "authoritative = true\n";
    check(&passages, "");
    let going_on = ask(r#"{ track = "retrieval", targets = ["big"] }"#)
        .replace("[policy.auto]", "[policy.auto]\nwhen_unavailable.external = \"retrieval\"");
    check(&going_on.replace("no = \"local\"", "no = \"external\""), "but `targets.retrieval` names nobody");
}

#[test]
fn wrong_policies_are_told_with_line_and_key() {
    let straight = format!("{HEAD}track = \"local\"\n");
    for (text, expected) in [
        (straight.clone(), ""),
        (
            String::new(),
            "policy.toml:1: default: this key is missing\npolicy.toml:1: policy: this key is missing",
        ),
        (
            straight.replace("default = \"auto\"", "default = \"aut\""),
            "default: there is no [policy.aut]; did you mean `auto`?",
        ),
        (HEAD.to_owned(), "policy.toml:2: policy.auto: this policy leads nowhere"),
        (
            format!(
                "{}track = \"local\"\n",
                questions(&["a: true ? local : external"]).replace("[[", "[policy.x]\n[[")
            ),
            "policy.auto.question",
        ),
        (
            straight.replace("[policy.auto]", "[policy.big]").replace("\"auto\"", "\"big\""),
            "policy.big: `big` already names something else",
        ),
        (
            straight.replace("\"small\"", "\"smal\""),
            "policy.toml:3: policy.auto.targets.local[0]: there is no model `smal`; did you mean `small`?; allowed: task, extractive, big",
        ),
        (straight.replace("\"small\"", "\"big\""), "targets.local[0]: `big` is not on this host"),
        (
            straight.replace("\"small\"", "\"extractive\""),
            "`extractive` quotes passages: it belongs into `targets.retrieval`",
        ),
        (
            straight.replace("[\"big\"]", "[\"task/x\"]"),
            "policy.toml:4: policy.auto.targets.external[0]: `task/x` answers with a label",
        ),
        (
            straight.replace("[\"big\"]", "[\"big\", \"gpt\"]"),
            "targets.external[1]: `gpt` is in this list twice",
        ),
        (
            straight.replace("targets.local", "targets.lokal"),
            "policy.auto.targets.lokal: this key is unknown; did you mean `local`?",
        ),
        (
            format!("{straight}quality_flor = 0.5"),
            "policy.toml:6: policy.auto.quality_flor: this key is unknown; did you mean `quality_floor`?",
        ),
        (
            format!("{straight}quality_floor = 60"),
            "policy.auto.quality_floor: this number is out of range; allowed: a number from 0 to 1",
        ),
        (
            format!("{straight}on_budget_miss = \"price\""),
            "on_budget_miss: `price` is not known; allowed: cost, latency, quality, refuse",
        ),
        (format!("{straight}latency_budget_ms = 0"), "latency_budget_ms: 0 is out of range"),
        (format!("{straight}cost_budget_usd = -1"), "cost_budget_usd: this number is out of range"),
        (
            format!("{straight}reference_model = \"bigg\""),
            "reference_model: there is no model `bigg`; did you mean `big`?",
        ),
        (
            format!("{straight}escalate.local = [\"retrieval\"]"),
            "escalate.local[0]: a plan cannot go on from local to `retrieval`; allowed: external",
        ),
        (
            format!("{straight}when_unavailable.local = \"local\""),
            "when_unavailable.local: `local` is not known; allowed: retrieval, external, refuse",
        ),
        (format!("{straight}when_unavailable.local = \"retrieval\""), "but `targets.retrieval` names nobody"),
        (
            format!("{straight}cache = {{ raed = true }}"),
            "policy.auto.cache.raed: this key is unknown; did you mean `read`?",
        ),
        (
            format!("{straight}check.local = {{ contact = true }}"),
            "policy.toml:6: policy.auto.check.local.contact: this key is unknown; did you mean `contract`?",
        ),
        (
            format!("{straight}check.remote = {{ whole = true }}"),
            "policy.auto.check.remote: this key is unknown",
        ),
        (format!("{straight}check.local = true"), "policy.auto.check.local: this must be a table"),
        (
            format!("{straight}check.local = {{ whole = 1 }}"),
            "policy.auto.check.local.whole: this must be true or false, not a whole number",
        ),
        (
            format!("{straight}check.local = {{ confidence_min = 1.5 }}"),
            "policy.auto.check.local.confidence_min: this number is out of range",
        ),
        (format!("{straight}check.local = {{ confidence_min = 0.5 }}"), ""),
        (
            format!("{straight}check.external = {{ confidence_min = 0.5 }}"),
            "policy.toml:6: policy.auto.check.external.confidence_min: confidence is read from log-probabilities, and \
             no model in `targets.external` gives them",
        ),
        (
            format!(
                "{straight}check.local = {{ confidence_min = 0.5 }}\n[policy.b]\nlike = \"auto\"\n\
                 targets.local = [\"task\"]"
            ),
            "policy.toml:7: policy.b: confidence is read from log-probabilities, and no model in `targets.local`",
        ),
        (format!("{straight}shadow = {SHADOW}"), ""),
        (
            format!("{straight}shadow = {}", SHADOW.replace("gpt", "gtp")),
            "policy.toml:6: policy.auto.shadow.model: there is no model `gtp`; did you mean `gpt`?; allowed: big, small, gpt",
        ),
        (
            format!("{straight}shadow = {}", SHADOW.replace("gpt", "extractive")),
            "policy.auto.shadow.model: `extractive` is built in: a shadow is a model of models.toml",
        ),
        (format!("{straight}shadow = {}", SHADOW.replace("gpt", "task")), "shadow.model: `task` is built in"),
        (
            format!("{straight}shadow = {}", SHADOW.replace("gpt", "task/x")),
            "shadow.model: `task/x` is built in",
        ),
        (
            format!("{straight}shadow = {}", SHADOW.replace("0.01", "1.01")),
            "policy.auto.shadow.share: this number is out of range; allowed: a number from 0 to 1",
        ),
        (
            format!("{straight}shadow = {}", SHADOW.replace(", usd_per_day = 1.0", "")),
            "policy.auto.shadow.usd_per_day: this key is missing",
        ),
        (
            format!("{straight}shadow = {}", SHADOW.replace("share", "shre")),
            "policy.auto.shadow.shre: this key is unknown; did you mean `share`?",
        ),
        (
            format!("{straight}private = true\nshadow = {SHADOW}"),
            "policy.toml:7: policy.auto.shadow: every request under this policy is private",
        ),
        (
            format!("{straight}[policy.b]\nlike = \"aut\""),
            "policy.b.like: there is no [policy.aut]; did you mean `auto`?",
        ),
        (
            format!("{straight}[policy.b]\nlike = \"auto\"\n[policy.c]\nlike = \"b\""),
            "policy.c.like: `b` is like another policy itself",
        ),
        (
            format!("{straight}[policy.b]\ntrack = \"local\""),
            "policy.toml:6: policy.b: requests can come to the local track",
        ),
        (
            format!(
                "{}[policy.b]\nlike = \"auto\"",
                straight.replace("default = \"auto\"", "default = \"b\"")
            ),
            "there is a [policy.auto], so the default must be `auto`",
        ),
        (
            format!("{straight}[privacy]\nprivate_data = 2"),
            "privacy.private_data: this number is out of range",
        ),
        (
            format!("{straight}[policy.\"a b\"]\nlike = \"auto\""),
            "policy.\"a b\": a policy's name is made of",
        ),
    ] {
        check(&text, expected);
    }
    let both = format!(
        "{straight}[[policy.auto.question]]\nid = \"a\"\nask = \"?\"\nwhen = \"true\"\nyes = \"local\"\nno = \"local\"\n"
    );
    check(&both, "policy.toml:5: policy.auto.track: a policy has a `track` or questions, not both");
    let authority = questions(&["a: noise > 0.1 ? local : external"]) + "authoritative = true";
    check(
        &authority,
        "policy.toml:11: policy.auto.question[0].authoritative: only passages can be declared right",
    );
}

#[test]
fn a_policy_takes_over_what_it_does_not_say() {
    let text = questions(&["a: noise > 0.1 ? local : external"])
        + "[policy.auto.check]\nlocal = { whole = true }\n[policy.auto.shadow]\nmodel = \"gpt\"\nshare = 0.01\nusd_per_day = 1\n"
        + "[privacy]\nprivate_data = 0.8\n[policy.b]\nlike = \"auto\"\nquality_floor = 0.9\nprivate_data = 0.95\n\
           targets.local = [\"task\"]\n[policy.c]\nlike = \"auto\"\nprivate_data = 0.3\n\
           check.local = {}\nshadow = { model = \"big\", share = 0, usd_per_day = 0 }\n";
    let policies = parse(&text).unwrap();
    let (auto, b, c) =
        (policies.get("auto").unwrap(), policies.get("b").unwrap(), policies.get("c").unwrap());
    assert!(Arc::ptr_eq(&auto.flow, &b.flow));
    assert_eq!((auto.rules.quality_floor, b.rules.quality_floor), (0.5, 0.9));
    assert_eq!(&*b.targets(Track::Local)[0].name, "task");
    assert_eq!(&*b.targets(Track::External)[0].name, "big");
    let checks = Checks { whole: true, ..Checks::default() };
    assert_eq!((auto.checks.of(Track::Local), b.checks.of(Track::Local)), (&checks, &checks));
    assert_eq!(
        (auto.checks.of(Track::External), c.checks.of(Track::Local)),
        (&Checks::default(), &Checks::default())
    );
    let shares =
        [auto, b, c].map(|policy| policy.shadow.as_ref().map(|shadow| (&*shadow.model.name, shadow.share)));
    assert_eq!(shares, [Some(("big", 0.01)), Some(("big", 0.01)), Some(("big", 0.0))]);
    // A policy may be stricter than the file, never laxer.
    assert_eq!((b.rules.privacy.private_data, c.rules.privacy.private_data), (Some(0.8), Some(0.3)));
    assert!(b.reads().has(Signal::TaskInDistribution) && !auto.reads().has(Signal::TaskInDistribution));
    assert!(auto.reads().has(Signal::Noise) && !auto.reads().has(Signal::Mimicry));
    assert!(auto.reads_named().has(Signal::PrivateData) && !auto.reads_named().has(Signal::Noise));
}

#[test]
fn the_shipped_files_fit_together() {
    let models = include_str!("../../../../config/models.toml");
    let catalogue = Catalogue::parse("config/models.toml", models, &|_| None).unwrap();
    let text = include_str!("../../../../config/policy.toml");
    let policies =
        Policies::parse("config/policy.toml", text, &catalogue).map_err(|told| told.to_string()).unwrap();
    let names: Vec<&str> = policies.all().iter().map(|policy| &**policy.name()).collect();
    assert_eq!(names, ["auto", "economy", "best", "on-host", "docs"]);
    let auto = policies.default_policy();
    assert_eq!(auto.flow.questions.len(), 11);
    assert_eq!(&*auto.reference_model().unwrap().name, "gpt-4.1");
    assert!(auto.reads().has(Signal::Coverage) && auto.reads().has(Signal::PrivateData));
    assert!(!policies.get("docs").unwrap().reads().has(Signal::Mimicry));
}

#[test]
fn a_requests_model_is_resolved() {
    let text = format!("{HEAD}track = \"local\"\n[policy.b]\nlike = \"auto\"\n");
    let policies = parse(&text).unwrap();
    let open = Tenant::open();
    let tenant = Tenant { policy: Some("b".into()), ..Tenant::open() };
    let lost = Tenant { policy: Some("gone".into()), ..Tenant::open() };
    let told =
        |model: &str, tenant: &Tenant, header: Option<&str>| match policies.resolve(model, tenant, header) {
            Ok(Route::Policy(policy)) => format!("policy {}", policy.name()),
            Ok(Route::Direct { model, under }) => format!("{} under {}", model.name, under.name()),
            Ok(Route::Task { name, under, .. }) => format!("task {name} under {}", under.name()),
            Err(error) => format!("{} {} {}", error.fault.status(), error.code, error.message),
        };
    for (model, tenant, header, expected) in [
        ("auto", &open, None, "policy auto"),
        ("auto", &tenant, None, "policy b"),
        ("auto", &tenant, Some("auto"), "policy auto"),
        ("b", &open, None, "policy b"),
        ("big", &tenant, None, "big under b"),
        ("gpt", &open, Some("b"), "big under b"),
        ("task/intent", &open, None, "task intent under auto"),
        ("extractive", &open, None, "extractive under auto"),
        (
            "bigg",
            &open,
            None,
            "404 model_not_found There is no model `bigg`. Did you mean `big`? There are: auto, b, big, small, gpt, and task/NAME for each trained task.",
        ),
        ("auto", &open, Some("c"), "404 policy_not_found There is no policy `c`. There are: auto, b."),
    ] {
        assert_eq!(told(model, tenant, header), expected);
    }
    assert_eq!(policies.resolve("auto", &lost, None).unwrap_err().fault, Fault::Internal);
}

#[test]
fn the_choice_of_a_policy_does_not_loosen_privacy() {
    let text = format!(
        "{HEAD}track = \"local\"\n[policy.closed]\nlike = \"auto\"\nprivate = true\n\
         [policy.careful]\nlike = \"auto\"\nprivate_data = 0.2\n[policy.open]\nlike = \"auto\"\n[privacy]\n\
         private_data = 0.8\nnamed_models = false\n"
    );
    let policies = parse(&text).unwrap();
    let under = |policy: &str| Tenant { policy: Some(policy.into()), ..Tenant::open() };
    for (standing, model, header, always, private_data) in [
        ("open", "auto", None, false, 0.8),
        ("open", "auto", Some("closed"), true, 0.8),
        ("closed", "auto", Some("open"), true, 0.8),
        ("closed", "open", None, true, 0.8),
        ("closed", "big", Some("open"), true, 0.8),
        ("closed", "auto", Some("careful"), true, 0.2),
        ("careful", "auto", Some("closed"), true, 0.2),
        ("careful", "auto", Some("open"), false, 0.2),
        ("careful", "open", Some("closed"), false, 0.2),
    ] {
        let tenant = under(standing);
        let policy = policies.resolve(model, &tenant, header).unwrap().policy();
        let privacy = policy.rules.privacy;
        assert_eq!(
            (privacy.always, privacy.private_data),
            (always, Some(private_data)),
            "{standing} {model} {header:?}"
        );
    }
}
