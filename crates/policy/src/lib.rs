//! The operator's files become a checked policy; a policy, the signals and the funds become a plan.
//!
//! Pure: no clock, no network, no disk. Files come as text and environment look-ups as a function.

mod catalogue;
mod decide;
mod estimate;
mod explain;
mod expression;
mod facts;
pub mod file;
mod flow;
mod policies;
mod policy;
pub mod tasks;

pub use catalogue::{
    ANY_TASK, Catalogue, Continues, Dialect, Duty, EXTRACTIVE, Endpoint, Hedge, HttpVersion, LatencyPrior,
    Model, ModelKind, Priors, Provider, Service, Supports, TASK_PREFIX,
};
pub use explain::{Change, explain};
pub use facts::{Conditions, Facts, Latency, Learned};
pub use policies::{AUTO, Policies, Route};
pub use policy::{Policy, Yields};
