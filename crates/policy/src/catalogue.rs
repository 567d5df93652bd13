//! Who can answer, at what price: the providers, models and aliases of `models.toml`, checked.
//!
//! Owns what a model costs, how much it takes in, what it can do and the operator's prior of how well and how fast it
//! answers. Refuses to call anybody, and to show a secret.

mod read;

use std::collections::BTreeMap;

use std::sync::Arc;
use std::time::Duration;

use api::{Kind, Prices, Secret, Track};

use crate::file::{Env, Mistakes};

/// The reader that quotes the best sentences of the passages: always there, never listed.
pub const EXTRACTIVE: &str = "extractive";
/// Stands in a target list for the trained task that the request belongs to.
pub const ANY_TASK: &str = "task";
/// The provider of what runs in this process.
const IN_PROCESS: &str = "pointsman";
/// What the names of trained tasks begin with.
pub const TASK_PREFIX: &str = "task/";

/// Which version of HTTP a provider is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// What both sides prefer.
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only.
    Http2,
}

/// What a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's chat completions.
    OpenAi,
    /// OpenAI's Responses.
    OpenAiResponses,
    /// OpenAI's chat completions below Azure's paths.
    Azure,
    /// Anthropic's messages.
    Anthropic,
    /// Google's Gemini.
    Gemini,
}

/// How a server is asked to continue an answer that was begun elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continues {
    /// It continues a trailing message of the assistant (Anthropic's older models).
    Prefill,
    /// The message says `prefix: true` (Mistral, DeepSeek).
    Prefix,
    /// The request says `continue_final_message: true` (vLLM).
    FinalMessage,
}

/// One more place that serves a provider's models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// As [`Provider::base_url`].
    pub base_url: String,
    /// As [`Provider::api_key`].
    pub api_key: Option<Secret>,
}

/// When a call that is slow to begin gets a second attempt beside the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hedge {
    /// Of the times to the first byte, from 0.5 to 0.999.
    pub quantile: f64,
    /// Of all calls, from 0.001 to 0.5.
    pub share_max: f64,
}

/// A server that models are asked at. A limit that is `None` is left to the caller's defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// The operator's name for it.
    pub name: Arc<str>,
    /// What it speaks.
    pub dialect: Dialect,
    /// Azure's `api-version`.
    pub api_version: Option<String>,
    /// Further places that serve the same models; calls are spread over the first and these.
    pub endpoints: Vec<Endpoint>,
    /// Second attempts at slow calls.
    pub hedge: Option<Hedge>,
    /// How it continues an answer that was begun elsewhere; `None` where it cannot.
    pub continues: Option<Continues>,
    /// Scheme, host and the path before the dialect's own; `None` while the variable that holds it is unset.
    pub base_url: Option<String>,
    /// Sent in the header that the dialect has for it.
    pub api_key: Option<Secret>,
    /// Sent with every request.
    pub headers: Vec<(String, Secret)>,
    /// Loopback and private addresses, and plain `http://`, are allowed.
    pub allow_private_addresses: bool,
    /// PEM certificates to trust besides the system's: a path as the operator wrote it.
    pub ca_file: Option<String>,
    /// The version of HTTP.
    pub http_version: HttpVersion,
    /// For name look-up, TCP and TLS together.
    pub connect_timeout: Option<Duration>,
    /// To the first event of a stream.
    pub first_byte_timeout: Option<Duration>,
    /// Silence inside a stream.
    pub idle_timeout: Option<Duration>,
    /// Answers under way at once.
    pub concurrency_max: Option<u32>,
    /// Retries of one call.
    pub retries_max: Option<u32>,
    /// What to set before it can be used: `set OPENAI_API_KEY`.
    pub missing: Option<String>,
}

/// What a model does that gives no answer in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Vectors of texts.
    Embeddings,
    /// The relevance of texts to a question.
    Rerank,
}

impl Duty {
    /// Its name in `models.toml`, and that of its endpoint.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embeddings => "embeddings",
            Self::Rerank => "rerank",
        }
    }
}

/// A model behind a provider that gives vectors or ranks. No policy can plan with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// The operator's name for it.
    pub name: Arc<str>,
    /// What it does.
    pub duty: Duty,
    /// Where it is.
    pub provider: Arc<Provider>,
    /// The provider's name for it.
    pub id: String,
    /// On this side of the fence, or behind an API. Never [`Track::Retrieval`].
    pub track: Track,
    /// What it charges.
    pub prices: Prices,
}

/// How a model is reached.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelKind {
    /// Through a provider.
    Provided {
        /// The provider.
        provider: Arc<Provider>,
        /// The provider's name for the model.
        id: String,
    },
    /// A GGUF file in this process.
    Llama {
        /// The file, as the operator wrote it.
        path: String,
        /// Answers computed at once.
        contexts: usize,
        /// Requests that may wait for a context.
        queue_max: usize,
        /// Where a request names no temperature.
        temperature: f32,
        /// Where a request names no `top_p`.
        top_p: f32,
        /// The file of an adapter that reads answers out of passages, as the operator wrote it.
        reader: Option<String>,
    },
    /// The model of a closed task.
    Task,
    /// The built-in reader that quotes sentences.
    Extractive,
}

/// What a model can do besides plain text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Supports {
    /// Calling tools.
    pub tools: bool,
    /// Seeing images.
    pub images: bool,
    /// Hearing sounds and reading files.
    pub audio: bool,
    /// Answering in JSON where `response_format` asks for it.
    pub json: bool,
    /// Log-probabilities.
    pub logprobs: bool,
}

