//! A whole training on a tiny random model, made here, and what its file holds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use candle_core::quantized::gguf_file::{self, Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use tune::{Base, Error, Example, Examples, Layout, Place, Report, Settings, train};

const WIDTH: usize = 16;
const INNER: usize = 32;
const LAYERS: usize = 3;
/// Two query heads share one key head of 8 numbers.
const KEYS: usize = 8;

/// Numbers from -1 to 1 times `strength`.
fn random(rows: usize, columns: usize, strength: f32, seed: u64) -> Tensor {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0) * strength
    };
    Tensor::from_vec((0..rows * columns).map(|_| next()).collect::<Vec<f32>>(), (rows, columns), &Device::Cpu)
        .unwrap()
}

/// GPT-2's letters for bytes: themselves where they can be seen, else letters from 256 on.
fn letters() -> Vec<String> {
    let seen = |byte: u32| (33..=126).contains(&byte) || (161..=172).contains(&byte) || byte >= 174;
    let mut unseen = 256..;
    (0..256_u32)
        .map(|byte| if seen(byte) { byte } else { unseen.next().unwrap() })
        .map(|letter| char::from_u32(letter).unwrap().to_string())
        .collect()
}

/// Writes a Llama of three tiny layers over bytes; `change` may spoil its header.
fn write_base(path: &Path, change: impl FnOnce(&mut Vec<(&'static str, Value)>)) {
    let text = |text: &str| Value::String(text.to_owned());
    let list = |texts: Vec<String>| Value::Array(texts.into_iter().map(Value::String).collect());
    let mut tokens = letters();
    tokens.push("he".to_owned());
    let vocabulary = tokens.len();
    let mut header = vec![
        ("general.architecture", text("llama")),
        ("general.name", text("tiny")),
        ("llama.block_count", Value::U32(LAYERS as u32)),
        ("llama.context_length", Value::U32(128)),
        ("llama.embedding_length", Value::U32(WIDTH as u32)),
        ("llama.attention.head_count", Value::U32(2)),
        ("llama.attention.head_count_kv", Value::U32(1)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("llama.rope.freq_base", Value::F32(10_000.0)),
        ("tokenizer.ggml.model", text("gpt2")),
        ("tokenizer.ggml.pre", text("smollm")),
        ("tokenizer.ggml.tokens", list(tokens)),
        ("tokenizer.ggml.merges", list(vec!["h e".to_owned()])),
    ];
    change(&mut header);
    let mut tensors = vec![
        ("token_embd.weight".to_owned(), random(vocabulary, WIDTH, 1.0, 1)),
        ("output.weight".to_owned(), random(vocabulary, WIDTH, 0.2, 2)),
        (
            "output_norm.weight".to_owned(),
            Tensor::ones(WIDTH, candle_core::DType::F32, &Device::Cpu).unwrap(),
        ),
    ];
    for layer in 0..LAYERS {
        let seed = 10 * (layer as u64 + 1);
        for (place, (name, rows, columns)) in [
            ("attn_q", WIDTH, WIDTH),
            ("attn_k", KEYS, WIDTH),
            ("attn_v", KEYS, WIDTH),
            ("attn_output", WIDTH, WIDTH),
            ("ffn_gate", INNER, WIDTH),
            ("ffn_up", INNER, WIDTH),
            ("ffn_down", WIDTH, INNER),
        ]
        .into_iter()
        .enumerate()
        {
            tensors.push((
                format!("blk.{layer}.{name}.weight"),
                random(rows, columns, 0.3, seed + place as u64),
            ));
        }
        for name in ["attn_norm", "ffn_norm"] {
            let ones = Tensor::ones(WIDTH, candle_core::DType::F32, &Device::Cpu).unwrap();
            tensors.push((format!("blk.{layer}.{name}.weight"), ones));
        }
    }
    let tensors: Vec<(String, QTensor)> = tensors
        .into_iter()
        .map(|(name, tensor)| (name, QTensor::quantize(&tensor, GgmlDType::F32).unwrap()))
        .collect();
    let header: Vec<(&str, &Value)> = header.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<(&str, &QTensor)> =
        tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    gguf_file::write(&mut File::create(path).unwrap(), &header, &tensors).unwrap();
}

/// Vowels first: `up`; consonants first: `down`.
fn examples() -> Examples {
    let words = "apple bread ivory stone under grape olive night error table igloo chair ozone floor extra water \
                 empty glass other paper angry music early house idiom river issue cloud ocean plant usual light";
    let rows = words.split_whitespace().map(|word| {
        let label = if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "up" } else { "down" };
        Example { text: word.to_owned(), label: label.to_owned() }
    });
    Examples { rows: rows.collect(), hash: "made here".to_owned() }
}

fn settings() -> Settings {
    Settings {
        rank: 4,
        layers: 2,
        epochs: 60,
        learning_rate: 2e-2,
        batch: 8,
        seed: 1,
        minutes: None,
        layout: Layout::new("Word: {input}\nSay:").unwrap(),
        hold_out: 0.25,
        tokens_max: 64,
    }
}

/// Trains, and returns the adapter's bytes with the report.
fn trained(base: &Base, settings: &Settings) -> (Vec<u8>, Report) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapter.gguf");
    let (adapter, passport, report) = train(base, &examples(), settings, &mut |_| {}).unwrap();
    adapter.write(Place::at(&path).unwrap(), &passport).unwrap();
    (std::fs::read(&path).unwrap(), report)
}

fn base() -> Base {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("base.gguf");
    write_base(&path, |_| {});
    Base::load(&path).unwrap()
}

#[test]
fn a_toy_mapping_is_learnt_and_answers_change() {
    let (_, report) = trained(&base(), &settings());
    let held_out = report.held_out.unwrap();
    assert_eq!((report.examples, held_out.examples, report.left_out), (24, 8, 0));
    assert_eq!(report.steps, 60 * 3);
    assert_eq!(held_out.exact_before, 0.0);
    // Words that it has not seen: more than guessing the commoner label, and far from the tiny model's noise.
    assert!(held_out.exact > 0.5, "{held_out:?}");
}

#[test]
fn equal_seeds_give_equal_files_and_others_others() {
    let base = base();
    let few = Settings { epochs: 2, ..settings() };
    let (first, _) = trained(&base, &few);
    assert_eq!(first, trained(&base, &few).0);
    assert_ne!(first, trained(&base, &Settings { seed: 2, ..few }).0);
}

#[test]
fn the_file_is_a_gguf_adapter_with_its_passport() {
    let base = base();
    let (bytes, _) = trained(&base, &Settings { epochs: 1, ..settings() });
    let content = Content::read(&mut std::io::Cursor::new(&bytes)).unwrap();
    let text = |key: &str| content.metadata[key].to_string().unwrap().as_str();
    for (key, expected) in [
        ("general.type", "adapter"),
        ("general.architecture", "llama"),
        ("adapter.type", "lora"),
        ("pointsman.base", base.fingerprint.as_str()),
        ("pointsman.prompt", "Word: {input}\nSay:"),
        ("pointsman.data", "made here"),
    ] {
        assert_eq!(text(key), expected, "{key}");
    }
    assert_eq!(content.metadata["adapter.lora.alpha"].to_f32().unwrap(), 8.0);
    assert_eq!(content.metadata["pointsman.examples"].to_u32().unwrap(), 24);
    assert!(text("pointsman.held_out").contains("\"examples\":8"));
    let names: BTreeSet<&str> = content.tensor_infos.keys().map(String::as_str).collect();
    // Two matrices at seven places of the two upper layers.
    assert_eq!(names.len(), 2 * 7 * 2);
    assert!(!names.iter().any(|name| name.starts_with("blk.0.")));
    let dims = |name: &str| content.tensor_infos[name].shape.dims().to_vec();
    assert_eq!(dims("blk.1.ffn_down.weight.lora_a"), [4, INNER]);
    assert_eq!(dims("blk.2.ffn_down.weight.lora_b"), [WIDTH, 4]);
    assert_eq!(dims("blk.2.attn_k.weight.lora_b"), [KEYS, 4]);
    // What was written is what was trained: `A` began at random, and `B` has left zero.
    let stored = content
        .tensor(&mut std::io::Cursor::new(&bytes), "blk.2.attn_q.weight.lora_b", &Device::Cpu)
        .unwrap();
    let numbers = stored.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(numbers.iter().any(|number| number.abs() > 1e-4));
}

#[test]
fn the_processor_minutes_end_a_training_and_a_file_still_comes() {
    let (bytes, report) =
        trained(&base(), &Settings { epochs: 1_000_000, minutes: Some(1e-9), ..settings() });
    assert!(report.cut_short && report.steps < 1_000_000);
    assert!(Content::read(&mut std::io::Cursor::new(&bytes)).is_ok());
}

#[test]
fn a_folder_that_cannot_be_written_is_told_before_the_training() {
    let error = Place::at(Path::new("no/such/folder/adapter.gguf")).unwrap_err();
    assert!(error.to_string().contains("no/such/folder/adapter.gguf cannot be written"), "{error}");
}

fn check_refused(settings: &Settings, says: &str) {
    let error = train(&base(), &examples(), settings, &mut |_| {}).err().unwrap();
    assert!(matches!(&error, Error::Input(said) if said.contains(says)), "{error}");
}

#[test]
fn settings_outside_their_limits_are_refused_by_name() {
    check_refused(&Settings { rank: 0, ..settings() }, "`rank`");
    check_refused(&Settings { layers: 4, ..settings() }, "from 1 to 3");
    check_refused(&Settings { epochs: 0, ..settings() }, "`epochs`");
    check_refused(&Settings { learning_rate: f64::NAN, ..settings() }, "`lr`");
    check_refused(&Settings { hold_out: 0.9, ..settings() }, "`hold-out`");
    check_refused(&Settings { minutes: Some(0.0), ..settings() }, "`minutes`");
    check_refused(&Settings { tokens_max: 4096, ..settings() }, "128");
    check_refused(&Settings { tokens_max: 8, ..settings() }, "no example of at most 8 tokens");
}

#[test]
fn a_base_that_would_be_read_wrongly_is_refused() {
    type Change = fn(&mut Vec<(&'static str, Value)>);
    fn set(header: &mut [(&'static str, Value)], key: &str, value: Value) {
        header.iter_mut().find(|entry| entry.0 == key).unwrap().1 = value;
    }
    let cases: [(Change, &str); 7] = [
        (|header| set(header, "general.architecture", Value::String("qwen2".into())), "`qwen2`"),
        (|header| set(header, "tokenizer.ggml.pre", Value::String("llama-bpe".into())), "`llama-bpe`"),
        (|header| set(header, "tokenizer.ggml.model", Value::String("llama".into())), "byte-level"),
        (|header| set(header, "llama.block_count", Value::U32(0)), "`llama.block_count`"),
        (|header| set(header, "llama.embedding_length", Value::U32(18)), "heads"),
        (|header| header.push(("llama.rope.scaling.type", Value::String("yarn".into()))), "rope.scaling"),
        (|header| header.retain(|entry| entry.0 != "tokenizer.ggml.merges"), "tokenizer.ggml.merges"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("base.gguf");
    for (change, says) in cases {
        write_base(&path, change);
        let error = Base::load(&path).err().unwrap();
        assert!(matches!(&error, Error::Input(said) if said.contains(says)), "{error}");
    }
    write_base(&path, |_| {});
    let whole = std::fs::read(&path).unwrap();
    for spoilt in [&whole[..whole.len() / 2], &whole[..100], b"Once upon a time", b""] {
        std::fs::write(&path, spoilt).unwrap();
        assert_eq!(Base::load(&path).err().unwrap().status(), 64);
    }
}
