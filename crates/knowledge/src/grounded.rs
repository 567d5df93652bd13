//! Whether an answer rests on its passages: each sentence against what it cites, before the answer leaves.
//!
//! Owns the verdict on each sentence, with a calibrated probability, and on the answer. Refuses to mend an answer beyond
//! adding marks, and to know what is true: only what the passages say counts.

mod phrasing;
mod weighing;

use std::collections::HashMap;

use api::{Embed, Error, Findings};
use tantivy::tokenizer::TextAnalyzer;

use self::phrasing::{is_frame, is_refusal};
use self::weighing::{by_meaning, by_words};
use crate::evidence::{Evidence, Said, Source};
use crate::languages::Language;
use crate::marks::{Cited, cited};
use crate::words::analyzer;

/// The probability from which a sentence counts as supported.
const SUPPORTED_MIN: f32 = 0.5;

/// The words alone settle what they make surer than this, either way; the encoder is asked about the rest.
const SETTLED: f32 = 0.8;

/// What stands in a passage word for word is said by it, if it is long enough to say something.
const QUOTED: f32 = 0.99;
const QUOTED_WORDS_MIN: usize = 4;

/// The share of a sentence's words that stand together in a passage, from which a denial of one alone turns what is said.
const TURNED_WORDS_MIN: f32 = 0.75;

/// What an answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every sentence that says something is supported; one that says what the passages lack may stand beside.
    Supported,
    /// The answer says that the passages do not cover the question, and nothing else.
    NotCovered,
    /// A sentence is not supported, or none says anything.
    Unsupported,
}

/// Why a sentence is not supported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It cites numbers that no passage has.
    NoSuchPassage(Vec<usize>),
    /// What it cites does not support it; the passage of this number does.
    Elsewhere(usize),
    /// Numbers that the passages do not have.
    Numbers(Vec<String>),
    /// Names that the passages do not have.
    Names(Vec<String>),
    /// It denies what the passages say, or says what they deny.
    Turned,
    /// Its words do not stand together in the passages.
    Unlike,
}

/// What one sentence is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The passages say it.
    Supported,
    /// It says nothing of its own: "According to the documents:".
    Frame,
    /// It says that the passages do not cover the question.
    Refusal,
    /// The passages do not say it.
    Unsupported(Reason),
}

/// One sentence or line of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// Bytes of the answer, without marks behind it.
    pub span: (usize, usize),
    /// What it is.
    pub verdict: Verdict,
    /// The probability that the passages say it, 1 for what says nothing.
    pub probability: f32,
    /// The numbers of the passages that it rests on: those it cites, or the best where it cites none.
    pub citations: Vec<usize>,
    /// Whether it brought those numbers itself.
    pub cited: bool,
}

/// The check of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Grounded {
    /// What the whole is worth.
    pub outcome: Outcome,
    /// The least probability among its sentences, 0 where there are none.
    pub probability: f32,
    /// Its sentences in order.
    pub sentences: Vec<Checked>,
}

impl Grounded {
    /// `answer` with a mark behind every supported sentence that has none. `answer` is what was checked.
    pub fn marked(&self, answer: &str) -> String {
        let mut text = String::with_capacity(answer.len() + 8 * self.sentences.len());
        let mut place = 0;
        for sentence in &self.sentences {
            let Some(until) = answer.get(place..sentence.span.1) else { continue };
            text.push_str(until);
            place = sentence.span.1;
            if sentence.verdict == Verdict::Supported && !sentence.cited {
                for number in &sentence.citations {
                    text.push_str(&format!(" [{number}]"));
                }
            }
        }
        text.push_str(answer.get(place..).unwrap_or_default());
        text
    }
}

