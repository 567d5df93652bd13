//! `pointsman eval retrieval`: how good search is on judged questions, how long it takes, and whether coverage tells questions
//! of this corpus from others.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use api::{Embed, Vector};
use classify::Encoder;
use indicatif::ProgressBar;
use knowledge::beir::{Beir, Question};
use knowledge::measure::{ndcg, recall};
use knowledge::{Embedded, Features, Ranking, SearchOptions, Store};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::corpus::Indexed;
use super::coverage::{Coverage, Lesson, Taught};
use crate::Failure;
use crate::commands::{failed, is_watched, load_settings, pretty, say};
use crate::house::in_words;
use crate::renew::load_encoder;

/// Documents that recall looks at, and those that nDCG does.
const DEEP: usize = 100;
const TOP: usize = 10;
/// Passages that are ranked, so that a hundred documents are among them.
const PASSAGES: usize = 400;
/// Questions of each side that coverage is measured on, at even distances.
const COVERAGE_QUESTIONS: usize = 1500;

/// What is to be measured.
pub(super) struct Subject<'a> {
    pub(super) dir: &'a Path,
    pub(super) foreign: &'a [PathBuf],
    pub(super) index: Option<&'a Path>,
    pub(super) learn: Option<Lesson<'a>>,
    pub(super) json: bool,
}

/// The figures, under the names that programs read.
#[derive(Serialize)]
struct Figures {
    documents: u64,
    passages: u64,
    questions: usize,
    bm25: Ranked,
    dense: Ranked,
    hybrid: Ranked,
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<Coverage>,
    /// Answerable questions against those that the corpus does not answer though it is about their subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    answerable: Option<Coverage>,
    /// What was learnt from the questions of this corpus and the foreign ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    learnt: Option<Taught>,
}

#[derive(Serialize)]
struct Ranked {
    ndcg10: f64,
    recall100: f64,
    /// CPU time of one search for ten passages, the question's embedding left out.
    p50_us: f64,
    p99_us: f64,
}

/// Measures and prints.
pub(super) fn retrieval(config: &Path, subject: &Subject<'_>) -> Result<(), Failure> {
    let settings = load_settings(config)?;
    let encoder = load_encoder(&settings).map_err(Failure::Unavailable)?;
    let beir = Beir::read(subject.dir).map_err(|error| Failure::Wrong(in_words(&error)))?;
    let indexed = Indexed::of(&beir, subject.index, &encoder)?;
    let judged: Vec<&Question> =
        beir.questions.iter().filter(|question| !question.relevant.is_empty()).collect();
    if judged.is_empty() {
        let said = format!("{}: no query has a document in qrels/*.tsv", subject.dir.display());
        return Err(Failure::Wrong(said));
    }
    let asking = Asking { store: &indexed.store, encoder: &encoder };
    let vectors = asking.vectors(&judged)?;
    let ranked = |ranking| asking.rank(&judged, &vectors, ranking);
    let mut figures = Figures {
        documents: indexed.documents,
        passages: indexed.passages,
        questions: judged.len(),
        bm25: ranked(Ranking::Words)?,
        dense: ranked(Ranking::Vectors)?,
        hybrid: ranked(Ranking::Hybrid)?,
        coverage: None,
        answerable: None,
        learnt: None,
    };
    let own = asking.measured(&sampled(&judged))?;
    if !subject.foreign.is_empty() {
        let mut other = Vec::new();
        for dir in subject.foreign {
            let foreign = Beir::read(dir).map_err(|error| Failure::Wrong(in_words(&error)))?;
            other.extend(asking.measured(&sampled(&foreign.questions.iter().collect::<Vec<_>>()))?);
        }
        figures.coverage = Some(Coverage::of(&own, &other));
        if let Some(lesson) = &subject.learn {
            figures.learnt = Some(lesson.teach(&own, &other)?);
        }
    }
    let impossible: Vec<&Question> = beir.questions.iter().filter(|question| question.impossible).collect();
    if !impossible.is_empty() {
        figures.answerable = Some(Coverage::of(&own, &asking.measured(&sampled(&impossible))?));
    }
    say(&if subject.json { pretty(&figures)? } else { table(&figures) });
    Ok(())
}

/// At most [`COVERAGE_QUESTIONS`], at even distances.
fn sampled<'q>(questions: &[&'q Question]) -> Vec<&'q Question> {
    let step = questions.len().div_ceil(COVERAGE_QUESTIONS).max(1);
    questions.iter().step_by(step).copied().collect()
}

