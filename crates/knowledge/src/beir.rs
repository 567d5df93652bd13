//! A folder of judged questions in the layout of the BEIR benchmark: `corpus.jsonl`, `queries.jsonl`, `qrels/*.tsv`, each
//! of the first two plain or `.gz`.
//!
//! Owns the reading. Refuses to judge (`measure` does) and to index (`Corpus` takes what [`Beir::unpacked`] gives).

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use api::Error;
use flate2::read::MultiGzDecoder;
use serde::Deserialize;

use crate::errors;

/// What is read of one file, unpacked: no bomb fills the memory.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// A longer line is an error.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Judged questions about a corpus.
#[derive(Clone, Debug, PartialEq)]
pub struct Beir {
    /// The documents: lines of `{"_id", "title", "text"}`.
    pub corpus: PathBuf,
    /// The questions in the order of their file, those without any judgement too.
    pub questions: Vec<Question>,
}

/// A question and what answers it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Question {
    /// Its name.
    pub id: String,
    /// What is asked.
    pub text: String,
    /// What counts as an answer, where the set says it.
    pub answers: Vec<String>,
    /// The corpus does not answer it.
    pub impossible: bool,
    /// How relevant the judged documents are, by their names: 0 is not at all.
    pub relevant: HashMap<String, f64>,
}

/// A line of `queries.jsonl`.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "_id", alias = "id")]
    id: String,
    text: String,
    #[serde(default)]
    answers: Vec<String>,
    #[serde(default)]
    impossible: bool,
}

