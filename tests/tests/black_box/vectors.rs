//! Vectors and ranks: by the encoder in the process, and by models behind providers.

use serde_json::{Value, json};
use tests::{Answer, Gateway, Provider, Request, Setup, Vectors, run};

use crate::house::{setup, shared};

const KEYS: &str = "[[tenant]]\nname = \"open\"\nkey = \"open-key\"\n\n\
    [[tenant]]\nname = \"shy\"\nkey = \"shy-key\"\nprivate = true\n\n\
    [[tenant]]\nname = \"poor\"\nkey = \"poor-key\"\ndaily_budget_usd = 0.005\n\n\
    [[tenant]]\nname = \"careful\"\nkey = \"careful-key\"\ncost_budget_usd = 0.005\n";

fn with_vectors(provider: &Provider, vectors: &Vectors) -> Setup {
    let mut setup = setup(provider, &["ok"]).with("gateway.toml", KEYS);
    for (name, dialect, duty) in [
        ("embed", "openai", "embeddings"),
        ("embed-gemini", "gemini", "embeddings"),
        ("few", "openai", "embeddings"),
        ("e500", "openai", "embeddings"),
        ("rank", "openai", "rerank"),
    ] {
        setup = setup.with("models.toml", &vectors.model(name, dialect, duty));
    }
    setup
}

fn post(gateway: &Gateway, tenant: &str, path: &str, body: &Value) -> Answer {
    Request::post(path, body).header("x-api-key", &format!("{tenant}-key")).send(gateway.data)
}

#[test]
fn a_provider_gives_vectors_in_every_dialect_that_has_them() {
    let (provider, vectors) = (Provider::start(), Vectors::start());
    let setup = with_vectors(&provider, &vectors);
    let gateway = Gateway::start(&setup);
    let texts = json!(["a banana", "eel"]);
    for model in ["embed", "embed-gemini"] {
        let body = json!({"model": model, "input": texts});
        let answer = post(&gateway, "open", "/v1/embeddings", &body).expect(200);
        let told = answer.json();
        assert_eq!(told["data"][0]["embedding"], json!([4.0, 0.0, 0.0, 0.0]), "{model}: {told}");
        assert_eq!(told["data"][1]["embedding"], json!([0.0, 2.0, 0.0, 0.0]), "{model}: {told}");
        assert_eq!((&told["object"], &told["model"]), (&json!("list"), &json!(model)));
        assert_eq!(
            (answer.header("x-pointsman-track"), answer.header("x-pointsman-provider")),
            ("external", model)
        );
    }
    let packed = json!({"model": "embed", "input": "eel", "encoding_format": "base64"});
    let told = post(&gateway, "open", "/v1/embeddings", &packed).expect(200);
    assert_eq!(told.json()["data"][0]["embedding"], "AAAAAAAAAEAAAAAAAAAAAA==");
    // 1,000 tokens at 100 USD a million, and 0.01 USD for the request.
    assert_eq!(told.header("x-pointsman-cost-usd").parse::<f64>().unwrap(), 0.11);
    let models =
        Request::get("/v1/models").header("x-api-key", "open-key").send(gateway.data).json().to_string();
    assert!(models.contains("\"embed-gemini\"") && models.contains("\"rank\""), "{models}");
    gateway.stop();
    let report = run(&setup, &["report", "--json"]).stdout;
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["total"]["requests"], 3, "{report}");
}