/// Checks every sentence of `answer` against the passages that it cites, and all of them where it cites none. The encoder is
/// asked, in one call, only about sentences that their words do not settle.
///
/// # Errors
/// The encoder fails.
pub fn check(answer: &str, findings: &Findings, embed: &dyn Embed) -> Result<Grounded, Error> {
    let sentences = cited(answer);
    let mut court = Court::new(findings);
    let mut cases: Vec<Case> = sentences.iter().map(|sentence| court.open(sentence)).collect();
    ask_encoder(&mut cases, &sentences, findings, embed)?;
    let checked: Vec<Checked> =
        cases.iter().zip(&sentences).map(|(case, sentence)| court.close(case, sentence)).collect();
    let speaking = || checked.iter().filter(|sentence| sentence.verdict != Verdict::Frame);
    let is = |wanted: Verdict| speaking().any(|sentence| sentence.verdict == wanted);
    let unsupported = speaking().any(|sentence| matches!(sentence.verdict, Verdict::Unsupported(_)));
    let outcome = match (unsupported, is(Verdict::Supported), is(Verdict::Refusal)) {
        (false, true, _) => Outcome::Supported,
        (false, false, true) => Outcome::NotCovered,
        _ => Outcome::Unsupported,
    };
    let least = speaking().map(|sentence| sentence.probability).min_by(f32::total_cmp);
    Ok(Grounded { outcome, probability: least.unwrap_or(0.0), sentences: checked })
}

/// What is known of one sentence.
struct Case {
    said: Said,
    /// Numbers that it cites and that passages have.
    cites: Vec<usize>,
    strange_marks: Vec<usize>,
    /// How it is best supported.
    best: Reading,
}

/// A sentence beside some passages.
#[derive(Default)]
struct Reading {
    /// The numbers of the passages.
    numbers: Vec<usize>,
    evidence: Evidence,
    /// The sentences that speak best for it: the place of their passage, and their bytes.
    window: Option<(usize, usize, usize)>,
    probability: f32,
}

struct Court<'a> {
    findings: &'a Findings,
    analyzer: TextAnalyzer,
    sources: HashMap<Vec<usize>, Source>,
}

impl<'a> Court<'a> {
    fn new(findings: &'a Findings) -> Self {
        Self { findings, analyzer: analyzer(Language::English), sources: HashMap::new() }
    }

    /// The evidence of the words.
    fn open(&mut self, sentence: &Cited) -> Case {
        let mut said = Said::of(&mut self.analyzer, &sentence.words);
        if let Some((lead, rest)) = sentence.words.split_once([',', ':'])
            && !is_frame(&said)
            && is_frame(&Said::of(&mut self.analyzer, lead))
        {
            said = Said::of(&mut self.analyzer, rest);
        }
        let known = |number: &&usize| (1..=self.findings.passages.len()).contains(*number);
        let cites: Vec<usize> = sentence.numbers.iter().filter(known).copied().collect();
        let strange_marks = sentence.numbers.iter().filter(|number| !known(number)).copied().collect();
        let mut readings: Vec<Vec<usize>> = match cites.is_empty() {
            true => self.numbers().map(|number| vec![number]).collect(),
            false => cites.iter().map(|number| vec![*number]).collect(),
        };
        if cites.len() > 1 {
            readings.push(cites.clone());
        }
        let mut best = self.best_of(readings, &said);
        if said.words.len() >= QUOTED_WORDS_MIN && self.quotes(&best.numbers, &sentence.words) {
            best.probability = QUOTED;
        }
        Case { said, cites, strange_marks, best }
    }

    fn numbers(&self) -> std::ops::RangeInclusive<usize> {
        1..=self.findings.passages.len()
    }

    /// Whether one of the passages has `sentence` word for word.
    fn quotes(&self, numbers: &[usize], sentence: &str) -> bool {
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let sentence = one_line(sentence.trim_matches(|c: char| !c.is_alphanumeric()));
        let mut passages =
            numbers.iter().filter_map(|number| self.findings.passages.get(number.checked_sub(1)?));
        passages.any(|passage| one_line(&passage.text).contains(&sentence))
    }

    fn best_of(&mut self, readings: Vec<Vec<usize>>, said: &Said) -> Reading {
        let mut best = Reading::default();
        for numbers in readings {
            let source = self.source(&numbers);
            let evidence = source.compare(said);
            let probability = by_words(&evidence);
            if best.numbers.is_empty() || probability > best.probability {
                best =
                    Reading { window: source.window_bytes(evidence.window), numbers, evidence, probability };
            }
        }
        best
    }

