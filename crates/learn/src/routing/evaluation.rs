//! How well routers route requests that they were not trained on.
//!
//! Owns the protocols (folds, groups left out, one set to another) and the report, always beside what needs no router:
//! prompt length, the best single model, the hull of single models, the oracle. Refuses trials with gaps: a request that
//! some model did not answer cannot be routed to it, so it is left out and counted.

use serde::Serialize;

use super::curves::{Choices, Field, PairCurve};
use super::outcome::Trial;
use super::router::Router;
use crate::folds::{group_folds, split, stratified_folds};
use crate::metrics::{self, Interval, bootstrap};
use crate::unfit::Unfit;

/// Bootstrap replicates of every interval.
const REPLICATES: usize = 300;

/// Who is trained on what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Folds drawn at random.
    Folds(usize),
    /// Folds that leave whole groups out.
    GroupsOut(usize),
}

/// What a way of routing is worth. A pair of models has APGR and CPT; all sets have the area.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Average performance gap recovered, 0.5 for a coin; none unless there are two models and the dearer is the better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apgr: Option<f64>,
    /// Its 95 % bootstrap interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apgr_interval: Option<[f64; 2]>,
    /// The share of calls to the strong model that recovers half of the gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpt50: Option<f64>,
    /// The share that recovers 80 % of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpt80: Option<f64>,
    /// Mean quality over budgets between the cheapest and the dearest model.
    pub aiq: f64,
    /// Its 95 % bootstrap interval.
    pub aiq_interval: [f64; 2],
}

/// The report of one evaluation.
#[derive(Clone, Debug, Serialize)]
pub struct RoutingReport {
    /// Requests judged.
    pub trials: usize,
    /// Requests left out for want of a score or a cost.
    pub left_out: usize,
    /// The models, by name.
    pub models: Vec<String>,
    /// The router's figures.
    #[serde(flatten)]
    pub router: Figures,
    /// How far the router's probabilities are from the share of good answers.
    pub ece: f64,
    /// The area of the best mixture of single models, chosen in hindsight: the most that no routing at all can reach.
    pub hull_aiq: f64,
    /// The area of choosing by the models' means over the trials learned from: what no routing reaches without hindsight.
    pub prior_aiq: f64,
    /// Routing by prompt length alone.
    pub length_only: Figures,
    /// Routing with foreknowledge.
    pub oracle: Figures,
    /// The model with the highest mean score.
    pub best_single: Single,
    /// The mean score of a model drawn at random for each request; the APGR of that is 0.5.
    pub random_score: f64,
}

/// One model answering everything.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Single {
    /// Its name.
    pub model: String,
    /// Its mean score.
    pub score: f64,
    /// Its mean cost.
    pub cost: f64,
}

/// Trains and judges within one set, every trial judged by a router that had not seen it.
pub fn cross_validate(trials: &[Trial], protocol: Protocol, seed: u64) -> Result<RoutingReport, Unfit> {
    let (models, whole) = complete(trials, trials);
    let assigned = match protocol {
        Protocol::Folds(folds) => stratified_folds(&vec![0; whole.len()], folds, seed),
        Protocol::GroupsOut(folds) => {
            let groups: Vec<String> = whole.iter().map(|trial| trial.group.clone()).collect();
            group_folds(&groups, folds, seed)
        }
    };
    let mut sheet = Sheet::new(&models, &whole);
    for fold in 0..=assigned.iter().copied().max().unwrap_or(0) {
        let (fitted, held) = split(&assigned, fold);
        if !held.is_empty() {
            sheet.fill(&pick(&whole, &fitted), &whole, &held, seed)?;
        }
    }
    Ok(sheet.report(&whole, trials.len() - whole.len(), seed))
}

/// Trains on one set and judges another. Models that only one of them knows are left aside.
pub fn train_and_test(train: &[Trial], test: &[Trial], seed: u64) -> Result<RoutingReport, Unfit> {
    let (models, whole) = complete(train, test);
    let mut sheet = Sheet::new(&models, &whole);
    let held: Vec<usize> = (0..whole.len()).collect();
    let train: Vec<Trial> = train.iter().map(|trial| only(trial, &models)).collect();
    sheet.fill(&train, &whole, &held, seed)?;
    Ok(sheet.report(&whole, test.len() - whole.len(), seed))
}

