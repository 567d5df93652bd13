//! `pointsman index`: feed a store, ask it, look at it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::{DEFAULT_STORE, Embed, Passage, Tenant};
use classify::Encoder;
use indicatif::{ProgressBar, ProgressStyle};
use knowledge::{Corpus, Feed, FeedReport, Filter, Progress, Scope, Skipped, Stage};
use serde_json::json;

use crate::Failure;
use crate::cli::{IndexArgs, IndexCommand};
use crate::commands::{failed, is_watched, load_settings, pretty, say, say_error};
use crate::house::in_words;
use crate::renew::load_encoder;
use crate::settings::Settings;
use crate::stores::Kept;
use crate::wishes::Reach;

/// Documents that are listed at a time.
const PAGE: usize = 1000;

/// Does what the user asked for.
pub(crate) fn index(config: &Path, args: IndexArgs) -> Result<(), Failure> {
    let settings = load_settings(config)?;
    let opened = Opened::open(&settings, args.store.as_deref().unwrap_or(DEFAULT_STORE))?;
    match args.command {
        IndexCommand::Build { paths, fresh } => opened.build(paths, fresh),
        IndexCommand::Add { paths } => {
            let corpus = opened.corpus(paths);
            check_patterns(&corpus)?;
            opened.feed(&Feed::Add(&corpus))
        }
        IndexCommand::Remove { names } => opened.remove(&names),
        IndexCommand::Search { question, passages, scope, filter, json } => {
            let reach = Reach { store: None, folders: scope.map(|one| vec![one]), filter: parsed(filter)? };
            opened.search(&question, passages, &reach, json)
        }
        IndexCommand::List { json } => opened.list(json),
        IndexCommand::Stats { json } => opened.stats(json),
    }
}

/// One store, and what feeds it.
struct Opened {
    kept: Kept,
    encoder: Arc<Encoder>,
}

fn parsed(filter: Option<String>) -> Result<Option<Filter>, Failure> {
    let Some(text) = filter else { return Ok(None) };
    let value = serde_json::from_str(&text)
        .map_err(|error| Failure::Wrong(format!("--filter is not JSON: {error}")))?;
    Filter::parse(&value, "--filter").map(Some).map_err(|error| Failure::Wrong(in_words(&error)))
}

fn check_patterns(corpus: &Corpus) -> Result<(), Failure> {
    corpus.check().map_err(|error| Failure::Wrong(in_words(&error)))
}

impl Opened {
    fn open(settings: &Settings, name: &str) -> Result<Self, Failure> {
        let Some(store) = settings.stores.iter().find(|store| *store.name == *name) else {
            let names: Vec<&str> = settings.stores.iter().map(|store| &*store.name).collect();
            let said = format!("there is no [store.{name}] in gateway.toml; allowed: {}", names.join(", "));
            return Err(Failure::Wrong(said));
        };
        let encoder = Arc::new(load_encoder(settings).map_err(Failure::Unavailable)?);
        let kept = Kept::open(store, &encoder).map_err(Failure::Unavailable)?;
        Ok(Self { kept, encoder })
    }

    fn build(&self, paths: Vec<PathBuf>, fresh: bool) -> Result<(), Failure> {
        let own = &self.kept.settings.corpus;
        match (paths.is_empty(), own.roots.is_empty()) {
            (false, _) if fresh => self.feed(&Feed::Rebuild(&self.corpus(paths))),
            (true, false) if fresh => self.feed(&Feed::Rebuild(own)),
            (true, true) if fresh => {
                let said = "name a folder to index anew, or set `corpus` of the store in gateway.toml";
                Err(Failure::Wrong(said.to_owned()))
            }
            (false, _) => self.feed(&Feed::Build(&self.corpus(paths))),
            (true, false) => self.feed(&Feed::Renew(Some(own))),
            // What was added and uploaded may be all that there is.
            (true, true) if self.kept.is_ready() => self.feed(&Feed::Renew(None)),
            (true, true) => {
                let said = "name a folder to index, or set `corpus` of the store in gateway.toml";
                Err(Failure::Wrong(said.to_owned()))
            }
        }
    }

    /// These paths, with the patterns of the store.
    fn corpus(&self, roots: Vec<PathBuf>) -> Corpus {
        Corpus { roots, ..self.kept.settings.corpus.clone() }
    }

    fn remove(&self, names: &[String]) -> Result<(), Failure> {
        for name in names {
            let scope = Scope::everything().narrowed(std::slice::from_ref(name));
            if self.kept.store.documents(&scope, None, 1).map_err(failed)?.is_empty() {
                let said =
                    format!("there is no document or folder `{name}`; `pointsman index list` names them");
                return Err(Failure::Wrong(said));
            }
        }
        self.feed(&Feed::Remove(names))
    }

