//! What the check lets through and what it says otherwise; what expressions answer.

use api::{Contract, Kind, Signals, TaskMatch, Tenant};

use super::*;
use crate::facts::{Facts, View};

#[test]
fn what_cannot_be_meant_is_refused_with_a_reason() {
    for (source, expected) in [
        ("reasoning >= 0.6", Ok(())),
        ("reasoning > 1 || tokens_in >= 500 && !request.tools", Ok(())),
        ("kind in [\"code\", \"creative\"] ? true : mimicry > 0.5", Ok(())),
        ("\"beta\" in tags || tags.exists(tag, tag.startsWith(\"team=\"))", Ok(())),
        ("size(tags.filter(t, t != \"x\")) > 0 && tags.all(t, size(t) < 9)", Ok(())),
        ("request.contract == \"json_schema\" && request.messages > 2", Ok(())),
        ("double(tokens_in) * 1.5 + 2.0 < 100.0", Ok(())),
        ("reasoning + knowledge", Err("gives a number, but a question is answered with yes or no")),
        (
            "reasonin >= 0.6",
            Err("`reasonin` is not a signal or a fact; did you mean `reasoning`?; allowed: kind"),
        ),
        ("request.tool", Err("`request.tool` is not a signal or a fact; did you mean `request.tools`?")),
        ("request", Err("`request` is not a signal or a fact")),
        (
            "kind == \"reasonning\"",
            Err("`kind` is never `reasonning`; did you mean `reasoning`?; allowed: chat"),
        ),
        ("kind in [\"chat\", \"kode\"]", Err("`kind` is never `kode`; did you mean `code`?")),
        ("request.contract == \"xml\"", Err("`request.contract` is never `xml`; allowed: free, labels")),
        ("kind > 0.5", Err("`>` does not go with a text and a number")),
        ("reasoning == \"high\"", Err("`==` does not go with a number and a text")),
        ("reasoning && true", Err("`&&` does not go with a number and yes or no")),
        ("reasoning >= 0.6 and mimicry > 0.5", Err("column")),
        ("reasoning >=", Err("this is not an expression that can be read (column")),
        ("", Err("this is not an expression that can be read")),
        ("tokens_in * 1.5 > 3.0", Err("`*` needs two numbers of one kind: write double(...)")),
        ("tokens_in / 2 > 3", Err("`/` does not go with a whole number and a whole number")),
        ("tokens_in % 2 == 0", Err("`%` is of no use")),
        ("tags[0] == \"a\"", Err("places in a list cannot be asked for")),
        ("has(request.model)", Err("`has(...)` is not needed")),
        ("matches(kind, \"a\")", Err("there is no function `matches`; allowed: size")),
        ("kind.contain(\"a\")", Err("there is no function `contain`; did you mean `contains`?")),
        ("kind in \"code\"", Err("`in` does not go with a text and a text")),
        ("1 in [1, \"a\"]", Err("a list holds a whole number and a text")),
        ("{\"a\": 1} == {\"a\": 1}", Err("maps and structs")),
        ("task_labels > 5u", Err("without `u`")),
        ("task == null", Err("nothing is ever null")),
    ] {
        let got = Expression::compile(source).map(|_| ());
        match (&got, expected) {
            (Ok(()), Ok(())) => {}
            (Err(message), Err(part)) => assert!(message.contains(part), "{source}: {message}"),
            _ => panic!("{source}: {got:?}, expected {expected:?}"),
        }
    }
    assert!(Expression::compile(&"true && ".repeat(1000)).is_err());
    assert!(Expression::compile(&format!("{}true{}", "(".repeat(300), ")".repeat(300))).is_err());
}

#[test]
fn an_expression_tells_what_it_reads_and_its_thresholds() {
    let expression = Expression::compile("0.5 <= mimicry && tokens_in > 900 && mimicry != 1.0").unwrap();
    let names: Vec<&str> = expression.reads().iter().map(|name| name.spelling()).collect();
    assert_eq!(names, ["mimicry", "tokens_in"]);
    let thresholds: Vec<f64> = expression.thresholds().iter().map(|threshold| threshold.at).collect();
    assert_eq!(thresholds, [0.5, 900.0]);
}

#[test]
fn answers_follow_the_request() {
    let tenant = Tenant::open();
    let tags = ["beta".to_owned(), "team=search".to_owned()];
    let facts = Facts {
        requested_model: "auto",
        stream: true,
        tools: false,
        images: false,
        audio: false,
        logprobs: false,
        contract: &Contract::JsonObject,
        messages: 3,
        tenant: &tenant,
        tags: &tags,
        task_header: None,
        store: None,
        latency_budget: None,
        cost_budget: None,
        private: false,
        max_tokens: None,
        n: 1,
    };
    let signals = Signals {
        kind: Kind::Code,
        reasoning: 0.7,
        knowledge: f32::NAN,
        tokens_in: u64::MAX,
        task: Some(TaskMatch { name: "intent".into(), labels: 60, in_distribution: 0.9, accepted: 1.0 }),
        ..Signals::default()
    };
    let view = View { facts: &facts, signals: &signals, index_ready: true };
    let context = context(&view);
    for (source, expected) in [
        ("reasoning >= 0.7", Ok(true)),
        ("reasoning > 0.7", Ok(false)),
        ("kind == \"code\" && request.contract == \"json_object\"", Ok(true)),
        (
            "task == \"intent\" && task_labels >= 50 && task_in_distribution > 0.5 && task_accepted == 1.0",
            Ok(true),
        ),
        ("\"beta\" in tags && tags.exists(t, t.startsWith(\"team=\")) && !(\"x\" in tags)", Ok(true)),
        ("tags.all(t, t == \"beta\")", Ok(false)),
        ("request.stream && request.messages == 3 && index_ready && tenant == \"default\"", Ok(true)),
        ("task_header == \"\" && language == \"und\" && request.model == \"auto\"", Ok(true)),
        ("knowledge == 0.0 && !request.private && !request.images", Ok(true)),
        ("tokens_in > 1000000", Ok(true)),
        ("tokens_in + tokens_in > 0", Err(())),
    ] {
        let expression = Expression::compile(source).unwrap();
        assert_eq!(expression.holds(&context).map_err(|_| ()), expected, "{source}");
    }
    assert_eq!(view.shown(Name::find("reasoning").unwrap()), "reasoning=0.70");
    assert_eq!(view.shown(Name::find("tags").unwrap()), "tags=beta,team=search");
}
