//! The bounded queue between requests and the threads that serve them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Why an item was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// As many wait as may.
    Full,
    /// Nobody serves any more.
    Closed,
}

/// What a server gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<T> {
    /// An item.
    Item(T),
    /// Nothing yet, but what the server works with is out of date.
    Stale,
    /// Nothing any more.
    Closed,
}

/// First come, first served; at most `waiting_max` items wait beyond what idle servers are about to take.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    arrival: Condvar,
    waiting_max: usize,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    idle: usize,
    closed: bool,
    edition: u64,
}

impl<T> Queue<T> {
    /// An empty queue.
    pub(crate) fn new(waiting_max: usize) -> Self {
        let state = State { waiting: VecDeque::new(), idle: 0, closed: false, edition: 0 };
        Self { state: Mutex::new(state), arrival: Condvar::new(), waiting_max }
    }

    /// Takes in an item, after those whose requests are `over` made room.
    pub(crate) fn push(&self, item: T, over: impl Fn(&T) -> bool) -> Result<(), Refused> {
        let mut state = self.state();
        if state.closed {
            return Err(Refused::Closed);
        }
        state.waiting.retain(|item| !over(item));
        if state.waiting.len() >= self.waiting_max.saturating_add(state.idle) {
            return Err(Refused::Full);
        }
        state.waiting.push_back(item);
        self.arrival.notify_one();
        Ok(())
    }

    /// Waits for the next item, or until what the server works with is no longer of the queue's `edition`.
    pub(crate) fn take(&self, edition: u64) -> Next<T> {
        let mut state = self.state();
        state.idle += 1;
        while state.waiting.is_empty() && !state.closed && state.edition == edition {
            state = self.arrival.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.idle -= 1;
        if state.closed {
            return Next::Closed;
        }
        if state.edition != edition {
            return Next::Stale;
        }
        state.waiting.pop_front().map_or(Next::Stale, Next::Item)
    }

    /// The edition that servers should work with.
    pub(crate) fn edition(&self) -> u64 {
        self.state().edition
    }

    /// Makes what every server works with out of date.
    pub(crate) fn renew(&self) {
        let mut state = self.state();
        state.edition = state.edition.wrapping_add(1);
        self.arrival.notify_all();
    }

    /// Sends the servers home; what waits is dropped.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.waiting.clear();
        self.arrival.notify_all();
    }

    /// Whether [`Queue::close`] was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// The most items that may wait.
    pub(crate) fn waiting_max(&self) -> usize {
        self.waiting_max
    }

    /// Items that wait beyond what idle servers are about to take, and idle servers without an item.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.state();
        (state.waiting.len().saturating_sub(state.idle), state.idle.saturating_sub(state.waiting.len()))
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // No caller's code runs under the lock but `over`, so a poisoned state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_bounded_and_those_who_left_make_room() {
        let queue = Queue::new(2);
        let stays = |_: &i32| false;
        assert_eq!(queue.push(1, stays), Ok(()));
        assert_eq!(queue.push(2, stays), Ok(()));
        assert_eq!(queue.push(3, stays), Err(Refused::Full));
        assert_eq!(queue.push(4, |item| *item == 1), Ok(()));
        assert_eq!(queue.counts(), (2, 0));
        assert_eq!((queue.take(0), queue.take(0)), (Next::Item(2), Next::Item(4)));
    }

    #[test]
    fn a_new_edition_comes_before_the_items() {
        let queue = Queue::new(2);
        assert_eq!(queue.push(1, |_| false), Ok(()));
        let old = queue.edition();
        queue.renew();
        assert_eq!(queue.take(old), Next::Stale);
        assert_eq!(queue.take(queue.edition()), Next::Item(1));
    }

    #[test]
    fn closing_sends_servers_home_and_refuses() {
        let queue: Queue<i32> = Queue::new(1);
        std::thread::scope(|scope| {
            let server = scope.spawn(|| queue.take(0));
            queue.close();
            assert_eq!(server.join().unwrap(), Next::Closed);
        });
        assert_eq!(queue.push(1, |_| false), Err(Refused::Closed));
        assert!(queue.is_closed());
    }
}
