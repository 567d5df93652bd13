//! What a target would give for a request, and what keeps it from being asked at all.
//!
//! Owns the arithmetic of quality, cost and latency. Refuses to weigh them against each other: that is `decide`'s.

use std::time::Duration;

use api::{Contract, Estimate, Signals, TaskMatch, Track, Usage};

use crate::catalogue::{Model, ModelKind, TASK_PREFIX};
use crate::facts::{Conditions, Facts};
use crate::policy::Retrieval;

/// Everything that an estimate is made of.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) facts: &'a Facts<'a>,
    pub(crate) signals: &'a Signals,
    pub(crate) conditions: &'a Conditions<'a>,
    /// The request names its model, which is then asked even for what is unlike its training data.
    pub(crate) named: bool,
    /// The plan reads passages.
    pub(crate) retrieval: Option<&'a Retrieval>,
    /// Why the request may not leave this host, where it may not.
    pub(crate) private: Option<&'static str>,
    pub(crate) task_in_distribution_min: f32,
}

/// Why a target cannot be asked, whatever the budgets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// The request may not leave this host.
    Private(&'static str),
    /// The request needs what the target cannot do.
    Need(String),
    /// The target is not there now; the text says what to set or to wait for.
    Unavailable(String),
    /// The tenant cannot pay the worst case.
    Funds(String),
}

impl Obstacle {
    /// The reason in a few words.
    pub(crate) fn told(&self) -> &str {
        match self {
            Self::Private(reason) => reason,
            Self::Need(reason) | Self::Unavailable(reason) | Self::Funds(reason) => reason,
        }
    }
}

