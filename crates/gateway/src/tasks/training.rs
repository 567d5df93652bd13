//! From a task's labels to a trained version with a certificate; and the decision whether it serves.
//!
//! The gateway trains in a process of its own, at the lowest priority: the memory goes with it, and live traffic does not feel
//! it. Refuses to decide when: the clerk does.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use api::{Error, Fault, Vector};
use classify::{DESCRIBED_PARTS, Encoder, View, language, noise};
use learn::metrics::expected_calibration_error;
use learn::task::{Certificate, Example, HeldOut, Model, TrainOptions, Truth};
use policy::tasks::{TaskKind, TaskSpec};

use super::described::Described;
use super::labels::{By, Kept, Labels};
use super::task::{Task, learnt_kind};
use super::tuned::{Bases, tune};
use super::vector_scheme;
use super::version::{Brain, Card, Issued, Slice, Standing, Version, numbers, versions};

/// Training is repeatable.
const SEED: u64 = 29;
/// A label that models alone have given is one only when it was given so often, where nobody has declared the set.
const GIVEN_MIN: usize = 3;
/// Inputs with more of this share of noise are a slice of their own.
const NOISY: f32 = 0.1;
/// Slices with fewer examples tell nothing.
const SLICE_MIN: usize = 20;
/// The lowest priority that there is.
const NICE: i32 = 19;

/// What became of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The new version answers.
    Serves,
    /// It answers a share, beside the one before.
    Canary,
    /// Its certificate covers too little to serve.
    NotCertified,
}

/// Trains a version on the task's labels as they are now, keeps it, and lets it serve as far as its certificate allows.
/// Blocks for seconds to minutes.
///
/// # Errors
/// The labels cannot be learnt from (the message says why), the encoder failed, or the disk is full.
pub(crate) fn train(
    task: &Task,
    encoder: &Encoder,
    bases: &Bases<'_>,
    now_ms: u64,
) -> Result<(Version, Outcome), Error> {
    let spec = task.spec();
    let standing = Standing::read(task.folder()).map_err(Error::internal)?;
    let number = numbers(task.folder()).map_err(Error::internal)?.last().map_or(1, |last| last + 1);
    let began = Instant::now();
    let fitted = if spec.kind == TaskKind::ShortAnswer {
        adapt(task.usable_labels(), &spec, bases, &versions(task.folder()), number)?
    } else {
        task.with_labels(|labels| Ok(labels.encode(encoder))).map_err(Error::internal)??;
        fit(learnable(task.usable_labels(), &spec), &spec)?
    };
    let version = Version {
        number,
        encoder: vector_scheme(encoder),
        data: Labels::fingerprint(fitted.kept.iter().map(|kept| &kept.label)),
        trained_at_ms: now_ms,
        train_s: began.elapsed().as_secs_f64(),
        labels: sources(&fitted.kept),
        certificate: certify(&fitted, &standing, &spec, now_ms),
        card: fitted.card,
        brain: fitted.brain,
    };
    let outcome = outcome(&version, &spec, &standing);
    version.write(task.folder(), &standing).map_err(Error::internal)?;
    task.change_standing(|standing| match outcome {
        Outcome::Serves => {
            standing.promote(version.number);
            standing.drifted_at_ms = None;
        }
        Outcome::Canary => standing.canary = Some(version.number),
        Outcome::NotCertified => {}
    })
    .map_err(Error::internal)?;
    Ok((version, outcome))
}

/// What training makes, with answers to labels that it was not trained on.
struct Fitted {
    brain: Brain,
    card: Card,
    kept: Vec<Kept>,
    /// The answer to each of `kept`.
    held_out: Vec<HeldOut>,
}

/// Labels by who said them.
fn sources(kept: &[Kept]) -> BTreeMap<String, usize> {
    let mut by: BTreeMap<String, usize> = BTreeMap::new();
    for one in kept {
        *by.entry(one.label.by.name().to_owned()).or_default() += 1;
    }
    by
}

