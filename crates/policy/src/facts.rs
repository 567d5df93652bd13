//! What a decision rests on besides the signals: the facts of the request, and the conditions of the moment.
//!
//! Owns the names that a policy's expressions may read. Refuses to look anything up by itself: what changes with time
//! comes in as functions.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use api::{Contract, Kind, Money, Signal, Signals, Tenant, Value};
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;

/// The facts of one request that need no measuring.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What `model` said.
    pub requested_model: &'a str,
    /// The answer is wanted piece by piece.
    pub stream: bool,
    /// Tools are offered.
    pub tools: bool,
    /// There is an image.
    pub images: bool,
    /// There is a sound or another file.
    pub audio: bool,
    /// Log-probabilities are wanted.
    pub logprobs: bool,
    /// The form that the answer must have.
    pub contract: &'a Contract,
    /// How many messages the conversation has.
    pub messages: usize,
    /// Who asks.
    pub tenant: &'a Tenant,
    /// `x-pointsman-tags`.
    pub tags: &'a [String],
    /// `x-pointsman-task`.
    pub task_header: Option<&'a str>,
    /// The store that the caller wants its passages from.
    pub store: Option<&'a str>,
    /// `x-pointsman-latency-budget-ms`.
    pub latency_budget: Option<Duration>,
    /// `x-pointsman-cost-budget-usd`.
    pub cost_budget: Option<Money>,
    /// `x-pointsman-privacy: local`.
    pub private: bool,
    /// The request's own limit on the answer.
    pub max_tokens: Option<u64>,
    /// How many answers are wanted.
    pub n: u32,
}

/// How fast a target has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Time to the first token.
    pub first_token: Duration,
    /// Time for each further token.
    pub per_token: Duration,
}

/// What outcomes, feedback or a held-out test say of a target's answer to this request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learned {
    /// Probability that the answer is good enough.
    pub quality: f32,
    /// How much that counts against the operator's prior, from 0 (not at all) to 1 (the prior is forgotten).
    pub evidence: f32,
}

/// The moment in which a request is decided. Models are asked for by their names, trained tasks as `task/NAME`.
pub struct Conditions<'a> {
    /// Whether a model can be called now; otherwise what to set or to wait for, in a few words.
    pub available: &'a dyn Fn(&str) -> Result<(), String>,
    /// How fast a model has been; `None` before there is enough to tell.
    pub observed: &'a dyn Fn(&str) -> Option<Latency>,
    /// What has been learned of a model's answers to requests like this; `None` leaves it to the operator's prior. For
    /// a trained task: what its certificate says.
    pub quality: &'a dyn Fn(&str) -> Option<Learned>,
    /// There is an index to retrieve from.
    pub index_ready: bool,
    /// What the tenant may still spend.
    pub funds_remaining: Option<Money>,
}

impl fmt::Debug for Conditions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conditions")
            .field("index_ready", &self.index_ready)
            .field("funds_remaining", &self.funds_remaining)
            .finish_non_exhaustive()
    }
}

/// What a name in an expression stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// A measured signal.
    Signal(Signal),
    /// A fact of the request or of the moment.
    Fact(Fact),
}

/// A fact that an expression may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    Model,
    Stream,
    Tools,
    Images,
    Audio,
    Contract,
    Messages,
    Private,
    Tenant,
    Tags,
    TaskHeader,
    IndexReady,
}

impl Fact {
    const ALL: &'static [(&'static str, Self)] = &[
        ("request.model", Self::Model),
        ("request.stream", Self::Stream),
        ("request.tools", Self::Tools),
        ("request.images", Self::Images),
        ("request.audio", Self::Audio),
        ("request.contract", Self::Contract),
        ("request.messages", Self::Messages),
        ("request.private", Self::Private),
        ("tenant", Self::Tenant),
        ("tags", Self::Tags),
        ("task_header", Self::TaskHeader),
        ("index_ready", Self::IndexReady),
    ];
}

/// The type of a value in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Boolean,
    Integer,
    Number,
    Text,
    List(Box<Type>),
    /// The element of an empty list: fits everything.
    Anything,
}

impl Name {
    /// The name of this spelling.
    pub(crate) fn find(text: &str) -> Option<Self> {
        if let Ok(signal) = text.parse() {
            return Some(Self::Signal(signal));
        }
        Fact::ALL.iter().find(|(name, _)| *name == text).map(|(_, fact)| Self::Fact(*fact))
    }

    /// Every spelling.
    pub(crate) fn all() -> impl Iterator<Item = &'static str> + Clone {
        let signals = Signal::ALL.iter().map(|signal| signal.name());
        signals.chain(Fact::ALL.iter().map(|(name, _)| *name))
    }

    /// The spelling.
    pub(crate) fn spelling(self) -> &'static str {
        match self {
            Self::Signal(signal) => signal.name(),
            Self::Fact(wanted) => {
                Fact::ALL.iter().find(|(_, fact)| *fact == wanted).map_or("", |(name, _)| name)
            }
        }
    }

    /// The type of its values.
    pub(crate) fn kind(self) -> Type {
        match self {
            Self::Signal(Signal::Kind | Signal::Language | Signal::Task) => Type::Text,
            Self::Signal(Signal::TokensIn | Signal::TokensOut | Signal::TaskLabels) => Type::Integer,
            Self::Signal(_) => Type::Number,
            Self::Fact(fact) => match fact {
                Fact::Model | Fact::Contract | Fact::Tenant | Fact::TaskHeader => Type::Text,
                Fact::Messages => Type::Integer,
                Fact::Tags => Type::List(Box::new(Type::Text)),
                Fact::Stream
                | Fact::Tools
                | Fact::Images
                | Fact::Audio
                | Fact::Private
                | Fact::IndexReady => Type::Boolean,
            },
        }
    }

    /// All that a text can be, where that is known: a comparison with anything else is a slip of the pen.
    pub(crate) fn values(self) -> Option<Vec<&'static str>> {
        match self {
            Self::Signal(Signal::Kind) => Some(Kind::ALL.iter().map(|kind| kind.name()).collect()),
            Self::Fact(Fact::Contract) => Some(CONTRACTS.to_vec()),
            Self::Signal(_) | Self::Fact(_) => None,
        }
    }
}

