//! `pointsman eval task`: how good the local model of a closed task is, what its certificate promises, and whether it keeps
//! the promise.

use std::fmt::Write as _;
use std::path::Path;

use api::Vector;
use classify::{DESCRIBED_PARTS, Encoder};
use indicatif::ProgressBar;
use learn::metrics::{auroc, expected_calibration_error, false_positive_rate, macro_f1};
use learn::task::{Answer, Example, Kind, Model, SplitReport, TrainOptions, Trained, Truth, splits};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::Failure;
use crate::commands::task::read_examples;
use crate::commands::{is_watched, load_settings, pretty, say};
use crate::house::in_words;
use crate::renew::load_encoder;

/// Training and splits are repeatable.
const SEED: u64 = 17;
const LEVELS: [f64; 3] = [0.01, 0.02, 0.05];
const CONFIDENCE: f64 = 0.95;
/// Without a file to test on every so many-th example is held out.
const HELD_OUT_EVERY: usize = 5;
/// Texts encoded at a time.
const BATCH: usize = 64;

/// What is to be measured.
pub(super) struct Subject<'a> {
    pub(super) train: &'a Path,
    pub(super) test: Option<&'a Path>,
    pub(super) ood: Option<&'a Path>,
    pub(super) kind: Kind,
    pub(super) tolerance: f32,
    pub(super) words: bool,
    pub(super) splits: usize,
    pub(super) json: bool,
}

/// The figures, under the names that programs read.
#[derive(Serialize)]
struct Figures {
    train: usize,
    test: usize,
    labels: usize,
    chosen: String,
    /// By cross-validation on what was trained from.
    cross_validated_accuracy: f64,
    accuracy: f64,
    macro_f1: f64,
    ece: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_absolute_error: Option<f64>,
    ood_auroc: Option<f64>,
    ood_fpr95: Option<f64>,
    certified: Vec<Certified>,
    /// CPU seconds of the training, embedding left out, and of the embedding.
    train_s: f64,
    embed_s: f64,
    /// CPU milliseconds of one request: the vector of its text and the answer; and of the answer alone.
    cpu_ms: f64,
    answer_cpu_ms: f64,
    model_bytes: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    splits: Vec<SplitReport>,
}

#[derive(Serialize)]
struct Certified {
    level: f64,
    /// The share of the test that is accepted, and the share of wrong answers among it.
    coverage: f64,
    realised: f64,
    /// Examples accepted of the test.
    n: usize,
    /// What a threshold of 1 - level on the confidence alone does there.
    plain_coverage: f64,
    plain_realised: f64,
}

/// Texts with their truths and vectors.
#[derive(Default)]
struct Set {
    texts: Vec<String>,
    truths: Vec<Truth>,
    vectors: Vec<Vector>,
}

impl Set {
    fn examples(&self) -> Vec<Example<'_>> {
        let rows = self.texts.iter().zip(&self.vectors).zip(&self.truths);
        rows.map(|((text, vector), truth)| Example { text, vector, truth }).collect()
    }

    fn push(&mut self, text: String, truth: Truth, vector: Vector) {
        self.texts.push(text);
        self.truths.push(truth);
        self.vectors.push(vector);
    }

    fn len(&self) -> usize {
        self.texts.len()
    }
}

/// Trains on `train`, measures on `test`.
pub(super) fn task(config: &Path, subject: &Subject<'_>) -> Result<(), Failure> {
    let settings = load_settings(config)?;
    let encoder = load_encoder(&settings).map_err(Failure::Unavailable)?;
    let began = cpu_s();
    let whole = read(subject.train, &encoder)?;
    let (train, test) = match subject.test {
        Some(test) => (whole, read(test, &encoder)?),
        None => hold_out(whole),
    };
    let ood = subject.ood.map(|ood| read(ood, &encoder)).transpose()?;
    let embed_s = cpu_s() - began;
    let options = TrainOptions {
        seed: SEED,
        words: subject.words,
        tolerance: subject.tolerance,
        parts: DESCRIBED_PARTS,
        ..TrainOptions::default()
    };
    let unfit = |unfit: learn::Unfit| Failure::Wrong(format!("{}: {unfit}", subject.train.display()));
    let began = cpu_s();
    let trained = Model::train(subject.kind, &train.examples(), &options).map_err(unfit)?;
    let train_s = cpu_s() - began;
    let mut figures = figures(&trained, &train, &test, ood.as_ref(), subject.tolerance);
    (figures.train_s, figures.embed_s) = (train_s, embed_s);
    figures.cpu_ms = figures.answer_cpu_ms + one_by_one(&test, &encoder)?;
    if subject.splits > 0 {
        let mut all = train.examples();
        all.extend(test.examples());
        figures.splits =
            splits(subject.kind, &all, &options, &LEVELS, subject.splits, SEED).map_err(unfit)?;
    }
    say(&if subject.json { pretty(&figures)? } else { told(&figures) });
    Ok(())
}

