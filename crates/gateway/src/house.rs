//! A running gateway: the decider, the targets, the money, the counters.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::{Error, Fault, Tenant};
use arc_swap::ArcSwap;
use cache::Answers;
use dialects::Wire;
use ledger::{Book, Funds};
use models::{EndpointOptions, Hedge, HttpVersion, Upstream, UpstreamOptions, Upstreams};
use policy::{Catalogue, Dialect, Model, ModelKind, Provider, Service};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::answered;
use crate::decider::Decider;
use crate::decisions::Decisions;
use crate::exchange::ASIDES_MAX;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::reader::READER;
use crate::settings::Settings;
use crate::tasks::clerk::Clerk;

/// How a model is called.
pub(crate) enum Backend {
    /// A head: the task's name is in the model's name.
    Task,
    /// The reader that quotes.
    Extractive,
    /// A model in this process.
    Llama(local::Model),
    /// A model over HTTP, under the upstream's own name for it.
    Upstream { upstream: Upstream, id: String },
    /// It could not be loaded, for this reason.
    Missing(String),
}

/// Every model's backend.
pub(crate) type Backends = HashMap<String, Arc<Backend>>;

/// Everything of a running gateway.
pub(crate) struct House {
    pub(crate) decider: Arc<Decider>,
    /// Where every connection to a provider comes from.
    upstreams: Upstreams,
    pub(crate) backends: ArcSwap<Backends>,
    pub(crate) answers: Answers,
    /// Answers that feedback may still come for.
    pub(crate) judgeable: answered::Answers,
    pub(crate) decisions: Decisions,
    /// What happens to closed tasks is told to the clerk.
    pub(crate) clerk: Clerk,
    /// Seats for questions that no client waits for.
    pub(crate) asides: Arc<Semaphore>,
    /// Places for requests that clients wait for.
    pub(crate) admission: Arc<Admission>,
    pub(crate) book: Book,
    pub(crate) funds: Funds,
    pub(crate) metrics: Metrics,
    /// The tasks that carry streams to clients: the drain waits for them.
    pub(crate) relays: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) nobody: Arc<Tenant>,
    pub(crate) started_s: u64,
    refused_change: Mutex<Option<String>>,
}

impl House {
    /// Opens the book and the targets around a decider.
    ///
    /// # Errors
    /// In words for the operator.
    pub(crate) fn open(decider: Decider, stop: CancellationToken) -> Result<Self, String> {
        let decider = Arc::new(decider);
        let settings = &decider.settings;
        let book_folder = settings.files.state.join("book");
        let (book, recovered) = Book::open(&book_folder).map_err(|error| in_words(&error))?;
        if recovered.trimmed_bytes > 0 {
            tracing::warn!(
                bytes = recovered.trimmed_bytes,
                "a torn record at the end of the book was trimmed"
            );
        }
        for damage in &recovered.damage {
            tracing::error!(file = %damage.file.display(), offset = damage.offset, why = %damage.why, "the book is damaged");
        }
        let funds = Funds::new();
        let today = ledger::read(&book_folder, Some(now_ms() - now_ms() % 86_400_000))
            .map_err(|error| in_words(&error))?;
        funds.restore(today.filter_map(Result::ok), now_ms());
        let upstreams = Upstreams::new();
        let backends =
            open_backends(settings, decider.live.load().policies.catalogue(), &upstreams, &Backends::new());
        let admission = Admission::new(settings.limits.requests_max);
        let answers = Answers::new(settings.cache.bytes_max, settings.cache.ttl);
        let judgeable = answered::Answers::new(settings.feedback.bytes_max, settings.feedback.keep);
        let decisions = Decisions::open(&settings.files.state, settings.decisions_bytes_max)
            .map_err(|error| format!("the log of decisions cannot be opened: {error}"))?;
        let clerk = Clerk::start(&decider).map_err(|error| format!("no thread for the clerk: {error}"))?;
        Ok(Self {
            clerk,
            upstreams,
            backends: ArcSwap::from_pointee(backends),
            answers,
            judgeable,
            decisions,
            asides: Arc::new(Semaphore::new(ASIDES_MAX)),
            admission,
            book,
            funds,
            metrics: Metrics::new(),
            relays: TaskTracker::new(),
            stop,
            nobody: Arc::new(Tenant::open()),
            started_s: now_s(),
            refused_change: Mutex::new(None),
            decider,
        })
    }

