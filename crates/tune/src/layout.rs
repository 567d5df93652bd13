//! How an input becomes a prompt and a label becomes an answer: the form that an adapter is trained with and served with.
//!
//! A model of this size completes a text better than it obeys a chat template. So the prompt is a plain text around the
//! input, and the answer is a space, the label on one line, and a line break.

use crate::error::Error;

/// Stands for the input in a layout.
pub const INPUT: &str = "{input}";

/// What ends an answer.
pub(crate) const ANSWER_END: &str = "\n";

/// The text around an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    before: String,
    after: String,
}

impl Layout {
    /// Reads a layout: a text with `{input}` in it once.
    ///
    /// # Errors
    /// `{input}` is missing or there twice.
    pub fn new(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Input(format!("the layout {text:?} must have {INPUT} in it exactly once"));
        let (before, after) = text.split_once(INPUT).ok_or_else(wrong)?;
        if after.contains(INPUT) {
            return Err(wrong());
        }
        Ok(Self { before: before.to_owned(), after: after.to_owned() })
    }

    /// The layout as a text again.
    pub fn text(&self) -> String {
        format!("{}{INPUT}{}", self.before, self.after)
    }

    /// The prompt for an input: its outer white space is dropped.
    pub fn prompt(&self, input: &str) -> String {
        format!("{}{}{}", self.before, input.trim(), self.after)
    }
}

/// The answer's text for a label, but for its end: a space and the label, its white space made single spaces.
pub fn answer(label: &str) -> String {
    label.split_whitespace().fold(String::new(), |text, word| text + " " + word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_goes_where_its_name_stands() {
        let layout = Layout::new("Text: {input}\nAnswer:").unwrap();
        assert_eq!(layout.prompt("  a {input}\nb \n"), "Text: a {input}\nb\nAnswer:");
        assert_eq!(layout.text(), "Text: {input}\nAnswer:");
        for wrong in ["", "Answer:", "{input} {input}", "{Input}"] {
            let said = Layout::new(wrong).unwrap_err().to_string();
            assert!(said.contains("exactly once"), "{said}");
        }
    }

    #[test]
    fn an_answer_is_one_line() {
        for (label, expected) in [("positive", " positive"), ("  New \n York ", " New York"), ("\n", "")] {
            assert_eq!(answer(label), expected);
        }
    }
}
