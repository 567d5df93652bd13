//! Splits of examples into folds: which rows are held out together.
//!
//! Owns the assignment of rows to folds. Refuses to look at features: only labels and groups decide.

use std::collections::BTreeMap;

use crate::random::Dice;

/// The fold of each row, `0..folds`, so that every class is spread as evenly as it can be. A class with fewer rows than
/// folds is absent from some; `folds` below 2 counts as 2.
pub fn stratified_folds(labels: &[usize], folds: usize, seed: u64) -> Vec<usize> {
    let folds = folds.max(2);
    let mut rows: Vec<usize> = (0..labels.len()).collect();
    Dice::new(seed).shuffle(&mut rows);
    // A stable sort keeps the shuffled order inside each class; dealing then runs on across class borders, so that
    // small classes do not all land in fold 0.
    rows.sort_by_key(|&row| labels[row]);
    let mut assigned = vec![0; labels.len()];
    for (place, row) in rows.into_iter().enumerate() {
        assigned[row] = place % folds;
    }
    assigned
}

/// The fold of each row, `0..folds`, with all rows of one group in one fold and the folds of about equal size: the
/// largest groups are dealt first, each to the fold that is smallest so far.
pub fn group_folds(groups: &[String], folds: usize, seed: u64) -> Vec<usize> {
    let folds = folds.max(2);
    let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, group) in groups.iter().enumerate() {
        members.entry(group).or_default().push(row);
    }
    let mut dealt: Vec<Vec<usize>> = members.into_values().collect();
    Dice::new(seed).shuffle(&mut dealt);
    dealt.sort_by_key(|rows| std::cmp::Reverse(rows.len()));
    let mut assigned = vec![0; groups.len()];
    let mut sizes = vec![0_usize; folds];
    for rows in dealt {
        let smallest = (0..folds).min_by_key(|&fold| sizes[fold]).unwrap_or(0);
        sizes[smallest] += rows.len();
        for row in rows {
            assigned[row] = smallest;
        }
    }
    assigned
}

/// The rows outside and inside `fold`: what to fit on, what to hold out.
pub(crate) fn split(assigned: &[usize], fold: usize) -> (Vec<usize>, Vec<usize>) {
    (0..assigned.len()).partition(|&row| assigned[row] != fold)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_class_is_spread_evenly(labels in prop::collection::vec(0_usize..5, 1..200), folds in 2_usize..7) {
            let assigned = stratified_folds(&labels, folds, 3);
            for class in 0..5 {
                let mut counts = vec![0_i64; folds];
                for (row, &label) in labels.iter().enumerate() {
                    if label == class {
                        counts[assigned[row]] += 1;
                    }
                }
                let spread = counts.iter().max().unwrap() - counts.iter().min().unwrap();
                prop_assert!(spread <= 1, "class {class}: {counts:?}");
            }
        }

        #[test]
        fn a_group_is_never_torn(picks in prop::collection::vec(0_usize..9, 1..80)) {
            let groups: Vec<String> = picks.iter().map(|pick| format!("g{pick}")).collect();
            let assigned = group_folds(&groups, 4, 1);
            for (a, left) in groups.iter().enumerate() {
                for (b, right) in groups.iter().enumerate() {
                    prop_assert!(left != right || assigned[a] == assigned[b]);
                }
            }
        }
    }
}
