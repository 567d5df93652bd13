//! The labelled examples of a task as a store of passages like any other: what a tenant may see of them can be searched.
//!
//! They are fed by answers, verdicts and `pointsman task`, not as documents, and so this store refuses to be fed.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use api::{Embed, Error, Fault, Findings, Passage, Tenant};
use knowledge::{Feed, FeedReport, Listed, Progress, Scope, SearchOptions, Stats, Store};
use serde_json::{Map, Value, json};

use super::labels::Kept;
use super::task::Task;
use crate::stores::{COVERED, Sight, scope};
use crate::wishes::Reach;

/// The examples that one tenant may see.
struct Examples {
    task: Arc<Task>,
    tenant: Arc<str>,
}

impl fmt::Debug for Examples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Examples").field("task", &self.task.name).field("tenant", &self.tenant).finish()
    }
}

/// What a request of `tenant` may see of the task's examples.
pub(crate) fn sight(task: Arc<Task>, tenant: &Tenant, reach: &Reach) -> Sight {
    // Examples lie in no folder: a scope of folders is about documents, and shuts them out.
    let options = SearchOptions {
        scope: scope(tenant, reach),
        filter: reach.filter.clone(),
        ..SearchOptions::default()
    };
    Sight {
        store: Arc::new(Examples { task, tenant: Arc::clone(&tenant.name) }),
        options,
        coverage_min: COVERED,
        reranker: None,
    }
}

impl Examples {
    fn seen(&self) -> Vec<Kept> {
        let mut seen = self.task.usable_labels();
        seen.retain(|kept| kept.label.tenant.is_empty() || *kept.label.tenant == *self.tenant);
        seen
    }
}

impl Store for Examples {
    fn search(
        &self,
        question: &str,
        vector: Option<&[f32]>,
        options: &SearchOptions,
    ) -> Result<Findings, Error> {
        if options.scope.folders().is_some() {
            return Ok(Findings::default());
        }
        let asked = words(question);
        let mut passages: Vec<Passage> = Vec::new();
        for kept in self.seen() {
            let attributes = attributes(&kept);
            if options.filter.as_ref().is_some_and(|filter| !filter.admits(&attributes)) {
                continue;
            }
            let cosine = match (vector, &kept.vector) {
                (Some(vector), Some(described)) => described.cosine(vector),
                _ => 0.0,
            };
            let shared = words(&kept.label.input).intersection(&asked).count() as f32;
            let overlap = shared / asked.len().max(1) as f32;
            let score = if vector.is_some() && kept.vector.is_some() { cosine } else { overlap };
            passages.push(Passage {
                file: name(&kept),
                section: String::new(),
                span: (0, kept.label.input.len()),
                text: kept.label.input.clone(),
                score: score.clamp(0.0, 1.0),
                bm25: 0.0,
                cosine,
                highlights: Vec::new(),
                attributes,
            });
        }
        passages.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.text.cmp(&b.text)));
        passages.truncate(options.passages_max);
        let coverage = passages.first().map_or(0.0, |passage| passage.score);
        Ok(Findings { passages, coverage })
    }

    fn stats(&self) -> Result<Stats, Error> {
        let seen = self.seen();
        let text_bytes = seen.iter().map(|kept| kept.label.input.len() as u64).sum();
        let count = seen.len() as u64;
        Ok(Stats {
            generation: None,
            documents: count,
            passages: count,
            text_bytes,
            file_bytes: None,
            segments: None,
            dimensions: 0,
        })
    }

    fn documents(&self, scope: &Scope, after: Option<&str>, limit: usize) -> Result<Vec<Listed>, Error> {
        if scope.folders().is_some() {
            return Ok(Vec::new());
        }
        let listed = |kept: &Kept| Listed {
            name: name(kept),
            hash: blake3::hash(kept.label.input.as_bytes()).to_hex().to_string(),
            passages: 1,
            attributes: attributes(kept),
        };
        let mut all: Vec<Listed> = self.seen().iter().map(listed).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.retain(|listed| after.is_none_or(|after| *listed.name > *after));
        all.truncate(limit);
        Ok(all)
    }

    fn feed(&self, _: &Feed<'_>, _: &dyn Embed, _: &dyn Fn(Progress)) -> Result<FeedReport, Error> {
        let message =
            "Examples of a task come from answers, verdicts (POST /v1/feedback) and `pointsman task label`.";
        Err(Error::new(Fault::Forbidden, "store_read_only", message))
    }
}

/// What an example is called: the same for the same request.
fn name(kept: &Kept) -> String {
    kept.label.id().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(kept: &Kept) -> Map<String, Value> {
    let mut attributes = Map::new();
    let truth = serde_json::to_value(&kept.label.truth).unwrap_or_default();
    let label = match truth {
        Value::String(_) | Value::Number(_) => truth,
        other => Value::String(other.to_string()),
    };
    attributes.insert("label".to_owned(), label);
    attributes.insert("by".to_owned(), json!(kept.label.by.name()));
    attributes
}

fn words(text: &str) -> HashSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}
