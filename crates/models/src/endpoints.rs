//! The endpoints of one upstream, and which of them a call goes to.
//!
//! Owns the choice: by power of two choices over latency and load (peak-EWMA), an endpoint whose breaker wants a probe
//! first, one that is shunned (its key refused, its limits spent) only where no other is left. Refuses an endpoint
//! whose breaker is open.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Jitter;
use crate::breaker::BreakerState;
use crate::question::Form;
use crate::secret::Redactor;
use crate::site::Site;
use crate::traffic::{Attempt, Health, Stand, Traffic};

/// One endpoint: where it is, and what is known of it.
pub(crate) struct Endpoint {
    pub(crate) site: Site,
    pub(crate) redactor: Arc<Redactor>,
    pub(crate) traffic: Arc<Traffic>,
}

/// All of them; there is at least one.
pub(crate) struct Endpoints(Vec<Endpoint>);

/// Endpoints that a call has been to, by their places.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Visited(u64);

impl Visited {
    fn has(self, place: usize) -> bool {
        self.0 & (1 << place) != 0
    }

    fn add(&mut self, place: usize) {
        self.0 |= 1 << place;
    }
}

/// An attempt at one endpoint, which may begin.
pub(crate) struct Chosen<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) attempt: Attempt,
}

impl Endpoints {
    /// Endpoints at `sites`. What is known of those that `before` has too is kept.
    pub(crate) fn new(name: &str, sites: Vec<Site>, before: Option<&Self>) -> Self {
        let mut kept = vec![false; before.map_or(0, |before| before.0.len())];
        let endpoints = sites.into_iter().map(|mut site| {
            let redactor = Arc::new(std::mem::take(&mut site.redactor));
            let traffic = before
                .and_then(|before| before.kept_at(&site, &mut kept))
                .unwrap_or_else(|| Traffic::new(name));
            Endpoint { site, redactor, traffic }
        });
        Self(endpoints.collect())
    }

    /// What is known of an endpoint at the address of `site` that no other one has been given.
    fn kept_at(&self, site: &Site, kept: &mut [bool]) -> Option<Arc<Traffic>> {
        let is_there = |place: &usize| !kept[*place] && self.0[*place].site.base == site.base;
        let same_key = |place: &usize| self.0[*place].site.headers == site.headers;
        let places = || (0..self.0.len()).filter(is_there);
        let place = places().find(same_key).or_else(|| places().next())?;
        let endpoint = &self.0[place];
        if !same_key(&place) {
            endpoint.traffic.new_key();
        }
        kept[place] = true;
        Some(Arc::clone(&endpoint.traffic))
    }

    /// The best endpoint for a call.
    ///
    /// # Errors
    /// All are resting: how long until the first of them is tried again.
    pub(crate) fn choose(
        &self,
        form: Form,
        jitter: &Jitter,
        visited: &mut Visited,
    ) -> Result<Chosen<'_>, Duration> {
        let now = Instant::now();
        let stands: Vec<Stand> = self.0.iter().map(|endpoint| endpoint.traffic.stand(form, now)).collect();
        let open = |_: usize| true;
        let place = stands
            .iter()
            .position(|stand| *stand == Stand::ProbeDue)
            .or_else(|| best(&stands, open, jitter))
            .or_else(|| soonest(&stands));
        let resting = || {
            let waits = stands.iter().filter_map(|stand| match stand {
                Stand::Resting(wait) => Some(*wait),
                _ => None,
            });
            waits.min().unwrap_or(CONTENDED)
        };
        let place = place.ok_or_else(resting)?;
        self.begin(place, form, visited)
    }

    /// Another endpoint than those of `visited` that works.
    pub(crate) fn elsewhere(&self, form: Form, jitter: &Jitter, visited: Visited) -> Option<usize> {
        if self.0.len() == 1 {
            return None;
        }
        let now = Instant::now();
        let stands: Vec<Stand> = self.0.iter().map(|endpoint| endpoint.traffic.stand(form, now)).collect();
        best(&stands, |place| !visited.has(place), jitter)
    }

    /// Begins an attempt at the endpoint at `place`.
    ///
    /// # Errors
    /// It is resting, for this long.
    pub(crate) fn begin(
        &self,
        place: usize,
        form: Form,
        visited: &mut Visited,
    ) -> Result<Chosen<'_>, Duration> {
        let endpoint = &self.0[place];
        let attempt = endpoint.traffic.begin(form)?;
        visited.add(place);
        Ok(Chosen { endpoint, attempt })
    }

    /// The only endpoint's place, where it may be called.
    pub(crate) fn only(&self, form: Form) -> Option<usize> {
        let [endpoint] = &self.0[..] else { return None };
        matches!(endpoint.traffic.stand(form, Instant::now()), Stand::Open(_)).then_some(0)
    }

    /// How each of them is doing.
    pub(crate) fn health(&self) -> impl Iterator<Item = Health> {
        self.0.iter().map(|endpoint| endpoint.traffic.health())
    }

    /// How they are doing together, with `in_flight` answers under way.
    pub(crate) fn together(&self, in_flight: usize) -> Health {
        let nothing = Health {
            breaker: BreakerState::Open,
            in_flight,
            recent_attempts: 0,
            recent_failures: 0,
            last_failure: None,
        };
        self.health().fold(nothing, |all, one| Health {
            breaker: match (all.breaker, one.breaker) {
                (BreakerState::Closed, _) | (_, BreakerState::Closed) => BreakerState::Closed,
                (BreakerState::HalfOpen, _) | (_, BreakerState::HalfOpen) => BreakerState::HalfOpen,
                (BreakerState::Open, BreakerState::Open) => BreakerState::Open,
            },
            in_flight,
            recent_attempts: all.recent_attempts.saturating_add(one.recent_attempts),
            recent_failures: all.recent_failures.saturating_add(one.recent_failures),
            last_failure: all.last_failure.or(one.last_failure),
        })
    }
}

