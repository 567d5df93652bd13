//! Closed tasks: one label out of a set, by a local classifier that knows when to pass.
//!
//! Owns training, answering and certification of classifiers. Refuses labels and their provenance: the store is the
//! gateway's.

mod certificate;
mod classifier;
mod pool;
mod votes;

pub use certificate::{Certificate, error_bound};
pub use classifier::{Answer, Classifier, ClassifierOptions, TrainedClassifier};
