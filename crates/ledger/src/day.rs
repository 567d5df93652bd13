//! UTC days: budgets reset at their start and reports are grouped by them. Owns no clock: time comes in as
//! milliseconds since 1970.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::Offset;

/// Milliseconds of one UTC day. Unix time has no leap seconds.
pub(crate) const DAY_MS: u64 = 86_400_000;

/// The day that `at_ms` falls in, counted from 1970-01-01.
pub(crate) fn number(at_ms: u64) -> u64 {
    at_ms / DAY_MS
}

/// The time from `now_ms` to the next day's start.
pub fn until_next_day(now_ms: u64) -> Duration {
    Duration::from_millis(DAY_MS - now_ms % DAY_MS)
}

/// The day as `2026-11-03`; a time beyond the calendar's end is shown as its number of days.
pub(crate) fn date(at_ms: u64) -> String {
    let stamp = i64::try_from(at_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    match stamp {
        Some(stamp) => Offset::UTC.to_datetime(stamp).date().to_string(),
        None => format!("day {}", number(at_ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_at_midnight_utc() {
        for (at_ms, text, left_ms) in [
            (0, "1970-01-01", DAY_MS),
            (DAY_MS - 1, "1970-01-01", 1),
            (1_793_750_400_000, "2026-11-04", DAY_MS),
            (1_793_750_399_999, "2026-11-03", 1),
            (u64::MAX, "day 213503982334", 14_785_407),
        ] {
            assert_eq!(date(at_ms), text);
            if at_ms < u64::MAX {
                assert_eq!(until_next_day(at_ms), Duration::from_millis(left_ms), "{at_ms}");
            }
        }
    }
}
