//! The collections of a store: the one that its name, an alias, stands for, and the new one that a build makes.
//!
//! A collection says in a property, and in its description, which encoder and layout made it. Its own name is the alias's with the
//! time of its making, so that two builds never write into one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use api::{Error, Fault};
use prost::Message;
use serde::{Deserialize, Serialize};

use crate::languages::Language;

use super::layout::{self, Table};
use super::proto::{
    AlterAlias, CreateAlias, CreateCollection, CreateIndex, DescribeCollection, DropCollection, Flush,
    GetLoadState, KeyValue, LOADED, LoadCollection, Query, ShowCollections, consistency,
};
use super::rpc::{Refused, Rpc};

/// The property that says what a collection is.
const MARK: &str = "pointsman";

/// How long what is known of a collection is believed: by then another process may have built a new one.
const BELIEVED: Duration = Duration::from_secs(5);

/// Words whose frequency is remembered.
const WORDS_REMEMBERED_MAX: usize = 4_096;

/// How often it is asked whether a collection is loaded.
const LOAD_PAUSE: Duration = Duration::from_millis(50);

/// How long a collection may take to be loaded: a cluster reads it from its object storage.
const LOAD_DEADLINE: Duration = Duration::from_secs(600);

/// The most rows that one query may give: Milvus's own limit.
pub(super) const ROWS_MAX: usize = 16_384;

/// What made a collection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Mark {
    layout: u32,
    embedder: String,
    dimensions: usize,
}

impl Mark {
    pub(super) fn new(embedder: &str, dimensions: usize) -> Self {
        Self { layout: layout::VERSION, embedder: embedder.to_owned(), dimensions }
    }

    /// Why a collection of this mark cannot be searched with `embedder`, where it cannot.
    fn stale(&self, embedder: &str) -> Option<String> {
        if self.layout != layout::VERSION {
            let (its, ours) = (self.layout, layout::VERSION);
            return Some(format!("its layout is {its} and this program's is {ours}"));
        }
        let its = &self.embedder;
        (its != embedder).then(|| format!("its vectors are of `{its}` and this encoder is `{embedder}`"))
    }
}

/// The collection that a store's name stands for.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) collection: String,
    pub(super) dimensions: usize,
    /// Passages, when it was asked.
    pub(super) passages: u64,
    seen: Instant,
    /// That its passages are written in.
    pub(super) languages: Vec<Language>,
    /// In how many passages a word stands.
    frequencies: Mutex<HashMap<String, u64>>,
}

impl Served {
    /// Whether it may still be so.
    pub(super) fn is_fresh(&self) -> bool {
        self.seen.elapsed() < BELIEVED
    }

    /// Its number: the time of its making.
    pub(super) fn generation(&self) -> Option<u64> {
        made_at(&self.collection)
    }

    /// The idf, as BM25 has it, of a word that `having` passages have.
    pub(super) fn idf(&self, having: u64) -> f32 {
        let (passages, having) = (self.passages.max(having) as f32, having as f32);
        (1.0 + (passages - having + 0.5) / (having + 0.5)).ln()
    }

