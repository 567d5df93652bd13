//! The nearest vectors by exact scan: every code is compared, the best are compared again with their exact rows.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tantivy::{DocAddress, DocId};

use crate::vectors::{Component, code};

/// The codes' best, as a multiple of what is asked for, that are compared exactly. Bytes order the true first hundred
/// within the first few hundred.
const RESCORED_PER_WANTED: usize = 2;

/// The `limit` documents nearest to `question`, best first, with their exact cosines. `admit` tells which documents
/// of which segment may be found.
pub(crate) fn nearest(
    segments: &[Component],
    question: &[f32],
    limit: usize,
    admit: impl Fn(u32, DocId) -> bool,
) -> Vec<(f32, DocAddress)> {
    let question_code: Vec<i16> = code(question).into_iter().map(|byte| i16::from(byte.cast_signed())).collect();
    let kept_max = limit.saturating_mul(RESCORED_PER_WANTED);
    let mut kept: BinaryHeap<Reverse<Near>> = BinaryHeap::with_capacity(kept_max.min(10_000) + 1);
    let mut worst = f32::NEG_INFINITY;
    for (segment, component) in (0_u32..).zip(segments) {
        for (document, (code, scale)) in (0_u32..).zip(component.codes()) {
            let score = dot(code, &question_code) as f32 * scale;
            if score <= worst || !admit(segment, document) {
                continue;
            }
            kept.push(Reverse(Near { score, place: DocAddress::new(segment, document) }));
            if kept.len() > kept_max {
                kept.pop();
                worst = kept.peek().map_or(worst, |least| least.0.score);
            }
        }
    }
    let mut found: Vec<(f32, DocAddress)> = kept
        .into_iter()
        .filter_map(|Reverse(near)| {
            let component = segments.get(near.place.segment_ord as usize)?;
            Some((component.cosine(near.place.doc_id, question), near.place))
        })
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    found.truncate(limit);
    found
}

/// A document and how near its code is.
#[derive(Clone, Copy, Debug)]
struct Near {
    score: f32,
    place: DocAddress,
}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Of equals the earlier document is the better one.
        self.score.total_cmp(&other.score).then(other.place.cmp(&self.place))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Near {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Near {}

/// The dot product of signed bytes and the question's numbers. It cannot overflow below 2^16 dimensions; saying so by
/// wrapping arithmetic is what lets the compiler use SIMD under overflow checks.
fn dot(code: &[u8], question: &[i16]) -> i32 {
    let products = code.iter().zip(question).map(|(&byte, &number)| i32::from(byte.cast_signed()).wrapping_mul(i32::from(number)));
    products.fold(0, i32::wrapping_add)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_dot_product_is_the_sum_of_products(pairs in prop::collection::vec((any::<i8>(), -127_i16..=127), 0..70)) {
            let code: Vec<u8> = pairs.iter().map(|(byte, _)| byte.cast_unsigned()).collect();
            let question: Vec<i16> = pairs.iter().map(|(_, number)| *number).collect();
            let expected: i64 = pairs.iter().map(|(byte, number)| i64::from(*byte) * i64::from(*number)).sum();
            prop_assert_eq!(i64::from(dot(&code, &question)), expected);
        }
    }
}
