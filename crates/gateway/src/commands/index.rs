//! `pointsman index`: build it, ask it, look at it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use api::Embed;
use classify::Encoder;
use indicatif::{ProgressBar, ProgressStyle};
use knowledge::{Corpus, Index, Progress, SearchOptions, Stage};

use crate::Failure;
use crate::cli::IndexCommand;
use crate::commands::{is_watched, load_settings, say, say_error};
use crate::house::in_words;
use crate::renew::{load_encoder, open_index};
use crate::settings::Settings;

/// Does what the user asked for.
pub(crate) fn index(config: &Path, command: IndexCommand) -> Result<(), Failure> {
    let settings = load_settings(config)?;
    match command {
        IndexCommand::Build { paths } => build(&settings, paths),
        IndexCommand::Search { question, passages } => search(&settings, &question, passages),
        IndexCommand::Stats => stats(&settings),
    }
}

fn build(settings: &Settings, paths: Vec<PathBuf>) -> Result<(), Failure> {
    let roots = if paths.is_empty() { settings.index.corpus.clone() } else { paths };
    if roots.is_empty() {
        let said = "name a folder to index, or set `index.corpus` in gateway.toml";
        return Err(Failure::Wrong(said.to_owned()));
    }
    let encoder = load_encoder(settings).map_err(Failure::Unavailable)?;
    let bar = progress_bar();
    let told = |progress: Progress| {
        bar.set_length(progress.bytes_total);
        bar.set_position(progress.bytes_done);
        bar.set_message(format!("{}, {} passages", stage(progress.stage), progress.passages));
    };
    let built = knowledge::build(&Corpus::new(roots), &settings.index.path, &encoder, &told);
    bar.finish_and_clear();
    let report = built.map_err(|error| Failure::Unavailable(in_words(&error)))?;
    say(&format!(
        "indexed {} passages of {} documents in {:.1} s ({:.0} passages/s in the encoder); generation {} serves",
        report.passages,
        report.documents,
        report.elapsed.as_secs_f64(),
        report.passages as f64 / report.embedding.as_secs_f64().max(1e-9),
        report.generation
    ));
    for skipped in &report.skipped {
        let line = skipped.line.map_or_else(String::new, |line| format!(":{line}"));
        say(&format!("skipped {}{line}: {}", skipped.file.display(), skipped.why));
    }
    Ok(())
}

fn progress_bar() -> ProgressBar {
    if !is_watched() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {msg} ({elapsed})");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Fingerprinting => "reading",
        Stage::Indexing => "indexing",
        Stage::Merging => "merging",
        Stage::Publishing => "publishing",
    }
}

fn search(settings: &Settings, question: &str, passages: usize) -> Result<(), Failure> {
    let encoder = load_encoder(settings).map_err(Failure::Unavailable)?;
    let index = open(settings, &encoder)?;
    let failed = |error: api::Error| Failure::Unavailable(in_words(&error));
    let vectors = encoder.embed(&[question]).map_err(failed)?;
    let options = SearchOptions { passages_max: passages, ..SearchOptions::default() };
    let findings = index.search(question, vectors.first().map(Vec::as_slice), &options).map_err(failed)?;
    say(&format!("coverage {:.2}", findings.coverage));
    for (place, passage) in findings.passages.iter().enumerate() {
        let section =
            if passage.section.is_empty() { String::new() } else { format!(", {}", passage.section) };
        say(&format!(
            "\n[{}] {}{section} (score {:.2}, BM25 {:.2}, cosine {:.2})\n{}",
            place + 1,
            passage.file,
            passage.score,
            passage.bm25,
            passage.cosine,
            passage.text
        ));
    }
    Ok(())
}

fn stats(settings: &Settings) -> Result<(), Failure> {
    let encoder = load_encoder(settings).map_err(Failure::Unavailable)?;
    let index = open(settings, &encoder)?;
    let stats = index.stats();
    say(&format!("{} documents, {} passages", stats.documents, stats.passages));
    Ok(())
}

fn open(settings: &Settings, encoder: &Encoder) -> Result<Index, Failure> {
    let (index, rebuild) = open_index(settings, encoder).map_err(Failure::Unavailable)?;
    if let Some(why) = &rebuild {
        say_error(&format!("{why}; run `pointsman index build`"));
    }
    index.ok_or_else(|| {
        Failure::Unavailable(format!(
            "there is no index in {}; run `pointsman index build`",
            settings.index.path.display()
        ))
    })
}
