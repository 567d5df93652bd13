//! From exemplars to a classifier, once for each content of the exemplars: the result is kept in the state folder.

mod kept;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use api::{Cell, Error, Kind, Linear, Signal, SignalSet};
use classify::{
    CHEAP_WIDTH, Classifier, Encoder, Exemplar, Features, Gist, NO, READING_SCHEME, Rarity, Stage, TRAINED,
    Terms, View, YES, read_exemplars,
};
use learn::{HeadOptions, HeadReport, JointOptions, Target, stratified_folds, train_head, train_joint};
use serde::Serialize;

use crate::house::in_words;
use crate::renew::load_encoder;
use crate::settings::Settings;
use kept::Kept;

/// Names the way of training: what was kept by another is trained anew.
const SCHEME: &str = "stages-v3";
/// Exemplars whose features are part of the fingerprint.
const PROBES: usize = 16;
/// Folds that scores are held out in, to learn what they are worth.
const FOLDS: usize = 3;
/// Passes and first step of the linear scores. In cross-validation on the exemplars half the passes with twice the step lost
/// 0.002 macro-F1, and more under noise.
const EPOCHS: usize = 30;
const RATE: f32 = 0.05;
const SEED: u64 = 17;
/// The encoder reads requests only for signals that it tells better by more than this F1.
const EARNS: f64 = 0.02;
/// Exemplars that the others give another kind with this probability contradict them.
const CONTRADICTED: f32 = 0.9;

/// What training found, for `pointsman check`.
pub(crate) struct Reports {
    pub(crate) cheap: StageReports,
    pub(crate) deep: StageReports,
    /// What the encoder tells better, and is asked for.
    pub(crate) told_deep: SignalSet,
    /// Exemplars whose own kind the heads trained without them are sure is another: `file:line` and what they said.
    pub(crate) contradictions: Vec<String>,
}

/// How a stage fared on exemplars that it had not seen.
pub(crate) struct StageReports {
    pub(crate) kind: HeadReport,
    pub(crate) signals: Vec<(Signal, HeadReport)>,
}

/// A trained classifier, and what it was trained from.
pub(crate) struct Trained {
    pub(crate) classifier: Classifier,
    marks: Vec<Mark>,
    gists: Vec<Gist>,
}

/// Where an exemplar stands.
struct Mark {
    file: PathBuf,
    line: usize,
    kind: Kind,
}

/// An exemplar that a request is worded like.
#[derive(Debug, Serialize)]
pub(crate) struct NearExemplar {
    /// `FILE:LINE`.
    at: String,
    kind: Kind,
    /// The cosine of both wordings, about 0 to 1.
    similarity: f32,
}

impl fmt::Display for NearExemplar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:.2})", self.at, self.similarity)
    }
}

impl Trained {
    /// The exemplars that a request is worded most like, the nearest first.
    pub(crate) fn nearest(&self, view: &View, count: usize) -> Vec<NearExemplar> {
        let near = classify::nearest(&self.classifier.cells(view), &self.gists, count);
        near.into_iter()
            .filter_map(|(place, similarity)| {
                let Mark { file, line, kind } = self.marks.get(place)?;
                let name =
                    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                Some(NearExemplar { at: format!("{name}:{line}"), kind: *kind, similarity })
            })
            .collect()
    }
}

/// The classifier for the exemplars: from the state folder, trained first where it is not there. A process of its own
/// trains it: what that takes (half a gigabyte, for two minutes) goes with it.
///
/// # Errors
/// In words: the exemplars are wrong or too few, or the encoder failed.
pub(crate) fn classifier(settings: &Settings, encoder: &Encoder) -> Result<Trained, Vec<String>> {
    let examples = read_exemplars(&settings.files.exemplars)?;
    let path = kept_path(settings, &examples, encoder);
    let kept = match Kept::read(&path) {
        Some(kept) => kept,
        None => {
            tracing::info!(
                exemplars = examples.len(),
                "training the classifier; the next start finds it trained"
            );
            train_aside(settings)?;
            let lacking = || vec![format!("{}: the training left no classifier here", path.display())];
            Kept::read(&path).ok_or_else(lacking)?
        }
    };
    let deep = kept.deep.map(|stage| (stage, kept.told_deep));
    let classifier =
        Classifier::new(kept.rarity, kept.cheap, deep).map_err(|error| vec![in_words(&error)])?;
    let mark = |example: Exemplar| Mark { file: example.file, line: example.line, kind: example.kind };
    Ok(Trained { classifier, marks: examples.into_iter().map(mark).collect(), gists: kept.gists })
}