impl Request<'_> {
    /// Tokens of the prompt, passages included.
    fn prompt_tokens(&self) -> u64 {
        let passages = self
            .retrieval
            .map_or(0, |retrieval| retrieval.passage_tokens.saturating_mul(retrieval.passages_max as u64));
        self.signals.tokens_in.saturating_add(passages)
    }

    /// Tokens expected in one answer.
    fn answer_tokens(&self, model: &Model) -> u64 {
        let wanted =
            self.facts.max_tokens.map_or(self.signals.tokens_out, |max| max.min(self.signals.tokens_out));
        wanted.min(model.output_tokens_max)
    }

    /// The longest that one answer can be: the request's limit, the model's, and what its context leaves.
    fn answer_tokens_max(&self, model: &Model) -> u64 {
        let room = model.context_tokens.saturating_sub(self.prompt_tokens()).min(model.output_tokens_max);
        self.facts.max_tokens.map_or(room, |max| max.min(room))
    }

    /// What `model` is expected to give.
    pub(crate) fn estimate(&self, model: &Model) -> Estimate {
        let prompt = self.prompt_tokens();
        let answers = u64::from(self.facts.n.max(1));
        let expected = self.answer_tokens(model);
        let longest = self.answer_tokens_max(model).max(expected);
        let cost = model.prices.cost(&Usage::exact(prompt, expected.saturating_mul(answers)));
        let cost_max = model.prices.cost(&Usage::exact(prompt, longest.saturating_mul(answers)));
        let (first_token, whole) = self.latency(model, prompt, expected);
        let (quality, evidence) = self.quality(model);
        Estimate { quality, evidence, cost, cost_max: cost_max.max(cost), first_token, whole }
    }

    /// The probability that the answer is good enough, and how much of it rests on evidence: from the operator's prior
    /// towards what was learned, as far as the evidence goes. Of a task's model that is what its certificate says, and only
    /// for the task's own requests.
    fn quality(&self, model: &Model) -> (f32, f32) {
        let prior = model.quality.of(self.signals.kind, self.retrieval.is_some());
        let (quality, evidence) = match (self.conditions.quality)(&model.name) {
            Some(learned) if learned.quality.is_finite() && learned.evidence.is_finite() => {
                let evidence = learned.evidence.clamp(0.0, 1.0);
                (shrunk(prior, learned.quality.clamp(0.0, 1.0), evidence), evidence)
            }
            _ => (prior, 0.0),
        };
        match (&model.kind, self.matching_task(model)) {
            (ModelKind::Task, None) if !self.named => (0.0, evidence),
            _ => (quality, evidence),
        }
    }

    /// Time to the first token and to the whole answer. What was observed takes the prior's place, but a long prompt
    /// is never thought to be read faster than the prior says: observations are of prompts of every length.
    fn latency(&self, model: &Model, prompt: u64, answer: u64) -> (Duration, Duration) {
        let prior = model.latency;
        let observed = (self.conditions.observed)(&model.name);
        let reading = times(prior.prompt_token, prompt);
        let search = self.retrieval.map_or(Duration::ZERO, |retrieval| retrieval.search);
        let first = match observed {
            Some(observed) => observed.first_token.max(reading),
            None => prior.first_token.saturating_add(reading),
        };
        let first = first.saturating_add(search);
        let per_token = observed.map_or(prior.per_token, |observed| observed.per_token);
        (first, first.saturating_add(times(per_token, answer)))
    }

    /// The task that the request belongs to, where `model` is its model.
    fn matching_task(&self, model: &Model) -> Option<&TaskMatch> {
        let name = model.name.strip_prefix(TASK_PREFIX)?;
        self.signals.task.as_ref().filter(|task| task.name == name)
    }

    /// What keeps `model` from being asked.
    pub(crate) fn obstacle(&self, model: &Model, estimate: &Estimate) -> Option<Obstacle> {
        if let Some(reason) = self.private.filter(|_| model.track == Track::External) {
            return Some(Obstacle::Private(reason));
        }
        if let Some(need) = self.unmet_need(model) {
            return Some(Obstacle::Need(need));
        }
        if self.retrieval.is_some() && !self.conditions.index_ready {
            return Some(Obstacle::Unavailable("there is no index yet: run `pointsman index build`".into()));
        }
        if let Some(missing) = model.missing() {
            return Some(Obstacle::Unavailable(missing.to_owned()));
        }
        if let Err(reason) = (self.conditions.available)(&model.name) {
            return Some(Obstacle::Unavailable(reason));
        }
        let short = self.conditions.funds_remaining.filter(|funds| estimate.cost_max > *funds);
        short.map(|funds| {
            let worst = estimate.cost_max;
            Obstacle::Funds(format!("may cost {worst} USD, more than the {funds} USD left in the budget"))
        })
    }

    fn unmet_need(&self, model: &Model) -> Option<String> {
        let (facts, supports) = (self.facts, model.supports);
        let json = matches!(facts.contract, Contract::JsonObject | Contract::JsonSchema(_));
        let needs = [
            (facts.tools && !supports.tools, "cannot call tools"),
            (facts.images && !supports.images, "cannot see images"),
            (facts.audio && !supports.audio, "cannot take sounds or files"),
            (facts.logprobs && !supports.logprobs, "gives no log-probabilities"),
            (json && !supports.json, "does not answer in JSON"),
            (
                facts.n > 1 && !matches!(model.kind, ModelKind::Provided { .. }),
                "gives one answer to a request",
            ),
        ];
        if let Some((_, need)) = needs.iter().find(|(unmet, _)| *unmet) {
            return Some((*need).to_owned());
        }
        let tokens = self.prompt_tokens().saturating_add(self.answer_tokens(model));
        if tokens > model.context_tokens {
            return Some(format!("takes {} tokens in all, and this needs {tokens}", model.context_tokens));
        }
        match model.kind {
            ModelKind::Extractive if self.retrieval.is_none() => {
                Some("reads passages, and there are none".into())
            }
            ModelKind::Task if !self.named => self.unlike_task(model),
            _ => None,
        }
    }

    fn unlike_task(&self, model: &Model) -> Option<String> {
        let Some(task) = self.matching_task(model) else {
            return Some("the request belongs to no task of this name".into());
        };
        let (like, least) = (task.in_distribution, self.task_in_distribution_min);
        // What is not a number is not like anything.
        if !like.is_finite() || like < least {
            return Some(format!(
                "the request is unlike its training data ({like:.2}, at least {least:.2} is needed)"
            ));
        }
        let covered = task.accepted.is_finite() && task.accepted >= 0.5;
        (!covered).then(|| "no certificate in force covers its answer to this request".to_owned())
    }
}

/// From `prior` to `learned`, as far as `evidence` goes. In `f64`, so that both ends are met.
#[expect(clippy::cast_possible_truncation, reason = "a probability needs no more digits than f32 has")]
fn shrunk(prior: f32, learned: f32, evidence: f32) -> f32 {
    let (prior, learned) = (f64::from(prior), f64::from(learned));
    (prior + f64::from(evidence) * (learned - prior)) as f32
}

/// `unit` so many times, at most 30 years.
#[expect(clippy::cast_precision_loss, reason = "nobody needs the last digit of a guessed latency")]
fn times(unit: Duration, count: u64) -> Duration {
    Duration::from_secs_f64((unit.as_secs_f64() * count as f64).min(1e9))
}
