//! `pointsman task list` and `show`.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{declared, one, open};
use crate::Failure;
use crate::commands::{pretty, say};
use crate::settings::Settings;
use crate::tasks::version::{Issued, Version};
use crate::tasks::{Task, clerk, told, undeclared};

pub(super) fn list(settings: &Settings, as_json: bool) -> Result<(), Failure> {
    let (_, tasks) = open(settings)?;
    let proposals =
        undeclared(clerk::read_discovery(&settings.files.state).proposals(), &declared(settings)?.1);
    if as_json {
        let tasks: Vec<Value> = tasks.iter().map(|task| told::json(task)).collect();
        let proposals: Vec<Value> = proposals.iter().map(told::proposal).collect();
        say(&pretty(&json!({ "tasks": tasks, "proposals": proposals }))?);
        return Ok(());
    }
    say(&format!(
        "{:<32}{:>8}{:>10}{:>10}{:>10}  answers",
        "task", "labels", "examples", "accuracy", "coverage"
    ));
    for task in tasks.iter() {
        say(&line(task));
    }
    for proposal in proposals {
        let labels: Vec<String> =
            proposal.labels.iter().take(8).map(|(label, count)| format!("{label} ({count})")).collect();
        let more = proposal.labels.len().saturating_sub(labels.len());
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let mut text = format!(
            "\nproposed: {} ({} requests of tenant `{}`, answered by {})\n  labels  {}{more}",
            proposal.id,
            proposal.requests,
            proposal.tenant,
            proposal.models.join(", "),
            labels.join(", ")
        );
        for (name, template) in [("system", &proposal.system), ("user", &proposal.user)] {
            if let Some(template) = template {
                let _ = write!(text, "\n  {name:<7} {}", template.to_string().replace('\n', "\n          "));
            }
        }
        for sample in &proposal.samples {
            let _ = write!(text, "\n  input   {}", sample.replace('\n', " "));
        }
        let _ = write!(text, "\n  declare it with `pointsman task adopt {}`", proposal.id);
        say(&text);
    }
    Ok(())
}

fn line(task: &Task) -> String {
    let served = task.served();
    let labels = task.labels().len();
    let answers = match (&served.serving, &served.canary, &served.standing.demoted) {
        (Some(serving), Some(canary), _) => {
            format!("version {}, and {} to a share", serving.number, canary.number)
        }
        (Some(serving), None, _) => format!("version {}", serving.number),
        (None, _, Some(demoted)) => format!("nothing: version {} was demoted", demoted.version),
        (None, _, None) => "nothing yet".to_owned(),
    };
    let name = format!("task/{}", task.name);
    match served.answers() {
        Some(version) => format!(
            "{name:<32}{labels:>8}{:>10}{:>10.3}{:>9.0} %  {answers}",
            version.card.examples,
            version.card.accuracy,
            version.certificate.coverage * 100.0
        ),
        None => format!("{name:<32}{labels:>8}{:>10}{:>10}{:>10}  {answers}", "-", "-", "-"),
    }
}

