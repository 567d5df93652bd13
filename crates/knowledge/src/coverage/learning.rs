//! The estimate of coverage from labelled questions: a logistic regression in which each index and side weighs the same,
//! and in which no evidence counts against coverage.

use std::collections::BTreeMap;

use api::{Error, Fault};

use super::Features;
use super::estimate::{Estimate, Learnt, LeftOut, WithVectors, WordsAlone};

/// Fewer questions of a side say too little.
const QUESTIONS_MIN: usize = 20;

/// Rounds over all coefficients: more than enough for a dozen of them, and a second at most.
const ROUNDS: usize = 400;

/// Keeps the coefficients of sides that can be parted altogether from growing without end.
const RIDGE: f64 = 1e-4;

/// A question whose coverage is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// The index that was asked.
    pub index: String,
    /// What was measured.
    pub features: Features,
    /// Whether the index covers the question.
    pub covered: bool,
}

/// Learns the estimate, the line that refuses at most `wrong_refusals_max` of the covered questions, and how both do on
/// indexes that they have not seen. Where no question has a vector, the numbers for vectors stay this program's own.
///
/// # Errors
/// There are fewer than twenty questions of a side, a measure is no number, or the rate is no share.
pub fn learn_coverage(questions: &[Labelled], wrong_refusals_max: f32) -> Result<Learnt, Error> {
    let refused = |param: &str, message: String| {
        Error::new(Fault::BadRequest, "invalid_value", message).with_param(param)
    };
    if !(0.0..1.0).contains(&wrong_refusals_max) {
        let message = format!("The share of wrong refusals is {wrong_refusals_max}; allowed: 0 up to 1.");
        return Err(refused("wrong_refusals_max", message));
    }
    if let Some(question) = questions.iter().find(|question| !question.features.are_numbers()) {
        let message = format!("A question to `{}` has a measure that is no number.", question.index);
        return Err(refused("questions", message));
    }
    let all: Vec<&Labelled> = questions.iter().collect();
    let covered = questions.iter().filter(|question| question.covered).count();
    if covered.min(questions.len() - covered) < QUESTIONS_MIN {
        let message = format!(
            "There are {covered} covered questions and {} others; at least {QUESTIONS_MIN} of each are needed.",
            questions.len() - covered
        );
        return Err(refused("questions", message));
    }
    let estimate = fit(&all);
    let mut learnt = Learnt::new(estimate, line(&all, &estimate, wrong_refusals_max), wrong_refusals_max);
    let mut indexes: Vec<&str> = questions.iter().map(|question| question.index.as_str()).collect();
    indexes.sort_unstable();
    indexes.dedup();
    if indexes.len() > 1 {
        learnt.left_out =
            indexes.into_iter().map(|index| left_out(&all, index, wrong_refusals_max)).collect();
    }
    Ok(learnt)
}

fn left_out(all: &[&Labelled], index: &str, wrong_refusals_max: f32) -> LeftOut {
    let (own, others): (Vec<&Labelled>, Vec<&Labelled>) =
        all.iter().partition(|question| question.index == index);
    let estimate = fit(&others);
    let line = line(&others, &estimate, wrong_refusals_max);
    let side = |covered: bool| -> Vec<f32> {
        let of_side = own.iter().filter(|question| question.covered == covered);
        of_side.map(|question| estimate.probability(&question.features)).collect()
    };
    let (covered, foreign) = (side(true), side(false));
    let share = |side: &[f32], counts: &dyn Fn(f32) -> bool| {
        let found = side.iter().filter(|probability| counts(**probability)).count();
        (!side.is_empty()).then(|| found as f64 / side.len() as f64)
    };
    LeftOut {
        index: index.to_owned(),
        covered: covered.len(),
        foreign: foreign.len(),
        auroc: auroc(&covered, foreign.clone()),
        refused: share(&covered, &|probability| probability < line),
        passed: share(&foreign, &|probability| probability >= line),
    }
}

