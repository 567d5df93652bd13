//! One policy: what the operator allows, prefers and asks for, checked.

use std::sync::Arc;
use std::time::Duration;

use api::{BrokenStream, CacheUse, Checks, Money, Signal, SignalSet, Signals, Track};

use crate::catalogue::{Model, ModelKind};
use crate::expression::context;
use crate::facts::{Facts, Name, View, Witness};
use crate::flow::Flow;

/// What gives way when no target is over the quality floor and inside both budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Yields {
    /// The cost budget: the cheapest of the others is taken.
    Cost,
    /// The latency budget: the fastest of the others is taken.
    Latency,
    /// The quality floor: the best inside the budgets is taken.
    Quality,
    /// Nothing: the request is refused.
    Refuse,
}

/// What happens when no target of a track can take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Otherwise {
    /// Another track does its best, and the answer says so.
    Track(Track),
    /// The request is refused, saying what to set.
    Refuse,
}

/// One value for each track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PerTrack<T>(pub(crate) [T; Track::ALL.len()]);

impl<T> PerTrack<T> {
    pub(crate) fn of(&self, track: Track) -> &T {
        &self.0[track as usize]
    }
}

/// How answers are grounded on the retrieval track.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Retrieval {
    pub(crate) store: Arc<str>,
    pub(crate) passages_max: usize,
    /// The store's own where it is `None`.
    pub(crate) coverage_min: Option<f32>,
    pub(crate) checked: bool,
    /// What one passage adds to the prompt.
    pub(crate) passage_tokens: u64,
    pub(crate) search: Duration,
}

/// What keeps a request on this host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Privacy {
    /// Every request is private.
    pub(crate) always: bool,
    /// From this probability of private data on.
    pub(crate) private_data: Option<f32>,
    /// The probability counts for requests that name their model, too.
    pub(crate) named_models: bool,
}

/// Who else a share of the requests goes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shadowing {
    pub(crate) model: Arc<Model>,
    /// From 0, which switches it off, to 1.
    pub(crate) share: f32,
    pub(crate) usd_per_day: Money,
}

impl Privacy {
    /// What both demand.
    pub(crate) fn and(self, other: Self) -> Self {
        // The lower of two thresholds keeps more requests on this host.
        let private_data = match (self.private_data, other.private_data) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self {
            always: self.always || other.always,
            private_data,
            named_models: self.named_models || other.named_models,
        }
    }
}

/// The numbers and switches of a policy.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) quality_floor: f32,
    pub(crate) latency_budget: Option<Duration>,
    pub(crate) cost_budget: Option<Money>,
    pub(crate) on_budget_miss: Yields,
    pub(crate) deadline: Duration,
    pub(crate) attempts_max: usize,
    pub(crate) cache: CacheUse,
    pub(crate) on_broken_stream: BrokenStream,
    pub(crate) privacy: Privacy,
    pub(crate) retrieval: Retrieval,
    pub(crate) task_in_distribution_min: f32,
}

/// A policy that has passed every check.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) name: Arc<str>,
    pub(crate) flow: Arc<Flow>,
    pub(crate) rules: Rules,
    pub(crate) targets: PerTrack<Vec<Arc<Model>>>,
    pub(crate) escalate: PerTrack<Vec<Track>>,
    pub(crate) when_unavailable: PerTrack<Otherwise>,
    pub(crate) checks: PerTrack<Checks>,
    pub(crate) shadow: Option<Shadowing>,
    pub(crate) reference: Option<Arc<Model>>,
}

impl Policy {
    /// The operator's name for it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The store that its passages come from, where the request names none.
    pub fn store(&self) -> &str {
        &self.rules.retrieval.store
    }

    /// The most passages that an answer rests on.
    pub fn passages_max(&self) -> usize {
        self.rules.retrieval.passages_max
    }

    /// The model whose price tells what was saved.
    pub fn reference_model(&self) -> Option<&Arc<Model>> {
        self.reference.as_ref()
    }

    /// The targets of a track, in the operator's order, where no question names others. [`crate::ANY_TASK`] stands for the request's own task.
    pub fn targets(&self, track: Track) -> &[Arc<Model>] {
        self.targets.of(track)
    }

    /// The signals that a decision under this policy rests on: those of its questions, of its privacy rule and of its
    /// estimates.
    pub fn reads(&self) -> SignalSet {
        let mut reads = signals_among(self.flow.reads()).union(ESTIMATES).with(Signal::Kind);
        if self.rules.privacy.private_data.is_some() {
            reads = reads.with(Signal::PrivateData);
        }
        let named = self.flow.ends().filter_map(|end| end.targets.as_deref()).flatten();
        let asks_tasks =
            self.targets.0.iter().flatten().chain(named).any(|model| model.kind == ModelKind::Task);
        if asks_tasks {
            reads = reads.with(Signal::Task).with(Signal::TaskInDistribution).with(Signal::TaskAccepted);
        }
        reads
    }

    /// The signals that the questions come to when they are answered by `signals`: what is not among them need not be
    /// measured any better.
    pub fn asks(&self, facts: &Facts<'_>, signals: &Signals, index_ready: bool) -> SignalSet {
        let witness = Witness::new(View { facts, signals, index_ready });
        self.flow.follow(&context(&witness));
        signals_among(witness.seen().into_iter())
    }

    /// The signals that a request needs which names its model: only those of the privacy rule and of the estimates.
    pub fn reads_named(&self) -> SignalSet {
        // How long an answer will be follows from the kind of request, which costs more to tell than a relay may take;
        // where the model is chosen already it would only refine an estimate.
        let prompt = SignalSet::NONE.with(Signal::TokensIn);
        let privacy = self.rules.privacy;
        if privacy.named_models && privacy.private_data.is_some() {
            return prompt.with(Signal::PrivateData);
        }
        prompt
    }
}

fn signals_among(names: impl Iterator<Item = Name>) -> SignalSet {
    names
        .filter_map(|name| match name {
            Name::Signal(signal) => Some(signal),
            Name::Fact(_) => None,
        })
        .collect()
}

/// What a cost and a latency are estimated from.
const ESTIMATES: SignalSet = SignalSet::NONE.with(Signal::TokensIn).with(Signal::TokensOut);
