//! The store: bounded by bytes, each entry for a limited time. Owns memory only; refuses disk and clocks of its own
//! for what it says about age.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use crate::entry::Entry;
use crate::key::Key;

/// Answers by key. Clones are cheap and share one store.
#[derive(Clone, Debug)]
pub struct Answers {
    entries: Cache<Key, Arc<Entry>>,
    bytes_max: u64,
    ttl: Duration,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    stored: AtomicU64,
}

/// An answer found.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The answer.
    pub entry: Arc<Entry>,
    /// How long ago it was given: the `age` header.
    pub age: Duration,
    /// How long it will still be given: `ttl` of the `cache-status` header.
    pub ttl: Duration,
}

/// What the store holds and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Look-ups that found an answer.
    pub hits: u64,
    /// Look-ups that found none.
    pub misses: u64,
    /// Answers taken.
    pub stored: u64,
    /// Answers held, approximately.
    pub entries: u64,
    /// Memory that they take, approximately.
    pub bytes: u64,
}

impl Answers {
    /// A store of at most about `bytes_max` bytes, whose answers are given for `ttl`. Either of them zero keeps nothing.
    pub fn new(bytes_max: u64, ttl: Duration) -> Self {
        /// moka panics beyond a thousand years.
        const TTL_MAX: Duration = Duration::from_secs(365 * 86_400);
        let ttl = ttl.min(TTL_MAX);
        let entries = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|_: &Key, entry: &Arc<Entry>| entry.weight_bytes())
            .time_to_live(ttl)
            .build();
        Self { entries, bytes_max, ttl, counts: Arc::default() }
    }

    /// The answer remembered under `key`, if it is younger than its time at `now_ms` (milliseconds since 1970).
    pub fn get(&self, key: &Key, now_ms: u64) -> Option<Hit> {
        let hit = self.entries.get(key).and_then(|entry| {
            let age = Duration::from_millis(now_ms.saturating_sub(entry.stored_at_ms()));
            let ttl = self.ttl.checked_sub(age).filter(|left| !left.is_zero())?;
            Some(Hit { entry, age, ttl })
        });
        let count = if hit.is_some() { &self.counts.hits } else { &self.counts.misses };
        count.fetch_add(1, Ordering::Relaxed);
        hit
    }

    /// Remembers an answer in place of an older one. `false` if it is too large to be kept, or nothing is.
    pub fn put(&self, key: Key, entry: Entry) -> bool {
        if u64::from(entry.weight_bytes()) > self.bytes_max || self.ttl.is_zero() {
            return false;
        }
        self.entries.insert(key, Arc::new(entry));
        self.counts.stored.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.entries.invalidate_all();
    }

    /// What the store holds and has done.
    pub fn stats(&self) -> Stats {
        Stats {
            hits: self.counts.hits.load(Ordering::Relaxed),
            misses: self.counts.misses.load(Ordering::Relaxed),
            stored: self.counts.stored.load(Ordering::Relaxed),
            entries: self.entries.entry_count(),
            bytes: self.entries.weighted_size(),
        }
    }
}
