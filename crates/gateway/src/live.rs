//! The operator's files as they are in force: read together, checked against each other, swapped in as one.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use api::{Money, Prices, Usage};
use classify::Encoder;
use ledger::Keys;
use policy::tasks::TaskSpecs;
use policy::{Catalogue, Policies};

use crate::settings::Settings;
use crate::surroundings::{Secrets, Surroundings};
use crate::training::{self, Trained};

/// What is reloaded together, so that no request sees half of a change.
pub(crate) struct Live {
    pub(crate) policies: Policies,
    pub(crate) tasks: TaskSpecs,
    pub(crate) trained: Trained,
    pub(crate) keys: Keys,
    /// The files of secrets that were read.
    pub(crate) secrets: Secrets,
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
        let (policies, tasks) = files.check(settings)?;
        let trained = training::classifier(settings, encoder).map_err(|mistakes| mistakes.join("\n"))?;
        let around_tenants = Surroundings::of(&settings.file);
        let keys = keys(settings, &around_tenants)?;
        let secrets = files.around.secrets().and(around_tenants.secrets());
        let missing = missing(settings, policies.catalogue());
        Ok(Self { policies, tasks, trained, keys, secrets, revision: files.revision(settings), missing })
    }

    /// The prices of a model; what is not in the catalogue (heads, the extractive reader) costs nothing.
    pub(crate) fn prices(&self, model: &str) -> Prices {
        self.policies.catalogue().prices(model)
    }

    /// Whether a model is one behind an API of others.
    pub(crate) fn is_external(&self, model: &str) -> bool {
        self.policies.catalogue().is_external(model)
    }

    /// The name of the provider of a model.
    pub(crate) fn provider_of(&self, model: &str) -> &str {
        self.policies.catalogue().provider_of(model)
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
    /// The declarations of tasks with their names, by name.
    tasks: Vec<(String, String)>,
    /// What `models` points to.
    around: Surroundings,
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
        let files = [read(&settings.files.models, "models"), read(&settings.files.policy, "policy")];
        match (files, read_tasks(&settings.files.tasks)) {
            ([Ok(models), Ok(policy)], Ok(tasks)) => {
                let around = Surroundings::of(&settings.files.models);
                Ok(Self { models, policy, tasks, around })
            }
            ([models, policy], tasks) => {
                let wrong = [models.err(), policy.err(), tasks.err()];
                Err(wrong.into_iter().flatten().collect::<Vec<String>>().join("\n"))
            }
        }
    }

    /// Checks the files against each other.
    ///
    /// # Errors
    /// Every mistake, one a line.
    pub(crate) fn check(&self, settings: &Settings) -> Result<(Policies, TaskSpecs), String> {
        let label = |path: &std::path::Path| path.display().to_string();
        let catalogue = Catalogue::parse(&label(&settings.files.models), &self.models, &|place| {
            self.around.look_up(place)
        });
        let catalogue = catalogue.map_err(|mistakes| mistakes.to_string())?;
        let policies = Policies::parse(&label(&settings.files.policy), &self.policy, &catalogue);
        let policies = policies.map_err(|mistakes| mistakes.to_string())?;
        let tasks = TaskSpecs::parse(&self.tasks, &catalogue).map_err(|mistakes| mistakes.to_string());
        let mut wrong: Vec<String> =
            settings.tenants.iter().filter_map(|tenant| tenant.unknown_policy(&policies)).collect();
        wrong.extend(settings.stores.iter().filter_map(|store| store.unknown_reranker(policies.catalogue())));
        match tasks {
            Ok(tasks) if wrong.is_empty() => Ok((policies, tasks)),
            tasks => {
                wrong.extend(tasks.err());
                Err(wrong.join("\n"))
            }
        }
    }

    fn revision(&self, settings: &Settings) -> String {
        let mut hasher = blake3::Hasher::new();
        let gateway = fs::read(&settings.file).unwrap_or_default();
        let tasks = self.tasks.iter().map(|(_, text)| text.as_bytes());
        for part in [&gateway, self.models.as_bytes(), self.policy.as_bytes()].into_iter().chain(tasks) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize().to_hex()[..16].to_owned()
    }
}

/// The keys of all tenants as they are now.
fn keys(settings: &Settings, surroundings: &Surroundings) -> Result<Keys, String> {
    if settings.tenants.is_empty() {
        return Ok(Keys::open());
    }
    let mut pairs = Vec::new();
    for tenant in &settings.tenants {
        let keys = tenant.keys(&|place| surroundings.look_up(place))?;
        pairs.extend(keys.into_iter().map(|key| (key, Arc::clone(&tenant.tenant))));
    }
    let pairs = pairs.iter().map(|(key, tenant)| (key.expose(), Arc::clone(tenant)));
    Keys::new(pairs).map_err(|error| error.message)
}

/// The declarations of tasks in a folder, by name; none where there is no folder.
fn read_tasks(folder: &Path) -> Result<Vec<(String, String)>, String> {
    let wrong = |path: &Path, error: std::io::Error| format!("{}: cannot be read ({error})", path.display());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(wrong(folder, error)),
    };
    let mut tasks = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| wrong(folder, error))?.path();
        if path.extension().is_some_and(|end| end == "toml") {
            let text = fs::read_to_string(&path).map_err(|error| wrong(&path, error))?;
            tasks.push((path.display().to_string(), text));
        }
    }
    tasks.sort();
    Ok(tasks)
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
