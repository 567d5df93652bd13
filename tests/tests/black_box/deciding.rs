//! Decisions after the fact: told again by their ids, judged by feedback, refined by outcomes, checked, compared.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tests::{ANSWER, Gateway, Provider, Request, Setup, eventually, run};

use crate::house::{setup, shared};

#[test]
fn a_past_decision_is_told_by_its_id() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok"]);
    let gateway = Gateway::start(&setup);
    let first = gateway.ask("auto", json!({"seed": 1})).expect(200);
    let id = first.header("x-pointsman-decision");
    let told = gateway.admin(&format!("/api/decisions/{id}")).expect(200).json();
    assert_eq!(told["policy"], "plain");
    assert_eq!(told["targets"][0]["model"], "ok");
    assert_eq!(told["record"]["status"], 200);
    assert_eq!(told["record"]["model"], "ok");
    assert!(!told.to_string().contains("What is the weather"), "no text of the request: {told}");
    // The same question again comes from the cache, and the decision behind it can still be told.
    let again = gateway.ask("auto", json!({"seed": 1})).expect(200);
    let cached = again.header("x-pointsman-decision");
    let latest = gateway.admin("/api/decisions?limit=1").expect(200).json();
    assert_eq!(latest["decisions"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&latest["decisions"][0]["kind"], &latest["decisions"][0]["record"]["id"]),
        (&json!("cached"), &json!(cached))
    );
    let text = run(&setup, &["explain", "--decision", cached]);
    assert_eq!(text.code, Some(0), "{}", text.stderr);
    assert!(text.stdout.contains(&format!("the answer to {id}")), "{}", text.stdout);
    assert!(text.stdout.contains("ok, on the external track (policy plain"), "{}", text.stdout);

    gateway.admin("/api/decisions/none").expect(404);
    assert_eq!(gateway.admin("/api/decisions?limit=0").expect(400).json()["error"]["param"], "limit");
    let unknown = run(&setup, &["explain", "--decision", "none"]);
    assert_eq!(unknown.code, Some(64));
    assert!(unknown.stderr.contains("no decision `none`"), "{}", unknown.stderr);
}

fn judge(gateway: &Gateway, body: &Value, key: Option<&str>) -> tests::Answer {
    let request = Request::post("/v1/feedback", body);
    let request = match key {
        Some(key) => request.header("authorization", &format!("Bearer {key}")),
        None => request,
    };
    request.send(gateway.data)
}

#[test]
fn feedback_is_taken_for_answers_that_were_given_to_the_same_key() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok"]).with(
        "gateway.toml",
        "[[tenant]]\nname = \"a\"\nkey = \"key-a\"\n[[tenant]]\nname = \"b\"\nkey = \"key-b\"\n",
    );
    let gateway = Gateway::start(&setup);
    let request = Request::post("/v1/chat/completions", &tests::question("ok", json!({})));
    let answer = request.header("authorization", "Bearer key-a").send(gateway.data).expect(200);
    let id = answer.json()["id"].as_str().unwrap_or_default().to_owned();
    let decision = answer.header("x-pointsman-decision").to_owned();
    let taken = judge(&gateway, &json!({"id": decision, "score": 0.25}), Some("key-a")).expect(200).json();
    assert_eq!((&taken["model"], &taken["score"]), (&json!("ok"), &json!(0.25)));
    let label = judge(&gateway, &json!({"id": decision, "label": ANSWER}), Some("key-a")).expect(200).json();
    assert_eq!(label["score"], 1.0);
    let bad = judge(&gateway, &json!({"id": decision, "verdict": "bad"}), Some("key-a")).expect(200).json();
    assert_eq!(bad["score"], 0.0);
    judge(&gateway, &json!({"id": decision, "score": 1}), Some("key-b")).expect(404);
    judge(&gateway, &json!({"id": decision, "score": 1}), None).expect(401);
    judge(&gateway, &json!({"id": "nobody", "score": 1}), Some("key-a")).expect(404);
    let wrong = judge(&gateway, &json!({"id": decision, "stars": 5}), Some("key-a")).expect(400);
    assert_eq!(wrong.json()["error"]["param"], "stars");
    assert!(id.starts_with("chatcmpl-"));
    // Three verdicts on one answer are one outcome: the last.
    let listed = run(&setup, &["outcomes", "list"]);
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    let line = listed.stdout.lines().find(|line| line.starts_with("feedback")).unwrap_or_default();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["feedback", "1", "ok"]);
}

