//! Short answers: a question of a closed task in, an answer with how sure the model is of it out.

use std::collections::HashSet;

use api::{Error, Usage};
use llama_cpp_2::token::LlamaToken;

use crate::adapter::Wanted;
use crate::choice::Choice;
use crate::errors;
use crate::layout::{ANSWER_END, DEFAULT, Layout, answer};
use crate::stream::Continuation;
use crate::weights::Weights;

/// A larger set is no closed task for a model of this size.
const CHOICES_MAX: usize = 512;

/// Confidences stay this far from 0 and 1, so that their odds are numbers.
const DOUBT: f64 = 1e-6;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The adapter that was trained for it. `None`: the base alone, which needs `shots` to know what is wanted.
    pub adapter: Option<&'a str>,
    /// The text around the input, with `{input}` in it once; `None`: the adapter's own, or `{input}`, a line break and
    /// `Answer:`.
    pub layout: Option<&'a str>,
    /// Worked examples, input and answer, shown before the input in this order.
    pub shots: &'a [(String, String)],
    /// The input.
    pub input: &'a str,
    /// The answers to choose from, at most 512; `None`: the answer is written freely, one line.
    pub choices: Option<&'a [String]>,
    /// Tokens of the longest free answer.
    pub tokens_max: u64,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct ShortAnswer {
    /// The choice as it was given, or the line without its outer spaces.
    pub text: String,
    /// The natural logarithm of the answer's probability, its end included.
    pub log_probability: f64,
    /// How much likelier it is than the second choice, as a difference of natural logarithms; `None` for free answers and
    /// single choices.
    pub margin: Option<f64>,
    /// From 0 to 1, both excluded: the answer's share of the probability of all choices (at least: choices that were not
    /// read to their ends count in full), or the probability of a free answer. A higher one is a surer one; only a
    /// certificate can say how often it is right.
    pub confidence: f64,
    /// The fingerprint of the adapter that answered, which is whom a certificate is about; `None` for the base alone.
    pub adapter: Option<String>,
    /// `stop`, or `length` for a free answer that was cut.
    pub finish_reason: &'static str,
    /// Tokens read and written.
    pub usage: Usage,
}

impl Question<'_> {
    /// The adapter that is meant, as it is now.
    pub(crate) fn wanted(&self, weights: &Weights) -> Result<Option<Wanted>, Error> {
        let Some(name) = self.adapter else { return Ok(None) };
        let fitted = weights.adapters.get(name).ok_or_else(|| errors::no_adapter(name))?;
        let fingerprint = fitted.adapter.fingerprint.clone();
        Ok(Some(Wanted { name: name.to_owned(), fingerprint }))
    }

    /// The whole prompt.
    pub(crate) fn prompt(&self, weights: &Weights) -> Result<String, Error> {
        let fitted = match self.adapter {
            Some(name) => Some(weights.adapters.get(name).ok_or_else(|| errors::no_adapter(name))?),
            None => None,
        };
        let layout = match (self.layout, fitted) {
            (None, Some(fitted)) => Some(fitted.layout.clone()),
            (text, _) => Layout::new(text.unwrap_or(DEFAULT)),
        };
        let wrong = || Error::field("layout", "`layout` must have {input} in it exactly once.");
        Ok(layout.ok_or_else(wrong)?.prompt(self.shots, self.input))
    }
}

impl ShortAnswer {
    /// Of a text that the model wrote.
    pub(crate) fn written(written: &Continuation, log_probability: f64, adapter: Option<String>) -> Self {
        Self {
            text: written.text.trim().to_owned(),
            log_probability,
            margin: None,
            confidence: within(log_probability.exp()),
            adapter,
            finish_reason: written.finish_reason,
            usage: written.usage.clone(),
        }
    }
}

/// Answers to choose from.
pub(crate) struct Choices<'a> {
    texts: &'a [String],
    /// Of each answer: itself and its end. As every one ends the same way and has no end within, none is the beginning of
    /// another.
    pub(crate) tokens: Vec<Vec<LlamaToken>>,
}

impl<'a> Choices<'a> {
    /// Reads them.
    pub(crate) fn new(weights: &Weights, texts: &'a [String]) -> Result<Self, Error> {
        const PARAM: &str = "choices";
        if texts.is_empty() || texts.len() > CHOICES_MAX {
            let message = format!("`choices` must have 1 to {CHOICES_MAX} answers.");
            return Err(Error::field(PARAM, message));
        }
        let mut seen = HashSet::new();
        let mut tokens = Vec::with_capacity(texts.len());
        for (place, text) in texts.iter().enumerate() {
            let line = answer(text);
            if line.is_empty() {
                return Err(Error::field(format!("{PARAM}[{place}]"), "An answer must not be empty."));
            }
            let mut said = weights.tokens_of_text(&line);
            said.extend(weights.tokens_of_text(ANSWER_END));
            if !seen.insert(said.clone()) {
                let message = format!("The answer {text:?} is there twice.");
                return Err(Error::field(format!("{PARAM}[{place}]"), message));
            }
            tokens.push(said);
        }
        Ok(Self { texts, tokens })
    }

    /// Tokens of the longest.
    pub(crate) fn longest(&self) -> usize {
        self.tokens.iter().map(Vec::len).max().unwrap_or_default()
    }

    /// The answer that was chosen.
    pub(crate) fn answer(
        &self,
        choice: &Choice,
        usage: Usage,
        adapter: Option<String>,
    ) -> Result<ShortAnswer, Error> {
        let text = self.texts.get(choice.place).ok_or_else(|| Error::internal("no such choice"))?;
        Ok(ShortAnswer {
            text: text.clone(),
            log_probability: choice.logprob,
            margin: choice.margin,
            confidence: within(choice.share),
            adapter,
            finish_reason: "stop",
            usage,
        })
    }
}

fn within(share: f64) -> f64 {
    share.clamp(DOUBT, 1.0 - DOUBT)
}
