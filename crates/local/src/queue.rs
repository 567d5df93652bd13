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
}

impl<T> Queue<T> {
    /// An empty queue.
    pub(crate) fn new(waiting_max: usize) -> Self {
        let state = State { waiting: VecDeque::new(), idle: 0, closed: false };
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

    /// Waits for the next item; `None` once the queue is closed.
    pub(crate) fn take(&self) -> Option<T> {
        let mut state = self.state();
        state.idle += 1;
        while state.waiting.is_empty() && !state.closed {
            state = self.arrival.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.idle -= 1;
        if state.closed { None } else { state.waiting.pop_front() }
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
        assert_eq!((queue.take(), queue.take()), (Some(2), Some(4)));
    }

    #[test]
    fn closing_sends_servers_home_and_refuses() {
        let queue: Queue<i32> = Queue::new(1);
        std::thread::scope(|scope| {
            let server = scope.spawn(|| queue.take());
            queue.close();
            assert_eq!(server.join().unwrap(), None);
        });
        assert_eq!(queue.push(1, |_| false), Err(Refused::Closed));
        assert!(queue.is_closed());
    }
}
