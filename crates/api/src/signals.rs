//! What is measured about a request before anybody decides where it goes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Contract;

/// Makes a field-less enum whose names are part of the operator's language.
macro_rules! names {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $text)] $variant,)+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in configuration, metrics and JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $name {
            type Err = ();
            fn from_str(text: &str) -> Result<Self, ()> {
                Self::ALL.iter().copied().find(|value| value.name() == text).ok_or(())
            }
        }
    };
}
pub(crate) use names;

names! {
    /// The kind of work that a request asks for.
    Kind {
        /// Small talk, a persona, company.
        Chat = "chat",
        /// Multi-step reasoning, arithmetic, logic, word manipulation.
        Reasoning = "reasoning",
        /// One label out of a set.
        Classification = "classification",
        /// Pulling names, dates, fields out of a text.
        Extraction = "extraction",
        /// Whether one text follows from, contradicts or means the same as another.
        Inference = "inference",
        /// A question about a text that is given.
        Comprehension = "comprehension",
        /// A shorter version of a text.
        Summarization = "summarization",
        /// The same text in another language.
        Translation = "translation",
        /// Stories, poems, slogans, letters.
        Creative = "creative",
        /// Writing, explaining or mending code.
        Code = "code",
        /// A question whose answer is not in the request.
        Question = "question",
        /// A number on a continuous scale: a score, a similarity, a price.
        Regression = "regression",
        /// Judging, grading or annotating somebody's text or answers.
        Judging = "judging",
        /// The same content in other words, style or form.
        Rewriting = "rewriting",
    }
}

names! {
    /// A kind of private data found in a request.
    PrivateKind {
        /// An e-mail address.
        Email = "email",
        /// A telephone number.
        Phone = "phone",
        /// A payment card number with a valid checksum.
        Card = "card",
        /// An international bank account number with a valid checksum.
        Iban = "iban",
        /// A national identity or social security number.
        NationalId = "national_id",
        /// An IP address.
        IpAddress = "ip_address",
        /// A password, token or key.
        Secret = "secret",
        /// A person's name.
        Person = "person",
        /// A postal address.
        Address = "address",
        /// A date of birth.
        BirthDate = "birth_date",
        /// Health details of a person.
        Health = "health",
    }
}

names! {
    /// A measured fact that a policy may read, by the name it has in CEL expressions.
    Signal {
        /// The kind of task: a string.
        Kind = "kind",
        /// How sure the kind is.
        KindConfidence = "kind_confidence",
        /// Probability that it wants a human mimicked (chatbot, persona).
        Mimicry = "mimicry",
        /// Probability that it needs multi-step reasoning or another emergent ability.
        Reasoning = "reasoning",
        /// Probability that it asks for several tasks at once.
        SeveralTasks = "several_tasks",
        /// Probability that it wants a continuous output.
        Regression = "regression",
        /// Probability that it wants creative or complex text or code.
        Creative = "creative",
        /// Probability that it needs knowledge that is not in the request.
        Knowledge = "knowledge",
        /// Probability that the request brings the text it is about.
        ContextGiven = "context_given",
        /// Probability that the given text holds the answer.
        ContextSufficient = "context_sufficient",
        /// Probability that the knowledge it needs differs from the world's (private, counterfactual, changed).
        Conflict = "conflict",
        /// Probability that the answer changes with time.
        TimeSensitive = "time_sensitive",
        /// Probability that it carries private data.
        PrivateData = "private_data",
        /// Probability that it tries to override its instructions.
        Injection = "injection",
        /// ISO 639-3 code of the language, `und` where it cannot be told.
        Language = "language",
        /// Share of the text that is noise (typos, slang, broken form), 0 to 1.
        Noise = "noise",
        /// Tokens in the prompt.
        TokensIn = "tokens_in",
        /// Tokens expected in the answer.
        TokensOut = "tokens_out",
        /// Probability that the index covers the question.
        Coverage = "coverage",
        /// The task that the request belongs to: its name, empty for none.
        Task = "task",
        /// Labelled examples of that task.
        TaskLabels = "task_labels",
        /// Probability that the request is like what the task's model was trained on.
        TaskInDistribution = "task_in_distribution",
        /// 1 where the certificate of the task's model covers its answer to this request, 0 where it does not.
        TaskAccepted = "task_accepted",
    }
}

/// A set of signals: what a policy reads, so that nothing else is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalSet(u32);

impl SignalSet {
    /// No signal.
    pub const NONE: Self = Self(0);
    /// Every signal.
    pub const ALL: Self = Self(u32::MAX);

    /// This set with `signal` in it.
    #[must_use]
    pub const fn with(self, signal: Signal) -> Self {
        Self(self.0 | (1 << signal as u32))
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether `signal` is in the set.
    pub const fn has(self, signal: Signal) -> bool {
        self.0 & (1 << signal as u32) != 0
    }

    /// Whether nothing is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Signal> for SignalSet {
    fn from_iter<I: IntoIterator<Item = Signal>>(signals: I) -> Self {
        signals.into_iter().fold(Self::NONE, Self::with)
    }
}

/// What a request carries besides text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modality {
    /// At least one image.
    pub images: bool,
    /// At least one sound or other file.
    pub audio: bool,
}

