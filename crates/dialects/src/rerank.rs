//! Documents by how well they answer a query: Cohere's rerank (v2), as Jina, vLLM, llama.cpp and Infinity have it too.
//!
//! Owns the reading of a request, the provider's body, the reading of the ranks and the answer to the client. Refuses by
//! name what it would have to drop, and refuses ranks of documents that were not asked about, twice the same, or fewer
//! than were asked for.
//!
//! **Kept here.** Documents are given back (`return_documents`) from the request and never asked of the provider: Cohere's
//! v2 no longer knows the field, Jina answers with them unless told otherwise, and they would be sent for nothing.
//! Servers differ in whether they sort and whether they cut at `top_n`: the ranks are sorted and cut here.

use api::{Error, Usage};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::fields::{Others, take, take_count, take_flag, take_text};
use crate::foreign::{foreign, unsupported};
use crate::{Trouble, Wire, counted};

/// Documents of one request; Cohere's own limit.
const DOCUMENTS_MAX: usize = 1_000;

/// A checked rerank request.
#[derive(Clone, Debug, PartialEq)]
pub struct RerankRequest {
    /// A model or an alias.
    pub model: String,
    /// What is asked, not empty.
    pub query: String,
    /// What might answer it: 1 to 1,000 texts.
    pub documents: Vec<String>,
    /// How many of the best are wanted, from 1; `None` for all.
    pub top_n: Option<usize>,
    /// The client wants the documents back beside their scores.
    pub return_documents: bool,
    /// Whatever else came, in its order: `max_tokens_per_doc`.
    pub extra: Map<String, Value>,
}

/// One document and its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Its place in the request.
    pub index: usize,
    /// How well it answers the query; finite. What a number means is the model's own matter.
    pub score: f64,
}

/// Documents as a provider ranked them.
#[derive(Clone, Debug, PartialEq)]
pub struct Reranked {
    /// The best first, each document at most once.
    pub results: Vec<Ranked>,
    /// The tokens that the provider counted.
    pub usage: Option<Usage>,
    /// What it bills instead of tokens, as Cohere does.
    pub search_units: Option<f64>,
}

impl RerankRequest {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// A 400 naming the first field that is not what it should be and what is allowed.
    pub fn from_body(mut body: Map<String, Value>) -> Result<Self, Error> {
        let model = take_text(&mut body, "model")?;
        let query = take_text(&mut body, "query")?;
        let documents = documents(take(&mut body, "documents"))?;
        let top_n = take_count(&mut body, "top_n", u32::MAX)?;
        let top_n = top_n.map(|top_n| usize::try_from(top_n).unwrap_or(usize::MAX));
        let return_documents = take_flag(&mut body, "return_documents")?.unwrap_or(false);
        Ok(Self { model, query, documents, top_n, return_documents, extra: body })
    }

    /// How many ranks are wanted: `top_n`, or as many as there are documents.
    pub fn wanted(&self) -> usize {
        self.top_n.unwrap_or(usize::MAX).min(self.documents.len())
    }
}

fn documents(given: Option<Value>) -> Result<Vec<String>, Error> {
    match given {
        Some(Value::Array(list)) if (1..=DOCUMENTS_MAX).contains(&list.len()) => {
            list.into_iter().enumerate().map(|(place, value)| document(place, value)).collect()
        }
        Some(_) => {
            let allowed = format!("`documents` must be an array of 1 to {DOCUMENTS_MAX} texts.");
            Err(Error::field("documents", allowed))
        }
        None => Err(Error::field("documents", "`documents` is missing.")),
    }
}

fn document(place: usize, value: Value) -> Result<String, Error> {
    let at = format!("documents[{place}]");
    let wrong = "A document must be a string or an object with a `text`.";
    match value {
        Value::String(text) => Ok(text),
        Value::Object(mut fields) => match (take(&mut fields, "text"), fields.keys().next()) {
            (Some(Value::String(text)), None) => Ok(text),
            (Some(Value::String(_)), Some(key)) => {
                let message = "Only the `text` of a document is ranked; join what should count into it.";
                Err(Error::field(format!("{at}.{key}"), message))
            }
            _ => Err(Error::field(format!("{at}.text"), wrong)),
        },
        _ => Err(Error::field(at, wrong)),
    }
}

impl Reranked {
    /// The best `wanted` of them.
    ///
    /// # Errors
    /// There are fewer.
    pub fn best(mut self, wanted: usize) -> Result<Self, Trouble> {
        let given = self.results.len();
        if given < wanted {
            return Err(Trouble::garbage(format!("{given} ranks of {wanted}")));
        }
        self.results.truncate(wanted);
        Ok(self)
    }

