//! Everything that a decision needs and a running server is not part of: `pointsman explain` and `/v1/route` decide
//! exactly as a request does.

use std::sync::{Arc, Mutex};

use api::{ChatRequest, Embed, Error, Findings, Plan, Signal, SignalSet, Signals, Tenant, Vector};
use arc_swap::{ArcSwap, ArcSwapOption};
use classify::{Encoder, View};
use policy::{Conditions, Facts, Learned, Route};

use crate::Failure;
use crate::house::in_words;
use crate::latencies::Latencies;
use crate::live::{Files, Live};
use crate::opinions::Opinions;
use crate::outcomes::{Learnt, Store};
use crate::renew::{Learning, load_encoder};
use crate::settings::Settings;
use crate::stated::Stated;
use crate::stores::{Sight, Stores};
use crate::tasks::{self, Asked, Task, Tasks, is_single_turn};
use crate::wishes::Reach;

/// What every plan is priced by, and cheap to tell.
const ALWAYS: SignalSet = SignalSet::NONE.with(Signal::TokensIn);
/// The length of an answer to a request that names its model and no limit: what kind of request it is, which would tell
/// better, is not worth measuring for an estimate that chooses nothing.
const ANSWER_TOKENS: u64 = 256;

/// Signals, stores, tasks, outcomes and policy.
pub(crate) struct Decider {
    pub(crate) settings: Settings,
    pub(crate) live: ArcSwap<Live>,
    pub(crate) encoder: Arc<Encoder>,
    pub(crate) stores: Stores,
    pub(crate) tasks: ArcSwap<Tasks>,
    pub(crate) latencies: Latencies,
    /// What recorded outcomes teach.
    pub(crate) learnt: ArcSwapOption<Learnt>,
    pub(crate) store: Store,
    pub(crate) learning: Mutex<Learning>,
}

/// What one decision rests on.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) live: &'a Live,
    pub(crate) stated: &'a Stated,
    pub(crate) tenant: &'a Tenant,
    pub(crate) signals: &'a Signals,
    pub(crate) opinions: &'a Opinions,
    /// What the tenant may still spend.
    pub(crate) funds_remaining: Option<api::Money>,
}

/// What has been measured about a request.
#[derive(Debug, Default)]
pub(crate) struct Insight {
    pub(crate) signals: Arc<Signals>,
    /// What outcomes say of it.
    pub(crate) opinions: Opinions,
    /// The task that it belongs to, and what that task's model says.
    pub(crate) case: Option<tasks::Case>,
    /// The vector of what the user asks, where somebody needed it.
    pub(crate) vector: Option<Vector>,
    /// The passages, where the policy asked for coverage.
    pub(crate) findings: Option<Findings>,
}

impl Decider {
    /// Loads everything.
    ///
    /// # Errors
    /// In words for the operator: a file is wrong or missing.
    pub(crate) fn load(settings: Settings) -> Result<Self, Failure> {
        // The files first: a typo should be told at once, not after the model is loaded.
        Files::read(&settings).and_then(|files| files.check(&settings)).map_err(Failure::Wrong)?;
        let encoder = Arc::new(load_encoder(&settings).map_err(Failure::Unavailable)?);
        let live = Live::read(&settings, &encoder).map_err(Failure::Wrong)?;
        let (tasks, problems) = Tasks::open(&live.tasks, &settings.files.state, &encoder, None);
        for problem in problems {
            tracing::warn!(%problem, "a task is left out");
        }
        let stores = Stores::open(&settings, &encoder).map_err(Failure::Unavailable)?;
        let store = Store::new(&settings.files.state);
        let learnt =
            Learnt::kept(&store, &encoder).map_err(|error| Failure::Unavailable(in_words(&error)))?;
        Ok(Self {
            settings,
            live: ArcSwap::from_pointee(live),
            encoder,
            stores,
            tasks: ArcSwap::from_pointee(tasks),
            latencies: Latencies::default(),
            learnt: ArcSwapOption::from(learnt.map(Arc::new)),
            store,
            learning: Mutex::default(),
        })
    }

    /// The part of a store that a request of `tenant` may search; the examples of a task are a store like any other.
    ///
    /// # Errors
    /// 404: there is none of this name for this tenant.
    pub(crate) fn sight(&self, name: &str, tenant: &Tenant, reach: &Reach) -> Result<Sight, Error> {
        match name.strip_prefix(policy::TASK_PREFIX) {
            Some(task) => {
                let task = self.tasks.load().get_for(task, &tenant.name)?;
                Ok(tasks::examples::sight(task, tenant, reach))
            }
            None => Ok(self.stores.get(name, tenant)?.sight(tenant, reach)),
        }
    }

