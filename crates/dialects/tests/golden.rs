//! Recordings of every dialect, made by hand from the documented formats, read and written by one `check`.
//!
//! Each `golden/<dialect>/<case>.json` is one of three:
//! - a request: `face`, `request`, the `chat` body that it becomes, and `sent`: by wire, the provider's body, or
//!   `{"refused": "<param>"}`. The face `chat` stands for a chat client;
//! - an answer: `wire`, `answer`, the `completion` that it becomes, and `told`: by face, the client's body;
//! - a stream: `wire`, `stream` (the name of a file of events beside it), the `completion` that its chunks gather to, and
//!   `told`: by face, the events that the client gets. The stream is cut at every byte.
//!
//! `same` as an expectation stands for what came in: the round trip inside one dialect loses nothing. With `GOLDEN=write`
//! in the environment, expectations that are `null` are written down instead of checked; read them before you commit them.

#![expect(clippy::panic, clippy::expect_used, reason = "a broken expectation is how a test fails")]

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use api::sse::{Decoder, Event};
use api::{ChatRequest, Chunk, Completion, Gather};
use dialects::{Client, Face, Progress, Wire};
use serde_json::{Map, Value, json};

const MODEL: &str = "their-model";
const EVENT_BYTES_MAX: usize = 1 << 20;

fn face(name: &str) -> Face {
    match name {
        "chat" => Face::Chat,
        "messages" => Face::Messages,
        "responses" => Face::Responses,
        "completions" => Face::Completions,
        _ => panic!("no face {name}"),
    }
}

fn wire(name: &str) -> Wire {
    match name {
        "chat" => Wire::Chat,
        "gemini" => Wire::Gemini,
        "messages" => Wire::Messages,
        "responses" => Wire::Responses,
        _ => panic!("no wire {name}"),
    }
}

/// The smallest request that a client of `name` can make: answers are written for its sender.
fn client(name: &str) -> Client {
    let body = match name {
        "chat" => {
            json!({"model":"m","messages":[{"role":"user","content":"x"}],"stream":true,"stream_options":{"include_usage":true}})
        }
        "messages" => {
            json!({"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}],"stream":true})
        }
        "responses" => json!({"model":"m","input":"x","stream":true}),
        "completions" => {
            json!({"model":"m","prompt":"x","stream":true,"stream_options":{"include_usage":true}})
        }
        _ => panic!("no client {name}"),
    };
    face(name).read(object(&body)).expect("a smallest request").1
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_else(|| panic!("no object: {value}"))
}

#[test]
fn every_recording_reads_and_writes_as_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases: Vec<PathBuf> = Vec::new();
    // Vectors and ranks have a form and a test of their own (`vectors.rs`).
    let is_dialect =
        |folder: &std::fs::DirEntry| folder.file_name() != "embeddings" && folder.file_name() != "rerank";
    for dialect in std::fs::read_dir(root).expect("the recordings").flatten().filter(is_dialect) {
        let files = std::fs::read_dir(dialect.path()).expect("a dialect's recordings").flatten();
        cases.extend(
            files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "json")),
        );
    }
    cases.sort();
    assert!(!cases.is_empty());
    for case in cases {
        check(&case);
    }
}

fn check(path: &Path) {
    let text = std::fs::read_to_string(path).expect("a readable case");
    let mut case: Value =
        serde_json::from_str(&text).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
    let before = case.clone();
    if case.get("request").is_some() {
        check_request(path, &mut case);
    } else if case.get("answer").is_some() {
        check_answer(path, &mut case);
    } else {
        check_stream(path, &mut case);
    }
    if case != before {
        let text = serde_json::to_string_pretty(&case).expect("JSON");
        std::fs::write(path, text + "\n").expect("a writable case");
    }
}

/// Compares, or writes down what is not yet there.
fn compare(path: &Path, what: &str, expected: &mut Value, got: Value, came: &Value) {
    if expected.is_null() && std::env::var_os("GOLDEN").is_some() {
        *expected = if got == *came { json!("same") } else { got };
        return;
    }
    let expected = if *expected == json!("same") { came } else { expected };
    let shown = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    assert!(
        *expected == got,
        "{}: {what}\nexpected {}\ngot {}",
        path.display(),
        shown(expected),
        shown(&got)
    );
}

fn check_request(path: &Path, case: &mut Value) {
    let came = case["request"].clone();
    let name = case["face"].as_str().expect("a face").to_owned();
    let read = face(&name).read(object(&came));
    let request: ChatRequest = match read {
        Ok((request, _)) => request,
        Err(error) => {
            compare(path, "refused", &mut case["refused"], json!(error.param), &Value::Null);
            return;
        }
    };
    compare(path, "chat", &mut case["chat"], Value::Object(request.body.clone()), &came);
    for (name, expected) in case["sent"].as_object_mut().into_iter().flatten() {
        let got = match wire(name).body(&request, MODEL) {
            Ok(body) => serde_json::from_slice(&body).expect("a JSON body"),
            Err(error) => {
                let codes = ["unsupported_by_target", "invalid_value"];
                assert!(codes.contains(&error.code), "{}: {}", path.display(), error.message);
                json!({"refused": error.param})
            }
        };
        compare(path, &format!("sent to {name}"), expected, got, &with_model(&came));
    }
}

