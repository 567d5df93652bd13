//! The last order of what a store has found: by a model that reads each passage beside the question.
//!
//! Owns when such a model is asked, and what it costs. Refuses to let an answer fail for it: where it cannot be asked, the
//! order of the search stays.

use std::time::{Duration, Instant};

use api::{Error, Findings, Money, Passage, Track, Usage};
use dialects::{RerankRequest, Reranked};

use super::call::trace_headers;
use super::decide::Decided;
use super::service::tokens_in;
use crate::house::Backend;
use crate::settings::Reranker;

/// A better order is not worth waiting for longer.
const DEADLINE: Duration = Duration::from_secs(5);
/// A passage is cut to what an encoder reads, which is not longer.
const PASSAGE_TOKENS_MAX: u64 = 512;

impl Decided {
    /// The most that ranking the passages may cost; `None` where nobody is asked.
    pub(super) fn rerank_cost_max(&self) -> Option<Money> {
        let grounding = self.plan.grounding.as_ref()?;
        let sight =
            self.ticket.house.decider.sight(&grounding.store, &self.ticket.tenant, &self.wishes.reach);
        let reranker = sight.ok()?.reranker.filter(|reranker| self.may_ask(reranker))?;
        let passages = reranker.candidates as u64;
        let question = self.insight.signals.tokens_in.saturating_mul(passages);
        let tokens = question.saturating_add(PASSAGE_TOKENS_MAX.saturating_mul(passages));
        Some(self.ticket.live.prices(&reranker.model).cost(&Usage::estimated(tokens, 0)))
    }

    /// The passages in the order of the reranker; as they are where it fails or may not be asked.
    pub(super) async fn rerank(
        &mut self,
        reranker: &Reranker,
        question: &str,
        findings: Findings,
    ) -> Findings {
        if findings.passages.len() < 2 || !self.may_ask(reranker) {
            return findings;
        }
        match self.ask_reranker(reranker, question, &findings).await {
            Ok(ranked) => ordered(findings, &ranked),
            Err(error) => {
                let id = self.ticket.id();
                tracing::warn!(%id, model = %reranker.model, %error, "the passages stay in the order of the search");
                findings
            }
        }
    }

    /// Whether the passages may be shown to it.
    fn may_ask(&self, reranker: &Reranker) -> bool {
        let service = self.ticket.live.policies.catalogue().service(&reranker.model);
        service.is_some_and(|service| !self.plan.private || service.track != Track::External)
    }

    async fn ask_reranker(
        &mut self,
        reranker: &Reranker,
        question: &str,
        findings: &Findings,
    ) -> Result<Reranked, Error> {
        let request = RerankRequest {
            model: reranker.model.to_string(),
            query: question.to_owned(),
            documents: findings.passages.iter().map(read).collect(),
            top_n: None,
            return_documents: false,
            extra: serde_json::Map::new(),
        };
        let house = self.ticket.house.clone();
        let backend = house.backend(&reranker.model)?;
        let Backend::Upstream { upstream, id } = &*backend else {
            return Err(Error::internal("the reranker cannot be asked as things are"));
        };
        let deadline = self.deadline().min(Instant::now() + DEADLINE);
        let trace = trace_headers(&self.ticket);
        let asked = upstream.rerank(id, &request, deadline, &trace);
        let ranked = self.ticket.waiting(asked).await?.value;
        let tokens = || {
            let read = request.documents.iter().map(String::as_str);
            let questions = tokens_in([question]).saturating_mul(request.documents.len() as u64);
            Usage::estimated(tokens_in(read).saturating_add(questions), 0)
        };
        let usage = ranked.usage.clone().unwrap_or_else(tokens);
        self.ticket.charge_aside(&reranker.model, &usage);
        Ok(ranked)
    }
}

/// What the reranker reads of a passage: its headings say what it is about.
fn read(passage: &Passage) -> String {
    match passage.section.as_str() {
        "" => passage.text.clone(),
        section => format!("{section}\n{}", passage.text),
    }
}

/// The passages in the order of their ranks; those without one, which a provider may leave out, come after.
fn ordered(findings: Findings, ranked: &Reranked) -> Findings {
    let Findings { passages, coverage } = findings;
    let mut passages: Vec<Option<Passage>> = passages.into_iter().map(Some).collect();
    let mut order: Vec<Passage> =
        ranked.results.iter().filter_map(|result| passages.get_mut(result.index)?.take()).collect();
    order.extend(passages.into_iter().flatten());
    Findings { passages: order, coverage }
}

#[cfg(test)]
mod tests {
    use dialects::Ranked;

    use super::*;

    #[test]
    fn passages_without_a_rank_stay_behind_the_others() {
        let passage = |file: &str| Passage {
            file: file.to_owned(),
            section: String::new(),
            span: (0, 1),
            text: file.to_owned(),
            score: 1.0,
            bm25: 0.0,
            cosine: 0.0,
            highlights: Vec::new(),
            attributes: serde_json::Map::new(),
        };
        let findings = Findings { passages: ["a", "b", "c", "d"].map(passage).into(), coverage: 0.7 };
        let results = [2, 0, 9].map(|index| Ranked { index, score: 0.5 }).into();
        let ranked = Reranked { results, usage: None, search_units: None };
        let ordered = ordered(findings, &ranked);
        let files: Vec<&str> = ordered.passages.iter().map(|passage| passage.file.as_str()).collect();
        assert_eq!((files, ordered.coverage), (vec!["c", "a", "b", "d"], 0.7));
    }
}