#[test]
fn a_private_answer_cannot_be_judged() {
    let body = json!({"model": "near", "messages": [{"role": "user", "content": "between us"}]});
    let private = Request::post("/v1/chat/completions", &body).header("x-pointsman-privacy", "local");
    let answer = private.send(shared().gateway.data).expect(200);
    let id = answer.header("x-pointsman-decision");
    judge(&shared().gateway, &json!({"id": id, "score": 1}), None).expect(404);
}

/// Outcomes of two models: `ok+cheap` fails at sums and is good at greetings, `ok` is always good.
fn outcomes() -> String {
    let mut text = String::new();
    for number in 0..60 {
        let (prompt, cheap) = if number % 2 == 0 {
            (format!("Add {number} and {} and multiply the sum by {}.", number * 7, number + 3), 0)
        } else {
            (format!("Say hello to my {number}th guest of the evening."), 1)
        };
        let line = json!({
            "id": number, "prompt": prompt, "group": if cheap == 0 { "sums" } else { "greetings" },
            "models": {"small": {"score": cheap, "cost": 0.001}, "large": {"score": 1, "cost": 0.01}},
        });
        let _ = writeln!(text, "{line}");
    }
    text
}

fn two_models(provider: &Provider) -> Setup {
    // Dearer than the cheap one, so that it is taken only where the cheap one is not good enough.
    setup(provider, &["ok", "ok+cheap"])
        .with_changed("policy.toml", "targets.external = [\"ok\"]", "targets.external = [\"ok+cheap\", \"ok\"]\nquality_floor = 0.7")
        .with_changed(
            "models.toml",
            "[[model]]\nname = \"ok\"\nkind = \"provider\"\nprovider = \"ok\"\nprices = { input = 1.0, cached_input = 0.5, output = 2.0 }",
            "[[model]]\nname = \"ok\"\nkind = \"provider\"\nprovider = \"ok\"\nprices = { input = 9.0, cached_input = 0.5, output = 9.0 }",
        )
        .with_file("bench.jsonl", &outcomes())
}

#[test]
fn outcomes_move_requests_like_theirs_and_no_others() {
    let provider = Provider::start();
    let setup = two_models(&provider);
    let gateway = Gateway::start(&setup);
    let route = |text: &str| {
        let body = json!({"model": "auto", "messages": [{"role": "user", "content": text}]});
        Request::post("/v1/route", &body).send(gateway.data).expect(200).json()
    };
    let sum = "Add 31 and 77 and multiply the sum by 12.";
    assert_eq!(route(sum)["targets"][0]["model"], "ok+cheap", "both are good enough by the priors");
    let data = setup.path("bench.jsonl");
    let imported = run(
        &setup,
        &["outcomes", "import", data.to_str().unwrap(), "--as", "small=ok+cheap", "--as", "large=ok"],
    );
    assert_eq!(imported.code, Some(0), "{}", imported.stderr);
    assert!(imported.stdout.contains("bench: 60 requests taken in"), "{}", imported.stdout);
    eventually("the gateway takes up what was learnt", || route(sum)["targets"][0]["model"] == "ok");
    let told = route(sum);
    let cheap = told["candidates"].as_array().unwrap().iter().find(|one| one["model"] == "ok+cheap").unwrap();
    assert!(cheap["estimate"]["evidence"].as_f64().unwrap() > 0.3, "{cheap}");
    assert!(cheap["estimate"]["quality"].as_f64().unwrap() < 0.7, "{cheap}");
    assert_eq!(route("Say hello to my 12th guest of the evening.")["targets"][0]["model"], "ok+cheap");

    let gone = run(&setup, &["outcomes", "remove", "bench"]);
    assert_eq!(gone.code, Some(0), "{}", gone.stderr);
    let none = run(&setup, &["outcomes", "remove", "bench"]);
    assert_eq!(none.code, Some(64));
    gateway.signal("HUP");
    eventually("what was learnt is forgotten", || route(sum)["targets"][0]["model"] == "ok+cheap");
}

