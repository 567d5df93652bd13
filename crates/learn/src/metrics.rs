//! How good answers were: accuracy, F1, calibration, ranking, and intervals around any of them.
//!
//! Owns the formulas. Refuses to fit anything. All results are shares between 0 and 1 unless said otherwise; an empty
//! input gives 0.

use serde::{Deserialize, Serialize};

use crate::random::Dice;

/// Bins of [`expected_calibration_error`].
const CALIBRATION_BINS: usize = 15;

/// How one class fared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassReport {
    /// The class's name.
    pub name: String,
    /// Of those answered with this class, the share that is of it.
    pub precision: f64,
    /// Of those of this class, the share answered with it.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
    /// How many are of this class.
    pub support: usize,
}

/// Two classes that were taken for one another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    /// The right class.
    pub truth: String,
    /// What was answered.
    pub said: String,
    /// How often.
    pub count: usize,
}

/// The share of `said` that equals `truth`.
pub fn accuracy(truth: &[usize], said: &[usize]) -> f64 {
    let right = truth.iter().zip(said).filter(|(truth, said)| truth == said).count();
    ratio(right as f64, truth.len().min(said.len()) as f64)
}

/// Precision, recall and F1 of each class of `names`.
pub fn per_class(truth: &[usize], said: &[usize], names: &[String]) -> Vec<ClassReport> {
    let mut hits = vec![0_usize; names.len()];
    let mut support = vec![0_usize; names.len()];
    let mut answered = vec![0_usize; names.len()];
    for (&truth, &said) in truth.iter().zip(said) {
        if let Some(count) = support.get_mut(truth) {
            *count += 1;
        }
        if let Some(count) = answered.get_mut(said) {
            *count += 1;
        }
        if truth == said && truth < names.len() {
            hits[truth] += 1;
        }
    }
    let class = |(place, name): (usize, &String)| {
        let hit = hits[place] as f64;
        let precision = ratio(hit, answered[place] as f64);
        let recall = ratio(hit, support[place] as f64);
        let f1 = ratio(2.0 * hit, (answered[place] + support[place]) as f64);
        ClassReport { name: name.clone(), precision, recall, f1, support: support[place] }
    };
    names.iter().enumerate().map(class).collect()
}

/// Precision, recall and F1 of one yes-or-no answer.
pub(crate) fn flag_report(name: &str, truth: &[bool], said: &[bool]) -> ClassReport {
    let count = |side: &[bool]| side.iter().filter(|yes| **yes).count();
    let hit = truth.iter().zip(said).filter(|(truth, said)| **truth && **said).count() as f64;
    let (support, answered) = (count(truth), count(said));
    ClassReport {
        name: name.to_owned(),
        precision: ratio(hit, answered as f64),
        recall: ratio(hit, support as f64),
        f1: ratio(2.0 * hit, (answered + support) as f64),
        support,
    }
}

/// The mean F1 of the classes that occur in truth or answers.
pub fn macro_f1(truth: &[usize], said: &[usize]) -> f64 {
    let classes = truth.iter().chain(said).max().map_or(0, |highest| highest + 1);
    let mut occurrences = vec![0_usize; classes];
    let mut hits = vec![0_usize; classes];
    for (&truth, &said) in truth.iter().zip(said) {
        occurrences[truth] += 1;
        occurrences[said] += 1;
        hits[truth] += usize::from(truth == said);
    }
    let present = occurrences.iter().filter(|&&count| count > 0).count();
    let sum: f64 =
        hits.iter().zip(&occurrences).map(|(&hit, &count)| ratio(2.0 * hit as f64, count as f64)).sum();
    ratio(sum, present as f64)
}

/// The pairs of classes taken for one another, most frequent first, then by name.
pub fn confusions(truth: &[usize], said: &[usize], names: &[String]) -> Vec<Confusion> {
    let mut counts = std::collections::BTreeMap::<(usize, usize), usize>::new();
    for (&truth, &said) in truth.iter().zip(said) {
        if truth != said {
            *counts.entry((truth, said)).or_default() += 1;
        }
    }
    let name = |place: usize| names.get(place).cloned().unwrap_or_default();
    let mut pairs: Vec<Confusion> = counts
        .into_iter()
        .map(|((truth, said), count)| Confusion { truth: name(truth), said: name(said), count })
        .collect();
    pairs.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| (&a.truth, &a.said).cmp(&(&b.truth, &b.said))));
    pairs
}