fn kept_path(settings: &Settings, examples: &[Exemplar], encoder: &Encoder) -> PathBuf {
    settings.files.state.join(format!("classifier-{}.bin", fingerprint(examples, encoder)))
}

/// Runs `pointsman train` with the same configuration and waits for it.
fn train_aside(settings: &Settings) -> Result<(), Vec<String>> {
    let program =
        std::env::current_exe().map_err(|error| vec![format!("no program to train with: {error}")])?;
    let trained = Command::new(program)
        .arg("--config")
        .arg(&settings.file)
        .arg("train")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|error| vec![format!("the training could not be started: {error}")])?;
    if trained.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&trained.stderr);
    Err(vec![said.trim().trim_start_matches("pointsman: ").to_owned()])
}

/// Trains the classifier and keeps it, unless it is kept already; says how many exemplars there are.
///
/// # Errors
/// As [`classifier`]; or it could not be kept.
pub(crate) fn train_and_keep(settings: &Settings, encoder: &Encoder) -> Result<usize, Vec<String>> {
    let examples = read_exemplars(&settings.files.exemplars)?;
    let path = kept_path(settings, &examples, encoder);
    if Kept::read(&path).is_none() {
        let (kept, _) = train(settings, &examples, encoder)?;
        let unwritable = |error: io::Error| vec![format!("{} cannot be written: {error}", path.display())];
        kept.write(&path).map_err(unwritable)?;
        kept::forget_others(&path).map_err(unwritable)?;
    }
    Ok(examples.len())
}

/// Trains anew and tells how good the heads are on exemplars that they have not seen.
///
/// # Errors
/// As [`classifier`].
pub(crate) fn report(settings: &Settings, encoder: &Encoder) -> Result<Reports, Vec<String>> {
    let examples = read_exemplars(&settings.files.exemplars)?;
    train(settings, &examples, encoder).map(|(_, reports)| reports)
}

fn train(
    settings: &Settings,
    examples: &[Exemplar],
    encoder: &Encoder,
) -> Result<(Kept, Reports), Vec<String>> {
    let class = Classes::of(examples);
    let features: Vec<Features> = examples.iter().map(|example| Features::of(&example.view())).collect();
    let terms: Vec<Terms> = features.iter().map(|features| features.terms().clone()).collect();
    let rarity = Rarity::of(&terms);
    let forms = forms(settings, examples, encoder)?;
    let rows = |forms: Option<&[Vec<f32>]>| -> Vec<Vec<Cell>> {
        let form = |row: usize| forms.and_then(|forms| forms.get(row)).map(Vec::as_slice);
        features.iter().enumerate().map(|(row, features)| features.cells(&rarity, form(row))).collect()
    };
    let form_width = forms.first().map_or(0, Vec::len);
    let plain = rows(None);
    let gists = plain.iter().map(|cells| Gist::of(cells)).collect();
    let (cheap, cheap_reports) = train_stage(&plain, &class, CHEAP_WIDTH)?;
    let (deep, deep_reports) = train_stage(&rows(Some(&forms)), &class, CHEAP_WIDTH + form_width)?;
    let told_deep = told_better(&cheap_reports, &deep_reports);
    let used = if told_deep.has(Signal::Kind) { &deep_reports } else { &cheap_reports };
    let contradictions = contradictions(examples, &class, &used.kind);
    let deep = (!told_deep.is_empty()).then_some(deep);
    let kept = Kept { rarity, cheap, deep, told_deep, gists };
    Ok((kept, Reports { cheap: cheap_reports, deep: deep_reports, told_deep, contradictions }))
}