const CONTRACTS: &[&str] = &["free", "labels", "json_object", "json_schema"];

fn contract_name(contract: &Contract) -> &'static str {
    match contract {
        Contract::Free => "free",
        Contract::Labels(_) => "labels",
        Contract::JsonObject => "json_object",
        Contract::JsonSchema(_) => "json_schema",
    }
}

/// All that an expression can see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) facts: &'a Facts<'a>,
    pub(crate) signals: &'a Signals,
    pub(crate) index_ready: bool,
}

impl View<'_> {
    /// `name=value`, as a decision is told.
    pub(crate) fn shown(&self, name: Name) -> String {
        let spelling = name.spelling();
        match name {
            Name::Signal(signal) => match self.signals.value(signal) {
                Value::Text(text) => format!("{spelling}={text}"),
                Value::Number(number) => format!("{spelling}={number:.2}"),
                Value::Count(count) => format!("{spelling}={count}"),
            },
            Name::Fact(fact) => {
                let facts = self.facts;
                match fact {
                    Fact::Model => format!("{spelling}={}", facts.requested_model),
                    Fact::Contract => format!("{spelling}={}", contract_name(facts.contract)),
                    Fact::Tenant => format!("{spelling}={}", facts.tenant.name),
                    Fact::TaskHeader => format!("{spelling}={}", facts.task_header.unwrap_or("")),
                    Fact::Messages => format!("{spelling}={}", facts.messages),
                    Fact::Tags => format!("{spelling}={}", facts.tags.join(",")),
                    Fact::Stream
                    | Fact::Tools
                    | Fact::Images
                    | Fact::Audio
                    | Fact::Private
                    | Fact::IndexReady => format!("{spelling}={}", self.flag(fact)),
                }
            }
        }
    }

    fn flag(&self, fact: Fact) -> bool {
        match fact {
            Fact::Stream => self.facts.stream,
            Fact::Tools => self.facts.tools,
            Fact::Images => self.facts.images,
            Fact::Audio => self.facts.audio,
            Fact::Private => self.facts.private || self.facts.tenant.private,
            Fact::IndexReady => self.index_ready,
            Fact::Model | Fact::Contract | Fact::Messages | Fact::Tenant | Fact::Tags | Fact::TaskHeader => {
                false
            }
        }
    }

    fn value(&self, name: Name) -> CowVal<'_, '_> {
        match name {
            Name::Signal(signal) => match self.signals.value(signal) {
                Value::Text(text) => CowVal::owned(CelString::from(text)),
                Value::Number(number) => CowVal::owned(CelDouble::from(decimal(number))),
                Value::Count(count) => CowVal::owned(CelInt::from(integer(count))),
            },
            Name::Fact(fact) => match fact {
                Fact::Model => CowVal::owned(CelString::from(self.facts.requested_model)),
                Fact::Contract => CowVal::owned(CelString::from(contract_name(self.facts.contract))),
                Fact::Tenant => CowVal::owned(CelString::from(&*self.facts.tenant.name)),
                Fact::TaskHeader => CowVal::owned(CelString::from(self.facts.task_header.unwrap_or(""))),
                Fact::Messages => CowVal::owned(CelInt::from(integer(self.facts.messages as u64))),
                Fact::Tags => {
                    let tag = |tag: &String| Box::new(CelString::from(tag.clone())) as Box<dyn Val>;
                    let tags: Vec<Box<dyn Val>> = self.facts.tags.iter().map(tag).collect();
                    CowVal::owned(CelList::from(tags))
                }
                Fact::Stream
                | Fact::Tools
                | Fact::Images
                | Fact::Audio
                | Fact::Private
                | Fact::IndexReady => CowVal::owned(CelBool::from(self.flag(fact))),
            },
        }
    }
}

impl VariableResolver for View<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        Name::find(variable).map(|name| self.value(name))
    }
}

/// A view that remembers what was looked at: of `task == "" && coverage >= 0.5` the second half is not, where the first
/// one fails.
#[derive(Debug)]
pub(crate) struct Witness<'a> {
    view: View<'a>,
    // One expression is evaluated at a time, but a resolver must be shareable.
    seen: Mutex<Vec<Name>>,
}

impl<'a> Witness<'a> {
    pub(crate) fn new(view: View<'a>) -> Self {
        Self { view, seen: Mutex::default() }
    }

    /// What was looked at since this was asked last, each name once, in order.
    pub(crate) fn seen(&self) -> Vec<Name> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// `name=value`.
    pub(crate) fn shown(&self, name: Name) -> String {
        self.view.shown(name)
    }
}

impl VariableResolver for Witness<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let name = Name::find(variable)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.contains(&name) {
            seen.push(name);
        }
        Some(self.view.value(name))
    }
}

/// The number that was meant: 0.7 as `f32` is a little less than the 0.7 of an expression. What was not measured is 0.
fn decimal(number: f32) -> f64 {
    if number.is_finite() { (f64::from(number) * 1e6).round() / 1e6 } else { 0.0 }
}

fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
