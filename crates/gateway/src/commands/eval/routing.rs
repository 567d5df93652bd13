//! `pointsman eval routing`: what routing by recorded outcomes is worth, beside what needs no router.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use api::Embed;
use flate2::read::GzDecoder;
use indicatif::ProgressBar;
use learn::routing::{Figures, Outcome, Protocol, RoutingReport, Trial, cross_validate, train_and_test};
use serde::Deserialize;

use crate::Failure;
use crate::commands::{is_watched, load_settings, pretty, say};
use crate::decider::load_encoder;
use crate::house::in_words;

/// Folds, replicates and noise are all drawn from it, so that two runs agree.
const SEED: u64 = 17;
/// Mistakes of a file that are told one by one.
const TOLD_MAX: usize = 10;

/// A line of the file.
#[derive(Deserialize)]
struct Line {
    id: serde_json::Value,
    prompt: String,
    #[serde(default)]
    group: String,
    models: BTreeMap<String, Given>,
}

/// An outcome as it is written; what nobody judged is null.
#[derive(Deserialize)]
struct Given {
    score: Option<f64>,
    cost: Option<f64>,
}

impl From<Given> for Outcome {
    fn from(given: Given) -> Self {
        Self { score: given.score.unwrap_or(f64::NAN), cost: given.cost.unwrap_or(f64::NAN) }
    }
}

/// Reads a line. Python writes `NaN`, which is no JSON, where a score is missing: it is taken for null.
fn parse(line: &str) -> Result<Line, serde_json::Error> {
    serde_json::from_str(line)
        .or_else(|error| serde_json::from_str(&line.replace(": NaN", ": null")).map_err(|_| error))
}

/// Where the trials come from and how they are split.
pub(super) struct Task<'a> {
    pub(super) data: &'a Path,
    pub(super) train: Option<&'a Path>,
    pub(super) folds: usize,
    pub(super) groups_out: bool,
    pub(super) json: bool,
}

/// Fits on `train` and scores `data`, or cross-validates on `data`.
pub(super) fn routing(config: &Path, task: &Task<'_>) -> Result<(), Failure> {
    let settings = load_settings(config)?;
    let encoder = load_encoder(&settings).map_err(Failure::Unavailable)?;
    let trials = read(task.data, &encoder)?;
    let report = match task.train {
        Some(train) => train_and_test(&read(train, &encoder)?, &trials, SEED),
        None if task.groups_out => cross_validate(&trials, Protocol::GroupsOut(task.folds), SEED),
        None => cross_validate(&trials, Protocol::Folds(task.folds), SEED),
    };
    let report = report.map_err(|unfit| Failure::Wrong(format!("{}: {unfit}", task.data.display())))?;
    say(&if task.json { pretty(&report)? } else { told(&report) });
    Ok(())
}

/// Reads the trials of a JSONL file, gzip by its name, and encodes their prompts.
fn read(path: &Path, encoder: &dyn Embed) -> Result<Vec<Trial>, Failure> {
    let cannot =
        |error: std::io::Error| Failure::Wrong(format!("{}: cannot be read: {error}", path.display()));
    let file = File::open(path).map_err(cannot)?;
    let plain: Box<dyn Read> = match path.extension() {
        Some(end) if end == "gz" => Box::new(GzDecoder::new(file)),
        _ => Box::new(file),
    };
    let mut trials = Vec::new();
    let mut mistakes = Vec::new();
    for (number, line) in BufReader::new(plain).lines().enumerate() {
        let line = line.map_err(cannot)?;
        if line.trim().is_empty() {
            continue;
        }
        match parse(&line) {
            Ok(line) => trials.push(Trial {
                id: line.id.as_str().map_or_else(|| line.id.to_string(), str::to_owned),
                group: line.group,
                prompt: line.prompt,
                vector: Vec::new(),
                models: line.models.into_iter().map(|(name, given)| (name, given.into())).collect(),
            }),
            Err(error) => mistakes.push(format!(
                "{}:{}: a line must be {{\"id\", \"prompt\", \"group\", \"models\": {{NAME: {{\"score\", \"cost\"}}}}}}: {error}",
                path.display(),
                number + 1
            )),
        }
        if mistakes.len() == TOLD_MAX {
            break;
        }
    }
    if !mistakes.is_empty() {
        return Err(Failure::Wrong(mistakes.join("\n")));
    }
    let bar = if is_watched() { ProgressBar::new(trials.len() as u64) } else { ProgressBar::hidden() };
    for trial in &mut trials {
        let vectors =
            encoder.embed(&[&trial.prompt]).map_err(|error| Failure::Unavailable(in_words(&error)))?;
        trial.vector = vectors.into_iter().next().unwrap_or_default();
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(trials)
}

fn told(report: &RoutingReport) -> String {
    let mut text = format!("{} requests, {} models", report.trials, report.models.len());
    if report.left_out > 0 {
        let _ = write!(text, " ({} requests left out for want of a score or a cost)", report.left_out);
    }
    let _ = write!(
        text,
        "\n\n{:<22}{:>8}{:>8}{:>8}{:>8}  (AIQ's 95 % interval)",
        "", "APGR", "CPT50", "CPT80", "AIQ"
    );
    let mut row = |name: &str, figures: &Figures| {
        let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
        let [low, high] = figures.aiq_interval;
        let _ = write!(
            text,
            "\n{name:<22}{:>8}{:>8}{:>8}{:>8.3}  ({low:.3} to {high:.3})",
            shown(figures.apgr),
            shown(figures.cpt50),
            shown(figures.cpt80),
            figures.aiq
        );
    };
    row("router", &report.router);
    row("prompt length alone", &report.length_only);
    row("oracle", &report.oracle);
    let best = &report.best_single;
    let _ = write!(
        text,
        "\n{:<22}{:>32.3}\n\nbest single model: {} (mean score {:.3}); a model drawn at random: {:.3}\n\
         calibration error of the router: {:.3}",
        "no routing (hull)", report.hull_aiq, best.model, best.score, report.random_score, report.ece
    );
    text
}
