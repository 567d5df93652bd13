//! The examples of a task: a file of JSON lines, read whole, named by its content.

use std::path::Path;

use serde::Deserialize;

use crate::error::Error;
use crate::layout::answer;

/// A file of more bytes is refused: what fits into the minutes of a training is far less.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// An input and what to answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Example {
    /// The input, as a request would have it.
    pub text: String,
    /// The short answer.
    pub label: String,
}

/// All examples of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examples {
    /// In the file's order.
    pub rows: Vec<Example>,
    /// Names the file's content: the first 32 hexadecimal digits of its BLAKE3 hash.
    pub hash: String,
}

impl Examples {
    /// Reads a file of lines `{"text": "...", "label": "..."}`; other keys are passed over, and so are empty lines.
    ///
    /// # Errors
    /// The file cannot be read, or a line is not of that form: told with its number.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let unreadable = |error: std::io::Error| {
            Error::Input(format!("the examples in {} cannot be read: {error}", path.display()))
        };
        let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
        if bytes > FILE_BYTES_MAX {
            let mib = FILE_BYTES_MAX >> 20;
            return Err(Error::Input(format!("{} is over {mib} MiB; give fewer examples", path.display())));
        }
        let content = std::fs::read_to_string(path).map_err(unreadable)?;
        let rows = parse(&content).map_err(|(line, why)| {
            Error::Input(format!(
                "{}:{line}: {why}; a line must be {{\"text\": \"...\", \"label\": \"...\"}}",
                path.display()
            ))
        })?;
        let hash = blake3::hash(content.as_bytes()).to_hex()[..32].to_owned();
        Ok(Self { rows, hash })
    }
}

/// The rows of a file, or the first wrong line's number, from 1, with what is wrong.
fn parse(content: &str) -> Result<Vec<Example>, (usize, String)> {
    let mut rows = Vec::new();
    for (place, line) in content.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |why: String| (place + 1, why);
        let row: Example = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        if row.text.trim().is_empty() {
            return Err(wrong("`text` is empty".to_owned()));
        }
        if answer(&row.label).is_empty() {
            return Err(wrong("`label` is empty".to_owned()));
        }
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_mistakes_are_told_with_their_line() {
        let good = "{\"text\":\"a\",\"label\":\"b\",\"by\":\"x\"}\n\n{\"text\":\"c\",\"label\":\"d\"}";
        assert_eq!(parse(good).unwrap().len(), 2);
        for (content, line, why) in [
            ("{\"text\":\"a\",\"label\":\"b\"}\n{\"text\":\"a\"}", 2, "missing field `label`"),
            ("\n\nnothing", 3, "expected"),
            ("{\"text\":\" \",\"label\":\"b\"}", 1, "`text` is empty"),
            ("{\"text\":\"a\",\"label\":\"\\n\"}", 1, "`label` is empty"),
            ("{\"text\":1,\"label\":\"b\"}", 1, "invalid type"),
        ] {
            let (place, said) = parse(content).unwrap_err();
            assert_eq!(place, line);
            assert!(said.contains(why), "{said}");
        }
    }
}
