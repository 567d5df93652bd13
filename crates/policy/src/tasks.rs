//! The closed tasks that an operator declares, one file each: how their requests are told, whose answers become labels, and
//! what a local model must prove before it serves.
//!
//! Owns the meaning of `config/tasks/*.toml` and finding a task's input in a request. Refuses everything that is learnt:
//! labels, versions and certificates are the gateway's.

mod read;
mod written;

use std::time::Duration;

use api::{Money, Template};

use crate::catalogue::Catalogue;
use crate::file::Mistakes;

const NAME_BYTES_MAX: usize = 64;
const DAY: Duration = Duration::from_secs(86_400);

/// What the answers of a task are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// One label out of a set.
    Classification,
    /// Any number of labels out of a set.
    MultiLabel,
    /// A number on a scale.
    Regression,
    /// A few words, or one of a set of them, by a generative model with an adapter of its own.
    ShortAnswer,
}

impl TaskKind {
    /// Every kind, with its name in files.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("classification", Self::Classification),
        ("multi_label", Self::MultiLabel),
        ("regression", Self::Regression),
        ("short_answer", Self::ShortAnswer),
    ];

    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classification => "classification",
            Self::MultiLabel => "multi_label",
            Self::Regression => "regression",
            Self::ShortAnswer => "short_answer",
        }
    }

    /// Whether answers may come out of a set of labels.
    pub const fn has_labels(self) -> bool {
        matches!(self, Self::Classification | Self::MultiLabel | Self::ShortAnswer)
    }
}

/// A declared task. [`TaskSpec::named`] has the defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSpec {
    /// The name in `task/NAME`: 1 to 64 letters, digits, `-` and `_`.
    pub name: String,
    /// What its answers are.
    pub kind: TaskKind,
    /// The labels, for the kinds that have some; empty where they are learnt from the labelled examples.
    pub labels: Vec<String>,
    /// Whose requests may belong to it; empty for everybody's.
    pub tenants: Vec<String>,
    /// How its requests are told from others.
    pub recognize: Recognize,
    /// The least and the greatest answer, for regression.
    pub scale: Option<(f32, f32)>,
    /// Two numbers that are no further apart agree; 0 for other kinds than regression.
    pub tolerance: f32,
    /// Whose answers become labels.
    pub reference: Reference,
    /// What is kept of them.
    pub capture: Capture,
    /// Examples in the prompts of large models.
    pub few: Few,
    /// When a local model is trained, and from what.
    pub train: Train,
    /// How an adapter is made, for short answers.
    pub adapter: Tuning,
    /// What a local model must prove.
    pub certificate: Needs,
    /// How a new version starts.
    pub canary: Canary,
    /// How a serving version is watched.
    pub audit: Audit,
}

/// How a task's requests are told from others, besides the header `x-pointsman-task`, which always works.
#[derive(Clone, Debug, PartialEq)]
pub struct Recognize {
    /// What the system prompt is made from; `None` for any.
    pub system: Option<Template>,
    /// What the last user message is made from; `None` where it is the input as a whole.
    pub user: Option<Template>,
    /// A request whose answer must come from the task's labels belongs to it.
    pub labels: bool,
}

/// Whose answers become labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// The models, by their names in `models.toml`; empty for every external one.
    pub models: Vec<String>,
    /// What the lower 95 % bound of a model's agreement with itself must reach before its answers count, 0 to 1; 0 asks
    /// nothing.
    pub self_agreement_min: f32,
    /// The share of its answers that are asked for twice, 0 to 1.
    pub self_agreement_share: f32,
}

/// What is kept of a task's traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Answers become labels at all.
    pub enabled: bool,
    /// How long a captured label is kept.
    pub keep: Duration,
    /// The most examples that are kept.
    pub examples_max: usize,
}

/// Labelled examples in the prompts of large models.
#[derive(Clone, Debug, PartialEq)]
pub struct Few {
    /// Whether examples are added.
    pub enabled: bool,
    /// How many.
    pub examples: usize,
    /// The most tokens of all of them.
    pub tokens_max: u64,
    /// The share of requests left without, to measure what they do, 0 to 1.
    pub without_share: f32,
}

/// When a local model is trained, and from what.
#[derive(Clone, Debug, PartialEq)]
pub struct Train {
    /// By itself, when the labels have grown.
    pub auto: bool,
    /// The labels that the first training waits for.
    pub examples_min: usize,
    /// The next one waits until the labels have grown by this share.
    pub grow_share: f32,
    /// The words of the input are read as well as its vector.
    pub words: bool,
    /// Rare labels weigh as much as frequent ones.
    pub balance: bool,
}

/// How an adapter is made of the labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// The model in the process that is adapted; `None` for the first one of `models.toml`.
    pub base: Option<String>,
    /// The most processor minutes of one training.
    pub minutes: u64,
    /// The share of the labels that the certificate is tested on, and that is not trained on, 0 to 1.
    pub hold_out: f32,
}

