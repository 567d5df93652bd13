//! The vectors of a segment, in a component of the segment itself: deletes, merges and commits of text and vectors
//! are one act, and no crash can part them.
//!
//! A component is a header (magic, dimensions, count, lists: 20 bytes, little-endian), then all rows as f32 in the order of
//! the documents. Then come one scale per row, and one signed byte per number (`number = byte * scale`): these are scanned,
//! the rows re-score. A large component has lists of rows that lie together (see `ivf`): its scales and bytes stand list
//! after list, and behind them the document of each, where each list ends, and the lists' centres in the same coding.
//! All lengths and places are checked when a component is opened: bytes that are not a component are an error, never a
//! panic.

use std::any::Any;
use std::io::{self, Write};
use std::ops::Range;

use tantivy::directory::{OwnedBytes, TerminatingWrite};
use tantivy::index::SegmentComponent;
use tantivy::indexer::doc_id_mapping::DocIdMapping;
use tantivy::plugin::{PluginMergeContext, PluginWriter, PluginWriterContext, SegmentPlugin};
use tantivy::schema::document::ErasedDocument;
use tantivy::schema::{FieldType, Schema, Value};
use tantivy::{DocId, Segment, SegmentReader, TantivyDocument, TantivyError};

use crate::ivf::{Lists, ROWS_MIN};

/// The custom field type's name in the schema.
pub(crate) const TYPE: &str = "unit_vector";

const EXTENSION: &str = "vec";
const MAGIC: &[u8; 8] = b"ptsvec\x00\x02";
const HEADER_BYTES: usize = 20;
const BYTE_MAX: f32 = 127.0;

/// Writes, reads and merges the component.
#[derive(Debug)]
pub(crate) struct Vectors {
    dimensions: usize,
}

impl Vectors {
    pub(crate) fn new(dimensions: usize) -> Self {
        Self { dimensions }
    }
}

impl SegmentPlugin for Vectors {
    fn extensions(&self) -> &[&str] {
        &[EXTENSION]
    }

    fn create_writer(&self, _: &PluginWriterContext<'_>) -> tantivy::Result<Box<dyn PluginWriter>> {
        Ok(Box::new(Gathering { dimensions: self.dimensions, rows: Vec::new() }))
    }

    fn merge(&self, merge: PluginMergeContext<'_>) -> tantivy::Result<()> {
        let parts: Vec<Component> = merge
            .readers
            .iter()
            .map(|reader| Component::open(reader, self.dimensions))
            .collect::<Result<_, _>>()?;
        // The order that Tantivy itself merges in, since no index of ours is sorted by a field.
        let places: Vec<(usize, DocId)> = merge
            .readers
            .iter()
            .enumerate()
            .flat_map(|(part, reader)| reader.doc_ids_alive().map(move |document| (part, document)))
            .collect();
        let row = |place: usize| {
            let (part, document) = places[place];
            parts[part].row(document)
        };
        let lists = Lists::of(places.len(), ROWS_MIN, row);
        let mut out = merge.target_segment.open_write(component())?;
        write(&mut out, self.dimensions, places.len(), row, &lists)?;
        out.terminate()?;
        Ok(())
    }
}

/// The vectors of a segment that is being written.
struct Gathering {
    dimensions: usize,
    rows: Vec<f32>,
}

impl PluginWriter for Gathering {
    fn add_document(
        &mut self,
        _: DocId,
        document: &dyn ErasedDocument,
        schema: &Schema,
    ) -> tantivy::Result<()> {
        let field = schema
            .fields()
            .find_map(|(field, entry)| matches!(entry.field_type(), FieldType::Custom(_)).then_some(field));
        let document = document.as_any().downcast_ref::<TantivyDocument>();
        let bytes = document.zip(field).and_then(|(document, field)| document.get_first(field)?.as_custom());
        let bytes = bytes.filter(|bytes| bytes.len() == self.dimensions * 4);
        let bytes = bytes.ok_or_else(|| {
            TantivyError::InvalidArgument(format!(
                "a passage without a vector of {} numbers",
                self.dimensions
            ))
        })?;
        self.rows.extend(numbers(bytes));
        Ok(())
    }