    /// The backend of a model.
    ///
    /// # Errors
    /// 404 for a name that nobody has, which a plan never holds.
    pub(crate) fn backend(&self, model: &str) -> Result<Arc<Backend>, Error> {
        if model.starts_with(policy::TASK_PREFIX) {
            return Ok(Arc::new(Backend::Task));
        }
        if model == policy::EXTRACTIVE {
            return Ok(Arc::new(Backend::Extractive));
        }
        self.backends.load().get(model).cloned().ok_or_else(|| {
            Error::new(Fault::NotFound, "model_not_found", format!("There is no model `{model}`."))
        })
    }

    /// Whether a model runs in this process.
    pub(crate) fn is_in_process(&self, model: &str) -> bool {
        self.backends.load().get(model).is_some_and(|backend| matches!(**backend, Backend::Llama(_)))
    }

    /// The adapters that are to be on a model of the process: its reader, and those of tasks, by their names there.
    pub(crate) fn adapters(&self, base: &str) -> BTreeMap<String, PathBuf> {
        let mut adapters = self.decider.tasks.load().adapters(base);
        let live = self.decider.live.load();
        let model = live.policies.catalogue().get(base);
        if let Some(path) = model.and_then(|model| reader(&self.decider.settings, model)) {
            adapters.insert(READER.to_owned(), path);
        }
        adapters
    }

    /// Names everything that decides what an answer is.
    pub(crate) fn revision(&self, live: &Live) -> String {
        format!("{}/{}", live.revision, self.decider.stores.revision())
    }

    /// Reads the operator's files again and swaps them in, all or nothing.
    ///
    /// # Errors
    /// The mistakes: what ran before goes on, and `/api/config` and a gauge say so.
    pub(crate) fn reload(&self) -> Result<(), String> {
        let reloaded = Live::read(&self.decider.settings, &self.decider.encoder);
        let mut refused = self.refused_change.lock().unwrap_or_else(PoisonError::into_inner);
        match reloaded {
            Ok(live) => {
                let backends = open_backends(
                    &self.decider.settings,
                    live.policies.catalogue(),
                    &self.upstreams,
                    &self.backends.load(),
                );
                self.backends.store(Arc::new(backends));
                self.decider.live.store(Arc::new(live));
                self.metrics.reload_ok.set(1);
                *refused = None;
                Ok(())
            }
            Err(mistakes) => {
                self.metrics.reload_ok.set(0);
                *refused = Some(mistakes.clone());
                Err(mistakes)
            }
        }
    }

