//! Exact bounds on a share, from a count: Clopper and Pearson's, and one for the counts that are still to come.
//!
//! Owns the distributions. Refuses approximations by the normal distribution: the counts that matter here are small.

/// Terms of the continued fraction; it converges in a few dozen.
const TERMS_MAX: usize = 300;
/// Halvings of the interval that holds the bound.
const HALVINGS: usize = 60;

/// The Clopper-Pearson upper bound: the rate of errors that would show `errors` or fewer among `count` in only
/// `1 - confidence` of samples. 1 where nothing was counted.
pub fn error_bound(errors: usize, count: usize, confidence: f64) -> f64 {
    if errors >= count {
        return 1.0;
    }
    let (a, b) = (errors as f64 + 1.0, (count - errors) as f64);
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if beta_share(middle, a, b) < confidence {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Whether an annotator may be believed: of `asked` questions that it was asked twice it answered `agreed` alike, and the
/// lower Clopper-Pearson bound of that share at `confidence` is at least `least`.
pub fn trusted(agreed: usize, asked: usize, confidence: f64, least: f64) -> bool {
    1.0 - error_bound(asked.saturating_sub(agreed), asked, confidence) >= least
}

/// The chance to see `errors` or fewer among `count`, if as many more are still to come and the share of errors among those
/// just exceeds `level`: the hypergeometric tail, given the errors of both together. (Where it is small, it is unlikely
/// that so good a sample is followed by one as large that is worse than `level`; exact for exchangeable examples.)
pub(super) fn chance_of_worse(errors: usize, count: usize, level: f64) -> f64 {
    let to_come = (level * count as f64).floor() as usize + 1;
    if errors >= to_come || to_come > count {
        return 1.0;
    }
    let (n, total) = (count as f64, (errors + to_come) as f64);
    let ways = |of: f64, some: f64| log_gamma(of + 1.0) - log_gamma(some + 1.0) - log_gamma(of - some + 1.0);
    let mut seen = errors as f64;
    let mut term = (ways(n, seen) + ways(n, total - seen) - ways(2.0 * n, total)).exp();
    let mut sum = 0.0;
    while term > 1e-12 * sum {
        sum += term;
        term *= seen * (n - total + seen) / ((n - seen + 1.0) * (total - seen + 1.0));
        seen -= 1.0;
    }
    sum
}

/// The regularised incomplete beta function by its continued fraction (Lentz's method).
fn beta_share(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return f64::from(u8::from(x >= 1.0));
    }
    let front = (log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(x, a, b) / a
    } else {
        1.0 - front * beta_fraction(1.0 - x, b, a) / b
    }
}

fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    let away = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for term in 1..=TERMS_MAX {
        let m = term as f64;
        for numerator in [
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)),
        ] {
            d = 1.0 / away(1.0 + numerator * d);
            c = away(1.0 + numerator / c);
            fraction *= c * d;
        }
        if (c * d - 1.0).abs() < 1e-14 {
            break;
        }
    }
    fraction
}

/// The logarithm of the gamma function for positive numbers: Stirling's series after shifting the argument up.
fn log_gamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 10.0 {
        shift -= x.ln();
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0))) / x;
    shift + (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bounds_are_the_known_ones() {
        fn check(errors: usize, count: usize, expected: f64) {
            let found = error_bound(errors, count, 0.95);
            assert!((found - expected).abs() < 1e-4, "{errors} of {count}: {found}");
        }
        // Without errors the bound is 1 - 0.05^(1/n): 300 audited answers prove 1 %.
        check(0, 300, 1.0 - 0.05_f64.powf(1.0 / 300.0));
        check(0, 1, 0.95);
        check(5, 5, 1.0);
        check(0, 0, 1.0);
        // By summing the binomial distribution directly.
        check(1, 10, 0.394_163);
        check(10, 1000, 0.016_896);
    }

    #[test]
    fn chances_are_those_of_counting() {
        fn check(errors: usize, count: usize, level: f64, expected: f64) {
            let found = chance_of_worse(errors, count, level);
            assert!((found - expected).abs() < 1e-9, "{errors} of {count}: {found}");
        }
        // No error among 5, then 1 among 5: of the 10 places of that one error, 5 are in the second half.
        check(0, 5, 0.1, 0.5);
        // No error among 5, then 2 among 5: C(5, 2) of C(10, 2).
        check(0, 5, 0.2, 10.0 / 45.0);
        // 1 or none of 3 among the first 5 of 10: (C(5, 1) C(5, 2) + C(5, 3)) of C(10, 3).
        check(1, 5, 0.2, 60.0 / 120.0);
        check(3, 5, 0.2, 1.0);
        check(0, 0, 0.2, 1.0);
    }

    #[test]
    fn an_annotator_is_trusted_by_its_lower_bound() {
        for (agreed, asked, least, expected) in [
            (100, 100, 0.95, true),
            (50, 50, 0.95, false),
            (95, 100, 0.95, false),
            (95, 100, 0.89, true),
            (0, 0, 0.1, false),
        ] {
            assert_eq!(trusted(agreed, asked, 0.95, least), expected, "{agreed} of {asked}");
        }
        assert!(trusted(0, 0, 0.95, 0.0));
    }

    proptest! {
        #[test]
        fn the_bound_is_above_the_rate_and_falls_with_confidence(errors in 0_usize..50, more in 1_usize..400) {
            let count = errors + more;
            let (strict, loose) = (error_bound(errors, count, 0.95), error_bound(errors, count, 0.5));
            prop_assert!(strict >= loose && strict >= errors as f64 / count as f64);
        }
    }
}
