//! Closed tasks: a label out of a set, several labels, or a number, by a small local model that knows when to pass.
//!
//! Owns training, answering, certification and the watch over what was certified. Refuses labels and their provenance:
//! the store is the gateway's.

mod certificate;
mod likeness;
mod model;
mod neighbours;
mod number;
mod pool;
mod rows;
mod several;
mod single;
mod truth;

pub use certificate::{Certificate, SliceReport, error_bound};
pub use model::{Model, Report, TrainOptions, Trained};
pub use truth::{Answer, Example, HeldOut, Kind, Truth};
