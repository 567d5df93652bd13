//! Closed tasks: a label out of a set, several labels, or a number, by a small local model that knows when to pass.
//!
//! Owns training, answering, certification and the watch over what was certified. Refuses labels and their provenance:
//! the store is the gateway's.

mod binomial;
mod certificate;
mod lens;
mod lexicon;
mod likeness;
mod model;
mod neighbours;
mod number;
mod pool;
mod rows;
mod several;
mod single;
mod splits;
mod truth;
mod watch;

pub use binomial::{error_bound, trusted};
pub use certificate::{Certificate, SliceReport};
pub use model::{Model, Report, TrainOptions, Trained};
pub use splits::{SplitReport, splits};
pub use truth::{Answer, Example, HeldOut, Kind, Truth};
pub use watch::{AgreementWatch, Alarm, DriftWatch};