pub(super) fn show(settings: &Settings, name: &str, as_json: bool) -> Result<(), Failure> {
    let (_, task) = one(settings, name)?;
    if as_json {
        say(&pretty(&told::json(&task))?);
        return Ok(());
    }
    let served = task.served();
    let labels = task.labels();
    let by: Vec<String> = labels.counts().into_iter().map(|(by, count)| format!("{by} {count}")).collect();
    let total = labels.len();
    drop(labels);
    let mut text =
        format!("task/{name}: {total} labels ({}), {} of them usable\n", by.join(", "), task.usable_count());
    {
        let watch = task.watch();
        for (model, tally) in &watch.annotators {
            let share = tally.share().unwrap_or(0.0) * 100.0;
            let _ = writeln!(
                text,
                "{model} gave the same answer again {} of {} times ({share:.0} %)",
                tally.agreed, tally.asked
            );
        }
        for (arm, name) in [(&watch.few.with, "with"), (&watch.few.without, "without")] {
            if arm.form.asked > 0 {
                let _ = writeln!(
                    text,
                    "prompts {name} examples: {} answers, {:.1} % of the task's form, {} judged{}",
                    arm.form.asked,
                    arm.form.share().unwrap_or(0.0) * 100.0,
                    arm.judged.asked,
                    arm.judged
                        .share()
                        .map_or(String::new(), |share| format!(", {:.1} % right", share * 100.0))
                );
            }
        }
    }
    for (version, role) in [(&served.serving, "answers"), (&served.canary, "answers a share")] {
        if let Some(version) = version {
            text.push_str(&told_version(&task, version, role));
        }
    }
    if let (None, Some(newest)) = (&served.serving, &served.newest) {
        text.push_str(&told_version(&task, newest, "answers only those who name it"));
    }
    if let Some(demoted) = &served.standing.demoted {
        let _ = writeln!(
            text,
            "\nversion {} was demoted {}: {}",
            demoted.version,
            at(demoted.at_ms),
            demoted.why
        );
    }
    let events = task.events();
    if !events.is_empty() {
        text.push_str("\nevents\n");
    }
    for event in events.iter().rev().take(12).rev() {
        let _ = writeln!(text, "  {}  {:<16}{}", at(event.at_ms), event.what, event.why);
    }
    say(text.trim_end());
    Ok(())
}

fn told_version(task: &Task, version: &Version, role: &str) -> String {
    let card = &version.card;
    let mut text = format!(
        "\nversion {} {role}: {}, trained {} on {} examples\n\
         {}{}",
        version.number,
        card.chosen,
        at(version.trained_at_ms),
        card.examples,
        figures(version),
        certificate(&version.certificate)
    );
    if let Some(seen) = task.watch().versions.get(&version.number) {
        let _ = writeln!(
            text,
            "seen {} requests, {} of them covered; {} of {} audits agreed",
            seen.seen, seen.accepted, seen.audits.agreed, seen.audits.asked
        );
    }
    text
}

/// How a version fared on labels that it was not trained on.
pub(super) fn figures(version: &Version) -> String {
    let card = &version.card;
    let mut text = match version.adapter() {
        Some(_) => format!("held out: accuracy {:.3}, calibration error {:.3}\n", card.accuracy, card.ece),
        None => format!(
            "cross-validated: accuracy {:.3}, macro-F1 {:.3}, calibration error {:.3}\n",
            card.accuracy, card.macro_f1, card.ece
        ),
    };
    if let Some(error) = card.mean_absolute_error {
        let _ = writeln!(text, "mean absolute error {error:.3}");
    }
    text
}

/// A certificate with its slices.
pub(super) fn certificate(issued: &Issued) -> String {
    let level = issued.level * 100.0;
    let Some(threshold) = issued.threshold else {
        return format!(
            "certificate: none; on {} held-out examples no threshold keeps disagreement under {level:.1} % with {:.0} % \
             confidence\n",
            issued.n,
            issued.confidence * 100.0
        );
    };
    let mut text = format!(
        "certificate: at most {level:.1} % disagreement with {:.0} % confidence, for {:.1} % of requests (trust >= \
         {threshold:.3}; {:.2} % on {} held-out examples); good until {}\n",
        issued.confidence * 100.0,
        issued.coverage * 100.0,
        issued.disagreement * 100.0,
        issued.n,
        at(issued.expires_at_ms)
    );
    let _ = writeln!(
        text,
        "  {:<24}{:>8}{:>10}{:>14}{:>14}",
        "slice", "n", "accepted", "disagreement", "upper bound"
    );
    for slice in &issued.slices {
        let _ = writeln!(
            text,
            "  {:<24}{:>8}{:>10}{:>13.2}%{:>13.2}%",
            slice.name,
            slice.n,
            slice.accepted,
            slice.disagreement * 100.0,
            slice.bound * 100.0
        );
    }
    text
}

/// A moment as people write it, in UTC.
fn at(ms: u64) -> String {
    let moment = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    moment.map_or_else(|| "?".to_owned(), |moment| moment.strftime("%Y-%m-%d %H:%M:%S").to_string())
}
