//! Embeddings and rerank: requests and answers of every kind of provider, made by hand from the documented formats.
//!
//! `golden/embeddings` and `golden/rerank` hold lists of cases. A case of `requests.json` has a client's `request` and either
//! the field that is `refused`, or what is `sent` by wire: a body, or `{"refused": "<param>"}`. A case of `answers.json` has
//! a provider's `answer` and either its `trouble` or what the client is told of it.

#![expect(clippy::panic, clippy::expect_used, reason = "a broken expectation is how a test fails")]

use std::collections::BTreeSet;
use std::path::Path;

use api::Error;
use bytes::Bytes;
use dialects::{Embedded, EmbeddingsRequest, RerankRequest, Reranked, Trouble, Wire};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const MODEL: &str = "their-model";
const CLIENTS_MODEL: &str = "my-model";

fn wire(name: &str) -> Wire {
    match name {
        "azure" => Wire::Azure,
        "chat" => Wire::Chat,
        "gemini" => Wire::Gemini,
        "messages" => Wire::Messages,
        "responses" => Wire::Responses,
        _ => panic!("no wire {name}"),
    }
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_else(|| panic!("no object: {value}"))
}

/// The cases of one file.
fn cases(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    let text = std::fs::read_to_string(path).expect("a readable file");
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|problem| panic!("{file}: {problem}"));
    assert!(!cases.is_empty(), "{file}");
    cases
}

fn check_equal(name: &Value, what: &str, got: &Value, expected: &Value) {
    assert_eq!(got, expected, "{name}: {what}");
}

/// A request as `read` checks it and `write` sends it.
fn check_request<R>(
    case: &Value,
    read: impl Fn(Map<String, Value>) -> Result<R, Error>,
    write: impl Fn(Wire, &R) -> Result<Bytes, Error>,
) {
    let name = &case["name"];
    let request = match read(object(&case["request"])) {
        Ok(request) => request,
        Err(error) => {
            assert_eq!(error.fault.status(), 400, "{name}");
            return check_equal(name, "refused", &json!(error.param), &case["refused"]);
        }
    };
    assert!(case.get("refused").is_none(), "{name}: it was taken");
    for (to, expected) in case["sent"].as_object().expect("what is sent") {
        let got = match write(wire(to), &request) {
            Ok(body) => serde_json::from_slice(&body).expect("JSON"),
            Err(error) => {
                assert_eq!(error.fault.status(), 400, "{name}: {to}");
                json!({"refused": error.param})
            }
        };
        check_equal(name, to, &got, expected);
    }
}

/// How a client is told an answer, under the case's key for it.
type Telling<'a, A> = (&'a str, &'a dyn Fn(&A) -> Value);

