//! What is counted, under the names of the OpenTelemetry GenAI conventions and our own. Labels come only from the
//! operator's files and from closed sets, so the number of series is bounded.

use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets, linear_buckets};
use prometheus_client::registry::Registry;

/// Labels of one call, by the GenAI conventions.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct CallLabels {
    /// `chat` or `embeddings`.
    pub(crate) gen_ai_operation_name: &'static str,
    /// The provider's name in `models.toml`, `pointsman` for what runs in the process.
    pub(crate) gen_ai_provider_name: String,
    /// The model's name in `models.toml`, or `task/NAME`.
    pub(crate) gen_ai_request_model: String,
    /// The error's code, empty for none.
    pub(crate) error_type: &'static str,
}

/// Labels of a token count.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct TokenLabels {
    /// The provider's name.
    pub(crate) gen_ai_provider_name: String,
    /// The model's name.
    pub(crate) gen_ai_request_model: String,
    /// `input` or `output`.
    pub(crate) gen_ai_token_type: &'static str,
}

/// Labels of a decision.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct DecisionLabels {
    /// The track taken.
    pub(crate) track: &'static str,
    /// The policy that decided.
    pub(crate) policy: String,
    /// The question that decided, by its id.
    pub(crate) reason: String,
}

/// Labels of money.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct MoneyLabels {
    /// Who paid.
    pub(crate) tenant: String,
    /// The track taken.
    pub(crate) track: &'static str,
    /// The model's name.
    pub(crate) model: String,
}

/// Labels of a cache look-up.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct CacheLabels {
    /// `exact`.
    pub(crate) tier: &'static str,
    /// `hit`, `miss` or `bypass`.
    pub(crate) result: &'static str,
}

/// Labels of a stage.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct StageLabels {
    /// The stage of the exchange.
    pub(crate) stage: &'static str,
}

/// Labels of a shadow.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct ShadowLabels {
    /// The policy that casts it.
    pub(crate) policy: String,
    /// The model whose answer the client has.
    pub(crate) model: String,
    /// The model that it is compared with.
    pub(crate) shadow: String,
    /// `compared`, `failed` or `no_budget`.
    pub(crate) result: &'static str,
}

/// Labels of a task's requests.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct TaskLabels {
    /// The task's name.
    pub(crate) task: String,
    /// `accepted`, `canary` (accepted of a new version), `unsure`, or `untrained`.
    pub(crate) result: &'static str,
}

/// Labels of a task's gauge.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct TaskNameLabels {
    /// The task's name.
    pub(crate) task: String,
}

/// Labels of requests that were turned away.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct ShedLabels {
    /// The tenant's name in `gateway.toml`.
    pub(crate) tenant: String,
    /// The priority that the request had.
    pub(crate) priority: &'static str,
}

/// Labels of a tenant's gauge.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct TenantLabels {
    /// The tenant's name in `gateway.toml`.
    pub(crate) tenant: String,
}

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) operation: Family<CallLabels, Histogram, fn() -> Histogram>,
    pub(crate) request: Family<CallLabels, Histogram, fn() -> Histogram>,
    pub(crate) first_token: Family<CallLabels, Histogram, fn() -> Histogram>,
    pub(crate) per_token: Family<CallLabels, Histogram, fn() -> Histogram>,
    pub(crate) tokens: Family<TokenLabels, Counter>,
    pub(crate) decisions: Family<DecisionLabels, Counter>,
    /// Decisions that are not what the policy would have wanted: a budget that yielded, a track that is not there.
    pub(crate) degraded: Family<DecisionLabels, Counter>,
    pub(crate) cost: Family<MoneyLabels, Counter<f64, AtomicU64>>,
    pub(crate) saved: Family<MoneyLabels, Counter<f64, AtomicU64>>,
    pub(crate) overhead: Family<StageLabels, Histogram, fn() -> Histogram>,
    pub(crate) cache: Family<CacheLabels, Counter>,
    pub(crate) budget: Family<TenantLabels, Gauge<f64, AtomicU64>>,
    pub(crate) reload_ok: Gauge,
    pub(crate) in_flight: Gauge,
    pub(crate) shed: Family<ShedLabels, Counter>,
    pub(crate) unrecorded: Counter,
    pub(crate) decisions_left_out: Counter,
    /// What the clerk could not be told of, because it had too much to do.
    pub(crate) untold: Counter,
    pub(crate) task_answers: Family<TaskLabels, Counter>,
    /// Set when they are looked at.
    pub(crate) task_serving: Family<TaskNameLabels, Gauge>,
    pub(crate) task_labels: Family<TaskNameLabels, Gauge>,
    pub(crate) shadows: Family<ShadowLabels, Counter>,
    pub(crate) shadow_agreement: Family<ShadowLabels, Histogram, fn() -> Histogram>,
}

fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 18))
}

fn shares() -> Histogram {
    Histogram::new(linear_buckets(0.1, 0.1, 10))
}

fn overheads() -> Histogram {
    Histogram::new(exponential_buckets(0.000_005, 2.5, 14))
}

impl Metrics {
    /// All metrics at zero.
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            operation: Family::new_with_constructor(durations as fn() -> Histogram),
            request: Family::new_with_constructor(durations as fn() -> Histogram),
            first_token: Family::new_with_constructor(durations as fn() -> Histogram),
            per_token: Family::new_with_constructor(durations as fn() -> Histogram),
            tokens: Family::default(),
            decisions: Family::default(),
            degraded: Family::default(),
            cost: Family::default(),
            saved: Family::default(),
            overhead: Family::new_with_constructor(overheads as fn() -> Histogram),
            cache: Family::default(),
            budget: Family::default(),
            reload_ok: Gauge::default(),
            in_flight: Gauge::default(),
            shed: Family::default(),
            unrecorded: Counter::default(),
            decisions_left_out: Counter::default(),
            untold: Counter::default(),
            task_answers: Family::default(),
            task_serving: Family::default(),
            task_labels: Family::default(),
            shadows: Family::default(),
            shadow_agreement: Family::new_with_constructor(shares as fn() -> Histogram),
        };
        metrics.register();
        metrics.reload_ok.set(1);
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "gen_ai_client_operation_duration_seconds",
            "Time of a call to a target",
            self.operation.clone(),
        );
        registry.register(
            "gen_ai_server_request_duration_seconds",
            "Time of a request to the gateway",
            self.request.clone(),
        );
        registry.register(
            "gen_ai_server_time_to_first_token_seconds",
            "Time to the first token",
            self.first_token.clone(),
        );
        registry.register(
            "gen_ai_server_time_per_output_token_seconds",
            "Time per further token",
            self.per_token.clone(),
        );
        registry.register("gen_ai_client_token_usage", "Tokens used", self.tokens.clone());
        registry.register("pointsman_decisions", "Decisions taken", self.decisions.clone());
        registry.register(
            "pointsman_degraded",
            "Decisions that the policy would not have wanted",
            self.degraded.clone(),
        );
        registry.register("pointsman_cost_usd", "Dollars spent", self.cost.clone());
        registry.register(
            "pointsman_saved_usd",
            "Dollars saved against the reference model",
            self.saved.clone(),
        );
        registry.register(
            "pointsman_overhead_seconds",
            "Time spent in the gateway itself",
            self.overhead.clone(),
        );
        registry.register("pointsman_cache_requests", "Cache look-ups", self.cache.clone());
        registry.register("pointsman_budget_remaining_usd", "Left of today's budget", self.budget.clone());
        registry.register(
            "pointsman_config_last_reload_successful",
            "1 if the files on disk are what runs",
            self.reload_ok.clone(),
        );
        registry.register("pointsman_requests_in_flight", "Requests not settled yet", self.in_flight.clone());
        registry.register(
            "pointsman_shed",
            "Requests turned away because too many were under way",
            self.shed.clone(),
        );
        registry.register(
            "pointsman_unrecorded",
            "Records that the book could not take",
            self.unrecorded.clone(),
        );
        registry.register(
            "pointsman_decisions_left_out",
            "Decisions that the log could not take",
            self.decisions_left_out.clone(),
        );
        registry.register(
            "pointsman_untold",
            "Answers that the clerk of the tasks could not be told of",
            self.untold.clone(),
        );
        registry.register(
            "pointsman_task_answers",
            "Requests of a task, by what its model's certificate said",
            self.task_answers.clone(),
        );
        registry.register(
            "pointsman_task_serving",
            "The version of a task's model that answers, 0 for none",
            self.task_serving.clone(),
        );
        registry.register("pointsman_task_labels", "Labelled examples of a task", self.task_labels.clone());
        registry.register("pointsman_shadows", "Requests sent to a second target", self.shadows.clone());
        registry.register(
            "pointsman_shadow_agreement",
            "How much the second answer agrees with the one given",
            self.shadow_agreement.clone(),
        );
    }

    /// The exposition in the OpenMetrics text format.
    pub(crate) fn exposition(&self) -> String {
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.registry) {
            // Only a failing writer can fail here, and a String does not; say it all the same.
            let _ = write!(text, "# the metrics could not be written: {error}\n# EOF\n");
        }
        text
    }
}
