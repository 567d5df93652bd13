//! Answers given before, exact (semantic later), always inside one [`Scope`].
//!
//! Owns what makes two requests the same ([`Key`]), what may be remembered ([`Entry`]), the bounded store ([`Answers`]),
//! and the words in which clients and the cache talk ([`CacheControl`], [`CacheStatus`]). Refuses disk and clocks:
//! entries live in memory, callers bring the time.

mod answers;
mod control;
mod entry;
mod key;
mod status;

pub use answers::{Answers, Hit, Stats};
pub use control::CacheControl;
pub use entry::{Entry, NotWhole, Origin};
pub use key::{Key, Scope};
pub use status::{CacheStatus, Forwarded};
