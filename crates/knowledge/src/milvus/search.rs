//! Searching a collection: BM25 and HNSW in the cluster, fused and judged here as the embedded index does it.

use std::collections::{HashMap, HashSet};

use api::{Error, Fault, Findings, Passage};
use prost::Message;
use tantivy::DocAddress;

use crate::coverage::{Features, Near, PASSAGES_READ, Weighed};
use crate::fuse::{Fused, fuse};
use crate::highlight::Asked;
use crate::languages::Language;
use crate::search::{Ranking as Counts, Reading, SearchOptions};
use crate::words::{analyzer, question_words_in};

use super::collection::{ROWS_MAX, Served};
use super::expression::{admitting, list};
use super::layout::{self, Table};
use super::proto::{self, DSL_EXPRESSION, KeyValue, Placeholder, Placeholders, Query, kind};
use super::rpc::{Pending, Refused, Rpc};

/// The most different words of a question that are searched for; further ones are left out.
const WORDS_DIFFERENT_MAX: usize = 64;

/// The most words of a question that are searched for, repeats included.
const WORDS_MAX: usize = 256;

/// The least breadth of a search in the graph; it must not be below the number of candidates.
const BREADTH_MIN: usize = 128;

/// How often a question is asked while passages that it finds are taken out.
const TRIES: usize = 4;

/// The fields of a passage that is given back.
const SHOWN: &[&str] = &[
    layout::ID,
    layout::NAME,
    layout::SECTION,
    layout::BODY,
    layout::START,
    layout::END,
    layout::LANGUAGE,
    layout::ATTRIBUTES,
    layout::DENSE,
];

/// A question on its way through a collection.
pub(super) struct Asking<'a> {
    pub(super) rpc: &'a Rpc,
    pub(super) served: &'a Served,
    /// How much of what was written must be seen.
    pub(super) consistency: i32,
}

/// The keys that a ranking found, best first, with their scores.
type Ranking = Vec<(f32, String)>;

