//! The nearest vectors by scan: every code is compared, or in large segments those of the lists that lie nearest; the best
//! are compared again with their exact rows.

use std::ops::Range;

use tantivy::{DocAddress, DocId};

use crate::best::Best;
use crate::ivf::wide;
use crate::vectors::{Component, code};

/// The codes' best, as a multiple of what is asked for, that are compared exactly. Bytes order the true first hundred
/// within the first few hundred.
const RESCORED_PER_WANTED: usize = 2;

/// Codes that are compared at a time: their products stay in the first-level cache.
const BLOCK: usize = 256;

/// Of a segment's lists one in this many is looked through, those whose centres lie nearest, and no fewer than the least.
const LISTS_PER_PROBE: usize = 5;
const PROBES_MIN: usize = 16;

/// The `limit` documents nearest to `question`, best first, with their exact cosines. `admit` tells which documents
/// of which segment may be found; where it is `narrow`, all codes are compared: the nearest lists may have none of them.
pub(crate) fn nearest(
    segments: &[Component],
    question: &[f32],
    limit: usize,
    narrow: bool,
    admit: impl Fn(u32, DocId) -> bool,
) -> Vec<(f32, DocAddress)> {
    let lists = segments.iter().map(Component::lists).max().unwrap_or_default();
    let probes = if narrow { usize::MAX } else { (lists / LISTS_PER_PROBE).max(PROBES_MIN) };
    nearest_in(segments, question, limit, probes, admit)
}

/// The same, looking through `probes` lists of each segment that has lists.
pub(crate) fn nearest_in(
    segments: &[Component],
    question: &[f32],
    limit: usize,
    probes: usize,
    admit: impl Fn(u32, DocId) -> bool,
) -> Vec<(f32, DocAddress)> {
    let question_code = wide(&code(question));
    let mut nearest = Best::new(limit.saturating_mul(RESCORED_PER_WANTED));
    let mut dots = Vec::with_capacity(BLOCK);
    for (segment, component) in (0_u32..).zip(segments) {
        for stretch in stretches(component, &question_code, probes, &mut dots) {
            for start in stretch.clone().step_by(BLOCK) {
                let slots = start..(start + BLOCK).min(stretch.end);
                dot_each(component.codes(&slots), &question_code, &mut dots);
                for ((dot, scale), slot) in dots.iter().zip(component.scales(&slots)).zip(slots.clone()) {
                    let score = *dot as f32 * scale;
                    if score > nearest.worst() {
                        let document = component.document(slot);
                        if admit(segment, document) {
                            nearest.offer(score, DocAddress::new(segment, document));
                        }
                    }
                }
            }
        }
    }
    let mut exact = Best::new(limit);
    for (_, place) in nearest.into_ranking() {
        if let Some(component) = segments.get(place.segment_ord as usize) {
            exact.offer(component.cosine(place.doc_id, question), place);
        }
    }
    exact.into_ranking()
}

/// The slots of a segment that are compared: all of them, or the lists whose centres are nearest to the question.
fn stretches(
    component: &Component,
    question: &[i16],
    probes: usize,
    dots: &mut Vec<i32>,
) -> Vec<Range<usize>> {
    if component.lists() <= probes {
        return vec![component.slots()];
    }
    let (codes, scales) = component.centres();
    dot_each(codes, question, dots);
    let near = dots.iter().zip(scales).map(|(dot, scale)| *dot as f32 * scale);
    let mut near: Vec<(f32, usize)> = near.zip(0..component.lists()).collect();
    near.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    near.into_iter().take(probes).map(|(_, list)| component.list(list)).collect()
}

/// The dot products of `question` and each of the codes that lie one after another in `codes`.
pub(crate) fn dot_each(codes: &[u8], question: &[i16], dots: &mut Vec<i32>) {
    dots.clear();
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        #[allow(
            unsafe_code,
            reason = "the processor was just seen to have AVX2, which is all that the call asks for"
        )]
        // SAFETY: see the reason.
        unsafe {
            dot_each_avx2(codes, question, dots);
        }
        return;
    }
    dot_each_portable(codes, question, dots);
}

/// The same code, compiled for AVX2: 100,000 codes of 384 numbers take 1.7 ms instead of 6.8.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn dot_each_avx2(codes: &[u8], question: &[i16], dots: &mut Vec<i32>) {
    dot_each_portable(codes, question, dots);
}

#[inline(always)]
fn dot_each_portable(codes: &[u8], question: &[i16], dots: &mut Vec<i32>) {
    dots.extend(codes.chunks_exact(question.len().max(1)).map(|code| dot(code, question)));
}

/// The dot product of signed bytes and the question's numbers. It cannot overflow below 2^16 dimensions; saying so by
/// wrapping arithmetic is what lets the compiler use SIMD under overflow checks.
#[inline(always)]
fn dot(code: &[u8], question: &[i16]) -> i32 {
    let product =
        |(&byte, &number): (&u8, &i16)| i32::from(byte.cast_signed()).wrapping_mul(i32::from(number));
    code.iter().zip(question).map(product).fold(0, i32::wrapping_add)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn dot_products_are_sums_of_products(
            rows in prop::collection::vec(prop::collection::vec(any::<i8>(), 37), 0..5),
            question in prop::collection::vec(-127_i16..=127, 37),
        ) {
            let codes: Vec<u8> = rows.iter().flatten().map(|byte| byte.cast_unsigned()).collect();
            let sum = |row: &Vec<i8>| -> i32 { row.iter().zip(&question).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum() };
            let expected: Vec<i32> = rows.iter().map(sum).collect();
            let mut dots = vec![7];
            dot_each(&codes, &question, &mut dots);
            prop_assert_eq!(&dots, &expected);
            dots.clear();
            dot_each_portable(&codes, &question, &mut dots);
            prop_assert_eq!(&dots, &expected);
        }
    }
}
