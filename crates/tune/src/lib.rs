//! Low-rank adapters for the in-process model, trained from labelled examples on a processor.
//!
//! Owns reading a Llama-architecture GGUF file as a frozen model of 32-bit floats, its forward pass and gradients, the
//! training, and the adapter's file. Refuses whatever it would read otherwise than llama.cpp does, which serves the result.
//! A crate and a binary of its own, so that the gateway's build does not pay for candle.

mod adapter;
mod base;
mod batches;
mod cost;
mod descent;
mod dice;
mod error;
mod examples;
mod layout;
mod metadata;
mod network;
mod ops;
mod reading;
mod tokens;
mod training;

pub use adapter::{Adapter, Passport, Place};
pub use base::{Base, fingerprint};
pub use cost::{cpu_seconds, peak_mib};
pub use error::Error;
pub use examples::{Example, Examples};
pub use layout::{INPUT, Layout, answer};
pub use tokens::Tokens;
pub use training::{HeldOut, Progress, Report, Settings, train};
