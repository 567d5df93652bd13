//! The router: from outcomes to the probability that each model would answer one request well.
//!
//! Owns the training and the judgement. Refuses to choose: `policy` weighs probability against cost and latency.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::blend::{Scales, Trust};
use super::card::{Card, Foretold};
use super::experts::{Designs, Optics, View, consult};
use super::hearing::{Heard, Hearing};
use super::neighbours::{Neighbours, Point};
use super::outcome::{Table, Trial};
use super::surface::{Reach, Surface, Survey};
use crate::folds::{group_folds, stratified_folds};
use crate::linear::Linear;
use crate::unfit::Unfit;

/// With fewer trials than this nothing is measured: only kin are heard.
const MEASURED_MIN: usize = 50;
/// Folds of both measurements of trust.
const FOLDS: usize = 5;
/// Probabilities stay away from certainty by this much.
const DOUBT: f32 = 0.005;
/// A request less familiar than the first share of the trials is a stranger, above the second it is one of their kind. With
/// 0.05 for the second, a foreign set (hard MATH problems) loses 0.002 of area.
const HOME_SHARES: [f32; 2] = [0.01, 0.07];
/// The same shares of trials of groups left out, once experts have shown that they carry over to those. With 0.01 and 0.05,
/// subjects of MMLU left out lose 0.001 APGR and GSM8K 0.004.
const ABROAD_SHARES: [f32; 2] = [0.005, 0.02];
/// Fewer groups than this say nothing of the next one.
const GROUPS_MIN: usize = 8;
/// The least difference in familiarity between the two.
const RAMP_MIN: f32 = 0.02;

/// Predicts how well each model would answer. Stored and read back, it judges as before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Router {
    models: Vec<String>,
    ids: Vec<String>,
    priors: Vec<f32>,
    optics: Optics,
    lines: Vec<Linear>,
    surface: Surface,
    neighbours: Neighbours,
    measured: Option<Measured>,
    card: Card,
}

/// What held-out trials have taught.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Measured {
    trust: Trust,
    ramp: Ramp,
}

/// Scales familiarity: where a request lies among the trials themselves, each seen from outside.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Ramp {
    strange: f32,
    home: f32,
}

impl Ramp {
    fn fit(heard: &[Heard], shares: [f32; 2]) -> Self {
        let mut ascending: Vec<f32> = heard.iter().map(|heard| heard.opinion.familiarity).collect();
        ascending.sort_unstable_by(f32::total_cmp);
        let quantile =
            |share: f32| ascending.get((share * ascending.len() as f32) as usize).copied().unwrap_or(0.0);
        let [strange, home] = shares.map(quantile);
        Self { strange, home: home.max(strange + RAMP_MIN) }
    }

    /// 0 for a stranger, 1 at home, a straight line between.
    fn place(&self, familiarity: f32) -> f32 {
        ((familiarity - self.strange) / (self.home - self.strange)).clamp(0.0, 1.0)
    }
}

/// What is expected of each model on one request; all lists are in the order of [`Router::models`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// The probability that each model answers well, already drawn towards `prior` as far as evidence is wanting.
    pub good: Vec<f32>,
    /// What it would be if nothing were known of the request: the model's mean score.
    pub prior: Vec<f32>,
    /// How much of each estimate rests on outcomes of requests like this one: 0 nothing, 1 all. A caller with a prior of
    /// his own mixes: `evidence * good + (1 - evidence) * own`.
    pub evidence: Vec<f32>,
    /// The nearest trials by id with their similarities (1: the same), nearest first, at most ten.
    pub nearest: Vec<(String, f32)>,
}