    /// In how many passages each of `words` stands.
    ///
    /// Milvus keeps these figures for BM25 and tells nobody. A count of the passages whose words match gives the same;
    /// all counts are under way at once, and are remembered as long as the collection is believed.
    pub(super) fn frequencies(&self, rpc: &Rpc, words: &[String]) -> Result<Vec<u64>, Refused> {
        let known = |word: &String| self.remembered().get(word).copied();
        let asked: Vec<_> = words
            .iter()
            .map(|word| match known(word) {
                Some(having) => Ok(having),
                None => {
                    let expression = format!("text_match({}, \"{}\")", layout::WORDS, layout::spelled(word));
                    Err(rpc.start(count(&self.collection, expression, consistency::BOUNDED)))
                }
            })
            .collect();
        let mut all = Vec::with_capacity(words.len());
        for (word, asked) in words.iter().zip(asked) {
            let having = match asked {
                Ok(having) => having,
                Err(pending) => counted(&Table(pending.wait()?.columns)),
            };
            let mut remembered = self.remembered();
            if remembered.len() < WORDS_REMEMBERED_MAX {
                remembered.insert(word.clone(), having);
            }
            all.push(having);
        }
        Ok(all)
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashMap<String, u64>> {
        self.frequencies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a store's name stands for.
#[derive(Debug)]
pub(super) enum Found {
    /// A collection for this encoder.
    Served(Served),
    /// One of another encoder or layout.
    Stale { collection: String, why: String },
    /// None.
    Missing,
}

/// Looks up what `alias` stands for.
///
/// # Errors
/// The cluster cannot be asked, or the name is that of a collection that is not ours.
pub(super) fn find(rpc: &Rpc, alias: &str, embedder: &str) -> Result<Found, Error> {
    match looked_up(rpc, alias, embedder) {
        // It was replaced this moment.
        Err(Refused::NotFound(_)) => Ok(looked_up(rpc, alias, embedder)?),
        found => Ok(found?),
    }
}

fn looked_up(rpc: &Rpc, alias: &str, embedder: &str) -> Result<Found, Refused> {
    let described = match rpc.call(DescribeCollection { collection: alias.to_owned() }) {
        Ok(described) => described,
        Err(Refused::NotFound(_)) => return Ok(Found::Missing),
        Err(refused) => return Err(refused),
    };
    let collection = described.collection;
    if collection == alias {
        let message = "The name of this store is that of a collection in the cluster that Pointsman did not make: choose another name.";
        let error = Error::new(Fault::Unavailable, "store_name_taken", message);
        return Err(Refused::Failed(error.with_detail(collection)));
    }
    let property = described.properties.iter().find(|property| property.key == MARK);
    let description = described.schema.map(|schema| schema.description);
    let mark = property.map(|property| property.value.clone()).or(description).unwrap_or_default();
    let Ok(mark) = serde_json::from_str::<Mark>(&mark) else {
        return Ok(Found::Stale { collection, why: String::from("it does not say which encoder made it") });
    };
    if let Some(why) = mark.stale(embedder) {
        return Ok(Found::Stale { collection, why });
    }
    let count = |expression: String| rpc.start(count(&collection, expression, consistency::BOUNDED));
    let all = count(String::new());
    let of_language = |language: &Language| count(format!("{} == \"{}\"", layout::LANGUAGE, language.code()));
    let mut of_languages: Vec<_> = Language::ALL.iter().map(of_language).rev().collect();
    let passages = counted(&Table(all.wait()?.columns));
    let languages = Language::among(passages, |_| match of_languages.pop() {
        Some(pending) => Ok(counted(&Table(pending.wait()?.columns))),
        None => Ok::<u64, Refused>(0),
    })?;
    Ok(Found::Served(Served {
        collection,
        dimensions: mark.dimensions,
        passages,
        languages,
        seen: Instant::now(),
        frequencies: Mutex::default(),
    }))
}

/// Makes a new, empty collection that can be written to and searched.
pub(super) fn create(rpc: &Rpc, alias: &str, mark: &Mark) -> Result<String, Error> {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
    let collection = format!("{alias}_{now}");
    let told = serde_json::to_string(mark).map_err(Error::internal)?;
    rpc.call(CreateCollection {
        collection: collection.clone(),
        schema: layout::schema(&collection, told.clone(), mark.dimensions).encode_to_vec(),
        consistency: consistency::BOUNDED,
        properties: vec![KeyValue::new(MARK, told)],
    })?;
    for (field, params) in layout::indexes() {
        let field = field.to_owned();
        rpc.call(CreateIndex { collection: collection.clone(), field, params })?;
    }
    load(rpc, &collection)?;
    Ok(collection)
}

/// Has a collection loaded, and waits until it is.
fn load(rpc: &Rpc, collection: &str) -> Result<(), Error> {
    let started = Instant::now();
    rpc.call(LoadCollection { collection: collection.to_owned() })?;
    while rpc.call(GetLoadState { collection: collection.to_owned() })?.state != LOADED {
        if started.elapsed() > LOAD_DEADLINE {
            let message = "The cluster that holds the index did not load it in time.";
            return Err(Error::new(Fault::UpstreamTimeout, "store_timeout", message).with_detail(collection));
        }
        std::thread::sleep(LOAD_PAUSE);
    }
    Ok(())
}

/// Has what was written sealed and indexed soon. It is durable, and found, without that.
pub(super) fn flush(rpc: &Rpc, collection: &str) {
    if let Err(refused) = rpc.insist(&Flush { collections: vec![collection.to_owned()] }) {
        let error = Error::from(refused);
        tracing::warn!(%error, collection, "Milvus did not take the request to flush; it flushes by itself later");
    }
}

/// Makes `alias` stand for `collection` from one moment to the next, and drops the older collections of this store: the
/// one that served until now when nobody can be searching it any more.
pub(super) fn publish(rpc: &Rpc, alias: &str, collection: &str, before: Option<&str>) -> Result<(), Error> {
    let (name, stands_for) = (alias.to_owned(), collection.to_owned());
    match before {
        Some(_) => rpc.call(AlterAlias { alias: name, collection: stands_for })?,
        None => rpc.call(CreateAlias { alias: name, collection: stands_for })?,
    };
    if let Some(before) = before {
        // Where this process ends before, the next rebuild does it.
        drop(rpc.start_after(BELIEVED + rpc.deadline(), DropCollection { collection: before.to_owned() }));
    }
    // What cannot be dropped now costs space, not correctness; the next build tries again.
    if let Err(error) = sweep(rpc, alias, collection, before) {
        tracing::warn!(%error, alias, "older collections of a store could not be dropped");
    }
    Ok(())
}

/// Drops what older builds of this store left, but for the collection that served until now.
fn sweep(rpc: &Rpc, alias: &str, served: &str, before: Option<&str>) -> Result<(), Error> {
    let newest = made_at(served);
    for name in rpc.call(ShowCollections {})?.collections {
        let is_of_store = name.rsplit_once('_').is_some_and(|(stem, _)| stem == alias);
        let is_older = made_at(&name).is_some_and(|made| Some(made) < newest);
        if is_of_store && is_older && Some(name.as_str()) != before {
            discard(rpc, &name)?;
        }
    }
    Ok(())
}

/// Drops a collection.
pub(super) fn discard(rpc: &Rpc, collection: &str) -> Result<(), Error> {
    rpc.call(DropCollection { collection: collection.to_owned() })?;
    Ok(())
}

/// When a collection was made, in milliseconds since 1970.
fn made_at(collection: &str) -> Option<u64> {
    collection.rsplit_once('_').and_then(|(_, made)| made.parse().ok())
}

/// A question for the number of rows that `expression` is true of.
pub(super) fn count(collection: &str, expression: String, consistency: i32) -> Query {
    let fields = vec![String::from("count(*)")];
    Query { collection: collection.to_owned(), expression, fields, params: Vec::new(), consistency }
}

/// What a [`count`] was answered.
pub(super) fn counted(table: &Table) -> u64 {
    table.number("count(*)", 0)
}

/// Hands all rows that `expression` is true of to `take`, page by page in the order of their keys.
pub(super) fn for_each_page(
    rpc: &Rpc,
    collection: &str,
    expression: &str,
    fields: &[&str],
    take: &mut dyn FnMut(&Table) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut after: Option<String> = None;
    loop {
        let table = page(rpc, collection, expression, fields, after.as_deref(), ROWS_MAX)?;
        let rows = table.texts(layout::ID).len();
        take(&table)?;
        if rows < ROWS_MAX {
            return Ok(());
        }
        after = table.texts(layout::ID).last().cloned();
    }
}

/// At most `limit` rows that `expression` is true of, whose keys are above `after`, in the order of their keys.
pub(super) fn page(
    rpc: &Rpc,
    collection: &str,
    expression: &str,
    fields: &[&str],
    after: Option<&str>,
    limit: usize,
) -> Result<Table, Error> {
    use super::expression::quoted;
    let above = format!("{} > {}", layout::ID, quoted(after.unwrap_or_default()));
    let expression = if expression.is_empty() { above } else { format!("({expression}) and {above}") };
    let params = [
        ("limit", limit.to_string()),
        ("iterator", "True".to_owned()),
        ("reduce_stop_for_best", "True".to_owned()),
    ];
    let queried = rpc.call(Query {
        collection: collection.to_owned(),
        expression,
        fields: fields.iter().map(ToString::to_string).collect(),
        params: params.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect(),
        consistency: consistency::STRONG,
    })?;
    Ok(Table(queried.columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_encoder_or_layout_is_stale() {
        let mark = Mark::new("minilm-1", 384);
        assert_eq!(mark.stale("minilm-1"), None);
        assert!(mark.stale("minilm-2").unwrap().contains("minilm-2"));
        assert!(Mark { layout: 0, ..mark.clone() }.stale("minilm-1").unwrap().contains("layout"));
        let told = serde_json::to_string(&mark).unwrap();
        assert_eq!(serde_json::from_str::<Mark>(&told).unwrap(), mark);
    }

    #[test]
    fn a_collection_is_named_by_the_time_of_its_making() {
        let check = |name: &str, made: Option<u64>| assert_eq!(made_at(name), made);
        check("manuals_1795460000000", Some(1_795_460_000_000));
        check("my_manuals_7", Some(7));
        check("manuals", None);
        check("my_manuals", None);
    }
}
