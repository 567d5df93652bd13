//! A decision as a person reads it: the questions and their answers, the targets and why the others lost, and the
//! smallest change of a signal that would have led elsewhere.

use std::fmt;
use std::fmt::Write;

use api::{BrokenStream, Candidate, Checks, Estimate, Plan, Shadow, Signal, Signals, Track, Value};

use crate::decide::shown;
use crate::expression::Threshold;
use crate::facts::{Conditions, Facts};
use crate::policy::Policy;

/// A plan as plain text of several lines.
pub fn explain(plan: &Plan, signals: &Signals) -> String {
    let mut text = String::new();
    // Writing to a text cannot fail.
    _ = write_plan(&mut text, plan, signals);
    text
}

fn write_plan(out: &mut String, plan: &Plan, signals: &Signals) -> fmt::Result {
    let first = plan.targets.first().map_or("nobody", |target| &target.model);
    writeln!(out, "{first}, on the {} track (policy {}, reason {})", plan.track, plan.policy, plan.reason)?;
    if let Some(degraded) = &plan.degraded {
        writeln!(out, "  but: {degraded}")?;
    }
    writeln!(out, "  may take {} and cost {} USD", shown(plan.deadline), plan.cost_ceiling)?;
    if plan.private {
        writeln!(out, "  stays on this host{}", private_kinds(signals))?;
    }
    if let Some(grounding) = &plan.grounding {
        let authority =
            if grounding.authoritative { ", which are right against what the model remembers" } else { "" };
        let passages = grounding.passages_max;
        let line =
            grounding.coverage_min.map_or("the store's line".to_owned(), |least| format!("{least:.2}"));
        let (store, check) =
            (&grounding.store, if grounding.checked { "; each sentence is checked" } else { "" });
        writeln!(
            out,
            "  rests on at most {passages} passages of the store `{store}`{authority}; not covered below {line}{check}"
        )?;
    }
    match plan.on_broken_stream {
        BrokenStream::Tell => {}
        BrokenStream::Hold => writeln!(out, "  holds a streamed answer until it is whole")?,
        BrokenStream::Resume => {
            writeln!(out, "  lets another call continue a streamed answer that breaks off")?;
        }
    }
    write_second_opinions(out, plan)?;
    write_steps(out, plan)?;
    write_targets(out, plan)?;
    let sure = signals.kind_confidence;
    let (kind, language) = (signals.kind, &signals.language);
    let (tokens_in, tokens_out) = (signals.tokens_in, signals.tokens_out);
    writeln!(
        out,
        "request: {kind} ({sure:.2} sure), language {language}, {tokens_in} tokens in, about {tokens_out} out"
    )
}

/// What makes the next target answer, and who answers besides.
fn write_second_opinions(out: &mut String, plan: &Plan) -> fmt::Result {
    let Checks { contract, whole, repetition, confidence_min } = plan.checks;
    let sure = confidence_min.map(|least| format!("is less sure than {least:.2}"));
    let faults: Vec<&str> = [
        contract.then_some("breaks its contract"),
        whole.then_some("is cut off by the target's limit"),
        repetition.then_some("repeats itself"),
        sure.as_deref(),
    ]
    .into_iter()
    .flatten()
    .collect();
    if plan.targets.len() > 1 && !faults.is_empty() {
        writeln!(out, "  asks the next target where an answer {}", faults.join(", or "))?;
    }
    let Some(shadow) = &plan.shadow else { return Ok(()) };
    let Shadow { model, share, usd_per_day } = shadow;
    writeln!(
        out,
        "  a share of {share} of such requests goes to {model} as well, for at most {usd_per_day} USD a day"
    )
}

fn private_kinds(signals: &Signals) -> String {
    let kinds: Vec<&str> = signals.private_kinds.iter().map(|kind| kind.name()).collect();
    if kinds.is_empty() { String::new() } else { format!(" (found: {})", kinds.join(", ")) }
}

fn write_steps(out: &mut String, plan: &Plan) -> fmt::Result {
    if plan.steps.is_empty() {
        return Ok(());
    }
    writeln!(out, "questions:")?;
    let width = plan.steps.iter().map(|step| step.id.len()).max().unwrap_or(0);
    for step in &plan.steps {
        let answer = if step.yes { "yes" } else { "no" };
        writeln!(out, "  {answer:<3}  {:<width$}  {}  [{}]", step.id, step.ask, step.read.join(", "))?;
    }
    Ok(())
}

fn write_targets(out: &mut String, plan: &Plan) -> fmt::Result {
    let width = plan.candidates.iter().map(|candidate| candidate.model.len()).max().unwrap_or(0);
    writeln!(out, "targets, in the order in which they are tried:")?;
    for target in &plan.targets {
        writeln!(out, "  {:<width$}  {}", target.model, estimate(&target.estimate))?;
    }
    let lost: Vec<&Candidate> =
        plan.candidates.iter().filter(|candidate| !candidate.lost.is_empty()).collect();
    if lost.is_empty() {
        return Ok(());
    }
    writeln!(out, "not taken:")?;
    for candidate in lost {
        writeln!(
            out,
            "  {:<width$}  {}: {}",
            candidate.model,
            estimate(&candidate.estimate),
            candidate.lost
        )?;
    }
    Ok(())
}

