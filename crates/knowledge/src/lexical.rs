//! BM25 over the words of a question. The question is words and nothing else: no character of it is query syntax.
//!
//! A passage's score is the disjunction-max of its fields: the best field's BM25, and a part of the others'. Tantivy
//! evaluates that document by document. Here each field's union runs through its block-max WAND, which passes over
//! most documents unseen, and only what could still be among the best is scored in all fields. See [`Segment::rank`]
//! for why nothing is lost.

use std::collections::HashSet;

use tantivy::query::{BooleanQuery, BoostQuery, EnableScoring, Query, Scorer, TermQuery, Weight};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocAddress, DocId, DocSet, Searcher, SegmentReader, Term};

use crate::admitted::Admitted;
use crate::best::Best;
use crate::schema::Fields;

/// What the fields that do not match best add. On SciFact 0.3 gave 0.695 nDCG@10, the sum of the fields 0.631.
const TIE_BREAKER: f32 = 0.3;

/// The most different words of a question that are searched for: of a longer one the rarest count.
const WORDS_MAX: usize = 64;

/// Sums of the same scores in another order differ by their last bits: thresholds are lowered by more than that.
const ROUNDING: f32 = 1e-5;

/// The admitted passages where words of the question stand, the best `limit` of them, best first.
pub(crate) fn rank(
    searcher: &Searcher,
    fields: &Fields,
    words: &[String],
    admitted: &Admitted,
    limit: usize,
) -> tantivy::Result<Vec<(f32, DocAddress)>> {
    if words.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    let words = rarest(searcher, fields.body, words)?;
    // The body comes last: what the others can add is known by then.
    let mut unions = Vec::new();
    for field in [fields.title, fields.section, fields.body] {
        unions.extend(Union::of(searcher, field, &words)?);
    }
    let mut best = Best::new(limit);
    for (ordinal, reader) in (0_u32..).zip(searcher.segment_readers()) {
        Segment { ordinal, reader, unions: &unions, admitted }.rank(&mut best)?;
    }
    Ok(best.into_ranking())
}

/// The words of a question in one field.
struct Union {
    /// All of them, for block-max WAND.
    any: Box<dyn Weight>,
    /// Each of them, for scoring one document.
    each: Vec<Box<dyn Weight>>,
}

impl Union {
    /// `None` where no passage has any of the words in this field.
    fn of(searcher: &Searcher, field: Field, words: &[(&str, usize)]) -> tantivy::Result<Option<Self>> {
        let scoring = EnableScoring::enabled_from_searcher(searcher);
        let mut terms: Vec<Box<dyn Query>> = Vec::new();
        let mut each = Vec::new();
        for (word, times) in words {
            let term = Term::from_field_text(field, word);
            if searcher.doc_freq(&term)? > 0 {
                let query = Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs));
                let query = BoostQuery::new(query, *times as f32);
                each.push(query.weight(scoring)?);
                terms.push(Box::new(query));
            }
        }
        if terms.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { any: BooleanQuery::union(terms).weight(scoring)?, each }))
    }

    fn scorers(&self, reader: &SegmentReader) -> tantivy::Result<Vec<Box<dyn Scorer>>> {
        self.each.iter().map(|weight| weight.scorer(reader, 1.0)).collect()
    }
}

/// One segment of the index and what is searched in it.
struct Segment<'a> {
    ordinal: u32,
    reader: &'a SegmentReader,
    unions: &'a [Union],
    admitted: &'a Admitted,
}

impl Segment<'_> {
    /// Adds the segment's best to `best`.
    ///
    /// Every passage has a field that scores highest in it, say `x`, and another field adds at most the tie breaker's
    /// part of `x` or of the most that this field scores anywhere (its cap). So if the passage is to beat the worst
    /// that is kept, its highest field scores at least [`least_to_beat`], and that field's pass finds it.
    fn rank(&self, best: &mut Best) -> tantivy::Result<()> {
        let mut caps = vec![f32::INFINITY; self.unions.len()];
        let mut seen = HashSet::new();
        for (place, union) in self.unions.iter().enumerate() {
            let mut others = caps.clone();
            others.remove(place);
            others.sort_unstable_by(|a, b| b.total_cmp(a));
            let mut scorers = Vec::with_capacity(self.unions.len());
            for union in self.unions {
                scorers.push(union.scorers(self.reader)?);
            }
            let mut threshold = least_to_beat(best.worst(), &others);
            let mut highest = 0.0_f32;
            union.any.for_each_pruning(threshold, self.reader, &mut |document, score| {
                highest = highest.max(score);
                if self.admitted.has(self.ordinal, document) && seen.insert(document) {
                    best.offer(
                        disjunction_max(&mut scorers, document),
                        DocAddress::new(self.ordinal, document),
                    );
                    threshold = least_to_beat(best.worst(), &others);
                }
                threshold
            })?;
            caps[place] = highest.max(threshold);
        }
        Ok(())
    }
}

/// The least that the highest field of a passage must score for its disjunction-max to exceed `worst`, where each of the
/// other fields scores no more than its cap, highest first.
fn least_to_beat(worst: f32, caps: &[f32]) -> f32 {
    let mut capped: f32 = caps.iter().filter(|cap| cap.is_finite()).sum();
    let mut uncapped = 0.0;
    for cap in caps {
        if cap.is_finite() {
            let least = (worst - TIE_BREAKER * capped) / (1.0 + TIE_BREAKER * uncapped);
            if least >= *cap {
                return least * (1.0 - ROUNDING);
            }
            capped -= cap;
        }
        uncapped += 1.0;
    }
    worst / (1.0 + TIE_BREAKER * uncapped) * (1.0 - ROUNDING)
}

