//! The real encoder on the real files: known similarities, long texts, many threads, files that are not what they say.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests may; the lint sees only functions marked so"
)]

mod models;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use api::{Embed, cosine};
use classify::{Encoder, EncoderOptions, View};

static ENCODER: LazyLock<Encoder> = LazyLock::new(|| Encoder::load(&models::options()).expect("the encoder"));

fn embed(texts: &[&str]) -> Vec<Vec<f32>> {
    ENCODER.embed(texts).expect("vectors")
}

#[test]
fn the_model_cards_sentences_are_as_similar_as_published() {
    let vectors =
        embed(&["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]);
    for (a, b, expected) in [(0, 1, 0.6660), (0, 2, 0.1046), (1, 2, 0.1411)] {
        let got = cosine(&vectors[a], &vectors[b]);
        assert!((got - expected).abs() < 0.01, "{a}-{b}: {got} instead of {expected}");
    }
    for vector in &vectors {
        assert_eq!(vector.len(), ENCODER.dimensions());
        assert!((cosine(vector, vector) - 1.0).abs() < 1e-4);
    }
}

#[test]
fn vectors_do_not_depend_on_their_neighbours() {
    let texts = ["one", "a longer text about the tides of the northern sea", "third", ""];
    for (text, together) in texts.iter().zip(embed(&texts)) {
        let alone = &embed(&[text])[0];
        assert!(cosine(alone, &together) > 0.9999, "{text}");
    }
    assert!(embed(&[]).is_empty());
}

#[test]
fn the_end_of_a_long_text_is_heard() {
    let long = "The committee met on Tuesday to discuss the budget of the harbour. ".repeat(60);
    let tokens = ENCODER.count_tokens(&long);
    assert!(tokens > 2 * ENCODER.window_tokens(), "{tokens}");
    let ended = format!("{long} {}", "Penguins breed on the ice in winter. ".repeat(60));
    let vectors = embed(&[&long, &ended, "Penguins breed on the ice in winter."]);
    let (without, with) = (cosine(&vectors[0], &vectors[2]), cosine(&vectors[1], &vectors[2]));
    assert!(with > without + 0.2, "{with} against {without}");
}

#[test]
fn a_long_word_and_odd_characters_have_vectors() {
    let odd = "\u{0}\u{feff}🦀".repeat(300);
    let word = "a".repeat(5000);
    for vector in embed(&[&odd, &word, "漢字".repeat(400).as_str(), "é".repeat(2000).as_str()]) {
        assert!(vector.iter().all(|value| value.is_finite()));
    }
}

#[test]
fn a_reading_knows_the_meaning_and_the_form() {
    let width = ENCODER.dimensions();
    let read = |text: &str| ENCODER.read(&View::of(None, text)).expect("a reading");
    let question = "Summarise in one line: \"The ferry is late because of fog.\"";
    let reading = read(question);
    assert!(View::of(None, question).stands_alone());
    assert!(cosine(&reading.meaning, &embed(&[question])[0]) > 0.9999);
    assert_eq!(reading.form.len() % width, 0);
    let parts: Vec<&[f32]> = reading.form.chunks(width).collect();
    assert!(parts.iter().all(|part| (cosine(part, part) - 1.0).abs() < 1e-3));
    // The model does give out its inner state.
    assert!(cosine(parts[0], &reading.meaning) < 0.9);
    // The same is asked of another text: nearer in form than in meaning.
    let other = read("Summarise in one line: \"My uncle's goats have eaten the tulips.\"");
    assert!(cosine(&reading.form[width..2 * width], &other.form[width..2 * width]) > 0.95);
    assert!(cosine(&reading.meaning, &other.meaning) < 0.7);
}

#[test]
fn any_text_can_be_read() {
    let long = "word ".repeat(200_000);
    for text in ["", " ", "🦀🦀🦀", "漢字", "\u{202e}שלום", "\u{0}", long.as_str(), &"a".repeat(1_000_000)]
    {
        let reading = ENCODER.read(&View::of(Some("Be brief."), text)).expect("a reading");
        assert!(reading.form.iter().chain(&reading.meaning).all(|value| value.is_finite()));
    }
}

#[test]
fn threads_share_the_sessions() {
    let expected = embed(&["shared"]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(cosine(&embed(&["shared"])[0], &expected[0]) > 0.9999));
        }
    });
}

#[test]
fn a_description_begins_with_the_meaning() {
    let long = "The night train to Lisbon leaves at ten. ".repeat(60);
    let texts = ["", "Where is my card?", long.as_str()];
    let (meant, described) = (ENCODER.embed(&texts).unwrap(), ENCODER.describe(&texts).unwrap());
    for ((meaning, description), text) in meant.iter().zip(&described).zip(texts) {
        let (parts, rest) = description.as_chunks::<384>();
        assert_eq!((parts.len(), rest.len()), (classify::DESCRIBED_PARTS, 0));
        assert!(cosine(&parts[0], meaning) > 0.9999, "{text:.20}");
        for part in &parts[1..] {
            let length = cosine(part, part);
            assert!(text.is_empty() || (length - 1.0).abs() < 1e-3, "{text:.20}: {length}");
        }
    }
}

#[test]
fn a_second_load_agrees_with_the_first() {
    let second = Encoder::load(&models::options()).expect("a second encoder");
    assert_eq!(second.fingerprint(), ENCODER.fingerprint());
    assert_eq!(ENCODER.fingerprint().len(), 32);
}

/// A copy of the model's folder in which `name` holds `content`, or is missing.
fn spoilt(folder: &Path, name: &str, content: Option<&[u8]>) -> EncoderOptions {
    let options = models::options();
    for entry in fs::read_dir(&options.model_dir).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    fs::remove_file(folder.join(name)).unwrap();
    if let Some(content) = content {
        fs::write(folder.join(name), content).unwrap();
    }
    EncoderOptions { model_dir: folder.to_owned(), ..options }
}

#[test]
fn missing_and_broken_files_are_told_in_one_sentence() {
    for (name, content, told) in [
        ("model.onnx", None, "`model.onnx` cannot be read"),
        ("tokenizer.json", None, "`tokenizer.json` cannot be read"),
        ("model.onnx", Some(b"not a model".as_slice()), "model.onnx"),
        ("model.onnx", Some(b"".as_slice()), "model.onnx"),
        ("tokenizer.json", Some(b"{}".as_slice()), "tokenizer"),
        ("config.json", Some(b"[".as_slice()), "tokenizer"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let error = Encoder::load(&spoilt(folder.path(), name, content)).err().expect("a refusal");
        assert!(error.message.contains(told) && error.message.contains("make models"), "{name}: {error}");
        assert!(!error.message.contains(folder.path().to_str().unwrap()), "the caller sees no path: {error}");
    }
}
