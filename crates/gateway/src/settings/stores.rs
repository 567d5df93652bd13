//! The stores of `gateway.toml`: `[index]` is the one that every gateway has, `[store.NAME]` are others beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::{DEFAULT_STORE, Secret};
use knowledge::{Corpus, Learnt};
use policy::file::{Field, Table};
use policy::{Catalogue, Duty};

use super::Reader;

/// The longest name of a store.
const NAME_BYTES_MAX: usize = 64;

/// A store of passages, as the operator describes it.
#[derive(Clone, Debug)]
pub(crate) struct StoreSettings {
    pub(crate) name: Arc<str>,
    pub(crate) place: Place,
    /// What it is built from; its roots may be none.
    pub(crate) corpus: Corpus,
    /// A change of the corpus is taken over while the gateway runs.
    pub(crate) watch: bool,
    /// Files may be sent to it over HTTP, and documents taken out.
    pub(crate) uploads: bool,
    /// Passages have vectors beside their words.
    pub(crate) vectors: bool,
    /// The share of the vectors in the fused score, where it is not the default.
    pub(crate) weight_dense: Option<f32>,
    /// How coverage is estimated, where it was learnt for this store.
    pub(crate) coverage: Option<Arc<Learnt>>,
    /// Who puts what is found into its last order, where not the search itself.
    pub(crate) reranker: Option<Reranker>,
    /// Who may use it, where not everybody.
    pub(crate) tenants: Option<Vec<Arc<str>>>,
}

impl StoreSettings {
    /// The mistake of naming a reranker that is not there, in words.
    pub(crate) fn unknown_reranker(&self, catalogue: &Catalogue) -> Option<String> {
        let wanted = &self.reranker.as_ref()?.model;
        if catalogue.service(wanted).is_some_and(|service| service.duty == Duty::Rerank) {
            return None;
        }
        let there = catalogue.services().iter().filter(|service| service.duty == Duty::Rerank);
        let names: Vec<&str> = there.map(|service| &*service.name).collect();
        let allowed =
            if names.is_empty() { "none has `serves = \"rerank\"`".to_owned() } else { names.join(", ") };
        Some(format!(
            "gateway.toml: store `{}`: reranker: models.toml has no model `{wanted}` that serves \"rerank\"; allowed: {allowed}",
            self.name
        ))
    }

    /// The folder of a store on this host.
    pub(crate) fn folder(&self) -> Option<&PathBuf> {
        match &self.place {
            Place::Folder(path) => Some(path),
            Place::Milvus { .. } => None,
        }
    }
}

/// A model that reads passages beside the question and ranks them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reranker {
    /// Its name in `models.toml`.
    pub(crate) model: Arc<str>,
    /// How many passages it reads.
    pub(crate) candidates: usize,
}

/// Where a store keeps what it holds.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In a folder of this host.
    Folder(PathBuf),
    /// In a Milvus cluster.
    Milvus {
        url: String,
        token: Option<Secret>,
        database: Option<String>,
        collection: String,
        /// Where this host, which feeds it, remembers what it was made from.
        sources: PathBuf,
    },
}

