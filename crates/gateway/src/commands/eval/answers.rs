//! `pointsman eval answers`: how good answers from passages are, beside known ones: by the extractive reader and by a small model of
//! the process, which is also asked without any passage. The survey's claim, as a table.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use api::{Embed, Findings, Grounding, Passage, Vector};
use classify::Encoder;
use indicatif::ProgressBar;
use knowledge::beir::{Beir, Question};
use knowledge::{AnswerFigures, Judged, SearchOptions, Store, Tally, holds};
use policy::Catalogue;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::corpus::Indexed;
use crate::Failure;
use crate::commands::{failed, is_watched, load_settings, pretty, say};
use crate::exchange::Ground;
use crate::house::{in_words, load_llama};
use crate::reader;
use crate::renew::load_encoder;
use crate::settings::Settings;
use crate::surroundings::Surroundings;

/// What the shipped policy demands of coverage, and reads.
const COVERAGE_MIN: f32 = 0.5;
const PASSAGES_MAX: usize = 6;
/// Sentences that the extractive reader may quote.
const SENTENCES_MAX: usize = 1;
/// Tokens of an answer without passages.
const ANSWER_TOKENS_MAX: u64 = 24;
/// A model that takes longer than this for one answer is broken.
const PATIENCE: Duration = Duration::from_secs(120);

/// Our own examples of a question and a short answer, for a model that is given nothing to read.
const CLOSED_BOOK: &str = "\
Question: What is the capital of France?
Answer: Paris

Question: In which year did the Second World War end?
Answer: 1945

";

/// What is to be measured.
pub(super) struct Subject<'a> {
    pub(super) dir: &'a Path,
    pub(super) model: Option<&'a str>,
    pub(super) questions: usize,
    pub(super) index: Option<&'a Path>,
    pub(super) json: bool,
}

/// One way of answering, and how it fared, under the names that programs read.
#[derive(Serialize)]
struct Row {
    reader: &'static str,
    reads: &'static str,
    exact_match: f64,
    f1: f64,
    holds_answer: f64,
    citation_precision: f64,
    citations: u64,
    refused_answerable: f64,
    refused_impossible: f64,
    answerable: u64,
    impossible: u64,
    /// CPU is shared with nothing else here: wall time of one answer.
    mean_ms: f64,
}

/// An answer without marks and the passages that it cites; `None` where there is a refusal.
type Said = Option<(String, Vec<Passage>)>;

/// Measures and prints.
pub(super) fn answers(config: &Path, subject: &Subject<'_>) -> Result<(), Failure> {
    let settings = load_settings(config)?;
    let encoder = load_encoder(&settings).map_err(Failure::Unavailable)?;
    let beir = Beir::read(subject.dir).map_err(|error| Failure::Wrong(in_words(&error)))?;
    let known = |question: &&Question| !question.answers.is_empty() || question.impossible;
    let asked: Vec<&Question> = beir.questions.iter().filter(known).collect();
    if asked.is_empty() {
        let said = format!("{}: no query has `answers` or `impossible`", subject.dir.display());
        return Err(Failure::Wrong(said));
    }
    let step = asked.len().div_ceil(subject.questions.max(1)).max(1);
    let asked: Vec<&Question> = asked.into_iter().step_by(step).collect();
    let indexed = Indexed::of(&beir, subject.index, &encoder)?;
    let bench = Bench { indexed: &indexed, encoder: &encoder, asked };
    let prepared = bench.prepare()?;
    let mut rows = vec![
        bench.row("extractive", "gold passage", &prepared, |case| bench.quote(case, &case.gold, 0.0))?,
        bench.row("extractive", "what it finds", &prepared, |case| {
            bench.quote(case, &case.found, COVERAGE_MIN)
        })?,
    ];
    if let Some(name) = subject.model {
        let model = load_model(&settings, name)?;
        let runtime = Runtime::new().map_err(|error| Failure::Unavailable(format!("no runtime: {error}")))?;
        let small = Small { model: &model, runtime: &runtime };
        rows.push(bench.row("model", "nothing", &prepared, |case| small.recite(case))?);
        rows.push(bench.row("model", "gold passage", &prepared, |case| small.read(case, &case.gold, 0.0))?);
        rows.push(
            bench.row("model", "what it finds", &prepared, |case| {
                small.read(case, &case.found, COVERAGE_MIN)
            })?,
        );
    }
    say(&if subject.json { pretty(&rows)? } else { table(&rows) });
    Ok(())
}

