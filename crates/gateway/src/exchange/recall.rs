//! An answer given before, found by a hash before anything costly.

use api::ChatRequest;
use cache::{CacheControl, CacheStatus, Forwarded, Hit, Key, Scope};
use dialects::Client;
use http::Response;
use ledger::Cached;

use super::read::Asked;
use super::relay::{respond_stored, stored_headers};
use super::{Step, Ticket};
use crate::body::Body;
use crate::house::now_ms;
use crate::metrics::CacheLabels;
use crate::wishes::Wishes;

/// A request that no stored answer serves.
pub(crate) struct Missed {
    pub(crate) ticket: Ticket,
    pub(crate) wishes: Wishes,
    pub(crate) request: ChatRequest,
    pub(crate) client: Client,
    /// Under which the answer may be remembered.
    pub(crate) key: Option<Key>,
}

/// A request that a stored answer serves.
pub(crate) struct Remembered {
    ticket: Ticket,
    streamed: bool,
    client: Client,
    hit: Hit,
}

/// What the cache says.
pub(crate) enum Recalled {
    Hit(Box<Remembered>),
    Miss(Box<Missed>),
}

impl Asked {
    /// Asks the exact cache.
    pub(crate) fn recall(mut self) -> Step<Recalled> {
        let key = self.key();
        let found = key.as_ref().and_then(|key| self.ticket.house.answers.get(key, now_ms()));
        let refused = found.as_ref().is_some_and(|hit| !self.wishes.cache.accepts(hit.age));
        let hit = found.filter(|_| !refused);
        let (cached, result) = match (&hit, &key) {
            (Some(_), _) => (Cached::Hit, "hit"),
            (None, Some(_)) => (Cached::Miss, "miss"),
            (None, None) => (Cached::Bypass, "bypass"),
        };
        self.ticket.record.cache = cached;
        self.ticket.forwarded = match (refused, &key) {
            (true, _) => Forwarded::Request,
            (false, Some(_)) => Forwarded::Miss,
            (false, None) => Forwarded::Bypass,
        };
        self.ticket.house.metrics.cache.get_or_create(&CacheLabels { tier: "exact", result }).inc();
        self.ticket.stage("recall");
        let Self { ticket, wishes, request, client } = self;
        match hit {
            Some(hit) => {
                Ok(Recalled::Hit(Box::new(Remembered { ticket, streamed: request.stream, client, hit })))
            }
            None if wishes.cache.only_if_cached => Err(ticket.refuse(&CacheControl::not_cached())),
            None => {
                let key = key.filter(|_| !wishes.cache.no_store);
                Ok(Recalled::Miss(Box::new(Missed { ticket, wishes, request, client, key })))
            }
        }
    }

    /// Everything that decides who may see an answer, and everything that decides what the answer is. An explained
    /// answer carries its own decision, so it is never taken from another one.
    fn key(&self) -> Option<Key> {
        if self.wishes.explain {
            return None;
        }
        let revision = self.ticket.house.revision(&self.ticket.live);
        let policy = self.wishes.policy.as_deref().unwrap_or("");
        let mut scope = Scope::of(&self.ticket.tenant, policy, &revision);
        if let Some(task) = &self.wishes.task {
            scope = scope.narrowed("task", task);
        }
        if let Some(reach) = self.wishes.reach.told() {
            scope = scope.narrowed("reach", &reach);
        }
        if self.wishes.private || self.ticket.tenant.private {
            scope = scope.narrowed("privacy", "local");
        }
        Key::exact(&scope, &self.request)
    }
}

impl Remembered {
    /// Sends the stored answer.
    pub(crate) fn relay(self) -> Response<Body> {
        let Self { mut ticket, streamed, client, hit } = self;
        let origin = hit.entry.origin();
        ticket.record.track = Some(origin.track);
        ticket.record.model.clone_from(&origin.model);
        ticket.record.provider.clone_from(&origin.provider);
        ticket.record.reference_cost = origin.reference_cost;
        "cached".clone_into(&mut ticket.record.reason);
        ticket.set_cached(&origin.decision);
        ticket.record.status = 200;
        let mut response = match respond_stored(&hit.entry, &client, streamed) {
            Ok(response) => response,
            Err(error) => return *ticket.refuse(&error),
        };
        ticket.decorate(response.headers_mut());
        ticket.decorate_cost(response.headers_mut());
        let status = CacheStatus::Hit { ttl: hit.ttl, similarity: None };
        stored_headers(response.headers_mut(), &status, Some(hit.age));
        ticket.settle();
        response
    }
}
