//! Which passages of each segment a search may find: alive, within the scope, admitted by the filter.
//!
//! Counted once per search and used by words and vectors alike, so that no ranking can see what the other may not.

use std::cmp::Ordering;

use tantivy::columnar::{Column, DynamicColumn, StrColumn, TermOrdHit};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocId, DocSet, Searcher, SegmentReader, TERMINATED, Term};

use crate::schema::{ATTRIBUTES, Fields};
use crate::scope::Scope;
use api::filter::{Condition, Filter, Scalar, Test};

/// See the module.
#[derive(Debug)]
pub(crate) struct Admitted(Vec<Option<Vec<bool>>>);

impl Admitted {
    /// # Errors
    /// Reading fails.
    pub(crate) fn of(
        searcher: &Searcher,
        fields: &Fields,
        scope: &Scope,
        filter: Option<&Filter>,
    ) -> tantivy::Result<Self> {
        let segments = searcher.segment_readers().iter();
        let admitted = segments.map(|segment| in_segment(segment, fields, scope, filter));
        Ok(Self(admitted.collect::<Result<_, _>>()?))
    }

    /// Whether a document of the segment with this ordinal may be found.
    pub(crate) fn has(&self, segment: u32, document: DocId) -> bool {
        match self.0.get(segment as usize) {
            Some(Some(has)) => has.get(document as usize).copied().unwrap_or_default(),
            Some(None) => true,
            None => false,
        }
    }
}

fn in_segment(
    segment: &SegmentReader,
    fields: &Fields,
    scope: &Scope,
    filter: Option<&Filter>,
) -> tantivy::Result<Option<Vec<bool>>> {
    if scope.folders().is_none() && filter.is_none() && segment.alive_bitset().is_none() {
        return Ok(None);
    }
    let mut admitted = match scope.folders() {
        Some(folders) => within(segment, fields, folders)?,
        None => vec![true; segment.max_doc() as usize],
    };
    if let Some(filter) = filter {
        both(&mut admitted, &passing(segment, filter.condition())?);
    }
    if let Some(alive) = segment.alive_bitset() {
        (0..).zip(&mut admitted).for_each(|(document, admitted)| *admitted &= alive.is_alive(document));
    }
    Ok(Some(admitted))
}

/// The documents that lie in one of `folders`.
fn within(segment: &SegmentReader, fields: &Fields, folders: &[String]) -> tantivy::Result<Vec<bool>> {
    let mut has = vec![false; segment.max_doc() as usize];
    let inverted = segment.inverted_index(fields.within)?;
    for folder in folders {
        let term = Term::from_field_text(fields.within, folder);
        let Some(mut postings) = inverted.read_postings(&term, IndexRecordOption::Basic)? else { continue };
        let mut document = postings.doc();
        while document != TERMINATED {
            has[document as usize] = true;
            document = postings.advance();
        }
    }
    Ok(has)
}

/// The documents whose attributes pass `condition`.
fn passing(segment: &SegmentReader, condition: &Condition) -> tantivy::Result<Vec<bool>> {
    let all_of = |parts: &[Condition], whole: bool, join: fn(&mut [bool], &[bool])| {
        let mut passing_all = vec![whole; segment.max_doc() as usize];
        for part in parts {
            join(&mut passing_all, &passing(segment, part)?);
        }
        Ok(passing_all)
    };
    match condition {
        Condition::All(parts) => all_of(parts, true, both),
        Condition::Any(parts) => all_of(parts, false, either),
        Condition::Attribute { key, test } => testing(segment, key, test),
    }
}

fn both(these: &mut [bool], those: &[bool]) {
    these.iter_mut().zip(those).for_each(|(this, that)| *this &= that);
}

fn either(these: &mut [bool], those: &[bool]) {
    these.iter_mut().zip(those).for_each(|(this, that)| *this |= that);
}

/// The documents whose attribute `key` passes `test`. Each attribute is a column for every kind of value that it has.
fn testing(segment: &SegmentReader, key: &str, test: &Test) -> tantivy::Result<Vec<bool>> {
    let mut passing = vec![test.passes(None); segment.max_doc() as usize];
    let name = format!("{ATTRIBUTES}.{}", key.replace('\\', "\\\\").replace('.', "\\."));
    for column in segment.fast_fields().dynamic_column_handles(&name)? {
        match column.open()? {
            DynamicColumn::Bool(column) => {
                mark(&mut passing, &column, |truth| test.passes(Some(&Scalar::Truth(truth))));
            }
            DynamicColumn::I64(column) => {
                mark(&mut passing, &column, |number| test.passes(Some(&Scalar::Whole(number.into()))));
            }
            DynamicColumn::U64(column) => {
                mark(&mut passing, &column, |number| test.passes(Some(&Scalar::Whole(number.into()))));
            }
            DynamicColumn::F64(column) => {
                mark(&mut passing, &column, |number| test.passes(Some(&Scalar::Real(number))));
            }
            DynamicColumn::Str(column) => mark_texts(&mut passing, &column, test)?,
            _ => {}
        }
    }
    Ok(passing)
}