/// What the exemplars are labelled with.
struct Classes {
    kinds: Vec<String>,
    targets: Vec<Target>,
}

impl Classes {
    fn of(examples: &[Exemplar]) -> Self {
        let mut kinds: Vec<String> = examples.iter().map(|example| example.kind.name().to_owned()).collect();
        kinds.sort();
        kinds.dedup();
        let target = |example: &Exemplar| Target {
            class: kinds.iter().position(|kind| kind == example.kind.name()).unwrap_or(0),
            flags: TRAINED.iter().map(|signal| example.signals.contains(signal)).collect(),
        };
        let targets = examples.iter().map(target).collect();
        Self { kinds, targets }
    }

    fn labels(&self) -> Vec<usize> {
        self.targets.iter().map(|target| target.class).collect()
    }
}

/// Trains the scores of a stage, and on scores of held-out folds the heads that make probabilities of them.
fn train_stage(
    rows: &[Vec<Cell>],
    class: &Classes,
    width: usize,
) -> Result<(Stage, StageReports), Vec<String>> {
    let options = JointOptions {
        classes: class.kinds.len(),
        flags: TRAINED.len(),
        width,
        epochs: EPOCHS,
        rate: RATE,
        seed: SEED,
    };
    let labels = class.labels();
    let scores = held_out(rows, class, &labels, &options)?;
    let all: Vec<usize> = (0..rows.len()).collect();
    let linear = fit_on(&all, rows, class, &options)?;
    // Rare classes are raised halfway: that finds most of them and stays calibrated.
    let heads = HeadOptions { balance: 0.5, ..HeadOptions::default() };
    let kind =
        train_head(&scores, &labels, &class.kinds, &heads).map_err(|unfit| vec![format!("kind: {unfit}")])?;
    let mut signals = Vec::with_capacity(TRAINED.len());
    let mut reports = Vec::with_capacity(TRAINED.len());
    let answers = [NO.to_owned(), YES.to_owned()];
    for (place, signal) in TRAINED.into_iter().enumerate() {
        let labels: Vec<usize> =
            class.targets.iter().map(|target| usize::from(target.flags[place])).collect();
        let trained = train_head(&scores, &labels, &answers, &heads)
            .map_err(|unfit| vec![format!("{signal}: {unfit}")])?;
        signals.push((signal, trained.head));
        reports.push((signal, trained.report));
    }
    let stage = Stage { linear, kind: kind.head, signals };
    Ok((stage, StageReports { kind: kind.report, signals: reports }))
}

/// A fit on some of the exemplars.
fn fit_on(
    fitted: &[usize],
    rows: &[Vec<Cell>],
    class: &Classes,
    options: &JointOptions,
) -> Result<Linear, Vec<String>> {
    let rows: Vec<&[Cell]> = fitted.iter().map(|row| rows[*row].as_slice()).collect();
    let targets: Vec<&Target> = fitted.iter().map(|row| &class.targets[*row]).collect();
    train_joint(&rows, &targets, options).map_err(|unfit| vec![format!("exemplars: {unfit}")])
}

/// The scores of every exemplar by a fit that has not seen it; the folds are fitted side by side.
fn held_out(
    rows: &[Vec<Cell>],
    class: &Classes,
    labels: &[usize],
    options: &JointOptions,
) -> Result<Vec<Vec<f32>>, Vec<String>> {
    let assigned = stratified_folds(labels, FOLDS, SEED);
    let fit = |fold: usize| -> Result<Vec<(usize, Vec<f32>)>, Vec<String>> {
        let fitted: Vec<usize> = (0..rows.len()).filter(|row| assigned[*row] != fold).collect();
        let linear = fit_on(&fitted, rows, class, options)?;
        let held = (0..rows.len()).filter(|row| assigned[*row] == fold);
        Ok(held.map(|row| (row, linear.scores(&rows[row]))).collect())
    };
    let mut scores = vec![Vec::new(); rows.len()];
    thread::scope(|scope| -> Result<(), Vec<String>> {
        let folds: Vec<_> = (0..FOLDS).map(|fold| scope.spawn(move || fit(fold))).collect();
        for fold in folds {
            let held = fold.join().map_err(|_| vec!["a thread of the training died".to_owned()])?;
            for (row, own) in held? {
                scores[row] = own;
            }
        }
        Ok(())
    })?;
    Ok(scores)
}