    fn serialize(self: Box<Self>, segment: &Segment, order: Option<&DocIdMapping>) -> tantivy::Result<()> {
        if order.is_some() {
            return Err(TantivyError::InvalidArgument(String::from("vectors cannot follow a sorted index")));
        }
        let length = self.dimensions.max(1);
        let count = self.rows.len() / length;
        let row = |place: usize| &self.rows[place * length..(place + 1) * length];
        let lists = Lists::of(count, ROWS_MIN, row);
        let mut out = segment.open_write(component())?;
        write(&mut out, self.dimensions, count, row, &lists)?;
        out.terminate()?;
        Ok(())
    }

    fn mem_usage(&self) -> usize {
        self.rows.capacity() * size_of::<f32>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

fn component() -> SegmentComponent {
    SegmentComponent::Custom(EXTENSION.to_owned())
}

/// Writes `count` rows as a component.
fn write<R: AsRef<[f32]>>(
    out: &mut impl Write,
    dimensions: usize,
    count: usize,
    row: impl Fn(usize) -> R,
    lists: &Lists,
) -> io::Result<()> {
    let small =
        |number: usize| u32::try_from(number).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    out.write_all(MAGIC)?;
    for number in [dimensions, count, lists.rows.len()] {
        out.write_all(&small(number)?.to_le_bytes())?;
    }
    for place in 0..count {
        for number in row(place).as_ref() {
            out.write_all(&number.to_le_bytes())?;
        }
    }
    let listed = || lists.rows.iter().flatten().map(|row| *row as usize);
    let slots = || listed().chain(if lists.rows.is_empty() { 0..count } else { 0..0 });
    for place in slots() {
        out.write_all(&scale(row(place).as_ref()).to_le_bytes())?;
    }
    for place in slots() {
        out.write_all(&code(row(place).as_ref()))?;
    }
    for document in lists.rows.iter().flatten() {
        out.write_all(&document.to_le_bytes())?;
    }
    let mut end = 0;
    for list in &lists.rows {
        end += list.len();
        out.write_all(&small(end)?.to_le_bytes())?;
    }
    for scale in &lists.scales {
        out.write_all(&scale.to_le_bytes())?;
    }
    out.write_all(&lists.codes)
}

/// A vector as the bytes of a custom field.
pub(crate) fn to_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = f32> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers.iter().map(|bytes| f32::from_le_bytes(*bytes))
}

/// What a vector's bytes are multiplied by.
pub(crate) fn scale(row: &[f32]) -> f32 {
    row.iter().fold(0.0_f32, |most, number| most.max(number.abs())) / BYTE_MAX
}

/// A vector as signed bytes; a vector of zeros stays one.
pub(crate) fn code(row: &[f32]) -> Vec<u8> {
    let scale = scale(row);
    let byte = |number: &f32| if scale > 0.0 { (number / scale).round() as i8 } else { 0 };
    row.iter().map(|number| byte(number).cast_unsigned()).collect()
}

/// The vectors of a segment that is being read.
#[derive(Clone, Debug)]
pub(crate) struct Component {
    bytes: OwnedBytes,
    dimensions: usize,
    count: usize,
    lists: usize,
}

impl Component {
    /// Maps a segment's vectors. Keep it: mapping them anew costs more than scanning a few thousand rows.
    ///
    /// # Errors
    /// The bytes are not vectors of `dimensions`, one for each document of the segment.
    pub(crate) fn open(segment: &SegmentReader, dimensions: usize) -> tantivy::Result<Self> {
        let bytes = segment.open_read(component())?.read_bytes()?;
        let found = Self::parse(bytes, dimensions).filter(|found| found.count == segment.max_doc() as usize);
        found.ok_or_else(|| {
            let comment =
                format!("the vectors of segment {} are damaged", segment.segment_id().uuid_string());
            tantivy::error::DataCorruption::comment_only(comment).into()
        })
    }

