//! How many requests are under way at once, and who is turned away when there are too many.
//!
//! Owns the count and the shares of the priorities. Refuses to let anybody wait: a line in front of a gateway that has too
//! much to do only makes everybody late, so whoever comes too many is told at once to come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api::{Error, Fault, Priority};

/// When to come back.
const LATER: Duration = Duration::from_secs(1);

/// The places of a gateway.
#[derive(Debug)]
pub(crate) struct Admission {
    places: usize,
    taken: AtomicUsize,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Admission>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    /// `places` requests at once.
    pub(crate) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { places, taken: AtomicUsize::new(0) })
    }

    /// A place for a request of this priority.
    ///
    /// # Errors
    /// A 503 `overloaded`: as many are under way as its priority may fill.
    pub(crate) fn enter(self: &Arc<Self>, priority: Priority) -> Result<Place, Error> {
        let most = self.most(priority);
        let entered = self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| (taken < most).then(|| taken + 1));
        match entered {
            Ok(_) => Ok(Place(Arc::clone(self))),
            Err(_) => Err(overloaded(priority)),
        }
    }

    /// The requests under way, of whatever priority, beyond which one of this priority is turned away.
    fn most(&self, priority: Priority) -> usize {
        let percent = match priority {
            Priority::Low => 70,
            Priority::Normal => 90,
            Priority::High => 100,
        };
        self.places.saturating_mul(percent).div_ceil(100).max(1)
    }
}

fn overloaded(priority: Priority) -> Error {
    let message = format!(
        "Too many requests are under way for one of {} priority: come back after `retry-after`.",
        priority.name()
    );
    Error::new(Fault::Unavailable, "overloaded", message).with_retry_after(LATER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_priorities_are_turned_away_first() {
        let admission = Admission::new(10);
        let mut taken = Vec::new();
        for (priority, places) in [(Priority::Low, 7), (Priority::Normal, 9), (Priority::High, 10)] {
            while let Ok(place) = admission.enter(priority) {
                taken.push(place);
            }
            assert_eq!(taken.len(), places, "{priority:?}");
            assert!(admission.enter(Priority::Low).is_err());
        }
        taken.truncate(6);
        assert!(admission.enter(Priority::Low).is_ok());
        drop(taken);
        assert_eq!(admission.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_smallest_gateway_takes_one_of_any_priority() {
        let admission = Admission::new(1);
        for (_, priority) in Priority::ALL {
            let place = admission.enter(priority);
            assert!(place.is_ok() && admission.enter(Priority::High).is_err());
        }
    }
}
