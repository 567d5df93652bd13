//! How likely the model found a token: log-probabilities from its raw scores.

/// Natural logarithms of probabilities under the model itself, before temperature and `top_p`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Likelihood {
    /// Of the token that was chosen.
    pub(crate) chosen: f32,
    /// The most likely tokens, best first.
    pub(crate) best: Vec<(usize, f32)>,
}

/// The logarithm of the sum of all scores' exponentials: what a score lacks to be a logarithm of a probability.
pub(crate) fn log_total(scores: &[f32]) -> f32 {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = scores.iter().map(|score| f64::from((score - highest).exp())).sum();
    #[expect(clippy::cast_possible_truncation, reason = "a logarithm of a sum of f32 fits in f32")]
    let total = total.ln() as f32;
    highest + total
}

/// Measures the token at `chosen` among `scores`, and the `count` best beside it.
pub(crate) fn measure(scores: &[f32], chosen: usize, count: usize) -> Likelihood {
    let whole = log_total(scores);
    let best = best(scores, count).into_iter().map(|(place, score)| (place, score - whole)).collect();
    Likelihood { chosen: scores.get(chosen).map_or(f32::NEG_INFINITY, |score| score - whole), best }
}

/// The `count` highest scores with their places, best first.
fn best(scores: &[f32], count: usize) -> Vec<(usize, f32)> {
    let mut kept: Vec<(usize, f32)> = Vec::with_capacity(count.saturating_add(1));
    for (place, &score) in scores.iter().enumerate() {
        if kept.len() == count && kept.last().is_none_or(|last| last.1 >= score) {
            continue;
        }
        let rank = kept.partition_point(|entry| entry.1 >= score);
        kept.insert(rank, (place, score));
        kept.truncate(count);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_a_softmax() {
        let scores = [1.0_f32, 3.0, 2.0, 3.0, -50.0];
        let sum: f32 = scores.iter().map(|score| score.exp()).sum();
        for count in [0, 1, 3, 5, 9] {
            let measured = measure(&scores, 2, count);
            assert!((measured.chosen - (scores[2].exp() / sum).ln()).abs() < 1e-5);
            let places: Vec<usize> = measured.best.iter().map(|entry| entry.0).collect();
            assert_eq!(places, [1, 3, 2, 0, 4][..count.min(5)]);
        }
        let total: f32 = measure(&scores, 0, 5).best.iter().map(|entry| entry.1.exp()).sum();
        assert!((total - 1.0).abs() < 1e-5);
    }
}
