//! What the black-box tests stand on: a running gateway, a plain HTTP client, and a provider that misbehaves on purpose.
//!
//! Owns no test. Refuses every crate of the product: what is tested here is what a user gets, the binary.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot set its scene should fail where it stands"
)]

pub mod bench;
mod dialects;
mod gateway;
mod http;
mod listening;
mod provider;
mod setup;
mod vectors;
mod wire;

use std::time::Duration;

pub use dialects::{AGAIN, BRIEF, Dialects};
pub use gateway::{Gateway, Output, binary, question, run};
pub use http::{Answer, Events, Request, raw};
pub use provider::{Attempt, Provider};
pub use setup::{Setup, model_file};
pub use vectors::Vectors;
pub use wire::{ANSWER, OTHER};

/// How long anything may take before a test gives up. Far above what is usual, for machines under load.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until `condition` holds: for states that cannot be waited for in any other way.
///
/// # Panics
/// It does not hold within [`PATIENCE`].
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = std::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(std::time::Instant::now() < give_up, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
