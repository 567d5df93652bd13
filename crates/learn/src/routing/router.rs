//! The router: from outcomes to the probability that each model would answer one request well.
//!
//! Owns the training and the judgement. Refuses to choose: `policy` weighs probability against cost and latency.

use serde::{Deserialize, Serialize};

use super::blend::{ABROAD, AT_HOME, Scales, Trust};
use super::card::{Card, Foretold};
use super::clusters::clusters;
use super::experts::{Designs, EXPERTS, LINES, NAMES, Optics, View, consult};
use super::neighbours::{Neighbours, Point};
use super::outcome::{Table, Trial};
use crate::folds::{group_folds, split, stratified_folds};
use crate::linear::Linear;
use crate::unfit::Unfit;

/// With fewer trials than this nothing is measured: the neighbours speak alone.
const MEASURED_MIN: usize = 50;
/// Folds of both measurements of trust.
const FOLDS: usize = 5;
/// Probabilities stay away from certainty by this much.
const DOUBT: f32 = 0.005;
/// A request less familiar than the first share of the trials is judged as alien, at the second as one from abroad, above
/// the third as one of their kind. Too strict costs little (MMLU 0.69 instead of 0.70 when all are judged as if from
/// abroad), too lax much (GSM8K after MMLU 0.55 instead of 0.62).
const ALIEN_SHARE: f32 = 0.02;
const ABROAD_SHARE: f32 = 0.1;
const AT_HOME_SHARE: f32 = 0.35;
/// The least difference in familiarity between two of these.
const RAMP_MIN: f32 = 0.02;

/// Predicts how well each model would answer. Stored and read back, it judges as before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Router {
    models: Vec<String>,
    ids: Vec<String>,
    priors: Vec<f32>,
    optics: Optics,
    lines: Vec<Linear>,
    neighbours: Neighbours,
    home: Trust,
    abroad: Trust,
    ramp: Ramp,
    card: Card,
}

/// Scales familiarity: where a request lies among the trials themselves, each seen from outside.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Ramp {
    alien: f32,
    abroad: f32,
    home: f32,
}

impl Ramp {
    fn fit(ascending: &[f32]) -> Self {
        let quantile =
            |share: f32| ascending.get((share * ascending.len() as f32) as usize).copied().unwrap_or(0.0);
        let alien = quantile(ALIEN_SHARE);
        let abroad = quantile(ABROAD_SHARE).max(alien + RAMP_MIN);
        Self { alien, abroad, home: quantile(AT_HOME_SHARE).max(abroad + RAMP_MIN) }
    }

