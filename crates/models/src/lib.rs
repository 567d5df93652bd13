//! Calling a model over HTTP: connections, deadlines, retries inside a budget, a breaker, the address guard, and the
//! dialects that providers speak.
//!
//! Owns every socket that the gateway opens outward. Refuses to decide *which* model answers (that is the plan's), to
//! follow a redirect, to connect to an address that its guard has not passed, to call a cut answer whole, and to show
//! a secret.
//!
//! The life of one call, whatever it asks, is `call`; what can go wrong in it is `failure`.

mod address;
mod arrival;
mod backoff;
mod breaker;
mod budget;
mod call;
mod clock;
mod connect;
mod continuation;
mod endpoints;
mod exchange;
mod failure;
mod hedge;
mod lane;
mod latency;
mod options;
mod question;
mod road;
mod said;
mod secret;
#[cfg(test)]
mod simulation;
mod site;
mod slots;
mod stream;
mod traffic;
mod upstream;
mod whole;

pub use breaker::BreakerState;
pub use connect::Upstreams;
pub use continuation::{Continuation, continuing};
pub use hedge::Hedge;
pub use options::{HttpVersion, UpstreamOptions};
pub use road::Proxies;
pub use site::EndpointOptions;
pub use traffic::Health;
pub use upstream::{Answered, Done, Upstream};