fn estimate(estimate: &Estimate) -> String {
    // Whoever has only the operator's guess has no evidence to tell of.
    let evidence = match estimate.evidence > 0.0 {
        true => format!(" (evidence {:.2})", estimate.evidence),
        false => String::new(),
    };
    format!(
        "quality {:.2}{evidence}, cost {} USD (at most {}), first token {}, whole {}",
        estimate.quality,
        estimate.cost,
        estimate.cost_max,
        shown(estimate.first_token),
        shown(estimate.whole)
    )
}

/// A change of one signal that would have led to another target.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The signal.
    pub signal: Signal,
    /// Its value.
    pub from: f64,
    /// The value that would have changed the choice.
    pub to: f64,
    /// The track of the other choice.
    pub track: Track,
    /// The first target of the other choice.
    pub model: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signal, from, to, track, model } = self;
        write!(
            f,
            "with {signal} at {} instead of {}, {model} on the {track} track",
            number(*to),
            number(*from)
        )
    }
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() >= 2.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

impl Policy {
    /// The smallest change of one signal under which this policy would have chosen another track or first target:
    /// tries both sides of every number that a question compares the signal with. `None` where no single signal
    /// decides, or where the request cannot be decided at all.
    pub fn nearest_change(
        &self,
        facts: &Facts<'_>,
        signals: &Signals,
        conditions: &Conditions<'_>,
    ) -> Option<Change> {
        let choice = |signals: &Signals| {
            let plan = self.decide(facts, signals, conditions).ok()?;
            let model = plan.targets.into_iter().next()?.model;
            Some((plan.track, model))
        };
        let chosen = choice(signals)?;
        let privacy = self.rules.privacy.private_data;
        let privacy = privacy.map(|at| Threshold { signal: Signal::PrivateData, at: f64::from(at) });
        let tried = self.flow.thresholds().chain(privacy).flat_map(|threshold| {
            let step = if matches!(signals.value(threshold.signal), Value::Count(_)) { 1.0 } else { 0.001 };
            [threshold.at - step, threshold.at, threshold.at + step].map(|to| (threshold.signal, to))
        });
        let changes = tried.filter_map(|(signal, to)| {
            let from = numeric(signals, signal)?;
            let (track, model) = choice(&with(signals, signal, to)?).filter(|other| *other != chosen)?;
            Some(Change { signal, from, to, track, model })
        });
        changes.min_by(|a, b| a.distance().total_cmp(&b.distance()))
    }
}

impl Change {
    /// How far the signal is from it: probabilities as they are, counts as shares of themselves.
    fn distance(&self) -> f64 {
        (self.to - self.from).abs() / self.from.abs().max(1.0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "only shown and compared with thresholds")]
fn numeric(signals: &Signals, signal: Signal) -> Option<f64> {
    match signals.value(signal) {
        Value::Text(_) => None,
        Value::Number(number) => Some(f64::from(number)),
        Value::Count(count) => Some(count as f64),
    }
}

/// The same signals with one of them at `to`, where it can have that value.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`to` is checked to be in range")]
pub(crate) fn with(signals: &Signals, signal: Signal, to: f64) -> Option<Signals> {
    let mut other = signals.clone();
    let count = (0.0..=1e15).contains(&to).then_some(to as u64);
    let share = (0.0..=1.0).contains(&to).then_some(to as f32);
    let place = match signal {
        Signal::Kind | Signal::Language | Signal::Task => return None,
        Signal::TokensIn => {
            other.tokens_in = count?;
            return Some(other);
        }
        Signal::TokensOut => {
            other.tokens_out = count?;
            return Some(other);
        }
        Signal::TaskLabels => {
            other.task.as_mut()?.labels = count?;
            return Some(other);
        }
        Signal::TaskInDistribution => &mut other.task.as_mut()?.in_distribution,
        Signal::TaskAccepted => &mut other.task.as_mut()?.accepted,
        Signal::KindConfidence => &mut other.kind_confidence,
        Signal::Mimicry => &mut other.mimicry,
        Signal::Reasoning => &mut other.reasoning,
        Signal::SeveralTasks => &mut other.several_tasks,
        Signal::Regression => &mut other.regression,
        Signal::Creative => &mut other.creative,
        Signal::Knowledge => &mut other.knowledge,
        Signal::ContextGiven => &mut other.context_given,
        Signal::ContextSufficient => &mut other.context_sufficient,
        Signal::Conflict => &mut other.conflict,
        Signal::TimeSensitive => &mut other.time_sensitive,
        Signal::PrivateData => &mut other.private_data,
        Signal::Injection => &mut other.injection,
        Signal::Noise => &mut other.noise,
        Signal::Coverage => &mut other.coverage,
    };
    *place = share?;
    Some(other)
}