    fn parse(bytes: OwnedBytes, dimensions: usize) -> Option<Self> {
        let number = |from: usize| -> Option<usize> {
            let bytes = bytes.get(from..from + 4)?.try_into().ok()?;
            usize::try_from(u32::from_le_bytes(bytes)).ok()
        };
        let (count, lists) = (number(12)?, number(16)?);
        let rows = count.checked_mul(dimensions.checked_mul(5)?.checked_add(4)?)?;
        let listed = if lists == 0 { 0 } else { count.checked_mul(4)? };
        let of_lists = lists.checked_mul(dimensions.checked_add(8)?)?;
        let whole = rows.checked_add(listed)?.checked_add(of_lists)?.checked_add(HEADER_BYTES)?;
        let ours = bytes.get(..8)? == MAGIC && number(8)? == dimensions && bytes.len() == whole;
        let found = ours.then_some(Self { bytes, dimensions, count, lists })?;
        found.places_are_sound().then_some(found)
    }

    /// Whether every list names documents that are there, and the lists have all of them.
    fn places_are_sound(&self) -> bool {
        if self.lists == 0 {
            return true;
        }
        let mut documents = vec![false; self.count];
        for slot in 0..self.count {
            match documents.get_mut(self.document(slot) as usize) {
                Some(seen) if !*seen => *seen = true,
                _ => return false,
            }
        }
        let ends: Vec<usize> = (0..self.lists).map(|list| self.list_end(list)).collect();
        ends.is_sorted() && ends.last() == Some(&self.count)
    }

    fn row_bytes(&self, document: DocId) -> &[u8] {
        let length = self.dimensions * 4;
        let start = HEADER_BYTES + document as usize * length;
        &self.bytes[start..start + length]
    }

    fn row(&self, document: DocId) -> Vec<f32> {
        numbers(self.row_bytes(document)).collect()
    }

    fn scales_at(&self) -> usize {
        HEADER_BYTES + self.count * self.dimensions * 4
    }

    fn codes_at(&self) -> usize {
        self.scales_at() + self.count * 4
    }

    fn documents_at(&self) -> usize {
        self.codes_at() + self.count * self.dimensions
    }

    fn ends_at(&self) -> usize {
        self.documents_at() + self.count * 4
    }