    /// The answer `id` as Cohere's and Jina's clients read it, from `model`.
    pub fn body(&self, id: &str, request: &RerankRequest, model: &str) -> Value {
        let results: Vec<Value> = self
            .results
            .iter()
            .map(|Ranked { index, score }| {
                let mut result = json!({ "index": index, "relevance_score": score });
                if let Some(text) = request.documents.get(*index).filter(|_| request.return_documents) {
                    result["document"] = json!({ "text": text });
                }
                result
            })
            .collect();
        let mut body = json!({ "id": id, "model": model, "results": results });
        let mut meta = Map::new();
        if let Some(usage) = &self.usage {
            body["usage"] = counted::told(usage);
            meta.insert("tokens".to_owned(), json!({ "input_tokens": usage.prompt_tokens }));
        }
        if let Some(units) = self.search_units {
            meta.insert("billed_units".to_owned(), json!({ "search_units": units }));
        }
        body["meta"] = Value::Object(meta);
        body
    }
}

impl Wire {
    /// The body of a rerank request for the provider's model `model`.
    ///
    /// # Errors
    /// A 400 with the code `unsupported_by_target`, naming what only another dialect has words for, or `model` where this
    /// one has no rerank.
    pub fn rerank_body(self, request: &RerankRequest, model: &str) -> Result<Bytes, Error> {
        self.ranks()?;
        foreign(&request.extra, "")?;
        let RerankRequest { query, documents, .. } = request;
        let top_n = request.top_n.map(|_| request.wanted());
        let extra = Others(&request.extra);
        let body = Asked { model, query, documents, top_n, extra };
        serde_json::to_vec(&body).map(Bytes::from).map_err(Error::internal)
    }

    /// Reads the ranks of `documents` documents.
    ///
    /// # Errors
    /// It is an error, or names a document that was not sent, or one twice, or a score that is not finite.
    pub fn reranked(self, body: &[u8], documents: usize) -> Result<Reranked, Trouble> {
        let answer: Answer =
            serde_json::from_slice(body).map_err(|problem| counted::no_answer(body, &problem))?;
        if let Some(error) = answer.error {
            return Err(Trouble::InBand(error));
        }
        let mut seen = vec![false; documents];
        for Ranked { index, score } in &answer.results {
            match seen.get_mut(*index) {
                None => return Err(Trouble::garbage(format!("a document {index} of {documents}"))),
                Some(seen) if *seen => return Err(Trouble::garbage(format!("the document {index} twice"))),
                Some(seen) => *seen = true,
            }
            if !score.is_finite() {
                return Err(Trouble::garbage("a score that is not finite"));
            }
        }
        let mut results = answer.results;
        // Equal scores stay in the order of the provider.
        results.sort_by(|one, other| other.score.total_cmp(&one.score));
        let usage = counted::usage(answer.usage.as_ref()).or_else(|| {
            let tokens = answer.meta.pointer("/tokens/input_tokens").and_then(Value::as_f64)?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
            let tokens = tokens as u64;
            Some(Usage::exact(tokens, 0))
        });
        let search_units = answer.meta.pointer("/billed_units/search_units").and_then(Value::as_f64);
        Ok(Reranked { results, usage, search_units })
    }

    /// Refuses where this dialect has no rerank.
    pub(crate) fn ranks(self) -> Result<(), Error> {
        match self {
            Self::Chat | Self::Responses => Ok(()),
            Self::Azure | Self::Gemini | Self::Messages => Err(self.lacks("rerank")),
        }
    }

    /// This dialect has no `what` at all.
    pub(crate) fn lacks(self, what: &str) -> Error {
        let who = match self {
            Self::Chat => "OpenAI's chat",
            Self::Responses => "OpenAI's responses",
            Self::Azure => "Azure's OpenAI",
            Self::Gemini => "Gemini",
            Self::Messages => "Anthropic's messages",
        };
        let message = format!(
            "This request's target speaks {who}, which has no {what}. Name a model of another provider."
        );
        unsupported("model", message)
    }
}

#[derive(Serialize)]
struct Asked<'a> {
    model: &'a str,
    query: &'a str,
    documents: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    top_n: Option<usize>,
    #[serde(flatten)]
    extra: Others<'a>,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Ranked>,
    usage: Option<Value>,
    #[serde(default)]
    meta: Value,
    error: Option<Value>,
}

impl<'de> Deserialize<'de> for Ranked {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Beside it some servers send the document, each in a form of its own.
        #[derive(Deserialize)]
        struct Result {
            index: usize,
            #[serde(alias = "score")]
            relevance_score: f64,
        }
        let Result { index, relevance_score: score } = Result::deserialize(deserializer)?;
        Ok(Self { index, score })
    }
}
