//! What the fuzzing targets check. Each takes any bytes and may only return.

pub mod config;
pub mod dialects;
#[path = "../../crates/gateway/src/framing.rs"]
mod framing;
pub mod head;
#[expect(dead_code, reason = "the gateway uses more of it")]
#[path = "../../crates/gateway/src/wishes.rs"]
mod wishes;
