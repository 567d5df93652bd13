//! What a grounded answer says of its sources, and whether it may leave: every sentence of a model's answer must rest on a
//! passage.

use api::{Citation, Completion, Contract, Embed, Error, Fault, Findings};
use knowledge::{Grounded, Outcome, Verdict};
use serde_json::{Map, Value, json};

use super::ground::Ground;
use crate::vector_stores::file_id;

/// An answer that its passages do not bear out, or that says itself that they do not.
pub(super) const UNSUPPORTED: &str = "unsupported";
pub(super) const NOT_COVERED: &str = "not_covered";

/// Whether trouble is that the passages do not bear an answer out: then "not covered" is the honest answer.
pub(super) fn is_ungrounded(error: &Error) -> bool {
    error.code == UNSUPPORTED || error.code == NOT_COVERED
}

/// Checks a model's answer against its passages, and adds marks and sources. Asks the encoder where words do not settle a
/// sentence: blocks.
///
/// # Errors
/// [`is_ungrounded`]: what is wrong with it, for the log; the encoder failed.
pub(super) fn checked(
    mut completion: Completion,
    ground: &Ground,
    contract: &Contract,
    embed: &dyn Embed,
) -> Result<Completion, Error> {
    for choice in &mut completion.choices {
        let text = choice.message.content.clone().unwrap_or_default();
        let said = match contract {
            // A label is no sentence: it says nothing that a passage could say.
            Contract::Labels(_) => None,
            Contract::Free => Some(text.clone()),
            Contract::JsonObject | Contract::JsonSchema(_) => Some(leaves(&text)),
        };
        let grounded =
            said.as_deref().map(|said| knowledge::check(said, &ground.findings, embed)).transpose()?;
        if let Some(grounded) = &grounded {
            refuse_ungrounded(grounded, said.as_deref().unwrap_or_default())?;
        }
        let citations = rested_on(grounded.as_ref(), &ground.findings);
        let text = match &grounded {
            Some(grounded) if *contract == Contract::Free => {
                let marked = grounded.marked(&text);
                format!("{marked}{}", sources(&citations, ground.grounding.authoritative))
            }
            _ => text,
        };
        annotate(&mut choice.message.extra, &text, &citations);
        choice.message.content = Some(text);
    }
    Ok(completion)
}

fn refuse_ungrounded(grounded: &Grounded, said: &str) -> Result<(), Error> {
    let refused = |code: &'static str, message: &str, why: String| {
        Err(Error::new(Fault::Unprocessable, code, message).with_detail(why))
    };
    match grounded.outcome {
        Outcome::Supported => Ok(()),
        Outcome::NotCovered => {
            refused(NOT_COVERED, "The reader says that the passages do not cover this.", said.to_owned())
        }
        Outcome::Unsupported => {
            let wrong = grounded.sentences.iter().find_map(|sentence| match &sentence.verdict {
                Verdict::Unsupported(reason) => {
                    let (start, end) = sentence.span;
                    Some(format!("{reason:?}: {}", said.get(start..end).unwrap_or_default()))
                }
                _ => None,
            });
            let message = "A sentence of the answer does not rest on the passages.";
            refused(UNSUPPORTED, message, wrong.unwrap_or_else(|| String::from("it says nothing")))
        }
    }
}

/// Adds the sources to an answer that nobody checks: for programs always, for people where the answer is free text.
pub(super) fn unchecked(completion: &mut Completion, ground: &Ground, contract: &Contract) {
    let citations = knowledge::cite(&ground.findings);
    for choice in &mut completion.choices {
        let mut text = choice.message.content.take().unwrap_or_default();
        if *contract == Contract::Free {
            text.push_str(&sources(&citations, ground.grounding.authoritative));
        }
        annotate(&mut choice.message.extra, &text, &citations);
        choice.message.content = Some(text);
    }
}

/// The passages that an answer rests on; all that were read where nothing is known of it.
fn rested_on(grounded: Option<&Grounded>, findings: &Findings) -> Vec<Citation> {
    let mut citations = knowledge::cite(findings);
    if let Some(grounded) = grounded {
        let supported = grounded.sentences.iter().filter(|sentence| sentence.verdict == Verdict::Supported);
        let used: Vec<usize> = supported.flat_map(|sentence| sentence.citations.iter().copied()).collect();
        citations.retain(|citation| used.contains(&citation.number));
    }
    citations
}

/// The texts of a JSON answer, one a line.
fn leaves(text: &str) -> String {
    fn gather(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::String(text) => into.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| gather(item, into)),
            Value::Object(fields) => fields.values().for_each(|value| gather(value, into)),
            _ => {}
        }
    }
    let Ok(value) = serde_json::from_str(text) else { return text.to_owned() };
    let mut all = Vec::new();
    gather(&value, &mut all);
    all.join("\n")
}

/// The sources as a list for people, below the answer.
pub(crate) fn sources(citations: &[Citation], authoritative: bool) -> String {
    let mut text = String::new();
    for citation in citations {
        let lead = match (text.is_empty(), authoritative) {
            (true, true) => "\n\nSources (what they say counts here, also against common knowledge):\n",
            (true, false) => "\n\nSources:\n",
            (false, _) => "\n",
        };
        let section = if citation.section.is_empty() { "" } else { ", " };
        text.push_str(&format!("{lead}[{}] {}{section}{}", citation.number, citation.file, citation.section));
    }
    text
}

/// The sources for programs, as OpenAI's `file_citation` annotations: `index` is the byte of the answer at which the mark
/// stands, `file_citation` says where in the document the passage is.
pub(crate) fn annotate(extra: &mut Map<String, Value>, text: &str, citations: &[Citation]) {
    let annotations: Vec<Value> = citations
        .iter()
        .map(|citation| {
            json!({
                "type": "file_citation",
                "index": text.find(&format!("[{}]", citation.number)).unwrap_or(text.len()),
                "file_id": file_id(&citation.file),
                "filename": citation.file,
                "file_citation": {
                    "number": citation.number,
                    "section": citation.section,
                    "start_index": citation.span.0,
                    "end_index": citation.span.1,
                },
            })
        })
        .collect();
    extra.insert("annotations".to_owned(), Value::Array(annotations));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_json_are_sentences() {
        let check = |text: &str, expected: &str| assert_eq!(leaves(text), expected);
        check(r#"{"a": "One.", "b": [2, "Two."], "c": {"d": "Three."}}"#, "One.\nTwo.\nThree.");
        check("no JSON", "no JSON");
    }

    #[test]
    fn annotations_point_at_marks_and_passages() {
        let citation = |number| Citation {
            number,
            file: String::from("a.md"),
            section: String::from("A"),
            span: (3, 9),
        };
        let mut extra = Map::new();
        annotate(&mut extra, "One. [2]", &[citation(2), citation(3)]);
        assert_eq!(extra["annotations"][0]["index"], 5);
        assert_eq!(extra["annotations"][1]["index"], 8);
        assert_eq!(extra["annotations"][0]["file_citation"]["start_index"], 3);
    }
}