    /// 0 for what is alien, 0.5 for what is abroad, 1 for what is at home, straight lines between.
    fn place(&self, familiarity: f32) -> f32 {
        let along = |from: f32, to: f32| ((familiarity - from) / (to - from)).clamp(0.0, 1.0);
        f32::midpoint(along(self.alien, self.abroad), along(self.abroad, self.home))
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
    /// Learns from `trials`, however few; not every model need be in each. Vectors must be of one length. Folds and random
    /// features follow from `seed`. About twelve CPU seconds for 8,052 trials of two models. On requests unlike the trials it
    /// can do harm: held out of a pool of many models it fell 0.125 (mbpp) and 0.266 (math-l5) below no routing at all.
    pub fn train(trials: &[Trial], seed: u64) -> Result<Self, Unfit> {
        let table = Table::new(trials)?;
        let prompts: Vec<&str> = trials.iter().map(|trial| trial.prompt.as_str()).collect();
        let vectors: Vec<Vec<f32>> = trials.iter().map(|trial| trial.vector.clone()).collect();
        let width = vectors.first().map_or(0, Vec::len);
        if let Some(row) = vectors.iter().position(|vector| vector.len() != width) {
            return Err(Unfit::Ragged { row, found: vectors[row].len(), expected: width });
        }
        let optics = Optics::fit(&prompts, &vectors, seed);
        let views: Vec<View> = trials.iter().map(|trial| optics.view(&trial.prompt, &trial.vector)).collect();
        let designs = Designs::new(&views, &optics)?;
        let points: Vec<Point> = views.iter().map(|view| view.point.clone()).collect();
        let neighbours = Neighbours::new(&points, &table);
        let all: Vec<usize> = (0..trials.len()).collect();
        let lines = designs.lines(&views, &table.scores, table.models.len(), optics.columns(width));
        let mut router = Self {
            ids: trials.iter().map(|trial| trial.id.clone()).collect(),
            priors: table.priors(&all),
            models: table.models.clone(),
            lines,
            optics,
            neighbours,
            home: Trust::neighbours(),
            abroad: Trust::neighbours(),
            ramp: Ramp::fit(&[]),
            card: Card { trials: trials.len(), ..Card::default() },
        };
        if trials.len() >= MEASURED_MIN {
            router.measure(trials, &table, &designs, &points, seed);
        }
        Ok(router)
    }

    /// Holds trials out to learn whom to trust, and writes the card.
    fn measure(&mut self, trials: &[Trial], table: &Table, designs: &Designs, points: &[Point], seed: u64) {
        let hearing = Hearing { table, designs, neighbours: &self.neighbours, points };
        let (mut like, mut unlike) = (Scales::default(), Scales::default());
        let seen = hearing.hold(&stratified_folds(&vec![0; trials.len()], FOLDS, seed), &mut like);
        hearing.hold(&regions(points, seed), &mut unlike);
        let unseen = groups(trials, seed).map(|assigned| hearing.hold(&assigned, &mut unlike));
        self.home = like.trust(&AT_HOME);
        self.abroad = unlike.trust(&ABROAD);
        self.ramp = Ramp::fit(&familiarities(&seen));
        let foretold = self.foretell(&seen);
        self.card.models = foretold.by_model(table);
        self.card.groups = foretold.by_group(table, trials);
        self.card.unseen =
            unseen.map(|heard| self.foretell(&heard).by_group(table, trials)).unwrap_or_default();
    }

    fn foretell(&self, heard: &[Heard]) -> Foretold {
        let estimate = |heard: &Heard| self.blend(heard.experts(), &heard.priors, heard.familiarity);
        Foretold {
            estimates: heard.iter().flat_map(estimate).collect(),
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

    /// What each expert counts for at home and abroad, by the expert's name: for telling difficulty, for telling
    /// models apart.
    pub fn trust(&self) -> Vec<(&'static str, [f32; 2], [f32; 2])> {
        (0..EXPERTS)
            .map(|place| {
                let pair = |trust: &Trust| [trust.difficulty[place], trust.comparison[place]];
                (NAMES[place], pair(&self.home), pair(&self.abroad))
            })
            .collect()
    }

    /// What each expert alone says of a request, for explanations: the score of every model.
    pub fn experts(&self, prompt: &str, vector: &[f32]) -> Vec<(&'static str, Vec<f32>)> {
        let view = self.optics.view(prompt, vector);
        let mut said = consult(&self.lines, &view);
        said.push(self.neighbours.ask(&view.point, &self.priors).scores);
        NAMES.into_iter().zip(said).collect()
    }

    /// Judges one request by its prompt and the prompt's embedding. The scale is fixed: a request is judged alone as it
    /// would be among others.
    pub fn judge(&self, prompt: &str, vector: &[f32]) -> Judgement {
        let view = self.optics.view(prompt, vector);
        let opinion = self.neighbours.ask(&view.point, &self.priors);
        let lines = consult(&self.lines, &view);
        let experts = [&lines[0][..], &lines[1], &lines[2], &lines[3], &lines[4], &opinion.scores];
        let name = |&(row, near): &(usize, f32)| (self.ids.get(row).cloned().unwrap_or_default(), near);
        Judgement {
            good: self.blend(experts, &self.priors, opinion.familiarity),
            prior: self.priors.clone(),
            evidence: opinion.evidence,
            nearest: opinion.nearest.iter().map(name).collect(),
        }
    }

    fn blend(&self, experts: [&[f32]; EXPERTS], priors: &[f32], familiarity: f32) -> Vec<f32> {
        let place = self.ramp.place(familiarity);
        let trust = if place >= 0.5 {
            self.abroad.towards(&self.home, 2.0 * place - 1.0)
        } else {
            Trust::alien().towards(&self.abroad, 2.0 * place)
        };
        let blended = trust.blend(experts, priors);
        blended.into_iter().map(|score| score.clamp(DOUBT, 1.0 - DOUBT)).collect()
    }
}

/// What the experts say of a trial that they were not shown.
struct Heard {
    said: Vec<Vec<f32>>,
    priors: Vec<f32>,
    familiarity: f32,
}

impl Heard {
    fn experts(&self) -> [&[f32]; EXPERTS] {
        std::array::from_fn(|place| self.said.get(place).map_or(&[][..], Vec::as_slice))
    }
}

fn familiarities(heard: &[Heard]) -> Vec<f32> {
    let mut all: Vec<f32> = heard.iter().map(|heard| heard.familiarity).collect();
    all.sort_unstable_by(f32::total_cmp);
    all
}

/// Everything that is heard before trust is given.
struct Hearing<'a> {
    table: &'a Table,
    designs: &'a Designs,
    neighbours: &'a Neighbours,
    points: &'a [Point],
}

impl Hearing<'_> {
    /// Holds folds out as `assigned` says, adds what the experts make of them to `scales` and returns it, row by row.
    fn hold(&self, assigned: &[usize], scales: &mut Scales) -> Vec<Heard> {
        let outputs = self.table.models.len();
        let folds = assigned.iter().copied().max().unwrap_or(0) + 1;
        let splits: Vec<(Vec<usize>, Vec<usize>)> = (0..folds).map(|fold| split(assigned, fold)).collect();
        let priors: Vec<Vec<f32>> = splits.iter().map(|(fitted, _)| self.table.priors(fitted)).collect();
        let mut heard: Vec<Heard> = self
            .neighbours
            .cross(self.points, assigned, &priors)
            .into_iter()
            .zip(assigned)
            .map(|(opinion, &fold)| Heard {
                said: vec![opinion.scores],
                priors: priors[fold].clone(),
                familiarity: opinion.familiarity,
            })
            .collect();
        for (fitted, held) in &splits {
            for line in (0..LINES).rev() {
                let predicted = self.designs.predict(line, (fitted, held), &self.table.scores, outputs);
                for (&row, said) in held.iter().zip(predicted.chunks_exact(outputs)) {
                    heard[row].said.insert(0, said.to_vec());
                }
            }
        }
        for (row, heard) in heard.iter().enumerate() {
            scales.add(heard.experts(), &heard.priors, self.table.row(row));
        }
        heard
    }
}

fn regions(points: &[Point], seed: u64) -> Vec<usize> {
    let coordinates: Vec<&[f32]> = points.iter().map(|point| point.coordinates.as_slice()).collect();
    let names: Vec<String> =
        clusters(&coordinates, 2 * FOLDS, seed).into_iter().map(|region| region.to_string()).collect();
    group_folds(&names, FOLDS, seed)
}

/// Folds that leave whole groups out, where the trials know several.
fn groups(trials: &[Trial], seed: u64) -> Option<Vec<usize>> {
    let groups: Vec<String> = trials.iter().map(|trial| trial.group.clone()).collect();
    let distinct: std::collections::BTreeSet<&String> = groups.iter().collect();
    (distinct.len() > 1).then(|| group_folds(&groups, distinct.len().min(FOLDS), seed))
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
