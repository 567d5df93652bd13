//! How many answers of one upstream are under way at once.
//!
//! Owns the limit and the line before it, both bounded. Refuses to end a slot before its answer has ended.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio::time::Instant;

/// The places of one upstream.
#[derive(Debug)]
pub(crate) struct Slots {
    free: Semaphore,
    size: Mutex<Size>,
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct Size {
    places: usize,
    /// Places over the limit, which a smaller one has left: they are not given back.
    surplus: usize,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Slots>);

impl Drop for Slot {
    fn drop(&mut self) {
        let mut size = self.0.size();
        match size.surplus.checked_sub(1) {
            Some(left) => size.surplus = left,
            None => self.0.free.add_permits(1),
        }
    }
}

impl Slots {
    /// `size` places, and as many to wait for one.
    pub(crate) fn new(size: u32) -> Arc<Self> {
        let places = places(size);
        let size = Mutex::new(Size { places, surplus: 0 });
        Arc::new(Self { free: Semaphore::new(places), size, waiting: AtomicUsize::new(0) })
    }

    /// Has `size` places from now on; where more are taken, they are kept until their answers end.
    pub(crate) fn resize(&self, size: u32) {
        let mut now = self.size();
        let (before, after) = (now.places, places(size));
        now.places = after;
        if after < before {
            let fewer = before - after;
            now.surplus += fewer - self.free.forget_permits(fewer);
        } else {
            let more = after - before;
            let kept = more.min(now.surplus);
            now.surplus -= kept;
            self.free.add_permits(more - kept);
        }
    }

    /// A place, first come first served; `None` when the line is full or `deadline` comes first.
    pub(crate) async fn take(self: &Arc<Self>, deadline: Instant) -> Option<Slot> {
        if let Some(slot) = self.take_now() {
            return Some(slot);
        }
        let line = Line::join(self)?;
        let permit = tokio::time::timeout_at(deadline, self.free.acquire()).await.ok()?.ok()?;
        permit.forget();
        drop(line);
        Some(Slot(Arc::clone(self)))
    }

    /// A place if one is free.
    pub(crate) fn take_now(self: &Arc<Self>) -> Option<Slot> {
        self.free.try_acquire().ok()?.forget();
        Some(Slot(Arc::clone(self)))
    }

    /// Places taken.
    pub(crate) fn taken(&self) -> usize {
        let size = self.size();
        (size.places + size.surplus).saturating_sub(self.free.available_permits())
    }

    fn size(&self) -> MutexGuard<'_, Size> {
        // Two numbers stay usable whatever their last writer did.
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn places(size: u32) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}

/// A place in the line.
struct Line<'a>(&'a Slots);

impl<'a> Line<'a> {
    fn join(slots: &'a Slots) -> Option<Self> {
        let places = slots.size().places;
        let joined = slots.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
            (waiting < places).then(|| waiting + 1)
        });
        joined.is_ok().then_some(Self(slots))
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_size_counts_the_places_that_are_taken() {
        let slots = Slots::new(4);
        let mut taken: Vec<Slot> = (0..3).filter_map(|_| slots.take_now()).collect();
        slots.resize(1);
        assert_eq!(slots.taken(), 3);
        assert!(slots.take_now().is_none());
        taken.truncate(1);
        assert!(slots.take_now().is_none(), "one place, which is taken");
        taken.clear();
        assert_eq!(slots.taken(), 0);
        taken.extend(slots.take_now());
        assert!(taken.len() == 1 && slots.take_now().is_none());
        slots.resize(3);
        taken.extend(slots.take_now());
        taken.extend(slots.take_now());
        assert!(taken.len() == 3 && slots.take_now().is_none());
        slots.resize(2);
        slots.resize(5);
        taken.extend(std::iter::from_fn(|| slots.take_now()));
        assert_eq!((taken.len(), slots.taken()), (5, 5));
        taken.clear();
        assert_eq!(slots.taken(), 0);
    }
}
