//! One request of a task: its input, what a version says of it or is to write, and the answer's form.
//!
//! Owns what the policy may know of it. Refuses to choose the version: the task does.

use std::sync::Arc;
use std::time::Instant;

use api::{ChatRequest, Completion, Embed, Error, TaskMatch, Usage, Vector};
use learn::task::Answer;
use serde_json::json;

use super::few::Shot;
use super::said::in_contract;
use super::task::{Task, in_share};
use super::tuned;
use super::version::Version;
use crate::house::now_ms;

/// p / (p + this) makes a likelihood of a conformal p-value: of requests like the examples 98 of 100 come out over 0.5.
const TAIL: f32 = 0.02;

/// What a version says of an input.
#[derive(Clone, Debug)]
pub(crate) struct Opinion {
    pub(crate) version: Arc<Version>,
    pub(crate) canary: bool,
    pub(crate) answer: Answer,
    /// The certificate covers it.
    pub(crate) accepted: bool,
}

/// A version that answers by writing, and is asked only when the plan comes to it.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) version: Arc<Version>,
    pub(crate) canary: bool,
}

/// A request that belongs to a task.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) task: Arc<Task>,
    pub(crate) input: String,
    /// What the encoder tells of the input ([`classify::Encoder::describe`]), where a version or examples needed it.
    pub(crate) vector: Option<Vector>,
    pub(crate) opinion: Option<Opinion>,
    /// The version that is to write its answer yet: an adapter.
    pub(crate) writer: Option<Writer>,
    /// Labelled examples for the prompt of a large model, where the task allows them and no opinion is accepted.
    pub(crate) shots: Vec<Shot>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Case").field("task", &self.task.name).finish_non_exhaustive()
    }
}

impl Case {
    /// What the certificate says, as a label of metrics.
    pub(crate) fn result(&self) -> &'static str {
        match &self.opinion {
            None if self.writer.is_some() => "tried",
            None => "untrained",
            Some(opinion) if !opinion.accepted => "unsure",
            Some(opinion) if opinion.canary => "canary",
            Some(_) => "accepted",
        }
    }

    /// What the policy may know of it.
    pub(crate) fn matched(&self) -> TaskMatch {
        // What an adapter would say is not known before it is asked: it is tried where its certificate is in force, and
        // an answer that this does not cover goes on.
        let tries = self.writer.as_ref().is_some_and(|writer| writer.version.certificate.in_force(now_ms()));
        let (typicality, accepted) = match &self.opinion {
            Some(opinion) => (opinion.answer.typicality, opinion.accepted),
            None => (f32::from(u8::from(tries)), tries),
        };
        TaskMatch {
            name: self.task.name.clone(),
            labels: self.task.label_count() as u64,
            in_distribution: typicality / (typicality + TAIL),
            accepted: f32::from(u8::from(accepted)),
        }
    }
}

/// What a version says, or that it has to be asked to write.
pub(crate) enum Named {
    Says(Box<Opinion>),
    Writes(Writer),
}

impl Writer {
    /// What the version writes, on a model that its adapter has been laid on.
    ///
    /// # Errors
    /// As [`tuned::ask`].
    pub(crate) async fn write(
        &self,
        task: &Task,
        model: &local::Model,
        input: &str,
        deadline: Instant,
    ) -> Result<Opinion, Error> {
        let Some(adapted) = self.version.adapter() else {
            return Err(Error::internal("a version that writes has an adapter"));
        };
        let answer = tuned::ask(model, &task.adapter_name(&self.version), adapted, input, deadline).await?;
        Ok(Opinion::of(&self.version, self.canary, answer))
    }
}

impl Opinion {
    /// An answer of a version, and whether its certificate covers it.
    pub(crate) fn of(version: &Arc<Version>, canary: bool, answer: Answer) -> Self {
        let accepted = version.certificate.accepts(answer.trust, now_ms());
        Self { version: Arc::clone(version), canary, answer, accepted }
    }

    /// Whether a decision belongs to the share of requests that certificates are tested on: of those that the version accepts
    /// and of those that it does not alike. A version on trial has everything to prove, and twice the share.
    pub(crate) fn is_drawn(&self, decision: &str, share: f32) -> bool {
        in_share(decision, if self.canary { (share * 2.0).min(1.0) } else { share })
    }

    /// The answer as a completion, in the form that the request asks for.
    pub(crate) fn completion(
        &self,
        task: &str,
        input: &str,
        request: &ChatRequest,
        encoder: &dyn Embed,
        id: &str,
        created: u64,
    ) -> Completion {
        let said = in_contract(&self.answer.said, request);
        let usage = Usage::exact(encoder.count_tokens(input) as u64, encoder.count_tokens(&said) as u64);
        let model = format!("{}{task}", policy::TASK_PREFIX);
        let mut completion = Completion::of_text(id, created, &model, said, usage);
        let details = json!({
            "label": self.answer.said,
            "confidence": self.answer.confidence,
            "typicality": self.answer.typicality,
            "accepted": self.accepted,
            "version": self.version.number,
        });
        completion.extra.insert("pointsman".to_owned(), details);
        completion
    }
}
