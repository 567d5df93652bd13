//! The stores of passages: which there are, who may see which part of them, and how they change while the gateway runs.
//!
//! Owns the way from a tenant's rights and a caller's wishes to one store and one scope. Refuses to index and to search
//! (`knowledge` does), and to decide whether a search pays (`policy` does).

mod feeder;
mod watching;

use std::sync::{Arc, Mutex, PoisonError};

use api::{Embed, Error, Fault, Findings, Tenant};
use classify::Encoder;
use knowledge::{Embedded, Milvus, MilvusOptions, Opened, Scope, SearchOptions, Store};

pub(crate) use feeder::Feeder;
pub(crate) use watching::watch;

use crate::house::in_words;
use crate::settings::{Place, Reranker, Settings, StoreSettings};
use crate::wishes::Reach;

/// The line of a store for which none was learnt: as likely as not.
pub(crate) const COVERED: f32 = 0.5;

/// All stores of this gateway but the examples of tasks, which are the tasks' own.
pub(crate) struct Stores {
    all: Vec<Arc<Kept>>,
}

/// A store, and what the operator says of it.
pub(crate) struct Kept {
    pub(crate) settings: StoreSettings,
    pub(crate) store: Arc<dyn Store>,
    /// The same, where it is in a folder of this host.
    folder: Option<Arc<Embedded>>,
    /// Why it should be built anew, until somebody does.
    rebuild: Mutex<Option<String>>,
    pub(crate) feeder: Feeder,
}

/// A store and the part of it that one request may see.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) options: SearchOptions,
    /// Below this coverage what is found does not answer, where a policy says nothing else.
    pub(crate) coverage_min: f32,
    /// Who puts what is found into its last order.
    pub(crate) reranker: Option<Reranker>,
}

impl Sight {
    /// Finds as many passages as a request that wants `passages` has use for.
    pub(crate) fn find(&mut self, passages: usize) {
        let candidates = self.reranker.as_ref().map_or(0, |reranker| reranker.candidates);
        self.options.passages_max = passages.max(candidates);
    }

    /// Searches what is in sight. Blocks.
    pub(crate) fn search(&self, question: &str, vector: &[f32]) -> Result<Findings, Error> {
        self.store.search(question, Some(vector), &self.options)
    }
}

impl Stores {
    /// Opens all stores.
    ///
    /// # Errors
    /// In words for the operator: a folder cannot be read, an address is none.
    pub(crate) fn open(settings: &Settings, encoder: &Arc<Encoder>) -> Result<Self, String> {
        let all = settings.stores.iter().map(|store| Kept::open(store, encoder).map(Arc::new));
        Ok(Self { all: all.collect::<Result<_, _>>()? })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Kept>> {
        self.all.iter()
    }

    /// The store of this name.
    ///
    /// # Errors
    /// 404: there is none, which names those that the tenant may use.
    pub(crate) fn get(&self, name: &str, tenant: &Tenant) -> Result<&Arc<Kept>, Error> {
        let found = self.all.iter().find(|kept| *kept.settings.name == *name && kept.is_open_to(tenant));
        found.ok_or_else(|| {
            let shown: String = name.chars().take(100).collect();
            let open = self.all.iter().filter(|kept| kept.is_open_to(tenant));
            let names: Vec<&str> = open.map(|kept| &*kept.settings.name).collect();
            let message = format!("There is no store `{shown}`. There are: {}.", names.join(", "));
            Error::new(Fault::NotFound, "store_not_found", message).with_param("store")
        })
    }

    /// Names what all stores hold: another name, other answers.
    pub(crate) fn revision(&self) -> String {
        let generation = |kept: &Arc<Kept>| Some(kept.folder.as_ref()?.index()?.manifest().generation);
        let all = self.all.iter().map(|kept| generation(kept).unwrap_or_default().to_string());
        all.collect::<Vec<_>>().join(".")
    }

    /// Takes up what other processes have built.
    pub(crate) fn refresh(&self) {
        for kept in &self.all {
            kept.refresh();
        }
    }
}

impl Kept {
    /// Opens a store.
    ///
    /// # Errors
    /// In words for the operator.
    pub(crate) fn open(settings: &StoreSettings, encoder: &Arc<Encoder>) -> Result<Self, String> {
        let (store, folder, rebuild): (Arc<dyn Store>, _, _) = match &settings.place {
            Place::Folder(path) => {
                let embedder = settings.vectors.then(|| encoder.fingerprint());
                let (embedded, opened) = Embedded::open(path, embedder).map_err(|error| in_words(&error))?;
                let embedded = Arc::new(embedded);
                (Arc::clone(&embedded) as Arc<dyn Store>, Some(embedded), trouble(opened))
            }
            Place::Milvus { url, token, database, collection, sources } => {
                let options = MilvusOptions {
                    token: token.clone(),
                    database: database.clone(),
                    ..MilvusOptions::new(url, collection, sources)
                };
                let milvus = Milvus::connect(options, encoder.fingerprint())
                    .map_err(|error| format!("store `{}`: {}", settings.name, in_words(&error)))?;
                (Arc::new(milvus), None, None)
            }
        };
        let feeder = Feeder::new(Arc::clone(&store), Arc::clone(encoder), settings);
        let kept = Self { settings: settings.clone(), store, folder, rebuild: Mutex::new(rebuild), feeder };
        Ok(kept)
    }