struct Asking<'a> {
    store: &'a Embedded,
    encoder: &'a Encoder,
}

impl Asking<'_> {
    fn vectors(&self, questions: &[&Question]) -> Result<Vec<Vector>, Failure> {
        let bar = if is_watched() { ProgressBar::new(questions.len() as u64) } else { ProgressBar::hidden() };
        let mut vectors = Vec::with_capacity(questions.len());
        for question in questions {
            vectors.extend(self.encoder.embed(&[&question.text]).map_err(failed)?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(vectors)
    }

    fn rank(&self, questions: &[&Question], vectors: &[Vector], ranking: Ranking) -> Result<Ranked, Failure> {
        let deep = SearchOptions {
            passages_max: PASSAGES,
            candidates: PASSAGES,
            ranking,
            ..SearchOptions::default()
        };
        let quick = SearchOptions { passages_max: TOP, ranking, ..SearchOptions::default() };
        let (mut gain, mut recalled, mut times) = (0.0, 0.0, Vec::with_capacity(questions.len()));
        for (question, vector) in questions.iter().zip(vectors) {
            let began = cpu_us();
            self.store.search(&question.text, Some(vector), &quick).map_err(failed)?;
            times.push(cpu_us() - began);
            let found = self.store.search(&question.text, Some(vector), &deep).map_err(failed)?;
            let mut seen = HashSet::new();
            let documents: Vec<&str> = found
                .passages
                .iter()
                .map(|passage| passage.file.as_str())
                .filter(|file| seen.insert(*file))
                .take(DEEP)
                .collect();
            gain += ndcg(&documents, &question.relevant, TOP);
            recalled += recall(&documents, &question.relevant, DEEP);
        }
        times.sort_by(f64::total_cmp);
        let quantile = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
        let count = questions.len() as f64;
        Ok(Ranked {
            ndcg10: gain / count,
            recall100: recalled / count,
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
        })
    }

    fn measured(&self, questions: &[&Question]) -> Result<Vec<Features>, Failure> {
        let vectors = self.vectors(questions)?;
        let options = SearchOptions::default();
        let index =
            self.store.index().ok_or_else(|| Failure::Unavailable("the index is empty".to_owned()))?;
        let asked = questions.iter().zip(&vectors);
        let measured = asked.map(|(question, vector)| {
            let found = index.search_measured(&question.text, Some(vector), &options);
            found.map(|(_, features)| features).map_err(failed)
        });
        measured.collect()
    }
}

fn table(figures: &Figures) -> String {
    let mut text = format!(
        "{} questions, {} documents, {} passages\n\n{:<8}{:>9}{:>12}{:>10}{:>10}\n",
        figures.questions,
        figures.documents,
        figures.passages,
        "",
        "nDCG@10",
        "Recall@100",
        "p50 us",
        "p99 us"
    );
    for (name, ranked) in [("bm25", &figures.bm25), ("dense", &figures.dense), ("hybrid", &figures.hybrid)] {
        let Ranked { ndcg10, recall100, p50_us, p99_us } = ranked;
        let _ = writeln!(text, "{name:<8}{ndcg10:>9.3}{recall100:>12.3}{p50_us:>10.0}{p99_us:>10.0}");
    }
    let sides =
        [("foreign questions", &figures.coverage), ("questions without an answer here", &figures.answerable)];
    for (name, coverage) in sides {
        let Some(coverage) = coverage else { continue };
        let _ = write!(
            text,
            "\ncoverage of {} questions against {} {name}: AUROC {:.4}, FPR95 {:.3}\n  at 0.50 keeps {:.3}, lets pass {:.3}; \
             at {:.2} keeps 0.970, lets pass {:.3}\n",
            coverage.own,
            coverage.other,
            coverage.auroc,
            coverage.fpr95,
            coverage.kept,
            coverage.passed,
            coverage.line97,
            coverage.passed97
        );
    }
    if let Some(learnt) = &figures.learnt {
        let _ = write!(text, "\n{learnt}");
    }
    text.trim_end().to_owned()
}

/// CPU time of this thread in microseconds: on a busy machine the only time that means something.
fn cpu_us() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn questions_are_taken_at_even_distances() {
        let question = Question {
            id: String::new(),
            text: String::new(),
            answers: Vec::new(),
            impossible: false,
            relevant: HashMap::new(),
        };
        let many: Vec<&Question> = vec![&question; 2 * COVERAGE_QUESTIONS + 2];
        assert!(sampled(&many).len() <= COVERAGE_QUESTIONS);
        assert_eq!(sampled(&many[..3]).len(), 3);
    }
}
