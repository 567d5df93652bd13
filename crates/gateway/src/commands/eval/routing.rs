//! `pointsman eval routing`: what routing by recorded outcomes is worth, beside what needs no router.

use std::fmt::Write as _;
use std::path::Path;

use classify::Encoder;
use indicatif::ProgressBar;
use learn::routing::{Figures, Protocol, RoutingReport, Trial, cross_validate, train_and_test};

use crate::Failure;
use crate::commands::{is_watched, load_settings, pretty, say};
use crate::decider::vector;
use crate::house::in_words;
use crate::outcomes::lines;
use crate::renew::load_encoder;

/// Folds, replicates and noise are all drawn from it, so that two runs agree.
const SEED: u64 = 17;
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

/// Reads the trials of a file and encodes their prompts.
fn read(path: &Path, encoder: &Encoder) -> Result<Vec<Trial>, Failure> {
    let lines = lines::read(path)?;
    let bar = if is_watched() { ProgressBar::new(lines.len() as u64) } else { ProgressBar::hidden() };
    let mut trials = Vec::with_capacity(lines.len());
    for line in lines {
        let vector = vector(encoder, &line.prompt).map_err(|error| Failure::Unavailable(in_words(&error)))?;
        let (id, models) = (line.id(), line.outcomes());
        trials.push(Trial { id, group: line.group, prompt: line.prompt, vector, models });
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