impl Beir {
    /// Reads the questions and judgements of the folder `dir`; of the corpus only where it is.
    ///
    /// # Errors
    /// A file is not there, cannot be read, or has a line that is not what it should be: the message names both.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let corpus = one_of(dir, "corpus.jsonl")?;
        let mut questions = Vec::new();
        let path = one_of(dir, "queries.jsonl")?;
        each_line(&path, &mut |line| {
            let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
            questions.push(Question {
                id: line.id,
                text: line.text,
                answers: line.answers,
                impossible: line.impossible,
                relevant: HashMap::new(),
            });
            Ok(())
        })?;
        let mut judged = judgements(&dir.join("qrels"))?;
        for question in &mut questions {
            question.relevant = judged.remove(&question.id).unwrap_or_default();
        }
        Ok(Self { corpus, questions })
    }

    /// The corpus as a plain file: itself, or unpacked into `folder`.
    ///
    /// # Errors
    /// It cannot be read, is larger than 4 GiB, or `folder` cannot be written.
    pub fn unpacked(&self, folder: &Path) -> Result<PathBuf, Error> {
        if !is_packed(&self.corpus) {
            return Ok(self.corpus.clone());
        }
        let to = folder.join("corpus.jsonl");
        let unpack = || {
            let mut reader = MultiGzDecoder::new(File::open(&self.corpus)?).take(FILE_BYTES_MAX);
            let bytes = std::io::copy(&mut reader, &mut File::create(&to)?)?;
            if bytes == FILE_BYTES_MAX { Err(std::io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
        };
        let failed =
            |error| errors::corpus("The packed corpus cannot be unpacked.", &self.corpus, Some(error));
        unpack().map_err(failed)?;
        Ok(to)
    }
}

fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

/// The judgements of every `.tsv` file of a folder, by question: `question, document, relevance` in columns.
fn judgements(folder: &Path) -> Result<BTreeMap<String, HashMap<String, f64>>, Error> {
    let missing =
        |error| errors::corpus("The folder `qrels` with the judgements cannot be read.", folder, Some(error));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(missing)? {
        let path = entry.map_err(missing)?.path();
        if path.extension().is_some_and(|extension| extension == "tsv") {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    let mut judged: BTreeMap<String, HashMap<String, f64>> = BTreeMap::new();
    for path in paths {
        each_line(&path, &mut |line| {
            let mut columns = line.split('\t');
            let (Some(question), Some(document), Some(relevance)) =
                (columns.next(), columns.next(), columns.next())
            else {
                return Err(String::from("must have three columns: question, document, relevance"));
            };
            if question == "query-id" {
                return Ok(());
            }
            let relevance: f64 =
                relevance.trim().parse().map_err(|_| format!("`{relevance}` is not a number"))?;
            judged.entry(question.to_owned()).or_default().insert(document.to_owned(), relevance);
            Ok(())
        })?;
    }
    Ok(judged)
}

/// `name` in `dir`, or its packed form.
fn one_of(dir: &Path, name: &str) -> Result<PathBuf, Error> {
    let paths = [dir.join(name), dir.join(format!("{name}.gz"))];
    let found = paths.iter().find(|path| path.is_file()).cloned();
    let missing = || errors::corpus(format!("The folder has neither `{name}` nor `{name}.gz`."), dir, None);
    found.ok_or_else(missing)
}

fn each_line(path: &Path, take: &mut dyn FnMut(&str) -> Result<(), String>) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let unreadable = |error| errors::corpus(format!("`{name}` cannot be read."), path, Some(error));
    let file = File::open(path).map_err(unreadable)?;
    let reader: Box<dyn Read> =
        if is_packed(path) { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut reader = BufReader::new(reader.take(FILE_BYTES_MAX));
    let mut line = String::new();
    for number in 1_u64.. {
        line.clear();
        if (&mut reader).take(LINE_BYTES_MAX).read_line(&mut line).map_err(unreadable)? == 0 {
            break;
        }
        let trimmed = line.trim_end_matches(['\n', '\r']);
        if !trimmed.is_empty() {
            let wrong = |why| errors::corpus(format!("`{name}`, line {number}: {why}."), path, None);
            take(trimmed).map_err(wrong)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_folder_is_read_packed_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let error = || Beir::read(folder.path()).unwrap_err().message;
        assert!(error().contains("neither `corpus.jsonl` nor `corpus.jsonl.gz`"));
        write("corpus.jsonl", "{\"_id\": \"d1\", \"text\": \"x\"}\n");
        let file = File::create(folder.path().join("queries.jsonl.gz")).unwrap();
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        packed
            .write_all(
                b"{\"_id\": \"q1\", \"text\": \"why?\", \"answers\": [\"so\"], \"impossible\": true}\n\n",
            )
            .unwrap();
        packed.write_all(b"{\"id\": \"q2\", \"text\": \"how?\", \"metadata\": {}}").unwrap();
        packed.finish().unwrap();
        assert!(error().contains("`qrels`"));
        std::fs::create_dir(folder.path().join("qrels")).unwrap();
        write("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\r\nq9\td1\t1\n");
        write("qrels/notes.txt", "not read");
        let found = Beir::read(folder.path()).unwrap();
        assert_eq!(found.corpus, folder.path().join("corpus.jsonl"));
        let relevant = HashMap::from([(String::from("d1"), 2.0), (String::from("d2"), 0.0)]);
        let first = Question {
            id: String::from("q1"),
            text: String::from("why?"),
            answers: vec![String::from("so")],
            impossible: true,
            relevant,
        };
        let second = Question { id: String::from("q2"), text: String::from("how?"), ..Question::default() };
        assert_eq!(found.questions, [first, second]);
        assert_eq!(found.unpacked(Path::new("nowhere")).unwrap(), found.corpus);
        let file = File::create(folder.path().join("corpus.jsonl.gz")).unwrap();
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        packed.write_all(b"one\n").unwrap();
        packed.finish().unwrap();
        let packed = Beir { corpus: folder.path().join("corpus.jsonl.gz"), questions: Vec::new() };
        let plain = packed.unpacked(&folder.path().join("qrels")).unwrap();
        assert_eq!(std::fs::read_to_string(plain).unwrap(), "one\n");
        write("qrels/more.tsv", "q1\td1\n");
        assert!(error().contains("`more.tsv`, line 1: must have three columns"), "{}", error());
        write("qrels/more.tsv", "q1\td1\tx\n");
        assert!(error().contains("`x` is not a number"));
        write("queries.jsonl", "{}\n");
        assert!(error().contains("`queries.jsonl`, line 1: missing field"), "{}", error());
    }
}
