//! Everything that a decision needs and a running server is not part of: `pointsman explain` and `/v1/route` decide
//! exactly as a request does.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use api::{
    ChatRequest, Embed, Error, Findings, Plan, Prices, Signal, SignalSet, Signals, Tenant, Usage, Vector,
};
use arc_swap::{ArcSwap, ArcSwapOption};
use classify::{Classifier, Encoder, EncoderOptions, View};
use knowledge::{Corpus, Index, Opened, SearchOptions};
use ledger::Keys;
use policy::{Catalogue, Conditions, Facts, Policies, Route};

use crate::Failure;
use crate::house::in_words;
use crate::latencies::Latencies;
use crate::settings::Settings;
use crate::tasks::Tasks;
use crate::training;
use crate::wishes::Wishes;

/// What every plan is priced by, and cheap to tell.
const ALWAYS: SignalSet = SignalSet::NONE.with(Signal::TokensIn);
/// The length of an answer to a request that names its model and no limit: what kind of request it is, which would tell
/// better, is not worth measuring for an estimate that chooses nothing.
const ANSWER_TOKENS: u64 = 256;

/// What is reloaded together, so that no request sees half of a change.
pub(crate) struct Live {
    pub(crate) policies: Policies,
    pub(crate) classifier: Classifier,
    pub(crate) keys: Keys,
    /// Names what is live: the hash of all configuration files.
    pub(crate) revision: String,
    /// Why a model of the catalogue cannot be called, by its name, and what to set.
    pub(crate) missing: HashMap<String, String>,
}

/// Signals, index, tasks and policy.
pub(crate) struct Decider {
    pub(crate) settings: Settings,
    pub(crate) live: ArcSwap<Live>,
    pub(crate) encoder: Arc<Encoder>,
    pub(crate) index: ArcSwapOption<Index>,
    pub(crate) tasks: ArcSwap<Tasks>,
    pub(crate) latencies: Latencies,
    /// Why the index should be built anew, until somebody does.
    rebuild: Mutex<Option<String>>,
}

/// What one decision rests on.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) live: &'a Live,
    pub(crate) request: &'a ChatRequest,
    pub(crate) wishes: &'a Wishes,
    pub(crate) tenant: &'a Tenant,
    pub(crate) signals: &'a Signals,
    /// What the tenant may still spend.
    pub(crate) funds_remaining: Option<api::Money>,
}

/// What has been measured about a request.
#[derive(Debug, Default)]
pub(crate) struct Insight {
    pub(crate) signals: Signals,
    /// The vector of what the user asks, where somebody needed it.
    pub(crate) vector: Option<Vector>,
    /// The passages, where the policy asked for coverage.
    pub(crate) findings: Option<Findings>,
}

impl Live {
    /// Reads the operator's files.
    ///
    /// # Errors
    /// Every mistake of every file, one a line.
    pub(crate) fn read(settings: &Settings, encoder: &Encoder) -> Result<Self, String> {
        let files = Files::read(settings)?;
        let policies = files.check(settings)?;
        let classifier = training::classifier(&settings.files.exemplars, &settings.files.state, encoder)
            .map_err(|mistakes| mistakes.join("\n"))?;
        let pairs = settings.tenants.iter().map(|tenant| (tenant.key.as_str(), Arc::clone(&tenant.tenant)));
        let keys = if settings.tenants.is_empty() {
            Keys::open()
        } else {
            Keys::new(pairs).map_err(|error| error.message)?
        };
        let missing = missing(settings, policies.catalogue());
        Ok(Self { policies, classifier, keys, revision: files.revision(settings), missing })
    }

    /// The prices of a model; what is not in the catalogue (heads, the extractive reader) costs nothing.
    pub(crate) fn prices(&self, model: &str) -> Prices {
        self.policies.catalogue().get(model).map(|model| model.prices).unwrap_or_default()
    }

    /// The name of the provider of a model.
    pub(crate) fn provider_of(&self, model: &str) -> &str {
        self.policies.catalogue().get(model).map_or("pointsman", |model| model.provider())
    }

    /// What a usage would cost on the policy's reference model.
    pub(crate) fn reference_cost(&self, policy: &str, usage: &Usage) -> Option<api::Money> {
        let policy = self.policies.get(policy).unwrap_or_else(|| self.policies.default_policy());
        policy.reference_model().map(|model| model.prices.cost(usage))
    }
}

