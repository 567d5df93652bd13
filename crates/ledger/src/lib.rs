//! Money and keys: who may spend how much, what was spent, and the append-only book that remembers it.
//!
//! Owns budgets ([`Funds`]), keys ([`Keys`]) and the files of the book ([`Book`], [`read`], [`Report`]). Refuses the text
//! of requests and answers: a record tells what an exchange was and cost, never what it said. Prices are `api::Prices`.

mod book;
mod day;
mod funds;
mod keys;
mod read;
mod record;
mod report;
mod segment;
mod writer;

pub use book::{Book, Counts, Options, Recovered};
pub use day::until_next_day;
pub use funds::{Funds, Reservation, Standing};
pub use keys::Keys;
pub use read::{Damage, Records, read};
pub use record::{Cached, Record, Tokens};
pub use report::{Report, Row, report};
