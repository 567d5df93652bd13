//! What a client asks of the cache: the request directives of `cache-control` (RFC 9111, section 5.2.1). Refuses
//! nothing: what is not understood is passed over, as the RFC wants.

use std::time::Duration;

use api::{Error, Fault, Source};

/// The directives of a request that this cache follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// `no-cache`: do not answer from the cache. The new answer may be remembered.
    pub no_cache: bool,
    /// `no-store`: do not remember the answer. One that is already there may be given.
    pub no_store: bool,
    /// `max-age=SECONDS`: answer from the cache only with what is at most this old.
    pub max_age: Option<Duration>,
    /// `only-if-cached`: answer from the cache or not at all.
    pub only_if_cached: bool,
}

impl CacheControl {
    /// Reads the values of all `cache-control` headers of a request. Names are case-insensitive; of contradicting ages the
    /// smaller counts, and one that is no number means zero, the strictest.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut control = Self::default();
        for directive in values.into_iter().flat_map(|value| value.split(',')) {
            let (name, argument) = match directive.split_once('=') {
                Some((name, argument)) => (name.trim(), argument.trim().trim_matches('"')),
                None => (directive.trim(), ""),
            };
            match name.to_ascii_lowercase().as_str() {
                "no-cache" => control.no_cache = true,
                "no-store" => control.no_store = true,
                "only-if-cached" => control.only_if_cached = true,
                "max-age" => {
                    let age = Duration::from_secs(seconds(argument));
                    control.max_age = Some(control.max_age.map_or(age, |other| other.min(age)));
                }
                _ => {}
            }
        }
        control
    }

    /// Whether an answer of this age may be given from the cache.
    pub fn accepts(&self, age: Duration) -> bool {
        !self.no_cache && self.max_age.is_none_or(|most| age <= most)
    }

    /// The answer to `only-if-cached` where the cache has none: the 504 that RFC 9111 names.
    pub fn not_cached() -> Error {
        let mut error = Error::new(
            Fault::UpstreamTimeout,
            "not_cached",
            "The request asks for a cached answer only (`cache-control: only-if-cached`) and there is none: send it without.",
        );
        error.source = Source::Client;
        error
    }
}

/// More seconds than fit mean "any age".
fn seconds(argument: &str) -> u64 {
    if argument.is_empty() || !argument.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    argument.parse().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_as_the_rfc_says() {
        let age = |seconds| Some(Duration::from_secs(seconds));
        let none = CacheControl::default();
        for (values, expected) in [
            (vec![], none),
            (vec!["", ",, ,"], none),
            (vec!["no-cache"], CacheControl { no_cache: true, ..none }),
            (vec![" No-Store ,MAX-AGE=\"60\""], CacheControl { no_store: true, max_age: age(60), ..none }),
            (
                vec!["only-if-cached", "max-age=5, max-age=3"],
                CacheControl { only_if_cached: true, max_age: age(3), ..none },
            ),
            (vec!["max-age=-1"], CacheControl { max_age: age(0), ..none }),
            (vec!["max-age"], CacheControl { max_age: age(0), ..none }),
            (vec!["max-age=99999999999999999999"], CacheControl { max_age: age(u64::MAX), ..none }),
            (vec!["max-stale=5, no-transform, x=\"no-cache\""], none),
        ] {
            assert_eq!(CacheControl::parse(values.iter().copied()), expected, "{values:?}");
        }
    }

    #[test]
    fn an_age_is_accepted_up_to_its_limit() {
        let control = CacheControl::parse(["max-age=10"]);
        assert!(control.accepts(Duration::from_secs(10)));
        assert!(!control.accepts(Duration::from_millis(10_001)));
        assert!(CacheControl::parse(["no-store"]).accepts(Duration::MAX));
        assert!(!CacheControl::parse(["no-cache"]).accepts(Duration::ZERO));
        assert_eq!(CacheControl::not_cached().fault.status(), 504);
    }
}