/// The texts of the operator's files.
pub(crate) struct Files {
    models: String,
    policy: String,
}

impl Files {
    /// Reads the files.
    ///
    /// # Errors
    /// The files that cannot be read, one a line, with the key that names them.
    pub(crate) fn read(settings: &Settings) -> Result<Self, String> {
        let read = |path: &std::path::Path, key: &str| {
            fs::read_to_string(path).map_err(|error| {
                format!(
                    "{}: cannot be read ({error}); `files.{key}` of {} names it",
                    path.display(),
                    settings.file.display()
                )
            })
        };
        match (read(&settings.files.models, "models"), read(&settings.files.policy, "policy")) {
            (Ok(models), Ok(policy)) => Ok(Self { models, policy }),
            (models, policy) => {
                let wrong: Vec<String> = [models.err(), policy.err()].into_iter().flatten().collect();
                Err(wrong.join("\n"))
            }
        }
    }

    /// Checks the files against each other.
    ///
    /// # Errors
    /// Every mistake, one a line.
    pub(crate) fn check(&self, settings: &Settings) -> Result<Policies, String> {
        let env = |name: &str| std::env::var(name).ok();
        let label = |path: &std::path::Path| path.display().to_string();
        let catalogue = Catalogue::parse(&label(&settings.files.models), &self.models, &env);
        let catalogue = catalogue.map_err(|mistakes| mistakes.to_string())?;
        let policies = Policies::parse(&label(&settings.files.policy), &self.policy, &catalogue);
        let policies = policies.map_err(|mistakes| mistakes.to_string())?;
        let unknown: Vec<String> =
            settings.tenants.iter().filter_map(|tenant| tenant.unknown_policy(&policies)).collect();
        if unknown.is_empty() { Ok(policies) } else { Err(unknown.join("\n")) }
    }

    fn revision(&self, settings: &Settings) -> String {
        let mut hasher = blake3::Hasher::new();
        let gateway = fs::read(&settings.file).unwrap_or_default();
        for part in [&gateway, self.models.as_bytes(), self.policy.as_bytes()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize().to_hex()[..16].to_owned()
    }
}

/// Models that cannot be called as things are, and what to do about it.
fn missing(settings: &Settings, catalogue: &Catalogue) -> HashMap<String, String> {
    let mut missing = HashMap::new();
    for model in catalogue.models() {
        let why = match &model.kind {
            policy::ModelKind::Llama { path, .. } => {
                let path = settings.beside_models(path);
                (!path.is_file()).then(|| format!("there is no file {}; run `make models`", path.display()))
            }
            _ => model.missing().map(str::to_owned),
        };
        if let Some(why) = why {
            missing.insert(model.name.to_string(), why);
        }
    }
    missing
}

impl Decider {
    /// Loads everything.
    ///
    /// # Errors
    /// In words for the operator: a file is wrong or missing.
    pub(crate) fn load(settings: Settings) -> Result<Self, Failure> {
        // The files first: a typo should be told at once, not after the model is loaded.
        Files::read(&settings).and_then(|files| files.check(&settings)).map_err(Failure::Wrong)?;
        let encoder = load_encoder(&settings).map_err(Failure::Unavailable)?;
        let live = Live::read(&settings, &encoder).map_err(Failure::Wrong)?;
        let (tasks, problems) = Tasks::load(&settings.files.state, encoder.fingerprint());
        for problem in problems {
            tracing::warn!(%problem, "a trained task is left out");
        }
        let (index, rebuild) = open_index(&settings, &encoder).map_err(Failure::Unavailable)?;
        Ok(Self {
            settings,
            live: ArcSwap::from_pointee(live),
            encoder: Arc::new(encoder),
            index: ArcSwapOption::from(index.map(Arc::new)),
            tasks: ArcSwap::from_pointee(tasks),
            latencies: Latencies::default(),
            rebuild: Mutex::new(rebuild),
        })
    }

