//! How an input becomes a prompt and a label an answer, as adapters are trained and served: a plain text around the input,
//! then a space, the label on one line, and a line break.
//!
//! Models of this size complete a text better than they obey a chat template. An adapter's file carries the layout that it
//! was trained with.

/// Stands for the input in a layout.
const INPUT: &str = "{input}";

/// What ends an answer.
pub(crate) const ANSWER_END: &str = "\n";

/// Where nothing names another.
pub(crate) const DEFAULT: &str = "{input}\nAnswer:";

/// The text around an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    before: String,
    after: String,
}

impl Layout {
    /// Reads a layout. `None` where `{input}` is not in it exactly once.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let (before, after) = text.split_once(INPUT)?;
        let once = !after.contains(INPUT);
        once.then(|| Self { before: before.to_owned(), after: after.to_owned() })
    }

    /// The prompt for an input, after worked examples of input and answer.
    pub(crate) fn prompt(&self, shots: &[(String, String)], input: &str) -> String {
        let mut prompt = String::new();
        for (shown, label) in shots {
            prompt.push_str(&self.around(shown));
            prompt.push_str(&answer(label));
            prompt.push_str("\n\n");
        }
        prompt.push_str(&self.around(input));
        prompt
    }

    fn around(&self, input: &str) -> String {
        format!("{}{}{}", self.before, input.trim(), self.after)
    }
}

/// The answer's text for a label, but for its end: a space and the label, its white space made single spaces.
pub(crate) fn answer(label: &str) -> String {
    label.split_whitespace().fold(String::new(), |text, word| text + " " + word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_and_shots_go_where_they_belong() {
        let layout = Layout::new("Text: {input}\nAnswer:").unwrap();
        let shots = [("one".to_owned(), "a\nb".to_owned())];
        assert_eq!(layout.prompt(&[], " two "), "Text: two\nAnswer:");
        assert_eq!(layout.prompt(&shots, "{input}"), "Text: one\nAnswer: a b\n\nText: {input}\nAnswer:");
        assert!(Layout::new(DEFAULT).is_some());
        for wrong in ["", "Answer:", "{input}{input}"] {
            assert_eq!(Layout::new(wrong), None, "{wrong}");
        }
    }
}