/// The operator's priors of how good an answer is, as probabilities.
#[derive(Clone, Debug, PartialEq)]
pub struct Priors {
    /// By the kind's place in [`Kind::ALL`].
    by_kind: [f32; Kind::ALL.len()],
    /// For an answer that rests on retrieved passages, where it differs.
    grounded: Option<f32>,
}

impl Priors {
    /// The same prior for every kind.
    pub fn flat(quality: f32) -> Self {
        Self { by_kind: [quality; Kind::ALL.len()], grounded: None }
    }

    /// The prior for a request of this kind.
    pub fn of(&self, kind: Kind, grounded: bool) -> f32 {
        let plain = self.by_kind[kind as usize];
        if grounded { self.grounded.unwrap_or(plain) } else { plain }
    }
}

/// The operator's priors of how long an answer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencyPrior {
    /// To the first token of a short prompt.
    pub first_token: Duration,
    /// Each token of the answer.
    pub per_token: Duration,
    /// Each token of the prompt, before the first token of the answer.
    pub prompt_token: Duration,
}

/// A model that can answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The operator's name for it.
    pub name: Arc<str>,
    /// How it is reached.
    pub kind: ModelKind,
    /// On this host, or behind an API. Never [`Track::Retrieval`].
    pub track: Track,
    /// What it charges.
    pub prices: Prices,
    /// Tokens of prompt and answer together.
    pub context_tokens: u64,
    /// Tokens of the longest answer.
    pub output_tokens_max: u64,
    /// What it can do besides plain text.
    pub supports: Supports,
    /// How good its answers are, before anything is known.
    pub quality: Priors,
    /// How fast its answers come, before anything is observed.
    pub latency: LatencyPrior,
}

impl Model {
    /// What the operator has to set before this model can be called, `None` where nothing is missing.
    pub fn missing(&self) -> Option<&str> {
        match &self.kind {
            ModelKind::Provided { provider, .. } => provider.missing.as_deref(),
            ModelKind::Llama { .. } | ModelKind::Task | ModelKind::Extractive => None,
        }
    }

    /// The provider's name, `pointsman` for what runs in this process: what `x-pointsman-provider` shows.
    pub fn provider(&self) -> &str {
        match &self.kind {
            ModelKind::Provided { provider, .. } => &provider.name,
            ModelKind::Llama { .. } | ModelKind::Task | ModelKind::Extractive => IN_PROCESS,
        }
    }

    /// Whether it exists without an entry in the file.
    pub(crate) fn is_built_in(&self) -> bool {
        matches!(self.kind, ModelKind::Task | ModelKind::Extractive)
    }

    /// This model under the name of a trained task.
    pub(crate) fn as_task(&self, name: &str) -> Self {
        Self { name: Arc::from(format!("{TASK_PREFIX}{name}")), ..self.clone() }
    }
}

/// Everybody who can answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue {
    providers: Vec<Arc<Provider>>,
    models: Vec<Arc<Model>>,
    services: Vec<Arc<Service>>,
    aliases: BTreeMap<String, Arc<Model>>,
    task: Arc<Model>,
    extractive: Arc<Model>,
}

impl Catalogue {
    /// Reads a `models.toml`; `env` looks up environment variables.
    ///
    /// # Errors
    /// Every mistake of the file. An unset variable is none: its models are there, and say what to set.
    pub fn parse(file: &str, text: &str, env: &Env<'_>) -> Result<Self, Mistakes> {
        read::catalogue(file, text, env)
    }

    /// The providers, in the file's order.
    pub fn providers(&self) -> &[Arc<Provider>] {
        &self.providers
    }

    /// The models of the file, in its order: without the built-in ones.
    pub fn models(&self) -> &[Arc<Model>] {
        &self.models
    }

    /// The models of the file that give vectors or ranks, in its order.
    pub fn services(&self) -> &[Arc<Service>] {
        &self.services
    }

    /// The model of this name that gives vectors or ranks.
    pub fn service(&self, name: &str) -> Option<&Arc<Service>> {
        self.services.iter().find(|service| &*service.name == name)
    }

    /// The prices of whatever has this name; what is in no file costs nothing.
    pub fn prices(&self, name: &str) -> Prices {
        let service = || Some(self.service(name)?.prices);
        self.get(name).map(|model| model.prices).or_else(service).unwrap_or_default()
    }

    /// Whether whatever has this name is behind an API of others.
    pub fn is_external(&self, name: &str) -> bool {
        let service = || Some(self.service(name)?.track);
        self.get(name).map(|model| model.track).or_else(service) == Some(Track::External)
    }

    /// The name of the provider of whatever has this name, `pointsman` for what runs in this process.
    pub fn provider_of(&self, name: &str) -> &str {
        let service = || Some(&*self.service(name)?.provider.name);
        self.get(name).map(|model| model.provider()).or_else(service).unwrap_or(IN_PROCESS)
    }

    /// The other names of models.
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &Model)> {
        self.aliases.iter().map(|(name, model)| (name.as_str(), &**model))
    }

    /// The model of this name or alias. [`EXTRACTIVE`] names the built-in reader, and every name that begins with
    /// [`TASK_PREFIX`] gives what all tasks have in common: their own names and certificates are not known here.
    pub fn get(&self, name: &str) -> Option<&Arc<Model>> {
        match name {
            EXTRACTIVE => Some(&self.extractive),
            _ if name.starts_with(TASK_PREFIX) => Some(&self.task),
            _ => self.models.iter().find(|model| &*model.name == name).or_else(|| self.aliases.get(name)),
        }
    }

    /// What all trained tasks have in common.
    pub(crate) fn task(&self) -> &Arc<Model> {
        &self.task
    }

    /// Every name that a request may give for a model of the file.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.models.iter().map(|model| &*model.name).chain(self.aliases.keys().map(String::as_str))
    }
}

#[cfg(test)]
mod tests;
