//! Adapters on the real model, black box. Their files are made here, byte by byte.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use api::{Error, Fault};
use local::{Model, Options, Question, ShortAnswer};

/// Nothing here is timed: a loaded machine may take its time.
const LONG: Duration = Duration::from_secs(900);

/// Of SmolLM2-135M.
const WIDTH: usize = 576;
const LAYERS: usize = 30;
const RANK: usize = 4;

fn file() -> PathBuf {
    let models = std::env::var_os("POINTSMAN_MODELS").map(PathBuf::from).or_else(|| {
        let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        above.map(|folder| folder.join(".models")).find(|folder| folder.is_dir())
    });
    let file = models.expect("no .models folder: run `make models`").join("smollm2-135m-instruct/model.gguf");
    assert!(file.is_file(), "{} is missing: run `make models`", file.display());
    file
}

fn model(contexts: usize) -> Model {
    let options = Options {
        path: file(),
        contexts,
        context_tokens: 1024,
        queue_max: 16,
        output_tokens_max: 64,
        temperature: 0.0,
        top_p: 1.0,
    };
    Model::load(&options).unwrap()
}

/// What an adapter's file says, and how strongly it corrects: its `B` holds `strength` times numbers from -1 to 1.
struct Made<'a> {
    base: Option<&'a str>,
    prompt: Option<&'a str>,
    architecture: &'a str,
    kind: &'a str,
    width: usize,
    strength: f32,
    seed: u64,
}

fn made(model: &Model) -> Made<'_> {
    let base = Some(model.fingerprint());
    Made { base, prompt: None, architecture: "llama", kind: "lora", width: WIDTH, strength: 0.0, seed: 1 }
}

/// Writes an adapter for the queries of the three uppermost layers: GGUF version 3.
fn write(path: &Path, made: &Made<'_>) {
    fn text(bytes: &mut Vec<u8>, text: &str) {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    let mut texts = vec![
        ("general.type", "adapter"),
        ("general.architecture", made.architecture),
        ("adapter.type", made.kind),
    ];
    texts.extend(made.base.map(|base| ("pointsman.base", base)));
    texts.extend(made.prompt.map(|prompt| ("pointsman.prompt", prompt)));
    let tensors: Vec<(String, [usize; 2])> = (LAYERS - 3..LAYERS)
        .flat_map(|layer| {
            let name = |part: &str| format!("blk.{layer}.attn_q.weight.lora_{part}");
            [(name("a"), [made.width, RANK]), (name("b"), [RANK, made.width])]
        })
        .collect();
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((texts.len() as u64 + 1).to_le_bytes());
    for (key, value) in texts {
        text(&mut bytes, key);
        bytes.extend(8_u32.to_le_bytes());
        text(&mut bytes, value);
    }
    text(&mut bytes, "adapter.lora.alpha");
    bytes.extend(6_u32.to_le_bytes());
    bytes.extend((RANK as f32).to_le_bytes());
    let mut offset = 0_u64;
    for (name, [columns, rows]) in &tensors {
        text(&mut bytes, name);
        bytes.extend(2_u32.to_le_bytes());
        bytes.extend((*columns as u64).to_le_bytes());
        bytes.extend((*rows as u64).to_le_bytes());
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        offset += (columns * rows * 4) as u64;
    }
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    let mut state = made.seed;
    for (name, [columns, rows]) in &tensors {
        let strength = if name.ends_with('a') { 1.0 } else { made.strength };
        for _ in 0..columns * rows {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0;
            bytes.extend((number * strength).to_le_bytes());
        }
    }
    std::fs::write(path, bytes).unwrap();
}

const CHOICES: [&str; 3] = ["positive", "negative", "neither good nor bad"];

async fn ask(model: &Model, adapter: Option<&str>, input: &str, closed: bool) -> Result<ShortAnswer, Error> {
    let choices = CHOICES.map(str::to_owned);
    let question = Question {
        adapter,
        layout: None,
        shots: &[],
        input,
        choices: closed.then_some(choices.as_slice()),
        tokens_max: 12,
    };
    model.short_answer(&question, Instant::now() + LONG).await
}

/// An answer without its usage, which tells of reused prompts.
fn said(answer: &ShortAnswer) -> (String, u64, Option<u64>) {
    (answer.text.clone(), answer.log_probability.to_bits(), answer.margin.map(f64::to_bits))
}

const REVIEW: &str = "a warm , funny and quietly moving film that earns every one of its tears";

#[tokio::test]
async fn an_adapter_that_corrects_nothing_changes_nothing_and_one_that_does_changes_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let model = model(1);
    write(&path("still.gguf"), &made(&model));
    write(&path("loud.gguf"), &Made { strength: 0.4, ..made(&model) });
    write(&path("other.gguf"), &Made { strength: 0.4, seed: 5, ..made(&model) });
    for closed in [true, false] {
        let bare = said(&ask(&model, None, REVIEW, closed).await.unwrap());
        let still = model.load_adapter("still", &path("still.gguf")).unwrap();
        let by = ask(&model, Some("still"), REVIEW, closed).await.unwrap().adapter;
        assert_eq!(by, Some(still.fingerprint));
        assert_eq!(said(&ask(&model, Some("still"), REVIEW, closed).await.unwrap()), bare);
        model.load_adapter("loud", &path("loud.gguf")).unwrap();
        model.load_adapter("other", &path("other.gguf")).unwrap();
        let loud = said(&ask(&model, Some("loud"), REVIEW, closed).await.unwrap());
        let other = said(&ask(&model, Some("other"), REVIEW, closed).await.unwrap());
        assert!(loud.1 != bare.1 && other.1 != bare.1 && loud.1 != other.1);
        // Whatever lay on the context before, nothing of it is left.
        for (name, expected) in
            [(Some("still"), &bare), (Some("loud"), &loud), (None, &bare), (Some("other"), &other)]
        {
            assert_eq!(&said(&ask(&model, name, REVIEW, closed).await.unwrap()), expected, "{name:?}");
        }
        model.set_adapters(BTreeMap::new()).unwrap();
    }
}

