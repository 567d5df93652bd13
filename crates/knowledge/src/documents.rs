//! The documents of a generation, by name: what tells whether a document has changed, and what a listing shows.
//!
//! `documents.jsonl` has a line for each document in the order of their names. It lies in the generation and is vouched for by
//! its manifest, so that it and the index beside it are always of one moment.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tantivy::directory::OwnedBytes;

use crate::scope::{Scope, contains};
use crate::store::Listed;

/// The file's name in a generation.
pub(crate) const DOCUMENTS: &str = "documents.jsonl";

/// A document that an index holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// The hash of all that went into the index for it.
    pub(crate) hash: String,
    /// Where it was read: its root or the uploads, and the file.
    pub(crate) source: String,
    pub(crate) passages: u64,
    /// Bytes of its text.
    pub(crate) text_bytes: u64,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(crate) attributes: Map<String, Value>,
}

impl Held {
    /// The number of the root that it was read from, or the uploads.
    pub(crate) fn origin(&self) -> &str {
        self.source.split_once(':').map_or("", |(origin, _)| origin)
    }

    /// The file that it was read from, by its name in the store.
    pub(crate) fn file(&self) -> &str {
        self.source.split_once(':').map_or("", |(_, file)| file)
    }
}

/// Documents by their names.
pub(crate) type Documents = BTreeMap<String, Held>;

/// A line: a document's name and what is known of it.
type Line = (String, Held);

/// Writes the documents of a generation into its folder.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write(documents: &Documents, generation: &Path) -> io::Result<()> {
    let mut out = BufWriter::new(File::create_new(generation.join(DOCUMENTS))?);
    for (name, held) in documents {
        serde_json::to_writer(&mut out, &(name, held))?;
        out.write_all(b"\n")?;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// The hash of all that an index is made of: the same for the same documents, in whatever order they came.
pub(crate) fn fingerprint(documents: &Documents) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, held) in documents {
        // The hash covers the name; the name's length parts the two.
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(held.hash.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// The lines of a generation, as they lie in its file.
#[derive(Clone, Debug)]
pub(crate) struct Listing(pub(crate) OwnedBytes);

impl Listing {
    /// All documents, if the bytes still are those that `blake3` is the hash of.
    ///
    /// # Errors
    /// They are not.
    pub(crate) fn documents(&self, blake3: &str) -> io::Result<Documents> {
        if blake3::hash(&self.0).to_hex().as_str() != blake3 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{DOCUMENTS} has other bytes than were written"),
            ));
        }
        self.lines_from(0).collect()
    }

    /// Documents within `scope` by name, those after `after`, at most `limit`.
    ///
    /// # Errors
    /// A line is none of ours.
    pub(crate) fn page(&self, scope: &Scope, after: Option<&str>, limit: usize) -> io::Result<Vec<Listed>> {
        let start = after.map_or(Ok(0), |after| self.after(after))?;
        let within = |name: &str| {
            scope.folders().is_none_or(|folders| folders.iter().any(|folder| contains(folder, name)))
        };
        let lines =
            self.lines_from(start).filter(|line| line.as_ref().map_or(true, |(name, _)| within(name)));
        let listed = lines.take(limit).map(|line| {
            let (name, Held { hash, passages, attributes, .. }) = line?;
            Ok(Listed { name, hash, passages, attributes })
        });
        listed.collect()
    }

    /// Where the first line stands whose name is after `name`: found by halving, since the lines are in order.
    fn after(&self, name: &str) -> io::Result<usize> {
        let (mut low, mut high) = (0, self.0.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let start =
                self.0[low..middle].iter().rposition(|&byte| byte == b'\n').map_or(low, |end| low + end + 1);
            let Some((found, _)) = self.lines_from(start).next().transpose()? else { break };
            if found.as_str() > name {
                high = start;
            } else {
                low = self.end_of_line(start);
            }
        }
        Ok(low)
    }

    fn end_of_line(&self, start: usize) -> usize {
        let rest = &self.0[start..];
        start + rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |end| end + 1)
    }

    fn lines_from(&self, start: usize) -> impl Iterator<Item = io::Result<Line>> {
        let lines = self.0[start..].split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).map_err(io::Error::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_within_a_scope() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["a", "a/b", "a/c.md", "ab", "b/x\n\"y\"", "日本", "z"];
        let held = |name: &&str| Held {
            hash: blake3::hash(name.as_bytes()).to_hex().to_string(),
            source: format!("r0:{name}"),
            passages: name.len() as u64,
            text_bytes: 7,
            attributes: Map::from_iter([(String::from("n"), Value::from(1))]),
        };
        let documents: Documents = names.iter().map(|name| (name.to_string(), held(name))).collect();
        write(&documents, folder.path()).unwrap();
        let bytes = std::fs::read(folder.path().join(DOCUMENTS)).unwrap();
        let hash = blake3::hash(&bytes).to_hex().to_string();
        let listing = Listing(OwnedBytes::new(bytes));
        assert_eq!(listing.documents(&hash).unwrap(), documents);
        assert!(listing.documents("other").is_err());
        let check = |folders: Option<&[&str]>, after: Option<&str>, limit, expected: &[&str]| {
            let own = |folders: &[&str]| folders.iter().map(ToString::to_string).collect::<Vec<_>>();
            let scope =
                folders.map_or(Scope::everything(), |folders| Scope::everything().narrowed(&own(folders)));
            let found = listing.page(&scope, after, limit).unwrap();
            assert_eq!(found.iter().map(|listed| listed.name.as_str()).collect::<Vec<_>>(), expected);
        };
        check(None, None, 9, &["a", "a/b", "a/c.md", "ab", "b/x\n\"y\"", "z", "日本"]);
        for (place, name) in documents.keys().enumerate() {
            let rest: Vec<&str> = documents.keys().skip(place + 1).map(String::as_str).collect();
            check(None, Some(name), 9, &rest);
        }
        check(None, Some("a/bb"), 2, &["a/c.md", "ab"]);
        check(None, Some(""), 1, &["a"]);
        check(None, Some("日本語"), 1, &[]);
        check(Some(&["a"]), Some("a"), 9, &["a/b", "a/c.md"]);
        check(Some(&[]), None, 9, &[]);
    }
}
