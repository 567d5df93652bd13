//! All policies of a `policy.toml`, and which of them decides on a request.
//!
//! Owns the meaning of a request's `model`. Refuses names that nobody defined, listing those that are.

mod read;

use std::sync::Arc;

use api::{Error, Fault, Plan, SignalSet, Signals, Tenant};

use crate::catalogue::{Catalogue, Model, TASK_PREFIX};
use crate::facts::{Conditions, Facts};
use crate::file::{Mistakes, nearest};
use crate::policy::Policy;

/// The name by which a request leaves the choice of the policy to its tenant and the operator.
pub const AUTO: &str = "auto";

/// The policies of a file.
#[derive(Debug)]
pub struct Policies {
    all: Vec<Arc<Policy>>,
    guarded: Vec<Guarded>,
    default: Arc<Policy>,
    catalogue: Catalogue,
}

/// A policy that a request chose, under the privacy of the one that its tenant stands under.
#[derive(Debug)]
struct Guarded {
    standing: Arc<str>,
    policy: Arc<Policy>,
}

/// What a request's `model` stands for. Whatever it is, a policy governs it: naming a model leaves out the questions,
/// not the rules.
#[derive(Clone, Copy, Debug)]
pub enum Route<'a> {
    /// The policy chooses.
    Policy(&'a Arc<Policy>),
    /// This model answers.
    Direct {
        /// The model.
        model: &'a Arc<Model>,
        /// Whose privacy rule and budgets hold.
        under: &'a Arc<Policy>,
    },
    /// This trained task answers. Whether it exists is known only to whoever holds the tasks.
    Task {
        /// Its name, without `task/`.
        name: &'a str,
        /// What all tasks have in common.
        model: &'a Arc<Model>,
        /// Whose privacy rule and budgets hold.
        under: &'a Arc<Policy>,
    },
}

impl<'a> Route<'a> {
    /// The policy that governs the request.
    pub fn policy(&self) -> &'a Arc<Policy> {
        match self {
            Self::Policy(policy) => policy,
            Self::Direct { under, .. } | Self::Task { under, .. } => under,
        }
    }

    /// The signals that the decision rests on.
    pub fn reads(&self) -> SignalSet {
        match self {
            Self::Policy(policy) => policy.reads(),
            Self::Direct { under, .. } | Self::Task { under, .. } => under.reads_named(),
        }
    }

    /// The plan.
    ///
    /// # Errors
    /// See [`Policy::decide`] and [`Policy::direct`].
    pub fn decide(
        &self,
        facts: &Facts<'_>,
        signals: &Signals,
        conditions: &Conditions<'_>,
    ) -> Result<Plan, Error> {
        match self {
            Self::Policy(policy) => policy.decide(facts, signals, conditions),
            Self::Direct { model, under } => under.direct(model, facts, signals, conditions),
            Self::Task { name, model, under } => {
                under.direct(&Arc::new(model.as_task(name)), facts, signals, conditions)
            }
        }
    }
}

impl Policies {
    /// Reads a `policy.toml` whose targets are those of `catalogue`.
    ///
    /// # Errors
    /// Every mistake of the file.
    pub fn parse(file: &str, text: &str, catalogue: &Catalogue) -> Result<Self, Mistakes> {
        read::policies(file, text, catalogue)
    }

    /// The policies, in the file's order.
    pub fn all(&self) -> &[Arc<Policy>] {
        &self.all
    }

    /// The policy of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Policy>> {
        self.all.iter().find(|policy| &*policy.name == name)
    }

    /// What answers `auto` where nobody chose another.
    pub fn default_policy(&self) -> &Arc<Policy> {
        &self.default
    }

    /// The models that the targets come from.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// What `requested` stands for: `auto`, a policy, a model, an alias or `task/NAME`. `header` is the request's
    /// `x-pointsman-policy`. A request may choose its policy, but not loosen its privacy by that: the rule of the policy
    /// that the tenant stands under, its own or the default one, holds as well.
    ///
    /// # Errors
    /// 404 `model_not_found` or `policy_not_found`, listing what exists; 500 where the tenant's policy is gone.
    pub fn resolve<'a>(
        &'a self,
        requested: &'a str,
        tenant: &Tenant,
        header: Option<&str>,
    ) -> Result<Route<'a>, Error> {
        let standing = self.standing(tenant)?;
        let governing = match header {
            Some(name) => self.guarded(self.chosen(name)?, standing),
            None => standing,
        };
        if requested == AUTO {
            return Ok(Route::Policy(governing));
        }
        if let Some(policy) = self.get(requested) {
            return Ok(Route::Policy(self.guarded(policy, standing)));
        }
        match self.catalogue.get(requested) {
            Some(model) => Ok(match requested.strip_prefix(TASK_PREFIX) {
                Some(name) => Route::Task { name, model, under: governing },
                None => Route::Direct { model, under: governing },
            }),
            None => Err(self.unknown_model(requested)),
        }
    }

    /// The policy that the header names.
    fn chosen(&self, name: &str) -> Result<&Arc<Policy>, Error> {
        self.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.all.iter().map(|policy| &*policy.name).collect();
            let message =
                format!("There is no policy `{}`. There are: {}.", shortened(name), names.join(", "));
            Error::new(Fault::NotFound, "policy_not_found", message).with_param("x-pointsman-policy")
        })
    }

    /// `chosen` with no less privacy than `standing` has.
    fn guarded<'a>(&'a self, chosen: &'a Arc<Policy>, standing: &Policy) -> &'a Arc<Policy> {
        let same =
            |guarded: &&Guarded| guarded.standing == standing.name && guarded.policy.name == chosen.name;
        self.guarded.iter().find(same).map_or(chosen, |guarded| &guarded.policy)
    }

    /// The policy that the operator gave the tenant.
    fn standing(&self, tenant: &Tenant) -> Result<&Arc<Policy>, Error> {
        match &tenant.policy {
            None => Ok(&self.default),
            Some(name) => self.get(name).ok_or_else(|| {
                Error::internal(format!("the policy `{name}` of the tenant `{}` does not exist", tenant.name))
            }),
        }
    }

    fn unknown_model(&self, requested: &str) -> Error {
        if let Some(service) = self.catalogue.service(requested) {
            let message = format!("`{requested}` answers at POST /v1/{} only.", service.duty.name());
            return Error::new(Fault::NotFound, "model_not_found", message).with_param("model");
        }
        let policies = self.all.iter().map(|policy| &*policy.name);
        let names: Vec<&str> = std::iter::once(AUTO)
            .chain(policies.filter(|name| *name != AUTO))
            .chain(self.catalogue.names())
            .collect();
        let hint = nearest(requested, names.iter().copied());
        let hint = hint.map(|name| format!(" Did you mean `{name}`?")).unwrap_or_default();
        let message = format!(
            "There is no model `{}`.{hint} There are: {}, and task/NAME for each trained task.",
            shortened(requested),
            names.join(", ")
        );
        Error::new(Fault::NotFound, "model_not_found", message).with_param("model")
    }
}

/// A caller's text, short enough to be sent back.
fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests;
