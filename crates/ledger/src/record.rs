//! One line of the book: what an exchange was, who answered, what it cost. Refuses text of requests and answers.

use api::{Money, Track, Usage, UsageBasis};
use serde::{Deserialize, Serialize};

/// What the caches did for an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cached {
    /// The answer came from the cache.
    Hit,
    /// The cache was asked and had none.
    Miss,
    /// The cache was not asked.
    #[default]
    Bypass,
}

/// Tokens of an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Tokens of the prompt, cached ones included.
    pub prompt: u64,
    /// Tokens of the prompt that the provider read from its own cache.
    #[serde(default)]
    pub cached: u64,
    /// Tokens of the answer, reasoning included.
    pub completion: u64,
    /// Whether the target counted.
    #[serde(default)]
    pub basis: UsageBasis,
}

impl From<&Usage> for Tokens {
    fn from(usage: &Usage) -> Self {
        Self {
            prompt: usage.prompt_tokens,
            cached: usage.cached_tokens(),
            completion: usage.completion_tokens,
            basis: usage.basis,
        }
    }
}

/// One exchange, as settled. Fields may be added, with a default, but never change their meaning: old books must stay
/// readable. The version of the frames around records is in each segment's header.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The request's id, which is also its decision's.
    pub id: String,
    /// When the request was admitted, in milliseconds since 1970: its cost belongs to this UTC day.
    pub at_ms: u64,
    /// The tenant's name.
    pub tenant: String,
    /// The policy that decided; `direct` for a request that named its model, empty where none was reached.
    #[serde(default)]
    pub policy: String,
    /// The way that it went; `None` where it failed before a decision.
    #[serde(default)]
    pub track: Option<Track>,
    /// The plan's reason.
    #[serde(default)]
    pub reason: String,
    /// The `model` of the request.
    #[serde(default)]
    pub requested_model: String,
    /// The model that answered, and is billed; empty where none did.
    #[serde(default)]
    pub model: String,
    /// Its provider.
    #[serde(default)]
    pub provider: String,
    /// Tokens used.
    #[serde(default)]
    pub tokens: Tokens,
    /// What it cost; zero for a cache hit.
    pub cost: Money,
    /// What the policy's reference model would have cost; equal to `cost` where there is no such model.
    #[serde(default)]
    pub reference_cost: Money,
    /// What the caches did.
    #[serde(default)]
    pub cache: Cached,
    /// The HTTP status that the client saw, or would have seen: 499 where it left before the end.
    pub status: u16,
    /// The short name of the error that ended it, in-band errors of streams included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Calls made to targets.
    #[serde(default)]
    pub attempts: u32,
    /// Milliseconds from the first byte read to the first of the answer sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<f64>,
    /// Milliseconds from the first byte read to settlement.
    #[serde(default)]
    pub whole_ms: f64,
    /// The answer went out piece by piece.
    #[serde(default)]
    pub streamed: bool,
    /// The request was not allowed to leave the host.
    #[serde(default)]
    pub private: bool,
    /// The caller's own words for reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

impl Record {
    /// Whether the exchange failed: an error was told, before or inside the answer, or the client left before its end.
    pub fn failed(&self) -> bool {
        self.status >= 400 || self.error_code.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_with_only_what_every_version_wrote_can_be_read() {
        let line = r#"{"id":"a","at_ms":5,"tenant":"t","cost":7,"status":200,"from_the_future":[1]}"#;
        let record: Record = serde_json::from_str(line).unwrap();
        assert_eq!((record.cost, record.cache), (Money::from_nanos(7), Cached::Bypass));
        assert!(!record.failed());
    }

    #[test]
    fn a_full_record_survives_the_round_trip() {
        let usage = Usage::estimated(10, 3).with_cached(4);
        let record = Record {
            id: "é\n".to_owned(),
            at_ms: u64::MAX,
            track: Some(Track::Retrieval),
            tokens: Tokens::from(&usage),
            cost: Money::MAX,
            cache: Cached::Hit,
            error_code: Some("x".to_owned()),
            first_token_ms: Some(0.1),
            tags: vec!["team-a".to_owned()],
            ..Record::default()
        };
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
        assert_eq!(
            record.tokens,
            Tokens { prompt: 10, cached: 4, completion: 3, basis: UsageBasis::Estimated }
        );
    }
}