impl Router {
    /// Learns from `trials`, however few; not every model need be in each. Vectors must be of one length. Folds and
    /// landmarks follow from `seed`. Less than eight CPU seconds for 8,052 trials of two models. Held out of a pool of many
    /// models, none of six sets fell more than 0.004 below choosing by the pool's mean scores; where those mislead (mbpp: 0.053 below the
    /// hindsight of the best single models), so does it.
    pub fn train(trials: &[Trial], seed: u64) -> Result<Self, Unfit> {
        let table = Table::new(trials)?;
        let prompts: Vec<&str> = trials.iter().map(|trial| trial.prompt.as_str()).collect();
        let vectors: Vec<Vec<f32>> = trials.iter().map(|trial| trial.vector.clone()).collect();
        check_vectors(&vectors)?;
        let reach = Reach::suited(distinct(trials), GROUPS_MIN);
        let optics = Optics::fit(&prompts, &vectors, reach, seed);
        let views: Vec<View> = trials.iter().map(|trial| optics.view(&trial.prompt, &trial.vector)).collect();
        let designs = Designs::new(&views, &optics)?;
        let (points, places): (Vec<Point>, Vec<Vec<f32>>) =
            views.into_iter().map(|view| (view.point, view.place)).unzip();
        let survey = Survey::new(&places, reach, seed);
        let all: Vec<usize> = (0..trials.len()).collect();
        let priors = table.priors(&all);
        let mut router = Self {
            ids: trials.iter().map(|trial| trial.id.clone()).collect(),
            models: table.models.clone(),
            lines: designs.lines(&table.scores, table.models.len(), &optics),
            surface: survey.surface(&table, &priors),
            neighbours: Neighbours::new(&points, &table),
            priors,
            optics,
            measured: None,
            card: Card { trials: trials.len(), ..Card::default() },
        };
        if trials.len() >= MEASURED_MIN {
            let neighbours = router.neighbours.clone();
            let hearing = Hearing {
                table: &table,
                designs: &designs,
                survey: &survey,
                neighbours: &neighbours,
                points: &points,
            };
            router.measure(trials, &hearing, seed);
        }
        Ok(router)
    }

    /// Holds trials out to learn whom to trust, and writes the card.
    fn measure(&mut self, trials: &[Trial], hearing: &Hearing<'_>, seed: u64) {
        let groups: Vec<String> = trials.iter().map(|trial| trial.group.clone()).collect();
        let distinct = distinct(trials);
        let seen = hearing.hold(&stratified_folds(&vec![0; trials.len()], FOLDS, seed));
        let unseen = match distinct {
            0 | 1 => Vec::new(),
            _ => hearing.hold(&group_folds(&groups, distinct.min(FOLDS), seed)),
        };
        let carried = distinct >= GROUPS_MIN && carries(&unseen, hearing.table);
        let ramp = if carried { Ramp::fit(&unseen, ABROAD_SHARES) } else { Ramp::fit(&seen, HOME_SHARES) };
        let mut scales = Scales::default();
        for heard in [&seen, &unseen] {
            for (row, heard) in heard.iter().enumerate() {
                let place = ramp.place(heard.opinion.familiarity);
                scales.add(heard.experts(), &heard.priors, hearing.table.row(row), place);
            }
        }
        self.measured = Some(Measured { trust: scales.trust(carried), ramp });
        let foretold = self.foretell(&seen);
        self.card.models = foretold.by_model(hearing.table);
        self.card.groups = foretold.by_group(hearing.table, trials);
        if !unseen.is_empty() {
            self.card.unseen = self.foretell(&unseen).by_group(hearing.table, trials);
        }
    }

    fn foretell(&self, heard: &[Heard]) -> Foretold {
        Foretold {
            estimates: heard.iter().flat_map(|heard| self.blend(heard).0).collect(),
            priors: heard.iter().flat_map(|heard| heard.priors.iter().copied()).collect(),
        }
    }

    /// The models, by name.
    pub fn models(&self) -> &[String] {
        &self.models
    }

    /// How it fared on held-out trials.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Judges one request by its prompt and the prompt's embedding. The scale is fixed: a request is judged alone as it
    /// would be among others.
    pub fn judge(&self, prompt: &str, vector: &[f32]) -> Judgement {
        let heard = self.hear(prompt, vector);
        let (good, evidence) = self.blend(&heard);
        let name = |&(row, near): &(usize, f32)| (self.ids.get(row).cloned().unwrap_or_default(), near);
        let nearest = heard.opinion.nearest.iter().map(name).collect();
        Judgement { good, prior: heard.priors, evidence, nearest }
    }

    fn hear(&self, prompt: &str, vector: &[f32]) -> Heard {
        let view = self.optics.view(prompt, vector);
        let mut said = consult(&self.lines, &view);
        let deviations = self.surface.ask(&view.place);
        said.push(self.priors.iter().zip(deviations).map(|(prior, deviation)| prior + deviation).collect());
        Heard { said, opinion: self.neighbours.ask(&view.point, &self.priors), priors: self.priors.clone() }
    }

