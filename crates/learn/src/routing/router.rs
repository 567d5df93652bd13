//! The router: from outcomes to the probability that each model would answer one request well.
//!
//! Owns the training and the judgement. Refuses to choose: `policy` weighs probability against cost and latency.

use serde::{Deserialize, Serialize};

use super::blend::{ABROAD, AT_HOME, Scales, Trust};
use super::clusters::clusters;
use super::experts::{Designs, EXPERTS, LINES, NAMES, Optics, View, consult};
use super::neighbours::{Neighbours, Point};
use super::outcome::{Table, Trial};
use crate::folds::{group_folds, split, stratified_folds};
use crate::linear::Linear;
use crate::unfit::Unfit;

/// Fewer trials than this say nothing about requests.
const TRIALS_MIN: usize = 50;
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

/// Predicts how well each model would answer. Serialisable; call [`Router::complete`] after reading one back.
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

/// What is expected of each model on one request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// The probability that each model answers well, in the order of [`Router::models`].
    pub good: Vec<f32>,
    /// What it would be if nothing were known of the request.
    pub prior: Vec<f32>,
    /// 1: like what was seen; 0.5: as unlike it as its parts are unlike one another; 0: unlike all of it, so that only
    /// what usually carries over is used.
    pub familiarity: f32,
    /// How many requests just like this one the neighbours are worth.
    pub evidence: f32,
    /// The nearest trials by id with their similarities (1: the same), nearest first, at most ten.
    pub nearest: Vec<(String, f32)>,
}

impl Router {
    /// Learns from `trials`; vectors must be of one length. Folds and random features follow from `seed`.
    /// About twelve CPU seconds for 8,052 trials of two models. On requests unlike the trials it can do harm: held out of a
    /// pool of many models it fell 0.125 (mbpp) and 0.266 (math-l5) below no routing at all.
    pub fn train(trials: &[Trial], seed: u64) -> Result<Self, Unfit> {
        if trials.len() < TRIALS_MIN {
            return Err(Unfit::TooFew { found: trials.len(), needed: TRIALS_MIN });
        }
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

        let hearing = Hearing { table: &table, designs: &designs, neighbours: &neighbours, points: &points };
        let (mut like, mut unlike) = (Scales::default(), Scales::default());
        let familiar = hearing.hold(&stratified_folds(&vec![0; trials.len()], FOLDS, seed), &mut like);
        hearing.hold(&regions(&points, seed), &mut unlike);
        if let Some(assigned) = groups(trials, seed) {
            hearing.hold(&assigned, &mut unlike);
        }
        let all: Vec<usize> = (0..trials.len()).collect();
        let outputs = table.models.len();
        Ok(Self {
            ids: trials.iter().map(|trial| trial.id.clone()).collect(),
            priors: table.priors(&all),
            lines: designs.lines(&views, &table.scores, outputs, optics.columns(width)),
            models: table.models,
            optics,
            neighbours,
            home: like.trust(&AT_HOME),
            abroad: unlike.trust(&ABROAD),
            ramp: Ramp::fit(&familiar),
        })
    }

    /// Restores what is not stored. Must be called once on a router that was read back.
    pub fn complete(&mut self) {
        self.optics.complete();
    }

    /// The models, by name.
    pub fn models(&self) -> &[String] {
        &self.models
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
        let familiarity = self.ramp.place(opinion.familiarity);
        let trust = if familiarity >= 0.5 {
            self.abroad.towards(&self.home, 2.0 * familiarity - 1.0)
        } else {
            Trust::alien().towards(&self.abroad, 2.0 * familiarity)
        };
        let experts = [&lines[0][..], &lines[1], &lines[2], &lines[3], &lines[4], &opinion.scores];
        let good = trust
            .blend(experts, &self.priors)
            .into_iter()
            .map(|score| score.clamp(DOUBT, 1.0 - DOUBT))
            .collect();
        let name = |&(row, near): &(usize, f32)| (self.ids.get(row).cloned().unwrap_or_default(), near);
        Judgement {
            good,
            prior: self.priors.clone(),
            familiarity,
            evidence: opinion.evidence,
            nearest: opinion.nearest.iter().map(name).collect(),
        }
    }
}

/// Everything that is heard before trust is given.
struct Hearing<'a> {
    table: &'a Table,
    designs: &'a Designs,
    neighbours: &'a Neighbours,
    points: &'a [Point],
}

impl Hearing<'_> {
    /// Holds folds out as `assigned` says and adds what the experts make of them to `scales`. Returns the
    /// familiarity of every trial, ascending.
    fn hold(&self, assigned: &[usize], scales: &mut Scales) -> Vec<f32> {
        let outputs = self.table.models.len();
        let folds = assigned.iter().copied().max().unwrap_or(0) + 1;
        let splits: Vec<(Vec<usize>, Vec<usize>)> = (0..folds).map(|fold| split(assigned, fold)).collect();
        let priors: Vec<Vec<f32>> = splits.iter().map(|(fitted, _)| self.table.priors(fitted)).collect();
        let opinions = self.neighbours.cross(self.points, assigned, &priors);
        for ((fitted, held), priors) in splits.iter().zip(&priors) {
            let predicted: [Vec<f32>; LINES] = std::array::from_fn(|line| {
                self.designs.predict(line, (fitted, held), &self.table.scores, outputs)
            });
            for (place, &row) in held.iter().enumerate() {
                let at = |line: usize| &predicted[line][place * outputs..(place + 1) * outputs];
                let experts = [at(0), at(1), at(2), at(3), at(4), &opinions[row].scores];
                scales.add(experts, priors, self.table.row(row));
            }
        }
        let mut familiar: Vec<f32> = opinions.iter().map(|opinion| opinion.familiarity).collect();
        familiar.sort_by(f32::total_cmp);
        familiar
    }
}

/// Folds that leave whole regions of meaning and form out.
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