    /// Measures the signals that the request's policy reads, and nothing else. The encoder and the index work on a
    /// blocking thread; a request that needs neither stays on this one.
    ///
    /// # Errors
    /// 404 for a model that does not exist; the encoder or the index failed.
    pub(crate) async fn measure(
        self: &Arc<Self>,
        live: &Arc<Live>,
        request: &ChatRequest,
        wishes: &Wishes,
        tenant: &Tenant,
    ) -> Result<Insight, Error> {
        let route = live.policies.resolve(&request.model, tenant, wishes.policy.as_deref())?;
        let wanted = route.reads();
        let view = View::from(request);
        let named = !matches!(route, Route::Policy(_));
        let always = if named { ALWAYS } else { ALWAYS.with(Signal::TokensOut) };
        let signals = live.classifier.signals(&view, wanted.union(always), None);
        let mut insight = Insight { signals, ..Insight::default() };
        if named {
            insight.signals.tokens_out = request.sampling.max_tokens.unwrap_or(ANSWER_TOKENS);
            return Ok(insight);
        }
        let task = self.tasks.load().recognize(wishes.task.as_deref(), &insight.signals.contract)?;
        let index = self.index.load_full().filter(|_| wanted.has(Signal::Coverage));
        let for_signals = live.classifier.needs_vector(wanted);
        if task.is_none() && index.is_none() && !for_signals {
            return Ok(insight);
        }
        let (decider, live) = (Arc::clone(self), Arc::clone(live));
        let question = request.last_user_text();
        let work = move || -> Result<Insight, Error> {
            let of_request = view.encoder_text();
            let vector = decider.vector(&question)?;
            if for_signals {
                // Without instructions and earlier turns the request is its question: one vector serves both.
                let of_request =
                    if of_request == question { vector.clone() } else { decider.vector(&of_request)? };
                insight.signals = live.classifier.signals(&view, wanted.union(always), Some(&of_request));
            }
            let findings =
                index.map(|index| index.search(&question, Some(&vector), &SearchOptions::default()));
            insight.findings = findings.transpose()?;
            insight.signals.coverage = insight.findings.as_ref().map_or(0.0, |findings| findings.coverage);
            insight.signals.task = task.map(|task| task.matched(&vector));
            insight.vector = Some(vector);
            Ok(insight)
        };
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
    }

    /// The vector of a text. Blocks.
    pub(crate) fn vector(&self, text: &str) -> Result<Vector, Error> {
        Ok(self.encoder.embed(&[text])?.pop().unwrap_or_default())
    }

    /// The plan for a request whose signals are known.
    ///
    /// # Errors
    /// Nothing may or can serve it; the message says why and what to do.
    pub(crate) fn plan(&self, case: &Case<'_>) -> Result<Plan, Error> {
        self.judge(case, |route, facts, conditions| route.decide(facts, case.signals, conditions))?
    }

    /// The smallest change of one signal that would have led elsewhere, in words.
    pub(crate) fn nearest_change(&self, case: &Case<'_>) -> Option<String> {
        let change = self.judge(case, |route, facts, conditions| match route {
            Route::Policy(policy) => policy.nearest_change(facts, case.signals, conditions),
            Route::Direct { .. } | Route::Task { .. } => None,
        });
        change.ok().flatten().map(|change| change.to_string())
    }