/// Without labels that models made up once or twice, where the set is open.
fn learnable(kept: Vec<Kept>, spec: &TaskSpec) -> Vec<Kept> {
    let with_vectors = kept.into_iter().filter(|kept| kept.vector.is_some());
    if !spec.labels.is_empty() {
        return with_vectors.collect();
    }
    let kept: Vec<Kept> = with_vectors.collect();
    let mut given: BTreeMap<&str, usize> = BTreeMap::new();
    for one in &kept {
        if let Truth::One(label) = &one.label.truth {
            let weight = if one.label.by == By::Model { 1 } else { GIVEN_MIN };
            *given.entry(label).or_default() += weight;
        }
    }
    let rare: std::collections::HashSet<String> = given
        .into_iter()
        .filter(|(_, count)| *count < GIVEN_MIN)
        .map(|(label, _)| label.to_owned())
        .collect();
    let common = |kept: &Kept| !matches!(&kept.label.truth, Truth::One(label) if rare.contains(label));
    kept.into_iter().filter(common).collect()
}

/// A head over vectors and words; every label is answered by one that was trained without it.
fn fit(kept: Vec<Kept>, spec: &TaskSpec) -> Result<Fitted, Error> {
    let vectors: Vec<Vector> =
        kept.iter().map(|kept| kept.vector.as_ref().map(Described::vector).unwrap_or_default()).collect();
    let examples: Vec<Example<'_>> = kept
        .iter()
        .zip(&vectors)
        .map(|(kept, vector)| Example { text: &kept.label.input, vector, truth: &kept.label.truth })
        .collect();
    let options = TrainOptions {
        seed: SEED,
        balance: spec.train.balance,
        words: spec.train.words,
        parts: DESCRIBED_PARTS,
        tolerance: spec.tolerance,
        ..TrainOptions::default()
    };
    let trained = Model::train(learnt_kind(spec.kind), &examples, &options)
        .map_err(|unfit| Error::new(Fault::Unprocessable, "cannot_train", unfit.to_string()))?;
    let report = trained.report;
    let card = Card {
        examples: report.examples,
        labels: report.labels,
        accuracy: report.accuracy,
        macro_f1: report.macro_f1,
        ece: report.ece,
        mean_absolute_error: report.mean_absolute_error,
        chosen: report.chosen,
    };
    Ok(Fitted { brain: Brain::Head(Box::new(trained.model)), card, kept, held_out: trained.held_out })
}

/// An adapter; its figures are of the labels that were held out.
fn adapt(
    kept: Vec<Kept>,
    spec: &TaskSpec,
    bases: &Bases<'_>,
    versions: &Path,
    number: u32,
) -> Result<Fitted, Error> {
    let tuned = tune(kept, spec, bases, versions, number)?;
    tracing::info!(told = %tuned.told, "an adapter was trained");
    let right: Vec<bool> = tuned.held_out.iter().map(|answer| answer.right).collect();
    let confidences: Vec<f32> = tuned.held_out.iter().map(|answer| answer.confidence).collect();
    let accuracy = right.iter().filter(|right| **right).count() as f64 / right.len().max(1) as f64;
    let card = Card {
        examples: tuned.trained_on + tuned.tested.len(),
        labels: tuned.adapted.choices.len(),
        accuracy,
        macro_f1: 0.0,
        ece: expected_calibration_error(&confidences, &right),
        mean_absolute_error: None,
        chosen: format!("adapter of {} from {} examples", tuned.adapted.base, tuned.trained_on),
    };
    Ok(Fitted { brain: Brain::Adapter(tuned.adapted), card, kept: tuned.tested, held_out: tuned.held_out })
}

/// Which labels prove something about the requests that come now: those that were drawn, and after a drift those that came
/// since. Where nothing was drawn (all labels are people's), all count.
fn tested(kept: &[Kept], standing: &Standing) -> Vec<bool> {
    let recent = |kept: &Kept| standing.drifted_at_ms.is_none_or(|at| kept.label.at_ms >= at);
    let any = kept.iter().any(|kept| kept.label.drawn);
    kept.iter().map(|kept| recent(kept) && (kept.label.drawn || !any)).collect()
}