#[tokio::test]
async fn a_prompt_is_kept_for_the_same_adapter_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("loud.gguf");
    let model = model(1);
    write(&path, &Made { strength: 0.4, ..made(&model) });
    model.load_adapter("loud", &path).unwrap();
    let long = REVIEW.repeat(12);
    let cached = async |adapter| ask(&model, adapter, &long, true).await.unwrap().usage.cached_tokens();
    assert_eq!(cached(None).await, 0);
    assert!(cached(None).await >= 64);
    assert_eq!(cached(Some("loud")).await, 0);
    assert!(cached(Some("loud")).await >= 64);
    assert_eq!(cached(None).await, 0);
}

#[tokio::test]
async fn confidence_margin_and_choice_agree() {
    let model = model(1);
    let shots = [
        ("i loved it", "positive"),
        ("i hated it", "negative"),
        ("a triumph", "positive"),
        ("a bore", "negative"),
    ];
    let shots = shots.map(|(input, label)| (input.to_owned(), label.to_owned()));
    let choices = ["negative".to_owned(), "positive".to_owned()];
    for input in [REVIEW, "dull , clumsy and a waste of two hours"] {
        let question = Question {
            adapter: None,
            layout: Some("Review: {input}\nSentiment:"),
            shots: &shots,
            input,
            choices: Some(&choices),
            tokens_max: 1,
        };
        let answer = model.short_answer(&question, Instant::now() + LONG).await.unwrap();
        let margin = answer.margin.unwrap();
        assert!(margin > 0.0 && answer.log_probability < 0.0);
        // Of two choices nothing is left unknown.
        assert!((answer.confidence - 1.0 / (1.0 + (-margin).exp())).abs() < 1e-9, "{answer:?}");
        let free = Question { choices: None, tokens_max: 6, ..question };
        let free = model.short_answer(&free, Instant::now() + LONG).await.unwrap();
        assert_eq!(free.text, answer.text, "after four shots it says what it would choose");
        assert!((free.log_probability - answer.log_probability).abs() < 0.05, "{free:?} and {answer:?}");
        assert!((free.confidence.ln() - free.log_probability).abs() < 1e-6);
    }
}