    /// The estimates and the evidence for them: at home the experts', among strangers that of kin.
    fn blend(&self, heard: &Heard) -> (Vec<f32>, Vec<f32>) {
        let Heard { opinion, priors, .. } = heard;
        let familiarity = self.measured.map_or(0.0, |measured| measured.ramp.place(opinion.familiarity));
        let blended = match &self.measured {
            Some(measured) => measured.trust.blend(heard.experts(), priors, familiarity),
            None => priors.clone(),
        };
        let abroad = 1.0 - familiarity;
        let (mut good, mut evidence) = (blended, Vec::with_capacity(priors.len()));
        for (model, score) in good.iter_mut().enumerate() {
            *score += abroad * (opinion.kin[model] - priors[model]);
            *score = score.clamp(DOUBT, 1.0 - DOUBT);
            evidence.push(familiarity * opinion.evidence[model] + abroad * opinion.kin_evidence[model]);
        }
        (good, evidence)
    }
}

/// Groups among the trials.
fn distinct(trials: &[Trial]) -> usize {
    trials.iter().map(|trial| trial.group.as_str()).collect::<BTreeSet<_>>().len()
}

/// Whether experts, heard as if at home, say more of groups left out than the models' mean scores do.
fn carries(unseen: &[Heard], table: &Table) -> bool {
    let trust = Trust::untried();
    let error = |estimates: &[f32], truth: &[f32]| -> f64 {
        let squares =
            estimates.iter().zip(truth).map(|(estimate, score)| f64::from(estimate - score).powi(2));
        squares.filter(|square| square.is_finite()).sum()
    };
    let (mut blended, mut known) = (0.0, 0.0);
    for (row, heard) in unseen.iter().enumerate() {
        blended += error(&trust.blend(heard.experts(), &heard.priors, 1.0), table.row(row));
        known += error(&heard.priors, table.row(row));
    }
    blended < known
}

fn check_vectors(vectors: &[Vec<f32>]) -> Result<(), Unfit> {
    let width = vectors.first().map_or(0, Vec::len);
    for (row, vector) in vectors.iter().enumerate() {
        if vector.len() != width {
            return Err(Unfit::Ragged { row, found: vector.len(), expected: width });
        }
        if let Some(column) = vector.iter().position(|value| !value.is_finite()) {
            return Err(Unfit::NotFinite { row, column });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::random::Dice;
    use crate::routing::Outcome;

    /// "sums" are answered well by the model `a` alone, "poems" by `b` alone; every third trial knows only one of them.
    fn trials(count: usize) -> Vec<Trial> {
        let mut dice = Dice::new(3);
        (0..count)
            .map(|row| {
                let sums = row % 2 == 0;
                let score = |good: bool| Outcome { score: f64::from(u8::from(good)), cost: 1.0 };
                let mut models =
                    BTreeMap::from([("a".to_owned(), score(sums)), ("b".to_owned(), score(!sums))]);
                if row % 3 == 0 {
                    models.remove("b");
                }
                Trial {
                    id: row.to_string(),
                    group: if sums { "sums".into() } else { "poems".into() },
                    prompt: format!("{} number {row}", if sums { "add up the" } else { "write verses on" }),
                    vector: vector(sums, 0.3 * dice.normal()),
                    models,
                }
            })
            .collect()
    }

    fn vector(sums: bool, sway: f32) -> Vec<f32> {
        let angle = if sums { sway } else { 2.0 + sway };
        vec![angle.cos(), angle.sin(), 0.0, 0.0]
    }

    #[test]
    fn however_few_trials_there_are_the_estimates_are_sound() {
        for count in [1, 2, 5, 20, 100] {
            let router = Router::train(&trials(count), 0).unwrap();
            let judged = router.judge("add up the number 9", &vector(true, 0.1));
            assert!(judged.good.iter().all(|good| (0.0..=1.0).contains(good)), "{count}: {judged:?}");
            assert!(judged.evidence.iter().all(|share| (0.0..=1.0).contains(share)), "{count}: {judged:?}");
        }
        assert!(Router::train(&[], 0).is_err());
    }

    #[test]
    fn what_is_told_apart_is_learned_and_the_card_says_so() {
        let router = Router::train(&trials(200), 0).unwrap();
        assert_eq!(router.models(), ["a", "b"]);
        let judged = router.judge("add up the number 999", &vector(true, 0.0));
        assert!(judged.good[0] > 0.8 && judged.good[1] < 0.2, "{judged:?}");
        let card = router.card();
        assert!(card.models.iter().all(|standing| standing.gain() > 0.7), "{card:?}");
        assert_eq!((card.models[0].outcomes, card.models[1].outcomes), (200, 133));
        assert_eq!((card.groups.len(), card.unseen.len()), (2, 2));
    }

    #[test]
    fn training_twice_gives_the_same_router() {
        let stored = |seed| serde_json::to_string(&Router::train(&trials(80), seed).unwrap()).unwrap();
        assert_eq!(stored(4), stored(4));
    }
}