    /// The passages of `numbers` as one source, read once.
    fn source(&mut self, numbers: &[usize]) -> &Source {
        let passages = &self.findings.passages;
        let analyzer = &mut self.analyzer;
        self.sources.entry(numbers.to_vec()).or_insert_with(|| {
            let named = numbers.iter().filter_map(|number| {
                let place = number.checked_sub(1)?;
                let passage = passages.get(place)?;
                Some((place, format!("{} {}", passage.file, passage.section), passage.text.as_str()))
            });
            Source::of(analyzer, &named.collect::<Vec<_>>())
        })
    }

    fn close(&mut self, case: &Case, sentence: &Cited) -> Checked {
        let probability = case.best.probability;
        // A sentence of the passages' own words with a "not" in it that they have not: the regression lets a third pass.
        let denies = case.said.negated
            && case.best.evidence.turned
            && case.best.evidence.words_together >= TURNED_WORDS_MIN;
        let supported = probability >= SUPPORTED_MIN && case.strange_marks.is_empty() && !denies;
        let verdict = if is_frame(&case.said) {
            Verdict::Frame
        } else if supported {
            Verdict::Supported
        } else if is_refusal(&sentence.words) {
            Verdict::Refusal
        } else {
            Verdict::Unsupported(self.reason(case))
        };
        let (probability, citations) = match verdict {
            Verdict::Supported if case.cites.is_empty() => (probability, case.best.numbers.clone()),
            Verdict::Supported => (probability, case.cites.clone()),
            Verdict::Unsupported(Reason::NoSuchPassage(_)) => (0.0, case.cites.clone()),
            Verdict::Unsupported(_) => (probability, case.cites.clone()),
            Verdict::Frame | Verdict::Refusal => (1.0, Vec::new()),
        };
        let span = (sentence.span.start, sentence.span.end);
        Checked { span, verdict, probability, cited: !sentence.numbers.is_empty(), citations }
    }

    fn reason(&mut self, case: &Case) -> Reason {
        if !case.strange_marks.is_empty() {
            return Reason::NoSuchPassage(case.strange_marks.clone());
        }
        if !case.cites.is_empty() {
            let others = self.numbers().filter(|number| !case.cites.contains(number));
            let elsewhere = self.best_of(others.map(|number| vec![number]).collect(), &case.said);
            if let Some(number) = elsewhere.numbers.first().filter(|_| elsewhere.probability >= SETTLED) {
                return Reason::Elsewhere(*number);
            }
        }
        let evidence = &case.best.evidence;
        if !evidence.strange_numbers.is_empty() {
            return Reason::Numbers(evidence.strange_numbers.clone());
        }
        if !evidence.strange_names.is_empty() {
            return Reason::Names(evidence.strange_names.clone());
        }
        if evidence.turned && evidence.words_together >= TURNED_WORDS_MIN {
            Reason::Turned
        } else {
            Reason::Unlike
        }
    }
}

/// Asks the encoder how near the unsettled sentences are to the best of their passages.
fn ask_encoder(
    cases: &mut [Case],
    sentences: &[Cited],
    findings: &Findings,
    embed: &dyn Embed,
) -> Result<(), Error> {
    let mut texts: Vec<&str> = Vec::new();
    let mut asked = Vec::new();
    for (case, sentence) in cases.iter_mut().zip(sentences) {
        let settled = !(1.0 - SETTLED..SETTLED).contains(&case.best.probability);
        if settled || !case.strange_marks.is_empty() || is_frame(&case.said) {
            continue;
        }
        let Some((place, start, end)) = case.best.window else { continue };
        let Some(window) = findings.passages.get(place).and_then(|passage| passage.text.get(start..end))
        else {
            continue;
        };
        texts.extend([sentence.words.as_str(), window]);
        asked.push(case);
    }
    if texts.is_empty() {
        return Ok(());
    }
    let vectors = embed.embed(&texts)?;
    for (case, pair) in asked.into_iter().zip(vectors.chunks_exact(2)) {
        case.best.probability = by_meaning(case.best.probability, api::cosine(&pair[0], &pair[1]));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
