//! What the fuzzing targets check. Each takes any bytes and may only return.

pub mod config;
pub mod dialects;