    fn feed(&self, feed: &Feed<'_>) -> Result<(), Failure> {
        let bar = progress_bar();
        let told = |progress: Progress| {
            bar.set_length(progress.bytes_total);
            bar.set_position(progress.bytes_done);
            bar.set_message(format!("{}, {} passages", stage(progress.stage), progress.passages));
        };
        let fed = self.kept.store.feed(feed, &*self.encoder, &told);
        bar.finish_and_clear();
        let report = fed.map_err(failed)?;
        say(&self.told(&report));
        for skipped in &report.skipped {
            say(&passed_over(skipped));
        }
        let unnamed = report.skipped_total.saturating_sub(report.skipped.len() as u64);
        if unnamed > 0 {
            say(&format!("and {unnamed} more"));
        }
        let bad = report.skipped.iter().filter(|skipped| skipped.bad).count();
        if bad > 0 || unnamed > 0 {
            return Err(Failure::Partly(format!(
                "{} could not be read; the rest is indexed",
                counted(bad, "file")
            )));
        }
        Ok(())
    }

    fn told(&self, report: &FeedReport) -> String {
        let rate = report.embedded as f64 / report.embedding.as_secs_f64().max(1e-9);
        let rate = if report.embedded == 0 {
            String::new()
        } else {
            format!(", {rate:.0} passages/s in the encoder")
        };
        let serves = match report.generation {
            Some(generation) => format!("generation {generation}"),
            None => format!("store {}", self.kept.settings.name),
        };
        format!(
            "{serves} holds {} passages of {} documents ({} written, {} removed, {} passages embedded) after {:.1} s{rate}",
            report.passages,
            report.documents,
            report.written,
            report.removed,
            report.embedded,
            report.elapsed.as_secs_f64(),
        )
    }

    fn search(&self, question: &str, passages: usize, reach: &Reach, as_json: bool) -> Result<(), Failure> {
        self.complain();
        let vectors = self.encoder.embed(&[question]).map_err(failed)?;
        let mut sight = self.kept.sight(&Tenant::open(), reach);
        sight.options.passages_max = passages;
        let findings = sight
            .store
            .search(question, vectors.first().map(Vec::as_slice), &sight.options)
            .map_err(failed)?;
        if as_json {
            say(&pretty(&findings)?);
            return Ok(());
        }
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
                marked(passage)
            ));
        }
        Ok(())
    }

    fn list(&self, as_json: bool) -> Result<(), Failure> {
        let mut after: Option<String> = None;
        loop {
            let page =
                self.kept.store.documents(&Scope::everything(), after.as_deref(), PAGE).map_err(failed)?;
            for listed in &page {
                if as_json {
                    let told = json!({ "name": listed.name, "hash": listed.hash, "passages": listed.passages,
                                       "attributes": listed.attributes });
                    say(&told.to_string());
                } else {
                    say(&format!("{:>6}  {}", listed.passages, listed.name));
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.name.clone()),
                _ => return Ok(()),
            }
        }
    }

    fn stats(&self, as_json: bool) -> Result<(), Failure> {
        self.complain();
        let stats = self.kept.store.stats().map_err(failed)?;
        if as_json {
            let told = json!({
                "store": self.kept.settings.name, "generation": stats.generation, "documents": stats.documents,
                "passages": stats.passages, "text_bytes": stats.text_bytes, "file_bytes": stats.file_bytes,
                "segments": stats.segments, "dimensions": stats.dimensions,
            });
            say(&pretty(&told)?);
            return Ok(());
        }
        let on_disk = stats.file_bytes.map_or_else(String::new, |bytes| format!(", {bytes} bytes on disk"));
        let generation = stats.generation.map_or_else(String::new, |number| format!("; generation {number}"));
        say(&format!(
            "{} documents, {} passages, {} bytes of text{on_disk}{generation}",
            stats.documents, stats.passages, stats.text_bytes
        ));
        Ok(())
    }

    /// Says what is wrong with the store, where the last sound generation stands in.
    fn complain(&self) {
        if let Some(why) = self.kept.take_rebuild() {
            say_error(&format!("{why}; run `pointsman index build`"));
        }
    }
}

/// A passage's text with the question's words between `**`.
fn marked(passage: &Passage) -> String {
    let mut text = String::new();
    let mut place = 0;
    for (start, end) in &passage.highlights {
        let (Some(before), Some(word)) = (passage.text.get(place..*start), passage.text.get(*start..*end))
        else {
            return passage.text.clone();
        };
        text.push_str(before);
        text.push_str(&format!("**{word}**"));
        place = *end;
    }
    text.push_str(passage.text.get(place..).unwrap_or_default());
    text
}

fn passed_over(skipped: &Skipped) -> String {
    let line = skipped.line.map_or_else(String::new, |line| format!(":{line}"));
    format!("skipped {}{line}: {}", skipped.file.display(), skipped.why)
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
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
        Stage::Indexing => "indexing",
        Stage::Merging => "merging",
        Stage::Publishing => "publishing",
    }
}