#[test]
fn what_is_wrong_with_a_request_for_vectors_is_told() {
    let (provider, vectors) = (Provider::start(), Vectors::start());
    let gateway = Gateway::start(&with_vectors(&provider, &vectors));
    for (tenant, path, body, status, code, param) in [
        ("open", "embeddings", json!({"model": "embed", "input": []}), 400, "invalid_value", Some("input")),
        (
            "open",
            "embeddings",
            json!({"model": "embed", "input": ["a", ""]}),
            400,
            "invalid_value",
            Some("input[1]"),
        ),
        ("open", "embeddings", json!({"model": "rank", "input": "a"}), 404, "model_not_found", Some("model")),
        ("open", "embeddings", json!({"model": "ok", "input": "a"}), 404, "model_not_found", Some("model")),
        ("open", "embeddings", json!({"model": "few", "input": ["a", "b"]}), 502, "upstream_garbage", None),
        ("open", "embeddings", json!({"model": "e500", "input": "a"}), 502, "upstream_failed", None),
        (
            "open",
            "embeddings",
            json!({"model": "auto", "input": [[1, 2]]}),
            400,
            "invalid_value",
            Some("input"),
        ),
        (
            "open",
            "embeddings",
            json!({"model": "embed-gemini", "input": [[1, 2]]}),
            400,
            "unsupported_by_target",
            Some("input[0]"),
        ),
        ("open", "rerank", json!({"model": "rank", "query": "a"}), 400, "invalid_value", Some("documents")),
        (
            "open",
            "rerank",
            json!({"model": "rank", "query": "a", "documents": [{"title": "b"}]}),
            400,
            "invalid_value",
            Some("documents[0].text"),
        ),
        ("shy", "embeddings", json!({"model": "embed", "input": "a"}), 403, "private_request", None),
        (
            "shy",
            "rerank",
            json!({"model": "rank", "query": "a", "documents": ["b"]}),
            403,
            "private_request",
            None,
        ),
        ("poor", "embeddings", json!({"model": "embed", "input": "a"}), 429, "budget_exceeded", None),
        ("careful", "embeddings", json!({"model": "embed", "input": "a"}), 422, "cost_budget_exceeded", None),
        ("nobody", "embeddings", json!({"model": "embed", "input": "a"}), 401, "invalid_api_key", None),
    ] {
        let answer = post(&gateway, tenant, &format!("/v1/{path}"), &body);
        let told = answer.text();
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}: {told}");
        assert_eq!(answer.json()["error"]["param"].as_str(), param, "{body}: {told}");
    }
    let asked =
        post(&gateway, "open", "/v1/chat/completions", &tests::question("embed", json!({}))).expect(404);
    assert!(asked.message().contains("/v1/embeddings"), "{}", asked.message());
    // What is private is answered here.
    let own = json!({"model": "all-minilm-l6-v2", "input": "a"});
    post(&gateway, "shy", "/v1/embeddings", &own).expect(200);
}

#[test]
fn documents_are_ranked_here_and_by_a_provider() {
    let (provider, vectors) = (Provider::start(), Vectors::start());
    let gateway = Gateway::start(&with_vectors(&provider, &vectors));
    let documents = json!(["The court ruled on the tax.", "A young cat sleeps.", {"text": "The kitten naps on the sofa."}]);
    let body = json!({"model": "rank", "query": "the kitten", "documents": documents, "top_n": 2, "return_documents": true});
    let told = post(&gateway, "open", "/v1/rerank", &body).expect(200).json();
    assert_eq!(told["results"][0]["index"], 2, "{told}");
    assert_eq!(told["results"][0]["document"]["text"], "The kitten naps on the sofa.");
    assert_eq!(
        (told["results"].as_array().unwrap().len(), &told["meta"]["billed_units"]["search_units"]),
        (2, &json!(1.0))
    );
    let by_meaning = json!({"model": "auto", "query": "kitty", "documents": documents});
    let told = Request::post("/v1/rerank", &by_meaning).send(shared().gateway.data).expect(200).json();
    let order: Vec<u64> =
        told["results"].as_array().unwrap().iter().filter_map(|result| result["index"].as_u64()).collect();
    assert_eq!(order.last(), Some(&0), "{told}");
    assert!(
        told["results"]
            .as_array()
            .unwrap()
            .iter()
            .all(|result| { (0.0..=1.0).contains(&result["relevance_score"].as_f64().unwrap()) })
    );
}

#[test]
fn a_store_is_read_in_the_order_of_its_reranker() {
    let (provider, vectors) = (Provider::start(), Vectors::start());
    let with = |more: &str| {
        let setup = with_vectors(&provider, &vectors).with_changed(
            "gateway.toml",
            "path = \"built\"\n",
            &format!("path = \"built\"\n{more}"),
        );
        (0..8).fold(setup, |setup, number| {
            let more = if number == 5 { "At noon precisely the bells of the tower ring." } else { "" };
            let text = format!("# Bells {number}\n\nThe bells ring in the tower number {number}. {more}\n");
            setup.with_file(&format!("docs/bells-{number}.md"), &text)
        })
    };
    let setup = with("reranker = \"rank\"\nrerank_candidates = 8\n");
    let built = run(&setup, &["index", "build"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let gateway = Gateway::start(&setup);
    let question = json!({"model": "read", "messages": [{"role": "user", "content": "when precisely do the bells ring at noon"}]});
    let answer = post(&gateway, "open", "/v1/chat/completions", &question).expect(200);
    assert!(answer.content().contains("noon precisely"), "{}", answer.text());
    let asked = vectors.asked();
    assert_eq!(asked.last().unwrap()["documents"].as_array().unwrap().len(), 8, "{asked:?}");
    assert!(answer.header("x-pointsman-cost-usd").parse::<f64>().unwrap() > 0.01);
    // What may not leave this host is not ranked elsewhere.
    post(&gateway, "shy", "/v1/chat/completions", &question).expect(200);
    assert_eq!(vectors.asked().len(), asked.len());

    let wrong = with("reranker = \"embed\"\n");
    let output = run(&wrong, &["check", "--files-only"]);
    assert_eq!(output.code, Some(64), "{}", output.stderr);
    assert!(output.stderr.contains("reranker: models.toml has no model `embed`"), "{}", output.stderr);
}
