//! What the benches share: processes and what the kernel counts of them, load at a rate or as fast as it goes, a provider
//! that answers at once, the barest relay that hyper allows, and the table that a measurement ends in.
//!
//! Owns no measurement: each bench is a program of its own in `tests/benches`. Refuses to be part of a test: what takes how
//! long is printed, and belongs to no assertion of `make test`.

mod load;
mod peers;
mod process;

pub use load::{Asked, Load, Pool, Question, Taken};
pub use peers::{instant_provider, relay};
pub use process::{Process, cpu_ns, end_with_parent, memory_mib, stage_means_us};

/// The middle of `values`, which it sorts; 0 of none.
pub fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which `share` of `values` are; sorts them. 0 of none.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len().saturating_sub(1) as f64 * share).round() as usize;
    values.get(place).copied().unwrap_or_default()
}

/// The same numbers in every run, spread evenly: Knuth's MMIX generator.
#[derive(Clone, Debug)]
pub struct Spread(u64);

impl Spread {
    /// Numbers that follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, from 0 up to 1.
    pub fn next_share(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / f64::from(1_u32 << 31)
    }
}
