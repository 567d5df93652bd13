//! The vectors of a segment, in a component of the segment itself: deletes, merges and commits of text and vectors
//! are one act, and no crash can part them.
//!
//! A component is a header (magic, dimensions, count: 16 bytes, little-endian), then all rows as f32, then one scale
//! per row, then one signed byte per number: `number = byte * scale`. The bytes are scanned, the rows re-score.
//! All lengths are checked when a component is opened: bytes that are not a component are an error, never a panic.

use std::any::Any;
use std::io::{self, Write};

use tantivy::directory::{OwnedBytes, TerminatingWrite};
use tantivy::index::SegmentComponent;
use tantivy::indexer::doc_id_mapping::DocIdMapping;
use tantivy::plugin::{PluginMergeContext, PluginWriter, PluginWriterContext, SegmentPlugin};
use tantivy::schema::document::ErasedDocument;
use tantivy::schema::{FieldType, Schema, Value};
use tantivy::{DocId, Segment, SegmentReader, TantivyDocument, TantivyError};

/// The custom field type's name in the schema.
pub(crate) const TYPE: &str = "unit_vector";

const EXTENSION: &str = "vec";
const MAGIC: &[u8; 8] = b"ptsvec\x00\x01";
const HEADER_BYTES: usize = 16;
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
        let alive = || {
            let parts = merge.readers.iter().zip(&parts);
            parts.flat_map(|(reader, part)| reader.doc_ids_alive().map(move |document| (part, document)))
        };
        let mut out = merge.target_segment.open_write(component())?;
        write_header(&mut out, self.dimensions, alive().count())?;
        for (part, document) in alive() {
            out.write_all(part.row_bytes(document))?;
        }
        for (part, document) in alive() {
            out.write_all(&part.scale(document).to_le_bytes())?;
        }
        for (part, document) in alive() {
            out.write_all(part.code(document))?;
        }
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
        let mut out = segment.open_write(component())?;
        write_header(&mut out, self.dimensions, self.rows.len() / self.dimensions.max(1))?;
        let rows = || self.rows.chunks_exact(self.dimensions.max(1));
        for number in &self.rows {
            out.write_all(&number.to_le_bytes())?;
        }
        for row in rows() {
            out.write_all(&scale(row).to_le_bytes())?;
        }
        for row in rows() {
            out.write_all(&code(row))?;
        }
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

fn write_header(out: &mut impl Write, dimensions: usize, count: usize) -> io::Result<()> {
    let small =
        |number: usize| u32::try_from(number).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    out.write_all(MAGIC)?;
    out.write_all(&small(dimensions)?.to_le_bytes())?;
    out.write_all(&small(count)?.to_le_bytes())
}

/// A vector as the bytes of a custom field.
pub(crate) fn to_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = f32> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers.iter().map(|bytes| f32::from_le_bytes(*bytes))
}

fn scale(row: &[f32]) -> f32 {
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
        let count = number(12)?;
        let whole =
            count.checked_mul(dimensions.checked_mul(5)?.checked_add(4)?)?.checked_add(HEADER_BYTES)?;
        let ours = bytes.get(..8)? == MAGIC && number(8)? == dimensions && bytes.len() == whole;
        ours.then_some(Self { bytes, dimensions, count })
    }

    fn row_bytes(&self, document: DocId) -> &[u8] {
        let length = self.dimensions * 4;
        let start = HEADER_BYTES + document as usize * length;
        &self.bytes[start..start + length]
    }

    fn scale(&self, document: DocId) -> f32 {
        let start = HEADER_BYTES + self.count * self.dimensions * 4 + document as usize * 4;
        numbers(&self.bytes[start..start + 4]).sum()
    }

    fn code(&self, document: DocId) -> &[u8] {
        let start =
            HEADER_BYTES + self.count * (self.dimensions * 4 + 4) + document as usize * self.dimensions;
        &self.bytes[start..start + self.dimensions]
    }

    /// All codes in the order of documents, `count` at a time, with their scales.
    pub(crate) fn blocks(&self, count: usize) -> impl Iterator<Item = (&[u8], impl Iterator<Item = f32>)> {
        let scales = HEADER_BYTES + self.count * self.dimensions * 4;
        let codes = scales + self.count * 4;
        let blocks = self.bytes[codes..].chunks((self.dimensions * count).max(1));
        blocks.zip(self.bytes[scales..codes].chunks((4 * count).max(1)).map(numbers))
    }

    /// The exact cosine of a document's vector and a unit vector of the same length.
    pub(crate) fn cosine(&self, document: DocId, question: &[f32]) -> f32 {
        let row: Vec<f32> = numbers(self.row_bytes(document)).collect();
        api::cosine(&row, question)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(rows: &[[f32; 3]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_header(&mut bytes, 3, rows.len()).unwrap();
        bytes.extend(rows.iter().flat_map(|row| to_bytes(row)));
        bytes.extend(rows.iter().flat_map(|row| scale(row).to_le_bytes()));
        bytes.extend(rows.iter().flat_map(|row| code(row)));
        bytes
    }

    #[test]
    fn what_was_written_is_read() {
        let rows = [[1.0, 0.0, 0.0], [0.6, -0.8, 0.0], [0.0, 0.0, 0.0]];
        let found = Component::parse(OwnedBytes::new(whole(&rows)), 3).unwrap();
        let signed = |code: &[u8]| code.iter().map(|byte| byte.cast_signed()).collect::<Vec<_>>();
        let blocks: Vec<_> =
            found.blocks(2).map(|(codes, scales)| (signed(codes), scales.collect::<Vec<_>>())).collect();
        let expected =
            [(vec![127, 0, 0, 95, -127, 0], vec![1.0 / 127.0, 0.8 / 127.0]), (vec![0, 0, 0], vec![0.0])];
        assert_eq!(blocks, expected);
        assert_eq!(found.cosine(1, &[0.6, -0.8, 0.0]), 1.0);
        assert_eq!(found.scale(1), 0.8 / 127.0);
        assert_eq!(signed(found.code(1)), [95, -127, 0]);
    }

    proptest! {
        #[test]
        fn bytes_that_are_no_component_are_refused(cut in 0_usize..90, more in 0_usize..3, dimensions in 0_usize..9) {
            let mut bytes = whole(&[[1.0, 0.0, 0.0], [0.6, -0.8, 0.0], [0.0, 0.0, 0.0]]);
            let length = bytes.len();
            bytes.truncate(cut);
            bytes.extend(vec![0; more]);
            let good = bytes.len() == length && dimensions == 3;
            prop_assert_eq!(Component::parse(OwnedBytes::new(bytes), dimensions).is_some(), good);
        }
    }
}
