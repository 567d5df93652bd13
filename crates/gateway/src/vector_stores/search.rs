//! `POST /v1/vector_stores/{name}/search`.

use api::{Error, Findings, parse_object};
use http::HeaderMap;
use hyper::body::Incoming;
use knowledge::{Filter, Ranking};
use serde_json::{Map, Value, json};

use super::{Asker, blocking, file_id};
use crate::exchange::read_json;

/// Results of one search; OpenAI's own limit, and its default.
const RESULTS_MAX: u64 = 50;
const RESULTS: u64 = 10;
/// Queries of one search are one question.
const QUERIES_MAX: usize = 8;

/// A checked search.
struct Asked {
    question: String,
    results_max: usize,
    filter: Option<Filter>,
    score_min: f32,
    ranking: Ranking,
}

impl Asker {
    /// Searches a store.
    pub(super) async fn search(
        mut self,
        name: &str,
        headers: &HeaderMap,
        body: Incoming,
    ) -> Result<Value, Error> {
        let bytes = read_json(headers, body, &self.house.decider.settings.limits).await?;
        let asked = Asked::from_body(&parse_object(&bytes)?)?;
        if let Some(filter) = asked.filter.clone() {
            // A header's filter and a body's both hold.
            self.reach.filter = Some(match self.reach.filter.take() {
                Some(own) => own.and(filter),
                None => filter,
            });
        }
        let mut sight = self.house.decider.sight(name, &self.tenant, &self.reach)?;
        sight.options.passages_max = asked.results_max;
        sight.options.ranking = asked.ranking;
        let house = self.house;
        blocking(move || {
            let vector = house.decider.vector(&asked.question)?;
            let findings = sight.search(&asked.question, &vector)?;
            Ok(told(&asked, &findings))
        })
        .await
    }
}

impl Asked {
    fn from_body(body: &Map<String, Value>) -> Result<Self, Error> {
        const KNOWN: [&str; 5] = ["query", "max_num_results", "filters", "ranking_options", "rewrite_query"];
        if let Some(unknown) = body.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            return Err(Error::field(
                unknown,
                format!("`{unknown}` is not known; allowed: {}.", KNOWN.join(", ")),
            ));
        }
        let question = question(body.get("query"))?;
        let results_max = match body.get("max_num_results") {
            None | Some(Value::Null) => RESULTS,
            Some(number) => {
                number.as_u64().filter(|number| (1..=RESULTS_MAX).contains(number)).ok_or_else(|| {
                    let allowed = format!("`max_num_results` must be a number from 1 to {RESULTS_MAX}.");
                    Error::field("max_num_results", allowed)
                })?
            }
        };
        let filter = match body.get("filters") {
            None | Some(Value::Null) => None,
            Some(filters) => Some(Filter::parse(filters, "filters")?),
        };
        if body.get("rewrite_query").is_some_and(|rewrite| *rewrite == Value::Bool(true)) {
            let message = "`rewrite_query` is not offered: the query is searched as it is.";
            return Err(Error::field("rewrite_query", message));
        }
        let (score_min, ranking) = ranking(body.get("ranking_options"))?;
        let results_max = usize::try_from(results_max).unwrap_or(usize::MAX);
        Ok(Self { question, results_max, filter, score_min, ranking })
    }
}

fn question(query: Option<&Value>) -> Result<String, Error> {
    let wrong =
        || Error::field("query", format!("`query` must be a text, or an array of 1 to {QUERIES_MAX} texts."));
    let question = match query {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(texts)) if (1..=QUERIES_MAX).contains(&texts.len()) => {
            let texts: Option<Vec<&str>> = texts.iter().map(Value::as_str).collect();
            texts.ok_or_else(wrong)?.join("\n")
        }
        _ => return Err(wrong()),
    };
    if question.trim().is_empty() { Err(wrong()) } else { Ok(question) }
}

/// `ranking_options`: how much a result must score, and what ranks.
fn ranking(options: Option<&Value>) -> Result<(f32, Ranking), Error> {
    let options = match options {
        None | Some(Value::Null) => return Ok((0.0, Ranking::Hybrid)),
        Some(Value::Object(options)) => options,
        Some(_) => return Err(Error::field("ranking_options", "`ranking_options` must be an object.")),
    };
    let score_min = match options.get("score_threshold") {
        None | Some(Value::Null) => 0.0,
        Some(score) => score.as_f64().filter(|score| (0.0..=1.0).contains(score)).ok_or_else(|| {
            let param = "ranking_options.score_threshold";
            Error::field(param, format!("`{param}` must be a number from 0 to 1."))
        })?,
    };
    let ranking = match options.get("ranker").map(|ranker| ranker.as_str().unwrap_or_default()) {
        None | Some("auto" | "hybrid" | "none" | "default-2024-11-15") => Ranking::Hybrid,
        Some("bm25") => Ranking::Words,
        Some("dense") => Ranking::Vectors,
        Some(_) => {
            let param = "ranking_options.ranker";
            return Err(Error::field(param, format!("`{param}` may be auto, hybrid, bm25 or dense.")));
        }
    };
    #[expect(clippy::cast_possible_truncation, reason = "a share")]
    Ok((score_min as f32, ranking))
}

/// What was found, as OpenAI's clients read it, with what they do not know beside it.
fn told(asked: &Asked, findings: &Findings) -> Value {
    let enough = findings.passages.iter().filter(|passage| passage.score >= asked.score_min);
    let data: Vec<Value> = enough
        .map(|passage| {
            json!({
                "file_id": file_id(&passage.file),
                "filename": passage.file,
                "score": passage.score,
                "attributes": passage.attributes,
                "content": [{ "type": "text", "text": passage.text }],
                "section": passage.section,
                "start_index": passage.span.0,
                "end_index": passage.span.1,
                "highlights": passage.highlights,
                "bm25": passage.bm25,
                "cosine": passage.cosine,
            })
        })
        .collect();
    json!({
        "object": "vector_store.search_results.page",
        "search_query": [asked.question],
        "data": data,
        "has_more": false,
        "next_page": null,
        "coverage": findings.coverage,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_search_is_told_by_its_field() {
        for (body, param) in [
            (json!({}), "query"),
            (json!({"query": " "}), "query"),
            (json!({"query": ["a", 1]}), "query"),
            (json!({"query": "a", "max_num_results": 0}), "max_num_results"),
            (json!({"query": "a", "max_num_results": 51}), "max_num_results"),
            (json!({"query": "a", "rewrite_query": true}), "rewrite_query"),
            (json!({"query": "a", "filters": {}}), "filters.type"),
            (
                json!({"query": "a", "ranking_options": {"score_threshold": 2}}),
                "ranking_options.score_threshold",
            ),
            (json!({"query": "a", "ranking_options": {"ranker": "x"}}), "ranking_options.ranker"),
        ] {
            let body = body.as_object().expect("an object");
            let error = Asked::from_body(body).err().expect("wrong");
            assert_eq!(error.param.as_deref(), Some(param), "{body:?}");
        }
    }
}
