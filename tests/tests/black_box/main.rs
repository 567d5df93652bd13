//! The gateway as a user meets it: the built binary, real sockets, a provider that misbehaves on purpose.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot set its scene should fail where it stands"
)]

mod cache;
mod clients;
mod config;
mod crashes;
mod deciding;
mod every_byte;
mod faults;
mod framing;
mod grounding;
mod house;
mod index;
mod life;
mod money;
mod overload;
mod requests;
mod secrets;
mod stores;
mod streams;
mod tasks;
mod tracks;
mod upstreams;
mod vectors;
