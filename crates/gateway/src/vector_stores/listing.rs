//! Which stores there are, and which documents they hold.

use api::{Error, Tenant};
use knowledge::{Listed, Stats};
use serde_json::{Value, json};

use super::naming::{missing, named};
use super::{Asker, blocking, file_id, page};
use crate::stores::{Sight, scope};
use crate::wishes::Reach;

/// Documents of one page; OpenAI's own limit, and its default.
const PAGE_MAX: usize = 100;
const PAGE: usize = 20;

impl Asker {
    /// `GET /v1/vector_stores`.
    pub(super) async fn stores(self) -> Result<Value, Error> {
        blocking(move || {
            let decider = &self.house.decider;
            let stores = decider.stores.iter().map(|kept| kept.settings.name.to_string());
            let tasks = decider.tasks.load();
            let tasks = tasks.iter().map(|task| format!("{}{}", policy::TASK_PREFIX, task.name));
            let names = stores.chain(tasks.collect::<Vec<_>>());
            let seen = names.filter_map(|name| {
                let sight = decider.sight(&name, &self.tenant, &Reach::default()).ok()?;
                Some(described(&name, &self.tenant, &sight))
            });
            Ok(page(&seen.collect::<Vec<_>>(), false))
        })
        .await
    }

    /// `GET /v1/vector_stores/{name}`.
    pub(super) async fn store(self, name: &str) -> Result<Value, Error> {
        let sight = self.house.decider.sight(name, &self.tenant, &self.reach)?;
        let name = name.to_owned();
        blocking(move || Ok(described(&name, &self.tenant, &sight))).await
    }

    /// `GET /v1/vector_stores/{name}/files`.
    pub(super) async fn documents(self, name: &str, query: &str) -> Result<Value, Error> {
        let sight = self.house.decider.sight(name, &self.tenant, &self.reach)?;
        let (limit, after) = wanted(query)?;
        let name = name.to_owned();
        blocking(move || {
            // One more than is shown tells whether there are more.
            let mut found = sight.store.documents(&sight.options.scope, after.as_deref(), limit + 1)?;
            let has_more = found.len() > limit;
            found.truncate(limit);
            let told: Vec<Value> = found.iter().map(|listed| told(&name, listed)).collect();
            Ok(page(&told, has_more))
        })
        .await
    }

    /// `GET /v1/vector_stores/{name}/files/{id}`.
    pub(super) async fn document(self, name: &str, id: &str) -> Result<Value, Error> {
        let listed = self.find(name, id).await?;
        Ok(told(name, &listed))
    }

    /// The document of an id, where the asker may see it.
    pub(super) async fn find(&self, store: &str, id: &str) -> Result<Listed, Error> {
        let sight = self.house.decider.sight(store, &self.tenant, &self.reach)?;
        let (document, id) = (named(id)?, id.to_owned());
        blocking(move || {
            let scope = scope_of(&sight, &document);
            let mut found = sight.store.documents(&scope, None, 1)?;
            found.pop().filter(|listed| listed.name == document).ok_or_else(|| missing(&id))
        })
        .await
    }
}

/// The scope that holds one document, and nothing where the asker may not see it.
fn scope_of(sight: &Sight, document: &str) -> knowledge::Scope {
    sight.options.scope.narrowed(&[document.to_owned()])
}

/// `limit` and `after` of a query string.
fn wanted(query: &str) -> Result<(usize, Option<String>), Error> {
    let (mut limit, mut after) = (PAGE, None);
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match key {
            "limit" => {
                let number = value.parse().ok().filter(|number| (1..=PAGE_MAX).contains(number));
                limit = number.ok_or_else(|| {
                    Error::field("limit", format!("`limit` must be a number from 1 to {PAGE_MAX}."))
                })?;
            }
            "after" => after = Some(named(value)?),
            // Lists are in the order of names; clients send these with their defaults.
            "order" | "filter" => {}
            _ => {
                let shown: String = key.chars().take(100).collect();
                return Err(Error::field(&shown, format!("`{shown}` is not known; allowed: limit, after.")));
            }
        }
    }
    Ok((limit, after))
}

fn described(name: &str, tenant: &Tenant, sight: &Sight) -> Value {
    // A tenant with a scope is not told how much lies outside of it.
    let whole = scope(tenant, &Reach::default()).folders().is_none();
    let stats = sight.store.stats();
    let status = if stats.is_ok() { "completed" } else { "expired" };
    let stats = stats.ok().filter(|_| whole);
    let count = |of: fn(&Stats) -> u64| stats.as_ref().map(of);
    let documents = count(|stats| stats.documents).unwrap_or_default();
    json!({
        "id": name,
        "object": "vector_store",
        "name": name,
        "status": status,
        "usage_bytes": count(|stats| stats.text_bytes).unwrap_or_default(),
        "file_counts": { "in_progress": 0, "completed": documents, "failed": 0, "cancelled": 0, "total": documents },
        "passages": count(|stats| stats.passages),
        "metadata": {},
    })
}

/// A document as OpenAI's clients read it.
pub(super) fn told(store: &str, listed: &Listed) -> Value {
    json!({
        "id": file_id(&listed.name),
        "object": "vector_store.file",
        "vector_store_id": store,
        "filename": listed.name,
        "status": "completed",
        "last_error": null,
        "attributes": listed.attributes,
        "passages": listed.passages,
        "hash": listed.hash,
    })
}
