//! What the cache did, told to the client: the value of the `cache-status` header (RFC 9211).

use std::fmt;
use std::time::Duration;

/// Why a request went past the cache: the tokens of `fwd` (RFC 9211, section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forwarded {
    /// The cache is not used for this request: the policy's choice, or one that cannot be remembered.
    Bypass,
    /// There was no answer.
    Miss,
    /// There was one, but the client's `cache-control` did not want it.
    Request,
    /// There was one, but its time was over.
    Stale,
}

impl Forwarded {
    const fn token(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
        }
    }
}

/// What the cache did for a request. Its `Display` is the header's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CacheStatus {
    /// It answered.
    Hit {
        /// How long the answer will still be given.
        ttl: Duration,
        /// The similarity of the request that was answered first, in a semantic hit; `None` in an exact one.
        similarity: Option<f32>,
    },
    /// It did not.
    Forwarded {
        /// Why.
        why: Forwarded,
        /// The new answer is remembered.
        stored: bool,
        /// The request waited for another one's answer instead of going out itself.
        collapsed: bool,
    },
}

impl CacheStatus {
    /// Went past the cache because of `why`, and nothing was remembered so far.
    pub const fn forwarded(why: Forwarded) -> Self {
        Self::Forwarded { why, stored: false, collapsed: false }
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pointsman; ")?;
        match self {
            Self::Hit { ttl, similarity } => {
                write!(f, "hit; ttl={}", ttl.as_secs())?;
                similarity.map_or(Ok(()), |value| write!(f, "; detail=\"similarity={value:.3}\""))
            }
            Self::Forwarded { why, stored, collapsed } => {
                write!(f, "fwd={}", why.token())?;
                f.write_str(if *stored { "; stored" } else { "" })?;
                f.write_str(if *collapsed { "; collapsed" } else { "" })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_a_structured_field() {
        let ttl = Duration::from_millis(90_900);
        for (status, expected) in [
            (CacheStatus::Hit { ttl, similarity: None }, "pointsman; hit; ttl=90"),
            (
                CacheStatus::Hit { ttl, similarity: Some(0.97234) },
                "pointsman; hit; ttl=90; detail=\"similarity=0.972\"",
            ),
            (CacheStatus::forwarded(Forwarded::Bypass), "pointsman; fwd=bypass"),
            (
                CacheStatus::Forwarded { why: Forwarded::Miss, stored: true, collapsed: false },
                "pointsman; fwd=miss; stored",
            ),
            (
                CacheStatus::Forwarded { why: Forwarded::Request, stored: true, collapsed: true },
                "pointsman; fwd=request; stored; collapsed",
            ),
            (CacheStatus::forwarded(Forwarded::Stale), "pointsman; fwd=stale"),
        ] {
            assert_eq!(status.to_string(), expected);
        }
    }
}