fn read(path: &Path, encoder: &Encoder) -> Result<Set, Failure> {
    let examples = read_examples(path)?;
    let bar = if is_watched() { ProgressBar::new(examples.len() as u64) } else { ProgressBar::hidden() };
    let mut set = Set::default();
    for some in examples.chunks(BATCH) {
        let texts: Vec<&str> = some.iter().map(|(text, _)| text.as_str()).collect();
        let vectors = encoder.describe(&texts).map_err(|error| Failure::Unavailable(in_words(&error)))?;
        for ((text, truth), vector) in some.iter().cloned().zip(vectors) {
            set.push(text, truth, vector);
        }
        bar.inc(some.len() as u64);
    }
    bar.finish_and_clear();
    Ok(set)
}

/// A fifth of the examples, spread evenly over an order that depends on the texts alone.
fn hold_out(whole: Set) -> (Set, Set) {
    let mut rows: Vec<_> =
        whole.texts.into_iter().zip(whole.truths).zip(whole.vectors).map(|((a, b), c)| (a, b, c)).collect();
    rows.sort_by_cached_key(|(text, ..)| *blake3::hash(text.as_bytes()).as_bytes());
    let (mut train, mut test) = (Set::default(), Set::default());
    for (place, (text, truth, vector)) in rows.into_iter().enumerate() {
        let side = if place % HELD_OUT_EVERY == 0 { &mut test } else { &mut train };
        side.push(text, truth, vector);
    }
    (train, test)
}

fn figures(trained: &Trained, train: &Set, test: &Set, ood: Option<&Set>, tolerance: f32) -> Figures {
    let began = cpu_s();
    let answers = answer(&trained.model, test);
    let answer_cpu_ms = (cpu_s() - began) * 1e3 / test.len().max(1) as f64;
    let right: Vec<bool> = answers
        .iter()
        .zip(&test.truths)
        .map(|(answer, truth)| answer.said.agrees(truth, tolerance))
        .collect();
    let confidences: Vec<f32> = answers.iter().map(|answer| answer.confidence).collect();
    let strange = ood.map(|ood| {
        let foreign = answer(&trained.model, ood);
        let scores: Vec<f32> = answers.iter().chain(&foreign).map(|answer| answer.likeness).collect();
        let known: Vec<bool> = answers.iter().map(|_| true).chain(foreign.iter().map(|_| false)).collect();
        (auroc(&scores, &known), false_positive_rate(&scores, &known, 0.95))
    });
    Figures {
        train: train.len(),
        test: test.len(),
        labels: trained.report.labels,
        chosen: trained.report.chosen.clone(),
        cross_validated_accuracy: trained.report.accuracy,
        accuracy: share(&right),
        macro_f1: f1(&answers, &test.truths),
        ece: expected_calibration_error(&confidences, &right),
        mean_absolute_error: mean_absolute_error(&answers, &test.truths),
        ood_auroc: strange.map(|strange| strange.0),
        ood_fpr95: strange.map(|strange| strange.1),
        certified: LEVELS.iter().map(|level| certified(trained, &answers, &right, *level)).collect(),
        train_s: 0.0,
        embed_s: 0.0,
        cpu_ms: 0.0,
        answer_cpu_ms,
        model_bytes: serde_json::to_vec(&trained.model).map_or(0, |bytes| bytes.len()),
        splits: Vec::new(),
    }
}

fn answer(model: &Model, set: &Set) -> Vec<Answer> {
    set.texts.iter().zip(&set.vectors).map(|(text, vector)| model.answer(text, vector)).collect()
}

fn certified(trained: &Trained, answers: &[Answer], right: &[bool], level: f64) -> Certified {
    let trust: Vec<f32> = answers.iter().map(|answer| answer.trust).collect();
    let slice = trained.certify(level, CONFIDENCE).slice(&trust, right);
    let plain: Vec<bool> = answers
        .iter()
        .zip(right)
        .filter(|(answer, _)| f64::from(answer.confidence) >= 1.0 - level)
        .map(|(_, right)| *right)
        .collect();
    let of_all = |count: usize| count as f64 / answers.len().max(1) as f64;
    Certified {
        level,
        coverage: of_all(slice.accepted),
        realised: slice.disagreement,
        n: slice.accepted,
        plain_coverage: of_all(plain.len()),
        plain_realised: if plain.is_empty() { 0.0 } else { 1.0 - share(&plain) },
    }
}

/// The mean F1 of labels; sets of labels count as labels of their own, and numbers have none.
fn f1(answers: &[Answer], truths: &[Truth]) -> f64 {
    let mut names: Vec<String> = Vec::new();
    let mut place = |truth: &Truth| -> Option<usize> {
        let name = match truth {
            Truth::One(label) => label.clone(),
            Truth::Many(labels) => labels.join("\n"),
            Truth::Number(_) => return None,
        };
        let found = names.iter().position(|known| *known == name);
        Some(found.unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        }))
    };
    let pairs = answers.iter().zip(truths);
    let places: Option<Vec<(usize, usize)>> =
        pairs.map(|(answer, truth)| Some((place(truth)?, place(&answer.said)?))).collect();
    let (truth, said): (Vec<usize>, Vec<usize>) = places.unwrap_or_default().into_iter().unzip();
    macro_f1(&truth, &said)
}