/// The models that occur in both sets, and the trials of the second that lack none of them.
fn complete(train: &[Trial], test: &[Trial]) -> (Vec<String>, Vec<Trial>) {
    let names = |trials: &[Trial]| {
        trials
            .iter()
            .flat_map(|trial| trial.models.keys().cloned())
            .collect::<std::collections::BTreeSet<String>>()
    };
    let models: Vec<String> = names(train).intersection(&names(test)).cloned().collect();
    let known = |trial: &&Trial| {
        models.iter().all(|model| {
            trial
                .models
                .get(model)
                .is_some_and(|outcome| outcome.score.is_finite() && outcome.cost.is_finite())
        })
    };
    let whole = test.iter().filter(known).map(|trial| only(trial, &models)).collect();
    (models, whole)
}

fn only(trial: &Trial, models: &[String]) -> Trial {
    let kept = models.iter().filter_map(|model| Some((model.clone(), *trial.models.get(model)?))).collect();
    Trial { models: kept, ..trial.clone() }
}

fn pick(trials: &[Trial], rows: &[usize]) -> Vec<Trial> {
    rows.iter().map(|&row| trials[row].clone()).collect()
}

/// Row-major tables over the judged trials, filled fold by fold.
struct Sheet {
    models: Vec<String>,
    estimates: Vec<f32>,
    by_length: Vec<f32>,
    expected_costs: Vec<f32>,
    priors: Vec<f32>,
    mean_costs: Vec<f32>,
}

impl Sheet {
    fn new(models: &[String], trials: &[Trial]) -> Self {
        let blank = vec![0.0; models.len() * trials.len()];
        Self {
            models: models.to_vec(),
            estimates: blank.clone(),
            by_length: blank.clone(),
            expected_costs: blank.clone(),
            priors: blank.clone(),
            mean_costs: blank,
        }
    }

    /// Trains on `train` and fills the rows `held` of `trials`.
    fn fill(&mut self, train: &[Trial], trials: &[Trial], held: &[usize], seed: u64) -> Result<(), Unfit> {
        let router = Router::train(train, seed)?;
        let column = |place: usize| router.models().iter().position(|model| *model == self.models[place]);
        let columns: Vec<Option<usize>> = (0..self.models.len()).map(column).collect();
        let lines: Vec<(Line, Line)> = self
            .models
            .iter()
            .map(|model| {
                let seen = || train.iter().filter_map(|trial| Some((trial, trial.models.get(model)?)));
                let scores = Line::fit(seen().map(|(trial, outcome)| (size(trial).ln_1p(), outcome.score)));
                let costs = Line::fit(seen().map(|(trial, outcome)| (size(trial), outcome.cost)));
                (scores, costs)
            })
            .collect();
        for &row in held {
            let trial = &trials[row];
            let judged = router.judge(&trial.prompt, &trial.vector);
            for (place, (scores, costs)) in lines.iter().enumerate() {
                let cell = row * self.models.len() + place;
                let column = columns[place].unwrap_or(usize::MAX);
                self.estimates[cell] = judged.good.get(column).copied().unwrap_or(0.0);
                self.priors[cell] = judged.prior.get(column).copied().unwrap_or(0.0);
                self.mean_costs[cell] = costs.mean as f32;
                self.by_length[cell] = scores.at(size(trial).ln_1p()) as f32;
                // A line may fall below zero where no prompt was as short, and says nothing of requests of another kind.
                let known = f64::from(judged.evidence.get(column).copied().unwrap_or(0.0));
                let line = costs.at(size(trial)).max(0.1 * costs.mean);
                self.expected_costs[cell] = (known * line + (1.0 - known) * costs.mean) as f32;
            }
        }
        Ok(())
    }

