//! What is said when a request cannot be taken, or not as well as the policy wants.

use api::{Error, Fault, Track};

use super::choose::{Budgets, Choice};
use super::{Considered, Found, shown};
use crate::estimate::Obstacle;

/// The error for a request that no target takes.
pub(super) fn refusal(considered: &[Considered], budgets: &Budgets) -> Error {
    let (fault, code, opening) = kind(considered);
    let mut told: Vec<String> = Vec::new();
    for candidate in considered {
        let line = format!("{}: {}", candidate.model.name, budgets.why_lost(candidate));
        if !told.contains(&line) {
            told.push(line);
        }
    }
    let mut error = Error::new(fault, code, format!("{opening} {}.", told.join("; ")));
    // Whoever asked for too much can ask for less; what has to be set is up to the operator.
    error.source = if fault == Fault::Unavailable { api::Source::Gateway } else { api::Source::Client };
    error
}

fn kind(considered: &[Considered]) -> (Fault, &'static str, &'static str) {
    let any =
        |test: fn(&Obstacle) -> bool| considered.iter().filter_map(|one| one.obstacle.as_ref()).any(test);
    if considered.iter().any(|one| one.obstacle.is_none()) {
        return (
            Fault::Unprocessable,
            "budget_too_small",
            "No model answers this request within its limits; allow more time or money. Models:",
        );
    }
    if any(|obstacle| matches!(obstacle, Obstacle::Unavailable(_))) {
        return (Fault::Unavailable, "no_model_available", "No model can take this request now. Models:");
    }
    if any(|obstacle| matches!(obstacle, Obstacle::Funds(_))) {
        return (
            Fault::BudgetExceeded,
            "budget_exceeded",
            "The budget has no room for this request; lower `max_tokens`, or wait until it is filled again. Models:",
        );
    }
    if any(|obstacle| matches!(obstacle, Obstacle::Private(_))) {
        return (
            Fault::Forbidden,
            "private_request",
            "This request may not leave this host, and no model here can take it. Models:",
        );
    }
    (
        Fault::Unprocessable,
        "unsupported_request",
        "No model can do what this request needs; leave that out, or name another model. Models:",
    )
}

/// What an answer must admit: that another track stands in, that something yielded.
pub(super) fn degraded(wanted: Track, budgets: &Budgets, found: &Found<'_>) -> Option<String> {
    let Found { track, considered, choice, lost } = *found;
    let mut sentences = Vec::new();
    if wanted != track {
        let reasons = hints(lost.iter());
        sentences.push(format!(
            "The {wanted} track could not take this request{reasons}; the {track} track did its best."
        ));
    }
    let first = choice.places.first().and_then(|place| considered.get(*place));
    if let Some(first) = first {
        sentences.extend(yielded(first, budgets, choice));
        if !choice.stage.floor && wanted == track {
            let reasons = hints(considered.iter());
            if !reasons.is_empty() {
                sentences.push(format!("Others could not be asked{reasons}."));
            }
        }
    }
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

/// A sentence for each limit that the first choice does not keep.
fn yielded(first: &Considered, budgets: &Budgets, choice: &Choice) -> Vec<String> {
    let (model, estimate, stage) = (&first.model.name, &first.estimate, choice.stage);
    let mut sentences = Vec::new();
    if !stage.floor && estimate.quality < budgets.quality_floor {
        let (quality, floor) = (estimate.quality, budgets.quality_floor);
        sentences.push(format!(
            "The quality floor of {floor:.2} yielded: {model} is expected to reach {quality:.2}."
        ));
    }
    if let Some(budget) = budgets.cost.filter(|budget| !stage.cost && estimate.cost > *budget) {
        sentences.push(format!(
            "The cost budget of {budget} USD yielded: {model} is expected to cost {} USD.",
            estimate.cost
        ));
    }
    if let Some(budget) = budgets.latency.filter(|budget| !stage.latency && estimate.whole > *budget) {
        let (budget, whole) = (shown(budget), shown(estimate.whole));
        sentences
            .push(format!("The latency budget of {budget} yielded: {model} is expected to take {whole}."));
    }
    sentences
}

/// ` (model: reason; model: reason)` for those that cannot be asked for a reason that somebody can mend, or that the
/// caller should know.
fn hints<'c>(considered: impl Iterator<Item = &'c Considered>) -> String {
    let mut hints: Vec<String> = Vec::new();
    for candidate in considered {
        let Some(obstacle) = &candidate.obstacle else { continue };
        let hint = match obstacle {
            // One reason for all of them.
            Obstacle::Private(reason) => (*reason).to_owned(),
            Obstacle::Need(reason) | Obstacle::Unavailable(reason) | Obstacle::Funds(reason) => {
                format!("{}: {reason}", candidate.model.name)
            }
        };
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    if hints.is_empty() { String::new() } else { format!(" ({})", hints.join("; ")) }
}
