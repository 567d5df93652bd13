//! Who is asking.

use std::sync::Arc;

use crate::Money;

/// The holder of a key, as the operator's file names it. Every record, budget and cache entry belongs to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The operator's name for it: a metrics label, so never text from a request.
    pub name: Arc<str>,
    /// The policy that answers `model: "auto"` for it, where it is not the default one.
    pub policy: Option<Arc<str>>,
    /// Requests of this tenant never leave the host, whatever their headers say.
    pub private: bool,
    /// The most that it may spend in one UTC day.
    pub daily_budget: Option<Money>,
}

impl Tenant {
    /// The tenant of a gateway without keys.
    pub fn open() -> Self {
        Self { name: Arc::from("default"), policy: None, private: false, daily_budget: None }
    }
}
