//! The operator's files become a checked policy; a policy, the signals and the funds become a plan.
//!
//! Pure: no clock, no network, no disk. Files come as text and environment look-ups as a function.

pub mod file;