fn with_model(came: &Value) -> Value {
    let mut body = came.clone();
    body["model"] = json!(MODEL);
    body
}

fn check_answer(path: &Path, case: &mut Value) {
    let came = case["answer"].clone();
    let name = case["wire"].as_str().expect("a wire").to_owned();
    let bytes = serde_json::to_vec(&came).expect("JSON");
    let whole = wire(&name).whole(&bytes).unwrap_or_else(|trouble| panic!("{}: {trouble:?}", path.display()));
    let as_json = serde_json::to_value(&whole).expect("JSON");
    compare(path, "completion", &mut case["completion"], as_json, &came);
    for (name, expected) in case["told"].as_object_mut().into_iter().flatten() {
        let told = client(name).whole(&whole).expect("a body");
        let told = serde_json::from_slice(&told).expect("JSON");
        compare(path, &format!("told to {name}"), expected, told, &came);
    }
    for cut in 0..bytes.len() {
        assert!(wire(&name).whole(&bytes[..cut]).is_err(), "{}: whole when cut at {cut}", path.display());
    }
}

/// The chunks of a stream given in `pieces`, and whether the stream was whole.
fn chunks(wire: Wire, pieces: &[&[u8]]) -> (Vec<Chunk>, bool) {
    let (mut decoder, mut reader) = (Decoder::new(EVENT_BYTES_MAX), wire.reader(1));
    let mut chunks = VecDeque::new();
    for piece in pieces {
        let mut events = Vec::new();
        decoder.push(piece, &mut events).expect("a readable stream");
        for event in events {
            match reader.event(&event, &mut chunks) {
                Ok(Progress::More) => {}
                Ok(Progress::Done) => return (chunks.into(), true),
                Err(trouble) => panic!("{trouble:?} at {event:?}"),
            }
        }
    }
    (chunks.into(), !decoder.is_mid_event() && reader.ended().is_ok())
}

fn check_stream(path: &Path, case: &mut Value) {
    let beside = |name: &Value| path.with_file_name(name.as_str().expect("a file name"));
    let bytes = std::fs::read(beside(&case["stream"])).expect("a stream");
    let wire = wire(case["wire"].as_str().expect("a wire"));
    let (expected, whole) = chunks(wire, &[&bytes]);
    assert!(whole, "{}: not whole", path.display());
    for cut in 0..=bytes.len() {
        let (start, end) = bytes.split_at(cut);
        let (got, whole) = chunks(wire, &[start, end]);
        assert!(whole && got == expected, "{}: other chunks when split at {cut}", path.display());
        // A stream whose usage or last mark never came may still hold the whole answer, if its dialect says so.
        let (got, whole) = chunks(wire, &[start]);
        assert!(
            !whole || gathered(&got).choices == gathered(&expected).choices,
            "{}: whole when cut at {cut}",
            path.display()
        );
    }
    let gathered = gathered(&expected);
    let as_json = serde_json::to_value(&gathered).expect("JSON");
    compare(path, "completion", &mut case["completion"], as_json, &Value::Null);
    let came = json!(events(&bytes));
    for (name, expected) in case["told"].as_object_mut().into_iter().flatten() {
        let got = json!(events(&told(&client(name), &chunks_without_usage(&wire, &bytes), &gathered)));
        compare(path, &format!("told to {name}"), expected, got, &came);
    }
}

/// As the gateway passes chunks on: the usage has its own place, at the end.
fn chunks_without_usage(wire: &Wire, bytes: &[u8]) -> Vec<Chunk> {
    let (chunks, _) = chunks(*wire, &[bytes]);
    let kept = chunks.into_iter().map(|chunk| Chunk { usage: None, ..chunk });
    kept.filter(|chunk| !chunk.choices.is_empty()).collect()
}

fn gathered(chunks: &[Chunk]) -> Completion {
    let mut gather = Gather::new();
    for chunk in chunks {
        gather.push(chunk);
    }
    gather.finish()
}

fn told(client: &Client, chunks: &[Chunk], whole: &Completion) -> Vec<u8> {
    let mut writer = client.writer();
    let mut out = Vec::new();
    for chunk in chunks {
        out.extend_from_slice(&writer.chunk(chunk).expect("events"));
    }
    out.extend_from_slice(&writer.finish(whole, json!({"track": "external"})).expect("events"));
    out
}

/// Every event as `{name, data}`, its data read as JSON where it is. What only a gateway says, and
/// what keeps a connection open, is left out.
fn events(bytes: &[u8]) -> Vec<Value> {
    let (mut decoder, mut events) = (Decoder::new(EVENT_BYTES_MAX), Vec::<Event>::new());
    decoder.push(bytes, &mut events).expect("a readable stream");
    // A heartbeat may stand anywhere.
    let events = events.into_iter().filter(|event| event.name != "ping");
    let read = events.map(|event| {
        let mut data = serde_json::from_str(&event.data).unwrap_or(Value::String(event.data));
        if let Some(object) = data.as_object_mut() {
            object.shift_remove("pointsman");
        }
        json!({"name": event.name, "data": data})
    });
    read.collect()
}
