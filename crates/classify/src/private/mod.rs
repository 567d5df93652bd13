//! Private data in a request: what, where, and how sure.
//!
//! Owns a recogniser without a model: checksums where identifiers have them, known forms of keys, heuristics of high
//! precision for people, and words that say that a matter is not public. Refuses to store or send what it found: it
//! gives kinds and byte ranges.

mod addresses;
mod births;
mod checksums;
mod confidential;
mod emails;
mod given;
mod hosts;
mod identity;
mod markers;
mod names;
mod numbers;
mod registers;
mod secrets;
mod subject;

use api::PrivateKind;

use self::markers::Marker;
use crate::outline::read_part;
use crate::view::View;
use crate::words::{Word, words};

/// A piece of private data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// What it is.
    pub kind: PrivateKind,
    /// Byte range in the text.
    pub start: usize,
    /// The byte after it.
    pub end: usize,
    /// Probability that it is what it seems to be and somebody's own.
    pub strength: f32,
}

/// What was found in a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Probability that the request holds or is about something private.
    pub(crate) probability: f32,
    findings: Vec<PrivateKind>,
}

impl Found {
    /// The kinds found, each once.
    pub(crate) fn kinds(self) -> Vec<PrivateKind> {
        self.findings
    }
}

/// A finding this sure is told to the policy by its kind.
const KIND_STRENGTH_MIN: f32 = 0.5;

/// Looks through every text of a request.
pub(crate) fn private_data(view: &View) -> Found {
    // The surest finding of each kind: ten weak names are no surer than one.
    let mut surest = [0.0_f32; PrivateKind::ALL.len()];
    for text in view.texts() {
        for finding in scan(text, &words(text)) {
            let kind = &mut surest[finding.kind as usize];
            *kind = kind.max(finding.strength);
        }
    }
    // Instructions may speak of "our company" without being private themselves: only what users bring counts.
    let user = read_part(&view.user);
    let matter = confidential::confidential(&user, &words(&user));
    let kept = surest.iter().fold(1.0 - matter, |kept, strength| kept * (1.0 - strength));
    let kinds = PrivateKind::ALL.iter().zip(surest).filter(|(_, strength)| *strength >= KIND_STRENGTH_MIN);
    Found { probability: 1.0 - kept, findings: kinds.map(|(kind, _)| *kind).collect() }
}

/// The private data in a text, in order; where two overlap the surer one.
pub fn find_private(text: &str) -> Vec<Finding> {
    scan(text, &words(text))
}

fn scan(text: &str, words: &[Word]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let marked = markers::find(text);
    let subject = subject::read(text, words, &mut findings);
    secrets::find(text, &marked, &mut findings);
    numbers::find(text, &mut findings);
    emails::find(text, &marked, &mut findings);
    names::find(text, &marked, subject, &mut findings);
    addresses::find(text, &marked, subject, &mut findings);
    births::find(text, &marked, subject, &mut findings);
    for mark in &marked {
        if let Marker::Health(strength) = mark.marker {
            findings.push(Finding { kind: PrivateKind::Health, start: mark.start, end: mark.end, strength });
        }
    }
    for finding in &mut findings {
        if is_example(text, *finding) {
            finding.strength *= EXAMPLE;
        }
    }
    apart(findings)
}

/// Of findings that overlap the surer one.
fn apart(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| a.start.cmp(&b.start).then(b.strength.total_cmp(&a.strength)));
    let mut apart: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings {
        match apart.last_mut() {
            Some(last) if finding.start < last.end => {
                if finding.strength > last.strength {
                    *last = finding;
                }
            }
            _ => apart.push(finding),
        }
    }
    apart
}

/// What is left of a finding that is called an example.
const EXAMPLE: f32 = 0.3;

/// Whether a text says of a finding that it is made up.
fn is_example(text: &str, finding: Finding) -> bool {
    const WORDS: &[&str] = &[
        "e.g.",
        "such as",
        "for example",
        "for instance",
        "example:",
        "an example",
        "sample",
        "dummy",
        "fake",
        "made-up",
        "made up",
        "placeholder",
        "fictional",
        "test card",
        "test number",
        "test data",
        "sandbox",
        "lorem",
        "z. b.",
        "z.b.",
        "zum beispiel",
        "beispiel:",
        "par exemple",
        "por ejemplo",
        "ad esempio",
        "por exemplo",
        "bijvoorbeeld",
        "na przykład",
        "например",
        "例如",
        "例えば",
        "예를 들어",
        "format like",
        "in the form",
        "documentation",
        "regex",
    ];
    finding.kind != PrivateKind::Health && context_has(text, finding.start, finding.end, WORDS)
}

/// Whether one of `words` stands close before or right after a range.
fn context_has(text: &str, start: usize, end: usize, words: &[&str]) -> bool {
    const BEFORE_BYTES: usize = 40;
    const AFTER_BYTES: usize = 16;
    let near = crate::view::tail(&text[..start], BEFORE_BYTES).to_lowercase();
    let after = crate::view::head(&text[end..], AFTER_BYTES).to_lowercase();
    words.iter().any(|word| near.contains(word) || after.contains(word))
}

#[cfg(test)]
mod tests;
