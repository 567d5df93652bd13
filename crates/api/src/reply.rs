//! A reply: whole, or chunk by chunk, in OpenAI's chat dialect with unknown fields kept.

use std::pin::Pin;

use futures_core::Stream;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Error;

/// Where the numbers of a usage come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageBasis {
    /// The target counted.
    #[default]
    Exact,
    /// The target gave none, so the gateway estimated.
    Estimated,
}

/// Tokens of one exchange.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// Tokens of the answer, reasoning included.
    #[serde(default)]
    pub completion_tokens: u64,
    /// Both together.
    #[serde(default)]
    pub total_tokens: u64,
    /// The provider's details (`prompt_tokens_details` and whatever else it sends), kept as they came.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
    /// Whether the target counted.
    #[serde(skip)]
    pub basis: UsageBasis,
}

impl Usage {
    /// A usage that the target counted.
    pub fn exact(prompt_tokens: u64, completion_tokens: u64) -> Self {
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens.saturating_add(completion_tokens),
            ..Self::default()
        }
    }

    /// A usage that the gateway estimated.
    pub fn estimated(prompt_tokens: u64, completion_tokens: u64) -> Self {
        Self { basis: UsageBasis::Estimated, ..Self::exact(prompt_tokens, completion_tokens) }
    }

    /// Prompt tokens that the provider read from its own cache.
    pub fn cached_tokens(&self) -> u64 {
        let details = self.extra.get("prompt_tokens_details");
        details.and_then(|details| details.get("cached_tokens")).and_then(Value::as_u64).unwrap_or(0)
    }

    /// The same with `cached` prompt tokens read from the provider's cache.
    #[must_use]
    pub fn with_cached(mut self, cached: u64) -> Self {
        self.extra.insert("prompt_tokens_details".to_owned(), serde_json::json!({ "cached_tokens": cached }));
        self
    }
}

/// What one chunk adds to one answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    /// On the first chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// More text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Tool calls, refusals, reasoning and whatever else the target sends, kept as they came.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One answer's part of a chunk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChoiceDelta {
    /// Which of the `n` answers.
    #[serde(default)]
    pub index: u32,
    /// What is added.
    #[serde(default)]
    pub delta: Delta,
    /// `stop`, `length`, `tool_calls`, `content_filter`, on the answer's last chunk.
    pub finish_reason: Option<String>,
    /// Log-probabilities and whatever else the target sends.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One event of a streamed answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// The answer's id.
    #[serde(default)]
    pub id: String,
    /// Always `chat.completion.chunk`.
    #[serde(default)]
    pub object: String,
    /// Seconds since 1970.
    #[serde(default)]
    pub created: u64,
    /// The model that answers.
    #[serde(default)]
    pub model: String,
    /// What is added; empty on a usage chunk.
    #[serde(default)]
    pub choices: Vec<ChoiceDelta>,
    /// On the last chunk, where the target gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Whatever else the target sends.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Where answers keep what chat has no words for, as LiteLLM's clients know it.
pub const PROVIDER_FIELDS: &str = "provider_specific_fields";

impl Chunk {
    /// Whether anything of an answer, or of its end, is in it: a first chunk often only says who speaks, or what only another
    /// dialect has words for.
    pub fn says_something(&self) -> bool {
        let empty = |value: &Value| match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
        };
        let speaks = |choice: &ChoiceDelta| {
            choice.finish_reason.is_some()
                || choice.delta.content.as_ref().is_some_and(|text| !text.is_empty())
                || choice.delta.extra.iter().any(|(key, value)| key != PROVIDER_FIELDS && !empty(value))
        };
        self.usage.is_some() || self.choices.iter().any(speaks)
    }

    /// A chunk that adds `text` to the only answer.
    pub fn text(id: &str, created: u64, model: &str, text: impl Into<String>) -> Self {
        Self::one(id, created, model, Delta { content: Some(text.into()), ..Delta::default() }, None)
    }

    /// The chunk that opens an answer.
    pub fn opening(id: &str, created: u64, model: &str) -> Self {
        let delta =
            Delta { role: Some("assistant".into()), content: Some(String::new()), ..Delta::default() };
        Self::one(id, created, model, delta, None)
    }

    /// The chunk that ends the only answer.
    pub fn ending(id: &str, created: u64, model: &str, finish_reason: &str) -> Self {
        Self::one(id, created, model, Delta::default(), Some(finish_reason.to_owned()))
    }

    /// The chunk that carries only the usage.
    pub fn of_usage(id: &str, created: u64, model: &str, usage: Usage) -> Self {
        Self {
            choices: Vec::new(),
            usage: Some(usage),
            ..Self::one(id, created, model, Delta::default(), None)
        }
    }

    fn one(id: &str, created: u64, model: &str, delta: Delta, finish_reason: Option<String>) -> Self {
        Self {
            id: id.to_owned(),
            object: "chat.completion.chunk".to_owned(),
            created,
            model: model.to_owned(),
            choices: vec![ChoiceDelta { index: 0, delta, finish_reason, extra: Map::new() }],
            usage: None,
            extra: Map::new(),
        }
    }
}

/// The message of a whole answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReplyMessage {
    /// Always `assistant`.
    #[serde(default)]
    pub role: String,
    /// The text; null where the answer only calls tools.
    pub content: Option<String>,
    /// Tool calls, annotations, refusals and whatever else the target sends.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One of the answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Which of the `n` answers.
    #[serde(default)]
    pub index: u32,
    /// The answer.
    pub message: ReplyMessage,
    /// Why it ended.
    pub finish_reason: Option<String>,
    /// Log-probabilities and whatever else the target sends.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A whole reply.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// The answer's id.
    #[serde(default)]
    pub id: String,
    /// Always `chat.completion`.
    #[serde(default)]
    pub object: String,
    /// Seconds since 1970.
    #[serde(default)]
    pub created: u64,
    /// The model that answered.
    #[serde(default)]
    pub model: String,
    /// The answers.
    pub choices: Vec<Choice>,
    /// Tokens used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Whatever else the target sends.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A stream of chunks; it ends with `None` only after a whole answer, otherwise its last item is an error. Dropping it
/// cancels the work behind it.
pub type Chunks = Pin<Box<dyn Stream<Item = Result<Chunk, Error>> + Send>>;

/// What a target gives back.
pub enum Reply {
    /// All at once.
    Whole(Box<Completion>),
    /// Piece by piece.
    Stream(Chunks),
}
