//! Outcome learning: which model would answer which request well, learned from recorded outcomes.
//!
//! Owns the router and the figures by which routers are compared. Refuses to be surer than its evidence: see
//! [`Judgement::evidence`].

mod blend;
mod card;
pub mod curves;
mod evaluation;
mod experts;
mod hearing;
mod neighbours;
mod outcome;
mod router;
mod shape;
mod surface;

pub use card::{Card, Standing};
pub use evaluation::{Figures, Protocol, RoutingReport, Single, cross_validate, train_and_test};
pub use outcome::{Outcome, Trial};
pub use router::{Judgement, Router};
