//! A streamed answer that its target broke off, continued by another call.
//!
//! Owns who may continue it and that the seam is exact: whitespace at the end of what has come is held back until a word
//! follows, so that what is continued never ends in it, and the call that continues writes its own. Refuses to let anybody
//! begin anew: a second answer glued to the first would be neither.

use std::collections::VecDeque;

use api::{BrokenStream, Chunk, Chunks, Error, Fault, Gather, Reply, Usage};
use futures_util::stream;
use models::Continuation;
use policy::{Continues, ModelKind};

use super::call::trace_headers;
use super::decide::Decided;
use crate::house::{Backend, now_s};

/// Who could continue an answer, and what has become of it.
pub(super) struct Resume {
    /// Models that continue a given beginning, the one that began first.
    targets: VecDeque<(String, How)>,
    /// Whitespace that has come and has not been passed on.
    held: String,
    /// What the calls that broke off have used, by estimate.
    before: Option<Usage>,
    bytes_before: usize,
}

/// How a model continues a given beginning.
#[derive(Clone, Copy)]
enum How {
    /// As its provider wants to be told.
    Provided(Continuation),
    /// In this process, where the prompt ends with the beginning.
    InProcess,
}

impl Resume {
    /// Who could continue the answer to `decided`; `None` where nobody could, or nobody should.
    pub(super) fn of(decided: &Decided) -> Option<Self> {
        if decided.plan.on_broken_stream != BrokenStream::Resume {
            return None;
        }
        let request = decided.sent.as_deref()?;
        if request.sampling.n > 1 || request.sampling.logprobs || request.tools {
            return None;
        }
        let began = &decided.ticket.record.model;
        let planned = decided.plan.targets.iter().map(|target| &target.model);
        let after = planned.skip_while(|model| *model != began).skip(1);
        let can = |model: &String| Some((model.clone(), continues(decided, model)?));
        let targets: VecDeque<_> = std::iter::once(began).chain(after).filter_map(can).collect();
        (!targets.is_empty()).then(|| Self { targets, held: String::new(), before: None, bytes_before: 0 })
    }

    /// Makes a chunk one of the answer that has begun, and holds back whitespace at its end.
    pub(super) fn fit(&mut self, chunk: &mut Chunk, answer: &Gather) {
        if self.before.is_some() {
            let (id, created, model) = answer.name();
            id.clone_into(&mut chunk.id);
            chunk.created = created;
            model.clone_into(&mut chunk.model);
        }
        for choice in &mut chunk.choices {
            if self.before.is_some() {
                choice.delta.role = None;
            }
            let ends = choice.finish_reason.is_some();
            let Some(text) = &mut choice.delta.content else {
                if ends && !self.held.is_empty() {
                    choice.delta.content = Some(std::mem::take(&mut self.held));
                }
                continue;
            };
            text.insert_str(0, &std::mem::take(&mut self.held));
            if !ends {
                self.held = text.split_off(text.trim_end().len());
            }
        }
    }

    /// Asks one after another who could continue `said`, the text that has been passed on; `cut` is what the call that
    /// broke off with `error` has used.
    pub(super) async fn go_on(
        &mut self,
        decided: &mut Decided,
        said: &str,
        cut: Usage,
        error: &Error,
    ) -> Option<Chunks> {
        if error.fault == Fault::UpstreamRefused {
            // What a provider does not want to say is not asked of another.
            return None;
        }
        self.held.clear();
        let new_bytes = said.len().saturating_sub(self.bytes_before);
        let cut = Usage::estimated(cut.prompt_tokens, new_bytes.div_ceil(4) as u64);
        while let Some((model, how)) = self.targets.pop_front() {
            let id = decided.ticket.id().to_owned();
            let house = decided.ticket.house.clone();
            let sent = decided.sent.as_deref()?.clone();
            let Ok(backend) = house.backend(&model) else { continue };
            if self.bytes_before < said.len() {
                // Once for each call that broke off, at the price of its model.
                decided.ticket.charge(&cut);
                self.add(&cut);
                self.bytes_before = said.len();
            }
            tracing::info!(%id, %model, %error, "an answer that broke off is continued");
            decided.ticket.attempt(&model);
            let trace = trace_headers(&decided.ticket);
            let deadline = decided.deadline();
            let asked = async {
                match (&*backend, how) {
                    (Backend::Upstream { upstream, id }, How::Provided(how)) => {
                        let request = models::continuing(&sent, said, how)?;
                        let answered = upstream.chat(id, &request, deadline, &trace).await?;
                        Ok(chunks(answered.reply))
                    }
                    (Backend::Llama(local), How::InProcess) => {
                        local.chat_from(&sent, said, &id, now_s(), &model, deadline)
                    }
                    _ => Err(Error::internal("the way to continue is another model's")),
                }
            };
            match decided.ticket.waiting(asked).await {
                Ok(rest) => return Some(rest),
                Err(error) => {
                    decided.ticket.failed_attempt();
                    tracing::info!(%id, %model, %error, "it could not be continued here");
                }
            }
        }
        None
    }

    /// Bytes of the answer that calls wrote which broke off.
    pub(super) fn bytes_before(&self) -> usize {
        self.bytes_before
    }

    /// The usage of the whole answer, of which the last call told `usage`: the beginning was part of its prompt.
    pub(super) fn together(&self, usage: Usage) -> Usage {
        match &self.before {
            Some(before) => {
                let completion = before.completion_tokens.saturating_add(usage.completion_tokens);
                Usage::estimated(before.prompt_tokens, completion)
            }
            None => usage,
        }
    }

    fn add(&mut self, cut: &Usage) {
        let before = self.before.get_or_insert_with(|| Usage::estimated(cut.prompt_tokens, 0));
        before.completion_tokens = before.completion_tokens.saturating_add(cut.completion_tokens);
    }
}

/// How a model continues a given beginning.
fn continues(decided: &Decided, model: &str) -> Option<How> {
    let model = decided.ticket.live.policies.catalogue().get(model)?;
    match &model.kind {
        ModelKind::Provided { provider, .. } => Some(How::Provided(match provider.continues? {
            Continues::Prefill => Continuation::Prefill,
            Continues::Prefix => Continuation::Prefix,
            Continues::FinalMessage => Continuation::FinalMessage,
        })),
        ModelKind::Llama { .. } => Some(How::InProcess),
        ModelKind::Task | ModelKind::Extractive => None,
    }
}

fn chunks(reply: Reply) -> Chunks {
    match reply {
        Reply::Whole(completion) => Box::pin(stream::iter(completion.into_chunks().into_iter().map(Ok))),
        Reply::Stream(rest) => rest,
    }
}