    fn small(&self, at: usize) -> u32 {
        self.bytes[at..at + 4].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    fn list_end(&self, list: usize) -> usize {
        self.small(self.ends_at() + list * 4) as usize
    }

    /// How many lists its rows are in; 0 where it is scanned whole.
    pub(crate) fn lists(&self) -> usize {
        self.lists
    }

    /// The slots of a list: places of rows in the order in which they are scanned.
    pub(crate) fn list(&self, list: usize) -> Range<usize> {
        let start = if list == 0 { 0 } else { self.list_end(list - 1) };
        start..self.list_end(list)
    }

    /// All slots.
    pub(crate) fn slots(&self) -> Range<usize> {
        0..self.count
    }

    /// The codes and scales of the lists' centres.
    pub(crate) fn centres(&self) -> (&[u8], impl Iterator<Item = f32>) {
        let scales = self.ends_at() + self.lists * 4;
        let codes = scales + self.lists * 4;
        (&self.bytes[codes..], numbers(&self.bytes[scales..codes]))
    }

    /// Whose row stands in a slot.
    pub(crate) fn document(&self, slot: usize) -> DocId {
        if self.lists == 0 { slot as DocId } else { self.small(self.documents_at() + slot * 4) }
    }

    /// The codes of some slots, one after another.
    pub(crate) fn codes(&self, slots: &Range<usize>) -> &[u8] {
        let start = self.codes_at();
        &self.bytes[start + slots.start * self.dimensions..start + slots.end * self.dimensions]
    }

    /// Their scales.
    pub(crate) fn scales(&self, slots: &Range<usize>) -> impl Iterator<Item = f32> {
        let start = self.scales_at();
        numbers(&self.bytes[start + slots.start * 4..start + slots.end * 4])
    }

    /// The exact cosine of a document's vector and a unit vector of the same length.
    pub(crate) fn cosine(&self, document: DocId, question: &[f32]) -> f32 {
        api::cosine(&self.row(document), question)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROWS: [[f32; 3]; 4] = [[1.0, 0.0, 0.0], [0.6, -0.8, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]];

    fn whole(rows_min: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let lists = Lists::of(ROWS.len(), rows_min, |place| ROWS[place]);
        write(&mut bytes, 3, ROWS.len(), |place| ROWS[place], &lists).unwrap();
        bytes
    }

    fn signed(codes: &[u8]) -> Vec<i8> {
        codes.iter().map(|byte| byte.cast_signed()).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        let found = Component::parse(OwnedBytes::new(whole(100)), 3).unwrap();
        assert_eq!((found.lists(), found.slots()), (0, 0..4));
        assert_eq!(signed(found.codes(&(0..3))), [127, 0, 0, 95, -127, 0, 0, 0, 0]);
        assert_eq!(found.scales(&(1..3)).collect::<Vec<_>>(), [0.8 / 127.0, 0.0]);
        assert_eq!(found.cosine(1, &[0.6, -0.8, 0.0]), 1.0);
        assert_eq!(found.document(2), 2);
    }

    #[test]
    fn lists_have_every_row_once() {
        let found = Component::parse(OwnedBytes::new(whole(4)), 3).unwrap();
        assert_eq!(found.lists(), 2);
        let mut documents = Vec::new();
        for list in 0..2 {
            for slot in found.list(list) {
                let document = found.document(slot);
                documents.push(document);
                assert_eq!(found.codes(&(slot..slot + 1)), code(&ROWS[document as usize]));
                assert_eq!(found.scales(&(slot..slot + 1)).next(), Some(scale(&ROWS[document as usize])));
                assert_eq!(found.row(document), ROWS[document as usize]);
            }
        }
        documents.sort_unstable();
        assert_eq!(documents, [0, 1, 2, 3]);
        let (codes, scales) = found.centres();
        assert_eq!((codes.len(), scales.count()), (6, 2));
    }

    proptest! {
        #[test]
        fn bytes_that_are_no_component_are_refused(
            cut in 0_usize..150, more in 0_usize..3, dimensions in 0_usize..9, has_lists in any::<bool>(),
        ) {
            let mut bytes = whole(if has_lists { 4 } else { 100 });
            let length = bytes.len();
            bytes.truncate(cut);
            bytes.extend(vec![0; more]);
            let good = bytes.len() == length && more == 0 && dimensions == 3;
            let found = Component::parse(OwnedBytes::new(bytes), dimensions);
            prop_assert!(found.is_some() || !good);
            prop_assert!(found.is_none() || dimensions == 3 && cut + more >= length);
        }

        #[test]
        fn damaged_bytes_never_lead_astray(at in 0_usize..200, byte in any::<u8>(), has_lists in any::<bool>()) {
            let mut bytes = whole(if has_lists { 4 } else { 100 });
            let length = bytes.len();
            bytes[at % length] = byte;
            if let Some(found) = Component::parse(OwnedBytes::new(bytes), 3) {
                let found = [found];
                for probes in [1, 9] {
                    let near = crate::scan::nearest_in(&found, &[1.0, 0.0, 0.0], 3, probes, |_, _| true);
                    prop_assert!(near.len() <= 3);
                }
            }
        }
    }
}