/// The signals that the deep stage tells better by enough to be asked for.
fn told_better(cheap: &StageReports, deep: &StageReports) -> SignalSet {
    let f1 = |report: &HeadReport| {
        report.per_class.iter().find(|class| class.name == YES).map_or(0.0, |class| class.f1)
    };
    let mut told = SignalSet::NONE;
    if deep.kind.macro_f1 > cheap.kind.macro_f1 + EARNS {
        told = told.with(Signal::Kind);
    }
    for ((signal, cheap), (_, deep)) in cheap.signals.iter().zip(&deep.signals) {
        if f1(deep) > f1(cheap) + EARNS {
            told = told.with(*signal);
        }
    }
    told
}

fn contradictions(examples: &[Exemplar], class: &Classes, report: &HeadReport) -> Vec<String> {
    let told = |found: learn::Contradiction| {
        let example = &examples[found.row];
        format!(
            "{}:{}: kept as {}, but the others make it {} ({:.0} %)",
            example.file.display(),
            example.line,
            found.label,
            found.said,
            found.probability * 100.0
        )
    };
    report.contradictions(&class.labels(), CONTRADICTED).into_iter().map(told).collect()
}

/// What the encoder reads of each exemplar. That takes minutes, so where there is a second core a second encoder takes half of
/// them, for as long as it lasts.
fn forms(
    settings: &Settings,
    examples: &[Exemplar],
    encoder: &Encoder,
) -> Result<Vec<Vec<f32>>, Vec<String>> {
    let read = |encoder: &Encoder, examples: &[Exemplar]| -> Result<Vec<Vec<f32>>, Error> {
        examples.iter().map(|example| Ok(encoder.read(&example.view())?.form)).collect()
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let spare = (cores > 1).then(|| load_encoder(settings)).transpose().map_err(|error| vec![error])?;
    let (own, others) = examples.split_at(if spare.is_some() { examples.len() / 2 } else { examples.len() });
    let (forms, rest) = thread::scope(|scope| {
        let helped = spare.as_ref().map(|spare| scope.spawn(move || read(spare, others)));
        let forms = read(encoder, own);
        let rest =
            helped.map_or(Ok(Vec::new()), |helped| helped.join().unwrap_or_else(|_| read(encoder, others)));
        (forms, rest)
    });
    let mut forms = forms.map_err(|error| vec![in_words(&error)])?;
    forms.extend(rest.map_err(|error| vec![in_words(&error)])?);
    Ok(forms)
}

fn fingerprint(examples: &[Exemplar], encoder: &Encoder) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(SCHEME.as_bytes());
    hasher.update(READING_SCHEME.as_bytes());
    // The cheap features of a few exemplars stand for the code that makes them.
    let probes: Vec<Features> =
        examples.iter().take(PROBES).map(|example| Features::of(&example.view())).collect();
    let terms: Vec<Terms> = probes.iter().map(|features| features.terms().clone()).collect();
    let rarity = Rarity::of(&terms);
    for features in &probes {
        for (place, value) in features.cells(&rarity, None) {
            hasher.update(&place.to_le_bytes());
            hasher.update(&value.to_le_bytes());
        }
    }
    hasher.update(api::Embed::fingerprint(encoder).as_bytes());
    for example in examples {
        let marks: Vec<&str> = example.signals.iter().map(|signal| signal.name()).collect();
        let system = example.system.as_deref().unwrap_or("");
        for part in [example.kind.name(), system, &example.text, &marks.join(",")] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    hasher.finalize().to_hex()[..32].to_owned()
}