#[test]
fn wrong_outcomes_are_told_by_line_and_change_nothing() {
    let provider = Provider::start();
    let setup = two_models(&provider).with_file(
        "bad.jsonl",
        "{\"id\": 1}\n{\"id\":2,\"prompt\":\"p\",\"models\":{\"m\":{\"score\":2,\"cost\":1}}}\n",
    );
    let data = setup.path("bad.jsonl");
    let refused = run(&setup, &["outcomes", "import", data.to_str().unwrap()]);
    assert_eq!(refused.code, Some(64));
    for part in ["bad.jsonl:1: a line must be", "bad.jsonl:2: models.m.score is 2"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    assert!(!setup.path("var/outcomes/bad.jsonl").exists());
}

/// A gateway whose first target gives answers that fail the check.
fn checking(provider: &Provider, first: &str, check: &str) -> (Setup, Gateway) {
    let setup = setup(provider, &["ok", first]).with_changed(
        "policy.toml",
        "targets.external = [\"ok\"]",
        &format!("targets.external = [\"{first}\", \"ok\"]\ncheck.external = {check}"),
    );
    let gateway = Gateway::start(&setup);
    (setup, gateway)
}

#[test]
fn an_answer_that_fails_its_check_goes_on_to_the_next_target_and_is_paid_for() {
    for (first, check) in [("loops", "{ repetition = true }"), ("unsure", "{ confidence_min = 0.5 }")] {
        let provider = Provider::start();
        let (_setup, gateway) = checking(&provider, first, check);
        let answer = gateway.ask("auto", json!({})).expect(200);
        assert_eq!(answer.content(), ANSWER);
        assert_eq!((answer.header("x-pointsman-model"), answer.header("x-pointsman-attempts")), ("ok", "2"));
        assert_eq!(answer.header("x-pointsman-cost-usd"), "0.000046", "both answers are paid for");
        assert!(
            answer.json()["choices"][0]["logprobs"].is_null(),
            "what only the check asked for is not told"
        );
        // A stream that is to be checked is held until it is whole.
        let body = tests::question("auto", json!({"stream": true, "seed": 2}));
        let (text, _) =
            crate::streams::text(Request::post("/v1/chat/completions", &body).open(gateway.data).events());
        assert_eq!(text, ANSWER);
    }
}

#[test]
fn a_shadow_is_compared_off_the_path() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok", "ok+shadow"]).with_changed(
        "policy.toml",
        "targets.external = [\"ok\"]",
        "targets.external = [\"ok\"]\nshadow = { model = \"ok+shadow\", share = 1.0, usd_per_day = 0.01 }",
    );
    let gateway = Gateway::start(&setup);
    let answer = gateway.ask("auto", json!({})).expect(200);
    assert_eq!(answer.header("x-pointsman-attempts"), "1");
    eventually("the shadow is compared", || gateway.metric("pointsman_shadows_total{") >= 1.0);
    assert_eq!(provider.attempts("ok+shadow").len(), 1);
    gateway.ask("auto", json!({"seed": 2})).expect(200);
    eventually("the second too", || gateway.metric("pointsman_shadows_total{") >= 2.0);
    assert_eq!(provider.attempts("ok+shadow").len(), 2, "what one may cost is not what one day may");
    assert!(gateway.metric("pointsman_shadow_agreement_sum") > 0.999, "the answers are the same");
    let shadow = gateway.admin("/api/decisions?limit=1").expect(200).json()["decisions"][0].clone();
    assert_eq!((&shadow["kind"], &shadow["record"]["tenant"]), (&json!("shadow"), &json!("shadow of plain")));
    assert_eq!(shadow["record"]["cost_usd"], json!(0.000_023), "{shadow}");
}