/// The disjunction-max of a document, whose fields' scorers have not yet passed it.
fn disjunction_max(fields: &mut [Vec<Box<dyn Scorer>>], document: DocId) -> f32 {
    let mut sum = 0.0_f32;
    let mut highest = 0.0_f32;
    for scorers in fields {
        let mut score = 0.0;
        for scorer in scorers {
            if scorer.doc() < document {
                scorer.seek(document);
            }
            if scorer.doc() == document {
                score += scorer.score();
            }
        }
        sum += score;
        highest = highest.max(score);
    }
    highest + TIE_BREAKER * (sum - highest)
}

/// The different words with how often each stands there; of more than [`WORDS_MAX`] those that the fewest passages have.
fn rarest<'a>(
    searcher: &Searcher,
    body: Field,
    words: &'a [String],
) -> tantivy::Result<Vec<(&'a str, usize)>> {
    let mut sorted: Vec<&str> = words.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    let different = sorted.chunk_by(|a, b| a == b).filter_map(|same| Some((*same.first()?, same.len())));
    let different: Vec<(&str, usize)> = different.collect();
    if different.len() <= WORDS_MAX {
        return Ok(different);
    }
    let mut counted = Vec::with_capacity(different.len());
    for word in different {
        let passages = searcher.doc_freq(&Term::from_field_text(body, word.0))?;
        if passages > 0 {
            counted.push((passages, word));
        }
    }
    counted.sort_unstable();
    Ok(counted.into_iter().take(WORDS_MAX).map(|(_, word)| word).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tantivy::collector::TopDocs;
    use tantivy::query::DisjunctionMaxQuery;

    use super::*;
    use crate::scope::Scope;
    use crate::testing::{Written, written};

    /// Every document's score by Tantivy's own disjunction-max.
    fn in_full(searcher: &Searcher, fields: &Fields, words: &[String]) -> Vec<(f32, DocAddress)> {
        let any_of = |field: Field| -> Box<dyn Query> {
            let terms = words.iter().map(|word| -> Box<dyn Query> {
                Box::new(TermQuery::new(Term::from_field_text(field, word), IndexRecordOption::WithFreqs))
            });
            Box::new(BooleanQuery::union(terms.collect()))
        };
        let of_fields = [fields.title, fields.section, fields.body].map(any_of);
        let query = DisjunctionMaxQuery::with_tie_breaker(of_fields.into(), TIE_BREAKER);
        searcher.search(&query, &TopDocs::with_limit(10_000).order_by_score()).unwrap()
    }

    #[test]
    fn the_least_to_beat_is_what_the_bound_reaches() {
        let check = |worst: f32, caps: &[f32]| {
            let least = least_to_beat(worst, caps);
            let bound = least + TIE_BREAKER * caps.iter().map(|cap| cap.min(least)).sum::<f32>();
            assert!(bound <= worst && bound > worst * 0.999, "{worst} {caps:?} {least} {bound}");
        };
        check(10.0, &[]);
        check(10.0, &[5.0]);
        check(10.0, &[9.0, 1.0]);
        check(10.0, &[f32::INFINITY, 2.0]);
        check(10.0, &[f32::INFINITY, f32::INFINITY]);
        check(10.0, &[0.0, 0.0]);
        assert_eq!(least_to_beat(f32::NEG_INFINITY, &[1.0]), f32::NEG_INFINITY);
    }

    fn text() -> impl Strategy<Value = String> {
        let word = prop::sample::select(vec!["ax", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"]);
        prop::collection::vec(word, 0..9).prop_map(|words| words.join(" "))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn nothing_is_lost_by_pruning(
            texts in prop::collection::vec((text(), text(), text()), 1..40),
            repeats in 1_usize..12,
            question in prop::collection::vec(prop::sample::select(vec!["ax", "bee", "cat", "dog", "owl"]), 1..5),
            limit in 1_usize..40,
            has_titles in any::<bool>(),
        ) {
            let rows: Vec<Written> = std::iter::repeat_n(&texts, repeats)
                .flatten()
                .enumerate()
                .map(|(place, (title, section, body))| Written {
                    file: place.to_string(),
                    title: if has_titles { title.clone() } else { String::new() },
                    section: section.clone(),
                    body: body.clone(),
                    ..Written::default()
                })
                .collect();
            let (searcher, fields) = written(&rows, 1_000, &[3]);
            let words: Vec<String> = question.iter().map(ToString::to_string).collect();
            let admitted = Admitted::of(&searcher, &fields, &Scope::everything(), None).unwrap();
            let found = rank(&searcher, &fields, &words, &admitted, limit).unwrap();
            let full = in_full(&searcher, &fields, &words);
            prop_assert_eq!(found.len(), full.len().min(limit));
            for ((score, place), (expected, _)) in found.iter().zip(&full) {
                prop_assert!((score - expected).abs() < 1e-4);
                let own = full.iter().find(|(_, other)| other == place).map(|(score, _)| *score);
                prop_assert!(own.is_some_and(|own| (score - own).abs() < 1e-4));
            }
        }
    }
}