    /// Measures the signals that the request's policy reads, and nothing else. What needs the encoder or the index is
    /// measured only where the questions, as the cheap signals answer them, come to it; it works on a blocking thread, and
    /// a request that needs neither stays on this one.
    ///
    /// # Errors
    /// 404 for a model that does not exist; the encoder or the index failed.
    pub(crate) async fn measure(
        self: &Arc<Self>,
        live: &Arc<Live>,
        request: &ChatRequest,
        stated: &Arc<Stated>,
        tenant: &Arc<Tenant>,
        reach: &Reach,
    ) -> Result<Insight, Error> {
        let route = live.policies.resolve(&stated.model, tenant, stated.policy.as_deref())?;
        let view = View::from(request);
        let Route::Policy(policy) = route else {
            let mut signals = live.trained.classifier.signals(&view, route.reads().union(ALWAYS));
            signals.tokens_out = request.sampling.max_tokens.unwrap_or(ANSWER_TOKENS);
            return Ok(Insight { signals: Arc::new(signals), ..Insight::default() });
        };
        let wanted = policy.reads().union(ALWAYS).with(Signal::TokensOut);
        let signals = live.trained.classifier.signals(&view, wanted);
        let question = request.last_user_text();
        let task = if wanted.has(Signal::Task) {
            self.tasks.load().recognize(&Asked {
                tenant: &tenant.name,
                header: stated.task.as_deref(),
                system: &request.system_text(),
                user: &question,
                single_turn: is_single_turn(request),
                contract: &signals.contract,
            })?
        } else {
            None
        };
        let learnt = self.learnt.load_full();
        let store = stated.store.as_deref().unwrap_or(policy.store());
        let sight = match self.sight(store, tenant, reach) {
            Ok(mut sight) => {
                // What is found for the coverage is what a plan then reads.
                sight.find(policy.passages_max());
                Some(sight).filter(|_| self.is_ready(store, tenant))
            }
            // The caller asked for it, and should hear that it is not there.
            Err(error) if stated.store.is_some() => return Err(error),
            Err(_) => None,
        };
        let asked = policy.asks(&stated.facts(tenant, &signals), &signals, sight.is_some());
        let unsettled = live.trained.classifier.needs_vector(asked, &signals)
            || (asked.has(Signal::Coverage) && sight.is_some())
            || task.is_some()
            || learnt.is_some();
        if !unsettled {
            return Ok(Insight { signals: Arc::new(signals), ..Insight::default() });
        }
        let deeper = Deeper {
            decider: Arc::clone(self),
            live: Arc::clone(live),
            stated: Arc::clone(stated),
            tenant: Arc::clone(tenant),
            wanted,
            view,
            question,
            task,
            sight,
            learnt,
        };
        tokio::task::spawn_blocking(move || deeper.measure(signals)).await.map_err(Error::internal)?
    }

    /// The vector of a text, of which a long one is read at its start and its end only. Blocks.
    pub(crate) fn vector(&self, text: &str) -> Result<Vector, Error> {
        vector(&self.encoder, text)
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
        let Case { live, stated, tenant, signals, opinions, funds_remaining } = *case;
        let route = live.policies.resolve(&stated.model, tenant, stated.policy.as_deref())?;
        let facts = stated.facts(tenant, signals);
        let tasks = self.tasks.load();
        let conditions = Conditions {
            available: &|model| self.available(live, model),
            observed: &|model| self.observed(model),
            quality: &|model| {
                let certified = tasks.quality(model).map(|quality| Learned { quality, evidence: 1.0 });
                certified.or_else(|| opinions.of(model))
            },
            index_ready: self.is_ready(stated.store.as_deref().unwrap_or(route.policy().store()), tenant),
            funds_remaining,
        };
        if let Route::Task { name, .. } = route {
            tasks.get_for(name, &tenant.name)?.answerable()?;
        }
        Ok(judgement(route, &facts, &conditions))
    }

    /// Whether there is something to search in a store.
    fn is_ready(&self, store: &str, tenant: &Tenant) -> bool {
        match store.strip_prefix(policy::TASK_PREFIX) {
            Some(task) => {
                self.tasks.load().get_for(task, &tenant.name).is_ok_and(|task| task.label_count() > 0)
            }
            None => self.stores.get(store, tenant).is_ok_and(|kept| kept.is_ready()),
        }
    }

