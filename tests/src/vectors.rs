//! A provider of vectors and ranks: OpenAI's embeddings, Gemini's, and Cohere's rerank.
//!
//! A text's vector counts its vowels, and a document's score is the share of the question's words that it has. The model
//! `e500` fails, and `few` gives one vector too few, or ranks the first document only.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::listening::Listening;
use crate::provider::{Incoming, read_incoming};

/// The provider. Dropping it closes it.
#[derive(Debug)]
pub struct Vectors {
    listening: Listening,
    bodies: Arc<Mutex<Vec<Value>>>,
}

impl Vectors {
    /// Starts it.
    pub fn start() -> Self {
        let bodies: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = Arc::clone(&bodies);
        let listening = Listening::start(move |stream| {
            let mut reader = BufReader::new(stream);
            while let Some(incoming) = read_incoming(&mut reader) {
                kept.lock().unwrap().push(incoming.body.clone());
                if reply(reader.get_mut(), &incoming).is_none() {
                    return;
                }
            }
        });
        Self { listening, bodies }
    }

    /// What it was asked, in order.
    pub fn asked(&self) -> Vec<Value> {
        self.bodies.lock().unwrap().clone()
    }

    /// A model that serves `duty` in a dialect, with a provider entry of its own. A million tokens cost 100 USD, and a
    /// request 0.01 USD, so that sums can be read.
    pub fn model(&self, name: &str, dialect: &str, duty: &str) -> String {
        let path = if dialect == "gemini" { "v1beta" } else { "v1" };
        format!(
            "[provider.{name:?}]\ndialect = {dialect:?}\nbase_url = \"http://{}/{path}\"\napi_key = \"vectors-key\"\n\
             allow_private_addresses = true\nretries_max = 0\n\n\
             [[model]]\nname = {name:?}\nkind = \"provider\"\nprovider = {name:?}\nserves = {duty:?}\n\
             prices = {{ input = 100.0, request = 0.01 }}\n\n",
            self.listening.address
        )
    }
}

fn reply(stream: &mut TcpStream, incoming: &Incoming) -> Option<()> {
    let body = &incoming.body;
    let model = body["model"].as_str().unwrap_or_default();
    let keyed = [incoming.header("authorization"), incoming.header("x-goog-api-key")];
    let (status, answer) = match incoming.path.as_str() {
        _ if !keyed.contains(&"Bearer vectors-key") && !keyed.contains(&"vectors-key") => {
            (401, json!({"error": {"message": "no key"}}))
        }
        _ if model == "e500" => (500, json!({"error": {"message": "The engine is on fire"}})),
        "/v1/embeddings" => (200, embeddings(body, model)),
        "/v1/rerank" => (200, ranks(body, model)),
        path if path.ends_with(":batchEmbedContents") => (200, batch(body)),
        path => (404, json!({"error": {"message": path}})),
    };
    let answer = answer.to_string();
    let length = answer.len();
    write!(
        stream,
        "HTTP/1.1 {status} Told\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{answer}"
    )
    .ok()
}

fn vector(text: &str) -> Vec<usize> {
    ["a", "e", "i", "o"].map(|vowel| text.matches(vowel).count()).into()
}

fn embeddings(body: &Value, model: &str) -> Value {
    let texts: Vec<&str> = match &body["input"] {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let few = usize::from(model == "few");
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .skip(few)
        .map(|(index, text)| json!({"object": "embedding", "index": index, "embedding": vector(text)}))
        .collect();
    let tokens = 1000 * texts.len();
    json!({"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})
}

fn batch(body: &Value) -> Value {
    let requests = body["requests"].as_array().cloned().unwrap_or_default();
    let text =
        |request: &Value| request["content"]["parts"][0]["text"].as_str().unwrap_or_default().to_owned();
    let vectors: Vec<Value> =
        requests.iter().map(|request| json!({"values": vector(&text(request))})).collect();
    json!({ "embeddings": vectors })
}

fn ranks(body: &Value, model: &str) -> Value {
    let query = body["query"].as_str().unwrap_or_default().to_lowercase();
    let words: Vec<&str> = query.split(' ').collect();
    let documents = body["documents"].as_array().cloned().unwrap_or_default();
    let score = |document: &Value| {
        let text = document.as_str().unwrap_or_default().to_lowercase();
        words.iter().filter(|word| text.contains(**word)).count() as f64 / words.len() as f64
    };
    let mut results: Vec<(usize, f64)> = documents.iter().map(score).enumerate().collect();
    results.sort_by(|a, b| b.1.total_cmp(&a.1));
    results.truncate(if model == "few" { 1 } else { results.len() });
    let results: Vec<Value> =
        results.iter().map(|(index, score)| json!({"index": index, "relevance_score": score})).collect();
    json!({"id": "r-1", "results": results, "meta": {"billed_units": {"search_units": 1}}})
}
