//! `pointsman outcomes`: recorded outcomes in, better estimates out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use api::Embed;
use classify::Encoder;
use indicatif::ProgressBar;
use learn::routing::Standing;

use crate::Failure;
use crate::cli::OutcomesCommand;
use crate::commands::{is_watched, load_settings, say};
use crate::decider::vector;
use crate::house::in_words;
use crate::journal::packed;
use crate::live::Files;
use crate::outcomes::{Learnt, Row, Store, lines, path};
use crate::renew::load_encoder;
use crate::settings::Settings;

/// Does what the user asked for.
pub(crate) fn outcomes(config: &Path, command: OutcomesCommand) -> Result<(), Failure> {
    let settings = load_settings(config)?;
    let store = Store::new(&settings.files.state);
    match command {
        OutcomesCommand::Import { file, rename } => import(&settings, &store, &file, &rename),
        OutcomesCommand::List => list(&settings, &store),
        OutcomesCommand::Remove { name } => remove(&settings, &store, &name),
    }
}

fn import(settings: &Settings, store: &Store, file: &Path, rename: &[String]) -> Result<(), Failure> {
    let names = renames(rename)?;
    let lines = lines::read(file)?;
    let known = known_models(settings)?;
    let name = source_name(file)?;
    let encoder = load_encoder(settings).map_err(Failure::Unavailable)?;
    let bar = if is_watched() { ProgressBar::new(lines.len() as u64) } else { ProgressBar::hidden() };
    let mut rows = Vec::with_capacity(lines.len());
    for line in lines {
        let vector =
            vector(&encoder, &line.prompt).map_err(|error| Failure::Unavailable(in_words(&error)))?;
        let renamed = line
            .outcomes()
            .into_iter()
            .map(|(model, outcome)| (names.get(&model).cloned().unwrap_or(model), outcome.into()));
        rows.push(Row {
            id: format!("{name}/{}", line.id()),
            models: renamed.collect(),
            vector: packed(&vector),
            encoder: encoder.fingerprint().to_owned(),
            group: line.group,
            prompt: line.prompt,
        });
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut foreign: Vec<&String> =
        rows.iter().flat_map(|row| row.models.keys()).filter(|model| !known.contains(*model)).collect();
    foreign.sort();
    foreign.dedup();
    store.replace(&name, &rows).map_err(|error| unwritable(store, &error))?;
    say(&format!("{name}: {} requests taken in", rows.len()));
    if !foreign.is_empty() {
        let foreign: Vec<&str> = foreign.into_iter().map(String::as_str).collect();
        say(&format!(
            "not in models.toml, and of use only once they are: {} (name one with --as {}=MODEL; there are {})",
            foreign.join(", "),
            foreign.first().unwrap_or(&""),
            known.join(", ")
        ));
    }
    learn(store, &encoder)
}

/// The names that imported models have in models.toml.
fn renames(given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| {
        text.split_once('=')
            .filter(|(from, to)| !from.is_empty() && !to.is_empty())
            .map(|(from, to)| (from.to_owned(), to.to_owned()))
            .ok_or_else(|| {
                Failure::Wrong(format!("--as {text}: give NAME=MODEL, the name in the file and ours"))
            })
    };
    given.iter().map(pair).collect()
}

fn known_models(settings: &Settings) -> Result<Vec<String>, Failure> {
    let (policies, _) =
        Files::read(settings).and_then(|files| files.check(settings)).map_err(Failure::Wrong)?;
    Ok(policies.catalogue().models().iter().map(|model| model.name.to_string()).collect())
}

/// The file's own name without its endings: `bench.jsonl.gz` is `bench`.
fn source_name(file: &Path) -> Result<String, Failure> {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or("");
    let name = name.split('.').next().unwrap_or("");
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if name.is_empty() || name == crate::outcomes::FEEDBACK || !plain {
        return Err(Failure::Wrong(format!(
            "{}: the file's name becomes the source's: letters, digits, `-` and `_` before the first dot, and not `{}`",
            file.display(),
            crate::outcomes::FEEDBACK
        )));
    }
    Ok(name.to_owned())
}

fn learn(store: &Store, encoder: &Encoder) -> Result<(), Failure> {
    let learnt = Learnt::train(store, encoder).map_err(|error| Failure::Wrong(in_words(&error)))?;
    say(&learnt.map_or_else(|| "nothing is known any more".to_owned(), |learnt| told(&learnt)));
    say("a running gateway takes it up by itself");
    Ok(())
}

fn list(settings: &Settings, store: &Store) -> Result<(), Failure> {
    let sources = store.sources().map_err(|error| unwritable(store, &error))?;
    say(&format!("{:<32}{:>9}  models", "source", "requests"));
    for source in sources {
        say(&format!("{:<32}{:>9}  {}", source.name, source.rows, source.models.join(", ")));
    }
    let encoder = load_encoder(settings).map_err(Failure::Unavailable)?;
    let kept = Learnt::kept(store, &encoder).map_err(|error| Failure::Unavailable(in_words(&error)))?;
    if let Some(kept) = kept {
        say(&told(&kept));
    }
    Ok(())
}

fn remove(settings: &Settings, store: &Store, name: &str) -> Result<(), Failure> {
    let names = store.names().map_err(|error| unwritable(store, &error))?;
    if !names.iter().any(|known| known == name) {
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(Failure::Wrong(format!("there is no source `{name}`; there are: {known}")));
    }
    store.remove(name).map_err(|error| unwritable(store, &error))?;
    say(&format!("{name}: forgotten"));
    let encoder = load_encoder(settings).map_err(Failure::Unavailable)?;
    learn(store, &encoder)?;
    if store.names().map_err(|error| unwritable(store, &error))?.is_empty() {
        // The router of outcomes that are no more.
        let _ = std::fs::remove_file(path(store));
    }
    Ok(())
}

fn unwritable(store: &Store, error: &std::io::Error) -> Failure {
    Failure::Unavailable(format!("{}: {error}", store.folder().display()))
}

/// The router's card: how much better than the models' mean scores it foretells what it was not shown.
fn told(learnt: &Learnt) -> String {
    let card = learnt.card();
    let mut text = format!("learnt from {} requests", learnt.rows);
    if card.models.is_empty() {
        text.push_str(
            "; too few to hold any out: estimates stay near what is known of the models as a whole",
        );
        return text;
    }
    let mut table = |title: &str, standings: &[Standing]| {
        if standings.is_empty() {
            return;
        }
        // Writing to a text cannot fail.
        _ = write!(text, "\n\n{title:<34}{:>9}{:>7}{:>9}{:>13}", "outcomes", "mean", "gain", "calibration");
        for standing in standings {
            _ = write!(
                text,
                "\n{:<34}{:>9}{:>7.3}{:>7.1} %{:>13.3}",
                standing.name,
                standing.outcomes,
                standing.mean,
                100.0 * standing.gain(),
                standing.calibration_error
            );
        }
    };
    table("model, held out by fold", &card.models);
    table("group, held out by fold", &card.groups);
    table("group, held out whole", &card.unseen);
    text.push_str("\n\ngain: the share of the squared error of the mean score that the estimates save; below 0 they do harm");
    text
}
