//! The index of a generation while it is written: from nothing, or from a copy of the generation before.
//!
//! A copy has bytes of its own, checked on the way: damage to one generation never reaches another. Nothing here counts
//! until its generation is published.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::Error;
use tantivy::indexer::{NoMergePolicy, UserOperation};
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{Index, IndexSettings, IndexWriter, TantivyDocument, Term};

use crate::disk;
use crate::errors::{not_built, unwritable};
use crate::manifest::{Manifest, Unfit, unfit};
use crate::schema::{self, Fields, Row};
use crate::vectors::Vectors;
use crate::words::{ANALYSIS, Analysis};

/// The folder of a generation that Tantivy writes.
pub(crate) const TEXT: &str = "text";

/// Texts are stored and read in compressed blocks of this size: a search unpacks one for each passage that it gives, and with
/// Tantivy's 16 KiB that took a fifth of its time.
const STORED_BLOCK_BYTES: usize = 2048;

/// What Tantivy gathers before it writes a segment.
const WRITER_BYTES: usize = 128 * 1024 * 1024;

/// Bytes that are copied at a time.
const COPY_BYTES: usize = 1024 * 1024;

/// An index of no more passages than this is always one segment without deleted passages: merging it takes less than a
/// second, and its statistics are then those of a fresh build.
const SMALL_PASSAGES: u64 = 20_000;

/// The most segments: each is searched by itself.
const SEGMENTS_MAX: usize = 8;

/// How far a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it does now.
    pub stage: Stage,
    /// Bytes of files that were read.
    pub bytes_done: u64,
    /// Bytes of all files that are to be read.
    pub bytes_total: u64,
    /// Documents read so far.
    pub documents: u64,
    /// Passages indexed so far: those of documents that had not changed do not count.
    pub passages: u64,
}

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading, cutting, embedding and indexing.
    Indexing,
    /// Merging what was written into few segments.
    Merging,
    /// Hashing and syncing all files, and putting the new generation in its place.
    Publishing,
}

/// See the module.
pub(crate) struct Volume {
    path: PathBuf,
    fields: Fields,
    writer: IndexWriter<TantivyDocument>,
}

impl Volume {
    /// An empty index in a generation's folder.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) fn fresh(generation: &Path, dimensions: usize) -> Result<Self, Error> {
        let path = generation.join(TEXT);
        fs::create_dir(&path).map_err(|error| unwritable(&path, error))?;
        let create = || {
            let settings =
                IndexSettings { docstore_blocksize: STORED_BLOCK_BYTES, ..IndexSettings::default() };
            let mut index = Index::builder().schema(schema::schema(dimensions)).settings(settings);
            if dimensions > 0 {
                index = index.register_plugin(Arc::new(Vectors::new(dimensions)));
            }
            Self::written(&index.create_in_dir(&path)?)
        };
        let (fields, writer) = create().map_err(|error| not_built(&path, error))?;
        Ok(Self { path, fields, writer })
    }

    /// The index of the generation in `base`, copied into another's folder.
    ///
    /// # Errors
    /// The base is damaged, something cannot be read or the folder cannot be written.
    pub(crate) fn copied(generation: &Path, base: &Path, manifest: &Manifest) -> Result<Self, Unfit> {
        let path = generation.join(TEXT);
        fs::create_dir(&path).map_err(|error| Unfit::Unreadable(unwritable(&path, error)))?;
        for name in manifest.files.keys().filter(|name| name.starts_with(TEXT)) {
            copy(base, generation, name, manifest)?;
        }
        disk::step();
        let open = || {
            let mut index = Index::open_in_dir(&path)?;
            if manifest.dimensions > 0 {
                index.register_plugin(Arc::new(Vectors::new(manifest.dimensions)));
            }
            Self::written(&index)
        };
        let (fields, writer) = open().map_err(|error| Unfit::Unreadable(not_built(&path, error)))?;
        Ok(Self { path, fields, writer })
    }

    fn written(index: &Index) -> tantivy::Result<(Fields, IndexWriter<TantivyDocument>)> {
        index.tokenizers().register(ANALYSIS, TextAnalyzer::from(Analysis::default()));
        let fields = Fields::of(&index.schema())?;
        // One thread keeps passages in the order of the corpus; the encoder takes nearly all of the time.
        let writer = index.writer_with_num_threads(1, WRITER_BYTES)?;
        writer.set_merge_policy(Box::new(NoMergePolicy));
        Ok((fields, writer))
    }

    /// Adds passages.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) fn write(&self, rows: &[Row<'_>]) -> Result<(), Error> {
        let added: Vec<_> = rows.iter().map(|row| UserOperation::Add(self.fields.document(row))).collect();
        self.writer.run(added).map_err(|error| not_built(&self.path, error))?;
        Ok(())
    }

    /// Takes out the passages of a document that were added before.
    pub(crate) fn take_out(&self, name: &str) {
        self.writer.delete_term(Term::from_field_text(self.fields.file, name));
    }

    /// Commits, merges what is worth it, and says how many passages there are.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) fn finish(mut self) -> Result<u64, Error> {
        let path = self.path.clone();
        let finish = || {
            self.writer.commit()?;
            disk::step();
            let index = self.writer.index().clone();
            let merged = worth_merging(&sizes(&index)?);
            if !merged.is_empty() {
                let ids = index.searchable_segment_ids()?;
                let merged: Vec<_> = merged.into_iter().filter_map(|place| ids.get(place).copied()).collect();
                self.writer.merge(&merged).wait()?;
            }
            self.writer.garbage_collect_files().wait()?;
            let passages = sizes(&index)?.iter().map(|size| size.passages).sum();
            self.writer.wait_merging_threads()?;
            Ok(passages)
        };
        finish().map_err(|error| not_built(&path, error))
    }
}