    /// Why the last change of the files was refused.
    pub(crate) fn refused_change(&self) -> Option<String> {
        self.refused_change.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Opens what is new and keeps what is loaded: a model in memory is not loaded twice.
fn open_backends(
    settings: &Settings,
    catalogue: &Catalogue,
    upstreams: &Upstreams,
    open: &Backends,
) -> Backends {
    let mut backends = Backends::new();
    for model in catalogue.models() {
        let backend = match open.get(&*model.name) {
            Some(backend) if matches!(**backend, Backend::Llama(_)) => Arc::clone(backend),
            before => Arc::new(open_backend(settings, model, upstreams, before.map(|backend| &**backend))),
        };
        if let Backend::Missing(why) = &*backend {
            tracing::warn!(model = %model.name, %why, "a model is not available");
        }
        backends.insert(model.name.to_string(), backend);
    }
    for service in catalogue.services() {
        let before = open.get(&*service.name).map(|backend| &**backend);
        let backend = open_service(settings, service, upstreams, before);
        if let Backend::Missing(why) = &backend {
            tracing::warn!(model = %service.name, %why, "a model is not available");
        }
        backends.insert(service.name.to_string(), Arc::new(backend));
    }
    backends
}

fn open_service(
    settings: &Settings,
    service: &Service,
    upstreams: &Upstreams,
    before: Option<&Backend>,
) -> Backend {
    match &service.provider.missing {
        Some(why) => Backend::Missing(why.clone()),
        None => open_upstream(settings, &service.provider, &service.id, upstreams, before),
    }
}

fn open_backend(
    settings: &Settings,
    model: &Model,
    upstreams: &Upstreams,
    before: Option<&Backend>,
) -> Backend {
    if let Some(why) = model.missing() {
        return Backend::Missing(why.to_owned());
    }
    match &model.kind {
        ModelKind::Task => Backend::Task,
        ModelKind::Extractive => Backend::Extractive,
        ModelKind::Llama { .. } => match load_llama(settings, model) {
            Ok(loaded) => Backend::Llama(loaded),
            Err(error) => Backend::Missing(in_words(&error)),
        },
        ModelKind::Provided { provider, id } => open_upstream(settings, provider, id, upstreams, before),
    }
}

/// Loads a model of the process, with the adapter that it reads with.
///
/// # Errors
/// It is of another kind, or its files cannot be loaded.
pub(crate) fn load_llama(settings: &Settings, model: &Model) -> Result<local::Model, Error> {
    let options = llama_options(settings, model)
        .ok_or_else(|| Error::internal("only a model of the kind `llama` runs in this process"))?;
    let loaded = local::Model::load(&options)?;
    if let Some(path) = reader(settings, model) {
        loaded.load_adapter(READER, &path)?;
    }
    Ok(loaded)
}

/// The file of the adapter that a model of the process reads passages with.
fn reader(settings: &Settings, model: &Model) -> Option<PathBuf> {
    match &model.kind {
        ModelKind::Llama { reader, .. } => reader.as_ref().map(|path| settings.beside_models(path)),
        _ => None,
    }
}

/// How a model of the process is loaded; `None` for any other.
pub(crate) fn llama_options(settings: &Settings, model: &Model) -> Option<local::Options> {
    let ModelKind::Llama { path, contexts, queue_max, temperature, top_p, .. } = &model.kind else {
        return None;
    };
    Some(local::Options {
        path: settings.beside_models(path),
        contexts: *contexts,
        context_tokens: u32::try_from(model.context_tokens).unwrap_or(u32::MAX),
        queue_max: *queue_max,
        output_tokens_max: model.output_tokens_max,
        temperature: *temperature,
        top_p: *top_p,
    })
}

fn open_upstream(
    settings: &Settings,
    provider: &Provider,
    id: &str,
    upstreams: &Upstreams,
    before: Option<&Backend>,
) -> Backend {
    let Some(base_url) = &provider.base_url else {
        return Backend::Missing(format!("set the base_url of provider.{}", provider.name));
    };
    let options = upstream_options(settings, provider, base_url);
    // What is known of its health, and its connections, outlive a reload.
    let opened = match before {
        Some(Backend::Upstream { upstream, .. }) => upstream.renewed(upstreams, options),
        _ => Upstream::new(upstreams, options),
    };
    match opened {
        Ok(upstream) => Backend::Upstream { upstream, id: id.to_owned() },
        Err(error) => Backend::Missing(in_words(&error)),
    }
}

/// The provider as the operator describes it; what the file leaves open keeps the defaults of `models`.
fn upstream_options(settings: &Settings, provider: &Provider, base_url: &str) -> UpstreamOptions {
    let defaults = UpstreamOptions::new(&*provider.name, base_url);
    UpstreamOptions {
        wire: match provider.dialect {
            Dialect::OpenAi => Wire::Chat,
            Dialect::OpenAiResponses => Wire::Responses,
            Dialect::Azure => Wire::Azure,
            Dialect::Anthropic => Wire::Messages,
            Dialect::Gemini => Wire::Gemini,
        },
        api_version: provider.api_version.clone().unwrap_or(defaults.api_version),
        endpoints: provider
            .endpoints
            .iter()
            .map(|endpoint| EndpointOptions {
                base_url: endpoint.base_url.clone(),
                key: endpoint.api_key.clone(),
                headers: provider
                    .headers
                    .iter()
                    .map(|(name, value)| (name.clone(), value.expose().to_owned()))
                    .collect(),
            })
            .collect(),
        hedge: provider.hedge.map(|hedge| Hedge { quantile: hedge.quantile, share_max: hedge.share_max }),
        key: provider.api_key.clone(),
        headers: provider
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.expose().to_owned()))
            .collect(),
        allow_private_addresses: provider.allow_private_addresses,
        ca_file: provider.ca_file.as_ref().map(|path| settings.beside_models(path)),
        http_version: match provider.http_version {
            policy::HttpVersion::Auto => HttpVersion::Auto,
            policy::HttpVersion::Http1 => HttpVersion::Http1,
            policy::HttpVersion::Http2 => HttpVersion::Http2,
        },
        connect_timeout: provider.connect_timeout.unwrap_or(defaults.connect_timeout),
        first_byte_timeout: provider.first_byte_timeout.unwrap_or(defaults.first_byte_timeout),
        idle_timeout: provider.idle_timeout.unwrap_or(defaults.idle_timeout),
        concurrency_max: provider.concurrency_max.unwrap_or(defaults.concurrency_max),
        retries_max: provider.retries_max.unwrap_or(defaults.retries_max),
        ..defaults
    }
}

/// An error for the operator's eyes: with the detail that callers do not see.
pub(crate) fn in_words(error: &Error) -> String {
    match &error.detail {
        Some(detail) => format!("{} ({detail})", error.message),
        None => error.message.clone(),
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    now_ms() / 1000
}
