//! How good a ranking is, against what people judged relevant: nDCG and recall, counted as trec_eval does.

use std::collections::HashMap;

/// The normalised discounted cumulative gain of the first `at` of `ranked`, 0 to 1: a document's gain is its relevance, its
/// discount the binary logarithm of its place and one, and the best possible ranking of `relevant` has 1. 0 where
/// nothing is relevant. A document that is ranked twice counts once.
pub fn ndcg(ranked: &[&str], relevant: &HashMap<String, f64>, at: usize) -> f64 {
    let mut ideal: Vec<f64> = relevant.values().copied().filter(|gain| *gain > 0.0).collect();
    ideal.sort_unstable_by(|a, b| b.total_cmp(a));
    let best = discounted(ideal.into_iter().take(at));
    if best == 0.0 {
        return 0.0;
    }
    let gains =
        first(ranked, at).map(|document| relevant.get(document).copied().unwrap_or_default().max(0.0));
    discounted(gains) / best
}

/// The share of the relevant documents that are among the first `at` of `ranked`, 0 where there are none.
pub fn recall(ranked: &[&str], relevant: &HashMap<String, f64>, at: usize) -> f64 {
    let wanted = relevant.values().filter(|gain| **gain > 0.0).count();
    if wanted == 0 {
        return 0.0;
    }
    let found = first(ranked, at).filter(|document| relevant.get(*document).is_some_and(|gain| *gain > 0.0));
    found.count() as f64 / wanted as f64
}

/// The first `at` different documents.
fn first<'a>(ranked: &'a [&'a str], at: usize) -> impl Iterator<Item = &'a str> {
    let mut seen = std::collections::HashSet::new();
    ranked.iter().copied().filter(move |document| seen.insert(*document)).take(at)
}

fn discounted(gains: impl Iterator<Item = f64>) -> f64 {
    gains.zip(2_u32..).map(|(gain, place)| gain / f64::from(place).log2()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(judged: &[(&str, f64)]) -> HashMap<String, f64> {
        judged.iter().map(|(document, gain)| (document.to_string(), *gain)).collect()
    }

    #[test]
    fn figures_are_those_of_trec_eval() {
        let check = |ranked: &[&str], relevant: &[(&str, f64)], at: usize, expected: (f64, f64)| {
            let relevant = judged(relevant);
            let found = (ndcg(ranked, &relevant, at), recall(ranked, &relevant, at));
            assert!((found.0 - expected.0).abs() < 1e-4 && (found.1 - expected.1).abs() < 1e-9, "{found:?}");
        };
        check(&["a", "b"], &[("a", 1.0)], 10, (1.0, 1.0));
        check(&["b", "a"], &[("a", 1.0)], 10, (0.6309, 1.0));
        check(&["b", "a"], &[("a", 1.0)], 1, (0.0, 0.0));
        check(&["x", "a", "y", "b"], &[("a", 1.0), ("b", 2.0), ("c", 1.0)], 10, (0.4766, 2.0 / 3.0));
        check(&["b", "b", "a"], &[("a", 1.0)], 2, (0.6309, 1.0));
        check(&["a"], &[("a", 0.0), ("b", -1.0)], 10, (0.0, 0.0));
        check(&[], &[("a", 1.0)], 10, (0.0, 0.0));
        check(&["a"], &[], 10, (0.0, 0.0));
    }

    proptest! {
        #[test]
        fn figures_are_shares_and_the_ideal_has_all(
            gains in prop::collection::hash_map("[a-e]", 0.0_f64..4.0, 0..5),
            ranked in prop::collection::vec("[a-h]", 0..9),
            at in 1_usize..9,
        ) {
            let ranked: Vec<&str> = ranked.iter().map(String::as_str).collect();
            for figure in [ndcg(&ranked, &gains, at), recall(&ranked, &gains, at)] {
                prop_assert!((0.0..=1.0 + 1e-9).contains(&figure));
            }
            let mut ideal: Vec<&str> = gains.keys().map(String::as_str).collect();
            ideal.sort_by(|a, b| gains[*b].total_cmp(&gains[*a]));
            let expected = if gains.values().any(|gain| *gain > 0.0) { 1.0 } else { 0.0 };
            prop_assert!((ndcg(&ideal, &gains, at) - expected).abs() < 1e-9);
        }
    }
}
