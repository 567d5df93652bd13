//! The best scored documents of a ranking, as many as are wanted.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use tantivy::DocAddress;

/// A document and its score. Of equal scores the earlier document is the better one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scored {
    pub(crate) score: f32,
    pub(crate) place: DocAddress,
}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.place.cmp(&self.place))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scored {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scored {}

/// See the module.
#[derive(Debug)]
pub(crate) struct Best {
    limit: usize,
    kept: BinaryHeap<Reverse<Scored>>,
    worst: f32,
}

impl Best {
    /// Of at most `limit`.
    pub(crate) fn new(limit: usize) -> Self {
        let worst = if limit == 0 { f32::INFINITY } else { f32::NEG_INFINITY };
        Self { limit, kept: BinaryHeap::with_capacity(limit.min(10_000) + 1), worst }
    }

    /// What a document must at least score to be kept.
    pub(crate) fn worst(&self) -> f32 {
        self.worst
    }

    /// Keeps the document while it is among the best.
    pub(crate) fn offer(&mut self, score: f32, place: DocAddress) {
        if score < self.worst {
            return;
        }
        self.kept.push(Reverse(Scored { score, place }));
        if self.kept.len() > self.limit {
            self.kept.pop();
        }
        if self.kept.len() == self.limit {
            self.worst = self.kept.peek().map_or(self.worst, |worst| worst.0.score);
        }
    }

    /// The best first.
    pub(crate) fn into_ranking(self) -> Vec<(f32, DocAddress)> {
        self.kept.into_sorted_vec().into_iter().map(|Reverse(scored)| (scored.score, scored.place)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_and_of_equals_the_earlier() {
        let check = |limit: usize, expected: &[(f32, u32)]| {
            let mut best = Best::new(limit);
            for (score, document) in [(1.0, 5), (3.0, 4), (1.0, 1), (2.0, 3), (3.0, 2)] {
                best.offer(score, DocAddress::new(0, document));
            }
            let found: Vec<_> =
                best.into_ranking().iter().map(|(score, place)| (*score, place.doc_id)).collect();
            assert_eq!(found, expected);
        };
        check(0, &[]);
        check(2, &[(3.0, 2), (3.0, 4)]);
        check(4, &[(3.0, 2), (3.0, 4), (2.0, 3), (1.0, 1)]);
        check(9, &[(3.0, 2), (3.0, 4), (2.0, 3), (1.0, 1), (1.0, 5)]);
    }
}
