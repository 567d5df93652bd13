//! The operator's files as they are in force: read together, checked against each other, swapped in as one.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

use api::{Money, Prices, Usage};
use classify::Encoder;
use ledger::Keys;
use policy::{Catalogue, Policies};

use crate::settings::Settings;
use crate::training::{self, Trained};

/// What is reloaded together, so that no request sees half of a change.
pub(crate) struct Live {
    pub(crate) policies: Policies,
    pub(crate) trained: Trained,
    pub(crate) keys: Keys,
    /// Names what is live: the hash of all configuration files.
    pub(crate) revision: String,
    /// Why a model of the catalogue cannot be called, by its name, and what to set.
    pub(crate) missing: HashMap<String, String>,
}

impl Live {
    /// Reads the operator's files.
    ///
    /// # Errors
    /// Every mistake of every file, one a line.
    pub(crate) fn read(settings: &Settings, encoder: &Encoder) -> Result<Self, String> {
        let files = Files::read(settings)?;
        let policies = files.check(settings)?;
        let trained = training::classifier(settings, encoder).map_err(|mistakes| mistakes.join("\n"))?;
        let pairs = settings.tenants.iter().map(|tenant| (tenant.key.as_str(), Arc::clone(&tenant.tenant)));
        let keys = if settings.tenants.is_empty() {
            Keys::open()
        } else {
            Keys::new(pairs).map_err(|error| error.message)?
        };
        let missing = missing(settings, policies.catalogue());
        Ok(Self { policies, trained, keys, revision: files.revision(settings), missing })
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
    pub(crate) fn reference_cost(&self, policy: &str, usage: &Usage) -> Option<Money> {
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