/// How far confidence is from the share of right answers: the mean gap over 15 bins of equal width, weighted by their
/// size (Naeini et al. 2015).
pub fn expected_calibration_error(confidences: &[f32], right: &[bool]) -> f64 {
    let mut bins = [(0_usize, 0.0_f64, 0_usize); CALIBRATION_BINS];
    for (&confidence, &right) in confidences.iter().zip(right) {
        let place = (confidence.clamp(0.0, 1.0) * CALIBRATION_BINS as f32) as usize;
        let bin = &mut bins[place.min(CALIBRATION_BINS - 1)];
        bin.0 += 1;
        bin.1 += f64::from(confidence);
        bin.2 += usize::from(right);
    }
    let gaps: f64 = bins.iter().map(|(_, confidence, right)| (confidence - *right as f64).abs()).sum();
    ratio(gaps, confidences.len().min(right.len()) as f64)
}

/// The probability that a positive scores above a negative, ties counting half (area under the ROC curve). 0.5 where
/// one side is empty.
pub fn auroc(scores: &[f32], positive: &[bool]) -> f64 {
    let mut ranked: Vec<(f32, bool)> = scores.iter().copied().zip(positive.iter().copied()).collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = ranked.iter().filter(|pair| pair.1).count();
    let negatives = ranked.len() - positives;
    if positives == 0 || negatives == 0 {
        return 0.5;
    }
    let (mut below, mut wins) = (0_usize, 0.0);
    for ties in ranked.chunk_by(|a, b| a.0 == b.0) {
        let up = ties.iter().filter(|pair| pair.1).count();
        let down = ties.len() - up;
        wins += up as f64 * (below as f64 + down as f64 / 2.0);
        below += down;
    }
    wins / (positives as f64 * negatives as f64)
}

/// The share of negatives let through at the highest threshold that keeps `recall` (say 0.95) of the positives. 1 where
/// one side is empty.
pub fn false_positive_rate(scores: &[f32], positive: &[bool], recall: f64) -> f64 {
    let side = |wanted: bool| -> Vec<f32> {
        scores.iter().zip(positive).filter(|(_, side)| **side == wanted).map(|(score, _)| *score).collect()
    };
    let (mut positives, negatives) = (side(true), side(false));
    if positives.is_empty() || negatives.is_empty() {
        return 1.0;
    }
    positives.sort_by(|a, b| b.total_cmp(a));
    let kept = ((recall * positives.len() as f64).ceil() as usize).clamp(1, positives.len());
    let threshold = positives[kept - 1];
    negatives.iter().filter(|score| **score >= threshold).count() as f64 / negatives.len() as f64
}

/// A figure with the interval that holds 95 % of its bootstrap replicates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The figure on the whole sample.
    pub value: f64,
    /// The 2.5th percentile of the replicates.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

/// The percentile bootstrap (Efron 1979) of `figure` over `count` rows: `figure` is given row numbers, first all in
/// order, then `replicates` samples with replacement drawn from `seed`.
pub fn bootstrap(count: usize, replicates: usize, seed: u64, figure: impl Fn(&[usize]) -> f64) -> Interval {
    let mut rows: Vec<usize> = (0..count).collect();
    let value = figure(&rows);
    let mut dice = Dice::new(seed);
    let mut sampled: Vec<f64> = (0..replicates)
        .map(|_| {
            rows.iter_mut().for_each(|row| *row = dice.below(count));
            figure(&rows)
        })
        .collect();
    sampled.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (share * sampled.len() as f64) as usize;
        sampled.get(place.min(sampled.len().saturating_sub(1))).copied().unwrap_or(value)
    };
    Interval { value, low: at(0.025), high: at(0.975) }
}

