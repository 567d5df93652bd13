//! Money and prices: whole nano-dollars, so that sums are exact and comparable.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

use crate::Usage;

/// An amount of US dollars in whole nano-dollars (1e-9 USD). One token at 0.15 USD a million costs 150 of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(i64);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount, about 9.2 billion dollars: stands for "no ceiling".
    pub const MAX: Self = Self(i64::MAX);

    /// An amount given in nano-dollars.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// An amount given in dollars, to the nearest nano-dollar; `None` when it is not finite or does not fit.
    pub fn from_usd(usd: f64) -> Option<Self> {
        let nanos = usd * 1e9;
        #[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
        (nanos.is_finite() && nanos.abs() < 9.2e18).then(|| Self(nanos.round() as i64))
    }

    /// The amount in nano-dollars.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The amount in dollars, for showing and for metrics; never for sums.
    pub fn usd(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// This less `other`, never below zero.
    pub fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0).max(0))
    }
}

impl Add for Money {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Money {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Money {
    /// Dollars with as many decimals as the amount has, at least two: `0.15`, `0.000150`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let fraction = format!("{:09}", nanos % 1_000_000_000);
        let shown = fraction.trim_end_matches('0').len().max(2);
        write!(f, "{sign}{}.{}", nanos / 1_000_000_000, &fraction[..shown])
    }
}

/// What a model charges. Token prices are for one million tokens, as providers publish them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prices {
    /// A million prompt tokens.
    pub input: Money,
    /// A million prompt tokens that the provider read from its own cache; `input` where it has no such price.
    pub cached_input: Option<Money>,
    /// A million completion tokens, reasoning tokens included.
    pub output: Money,
    /// Each request, whatever its length.
    pub request: Money,
}

impl Prices {
    /// What a reply with this usage costs, each part rounded up to the nano-dollar.
    pub fn cost(&self, usage: &Usage) -> Money {
        let cached = usage.cached_tokens().min(usage.prompt_tokens);
        self.request
            + share(self.input, usage.prompt_tokens - cached)
            + share(self.cached_input.unwrap_or(self.input), cached)
            + share(self.output, usage.completion_tokens)
    }
}

/// The price of `tokens` at `per_million`, rounded up, at most [`Money::MAX`].
fn share(per_million: Money, tokens: u64) -> Money {
    let exact = i128::from(per_million.0) * i128::from(tokens);
    let rounded = exact.div_euclid(1_000_000) + i128::from(exact.rem_euclid(1_000_000) > 0);
    i64::try_from(rounded).map_or(Money::MAX, Money)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_every_decimal_it_has() {
        for (nanos, text) in
            [(0, "0.00"), (150, "0.00000015"), (1_500_000_000, "1.50"), (-20_000_000, "-0.02")]
        {
            assert_eq!(Money::from_nanos(nanos).to_string(), text);
        }
    }

    #[test]
    fn costs_follow_the_published_prices() {
        let prices = Prices {
            input: Money::from_nanos(150_000_000),
            cached_input: Some(Money::from_nanos(75_000_000)),
            output: Money::from_nanos(600_000_000),
            request: Money::ZERO,
        };
        for (prompt, cached, completion, nanos) in
            [(1000, 0, 100, 210_000), (1000, 400, 0, 120_000), (1, 0, 0, 150), (0, 9, 0, 0)]
        {
            let usage = Usage::exact(prompt, completion).with_cached(cached);
            assert_eq!(prices.cost(&usage).nanos(), nanos, "{prompt} {cached} {completion}");
        }
    }

    #[test]
    fn a_part_of_a_nano_dollar_is_rounded_up_and_the_largest_bill_does_not_wrap() {
        let prices = Prices { input: Money::from_nanos(1), ..Prices::default() };
        assert_eq!(prices.cost(&Usage::exact(1, 0)).nanos(), 1);
        let dear = Prices { input: Money::MAX, ..Prices::default() };
        assert_eq!(dear.cost(&Usage::exact(u64::MAX, 0)), Money::MAX);
    }
}