/// What a local model must prove on examples that it was not trained on.
#[derive(Clone, Debug, PartialEq)]
pub struct Needs {
    /// The most disagreement with the reference among the answers that it gives, as a share.
    pub level: f64,
    /// How sure that must be, as a probability.
    pub confidence: f64,
    /// The least share of requests that it must be able to answer; with less it does not serve.
    pub coverage_min: f64,
    /// How long a certificate is good.
    pub valid: Duration,
}

/// How a new version starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Canary {
    /// The share of the task's requests that it gets at first, 0 to 1.
    pub share: f32,
    /// Until it has answered so many.
    pub answers: u64,
}

/// How a serving version is watched.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// The share of its answers that the reference is asked for, too, 0 to 1.
    pub share: f32,
    /// The most that this may cost in one UTC day.
    pub usd_per_day: Money,
    /// Who is asked; `None` for the first of the reference's models, else the policy's reference.
    pub model: Option<String>,
}

impl TaskSpec {
    /// A classification of this name with all defaults. The name is not checked: see [`check_name`].
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: TaskKind::Classification,
            labels: Vec::new(),
            tenants: Vec::new(),
            recognize: Recognize { system: None, user: None, labels: true },
            scale: None,
            tolerance: 0.0,
            reference: Reference { models: Vec::new(), self_agreement_min: 0.8, self_agreement_share: 0.05 },
            capture: Capture { enabled: true, keep: 90 * DAY, examples_max: 20_000 },
            few: Few { enabled: false, examples: 8, tokens_max: 1000, without_share: 0.1 },
            train: Train { auto: true, examples_min: 200, grow_share: 0.3, words: true, balance: false },
            adapter: Tuning { base: None, minutes: 10, hold_out: 0.3 },
            certificate: Needs { level: 0.05, confidence: 0.95, coverage_min: 0.1, valid: 30 * DAY },
            canary: Canary { share: 0.25, answers: 100 },
            audit: Audit { share: 0.1, usd_per_day: Money::from_nanos(1_000_000_000), model: None },
        }
    }

    /// Whether requests of this tenant may belong to it.
    pub fn is_for(&self, tenant: &str) -> bool {
        self.tenants.is_empty() || self.tenants.iter().any(|own| own == tenant)
    }

    /// Whether a template tells its requests.
    pub fn has_template(&self) -> bool {
        self.recognize.system.is_some() || self.recognize.user.is_some()
    }

    /// The input in a request with these instructions (empty for none) and this last user message; `None` where they are
    /// not made from the task's templates. Without a template that has an `{input}`, the whole message is the input.
    pub fn input<'t>(&self, system: &'t str, user: &'t str) -> Option<&'t str> {
        let within = |template: Option<&Template>, text: &'t str| match template {
            Some(template) => template.matches(text).map(|captures| captures.input()),
            None => Some(None),
        };
        let in_system = within(self.recognize.system.as_ref(), system)?;
        let in_user = within(self.recognize.user.as_ref(), user)?;
        Some(in_user.or(in_system).unwrap_or_else(|| user.trim()))
    }

    /// The file that declares it, every key with what it means: [`TaskSpecs::parse`] reads the same task out of it, given
    /// a catalogue with the models that it names.
    pub fn to_toml(&self) -> String {
        written::toml(self)
    }

    /// Bytes of fixed text that a request must have: of two tasks that know a request, the one with more knows it better.
    pub fn fixed_bytes(&self) -> usize {
        let templates = [&self.recognize.system, &self.recognize.user].into_iter().flatten();
        templates.map(Template::fixed_bytes).sum()
    }
}

/// All declared tasks, those that say most about their requests first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskSpecs(Vec<TaskSpec>);

impl TaskSpecs {
    /// Reads files: each as the operator knows it, usually its path, and its text. A file without a `name` declares the
    /// task of its own name.
    ///
    /// # Errors
    /// Every mistake of every file: what one file alone has, models that the catalogue does not have, a name that two
    /// files declare, requests that would belong to the tasks of two.
    pub fn parse(files: &[(String, String)], catalogue: &Catalogue) -> Result<Self, Mistakes> {
        read::tasks(files, catalogue)
    }

    /// The tasks; of two whose templates fit a request, the one with more fixed text comes first.
    pub fn iter(&self) -> impl Iterator<Item = &TaskSpec> {
        self.0.iter()
    }

    /// The task of this name.
    pub fn get(&self, name: &str) -> Option<&TaskSpec> {
        self.0.iter().find(|spec| spec.name == name)
    }
}

/// Whether a task may have this name: it becomes a model's name, a folder and a metrics label.
///
/// # Errors
/// What is allowed.
pub fn check_name(name: &str) -> Result<(), String> {
    let proper = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(proper) {
        return Err(format!("a task's name is made of 1 to {NAME_BYTES_MAX} letters, digits, `-` and `_`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
