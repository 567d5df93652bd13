//! Each track, reached through the port and told in the headers.

use serde_json::{Value, json};
use tests::{ANSWER, Gateway, Provider, Request, run};

use crate::house::{setup, shared};

#[test]
fn an_external_model_answers_and_the_headers_tell_all() {
    let answer = shared().gateway.ask("ok", json!({"seed": 1})).expect(200);
    assert_eq!(answer.content(), ANSWER);
    for (name, value) in [
        ("x-pointsman-track", "external"),
        ("x-pointsman-model", "ok"),
        ("x-pointsman-provider", "ok"),
        ("x-pointsman-attempts", "1"),
        ("x-pointsman-cost-usd", "0.000023"),
        ("x-pointsman-saved-usd", "0.00"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    assert!(!answer.header("x-pointsman-decision").is_empty());
    assert!(!answer.header("x-request-id").is_empty());
    assert!(answer.header("x-pointsman-overhead-ms").parse::<f64>().unwrap() > 0.0);
    let body = answer.json();
    assert_eq!(body["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
    assert_eq!(body["system_fingerprint"], "fp_test", "unknown fields come back");
}

#[test]
fn a_request_id_of_the_callers_comes_back() {
    let body = json!({"model": "ok", "messages": [{"role": "user", "content": "id"}]});
    let request = Request::post("/v1/chat/completions", &body).header("x-request-id", "mine-7");
    let answer = request.send(shared().gateway.data).expect(200);
    assert_eq!(answer.header("x-request-id"), "mine-7");
}

#[test]
fn auto_goes_where_the_default_policy_says() {
    let answer = shared().gateway.ask("auto", json!({"seed": 2})).expect(200);
    assert_eq!((answer.header("x-pointsman-track"), answer.header("x-pointsman-model")), ("external", "ok"));
}

#[test]
fn a_server_of_the_operators_own_is_local() {
    let body = json!({"model": "near", "messages": [{"role": "user", "content": "hi"}]});
    let private = Request::post("/v1/chat/completions", &body).header("x-pointsman-privacy", "local");
    let answer = private.send(shared().gateway.data).expect(200);
    assert_eq!(answer.header("x-pointsman-track"), "local");
    assert_eq!(answer.header("x-pointsman-cost-usd"), "0.00");
}

#[test]
fn a_private_request_never_leaves_this_host() {
    let before = shared().provider.attempts("ok+usage").len();
    for model in ["ok+usage", "auto"] {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "secret"}]});
        let private = Request::post("/v1/chat/completions", &body).header("x-pointsman-privacy", "local");
        let answer = private.send(shared().gateway.data);
        assert!([403, 503].contains(&answer.status), "{}: {}", answer.status, answer.text());
    }
    assert_eq!(shared().provider.attempts("ok+usage").len(), before);
}

#[test]
fn the_model_in_the_process_answers_whole_and_streamed() {
    let more = json!({"max_tokens": 12, "temperature": 0, "seed": 1});
    let whole = shared().gateway.ask("small", more.clone()).expect(200);
    assert_eq!(
        (whole.header("x-pointsman-track"), whole.header("x-pointsman-provider")),
        ("local", "pointsman")
    );
    let usage = &whole.json()["usage"];
    assert!(
        usage["prompt_tokens"].as_u64().unwrap() > 5 && usage["completion_tokens"].as_u64().unwrap() <= 12
    );
    let mut streamed = more;
    streamed["stream"] = json!(true);
    // Past the cache: this must be the model again.
    let body = tests::question("small", streamed);
    let request = Request::post("/v1/chat/completions", &body).header("cache-control", "no-cache");
    let (text, _) = crate::streams::text(request.open(shared().gateway.data).events());
    assert_eq!(text, whole.content(), "greedy decoding says the same twice");
}