#[tokio::test]
async fn adapters_come_and_go_while_answers_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("loud.gguf");
    let model = model(2);
    write(&path, &Made { strength: 0.4, prompt: Some("Say it: {input}\nNow:"), ..made(&model) });
    let bare = said(&ask(&model, None, REVIEW, true).await.unwrap());
    let changing = model.clone();
    let changes = tokio::task::spawn_blocking(move || {
        for _ in 0..3 {
            let adapter = changing.load_adapter("loud", &path).unwrap();
            assert_eq!(adapter.layout, "Say it: {input}\nNow:");
            assert_eq!(changing.adapters().len(), 1);
            changing.set_adapters(std::collections::BTreeMap::new()).unwrap();
        }
    });
    for _ in 0..4 {
        assert_eq!(said(&ask(&model, None, REVIEW, true).await.unwrap()), bare);
    }
    changes.await.unwrap();
    assert_eq!(model.adapter("loud"), None);
    let gone = ask(&model, Some("loud"), REVIEW, true).await.unwrap_err();
    assert_eq!((gone.code, gone.fault), ("adapter_not_found", Fault::Unavailable));
}

#[test]
fn a_file_that_does_not_fit_is_one_sentence_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let model = model(1);
    let fitting = made(&model);
    write(&path("good.gguf"), &made(&model));
    let good = std::fs::read(path("good.gguf")).unwrap();
    std::fs::write(path("cut.gguf"), &good[..good.len() - 500]).unwrap();
    std::fs::write(path("text.gguf"), "Once upon a time").unwrap();
    write(&path("base.gguf"), &Made { base: Some("gguf-of-another"), ..made(&model) });
    write(&path("shape.gguf"), &Made { width: WIDTH / 2, ..made(&model) });
    write(&path("kind.gguf"), &Made { kind: "cvec", ..made(&model) });
    write(&path("architecture.gguf"), &Made { architecture: "gpt2", ..made(&model) });
    write(&path("prompt.gguf"), &Made { prompt: Some("no place for it"), ..fitting });
    model.load_adapter("kept", &path("good.gguf")).unwrap();
    for (name, says) in [
        ("absent", "cannot be read"),
        ("text", "not GGUF"),
        ("cut", "damaged"),
        ("base", "another base model"),
        ("shape", "shapes"),
        ("kind", "not a low-rank adapter"),
        ("architecture", "architecture"),
        ("prompt", "{input}"),
    ] {
        let error = model.load_adapter(name, &path(&format!("{name}.gguf"))).unwrap_err();
        assert_eq!((error.code, error.fault), ("adapter_not_loaded", Fault::Unavailable), "{error}");
        assert!(error.message.contains(says) && error.message.contains(name), "{error}");
        assert!(!error.message.contains(&*folder.path().to_string_lossy()), "{error}");
    }
    assert_eq!(model.adapters().keys().collect::<Vec<_>>(), ["kept"]);
}

#[tokio::test]
async fn questions_that_cannot_be_asked_are_refused_by_name() {
    let model = model(1);
    let many: Vec<String> = (0..600).map(|number| format!("answer {number}")).collect();
    let twice = ["a".to_owned(), " a ".to_owned()];
    let empty = ["a".to_owned(), "\n".to_owned()];
    let long = "word ".repeat(5000);
    let plain =
        Question { adapter: None, layout: None, shots: &[], input: "x", choices: None, tokens_max: 4 };
    for (question, param) in [
        (Question { choices: Some(&[]), ..plain }, "choices"),
        (Question { choices: Some(&many), ..plain }, "choices"),
        (Question { choices: Some(&twice), ..plain }, "choices[1]"),
        (Question { choices: Some(&empty), ..plain }, "choices[1]"),
        (Question { layout: Some("no place"), ..plain }, "layout"),
        (Question { input: &long, ..plain }, "input"),
    ] {
        let error = model.short_answer(&question, Instant::now() + LONG).await.unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{error}");
    }
    let late = model.short_answer(&plain, Instant::now()).await.unwrap_err();
    assert_eq!(late.code, "local_timeout");
}

/// What `pointsman-tune` makes of the same texts is compared with the same ids: an adapter that is trained on other tokens
/// than it is served with learns nothing.
#[test]
fn texts_have_these_tokens() {
    let model = model(1);
    let golden = include_str!("../../tune/tests/tokens.jsonl");
    for line in golden.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let ids: Vec<i32> = serde_json::from_value(row["ids"].clone()).unwrap();
        assert_eq!(model.token_ids(row["text"].as_str().unwrap()), ids, "{}", row["text"]);
    }
}