/// Issues the certificate on the held-out answers to the labels that prove something.
fn certify(fitted: &Fitted, standing: &Standing, spec: &TaskSpec, now_ms: u64) -> Issued {
    let tested = tested(&fitted.kept, standing);
    let answered = fitted.kept.iter().zip(&fitted.held_out).zip(&tested);
    let rows: Vec<(&Kept, &HeldOut)> = answered.filter(|(_, tested)| **tested).map(|(row, _)| row).collect();
    let scores = |rows: &[&(&Kept, &HeldOut)]| -> (Vec<f32>, Vec<bool>) {
        rows.iter().map(|(_, answer)| (answer.trust, answer.right)).unzip()
    };
    let all: Vec<&(&Kept, &HeldOut)> = rows.iter().collect();
    let (trust, right) = scores(&all);
    let found = Certificate::find(&trust, &right, spec.certificate.level, spec.certificate.confidence);
    let mut groups: BTreeMap<String, Vec<&(&Kept, &HeldOut)>> = BTreeMap::new();
    for row in &rows {
        for name in slices_of(row.0) {
            groups.entry(name).or_default().push(row);
        }
    }
    let slices = groups
        .into_iter()
        .filter(|(_, rows)| rows.len() >= SLICE_MIN)
        .map(|(name, rows)| {
            let (trust, right) = scores(&rows);
            let slice = found.slice(&trust, &right);
            let learn::task::SliceReport { n, accepted, disagreement, bound } = slice;
            Slice { name, n, accepted, disagreement, bound }
        })
        .collect();
    let valid_ms = u64::try_from(spec.certificate.valid.as_millis()).unwrap_or(u64::MAX);
    Issued {
        level: found.level,
        confidence: found.confidence,
        threshold: found.threshold,
        coverage: found.coverage,
        disagreement: found.disagreement,
        n: found.examples,
        issued_at_ms: now_ms,
        expires_at_ms: now_ms.saturating_add(valid_ms),
        slices,
    }
}

/// The slices that an example belongs to: by language, length, noise, and who labelled it.
fn slices_of(kept: &Kept) -> [String; 4] {
    let input = &kept.label.input;
    let words = input.split_whitespace().count();
    let length = match words {
        0..=5 => "up to 5 words",
        6..=15 => "6 to 15 words",
        16..=50 => "16 to 50 words",
        _ => "over 50 words",
    };
    let noisy = if noise(input) > NOISY { "noisy" } else { "clean" };
    [
        format!("language {}", language(&View::of(None, input))),
        format!("length {length}"),
        format!("noise {noisy}"),
        format!("labelled by {}", kept.label.by.name()),
    ]
}

fn outcome(version: &Version, spec: &TaskSpec, standing: &Standing) -> Outcome {
    let certificate = &version.certificate;
    if certificate.threshold.is_none() || certificate.coverage < spec.certificate.coverage_min {
        return Outcome::NotCertified;
    }
    match standing.serving {
        Some(_) if spec.canary.share > 0.0 => Outcome::Canary,
        _ => Outcome::Serves,
    }
}

/// Runs `pointsman task train NAME` at the lowest priority and waits for it.
///
/// # Errors
/// In words: why it could not be trained.
pub(crate) fn train_aside(config: &Path, name: &str) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| format!("no program to train with: {error}"))?;
    let trained = Command::new(program)
        .arg("--config")
        .arg(config)
        .args(["task", "train", name, "--background"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("the training could not be started: {error}"))?;
    if trained.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&trained.stderr);
    Err(said.trim().trim_start_matches("pointsman: ").to_owned())
}

/// Gives everything else on this machine precedence over this process.
pub(crate) fn step_back() -> io::Result<()> {
    rustix::process::nice(NICE)?;
    Ok(())
}
