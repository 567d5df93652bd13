//! Passages for an answer that must rest on them, and what a reader is given to read.

use std::sync::Arc;

use api::{ChatRequest, Completion, Error, Findings, Grounding, Usage, Vector};
use serde_json::{Value, json};

use super::Step;
use super::cite::{annotate, sources};
use super::decide::{Decided, Funded};
use crate::house::House;
use crate::stores::{COVERED, Sight};

/// A request whose passages, if its plan asks for any, have been fetched.
pub(crate) struct Grounded {
    pub(crate) decided: Decided,
    pub(crate) ground: Option<Ground>,
}

/// The passages that an answer must rest on.
pub(crate) struct Ground {
    pub(crate) grounding: Grounding,
    /// Below this coverage the passages do not answer.
    pub(crate) coverage_min: f32,
    pub(crate) question: String,
    pub(crate) vector: Vector,
    pub(crate) findings: Findings,
}

impl Funded {
    /// Fetches the passages that the plan asks for.
    pub(crate) async fn ground(self) -> Step<Grounded> {
        let Self(mut decided) = self;
        let Some(grounding) = decided.plan.grounding.clone() else {
            return Ok(Grounded { decided, ground: None });
        };
        let question = decided.request.last_user_text();
        let house = Arc::clone(&decided.ticket.house);
        let sight = house.decider.sight(&grounding.store, &decided.ticket.tenant, &decided.wishes.reach);
        let mut coverage_min = COVERED;
        let fetched = match sight {
            Ok(mut sight) => {
                coverage_min = grounding.coverage_min.unwrap_or(sight.coverage_min);
                sight.find(grounding.passages_max);
                let known = (decided.insight.vector.take(), decided.insight.findings.take());
                let reranker = sight.reranker.clone();
                match (fetch(house, sight, question.clone(), known).await, reranker) {
                    (Ok((vector, findings)), Some(reranker)) => {
                        Ok((vector, decided.rerank(&reranker, &question, findings).await))
                    }
                    (fetched, _) => fetched,
                }
            }
            Err(error) => Err(error),
        };
        decided.ticket.stage("ground");
        match fetched {
            Ok((vector, mut findings)) => {
                findings.passages.truncate(grounding.passages_max);
                let ground = Ground { grounding, coverage_min, question, vector, findings };
                Ok(Grounded { decided, ground: Some(ground) })
            }
            Err(error) => Err(decided.ticket.refuse(&error)),
        }
    }
}

async fn fetch(
    house: Arc<House>,
    sight: Sight,
    question: String,
    known: (Option<Vector>, Option<Findings>),
) -> Result<(Vector, Findings), Error> {
    if let (Some(vector), Some(findings)) = known {
        return Ok((vector, findings));
    }
    let work = move || -> Result<(Vector, Findings), Error> {
        let vector = match known.0 {
            Some(vector) => vector,
            None => house.decider.vector(&question)?,
        };
        let findings = sight.search(&question, &vector)?;
        Ok((vector, findings))
    };
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

impl Ground {
    /// Whether the passages are close enough to the question to answer from them.
    pub(crate) fn covers(&self) -> bool {
        !self.findings.passages.is_empty() && self.findings.coverage >= self.coverage_min
    }

    /// Says what is missing, instead of an answer.
    pub(crate) fn not_covered(&self, id: &str, created: u64) -> Completion {
        let mut nearest: Vec<&str> =
            self.findings.passages.iter().map(|passage| passage.file.as_str()).collect();
        nearest.dedup();
        nearest.truncate(3);
        let text = if nearest.is_empty() {
            "The index does not cover this: nothing in it shares a word or a meaning with the question."
                .to_owned()
        } else {
            format!(
                "The index does not cover this. The nearest documents ({}) do not answer the question; \
                 add one that does, or ask a model that knows the world.",
                nearest.join(", ")
            )
        };
        let mut completion = Completion::of_text(id, created, "extractive", text, Usage::estimated(0, 0));
        completion
            .extra
            .insert("pointsman".to_owned(), json!({ "covered": false, "coverage": self.findings.coverage }));
        let found = knowledge::cite(&self.findings);
        for choice in &mut completion.choices {
            let text = choice.message.content.as_deref().unwrap_or_default();
            annotate(&mut choice.message.extra, text, &found);
        }
        completion
    }

    /// The request that a model is sent as the reader: the instructions and the passages instead of the last question.
    pub(crate) fn request(&self, request: &ChatRequest) -> Result<ChatRequest, Error> {
        let prompt = knowledge::prompt(&self.question, &self.findings, self.grounding.authoritative);
        let mut body = request.body.clone();
        let Some(Value::Array(messages)) = body.get_mut("messages") else {
            return Err(Error::internal("a checked request has no messages"));
        };
        let last =
            messages.iter().rposition(|message| message.get("role").is_some_and(|role| role == "user"));
        match last.and_then(|place| messages.get_mut(place)).and_then(Value::as_object_mut) {
            Some(message) => {
                message.insert("content".to_owned(), Value::String(prompt));
            }
            None => messages.push(json!({ "role": "user", "content": prompt })),
        }
        // Nothing that a passage says may make a model call what the client offers: a reader only reads.
        for offered in ["tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"] {
            body.remove(offered);
        }
        ChatRequest::from_body(body)
    }

    /// Quotes the best sentences.
    pub(crate) fn quote(&self, house: &House, id: &str, created: u64) -> Result<Completion, Error> {
        let answer = knowledge::read_extractively(
            &self.question,
            &self.vector,
            &self.findings,
            &*house.decider.encoder,
            3,
        )?;
        let read: usize = self.findings.passages.iter().map(|passage| passage.text.len()).sum();
        let usage = Usage::estimated((read / 4) as u64, (answer.text.len() / 4) as u64);
        let listed = sources(&answer.citations, self.grounding.authoritative);
        let text = format!("{}{listed}", answer.reply());
        let mut completion = Completion::of_text(id, created, "extractive", text, usage);
        for choice in &mut completion.choices {
            let text = choice.message.content.as_deref().unwrap_or_default();
            annotate(&mut choice.message.extra, text, &answer.citations);
        }
        Ok(completion)
    }
}