#[test]
fn the_index_answers_with_citations_and_admits_what_it_lacks() {
    let ask = |question: &str| {
        shared()
            .gateway
            .chat(&json!({"model": "read", "messages": [{"role": "user", "content": question}]}))
            .expect(200)
    };
    let answer = ask("Which colour does the signal lamp of the harbour line have at night?");
    assert_eq!(answer.header("x-pointsman-track"), "retrieval");
    let text = answer.content();
    assert!(text.contains("violet") && text.contains("[1]"), "{text}");
    assert!(answer.text().contains("harbour.md"), "{}", answer.text());
    let foreign = ask("How many moons does the planet Jupiter have?").content();
    assert!(foreign.contains("does not cover"), "{foreign}");
}

#[test]
fn a_trained_task_answers_with_a_label() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok"]).with_file("mood.jsonl", &moods());
    let data = setup.path("mood.jsonl");
    let trained = run(&setup, &["task", "train", "mood", "--data", data.to_str().unwrap()]);
    assert_eq!(trained.code, Some(0), "{}", trained.stderr);
    let gateway = Gateway::start(&setup);
    let ask = |text: &str, more: Value| {
        let mut body = json!({"model": "task/mood", "messages": [{"role": "user", "content": text}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        gateway.chat(&body).expect(200)
    };
    let answer = ask("What a lovely, wonderful day, I am so happy", json!({}));
    assert_eq!((answer.content().as_str(), answer.header("x-pointsman-track")), ("glad", "local"));
    assert_eq!(answer.header("x-pointsman-model"), "task/mood");
    assert_eq!(ask("This is terrible and makes me sad", json!({})).content(), "sad");
    let as_json = ask("I am so happy today", json!({"response_format": {"type": "json_object"}})).content();
    let as_json: Value = serde_json::from_str(&as_json).unwrap();
    assert!(as_json.to_string().contains("glad"), "{as_json}");
    let missing = gateway.ask("task/none", json!({})).expect(404);
    assert_eq!(missing.code(), "model_not_found");
}

pub(crate) fn moods() -> String {
    let things = ["day", "trip", "meal", "letter", "song", "room", "game", "film", "walk", "gift"];
    let glad = ["What a wonderful", "I love this happy", "Such joy, a lovely", "I am delighted by this"];
    let sad = ["What a terrible", "I hate this sad", "Such misery, an awful", "I am in tears over this"];
    let mut lines = String::new();
    for thing in things {
        for (label, openings) in [("glad", glad), ("sad", sad)] {
            for opening in openings {
                lines += &json!({"text": format!("{opening} {thing}"), "label": label}).to_string();
                lines.push('\n');
            }
        }
    }
    lines
}

#[test]
fn a_decision_can_be_seen_without_the_call() {
    let before = shared().provider.attempts("ok").len();
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "only tell me the way"}]});
    let plan = Request::post("/v1/route", &body).send(shared().gateway.data).expect(200).json();
    assert!(plan.to_string().contains("\"external\""), "{plan}");
    assert_eq!(shared().provider.attempts("ok").len(), before);
}

#[test]
fn models_are_listed_and_looked_up() {
    let get = |path: &str| Request::get(path).send(shared().gateway.data);
    let list = get("/v1/models").expect(200).json();
    let ids: Vec<&str> =
        list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    for id in ["auto", "plain", "read", "ok", "small", "near"] {
        assert!(ids.contains(&id), "{id} is not in {ids:?}");
        let one = get(&format!("/v1/models/{id}")).expect(200).json();
        assert_eq!((one["id"].as_str(), one["object"].as_str()), (Some(id), Some("model")));
    }
    assert_eq!(get("/v1/models/none").expect(404).code(), "model_not_found");
}

#[test]
fn texts_become_vectors() {
    let model = "all-minilm-l6-v2";
    let body = json!({"model": model, "input": ["a train", "a railway", "a pudding"]});
    let answer = Request::post("/v1/embeddings", &body).send(shared().gateway.data).expect(200).json();
    let vector = |place: usize| -> Vec<f64> {
        answer["data"][place]["embedding"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_f64().unwrap())
            .collect()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let (train, railway, pudding) = (vector(0), vector(1), vector(2));
    assert_eq!(train.len(), 384);
    assert!((dot(&train, &train) - 1.0).abs() < 1e-3);
    assert!(dot(&train, &railway) > dot(&train, &pudding) + 0.1);
    assert!(answer["usage"]["prompt_tokens"].as_u64().unwrap() > 0);
}
