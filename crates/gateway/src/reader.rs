//! The in-process model as a reader of passages.
//!
//! A model of this size does not follow chat instructions. With an adapter that was trained to read (`reader` in models.toml)
//! it is given passage and question; without, it continues a pattern: two worked examples, then passage and question. Its answer counts only where it stands in the passages, letter for letter but for case
//! and spaces: everything else it says is made up more often than not.

use std::time::Instant;

use api::{Completion, Error, Fault, Usage};

use crate::exchange::{Ground, annotate, sources};
use crate::house::now_s;

/// The name of the adapter that reads, on its model. It is trained on lines whose text is `Passage: ...`, a line break and
/// `Question: ...`, and whose label is the answer.
pub(crate) const READER: &str = "reader";
/// Tokens of a short answer.
const ANSWER_TOKENS_MAX: u64 = 40;
/// Passages that fit a small model's attention.
const PASSAGES_MAX: usize = 2;

/// Our own two examples; what matters is their form.
const EXAMPLES: &str = "\
Passage: The harbour lights of Vell were first lit in 1871, after the council had bought the old tower for 300 crowns.
Question: When were the harbour lights first lit?
Answer: 1871

Passage: To empty the queue, run `mill drain --all`. The command waits until every worker has stopped.
Question: Which command empties the queue?
Answer: mill drain --all

";

/// What was read.
pub(crate) struct Read {
    /// The answer, which stands in its passage.
    pub(crate) answer: String,
    /// The place of that passage among the findings.
    pub(crate) passage: usize,
    usage: Usage,
}

/// Reads an answer out of the best passages.
///
/// # Errors
/// The model failed, or its answer does not stand in the passages (`unsupported`), so that the next reader is asked.
pub(crate) async fn read(model: &local::Model, ground: &Ground, deadline: Instant) -> Result<Read, Error> {
    let passages = ground.findings.passages.iter().take(PASSAGES_MAX);
    let texts: Vec<String> = passages.map(|passage| one_line(&passage.text)).collect();
    let asked = format!("Passage: {}\nQuestion: {}", texts.join(" "), one_line(&ground.question));
    let (answer, usage) = if model.adapter(READER).is_some() {
        let question = local::Question {
            adapter: Some(READER),
            layout: None,
            shots: &[],
            input: &asked,
            choices: None,
            tokens_max: ANSWER_TOKENS_MAX,
        };
        let read = model.short_answer(&question, deadline).await?;
        (read.text, read.usage)
    } else {
        let prompt = format!("{EXAMPLES}{asked}\nAnswer:");
        let read = model.complete(&prompt, ANSWER_TOKENS_MAX, &["\n".to_owned()], deadline).await?;
        (read.text.trim().to_owned(), read.usage)
    };
    let found = texts.iter().position(|text| stands_in(&answer, text));
    match found.filter(|_| !answer.is_empty()) {
        Some(passage) => Ok(Read { answer, passage, usage }),
        None => {
            let said = "The in-process reader's answer does not stand in the passages.";
            Err(Error::new(Fault::Unprocessable, "unsupported", said).with_detail(answer))
        }
    }
}

impl Read {
    /// The answer with its source.
    pub(crate) fn completion(self, ground: &Ground, id: &str) -> Completion {
        let number = self.passage + 1;
        let mut cited = knowledge::cite(&ground.findings);
        cited.retain(|citation| citation.number == number);
        let listed = sources(&cited, ground.grounding.authoritative);
        let text = format!("{} [{number}]{listed}", self.answer);
        let mut completion = Completion::of_text(id, now_s(), "reader", text, self.usage);
        for choice in &mut completion.choices {
            let text = choice.message.content.as_deref().unwrap_or_default();
            annotate(&mut choice.message.extra, text, &cited);
        }
        completion
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn stands_in(answer: &str, passage: &str) -> bool {
    let plain = |text: &str| -> String {
        let lower = text.to_lowercase();
        lower
            .split_whitespace()
            .map(|word| word.trim_matches(['`', '"', '.', ',']))
            .collect::<Vec<_>>()
            .join(" ")
    };
    plain(passage).contains(&plain(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_only_where_it_stands_in_the_passage() {
        for (answer, passage, stands) in [
            ("1871.", "were first lit in 1871, after", true),
            ("Mill  drain", "run `mill drain --all`", true),
            ("1872", "were first lit in 1871", false),
        ] {
            assert_eq!(stands_in(answer, passage), stands, "{answer}");
        }
    }
}
