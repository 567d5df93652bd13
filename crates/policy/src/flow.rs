//! The ordered questions of a policy: from one to the next by yes and no, until a track is reached.
//!
//! Owns the order. Refuses ways back and questions that nothing leads to: both are found when the file is read.

use std::sync::Arc;

use api::{Step, Track};
use cel::Context;

use crate::catalogue::Model;
use crate::expression::{Expression, Threshold};
use crate::facts::{Name, Witness};

/// Where an answer leads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Turn {
    /// To the end.
    End(End),
    /// To a later question, by its place.
    Question(usize),
}

/// A track, and its targets where they are not those of the policy.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct End {
    pub(crate) track: Track,
    pub(crate) targets: Option<Arc<[Arc<Model>]>>,
}

impl From<Track> for Turn {
    fn from(track: Track) -> Self {
        Self::End(End { track, targets: None })
    }
}

/// A question of the operator's.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) id: String,
    pub(crate) ask: String,
    pub(crate) when: Expression,
    pub(crate) yes: Turn,
    pub(crate) no: Turn,
    /// With yes, the retrieved passages are declared to be right against what the model remembers.
    pub(crate) authoritative: bool,
}

/// The questions, or the one track of a policy that asks nothing.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) start: Turn,
    pub(crate) questions: Vec<Question>,
}

/// Where a request ended up, and how.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) end: End,
    pub(crate) authoritative: bool,
    /// The id of the question that decided.
    pub(crate) reason: Option<usize>,
    pub(crate) steps: Vec<Step>,
}

impl Flow {
    /// Every name that a question reads.
    pub(crate) fn reads(&self) -> impl Iterator<Item = Name> {
        self.questions.iter().flat_map(|question| question.when.reads().iter().copied())
    }

    /// Every way to end.
    pub(crate) fn ends(&self) -> impl Iterator<Item = &End> {
        let answers = self.questions.iter().flat_map(|question| [&question.yes, &question.no]);
        std::iter::once(&self.start).chain(answers).filter_map(|turn| match turn {
            Turn::End(end) => Some(end),
            Turn::Question(_) => None,
        })
    }

    /// Every number that a question compares a signal with.
    pub(crate) fn thresholds(&self) -> impl Iterator<Item = Threshold> {
        self.questions.iter().flat_map(|question| question.when.thresholds().iter().copied())
    }

    /// Asks the questions for the sake of what they read on the way that a request takes: `context` is told of it.
    pub(crate) fn follow(&self, context: &Context<'_, '_>) {
        let mut turn = &self.start;
        while let Turn::Question(place) = turn {
            let Some(question) = self.questions.get(*place) else { break };
            turn = if question.when.holds(context).unwrap_or(false) { &question.yes } else { &question.no };
        }
    }

    /// Asks the questions. Every turn leads onwards, so there are at most as many steps as questions.
    pub(crate) fn walk(&self, witness: &Witness<'_>, context: &Context<'_, '_>) -> Walk {
        let mut turn = &self.start;
        let nowhere = End { track: Track::External, targets: None };
        let mut walk = Walk { end: nowhere, authoritative: false, reason: None, steps: Vec::new() };
        while let Turn::Question(place) = turn {
            let Some(question) = self.questions.get(*place) else { break };
            let yes = question.ask(witness, context, &mut walk.steps);
            walk.reason = Some(*place);
            walk.authoritative = yes && question.authoritative;
            turn = if yes { &question.yes } else { &question.no };
        }
        if let Turn::End(end) = turn {
            walk.end = end.clone();
        }
        walk
    }
}

impl Question {
    /// A condition that fails on a request counts as not met; the step says that it failed.
    fn ask(&self, witness: &Witness<'_>, context: &Context<'_, '_>, steps: &mut Vec<Step>) -> bool {
        let answer = self.when.holds(context);
        let mut read: Vec<String> = witness.seen().into_iter().map(|name| witness.shown(name)).collect();
        let yes = answer.unwrap_or_else(|failure| {
            read.push(format!("failed: {failure}"));
            false
        });
        steps.push(Step { id: self.id.clone(), ask: self.ask.clone(), yes, read });
        yes
    }
}
