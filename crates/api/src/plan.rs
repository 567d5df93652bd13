//! The decision about one request: later stages only obey it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Money;
use crate::signals::names;

names! {
    /// One of the three ways that a request can go.
    Track {
        /// A head or a model on this host.
        Local = "local",
        /// An answer grounded in the index.
        Retrieval = "retrieval",
        /// A model behind an API.
        External = "external",
    }
}

/// What the caches may do for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheUse {
    /// An answer may be taken from the cache.
    pub read: bool,
    /// The answer may be remembered.
    pub write: bool,
}

/// How an answer is grounded in the index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grounding {
    /// The store that the passages come from.
    #[serde(default = "default_store")]
    pub store: String,
    /// The most passages to read.
    pub passages_max: usize,
    /// The passages are declared to be right where they contradict the model's memory (question 10 of the flow).
    pub authoritative: bool,
    /// Below this coverage the answer is "the index does not cover this"; the store's own line where it is `None`.
    pub coverage_min: Option<f32>,
    /// Each sentence of an answer must rest on a passage; one that does not makes the next target answer, and after the
    /// last one the answer is "the index does not cover this".
    #[serde(default)]
    pub checked: bool,
}

/// The store that every gateway has.
pub const DEFAULT_STORE: &str = "default";

fn default_store() -> String {
    DEFAULT_STORE.to_owned()
}

/// What a target is expected to give for this request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Probability that the answer is good enough.
    pub quality: f32,
    /// How much of `quality` rests on outcomes, feedback or a held-out test, from 0 to 1: 0 is the operator's prior
    /// alone, 1 leaves nothing of it.
    #[serde(default)]
    pub evidence: f32,
    /// Expected cost.
    pub cost: Money,
    /// The most that it can cost: what is reserved.
    pub cost_max: Money,
    /// Expected time to the first token.
    pub first_token: Duration,
    /// Expected time to the whole answer.
    pub whole: Duration,
}

/// A target of a plan, in the order in which it is tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedTarget {
    /// The model's name in `models.toml`, or `task/NAME`.
    pub model: String,
    /// What is expected of it.
    pub estimate: Estimate,
}

/// What an answer must pass before it is given, while another target of the plan waits. One that fails is thrown away
/// and the next target is asked; the last target's answer is given as it is, but for a broken contract.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checks {
    /// It has the form that the request demands: JSON that parses and has the schema's required keys, a label out of
    /// the set.
    pub contract: bool,
    /// It was not cut off by the target's own output limit. (What the request's own limit cuts off is whole.)
    pub whole: bool,
    /// It is no loop of repeated words.
    pub repetition: bool,
    /// The least geometric mean of its tokens' probabilities, for targets that give log-probabilities; other targets'
    /// answers pass.
    pub confidence_min: Option<f32>,
}

impl Default for Checks {
    /// The contract alone.
    fn default() -> Self {
        Self { contract: true, whole: false, repetition: false, confidence_min: None }
    }
}

/// What becomes of a streamed answer that a target breaks off. Before anything of it has been said, the next target takes
/// over in every case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokenStream {
    /// The client is told, in the stream, that what it has is not whole.
    #[default]
    Tell,
    /// Nothing is sent before the answer is whole, so that the next target can take over; the client waits longer.
    Hold,
    /// A target that can continue a given beginning continues it, the one that broke off first; where none can, the
    /// client is told.
    Resume,
}

/// Another target that a share of requests also goes to, off the request's path: its answers are compared, never given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shadow {
    /// The model's name in `models.toml`.
    pub model: String,
    /// The share of requests, over 0 and at most 1.
    pub share: f32,
    /// The most that all of them together may cost in one UTC day.
    pub usd_per_day: Money,
}

/// A question of the policy and how it was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The question's id in the policy's file.
    pub id: String,
    /// The question in the operator's words.
    pub ask: String,
    /// Whether it was answered with yes.
    pub yes: bool,
    /// What was looked at to answer it, with the values here: `reasoning=0.91`.
    pub read: Vec<String>,
}

/// A target that was considered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The model's name.
    pub model: String,
    /// What was expected of it.
    pub estimate: Estimate,
    /// Why it is not in the plan; empty where it is.
    pub lost: String,
}

/// The decision: which targets, in which order, within which limits, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The policy that decided, or `direct` for a request that named its model.
    pub policy: String,
    /// The way it goes.
    pub track: Track,
    /// Why, in one short name from the operator's file: a metrics label.
    pub reason: String,
    /// The targets, first choice first; never empty.
    pub targets: Vec<PlannedTarget>,
    /// How the answer is grounded, on the retrieval track.
    pub grounding: Option<Grounding>,
    /// What an answer must pass while another target waits.
    #[serde(default)]
    pub checks: Checks,
    /// What becomes of a streamed answer that breaks off.
    #[serde(default)]
    pub on_broken_stream: BrokenStream,
    /// Who else a share of such requests goes to; never for a private request, nor for one that names its model, nor
    /// where the first target is that model.
    #[serde(default)]
    pub shadow: Option<Shadow>,
    /// What the caches may do.
    pub cache: CacheUse,
    /// The time that the whole answer may take.
    pub deadline: Duration,
    /// The most that the answer may cost.
    pub cost_ceiling: Money,
    /// The request may not leave this host, nor be stored outside memory.
    pub private: bool,
    /// What the answer must admit: a budget that yielded, a track that is not there. `None` when all is as it should be.
    pub degraded: Option<String>,
    /// The questions asked, in order.
    pub steps: Vec<Step>,
    /// All targets considered.
    pub candidates: Vec<Candidate>,
}