/// An answer as it is read, whole and cut at every byte, and as it is told.
fn check_answer<A>(case: &Value, read: impl Fn(&[u8]) -> Result<A, Trouble>, told: &[Telling<'_, A>]) {
    let name = &case["name"];
    let bytes = serde_json::to_vec(&case["answer"]).expect("JSON");
    match (read(&bytes), case["trouble"].as_str()) {
        (Ok(answer), None) => {
            let mut checked = 0;
            for (key, tell) in told.iter().filter(|(key, _)| case.get(*key).is_some()) {
                check_equal(name, key, &tell(&answer), &case[*key]);
                checked += 1;
            }
            assert!(checked > 0, "{name} expects nothing");
        }
        (Err(Trouble::Garbage(_)), Some("garbage")) | (Err(Trouble::InBand(_)), Some("error")) => {}
        (Ok(_), expected) => panic!("{name}: it was taken, and is {expected:?}"),
        (Err(trouble), expected) => panic!("{name}: {trouble:?}, and is {expected:?}"),
    }
    for cut in 0..bytes.len() {
        assert!(read(&bytes[..cut]).is_err(), "{name}: whole when cut at {cut}");
    }
}

#[test]
fn embeddings_requests_are_written_for_each_provider_or_refused_by_name() {
    for case in cases("embeddings/requests.json") {
        check_request(&case, EmbeddingsRequest::from_body, |wire, request| {
            wire.embeddings_body(request, MODEL)
        });
    }
}

#[test]
fn vectors_are_one_for_each_input_or_no_answer() {
    for case in cases("embeddings/answers.json") {
        let count = case["count"].as_u64().and_then(|count| usize::try_from(count).ok()).expect("a count");
        let wire = wire(case["wire"].as_str().expect("a wire"));
        check_answer(
            &case,
            |body| wire.embedded(body, count),
            &[
                ("floats", &|answer: &Embedded| answer.body(CLIENTS_MODEL, false)),
                ("base64", &|answer: &Embedded| answer.body(CLIENTS_MODEL, true)),
            ],
        );
    }
}

#[test]
fn rerank_requests_are_written_for_each_provider_or_refused_by_name() {
    for case in cases("rerank/requests.json") {
        check_request(&case, RerankRequest::from_body, |wire, request| wire.rerank_body(request, MODEL));
    }
}

#[test]
fn ranks_are_of_documents_that_were_sent_or_no_answer() {
    for case in cases("rerank/answers.json") {
        let request = RerankRequest::from_body(object(&case["request"])).expect("a request");
        let read = |body: &[u8]| Wire::Chat.reranked(body, request.documents.len())?.best(request.wanted());
        check_answer(
            &case,
            read,
            &[("body", &|answer: &Reranked| answer.body("rerank-1", &request, CLIENTS_MODEL))],
        );
    }
}

fn embeddings(inputs: &Value) -> Result<EmbeddingsRequest, Error> {
    EmbeddingsRequest::from_body(object(&json!({ "model": "m", "input": inputs })))
}

fn ranks(documents: usize) -> Result<RerankRequest, Error> {
    let documents = vec!["d"; documents];
    RerankRequest::from_body(object(&json!({ "model": "m", "query": "q", "documents": documents })))
}

fn check_param<T: std::fmt::Debug>(got: Result<T, Error>, expected: Option<&str>) {
    assert_eq!(got.err().and_then(|error| error.param).as_deref(), expected);
}

#[test]
fn there_are_only_so_many_of_them() {
    check_param(embeddings(&json!(vec!["x"; 2_048])), None);
    check_param(embeddings(&json!(vec!["x"; 2_049])), Some("input"));
    check_param(embeddings(&json!(vec![7; 10_000])), None);
    check_param(ranks(1_000), None);
    check_param(ranks(1_001), Some("documents"));
    let gemini = |inputs: usize| {
        let request = embeddings(&json!(vec!["x"; inputs])).expect("a request");
        Wire::Gemini.embeddings_body(&request, MODEL)
    };
    check_param(gemini(100), None);
    check_param(gemini(101), Some("input"));
}

#[test]
fn vectors_of_another_length_than_was_asked_for_are_no_answer() {
    let given = br#"{"data":[{"index":0,"embedding":[1,2,3]}]}"#;
    for (dimensions, taken) in [(None, true), (Some(3), true), (Some(2), false), (Some(4), false)] {
        let embedded = Wire::Chat.embedded(given, 1).expect("a vector");
        assert_eq!(embedded.of_length(dimensions).is_ok(), taken, "{dimensions:?}");
    }
}

/// A list of vectors as a careless provider might write it: any places, lengths and numbers, some beyond 32 bits.
fn careless_vectors() -> impl Strategy<Value = Value> {
    let number = prop_oneof![4 => (-1e3..1e3).prop_map(|n: f64| json!(n)), 1 => Just(json!(1e39)), 1 => Just(Value::Null)];
    let embedding = prop_oneof![
        8 => vec(number, 2..4).prop_map(Value::Array),
        1 => "[A-Za-z0-9+/]{4,16}".prop_map(Value::String),
    ];
    let item = (0..4_usize, embedding)
        .prop_map(|(index, embedding)| json!({"index": index, "embedding": embedding}));
    vec(item, 0..4).prop_map(|data| json!({ "data": data }))
}

fn careless_ranks() -> impl Strategy<Value = Value> {
    let item =
        (0..4_usize, -1e3..1e3).prop_map(|(index, score)| json!({"index": index, "relevance_score": score}));
    vec(item, 0..5).prop_map(|results| json!({ "results": results }))
}

proptest! {
    #[test]
    fn what_is_taken_holds_what_it_promises(body in careless_vectors(), ranks in careless_ranks(), count in 1..4_usize) {
        if let Ok(embedded) = Wire::Chat.embedded(body.to_string().as_bytes(), count) {
            prop_assert_eq!(embedded.vectors.len(), count);
            let length = embedded.vectors[0].len();
            prop_assert!(length > 0);
            prop_assert!(embedded.vectors.iter().all(|one| one.len() == length && one.iter().all(|n| n.is_finite())));
            // In base64 nothing of a vector is lost on the way to a client that reads it the same way.
            let again = embedded.body("m", true).to_string();
            prop_assert_eq!(Wire::Chat.embedded(again.as_bytes(), count), Ok(embedded.clone()));
            let again = embedded.body("m", false).to_string();
            prop_assert_eq!(Wire::Chat.embedded(again.as_bytes(), count), Ok(embedded));
        }
        if let Ok(reranked) = Wire::Chat.reranked(ranks.to_string().as_bytes(), count) {
            let places: BTreeSet<usize> = reranked.results.iter().map(|ranked| ranked.index).collect();
            prop_assert_eq!(places.len(), reranked.results.len());
            prop_assert!(places.iter().all(|place| *place < count));
            prop_assert!(reranked.results.is_sorted_by(|one, other| one.score >= other.score));
        }
    }

    #[test]
    fn no_bytes_at_all_are_read_with_a_panic(bytes in vec(any::<u8>(), 0..200), count in 0..3_usize) {
        for wire in [Wire::Chat, Wire::Gemini, Wire::Messages] {
            // Whether it is an answer is the other test's: here it only has to come back.
            let _ = (wire.embedded(&bytes, count), wire.reranked(&bytes, count));
        }
        if let Ok(body) = api::parse_object(&bytes) {
            let _ = (EmbeddingsRequest::from_body(body.clone()), RerankRequest::from_body(body));
        }
    }
}
