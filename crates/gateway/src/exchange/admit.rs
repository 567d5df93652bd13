//! Who asks, under which id, with which wishes. From here on every path ends in the ticket.

use std::sync::Arc;
use std::time::Instant;

use dialects::Face;
use http::HeaderMap;
use http::request::Parts;
use hyper::body::Incoming;

use super::{Step, Ticket};
use crate::house::House;
use crate::wishes::Wishes;

/// A request whose head has been read.
pub(crate) struct Arrived {
    pub(crate) house: Arc<House>,
    pub(crate) parts: Parts,
    pub(crate) body: Incoming,
    pub(crate) started: Instant,
    pub(crate) operation: &'static str,
    /// The dialect of the endpoint.
    pub(crate) face: Face,
}

/// A request of a known tenant.
pub(crate) struct Admitted {
    pub(crate) ticket: Ticket,
    pub(crate) wishes: Wishes,
    pub(crate) face: Face,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Incoming,
}

impl Arrived {
    /// Checks the key and the headers and opens the ticket.
    pub(crate) fn admit(self) -> Step<Admitted> {
        let headers = self.parts.headers;
        let mut ticket = Ticket::open(self.house, &headers, self.started, self.operation, self.face);
        let tenant = match ticket.live.keys.authenticate(presented_key(&headers)) {
            Ok(tenant) => tenant,
            Err(error) => return Err(ticket.refuse(&error)),
        };
        ticket.set_tenant(tenant);
        let entered = Wishes::read(&headers).and_then(|wishes| {
            // A caller may only step back behind others.
            let wanted = wishes.priority.unwrap_or(ticket.tenant.priority);
            ticket.enter(wanted.min(ticket.tenant.priority)).map(|()| wishes)
        });
        match entered {
            Ok(wishes) => {
                ticket.stage("admit");
                ticket.record.tags.clone_from(&wishes.tags);
                Ok(Admitted { ticket, wishes, face: self.face, headers, body: self.body })
            }
            Err(error) => Err(ticket.refuse(&error)),
        }
    }
}

/// The key in `authorization: Bearer KEY` or `x-api-key: KEY`.
pub(crate) fn presented_key(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    bearer.or_else(|| headers.get("x-api-key").and_then(|value| value.to_str().ok()))
}