fn load_model(settings: &Settings, name: &str) -> Result<local::Model, Failure> {
    let label = settings.files.models.display().to_string();
    let text = std::fs::read_to_string(&settings.files.models)
        .map_err(|error| Failure::Wrong(format!("{label}: cannot be read ({error})")))?;
    let surroundings = Surroundings::of(&settings.files.models);
    let catalogue = Catalogue::parse(&label, &text, &|place| surroundings.look_up(place))
        .map_err(|mistakes| Failure::Wrong(mistakes.to_string()))?;
    let model =
        catalogue.get(name).ok_or_else(|| Failure::Wrong(format!("{label}: there is no model `{name}`")))?;
    load_llama(settings, model).map_err(failed)
}

/// A question with what there is to read for it.
struct Case<'q> {
    question: &'q Question,
    vector: Vector,
    gold: Findings,
    found: Findings,
}

struct Bench<'a> {
    indexed: &'a Indexed,
    encoder: &'a Encoder,
    asked: Vec<&'a Question>,
}

impl<'a> Bench<'a> {
    fn prepare(&self) -> Result<Vec<Case<'a>>, Failure> {
        let wanted = self.asked.iter().flat_map(|question| question.relevant.keys());
        let documents = self.indexed.texts(&wanted.map(String::as_str).collect())?;
        let options = SearchOptions { passages_max: PASSAGES_MAX, ..SearchOptions::default() };
        let bar =
            if is_watched() { ProgressBar::new(self.asked.len() as u64) } else { ProgressBar::hidden() };
        let mut cases = Vec::with_capacity(self.asked.len());
        for &question in &self.asked {
            bar.inc(1);
            let vector = self.encoder.embed(&[&question.text]).map_err(failed)?.pop().unwrap_or_default();
            let found = self.indexed.store.search(&question.text, Some(&vector), &options).map_err(failed)?;
            let relevant = question.relevant.iter().filter(|(_, grade)| **grade > 0.0);
            let relevant = relevant.filter_map(|(id, _)| documents.get_key_value(id.as_str()));
            let passages = relevant.map(|(id, text)| whole(id, text)).collect();
            let gold = Findings { passages, coverage: 1.0 };
            cases.push(Case { question, vector, gold, found });
        }
        bar.finish_and_clear();
        Ok(cases)
    }

    fn row(
        &self,
        reader: &'static str,
        reads: &'static str,
        cases: &[Case<'_>],
        answer: impl Fn(&Case<'_>) -> Result<Said, Failure>,
    ) -> Result<Row, Failure> {
        let mut tally = Tally::default();
        let bar = if is_watched() { ProgressBar::new(cases.len() as u64) } else { ProgressBar::hidden() };
        let began = Instant::now();
        let mut asked = 0_u32;
        for case in cases {
            bar.inc(1);
            // The passage of a question that none answers is not gold.
            if case.question.impossible && reads == "gold passage" {
                continue;
            }
            asked += 1;
            let said = answer(case)?;
            let right: Vec<bool> =
                said.iter().flat_map(|(_, cited)| cited).map(|cited| case.is_right(cited)).collect();
            let gold: &[String] = if case.question.impossible { &[] } else { &case.question.answers };
            tally.add(&Judged {
                answer: said.as_ref().map(|(text, _)| text.as_str()),
                gold,
                citations_right: &right,
            });
        }
        bar.finish_and_clear();
        let AnswerFigures {
            answerable,
            exact_match,
            f1,
            held,
            refused_answerable,
            impossible,
            refused_impossible,
            citations,
            citation_precision,
        } = tally.figures();
        Ok(Row {
            reader,
            reads,
            exact_match,
            f1,
            holds_answer: held,
            citation_precision,
            citations,
            refused_answerable,
            refused_impossible,
            answerable,
            impossible,
            mean_ms: began.elapsed().as_secs_f64() * 1e3 / f64::from(asked.max(1)),
        })
    }

    fn quote(&self, case: &Case<'_>, findings: &Findings, coverage_min: f32) -> Result<Said, Failure> {
        if findings.passages.is_empty() || findings.coverage < coverage_min {
            return Ok(None);
        }
        let answer = knowledge::read_extractively(
            &case.question.text,
            &case.vector,
            findings,
            self.encoder,
            SENTENCES_MAX,
        )
        .map_err(failed)?;
        let short = answer.short.as_ref().map(|short| short.text.clone());
        let text = short.unwrap_or_else(|| without_marks(&answer.text));
        let cited = answer.citations.iter().filter_map(|citation| findings.passages.get(citation.number - 1));
        Ok(Some((text, cited.cloned().collect())).filter(|(text, _)| !text.is_empty()))
    }
}

impl Case<'_> {
    /// Whether a passage is of a relevant document, or holds a known answer.
    fn is_right(&self, cited: &Passage) -> bool {
        self.question.relevant.get(&cited.file).is_some_and(|grade| *grade > 0.0)
            || holds(&cited.text, &self.question.answers)
    }
}