impl Asking<'_> {
    pub(super) fn search(
        self,
        question: &str,
        vector: Option<&[f32]>,
        options: &SearchOptions,
    ) -> Result<Findings, Refused> {
        if let Some(vector) = vector.filter(|vector| vector.len() != self.served.dimensions) {
            let detail =
                format!("a vector of {} numbers, the index has {}", vector.len(), self.served.dimensions);
            let error = Error::new(Fault::Internal, "wrong_vector", "The index is of another encoder.");
            return Err(Refused::Failed(error.with_detail(detail)));
        }
        let languages = self.served.languages.iter();
        let mut analyzers: Vec<_> = languages.map(|language| (*language, analyzer(*language))).collect();
        let words = bounded(question_words_in(&mut analyzers, question));
        let by_words: &[String] = if options.ranking == Counts::Vectors { &[] } else { &words };
        let by_vector = vector.filter(|_| options.ranking != Counts::Words);
        let weight_dense = if options.ranking == Counts::Vectors { 1.0 } else { options.weight_dense };
        let admitting = admitting(&options.scope, options.filter.as_ref()).map_err(Refused::Failed)?;
        let mut tries = TRIES;
        let (keys, bm25, dense, fused, fetched) = loop {
            let (bm25, dense) = match &admitting {
                Some(expression) => self.rank(by_words, by_vector, expression, options.candidates)?,
                None => (Ranking::new(), by_vector.map(|_| Ranking::new())),
            };
            let keys = Keys::of(&bm25, dense.as_deref());
            let (bm25, dense) = (keys.numbered(&bm25), dense.map(|dense| keys.numbered(&dense)));
            let mut fused = fuse(&bm25, dense.as_deref(), weight_dense);
            fused.truncate(options.passages_max.max(PASSAGES_READ));
            let first_by_words = bm25.first().map(|(_, place)| *place);
            let places = fused.iter().map(|fused| fused.place).chain(first_by_words);
            let fetched = self.fetch(&keys, places)?;
            tries -= 1;
            // A feed may have taken out what was found: what came in its place is found now.
            if tries == 0 || fused.iter().all(|fused| fetched.has(&keys, fused.place)) {
                break (keys, bm25, dense, fused, fetched);
            }
        };
        let first_by_words = bm25.first().map(|(_, place)| *place);
        let asked = Asked::new(words.iter().map(String::as_str));
        let mut reading = Reading { analyzers, asked, words: Vec::new() };
        let mut passages = Vec::with_capacity(fused.len());
        for fused in &fused {
            let found = keys.key(fused.place).and_then(|key| fetched.passage(key, fused, vector));
            if let Some((mut passage, language)) = found {
                reading.read(&mut passage, language);
                passages.push(passage);
            }
        }
        let near = vector.map(|vector| Near {
            by_vector: dense.as_ref().and_then(|dense| dense.first()).map_or(0.0, |(cosine, _)| *cosine),
            by_words: first_by_words
                .and_then(|place| fetched.cosine(keys.key(place)?, vector))
                .unwrap_or_default(),
        });
        let features = Features::of(near, &self.weighed(&words)?, self.served.idf(0), &reading.words);
        passages.truncate(options.passages_max);
        Ok(Findings { passages, coverage: options.estimate.probability(&features) })
    }

    /// Both rankings, asked for at once.
    fn rank(
        &self,
        words: &[String],
        vector: Option<&[f32]>,
        expression: &str,
        candidates: usize,
    ) -> Result<(Ranking, Option<Ranking>), Refused> {
        let candidates = candidates.min(ROWS_MAX);
        if candidates == 0 {
            return Ok((Ranking::new(), vector.map(|_| Ranking::new())));
        }
        let by_words = (!words.is_empty()).then(|| {
            let text: Vec<String> = words.iter().map(|word| layout::spelled(word)).collect();
            let text = Placeholder { kind: kind::VARCHAR, ..placeholder(text.join(" ").into_bytes()) };
            self.start(text, layout::SPARSE, "BM25", "{}", expression, candidates)
        });
        let by_vector = vector.map(|vector| {
            let bytes = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            let vector = Placeholder { kind: kind::FLOAT_VECTOR, ..placeholder(bytes) };
            let params = format!(r#"{{"ef":{}}}"#, candidates.max(BREADTH_MIN));
            self.start(vector, layout::DENSE, "COSINE", &params, expression, candidates)
        });
        let mut by_words = by_words.map(ranking).transpose()?.unwrap_or_default();
        // No score of BM25 is below 0, but milvus-lite 3.2 forgets to turn its distances back into scores.
        by_words.iter_mut().for_each(|(score, _)| *score = score.abs());
        Ok((by_words, by_vector.map(ranking).transpose()?))
    }

    fn start(
        &self,
        placeholder: Placeholder,
        field: &str,
        metric: &str,
        params: &str,
        expression: &str,
        limit: usize,
    ) -> Pending<proto::Searched> {
        let params = [
            ("anns_field", field.to_owned()),
            ("topk", limit.to_string()),
            ("metric_type", metric.to_owned()),
            ("params", params.to_owned()),
            ("round_decimal", String::from("-1")),
        ];
        self.rpc.start(proto::Search {
            collection: self.served.collection.clone(),
            expression: expression.to_owned(),
            placeholders: Placeholders { placeholders: vec![placeholder] }.encode_to_vec(),
            dsl: DSL_EXPRESSION,
            params: params.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect(),
            questions: 1,
            consistency: self.consistency,
        })
    }

    /// The rows at `places`.
    fn fetch(&self, keys: &Keys, places: impl Iterator<Item = DocAddress>) -> Result<Fetched, Refused> {
        let wanted: HashSet<&str> = places.filter_map(|place| keys.key(place)).collect();
        if wanted.is_empty() {
            return Ok(Fetched::default());
        }
        let queried = self.rpc.call(Query {
            collection: self.served.collection.clone(),
            expression: format!("{} in {}", layout::ID, list(wanted)),
            fields: SHOWN.iter().map(ToString::to_string).collect(),
            params: Vec::new(),
            consistency: self.consistency,
        })?;
        Ok(Fetched::of(Table(queried.columns)))
    }

    /// Different words, with their idf.
    fn weighed(&self, words: &[String]) -> Result<Vec<Weighed>, Refused> {
        let mut different = words.to_vec();
        different.sort_unstable();
        different.dedup();
        let having = self.served.frequencies(self.rpc, &different)?;
        let weighed = different.into_iter().zip(having);
        Ok(weighed.map(|(word, having)| Weighed { word, idf: self.served.idf(having) }).collect())
    }
}