/// The expected calibration error of probabilities against scores between 0 and 1: a score of 0.7 counts as 0.7 of a
/// good answer. 15 bins of equal width.
pub(crate) fn share_apart(pairs: impl Iterator<Item = (f32, f32)>) -> f64 {
    const BINS: usize = 15;
    let mut gaps = [0.0_f64; BINS];
    let mut count = 0_usize;
    for (estimate, score) in pairs {
        let bin = (estimate.clamp(0.0, 1.0) * BINS as f32) as usize;
        gaps[bin.min(BINS - 1)] += f64::from(estimate - score);
        count += 1;
    }
    ratio(gaps.iter().map(|gap| gap.abs()).sum(), count as f64)
}

pub(crate) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|place| format!("c{place}")).collect()
    }

    #[test]
    fn a_small_confusion_by_hand() {
        let (truth, said) = ([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 0]);
        assert!((accuracy(&truth, &said) - 4.0 / 6.0).abs() < 1e-12);
        // F1: 4/6, 4/5, 0.
        assert!((macro_f1(&truth, &said) - (4.0 / 6.0 + 0.8) / 3.0).abs() < 1e-12);
        let classes = per_class(&truth, &said, &names(3));
        assert_eq!((classes[1].precision, classes[1].recall, classes[1].support), (2.0 / 3.0, 1.0, 2));
        let pairs = confusions(&truth, &said, &names(3));
        assert_eq!(pairs.len(), 2);
        assert_eq!((pairs[0].truth.as_str(), pairs[0].said.as_str(), pairs[0].count), ("c0", "c1", 1));
    }

    #[test]
    fn calibration_by_hand() {
        let error = expected_calibration_error(&[0.95, 0.95, 0.55, 0.55], &[true, true, true, false]);
        assert!((error - 0.05).abs() < 1e-6, "{error}");
        assert_eq!(expected_calibration_error(&[], &[]), 0.0);
    }

    #[test]
    fn ranking_by_hand() {
        let positive = [false, false, true, true];
        assert_eq!(auroc(&[0.1, 0.4, 0.35, 0.8], &positive), 0.75);
        assert_eq!(auroc(&[1.0; 4], &positive), 0.5);
        assert_eq!(false_positive_rate(&[0.1, 0.4, 0.35, 0.8], &positive, 0.95), 0.5);
        assert_eq!(false_positive_rate(&[0.1, 0.4, 0.35, 0.8], &positive, 0.5), 0.0);
    }

    #[test]
    fn bootstrap_is_repeatable_and_holds_the_value() {
        let values: Vec<f64> = (0..200).map(|row| f64::from(row % 3 == 0)).collect();
        let mean = |rows: &[usize]| rows.iter().map(|&row| values[row]).sum::<f64>() / rows.len() as f64;
        let first = bootstrap(200, 500, 9, mean);
        assert_eq!(first, bootstrap(200, 500, 9, mean));
        assert!(first.low < first.value && first.value < first.high);
        assert!((first.high - first.low - 0.13).abs() < 0.02, "{first:?}");
    }

    proptest! {
        #[test]
        fn auroc_counts_pairs(points in prop::collection::vec((0_u8..6, any::<bool>()), 2..40)) {
            let (scores, positive): (Vec<f32>, Vec<bool>) =
                points.into_iter().map(|(score, side)| (f32::from(score), side)).unzip();
            let (mut pairs, mut wins) = (0.0, 0.0);
            for (up, _) in positive.iter().enumerate().filter(|pair| *pair.1) {
                for (down, _) in positive.iter().enumerate().filter(|pair| !*pair.1) {
                    pairs += 1.0;
                    wins += match scores[up].total_cmp(&scores[down]) {
                        std::cmp::Ordering::Greater => 1.0,
                        std::cmp::Ordering::Equal => 0.5,
                        std::cmp::Ordering::Less => 0.0,
                    };
                }
            }
            let counted = if pairs > 0.0 { wins / pairs } else { 0.5 };
            prop_assert!((auroc(&scores, &positive) - counted).abs() < 1e-9);
        }
    }
}
