//! Labels and outcomes in; heads, thresholds, certificates and estimates out. Pure mathematics over vectors.
//!
//! Owns every fit of the product and every figure that judges one. Refuses I/O, clocks and unseeded chance: reading
//! files and encoding texts is the gateway's, so that each result here follows from its arguments alone.

mod binary;
mod calibrate;
mod choice;
mod descent;
mod design;
mod fit;
mod folds;
mod head;
mod joint;
mod linear;
mod logistic;
pub mod metrics;
mod ngrams;
mod packed;
mod points;
mod random;
pub mod routing;
mod space;
mod squares;
pub mod task;
mod unfit;

pub use calibrate::Isotonic;
pub use design::SparseVector;
pub use folds::{group_folds, stratified_folds};
pub use head::{Contradiction, HeadOptions, HeadReport, TrainedHead, train_head};
pub use joint::{JointOptions, Target, train_joint};
pub use ngrams::Ngrams;
pub use unfit::Unfit;