/// Sets, for each document that has a value in `column`, whether it passes.
fn mark<T: PartialOrd + Copy + std::fmt::Debug + Send + Sync + 'static>(
    passing: &mut [bool],
    column: &Column<T>,
    passes: impl Fn(T) -> bool,
) {
    for (document, passing) in (0..).zip(passing) {
        if let Some(value) = column.first(document) {
            *passing = passes(value);
        }
    }
}

/// The same for strings, which stand in the column as places in its sorted dictionary: the strings of the test are
/// looked up there once.
fn mark_texts(passing: &mut [bool], column: &StrColumn, test: &Test) -> tantivy::Result<()> {
    let dictionary = column.dictionary();
    match test {
        Test::OneOf(texts) | Test::NoneOf(texts) => {
            let mut places = Vec::new();
            for text in texts {
                if let Scalar::Text(text) = text {
                    places.extend(dictionary.term_ord(text)?);
                }
            }
            places.sort_unstable();
            let wanted = matches!(test, Test::OneOf(_));
            mark(passing, column.ords(), |place| places.binary_search(&place).is_ok() == wanted);
        }
        Test::Ordered(side, Scalar::Text(bound)) => {
            let (first, is_there) = match dictionary.term_ord_or_next(bound)? {
                TermOrdHit::Exact(place) => (place, true),
                TermOrdHit::Next(place) => (place, false),
            };
            mark(passing, column.ords(), |place| match place.cmp(&first) {
                Ordering::Equal if !is_there => side.takes(Ordering::Greater),
                order => side.takes(order),
            });
        }
        Test::Ordered(..) => mark(passing, column.ords(), |_| false),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};
    use tantivy::schema::Value as _;
    use tantivy::{DocAddress, TantivyDocument};

    use super::*;
    use crate::testing::{Written, written};

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            (-2_i64..3).prop_map(Value::from),
            prop::sample::select(vec![-0.5, 1.0, 1.5]).prop_map(Value::from),
            prop::sample::select(vec!["", "a", "b.c", "bc", "2024-01-01T00:00:00Z"]).prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::from(u64::MAX)),
        ]
    }

    fn key() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b.c", "d\\e", "f g", "_"])
    }

    fn filter() -> impl Strategy<Value = Value> {
        let ordered = prop::sample::select(vec!["eq", "ne", "gt", "gte", "lt", "lte"]);
        let one = (ordered, key(), value()).prop_map(|(kind, key, value)| {
            let value = if value.is_boolean() && kind != "eq" { json!(1) } else { value };
            json!({"type": kind, "key": key, "value": value})
        });
        let many = prop::collection::vec(value(), 0..4);
        let some = (prop::sample::select(vec!["in", "nin"]), key(), many)
            .prop_map(|(kind, key, value)| json!({"type": kind, "key": key, "value": value}));
        let group = prop::sample::select(vec!["and", "or"]);
        prop_oneof![one, some].prop_recursive(3, 8, 3, move |inner| {
            (group.clone(), prop::collection::vec(inner, 1..3))
                .prop_map(|(kind, filters)| json!({"type": kind, "filters": filters}))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn columns_say_what_the_attributes_say(
            documents in prop::collection::vec(prop::collection::hash_map(key(), value(), 0..4), 1..12),
            filters in prop::collection::vec(filter(), 1..6),
            deleted in 0_usize..12,
        ) {
            let attributes: Vec<Map<String, Value>> = documents
                .into_iter()
                .map(|document| document.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
                .collect();
            let rows: Vec<Written> = attributes
                .iter()
                .enumerate()
                .map(|(place, attributes)| Written {
                    file: format!("{}/{place}", place % 2),
                    attributes: attributes.clone(),
                    ..Written::default()
                })
                .collect();
            let (searcher, fields) = written(&rows, 5, &[deleted]);
            for filter in &filters {
                let filter = Filter::parse(filter, "filters").unwrap();
                for scope in [Scope::everything(), Scope::everything().narrowed(&[String::from("1")])] {
                    let admitted = Admitted::of(&searcher, &fields, &scope, Some(&filter)).unwrap();
                    for (ordinal, segment) in (0..).zip(searcher.segment_readers()) {
                        for document in 0..segment.max_doc() {
                            let stored: TantivyDocument = searcher.doc(DocAddress::new(ordinal, document)).unwrap();
                            let file = stored.get_first(fields.file).and_then(|file| file.as_str()).unwrap();
                            let place: usize = file[2..].parse().unwrap();
                            let expected = place != deleted
                                && (scope.folders().is_none() || place % 2 == 1)
                                && filter.admits(&attributes[place]);
                            prop_assert_eq!(admitted.has(ordinal, document), expected, "{:?} {}", filter, place);
                        }
                    }
                }
            }
        }
    }
}
