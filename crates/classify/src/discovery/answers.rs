//! Whether answers come out of a small closed set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Different answers that are remembered of a group; a set with more is not closed.
pub(super) const LABELS_MAX: usize = 200;
/// Longer answers are no labels.
pub(super) const LABEL_BYTES_MAX: usize = 64;
const LABEL_WORDS_MAX: usize = 8;
/// A set is not called closed before so many answers, and hardly anything may be new among as many of the last ones.
const REQUESTS_MIN: u64 = 30;
const NEW_LATELY_MAX: u32 = 1;

/// How an answer gives its label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// The label is the answer.
    #[default]
    Bare,
    /// The label is the text under this key of a JSON object.
    JsonKey(String),
}

/// The answers of a group.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Answers {
    requests: u64,
    /// Answers that are no labels, or of another shape than the first, or beyond the set's size.
    open: u64,
    shape: Shape,
    /// By the label in lower case: as it was first said, and how often.
    labels: BTreeMap<String, (String, u64)>,
    /// The last 32 answers, the last one lowest: 1 where it was none of the labels known before it.
    new: u32,
}

impl Answers {
    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(super) fn count(&mut self, answer: &str) {
        self.requests += 1;
        self.new <<= 1;
        let Some((shape, label)) = label(answer) else { return self.is_open() };
        if self.labels.is_empty() {
            self.shape = shape.clone();
        }
        let key = label.to_lowercase();
        if shape != self.shape {
            self.is_open();
        } else if let Some((_, times)) = self.labels.get_mut(&key) {
            *times += 1;
        } else if self.labels.len() < LABELS_MAX {
            self.labels.insert(key, (label, 1));
            self.new |= 1;
        } else {
            self.is_open();
        }
    }

    fn is_open(&mut self) {
        self.open += 1;
        self.new |= 1;
    }

    /// A small set whose members all come again: at most one for every 8 answers, or two; under 5 % of the answers came
    /// once or are no labels; of the last 30 at most one was new.
    pub(super) fn is_closed(&self) -> bool {
        let labels = self.labels.len() as u64;
        let once = self.labels.values().filter(|(_, times)| *times == 1).count() as u64;
        let lately = self.new & ((1 << REQUESTS_MIN) - 1);
        self.requests >= REQUESTS_MIN
            && labels - once >= 2
            && labels <= (self.requests / 8).max(2)
            && (self.open + once) * 20 < self.requests
            && lately.count_ones() <= NEW_LATELY_MAX
    }

    /// Not closed yet, perhaps, but nothing speaks against it.
    pub(super) fn is_promising(&self) -> bool {
        self.open * 5 <= self.requests && !self.is_hopeless()
    }

    /// Too many answers are no labels, or too few come again.
    pub(super) fn is_hopeless(&self) -> bool {
        let labels = self.labels.len() as u64;
        (self.requests >= 32 && self.open * 2 > self.requests)
            || (self.requests >= 256 && labels * 2 > self.requests)
    }

    /// Whether the two sets may be one: at least half of the smaller one's repeated labels are in the other.
    pub(super) fn overlap(&self, other: &Self) -> bool {
        let repeated = |answers: &Self| answers.labels.values().filter(|(_, times)| *times > 1).count();
        let (small, large) = if repeated(self) <= repeated(other) { (self, other) } else { (other, self) };
        let known =
            small.labels.iter().filter(|(label, (_, times))| *times > 1 && large.labels.contains_key(*label));
        self.shape == other.shape && repeated(small) > 0 && known.count() * 2 >= repeated(small)
    }

    /// Adds the answers of another group.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.requests += other.requests;
        self.open += other.open;
        for (key, (label, times)) in &other.labels {
            if let Some((_, own)) = self.labels.get_mut(key) {
                *own += times;
            } else if self.labels.len() < LABELS_MAX {
                self.labels.insert(key.clone(), (label.clone(), *times));
            } else {
                self.open += times;
            }
        }
    }

    /// What came more than once, the most frequent first.
    pub(super) fn labels(&self) -> Vec<(String, u64)> {
        let mut labels: Vec<(String, u64)> =
            self.labels.values().filter(|(_, times)| *times > 1).cloned().collect();
        labels.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        labels
    }

    pub(super) fn bytes(&self) -> usize {
        let shape = if let Shape::JsonKey(key) = &self.shape { key.len() } else { 0 };
        shape + self.labels.iter().map(|(key, (label, _))| key.len() + label.len()).sum::<usize>()
    }
}

/// How an answer gives its label, and the label without marks around it; `None` where it is none.
pub(super) fn label(answer: &str) -> Option<(Shape, String)> {
    let answer = unfenced(answer.trim());
    if !answer.starts_with('{') {
        return Some((Shape::Bare, clean(answer)?));
    }
    let Value::Object(object) = serde_json::from_str(answer).ok()? else { return None };
    let mut texts = object.iter().filter_map(|(key, value)| Some((key, value.as_str()?)));
    let (key, text) = texts.next()?;
    let others_are_plain = object.values().all(|value| !value.is_object() && !value.is_array());
    if texts.next().is_some() || !others_are_plain || key.len() > LABEL_BYTES_MAX {
        return None;
    }
    Some((Shape::JsonKey(key.clone()), clean(text)?))
}

/// Without the fence that some models put around JSON.
fn unfenced(answer: &str) -> &str {
    let inner = answer.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    inner.map_or(answer, |inner| inner.strip_prefix("json").unwrap_or(inner).trim())
}

fn clean(text: &str) -> Option<String> {
    let marks: &[char] = &['"', '\'', '`', '*', '“', '”', '«', '»', '.', '!'];
    let text = text.trim().trim_matches(marks).trim();
    let words: Vec<&str> = text.split_whitespace().collect();
    // Lower case may take more bytes than capitals; both forms are kept.
    let fits = |text: &str| (1..=LABEL_BYTES_MAX).contains(&text.len());
    let short = fits(text) && fits(&text.to_lowercase());
    (short && words.len() <= LABEL_WORDS_MAX && !text.contains('\n')).then(|| words.join(" "))
}