    fn report(&self, trials: &[Trial], left_out: usize, seed: u64) -> RoutingReport {
        let cells = |pick: fn(&super::outcome::Outcome) -> f64| -> Vec<f32> {
            trials
                .iter()
                .flat_map(|trial| {
                    self.models.iter().map(|model| trial.models.get(model).map_or(0.0, pick) as f32)
                })
                .collect()
        };
        let (scores, costs) = (cells(|outcome| outcome.score), cells(|outcome| outcome.cost));
        let width = self.models.len();
        let truth = Truth {
            field: Field { scores: &scores, costs: &costs, models: width },
            singles: Choices::singles(trials.len(), width),
            rows: (0..trials.len()).collect(),
            seed,
        };
        let means = truth.field.points(&truth.singles, &truth.rows);
        let pair = (width == 2).then(|| if means[0].0 <= means[1].0 { (0, 1) } else { (1, 0) });
        let gain = |estimates: &[f32], (weak, strong): (usize, usize)| -> Vec<f32> {
            estimates.chunks_exact(width).map(|row| row[strong] - row[weak]).collect()
        };
        // Longer prompts to the strong model: this baseline is not trained.
        let lengths: Vec<f32> = trials.iter().map(|trial| size(trial) as f32).collect();
        let figures = |estimates: &[f32], expected: &[f32], preference: Option<Vec<f32>>| {
            let preference = preference.or_else(|| pair.map(|pair| gain(estimates, pair)));
            truth.figures(&Choices::by_price(estimates, expected, width), preference.as_deref().zip(pair))
        };
        let best = crate::logistic::best(&means.iter().map(|mean| mean.1 as f32).collect::<Vec<_>>());
        let single = means.get(best).copied().unwrap_or_default();
        RoutingReport {
            trials: trials.len(),
            left_out,
            models: self.models.clone(),
            router: figures(&self.estimates, &self.expected_costs, None),
            ece: metrics::share_apart(self.estimates.iter().copied().zip(scores.iter().copied())),
            hull_aiq: truth.field.area(&truth.singles, &truth.singles, &truth.rows),
            prior_aiq: truth.field.area(
                &Choices::by_price(&self.priors, &self.mean_costs, width),
                &truth.singles,
                &truth.rows,
            ),
            length_only: figures(&self.by_length, &self.expected_costs, pair.map(|_| lengths)),
            oracle: figures(&scores, &costs, None),
            best_single: Single {
                model: self.models.get(best).cloned().unwrap_or_default(),
                score: single.1,
                cost: single.0,
            },
            random_score: means.iter().map(|mean| mean.1).sum::<f64>() / width.max(1) as f64,
        }
    }
}

/// What really happened, and the rows it happened on.
struct Truth<'a> {
    field: Field<'a>,
    singles: Choices,
    rows: Vec<usize>,
    seed: u64,
}

impl Truth<'_> {
    fn figures(&self, choices: &Choices, pair: Option<(&[f32], (usize, usize))>) -> Figures {
        let interval = |figure: &dyn Fn(&[usize]) -> f64| -> Interval {
            bootstrap(self.rows.len(), REPLICATES, self.seed, figure)
        };
        let area = interval(&|rows| self.field.area(choices, &self.singles, rows));
        let mut figures =
            Figures { aiq: area.value, aiq_interval: [area.low, area.high], ..Figures::default() };
        let Some((preference, (weak, strong))) = pair else { return figures };
        let curve = |rows: &[usize]| {
            let column = |model: usize| -> Vec<f32> {
                rows.iter().map(|&row| self.field.scores[row * self.field.models + model]).collect()
            };
            let preference: Vec<f32> = rows.iter().map(|&row| preference[row]).collect();
            PairCurve::new(&preference, &column(weak), &column(strong))
        };
        if let Some(whole) = curve(&self.rows) {
            let apgr = interval(&|rows| curve(rows).map_or(0.5, |curve| curve.apgr()));
            figures.apgr = Some(apgr.value);
            figures.apgr_interval = Some([apgr.low, apgr.high]);
            figures.cpt50 = Some(whole.call_share(0.5));
            figures.cpt80 = Some(whole.call_share(0.8));
        }
        figures
    }
}

