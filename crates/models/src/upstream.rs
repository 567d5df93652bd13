//! One upstream, and what can be asked of it.
//!
//! Owns what outlives a call: endpoints, connections, places and the allowance for further attempts. Refuses to lose them
//! when the operator's file changes.

use std::fmt;
use std::sync::{Arc, Mutex};

use api::{ChatRequest, Error, Reply};
use dialects::{Embedded, EmbeddingsRequest, RerankRequest, Reranked};
use http::{HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::backoff::Jitter;
use crate::budget::Budget;
use crate::call::Ended;
use crate::connect::{Pool, Upstreams};
use crate::endpoints::Endpoints;
use crate::hedge::Hedging;
use crate::options::UpstreamOptions;
use crate::question::{Chatted, Question};
use crate::slots::Slots;
use crate::traffic::Health;

/// A chat answer, whole or begun.
pub struct Answered {
    /// The answer. A stream's error items follow [`api::Chunks`].
    pub reply: Reply,
    /// The upstream's own name for the request, for its support.
    pub upstream_request_id: Option<String>,
    /// Attempts that it took, at least 1.
    pub attempts: u32,
    /// Two of them were under way at once: the upstream may charge the prompt of the one that was given up.
    pub hedged: bool,
}

/// An answer that has come at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Done<T> {
    /// The answer.
    pub value: T,
    /// The upstream's own name for the request, for its support.
    pub upstream_request_id: Option<String>,
    /// Attempts that it took, at least 1.
    pub attempts: u32,
    /// Two of them were under way at once: the upstream may charge for the one that was given up.
    pub hedged: bool,
}

/// One upstream: its endpoints, connections and what is known of its health. Clones are the same upstream.
#[derive(Clone)]
pub struct Upstream(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) options: UpstreamOptions,
    pub(crate) endpoints: Endpoints,
    pub(crate) pool: Arc<Pool>,
    pub(crate) slots: Arc<Slots>,
    pub(crate) allowance: Arc<Mutex<Allowance>>,
    pub(crate) jitter: Arc<Jitter>,
}

/// What the upstream's calls may spend on further attempts.
pub(crate) struct Allowance {
    pub(crate) budget: Budget,
    pub(crate) hedging: Hedging,
}

impl Upstream {
    /// Checks the options and makes the pool. Opens no connection.
    ///
    /// # Errors
    /// A 400 whose `param` is the first field of `options` that is not what it should be.
    pub fn new(upstreams: &Upstreams, options: UpstreamOptions) -> Result<Self, Error> {
        let sites = options.check()?;
        let pool = upstreams.pool(&options, &sites)?;
        let now = Instant::now();
        Ok(Self(Arc::new(Inner {
            endpoints: Endpoints::new(&options.name, sites, None),
            pool: Arc::new(pool),
            slots: Slots::new(options.concurrency_max),
            allowance: Arc::new(Mutex::new(Allowance { budget: Budget::new(now), hedging: Hedging::new() })),
            jitter: Arc::new(Jitter::new(options.seed)),
            options,
        })))
    }

    /// The same upstream as `options` describe it now. What still holds is kept: what is known of endpoints that are
    /// still there, the places that are taken, the retry budget, and the connections where nothing has changed that
    /// they depend on. Calls under way end as they began. `upstreams` should be the same as for [`Upstream::new`].
    ///
    /// # Errors
    /// As for [`Upstream::new`]; this one is as it was then.
    pub fn renewed(&self, upstreams: &Upstreams, options: UpstreamOptions) -> Result<Self, Error> {
        let before = &self.0;
        let sites = options.check()?;
        let pool = upstreams.pool_like(&before.pool, &options, &sites)?;
        before.slots.resize(options.concurrency_max);
        Ok(Self(Arc::new(Inner {
            endpoints: Endpoints::new(&options.name, sites, Some(&before.endpoints)),
            pool,
            slots: Arc::clone(&before.slots),
            allowance: Arc::clone(&before.allowance),
            jitter: Arc::clone(&before.jitter),
            options,
        })))
    }

    /// Asks the upstream's model `model_id` for a chat completion, by `deadline`. `trace` is sent along, except where a
    /// header of that name is already set. A stream is given back once its first chunk is there.
    ///
    /// Dropping the future, or the stream that it gives, cancels the work at the upstream.
    ///
    /// # Errors
    /// `upstream_*` codes for what the upstream did, with its own status where it gave one; `context_length_exceeded` and
    /// `content_filter` where it refused for that reason. `retry_safe` says that another target may do better.
    pub async fn chat(
        &self,
        model_id: &str,
        request: &ChatRequest,
        deadline: std::time::Instant,
        trace: &[(HeaderName, HeaderValue)],
    ) -> Result<Answered, Error> {
        let ended = self.0.ask(model_id, request, deadline, trace).await?;
        let Ended { given, slot, upstream_request_id, attempts, hedged } = ended;
        let reply = match given {
            Chatted::Whole(completion) => Reply::Whole(completion),
            Chatted::Stream(mut answer) => {
                answer.hold(slot);
                Reply::Stream(Box::into_pin(answer))
            }
        };
        Ok(Answered { reply, upstream_request_id, attempts, hedged })
    }

    /// Asks for vectors, as [`Upstream::chat`] asks for text.
    ///
    /// # Errors
    /// As for [`Upstream::chat`]; `unsupported_by_target` with `model` as its `param` where what the upstream speaks has no
    /// embeddings. Vectors that are not one for each input, all of the same and of the wanted length and of finite numbers,
    /// are `upstream_garbage`.
    pub async fn embed(
        &self,
        model_id: &str,
        request: &EmbeddingsRequest,
        deadline: std::time::Instant,
        trace: &[(HeaderName, HeaderValue)],
    ) -> Result<Done<Embedded>, Error> {
        self.done(model_id, request, deadline, trace).await
    }

    /// Asks which documents answer a query best, as [`Upstream::chat`] asks for text.
    ///
    /// # Errors
    /// As for [`Upstream::chat`]; `unsupported_by_target` with `model` as its `param` where what the upstream speaks has no
    /// rerank. Ranks of documents that were not sent, one twice, or fewer than were asked for, are `upstream_garbage`.
    pub async fn rerank(
        &self,
        model_id: &str,
        request: &RerankRequest,
        deadline: std::time::Instant,
        trace: &[(HeaderName, HeaderValue)],
    ) -> Result<Done<Reranked>, Error> {
        self.done(model_id, request, deadline, trace).await
    }

    async fn done<Q: Question>(
        &self,
        model_id: &str,
        question: &Q,
        deadline: std::time::Instant,
        trace: &[(HeaderName, HeaderValue)],
    ) -> Result<Done<Q::Given>, Error> {
        let ended = self.0.ask(model_id, question, deadline, trace).await?;
        let Ended { given: value, upstream_request_id, attempts, hedged, .. } = ended;
        Ok(Done { value, upstream_request_id, attempts, hedged })
    }

    /// The operator's name for it.
    pub fn name(&self) -> &str {
        &self.0.options.name
    }

    /// How it is doing.
    pub fn health(&self) -> Health {
        self.0.endpoints.together(self.0.slots.taken())
    }

    /// How each of its endpoints is doing, in the operator's order.
    pub fn endpoints(&self) -> Vec<Health> {
        self.0.endpoints.health().collect()
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Upstream").field(&self.0.options.name).finish()
    }
}