fn placeholder(value: Vec<u8>) -> Placeholder {
    Placeholder { tag: String::from("$0"), kind: 0, values: vec![value] }
}

fn ranking(pending: Pending<proto::Searched>) -> Result<Ranking, Refused> {
    let hits = pending.wait()?.results.unwrap_or_default();
    let keys = hits.ids.and_then(|ids| ids.strings).unwrap_or_default().data;
    Ok(hits.scores.into_iter().zip(keys).collect())
}

/// The first words of a question, as many as may be searched for.
fn bounded(words: Vec<String>) -> Vec<String> {
    let mut different = HashSet::new();
    let mut kept = Vec::new();
    for word in words {
        if kept.len() >= WORDS_MAX {
            break;
        }
        if different.contains(&word) || different.len() < WORDS_DIFFERENT_MAX {
            different.insert(word.clone());
            kept.push(word);
        }
    }
    kept
}

/// Keys, numbered in their own order so that fusion takes them as it takes the places of an embedded index: ties are then told
/// apart by document and place, whatever the cluster's order was.
struct Keys(Vec<String>);

impl Keys {
    fn of(bm25: &[(f32, String)], dense: Option<&[(f32, String)]>) -> Self {
        let all = bm25.iter().chain(dense.unwrap_or_default());
        let mut keys: Vec<String> = all.map(|(_, key)| key.clone()).collect();
        keys.sort_unstable();
        keys.dedup();
        Self(keys)
    }

    fn numbered(&self, ranking: &[(f32, String)]) -> Vec<(f32, DocAddress)> {
        let number = |key: &String| u32::try_from(self.0.binary_search(key).ok()?).ok();
        ranking.iter().filter_map(|(score, key)| Some((*score, DocAddress::new(0, number(key)?)))).collect()
    }

    fn key(&self, place: DocAddress) -> Option<&str> {
        self.0.get(place.doc_id as usize).map(String::as_str)
    }
}

/// Rows by their keys.
#[derive(Default)]
struct Fetched {
    table: Option<Table>,
    rows: HashMap<String, usize>,
}

impl Fetched {
    fn of(table: Table) -> Self {
        let rows = table.texts(layout::ID).iter().enumerate().map(|(row, key)| (key.clone(), row)).collect();
        Self { table: Some(table), rows }
    }

    fn row(&self, key: &str) -> Option<(&Table, usize)> {
        Some((self.table.as_ref()?, *self.rows.get(key)?))
    }

    fn has(&self, keys: &Keys, place: DocAddress) -> bool {
        keys.key(place).is_some_and(|key| self.rows.contains_key(key))
    }

    /// `None` where the passage was taken out between the rankings and now.
    fn passage(&self, key: &str, fused: &Fused, vector: Option<&[f32]>) -> Option<(Passage, Language)> {
        let (table, row) = self.row(key)?;
        let span = |name| usize::try_from(table.number(name, row)).unwrap_or(usize::MAX);
        let passage = Passage {
            file: table.text(layout::NAME, row),
            section: table.text(layout::SECTION, row),
            span: (span(layout::START), span(layout::END)),
            text: table.text(layout::BODY, row),
            score: fused.score,
            bm25: fused.bm25,
            cosine: fused.cosine.or_else(|| self.cosine(key, vector?)).unwrap_or_default(),
            highlights: Vec::new(),
            attributes: table.attributes(row),
        };
        Some((passage, Language::with_code(&table.text(layout::LANGUAGE, row))))
    }

    fn cosine(&self, key: &str, vector: &[f32]) -> Option<f32> {
        let (table, row) = self.row(key)?;
        Some(api::cosine(table.vector(row), vector))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_questions_are_bounded() {
        let own = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(bounded(own(&["a", "b", "a"])), ["a", "b", "a"]);
        let many: Vec<String> = (0..1_000).map(|number| format!("w{}", number % 100)).collect();
        let kept = bounded(many);
        assert_eq!(kept.len(), WORDS_MAX);
        assert_eq!(kept.iter().collect::<HashSet<_>>().len(), WORDS_DIFFERENT_MAX);
    }
}