    fn available(&self, live: &Live, model: &str) -> Result<(), String> {
        if let Some(name) = model.strip_prefix(policy::TASK_PREFIX) {
            let task = self.tasks.load().get(name).and_then(|task| task.answerable());
            return task.map_err(|error| error.message);
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
        let services = live.policies.catalogue().services().iter();
        all.extend(services.map(|service| (service.name.to_string(), service.provider.name.to_string())));
        all.extend(self.tasks.load().iter().map(|task| ours(&format!("task/{}", task.name))));
        all.push(ours(&self.settings.encoder.name));
        all
    }
}

/// The vector of a text as the gateway compares requests: of a long one only its start and its end are read, so that the
/// time has a bound. Blocks.
pub(crate) fn vector(encoder: &Encoder, text: &str) -> Result<Vector, Error> {
    Ok(encoder.read(&View::of(None, text))?.meaning)
}

/// What has to be measured with the encoder or the index, on a thread that may block.
struct Deeper {
    decider: Arc<Decider>,
    live: Arc<Live>,
    stated: Arc<Stated>,
    tenant: Arc<Tenant>,
    wanted: SignalSet,
    view: View,
    question: String,
    /// The task that the request belongs to, and its input there.
    task: Option<(Arc<Task>, String)>,
    /// What may be searched, where there is something.
    sight: Option<Sight>,
    learnt: Option<Arc<Learnt>>,
}

impl Deeper {
    fn measure(&self, mut signals: Signals) -> Result<Insight, Error> {
        let classifier = &self.live.trained.classifier;
        let case = self.case()?;
        signals.task = case.as_ref().map(tasks::Case::matched);
        // Where the input is the whole question, its meaning serves both.
        let whole = case.as_ref().filter(|case| case.input == self.question);
        let dimensions = self.decider.encoder.dimensions();
        let mut vector = whole.and_then(|case| Some(case.vector.as_ref()?.get(..dimensions)?.to_vec()));
        if classifier.needs_vector(self.asked(&signals)?, &signals) {
            let reading = self.decider.encoder.read(&self.view)?;
            classifier.deepen(&self.view, self.wanted, &reading.form, &mut signals);
            // Without instructions and earlier turns the request is its question: one pass serves both.
            if vector.is_none() && self.view.stands_alone() {
                vector = Some(reading.meaning);
            }
        }
        let mut findings = None;
        if let Some(sight) = &self.sight
            && self.asked(&signals)?.has(Signal::Coverage)
        {
            let known = match vector.take() {
                Some(vector) => vector,
                None => self.decider.vector(&self.question)?,
            };
            match sight.search(&self.question, &known) {
                Ok(found) => {
                    signals.coverage = found.coverage;
                    findings = Some(found);
                }
                // A cluster that is down covers nothing: the other tracks still answer.
                Err(error) => tracing::warn!(%error, "the store could not be searched"),
            }
            vector = Some(known);
        }
        let mut opinions = Opinions::default();
        if let Some(learnt) = &self.learnt {
            let known = match vector.take() {
                Some(vector) => vector,
                None => self.decider.vector(&self.question)?,
            };
            opinions = learnt.opinions(&self.question, &known);
            vector = Some(known);
        }
        Ok(Insight { signals: Arc::new(signals), opinions, case, vector, findings })
    }

    /// What the task's model says of the request. It has read its examples whole, and so it reads this.
    fn case(&self) -> Result<Option<tasks::Case>, Error> {
        let Some((task, input)) = &self.task else { return Ok(None) };
        let encoder = &self.decider.encoder;
        let vector = if task.wants_vector() { encoder.describe(&[input])?.pop() } else { None };
        Ok(Some(task.consider(&self.tenant.name, input.clone(), vector)))
    }

    /// The signals that the questions come to, as far as they are answered now.
    fn asked(&self, signals: &Signals) -> Result<SignalSet, Error> {
        let route =
            self.live.policies.resolve(&self.stated.model, &self.tenant, self.stated.policy.as_deref())?;
        let Route::Policy(policy) = route else { return Ok(SignalSet::NONE) };
        Ok(policy.asks(&self.stated.facts(&self.tenant, signals), signals, self.sight.is_some()))
    }
}