    /// Whether a tenant may use it.
    fn is_open_to(&self, tenant: &Tenant) -> bool {
        let among = |names: &Option<Vec<Arc<str>>>, name: &str| {
            names.as_ref().is_none_or(|names| names.iter().any(|own| **own == *name))
        };
        among(&self.settings.tenants, &tenant.name) && among(&tenant.stores, &self.settings.name)
    }

    /// Whether there is something to search.
    pub(crate) fn is_ready(&self) -> bool {
        match &self.folder {
            Some(folder) => folder.index().is_some(),
            // A cluster is asked when it is needed: whether it answers then is known only then.
            None => true,
        }
    }

    /// What a request of `tenant` may see of it.
    pub(crate) fn sight(&self, tenant: &Tenant, reach: &Reach) -> Sight {
        let defaults = SearchOptions::default();
        let learnt = self.settings.coverage.as_deref();
        let options = SearchOptions {
            weight_dense: self.settings.weight_dense.unwrap_or(defaults.weight_dense),
            scope: scope(tenant, reach),
            filter: reach.filter.clone(),
            estimate: learnt.map_or(defaults.estimate, |learnt| learnt.estimate),
            ..defaults
        };
        Sight {
            store: Arc::clone(&self.store),
            options,
            coverage_min: learnt.map_or(COVERED, |learnt| learnt.coverage_min),
            reranker: self.settings.reranker.clone(),
        }
    }

    /// Why it should be built anew; asked once.
    pub(crate) fn take_rebuild(&self) -> Option<String> {
        self.rebuild.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn refresh(&self) {
        let Some(folder) = &self.folder else { return };
        match folder.refresh() {
            Ok(opened) => {
                *self.rebuild.lock().unwrap_or_else(PoisonError::into_inner) = trouble(opened);
            }
            Err(error) => {
                tracing::error!(store = %self.settings.name, %error, "the store could not be opened again");
            }
        }
    }
}

/// Why a store should be built anew.
fn trouble(opened: Opened) -> Option<String> {
    match opened {
        Opened::Ready | Opened::Missing => None,
        Opened::Fallback { set_aside, why } | Opened::Damaged { set_aside, why } => {
            Some(format!("the index was damaged ({why}) and set aside as {}", set_aside.display()))
        }
        Opened::Stale { why } => Some(why),
    }
}

/// What a tenant may see, narrowed by what the caller wishes to.
pub(crate) fn scope(tenant: &Tenant, reach: &Reach) -> Scope {
    let own = match &tenant.scope {
        Some(folders) => Scope::everything().narrowed(folders),
        None => Scope::everything(),
    };
    match &reach.folders {
        Some(folders) => own.narrowed(folders),
        None => own,
    }
}
