//! Sessions of the encoder, lent to one thread at a time, first come first served.
//!
//! Owns the line. Refuses to let whoever gives a session back take it again before those who wait: a request with a
//! thousand texts takes a session for each of them, and the others are served in between.

use std::collections::VecDeque;
use std::sync::mpsc::{SendError, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use api::Error;

/// Sessions, and the line of those who wait for one.
pub(super) struct Pool<S>(Mutex<Line<S>>);

struct Line<S> {
    idle: Vec<S>,
    waiting: VecDeque<SyncSender<S>>,
}

/// A session on loan; goes back when dropped, also by a panic.
pub(super) struct Loan<'a, S> {
    pool: &'a Pool<S>,
    /// Only `drop` leaves the place empty.
    session: Option<S>,
}

impl<S> Pool<S> {
    pub(super) fn new(idle: Vec<S>) -> Self {
        Self(Mutex::new(Line { idle, waiting: VecDeque::new() }))
    }

    /// Waits for a session.
    ///
    /// # Errors
    /// None is left, which a panic of whoever had the last one could not do: it goes back then, too.
    pub(super) fn take(&self) -> Result<Loan<'_, S>, Error> {
        let handed = {
            let mut line = self.lock();
            match line.idle.pop() {
                Some(session) => return Ok(Loan { pool: self, session: Some(session) }),
                None => {
                    let (hand, handed) = sync_channel(1);
                    line.waiting.push_back(hand);
                    handed
                }
            }
        };
        let session = handed.recv().map_err(Error::internal)?;
        Ok(Loan { pool: self, session: Some(session) })
    }

    fn lock(&self) -> MutexGuard<'_, Line<S>> {
        // A list of sessions is whole whatever became of their users.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Loan<'_, S> {
    /// The session.
    pub(super) fn session(&mut self) -> Result<&mut S, Error> {
        self.session.as_mut().ok_or_else(|| Error::internal("the session is gone"))
    }
}

impl<S> Drop for Loan<'_, S> {
    fn drop(&mut self) {
        let Some(mut session) = self.session.take() else { return };
        let mut line = self.pool.lock();
        while let Some(next) = line.waiting.pop_front() {
            match next.send(session) {
                Ok(()) => return,
                Err(SendError(back)) => session = back,
            }
        }
        line.idle.push(session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_is_served_before_whoever_comes_again() {
        let pool = Pool::new(vec![()]);
        let order = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            let mut held = pool.take().expect("one session");
            for place in 0..3 {
                let (pool, order) = (&pool, &order);
                scope.spawn(move || {
                    let _loan = pool.take().expect("one session");
                    order.lock().expect("no panic").push(place);
                });
                while pool.lock().waiting.len() <= place {
                    std::thread::yield_now();
                }
            }
            drop(held);
            held = pool.take().expect("one session");
            order.lock().expect("no panic").push(3);
            drop(held);
        });
        assert_eq!(order.into_inner().expect("no panic"), [0, 1, 2, 3]);
        assert_eq!(pool.lock().idle.len(), 1);
    }
}