impl Reader<'_> {
    /// All stores, the default one first; those that say no `path` lie in the folder of the state.
    pub(super) fn stores(&self, root: &Table<'_>, state: &Path) -> Vec<StoreSettings> {
        let index = root.optional("index").table();
        let default = self.folder.join("../index/built");
        let mut stores = vec![self.store(DEFAULT_STORE, index.as_ref(), default)];
        if let Some(table) = index {
            table.finish();
        }
        let Some(named) = root.optional("store").table() else { return stores };
        for entry in named.entries() {
            if !is_name(entry.name) {
                entry.field.wrong(format!(
                    "`{}` is no name of a store; allowed: 1 to {NAME_BYTES_MAX} letters, digits, `-` and `_`, other than \
                     `{DEFAULT_STORE}`, which is [index]",
                    entry.name
                ));
                continue;
            }
            let Some(table) = entry.field.table() else { continue };
            stores.push(self.store(entry.name, Some(&table), state.join("stores").join(entry.name)));
            table.finish();
        }
        named.finish();
        stores
    }

    fn store(&self, name: &str, table: Option<&Table<'_>>, default: PathBuf) -> StoreSettings {
        let field = |key: &str| table.map(|table| table.optional(key));
        let switch = |key: &str| field(key).and_then(|field| field.boolean());
        let list = |key: &str| {
            let items = field(key).map(|field| field.text_list()).unwrap_or_default();
            items.iter().map(|item| item.text.to_owned()).collect::<Vec<_>>()
        };
        let roots = list("corpus").iter().map(|path| self.folder.join(path)).collect();
        let corpus = Corpus { include: list("include"), exclude: list("exclude"), ..Corpus::new(roots) };
        if let Err(error) = corpus.check() {
            let key = error.param.as_deref().unwrap_or("include");
            if let Some(field) = field(key) {
                field.wrong(error.message);
            }
        }
        let tenants = list("tenants");
        StoreSettings {
            name: name.into(),
            place: self.place(name, table, default),
            corpus,
            watch: switch("watch").unwrap_or(false),
            uploads: switch("uploads").unwrap_or(false),
            vectors: switch("vectors").unwrap_or(true),
            weight_dense: field("weight_dense").and_then(|field| field.probability()),
            coverage: field("coverage").and_then(|field| self.learnt(&field)),
            reranker: table.and_then(reranker),
            tenants: field("tenants")
                .is_some_and(|field| field.is_given())
                .then(|| tenants.iter().map(|name| Arc::from(name.as_str())).collect()),
        }
    }

    fn learnt(&self, field: &Field<'_>) -> Option<Arc<Learnt>> {
        let path = self.folder.join(field.given(self.env)?);
        match Learnt::read(&path) {
            Ok(learnt) => Some(Arc::new(learnt)),
            Err(error) => {
                let how = "`pointsman eval retrieval --learn FILE` writes such a file";
                field.wrong(format!("{} ({how})", error.message));
                None
            }
        }
    }

    fn place(&self, name: &str, table: Option<&Table<'_>>, default: PathBuf) -> Place {
        let path = table.and_then(|table| table.optional("path").given(self.env));
        let path = path.map_or(default, |path| self.folder.join(path));
        let url_field = table.map(|table| table.optional("url"));
        let [token, database, collection] =
            ["token", "database", "collection"].map(|key| table.map(|table| table.optional(key)));
        let Some(url_field) = url_field.filter(Field::is_given) else {
            for cluster in [token, database, collection].into_iter().flatten().filter(Field::is_given) {
                cluster
                    .wrong("belongs to a store in a cluster: set its `url`, such as http://127.0.0.1:19530");
            }
            return Place::Folder(path);
        };
        let url = url_field.given(self.env).unwrap_or_default();
        if !url.starts_with("http://") && !url.starts_with("https://") {
            url_field.wrong(format!("`{url}` is no URL; allowed: http://HOST:PORT or https://HOST:PORT"));
        }
        let given = |field: &Option<Field<'_>>| field.as_ref().and_then(|field| field.given(self.env));
        Place::Milvus {
            url,
            token: given(&token).map(Secret::new),
            database: given(&database),
            sources: path,
            collection: given(&collection).unwrap_or_else(|| format!("pointsman_{}", name.replace('-', "_"))),
        }
    }
}

fn reranker(table: &Table<'_>) -> Option<Reranker> {
    let candidates = table.optional("rerank_candidates");
    let model = table.optional("reranker");
    if candidates.is_given() && !model.is_given() {
        candidates.wrong("belongs to a `reranker`: name a model of models.toml that serves \"rerank\"");
    }
    let candidates = candidates.integer(2..=200).unwrap_or(30);
    Some(Reranker { model: Arc::from(model.text()?), candidates: usize::try_from(candidates).ok()? })
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(plain) && name != DEFAULT_STORE
}
