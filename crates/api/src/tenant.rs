//! Who is asking.

use std::sync::Arc;
use std::time::Duration;

use crate::Money;

/// Whose requests are turned away first when there are too many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Work that can wait: batches, indexing.
    Low,
    /// Everything else.
    #[default]
    Normal,
    /// What must go on as long as anything does.
    High,
}

impl Priority {
    /// Every priority with its name, lowest first.
    pub const ALL: [(&'static str, Self); 3] =
        [("low", Self::Low), ("normal", Self::Normal), ("high", Self::High)];

    /// Its name in the operator's files and in headers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// The holder of a key, as the operator's file names it. Every record, budget and cache entry belongs to one.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// The operator's name for it: a metrics label, so never text from a request.
    pub name: Arc<str>,
    /// The policy that answers `model: "auto"` for it, where it is not the default one.
    pub policy: Option<Arc<str>>,
    /// Requests of this tenant never leave the host, whatever their headers say.
    pub private: bool,
    /// Whether its requests are turned away first, or last, when there are too many.
    pub priority: Priority,
    /// The stores that it may search, where not all.
    pub stores: Option<Vec<Arc<str>>>,
    /// The folders of every store that it may see and write into, where not all.
    pub scope: Option<Vec<String>>,
    /// The most that it may spend in one UTC day.
    pub daily_budget: Option<Money>,
    /// The most that one request may be expected to take, where its policy allows more.
    pub latency_budget: Option<Duration>,
    /// The most that one request may be expected to cost, where its policy allows more.
    pub cost_budget: Option<Money>,
    /// The least quality of a target, where its policy asks for less.
    pub quality_floor: Option<f32>,
}

impl Tenant {
    /// The tenant of a gateway without keys.
    pub fn open() -> Self {
        Self {
            name: Arc::from("default"),
            policy: None,
            private: false,
            priority: Priority::Normal,
            stores: None,
            scope: None,
            daily_budget: None,
            latency_budget: None,
            cost_budget: None,
            quality_floor: None,
        }
    }
}