/// What a call is told that came between a look at the endpoints and another call's probe.
const CONTENDED: Duration = Duration::from_secs(1);

/// The better of two open places taken at random among those that `may` be taken.
fn best(stands: &[Stand], may: impl Fn(usize) -> bool, jitter: &Jitter) -> Option<usize> {
    let open: Vec<(usize, f64)> = stands
        .iter()
        .enumerate()
        .filter_map(|(place, stand)| match stand {
            Stand::Open(cost) if may(place) => Some((place, *cost)),
            _ => None,
        })
        .collect();
    if open.len() < 2 {
        return open.first().map(|(place, _)| *place);
    }
    let one = pick(open.len(), jitter);
    // The other is taken among the rest.
    let other = (one + 1 + pick(open.len() - 1, jitter)) % open.len();
    let (one, other) = (open[one], open[other]);
    Some(if other.1 < one.1 { other.0 } else { one.0 })
}

fn pick(of: usize, jitter: &Jitter) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to a small number")]
    let place = (jitter.unit() * of as f64) as usize;
    place.min(of - 1)
}

/// Of the shunned ones, the one whose time comes first: an upstream is never left without any endpoint for that.
fn soonest(stands: &[Stand]) -> Option<usize> {
    let shunned = stands.iter().enumerate().filter_map(|(place, stand)| match stand {
        Stand::Shunned(until) => Some((*until, place)),
        _ => None,
    });
    shunned.min().map(|(_, place)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_choices_take_the_less_loaded_and_reach_all() {
        let jitter = Jitter::new(Some(3));
        let stands = [Stand::Open(1.0), Stand::Resting(CONTENDED), Stand::Open(2.0), Stand::Open(3.0)];
        let mut taken = [0; 4];
        for _ in 0..3_000 {
            taken[best(&stands, |_| true, &jitter).expect("an open one")] += 1;
        }
        // The best wins whenever it is among the two (2 of 3), the worst never.
        assert!((1_900..2_100).contains(&taken[0]), "{taken:?}");
        assert!(taken[1] == 0 && taken[3] == 0 && taken[2] > 900, "{taken:?}");
        assert_eq!(best(&stands, |place| place == 3, &jitter), Some(3));
        assert_eq!(best(&stands[1..2], |_| true, &jitter), None);
    }

    #[test]
    fn of_shunned_ones_the_first_to_come_back_is_taken() {
        let now = Instant::now();
        let later = |seconds| Stand::Shunned(now + Duration::from_secs(seconds));
        assert_eq!(soonest(&[later(9), Stand::Resting(CONTENDED), later(3), later(3)]), Some(2));
        assert_eq!(soonest(&[Stand::Resting(CONTENDED)]), None);
    }
}
