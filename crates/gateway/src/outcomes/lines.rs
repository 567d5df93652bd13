//! Recorded outcomes as people bring them: a JSONL file of requests with what several models made of each.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use learn::routing::Outcome;
use serde::Deserialize;

use crate::Failure;

/// Mistakes of a file that are told one by one.
const TOLD_MAX: usize = 10;

/// One request and its outcomes.
#[derive(Debug, Deserialize)]
pub(crate) struct Line {
    /// Names the request; text or a number.
    id: serde_json::Value,
    pub(crate) prompt: String,
    /// Requests of one kind: a data set, a subject.
    #[serde(default)]
    pub(crate) group: String,
    models: BTreeMap<String, Given>,
}

/// An outcome as it is written; what nobody judged is null.
#[derive(Debug, Deserialize)]
struct Given {
    score: Option<f64>,
    cost: Option<f64>,
}

impl Line {
    /// Reads a line. Python writes `NaN`, which is no JSON, where a score is missing: it is taken for null.
    fn parse(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line)
            .or_else(|error| serde_json::from_str(&line.replace(": NaN", ": null")).map_err(|_| error))
    }

    pub(crate) fn id(&self) -> String {
        self.id.as_str().map_or_else(|| self.id.to_string(), str::to_owned)
    }

    /// The outcomes by model; what is missing is not a number.
    pub(crate) fn outcomes(&self) -> BTreeMap<String, Outcome> {
        let outcome = |given: &Given| Outcome {
            score: given.score.unwrap_or(f64::NAN),
            cost: given.cost.unwrap_or(f64::NAN),
        };
        self.models.iter().map(|(name, given)| (name.clone(), outcome(given))).collect()
    }
}

/// Reads a file, gzip by its name.
///
/// # Errors
/// It cannot be read, or the first ten lines that are wrong, with their numbers.
pub(crate) fn read(path: &Path) -> Result<Vec<Line>, Failure> {
    let cannot =
        |error: std::io::Error| Failure::Wrong(format!("{}: cannot be read: {error}", path.display()));
    let file = File::open(path).map_err(cannot)?;
    let plain: Box<dyn Read> = match path.extension() {
        Some(end) if end == "gz" => Box::new(GzDecoder::new(file)),
        _ => Box::new(file),
    };
    let mut lines = Vec::new();
    let mut mistakes = Vec::new();
    for (number, text) in BufReader::new(plain).lines().enumerate() {
        let text = text.map_err(cannot)?;
        if text.trim().is_empty() {
            continue;
        }
        match Line::parse(&text) {
            Ok(line) => match line.wrong_score() {
                None => lines.push(line),
                Some(why) => mistakes.push(format!("{}:{}: {why}", path.display(), number + 1)),
            },
            Err(error) => mistakes.push(format!(
                "{}:{}: a line must be {{\"id\", \"prompt\", \"group\", \"models\": {{NAME: {{\"score\", \"cost\"}}}}}}: {error}",
                path.display(),
                number + 1
            )),
        }
        if mistakes.len() == TOLD_MAX {
            break;
        }
    }
    if mistakes.is_empty() { Ok(lines) } else { Err(Failure::Wrong(mistakes.join("\n"))) }
}

impl Line {
    fn wrong_score(&self) -> Option<String> {
        let off = |given: &Given| given.score.is_some_and(|score| !(0.0..=1.0).contains(&score));
        let (name, given) = self.models.iter().find(|(_, given)| off(given))?;
        let score = given.score.unwrap_or_default();
        Some(format!("models.{name}.score is {score}; a score lies between 0 (useless) and 1 (right)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_or_told() {
        let check = |text: &str, expected: Result<usize, &str>| {
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(file.path(), text).expect("written");
            match (read(file.path()), expected) {
                (Ok(lines), Ok(count)) => assert_eq!(lines.len(), count),
                (Err(Failure::Wrong(said)), Err(part)) => assert!(said.contains(part), "{said}"),
                _ => panic!("{text}"),
            }
        };
        let good =
            r#"{"id":1,"prompt":"p","models":{"a":{"score":1,"cost":0.1},"b":{"score": NaN,"cost":null}}}"#;
        check(&format!("{good}\n\n{good}\n"), Ok(2));
        check("{\"id\":1}\n", Err(":1: a line must be"));
        check(
            &format!("{good}\n{}\n", good.replace("\"score\":1", "\"score\":7")),
            Err(":2: models.a.score is 7; a score lies between 0"),
        );
    }
}