/// Copies a file and checks it on the way. Not by the system's own copy, which may share the bytes on disk.
fn copy(base: &Path, generation: &Path, name: &str, manifest: &Manifest) -> Result<(), Unfit> {
    let from = base.join(name);
    let to = generation.join(name);
    let unwritten = |error: io::Error| Unfit::Unreadable(unwritable(&to, error));
    let mut source = File::open(&from).map_err(|error| unfit(&from, name, error))?;
    let mut target = File::create_new(&to).map_err(unwritten)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let read = source.read(&mut buffer).map_err(|error| unfit(&from, name, error))?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        target.write_all(&buffer[..read]).map_err(unwritten)?;
    }
    let expected = manifest.files.get(name).map(|sum| sum.blake3.as_str());
    if Some(hasher.finalize().to_hex().as_str()) != expected {
        return Err(Unfit::Damaged(format!("{name} has other bytes than were written")));
    }
    Ok(())
}

/// How large a segment is.
#[derive(Clone, Copy, Debug)]
struct Size {
    passages: u64,
    deleted: u64,
}

fn sizes(index: &Index) -> tantivy::Result<Vec<Size>> {
    let metas = index.searchable_segment_metas()?;
    let size = |meta: &tantivy::SegmentMeta| Size {
        passages: u64::from(meta.num_docs()),
        deleted: u64::from(meta.num_deleted_docs()),
    };
    Ok(metas.iter().map(size).collect())
}

/// The places of the segments that should become one. Small indexes are always merged whole; large ones when an eighth of
/// their passages is deleted or outside the largest segment, and short of that only their small segments, once there are too many.
fn worth_merging(sizes: &[Size]) -> Vec<usize> {
    let passages: u64 = sizes.iter().map(|size| size.passages).sum();
    let deleted: u64 = sizes.iter().map(|size| size.deleted).sum();
    let largest = (0..sizes.len()).max_by_key(|&place| sizes[place].passages);
    let outside = passages - largest.map_or(0, |place| sizes[place].passages);
    let everything = || (0..sizes.len()).collect();
    if sizes.len() < 2 && deleted == 0 {
        return Vec::new();
    }
    if passages <= SMALL_PASSAGES || (deleted + outside) * 8 > passages {
        return everything();
    }
    if sizes.len() > SEGMENTS_MAX {
        return (0..sizes.len()).filter(|&place| Some(place) != largest).collect();
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_merged_when_it_is_worth_it() {
        let check = |sizes: &[(u64, u64)], expected: &[usize]| {
            let sizes: Vec<Size> =
                sizes.iter().map(|&(passages, deleted)| Size { passages, deleted }).collect();
            assert_eq!(worth_merging(&sizes), expected);
        };
        check(&[], &[]);
        check(&[(100_000, 0)], &[]);
        check(&[(5, 1)], &[0]);
        check(&[(5, 0), (5, 0)], &[0, 1]);
        check(&[(100_000, 12_000)], &[]);
        check(&[(100_000, 13_000)], &[0]);
        check(&[(10, 0), (100_000, 0), (20, 3)], &[]);
        check(&[(10, 0), (100_000, 0), (15_000, 3)], &[0, 1, 2]);
        let mut many = vec![(10, 0); 9];
        many[3] = (100_000, 0);
        check(&many, &[0, 1, 2, 4, 5, 6, 7, 8]);
    }
}