    fn judge<T>(
        &self,
        case: &Case<'_>,
        judgement: impl FnOnce(Route<'_>, &Facts<'_>, &Conditions<'_>) -> T,
    ) -> Result<T, Error> {
        let Case { live, request, wishes, tenant, signals, funds_remaining } = *case;
        let facts = Facts {
            requested_model: &request.model,
            stream: request.stream,
            tools: request.tools,
            images: signals.modality.images,
            audio: signals.modality.audio,
            logprobs: request.sampling.logprobs,
            contract: &signals.contract,
            messages: request.messages.len(),
            tenant,
            tags: &wishes.tags,
            task_header: wishes.task.as_deref(),
            latency_budget: wishes.latency_budget,
            cost_budget: wishes.cost_budget,
            private: wishes.private || tenant.private,
            max_tokens: request.sampling.max_tokens,
            n: request.sampling.n,
        };
        let tasks = self.tasks.load();
        let conditions = Conditions {
            available: &|model| self.available(live, model),
            observed: &|model| self.observed(model),
            quality: &|model| tasks.quality(model),
            index_ready: self.index.load().is_some(),
            funds_remaining,
        };
        let route = live.policies.resolve(&request.model, tenant, wishes.policy.as_deref())?;
        if let Route::Task { name, .. } = route {
            tasks.get(name)?;
        }
        Ok(judgement(route, &facts, &conditions))
    }

    /// Takes up an index or a task that another process has put in place.
    pub(crate) fn refresh(&self) {
        let (tasks, problems) = Tasks::load(&self.settings.files.state, self.encoder.fingerprint());
        for problem in problems {
            tracing::warn!(%problem, "a trained task is left out");
        }
        self.tasks.store(Arc::new(tasks));
        match open_index(&self.settings, &self.encoder) {
            // Where there is none, what serves goes on: the files of an open index stay readable when they are moved.
            Ok((index, rebuild)) => {
                if let Some(index) = index {
                    self.index.store(Some(Arc::new(index)));
                }
                *self.rebuild.lock().unwrap_or_else(PoisonError::into_inner) = rebuild;
            }
            Err(error) => tracing::error!(%error, "the index could not be opened again"),
        }
    }

    /// Builds the index anew from the configured corpus if it was damaged or does not fit. Blocks for as long as the
    /// encoder needs; the last sound one serves meanwhile.
    pub(crate) fn mend_index(&self) {
        let Some(why) = self.rebuild.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        if self.settings.index.corpus.is_empty() {
            tracing::error!(%why, "the index has to be built anew: run `pointsman index build` with its folders");
            return;
        }
        tracing::warn!(%why, "the index is built anew from `index.corpus`");
        let corpus = Corpus::new(self.settings.index.corpus.clone());
        match knowledge::build(&corpus, &self.settings.index.path, &*self.encoder, &|_| {}) {
            Ok(report) => {
                tracing::info!(passages = report.passages, "the index was built anew");
                self.refresh();
            }
            Err(error) => tracing::error!(%error, "the index could not be built anew"),
        }
    }

    fn available(&self, live: &Live, model: &str) -> Result<(), String> {
        if let Some(name) = model.strip_prefix(policy::TASK_PREFIX) {
            return self.tasks.load().get(name).map(|_| ()).map_err(|error| error.message);
        }
        live.missing.get(model).map_or(Ok(()), |why| Err(why.clone()))
    }

    fn observed(&self, model: &str) -> Option<policy::Latency> {
        let (first_token, per_token) = self.latencies.quantile(model, 0.5)?;
        Some(policy::Latency { first_token, per_token })
    }

    /// Everything that a request may name, with its owner.
    pub(crate) fn models(&self, live: &Live) -> Vec<(String, String)> {
        let ours = |name: &str| (name.to_owned(), "pointsman".to_owned());
        let mut all: Vec<(String, String)> = vec![ours(policy::AUTO)];
        all.extend(
            live.policies
                .all()
                .iter()
                .map(|policy| ours(policy.name()))
                .filter(|(name, _)| name != policy::AUTO),
        );
        all.extend(
            live.policies
                .catalogue()
                .models()
                .iter()
                .map(|model| (model.name.to_string(), model.provider().to_owned())),
        );
        all.extend(
            live.policies
                .catalogue()
                .aliases()
                .map(|(alias, model)| (alias.to_owned(), model.provider().to_owned())),
        );
        all.extend(self.tasks.load().iter().map(|task| ours(&format!("task/{}", task.name))));
        all.push(ours(&self.settings.encoder.name));
        all
    }
}

/// Loads the sentence encoder.
///
/// # Errors
/// In one sentence: what is missing or wrong, and what to do.
pub(crate) fn load_encoder(settings: &Settings) -> Result<Encoder, String> {
    let options = EncoderOptions {
        model_dir: settings.encoder.model.clone(),
        hub: settings.encoder.hub,
        runtime: settings.encoder.runtime.clone(),
        sessions: settings.encoder.sessions,
    };
    Encoder::load(&options).map_err(|error| in_words(&error))
}

/// Opens the newest sound index that fits the encoder; the second value says why it should be built anew.
///
/// # Errors
/// The folder cannot be read.
pub(crate) fn open_index(
    settings: &Settings,
    encoder: &Encoder,
) -> Result<(Option<Index>, Option<String>), String> {
    let damaged = |set_aside: &std::path::Path, why: &str| {
        format!("the index was damaged ({why}) and set aside as {}", set_aside.display())
    };
    let opened = knowledge::open(&settings.index.path, encoder.fingerprint());
    Ok(match opened.map_err(|error| in_words(&error))? {
        Opened::Ready(index) => (Some(index), None),
        Opened::Fallback { index, set_aside, why } => (Some(index), Some(damaged(&set_aside, &why))),
        Opened::Missing => (None, None),
        Opened::Damaged { set_aside, why } => (None, Some(damaged(&set_aside, &why))),
        Opened::Stale { why } => (None, Some(why)),
    })
}
