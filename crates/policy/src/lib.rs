//! The operator's files become a checked policy; a policy, the signals and the funds become a plan.
//!
//! Pure: no clock, no network, no disk. Files come as text and environment look-ups as a function.

mod catalogue;
mod expression;
mod facts;
pub mod file;

pub use catalogue::{
    ANY_TASK, Catalogue, EXTRACTIVE, HttpVersion, LatencyPrior, Model, ModelKind, Priors, Provider, Secret,
    Supports, TASK_PREFIX,
};
pub use facts::{Conditions, Facts, Latency};
