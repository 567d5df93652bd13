//! The life of one chat request. Each stage consumes the one before it, so the compiler checks the order; every way out
//! passes through the [`Ticket`], which settles exactly once, even when the client has left and hyper dropped us.
//!
//! | stage    | file        | what it may refuse with                                     |
//! |----------|-------------|-------------------------------------------------------------|
//! | admit    | `admit.rs`  | 400 a header, 401 the key, 503 too many requests            |
//! | read     | `read.rs`   | 400, 408, 413, 415, 422; 404 the model                      |
//! | recall   | `recall.rs` | 504 `only-if-cached` without a stored answer                |
//! | classify | `decide.rs` | -                                                           |
//! | decide   | `decide.rs` | 403 privacy, 422 needs, 503 nothing can serve it            |
//! | reserve  | `decide.rs` | 429 the budget                                              |
//! | ground   | `ground.rs` | 503 the index                                               |
//! | call     | `call.rs`   | 424, 502, 503, 504 the last target's trouble                |
//! | relay    | `relay.rs`  | in-band, once the first byte is out                         |

mod admit;
mod aside;
mod audit;
mod call;
mod check;
mod cite;
mod count;
mod decide;
mod embeddings;
mod feedback;
mod ground;
mod order;
mod read;
mod recall;
mod relay;
mod rerank;
mod resume;
mod route;
mod service;
mod shadow;
mod ticket;

use http::Response;

pub(crate) use admit::{Arrived, presented_key};
pub(crate) use aside::ASIDES_MAX;
pub(crate) use cite::{annotate, sources};
pub(crate) use count::count_tokens;
pub(crate) use embeddings::embeddings;
pub(crate) use feedback::feedback;
pub(crate) use ground::Ground;
pub(crate) use read::{read_bytes, read_json};
pub(crate) use rerank::rerank;
pub(crate) use route::route;
pub(crate) use ticket::{Ticket, refusal, refusal_in};

use crate::body::Body;
use recall::Recalled;

/// What a stage gives: the next one, or the response that ends the exchange, settled already.
pub(crate) type Step<T> = Result<T, Box<Response<Body>>>;

/// Answers one request of any dialect, from its headers to its last byte.
pub(crate) async fn answer(arrived: Arrived) -> Response<Body> {
    answer_or_refuse(arrived).await.unwrap_or_else(|refusal| *refusal)
}

async fn answer_or_refuse(arrived: Arrived) -> Step<Response<Body>> {
    let asked = arrived.admit()?.read().await?;
    let missed = match asked.recall()? {
        Recalled::Hit(hit) => return Ok(hit.relay()),
        Recalled::Miss(missed) => *missed,
    };
    let funded = missed.classify().await?.decide()?.reserve()?;
    let called = funded.ground().await?.call().await?;
    Ok(called.relay())
}