struct Small<'a> {
    model: &'a local::Model,
    runtime: &'a Runtime,
}

impl Small<'_> {
    /// Answers from memory.
    fn recite(&self, case: &Case<'_>) -> Result<Said, Failure> {
        let prompt = format!("{CLOSED_BOOK}Question: {}\nAnswer:", case.question.text);
        let deadline = Instant::now() + PATIENCE;
        let stop = ["\n".to_owned()];
        let written = self.runtime.block_on(self.model.complete(&prompt, ANSWER_TOKENS_MAX, &stop, deadline));
        let text = written.map_err(failed)?.text.trim().to_owned();
        Ok(Some((text, Vec::new())).filter(|(text, _)| !text.is_empty()))
    }

    /// Reads as the gateway lets it read.
    fn read(&self, case: &Case<'_>, findings: &Findings, coverage_min: f32) -> Result<Said, Failure> {
        if findings.passages.is_empty() || findings.coverage < coverage_min {
            return Ok(None);
        }
        let ground = Ground {
            coverage_min,
            grounding: Grounding {
                store: api::DEFAULT_STORE.to_owned(),
                passages_max: PASSAGES_MAX,
                authoritative: false,
                coverage_min: None,
                checked: true,
            },
            question: case.question.text.clone(),
            vector: Vec::new(),
            findings: findings.clone(),
        };
        let reading = reader::read(self.model, &ground, Instant::now() + PATIENCE);
        match self.runtime.block_on(reading) {
            Ok(read) => Ok(Some((read.answer, vec![ground.findings.passages[read.passage].clone()]))),
            Err(error) if error.code == "unsupported" => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

/// A document as one passage.
fn whole(id: &str, text: &str) -> Passage {
    Passage {
        file: id.to_owned(),
        section: String::new(),
        span: (0, text.len()),
        text: text.to_owned(),
        score: 1.0,
        bm25: 0.0,
        cosine: 0.0,
        highlights: Vec::new(),
        attributes: serde_json::Map::new(),
    }
}

/// A quote without its marks `[1]`.
fn without_marks(quote: &str) -> String {
    let parts = quote.split_inclusive(']').map(|part| match part.rfind('[') {
        Some(open)
            if part[open + 1..part.len() - 1].chars().all(|c| c.is_ascii_digit()) && part.ends_with(']') =>
        {
            part[..open].trim_end()
        }
        _ => part,
    });
    parts.collect::<String>().trim().to_owned()
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<11}{:<15}{:>7}{:>7}{:>8}{:>11}{:>11}{:>12}{:>9}\n",
        "reader", "reads", "EM", "F1", "holds", "citations", "refused", "impossible", "ms"
    );
    for row in rows {
        let Row { reader, reads, exact_match, f1, holds_answer, citation_precision, .. } = row;
        let (refused, impossible, ms) = (row.refused_answerable, row.refused_impossible, row.mean_ms);
        let impossible = if row.impossible == 0 { "-".to_owned() } else { format!("{impossible:.3}") };
        let cited = if row.citations == 0 { "-".to_owned() } else { format!("{citation_precision:.3}") };
        let _ = writeln!(
            text,
            "{reader:<11}{reads:<15}{exact_match:>7.3}{f1:>7.3}{holds_answer:>8.3}{cited:>11}{refused:>11.3}{impossible:>12}{ms:>9.1}"
        );
    }
    let first = rows.first().map_or((0, 0), |row| (row.answerable, row.impossible));
    let impossible = rows.get(1).map_or(first.1, |row| row.impossible);
    let _ = write!(
        text,
        "\n{} questions with known answers, {impossible} that nothing here answers. holds: the answer has a known one in it;\n\
         citations: the share that is right; refused, impossible: the share of either that was not answered.",
        first.0
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_taken_off() {
        let check = |quote: &str, bare: &str| assert_eq!(without_marks(quote), bare);
        check("One. Two. [1] Three. [2]", "One. Two. Three.");
        check("An array[0] stays [as it is]", "An array stays [as it is]");
        check("", "");
    }
}
