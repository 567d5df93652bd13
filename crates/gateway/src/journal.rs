//! Lines of JSON on disk: appended, read, or replaced whole. A line that a crash has torn costs only itself. Refuses to know
//! what the lines mean, and to keep two writers apart: its callers hold a lock.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use api::Vector;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A file of lines, which need not be there yet.
#[derive(Clone, Debug)]
pub(crate) struct Journal(PathBuf);

impl Journal {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// All lines that can be read, in order; none where there is no file.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> io::Result<Vec<T>> {
        let file = match File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut rows = Vec::new();
        for line in BufReader::new(file).split(b'\n') {
            rows.extend(serde_json::from_slice(&line?).ok());
        }
        Ok(rows)
    }

    /// Adds lines; on disk when this returns.
    pub(crate) fn append<'a, T: Serialize + 'a>(
        &self,
        rows: impl IntoIterator<Item = &'a T>,
    ) -> io::Result<()> {
        self.make_folder()?;
        let mut lines = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut lines, row)?;
            lines.push(b'\n');
        }
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(&self.0)?;
        if torn(&mut file)? {
            file.write_all(b"\n")?;
        }
        file.write_all(&lines)?;
        file.sync_data()
    }

    /// Replaces all lines, or none.
    pub(crate) fn replace<'a, T: Serialize + 'a>(
        &self,
        rows: impl IntoIterator<Item = &'a T>,
    ) -> io::Result<()> {
        write_whole(&self.0, |file| {
            for row in rows {
                serde_json::to_writer(&mut *file, row)?;
                file.write_all(b"\n")?;
            }
            Ok(())
        })
    }

    fn make_folder(&self) -> io::Result<()> {
        self.0.parent().map_or(Ok(()), fs::create_dir_all)
    }
}

/// Writes a file beside and renames it into place: whoever reads it sees the old one or the new one.
pub(crate) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let beside = path.with_extension("tmp");
    let mut file = BufWriter::new(File::create(&beside)?);
    write(&mut file)?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(beside, path)
}

/// Whether a crash has cut the last line off.
fn torn(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// A vector as text: base64 of little-endian 32-bit floats.
pub(crate) fn packed(vector: &[f32]) -> String {
    STANDARD.encode(vector.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}

/// What [`packed`] made; `None` for anything else.
pub(crate) fn unpacked(text: &str) -> Option<Vector> {
    let bytes = STANDARD.decode(text).ok()?;
    let (fours, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| fours.iter().map(|four| f32::from_le_bytes(*four)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_costs_only_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = Journal::new(folder.path().join("deep/rows.jsonl"));
        assert!(journal.read::<u32>().expect("nothing yet").is_empty());
        journal.append(&[1]).expect("kept");
        let mut file = OpenOptions::new().append(true).open(journal.path()).expect("the file");
        file.write_all(b"{\"to").expect("room");
        journal.append(&[2, 3]).expect("kept");
        assert_eq!(journal.read::<u32>().expect("readable"), [1, 2, 3]);
        journal.replace(&[4]).expect("replaced");
        assert_eq!(journal.read::<u32>().expect("readable"), [4]);
    }

    #[test]
    fn vectors_survive_being_written() {
        let vector = vec![0.1, -2.5e-7, 3.4e38];
        assert_eq!(unpacked(&packed(&vector)), Some(vector));
        assert_eq!(unpacked("AAA"), None);
    }
}