/// How often one of `higher` is above one of `lower`, equal ones half.
fn auroc(higher: &[f32], mut lower: Vec<f32>) -> Option<f64> {
    if higher.is_empty() || lower.is_empty() {
        return None;
    }
    lower.sort_unstable_by(f32::total_cmp);
    let above = |score: &f32| {
        let below = lower.partition_point(|other| other < score);
        let equal = lower.partition_point(|other| other <= score) - below;
        below as f64 + equal as f64 / 2.0
    };
    Some(higher.iter().map(above).sum::<f64>() / (higher.len() * lower.len()) as f64)
}

/// The highest line that refuses no more than `share` of the covered questions, each index weighing the same.
fn line(questions: &[&Labelled], estimate: &Estimate, share: f32) -> f32 {
    let covered: Vec<&Labelled> = questions.iter().filter(|question| question.covered).copied().collect();
    let weights = weights(&covered);
    let whole: f64 = weights.iter().sum();
    let mut scored: Vec<(f32, f64)> =
        covered.iter().map(|question| estimate.probability(&question.features)).zip(weights).collect();
    scored.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut below = 0.0;
    for (probability, weight) in &scored {
        below += weight;
        if below > f64::from(share) * whole {
            return *probability;
        }
    }
    scored.last().map_or(0.0, |(probability, _)| *probability)
}

/// One over the number of questions of the same index and side.
fn weights(questions: &[&Labelled]) -> Vec<f64> {
    let mut counts: BTreeMap<(&str, bool), usize> = BTreeMap::new();
    for question in questions {
        *counts.entry((&question.index, question.covered)).or_default() += 1;
    }
    let weight = |question: &&Labelled| {
        let count = counts.get(&(question.index.as_str(), question.covered));
        1.0 / count.copied().unwrap_or(1) as f64
    };
    questions.iter().map(weight).collect()
}

fn fit(questions: &[&Labelled]) -> Estimate {
    let with_vectors: Vec<&Labelled> =
        questions.iter().filter(|question| question.features.near.is_some()).copied().collect();
    let mut estimate = Estimate::default();
    let near = |question: &Labelled| {
        let near = question.features.near.unwrap_or_default();
        let nearest = f64::from(near.by_vector.max(0.0));
        [nearest, nearest * nearest, near.by_words.into(), question.features.words.into()]
    };
    if let Some((slopes, bias)) = regression(&with_vectors, near) {
        let [nearest, nearest_squared, by_words, words] = slopes.map(|slope| slope as f32);
        estimate.with_vectors = WithVectors { nearest, nearest_squared, by_words, words, bias: bias as f32 };
    }
    let words = |question: &Labelled| [question.features.words.into(), question.features.amount.into()];
    if let Some((slopes, bias)) = regression(questions, words) {
        let [words, amount] = slopes.map(|slope| slope as f32);
        estimate.words_alone = WordsAlone { words, amount, bias: bias as f32 };
    }
    estimate
}

/// Slopes, none below 0, and the bias, by Newton's step on one after another; none where a side is missing.
fn regression<const N: usize>(
    questions: &[&Labelled],
    measures: impl Fn(&Labelled) -> [f64; N],
) -> Option<([f64; N], f64)> {
    let has = |covered: bool| questions.iter().any(|question| question.covered == covered);
    (has(true) && has(false)).then_some(())?;
    let rows: Vec<[f64; N]> = questions.iter().map(|question| measures(question)).collect();
    let weights = balanced(questions);
    let labels: Vec<f64> = questions.iter().map(|question| f64::from(u8::from(question.covered))).collect();
    let (mut slopes, mut bias) = ([0.0; N], 0.0);
    let mut sums = vec![0.0; rows.len()];
    for _ in 0..ROUNDS {
        for place in 0..=N {
            let value = |row: &[f64; N]| row.get(place).copied().unwrap_or(1.0);
            let (mut gradient, mut curvature) = (0.0, 1e-9);
            for (((row, sum), label), weight) in rows.iter().zip(&sums).zip(&labels).zip(&weights) {
                let probability: f64 = 1.0 / (1.0 + f64::exp(-*sum));
                gradient += weight * (probability - label) * value(row);
                // A quarter is the most that the curvature can be: a step is never too long.
                curvature += weight * 0.25 * value(row) * value(row);
            }
            let before = slopes.get(place).copied().unwrap_or(bias);
            let after = match slopes.get_mut(place) {
                Some(slope) => {
                    let step = (gradient + RIDGE * before) / (curvature + RIDGE);
                    *slope = (before - step).max(0.0);
                    *slope
                }
                None => {
                    bias -= gradient / curvature;
                    bias
                }
            };
            sums.iter_mut().zip(&rows).for_each(|(sum, row)| *sum += (after - before) * value(row));
        }
    }
    Some((slopes, bias))
}