/// Characters of the prompt.
fn size(trial: &Trial) -> f64 {
    trial.prompt.chars().count() as f64
}

/// A straight line through points, by least squares.
struct Line {
    mean: f64,
    centre: f64,
    slope: f64,
}

impl Line {
    fn fit(points: impl Iterator<Item = (f64, f64)>) -> Self {
        let points: Vec<(f64, f64)> = points.filter(|(_, y)| y.is_finite()).collect();
        let count = points.len().max(1) as f64;
        let centre = points.iter().map(|point| point.0).sum::<f64>() / count;
        let mean = points.iter().map(|point| point.1).sum::<f64>() / count;
        let along: f64 = points.iter().map(|(x, y)| (x - centre) * (y - mean)).sum();
        let spread: f64 = points.iter().map(|(x, _)| (x - centre).powi(2)).sum();
        Self { mean, centre, slope: metrics::ratio(along, spread) }
    }

    fn at(&self, x: f64) -> f64 {
        self.mean + self.slope * (x - self.centre)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::random::Dice;
    use crate::routing::Outcome;

    /// Two kinds of request; the cheap model can do only one of them. Vectors and words tell them apart.
    fn trials(count: usize, seed: u64) -> Vec<Trial> {
        let mut dice = Dice::new(seed);
        (0..count)
            .map(|row| {
                let hard = dice.below(2) == 1;
                let angle = f32::from(u8::from(hard)) * 2.0 + 0.3 * dice.normal();
                let words = if hard { "prove the theorem about" } else { "what colour is" };
                let cheap = if hard { 0.1 } else { 0.9 };
                let mut outcome = |chance: f32, cost: f64| Outcome {
                    score: f64::from(u8::from(dice.uniform() < chance)),
                    cost,
                };
                let models = BTreeMap::from([
                    (String::from("cheap"), outcome(cheap, 1.0)),
                    (String::from("dear"), outcome(0.92, 10.0)),
                ]);
                Trial {
                    id: row.to_string(),
                    group: format!("g{}", row % 4),
                    prompt: format!("{words} thing {}", row % 17),
                    vector: vec![angle.cos(), angle.sin(), 0.1, 0.2],
                    models,
                }
            })
            .collect()
    }

    #[test]
    fn a_plain_pattern_is_found_and_compared() {
        let report = cross_validate(&trials(400, 1), Protocol::Folds(4), 0).unwrap();
        let (apgr, oracle) = (report.router.apgr.unwrap(), report.oracle.apgr.unwrap());
        assert!(apgr > 0.7 && apgr < oracle, "{apgr} {oracle}");
        assert!(report.router.aiq > report.hull_aiq && report.router.aiq < report.oracle.aiq, "{report:?}");
        assert!(report.ece < 0.1, "{}", report.ece);
        assert_eq!(report.best_single.model, "dear");
        let [low, high] = report.router.apgr_interval.unwrap();
        assert!(low < apgr && apgr < high);
    }

    #[test]
    fn one_set_judges_another_over_the_models_they_share() {
        let mut train = trials(300, 2);
        for trial in &mut train {
            trial.models.insert(String::from("only here"), Outcome { score: 1.0, cost: 1.0 });
        }
        let mut test = trials(100, 3);
        test[0].models.remove("cheap");
        let report = train_and_test(&train, &test, 0).unwrap();
        assert_eq!((report.trials, report.left_out, report.models.len()), (99, 1, 2));
        assert!(report.router.apgr.unwrap() > 0.65);
    }

    #[test]
    fn groups_left_out_are_judged_too() {
        let report = cross_validate(&trials(300, 4), Protocol::GroupsOut(4), 0).unwrap();
        assert!(report.router.apgr.unwrap() > 0.65);
    }

    #[test]
    fn a_router_judges_alone_as_it_does_after_storage() {
        let all = trials(120, 5);
        let router = Router::train(&all, 0).unwrap();
        let back: Router = serde_json::from_str(&serde_json::to_string(&router).unwrap()).unwrap();
        let judge = |router: &Router| router.judge("prove the theorem about x", &all[0].vector);
        assert_eq!(judge(&router), judge(&back));
    }
}
