//! How many answers of one upstream are under way at once.
//!
//! Owns the limit and the line before it, both bounded. Refuses to end a slot before its answer has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;
use tokio::time::Instant;

/// The places of one upstream.
#[derive(Debug)]
pub(crate) struct Slots {
    free: Semaphore,
    size: usize,
    waiting: AtomicUsize,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Slots>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.free.add_permits(1);
    }
}

impl Slots {
    /// `size` places, and as many to wait for one.
    pub(crate) fn new(size: u32) -> Arc<Self> {
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Arc::new(Self { free: Semaphore::new(size), size, waiting: AtomicUsize::new(0) })
    }

    /// A place, first come first served; `None` when the line is full or `deadline` comes first.
    pub(crate) async fn take(self: &Arc<Self>, deadline: Instant) -> Option<Slot> {
        if let Ok(permit) = self.free.try_acquire() {
            permit.forget();
            return Some(Slot(Arc::clone(self)));
        }
        let line = Line::join(self)?;
        let permit = tokio::time::timeout_at(deadline, self.free.acquire()).await.ok()?.ok()?;
        permit.forget();
        drop(line);
        Some(Slot(Arc::clone(self)))
    }

    /// Places taken.
    pub(crate) fn taken(&self) -> usize {
        self.size.saturating_sub(self.free.available_permits())
    }
}

/// A place in the line.
struct Line<'a>(&'a Slots);

impl<'a> Line<'a> {
    fn join(slots: &'a Slots) -> Option<Self> {
        let joined = slots.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
            (waiting < slots.size).then(|| waiting + 1)
        });
        joined.is_ok().then_some(Self(slots))
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