/// [`weights`] so that both sides weigh one half.
fn balanced(questions: &[&Labelled]) -> Vec<f64> {
    let weights = weights(questions);
    let of_side = |covered: bool| -> f64 {
        let own = questions.iter().zip(&weights).filter(|(question, _)| question.covered == covered);
        own.map(|(_, weight)| weight).sum()
    };
    let sides = [of_side(false), of_side(true)];
    let share = |question: &Labelled| sides[usize::from(question.covered)].max(f64::MIN_POSITIVE);
    questions.iter().zip(&weights).map(|(question, weight)| weight / share(question) / 2.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::Near;

    /// Questions whose evidence grows with `place`, some out of order.
    fn questions(index: &str, count: usize, has_vectors: bool) -> Vec<Labelled> {
        let question = |place: usize| {
            let covered = place.is_multiple_of(2);
            let noise = (place * 7 % 10) as f32 / 10.0 - 0.45;
            let evidence = (if covered { 0.65 } else { 0.35 }) + noise * 0.5;
            let near = Near { by_vector: evidence, by_words: evidence * 0.8 };
            let features = Features { near: has_vectors.then_some(near), words: evidence, amount: 0.4 };
            Labelled { index: index.to_owned(), features, covered }
        };
        (0..count).map(question).collect()
    }

    #[test]
    fn what_parts_the_sides_is_learnt() {
        for has_vectors in [true, false] {
            let mut all = questions("a", 200, has_vectors);
            all.extend(questions("b", 60, has_vectors));
            let learnt = learn_coverage(&all, 0.1).unwrap();
            let refused = all.iter().filter(|question| {
                question.covered && learnt.estimate.probability(&question.features) < learnt.coverage_min
            });
            assert!(refused.count() <= 13);
            assert_eq!(learnt.left_out.len(), 2);
            for left in &learnt.left_out {
                assert!(left.auroc.unwrap() > 0.85, "{left:?}");
                assert!(left.refused.unwrap() <= 0.15 && left.passed.unwrap() < 0.7, "{left:?}");
            }
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("coverage.json");
            learnt.write(&path).unwrap();
            assert_eq!(Learnt::read(&path).unwrap(), learnt);
            // One index has nothing to be left out of.
            assert!(learn_coverage(&all[..200], 0.1).unwrap().left_out.is_empty());
        }
        let blind = learn_coverage(&questions("a", 60, false), 0.0).unwrap();
        assert_eq!(blind.estimate.with_vectors, Estimate::default().with_vectors);
    }

    #[test]
    fn what_cannot_be_learnt_from_is_refused() {
        let check = |questions: &[Labelled], rate: f32, param: &str| {
            let error = learn_coverage(questions, rate).unwrap_err();
            assert_eq!(error.param.as_deref(), Some(param), "{error}");
        };
        let all = questions("a", 60, true);
        check(&all, 1.0, "wrong_refusals_max");
        check(&all, f32::NAN, "wrong_refusals_max");
        check(&all[..39], 0.1, "questions");
        check(&[], 0.1, "questions");
        let mut strange = all;
        strange[3].features.words = f32::NAN;
        check(&strange, 0.1, "questions");
    }
}