/// The task that a request belongs to, declared or trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskMatch {
    /// The task's name, as in `task/NAME`.
    pub name: String,
    /// Labelled examples that it has.
    pub labels: u64,
    /// Probability that the request is like what its model was trained on; 0 where it has no model.
    pub in_distribution: f32,
    /// 1 where the certificate of its model covers the model's answer to this request; 0 where it does not, where there is no
    /// certificate in force, or no model.
    pub accepted: f32,
}

/// The measured facts about one request. Fields that are `f32` and not said otherwise are calibrated probabilities
/// that the sentence in [`Signal`]'s documentation is true, 0 to 1; what was not asked for stays at its default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signals {
    /// The kind of task.
    pub kind: Kind,
    /// Calibrated probability that `kind` is right.
    pub kind_confidence: f32,
    /// See [`Signal::Mimicry`].
    pub mimicry: f32,
    /// See [`Signal::Reasoning`].
    pub reasoning: f32,
    /// See [`Signal::SeveralTasks`].
    pub several_tasks: f32,
    /// See [`Signal::Regression`].
    pub regression: f32,
    /// See [`Signal::Creative`].
    pub creative: f32,
    /// See [`Signal::Knowledge`].
    pub knowledge: f32,
    /// See [`Signal::ContextGiven`].
    pub context_given: f32,
    /// See [`Signal::ContextSufficient`].
    pub context_sufficient: f32,
    /// See [`Signal::Conflict`].
    pub conflict: f32,
    /// See [`Signal::TimeSensitive`].
    pub time_sensitive: f32,
    /// See [`Signal::PrivateData`].
    pub private_data: f32,
    /// The kinds of private data found.
    pub private_kinds: Vec<PrivateKind>,
    /// See [`Signal::Injection`].
    pub injection: f32,
    /// See [`Signal::Language`].
    pub language: String,
    /// See [`Signal::Noise`].
    pub noise: f32,
    /// Tokens in the prompt, counted or estimated.
    pub tokens_in: u64,
    /// Tokens expected in the answer, never above the request's own limit.
    pub tokens_out: u64,
    /// See [`Signal::Coverage`].
    pub coverage: f32,
    /// The trained task that the request belongs to.
    pub task: Option<TaskMatch>,
    /// What the request carries besides text.
    pub modality: Modality,
    /// Whether the caller offers tools.
    pub tools: bool,
    /// The form that the answer must have.
    pub contract: Contract,
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            kind: Kind::Chat,
            kind_confidence: 0.0,
            mimicry: 0.0,
            reasoning: 0.0,
            several_tasks: 0.0,
            regression: 0.0,
            creative: 0.0,
            knowledge: 0.0,
            context_given: 0.0,
            context_sufficient: 0.0,
            conflict: 0.0,
            time_sensitive: 0.0,
            private_data: 0.0,
            private_kinds: Vec::new(),
            injection: 0.0,
            language: String::from("und"),
            noise: 0.0,
            tokens_in: 0,
            tokens_out: 0,
            coverage: 0.0,
            task: None,
            modality: Modality::default(),
            tools: false,
            contract: Contract::Free,
        }
    }
}

/// The value of one signal, as a policy's expressions and explanations see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value<'a> {
    /// A name.
    Text(&'a str),
    /// A probability or a share.
    Number(f32),
    /// A count.
    Count(u64),
}

impl Signals {
    /// The value of `signal`.
    pub fn value(&self, signal: Signal) -> Value<'_> {
        let task = self.task.as_ref();
        match signal {
            Signal::Kind => Value::Text(self.kind.name()),
            Signal::KindConfidence => Value::Number(self.kind_confidence),
            Signal::Mimicry => Value::Number(self.mimicry),
            Signal::Reasoning => Value::Number(self.reasoning),
            Signal::SeveralTasks => Value::Number(self.several_tasks),
            Signal::Regression => Value::Number(self.regression),
            Signal::Creative => Value::Number(self.creative),
            Signal::Knowledge => Value::Number(self.knowledge),
            Signal::ContextGiven => Value::Number(self.context_given),
            Signal::ContextSufficient => Value::Number(self.context_sufficient),
            Signal::Conflict => Value::Number(self.conflict),
            Signal::TimeSensitive => Value::Number(self.time_sensitive),
            Signal::PrivateData => Value::Number(self.private_data),
            Signal::Injection => Value::Number(self.injection),
            Signal::Language => Value::Text(&self.language),
            Signal::Noise => Value::Number(self.noise),
            Signal::TokensIn => Value::Count(self.tokens_in),
            Signal::TokensOut => Value::Count(self.tokens_out),
            Signal::Coverage => Value::Number(self.coverage),
            Signal::Task => Value::Text(task.map_or("", |task| &task.name)),
            Signal::TaskLabels => Value::Count(task.map_or(0, |task| task.labels)),
            Signal::TaskInDistribution => Value::Number(task.map_or(0.0, |task| task.in_distribution)),
            Signal::TaskAccepted => Value::Number(task.map_or(0.0, |task| task.accepted)),
        }
    }
}
