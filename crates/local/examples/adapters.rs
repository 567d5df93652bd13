//! How an adapter does where it is served: asks the in-process model each question of a file and prints accuracy, exact
//! match and F1, processor time and memory.
//!
//! `cargo run --release -p local --example adapters -- BASE.gguf ADAPTER.gguf DATA.jsonl [TAKE]`, with `-` for no adapter.
//! Data: lines of `{"text", "label"}`, or with `answers`, a list of right ones, which makes the task an open one; else the
//! labels that occur are the choices.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "it is a command for developers")]

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use local::{Model, Options, Question};
use serde_json::Value;

struct Row {
    text: String,
    answers: Vec<String>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, adapter, data, rest @ ..] = arguments.as_slice() else {
        println!("give BASE.gguf ADAPTER.gguf DATA.jsonl [TAKE]");
        return;
    };
    let take = rest.first().map_or(usize::MAX, |take| take.parse().unwrap());
    let (rows, choices) = read(Path::new(data), take);
    let model = load(base);
    let name = (adapter != "-").then_some("measured");
    if let Some(name) = name {
        println!("{:?}", model.load_adapter(name, Path::new(adapter)).unwrap());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let before_s = cpu_seconds();
    let mut told = Vec::new();
    for row in &rows {
        let question = Question {
            adapter: name,
            layout: None,
            shots: &[],
            input: &row.text,
            choices: choices.as_deref(),
            tokens_max: 48,
        };
        let deadline = Instant::now() + Duration::from_secs(600);
        let answer = runtime.block_on(model.short_answer(&question, deadline)).unwrap();
        let best = |score: fn(&str, &str) -> f64| {
            row.answers.iter().map(|right| score(&answer.text, right)).fold(0.0, f64::max)
        };
        told.push((answer.confidence, best(exact), best(f1)));
    }
    let spent_s = cpu_seconds() - before_s;
    report(&mut told, spent_s);
}

fn report(told: &mut [(f64, f64, f64)], spent_s: f64) {
    let count = told.len() as f64;
    let mean = |part: &[(f64, f64, f64)], pick: fn(&(f64, f64, f64)) -> f64| {
        part.iter().map(pick).sum::<f64>() / part.len() as f64
    };
    println!(
        "{} questions: exact {:.3}, F1 {:.3}",
        told.len(),
        mean(told, |row| row.1),
        mean(told, |row| row.2)
    );
    told.sort_by(|one, other| other.0.total_cmp(&one.0));
    let half = &told[..told.len() / 2];
    println!("the surer half: exact {:.3}, F1 {:.3}", mean(half, |row| row.1), mean(half, |row| row.2));
    println!("{spent_s:.1} processor seconds, {:.1} ms each; peak {} MiB", spent_s / count * 1e3, peak_mib());
}

fn load(base: &str) -> Model {
    let options = Options {
        path: PathBuf::from(base),
        contexts: 1,
        context_tokens: 2048,
        queue_max: 4,
        output_tokens_max: 64,
        temperature: 0.0,
        top_p: 1.0,
    };
    Model::load(&options).unwrap()
}

fn read(path: &Path, take: usize) -> (Vec<Row>, Option<Vec<String>>) {
    let content = std::fs::read_to_string(path).unwrap();
    let mut labels = BTreeSet::new();
    let mut open = false;
    let mut rows = Vec::new();
    for line in content.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let label = row["label"].as_str().unwrap().to_owned();
        let answers: Option<Vec<String>> = row["answers"]
            .as_array()
            .map(|all| all.iter().map(|one| one.as_str().unwrap().to_owned()).collect());
        open |= answers.is_some();
        labels.insert(label.clone());
        if rows.len() < take {
            rows.push(Row {
                text: row["text"].as_str().unwrap().to_owned(),
                answers: answers.unwrap_or(vec![label]),
            });
        }
    }
    (rows, (!open).then(|| labels.into_iter().collect()))
}

/// SQuAD's normalisation: lower case, no punctuation, no articles.
fn words(text: &str) -> Vec<String> {
    let plain: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    let words = plain.split_whitespace().filter(|word| !["a", "an", "the"].contains(word));
    words.map(str::to_owned).collect()
}

fn exact(said: &str, right: &str) -> f64 {
    f64::from(u8::from(words(said) == words(right)))
}

fn f1(said: &str, right: &str) -> f64 {
    let (said, right) = (words(said), words(right));
    let mut left: HashMap<&str, usize> = HashMap::new();
    right.iter().for_each(|word| *left.entry(word).or_default() += 1);
    let mut common = 0.0;
    for word in &said {
        if let Some(count) = left.get_mut(word.as_str()).filter(|count| **count > 0) {
            *count -= 1;
            common += 1.0;
        }
    }
    if common == 0.0 {
        return f64::from(u8::from(said.is_empty() && right.is_empty()));
    }
    let (precision, recall) = (common / said.len() as f64, common / right.len() as f64);
    2.0 * precision * recall / (precision + recall)
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().filter_map(|field| field.parse().ok()).collect())
        .unwrap_or_default();
    // Without the state, which is no number: user and system ticks of a hundredth of a second.
    fields.get(10).zip(fields.get(11)).map_or(0.0, |(user, system)| (user + system) / 100.0)
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).unwrap_or_default()
        / 1024
}