fn mean_absolute_error(answers: &[Answer], truths: &[Truth]) -> Option<f64> {
    let gaps: Option<Vec<f64>> = answers
        .iter()
        .zip(truths)
        .map(|(answer, truth)| match (&answer.said, truth) {
            (Truth::Number(said), Truth::Number(truth)) => Some(f64::from((said - truth).abs())),
            _ => None,
        })
        .collect();
    gaps.filter(|gaps| !gaps.is_empty()).map(|gaps| gaps.iter().sum::<f64>() / gaps.len() as f64)
}

fn share(held: &[bool]) -> f64 {
    held.iter().filter(|held| **held).count() as f64 / held.len().max(1) as f64
}

/// CPU milliseconds of the vector of one text, each asked for by itself.
fn one_by_one(set: &Set, encoder: &Encoder) -> Result<f64, Failure> {
    const ASKED: usize = 200;
    let texts: Vec<&str> = set.texts.iter().take(ASKED).map(String::as_str).collect();
    let began = cpu_s();
    for text in &texts {
        encoder.describe(&[text]).map_err(|error| Failure::Unavailable(in_words(&error)))?;
    }
    Ok((cpu_s() - began) * 1e3 / texts.len().max(1) as f64)
}

/// CPU seconds of this process so far.
fn cpu_s() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

fn told(figures: &Figures) -> String {
    let mut text = format!(
        "trained on {} ({} labels; {}), measured on {}\n\
         accuracy {:.4} (cross-validated on the training {:.4}), macro-F1 {:.4}, calibration error {:.4}\n",
        figures.train,
        figures.labels,
        figures.chosen,
        figures.test,
        figures.accuracy,
        figures.cross_validated_accuracy,
        figures.macro_f1,
        figures.ece
    );
    if let Some(error) = figures.mean_absolute_error {
        let _ = writeln!(text, "mean absolute error {error:.4}");
    }
    if let (Some(auroc), Some(fpr)) = (figures.ood_auroc, figures.ood_fpr95) {
        let _ = writeln!(text, "out of distribution: AUROC {auroc:.4}, false positive rate at 95 % {fpr:.4}");
    }
    let _ = writeln!(
        text,
        "\n{:<22}{:>10}{:>10}{:>10}{:>18}{:>10}",
        "certified", "coverage", "realised", "accepted", "plain: coverage", "realised"
    );
    for one in &figures.certified {
        let _ = writeln!(
            text,
            "{:<22}{:>10.3}{:>10.4}{:>10}{:>18.3}{:>10.4}",
            format!("at most {:.0} %", one.level * 100.0),
            one.coverage,
            one.realised,
            one.n,
            one.plain_coverage,
            one.plain_realised
        );
    }
    let _ = writeln!(
        text,
        "\nCPU: training {:.1} s, embedding {:.1} s, one request {:.2} ms ({:.3} ms without its vector); the model takes \
         {:.1} MB",
        figures.train_s,
        figures.embed_s,
        figures.cpu_ms,
        figures.answer_cpu_ms,
        figures.model_bytes as f64 / 1e6
    );
    if !figures.splits.is_empty() {
        text.push_str(&told_splits(&figures.splits));
    }
    text.trim_end().to_owned()
}

fn told_splits(reports: &[SplitReport]) -> String {
    let mut text = format!(
        "\n{:<22}{:>8}{:>9}{:>10}{:>10}{:>17}{:>10}{:>9}\n",
        "random halves", "splits", "broken", "coverage", "realised", "plain: broken", "coverage", "realised"
    );
    for level in LEVELS {
        let own: Vec<&SplitReport> =
            reports.iter().filter(|report| (report.level - level).abs() < 1e-9).collect();
        let mean = |of: fn(&SplitReport) -> f64| {
            own.iter().map(|one| of(one)).sum::<f64>() / own.len().max(1) as f64
        };
        let broken = |of: fn(&SplitReport) -> f64| own.iter().filter(|one| of(one) > level).count();
        let _ = writeln!(
            text,
            "{:<22}{:>8}{:>9}{:>10.3}{:>10.4}{:>17}{:>10.3}{:>9.4}",
            format!("at most {:.0} %", level * 100.0),
            own.len(),
            broken(|one| one.realised),
            mean(|one| one.certified_coverage),
            mean(|one| one.realised),
            broken(|one| one.plain_realised),
            mean(|one| one.plain_coverage),
            mean(|one| one.plain_realised)
        );
    }
    text
}
