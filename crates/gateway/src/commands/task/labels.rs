//! `pointsman task label`, `export`, `erase`: a task's labels by hand.

use std::path::Path;

use super::{one, unwritable};
use crate::Failure;
use crate::commands::say;
use crate::house::now_ms;
use crate::settings::Settings;
use crate::tasks::labels::{Added, By, Erasure, INPUT_BYTES_MAX, Kept, Label};

pub(super) fn label(
    settings: &Settings,
    name: &str,
    text: &str,
    label: &str,
    tenant: &str,
) -> Result<(), Failure> {
    if text.trim().is_empty() || text.len() > INPUT_BYTES_MAX {
        return Err(Failure::Wrong(format!("--text must have 1 to {INPUT_BYTES_MAX} bytes")));
    }
    let (_, task) = one(settings, name)?;
    let truth = task.check_label(label).map_err(Failure::Wrong)?;
    let label = Label {
        tenant: tenant.to_owned(),
        input: text.to_owned(),
        truth,
        by: By::Human,
        model: None,
        logprob: None,
        decision: None,
        at_ms: now_ms(),
        drawn: false,
    };
    let added = task
        .with_labels(|labels| labels.add(vec![Kept { label, vector: None }]))
        .map_err(|error| unwritable(task.folder(), &error))?;
    let total = task.labels().len();
    say(match added.first() {
        Some(Added::Known) => "known already",
        Some(Added::Changed) => "labelled anew",
        _ => "labelled",
    });
    say(&format!("task/{name} has {total} labels"));
    Ok(())
}

pub(super) fn export(settings: &Settings, name: &str) -> Result<(), Failure> {
    let (_, task) = one(settings, name)?;
    for kept in task.labels().sorted() {
        let line = serde_json::to_string(&kept.label)
            .map_err(|error| Failure::Unavailable(format!("no JSON: {error}")))?;
        say(&line);
    }
    Ok(())
}

/// What is to be erased; everything only where that is said in so many words.
pub(super) fn erasure(
    tenant: Option<String>,
    before_ms: Option<u64>,
    text: Option<String>,
    by: Option<&str>,
    all: bool,
) -> Result<Erasure, Failure> {
    let by = by.map(|by| match by {
        "human" => By::Human,
        "import" => By::Import,
        _ => By::Model,
    });
    let erasure = Erasure { tenant, before_ms, text, by };
    if erasure == Erasure::default() && !all {
        return Err(Failure::Wrong(
            "say what to erase: --tenant, --before, --text, --by, together or alone, or --all".to_owned(),
        ));
    }
    Ok(erasure)
}

pub(super) fn erase(settings: &Settings, name: &str, erasure: &Erasure) -> Result<(), Failure> {
    let (_, task) = one(settings, name)?;
    let folder: &Path = task.folder();
    let gone =
        task.with_labels(|labels| labels.erase(erasure)).map_err(|error| unwritable(folder, &error))?;
    say(&format!("{gone} labels erased, {} left", task.labels().len()));
    Ok(())
}
