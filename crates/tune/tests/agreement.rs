//! With llama.cpp, which serves what is trained here: the same names for files, the same tokens, the same likelihoods.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::io::Cursor;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tune::{Base, Example, Examples, Layout, Settings, fingerprint, train};

fn base() -> Base {
    let models = std::env::var_os("POINTSMAN_MODELS").map(PathBuf::from).or_else(|| {
        let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        above.map(|folder| folder.join(".models")).find(|folder| folder.is_dir())
    });
    let file = models.expect("no .models folder: run `make models`").join("smollm2-135m-instruct/model.gguf");
    Base::load(&file).unwrap()
}

/// The in-process model names the same bytes in the same way; see `crates/local/src/weights.rs`.
#[test]
fn files_have_these_fingerprints() {
    for (bytes, expected) in
        [(6_000_000, "gguf-9aedbf31d0ea08f4e0256fe625bee1b6"), (100, "gguf-81c5121327f90cf3b344edd92da75bdf")]
    {
        let content: Vec<u8> =
            b"GGUF".iter().copied().chain((0..bytes).map(|place| (place % 251) as u8)).collect();
        assert_eq!(fingerprint(&mut Cursor::new(content)).unwrap(), expected);
    }
}

/// The same ids are expected of the in-process model in `crates/local/tests/adapters.rs`.
#[test]
fn texts_have_these_tokens() {
    let base = base();
    for line in include_str!("tokens.jsonl").lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let ids: Vec<u32> = serde_json::from_value(row["ids"].clone()).unwrap();
        assert_eq!(base.tokens.ids(row["text"].as_str().unwrap()).unwrap(), ids, "{}", row["text"]);
    }
}

/// The surprise of these answers without any adapter, as the in-process model measures it with the file's own quantised
/// arithmetic: its activations have eight bits, so a few hundredths apart is as near as it gets.
#[test]
fn answers_are_as_likely_as_in_the_gateway() {
    let base = base();
    for line in include_str!("likelihoods.jsonl").lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        let example = Example { text: text("text"), label: text("label") };
        let settings = Settings {
            rank: 1,
            layers: 1,
            epochs: 1,
            // Nothing is learnt: the only example left is looked at once.
            learning_rate: 1e-12,
            batch: 1,
            seed: 1,
            minutes: None,
            layout: Layout::new("{input}\nAnswer:").unwrap(),
            hold_out: 0.5,
            tokens_max: 512,
        };
        let examples = Examples { rows: vec![example.clone(), example], hash: String::new() };
        let (_, _, report) = train(&base, &examples, &settings, &mut |_| {}).unwrap();
        let expected = row["logprob"].as_f64().unwrap();
        let measured = -report.held_out.unwrap().surprise;
        assert!((measured - expected).abs() < 0.05 * expected.abs() + 0.05, "{line}: {measured}");
    }
}
