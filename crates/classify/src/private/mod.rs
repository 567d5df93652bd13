//! Private data in a request: what, where, and how sure.
//!
//! Owns a recogniser without a model: checksums where identifiers have them, known forms of keys, heuristics of high
//! precision for people, and words that say that a matter is not public. Refuses to store or send what it found: it
//! gives kinds and byte ranges.

mod checksums;
mod confidential;
mod markers;
mod numbers;
mod people;
mod secrets;

use api::PrivateKind;

use crate::view::View;

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
    let mut kept = 1.0_f32;
    let mut kinds: Vec<PrivateKind> = Vec::new();
    for text in view.texts() {
        for finding in find_private(text) {
            if finding.strength >= KIND_STRENGTH_MIN && !kinds.contains(&finding.kind) {
                kinds.push(finding.kind);
            }
            kept *= 1.0 - finding.strength;
        }
    }
    // Instructions may speak of "our company" without being private themselves: only what users bring counts.
    kept *= 1.0 - confidential::confidential(&view.user);
    kinds.sort_unstable();
    Found { probability: 1.0 - kept, findings: kinds }
}

/// The private data in a text, in order; where two overlap the surer one.
pub fn find_private(text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let marked = markers::find(text);
    secrets::find(text, &marked, &mut findings);
    numbers::find(text, &mut findings);
    people::find(text, &marked, &mut findings);
    findings.sort_by(|a, b| b.strength.total_cmp(&a.strength).then(a.start.cmp(&b.start)));
    let mut apart: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings {
        if apart.iter().all(|kept| finding.end <= kept.start || kept.end <= finding.start) {
            apart.push(finding);
        }
    }
    apart.sort_by_key(|finding| finding.start);
    apart
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
