//! How good answers are, beside known ones.
//!
//! Owns the measures: exact match and token F1 as the official script of SQuAD (Rajpurkar et al. 2016) computes them,
//! the share of citations that are right, and refusals. Refuses to ask anybody: what was answered is handed in.

use std::collections::HashMap;

/// What was said to one question, and what should have been.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// The answer without marks, `None` where there was a refusal.
    pub answer: Option<&'a str>,
    /// The known answers, any of which is right; none for a question that the documents do not answer.
    pub gold: &'a [String],
    /// For each citation, whether its passage is of a relevant document or holds a known answer.
    pub citations_right: &'a [bool],
}

/// Counts over questions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    answerable: u64,
    exact: u64,
    f1: f64,
    held: u64,
    refused_answerable: u64,
    impossible: u64,
    refused_impossible: u64,
    citations: u64,
    citations_right: u64,
}

/// What a [`Tally`] comes to. A share of nothing is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AnswerFigures {
    /// Questions with a known answer.
    pub answerable: u64,
    /// The share of them whose answer is a known one, after normalisation.
    pub exact_match: f64,
    /// The mean F1 of the answer's words against those of the best known answer; a refusal has 0.
    pub f1: f64,
    /// The share of them whose answer has a known answer's words in a row: what quoting whole sentences can reach.
    pub held: f64,
    /// The share of them that were refused.
    pub refused_answerable: f64,
    /// Questions that the documents do not answer.
    pub impossible: u64,
    /// The share of them that were refused.
    pub refused_impossible: f64,
    /// Citations given.
    pub citations: u64,
    /// The share of them that are right.
    pub citation_precision: f64,
}

impl Tally {
    /// Counts one question.
    pub fn add(&mut self, judged: &Judged<'_>) {
        self.citations += judged.citations_right.len() as u64;
        self.citations_right += judged.citations_right.iter().filter(|right| **right).count() as u64;
        if judged.gold.is_empty() {
            self.impossible += 1;
            self.refused_impossible += u64::from(judged.answer.is_none());
            return;
        }
        self.answerable += 1;
        let Some(answer) = judged.answer else {
            self.refused_answerable += 1;
            return;
        };
        self.exact += u64::from(exact_match(answer, judged.gold));
        self.f1 += token_f1(answer, judged.gold);
        self.held += u64::from(holds(answer, judged.gold));
    }

    /// The shares.
    pub fn figures(&self) -> AnswerFigures {
        let share = |part: f64, whole: u64| if whole == 0 { 0.0 } else { part / whole as f64 };
        AnswerFigures {
            answerable: self.answerable,
            exact_match: share(self.exact as f64, self.answerable),
            f1: share(self.f1, self.answerable),
            held: share(self.held as f64, self.answerable),
            refused_answerable: share(self.refused_answerable as f64, self.answerable),
            impossible: self.impossible,
            refused_impossible: share(self.refused_impossible as f64, self.impossible),
            citations: self.citations,
            citation_precision: share(self.citations_right as f64, self.citations),
        }
    }
}

/// An answer's words as SQuAD compares them: lower case, without ASCII punctuation and English articles.
fn normalised(answer: &str) -> Vec<String> {
    let kept: String =
        answer.chars().filter(|c| !c.is_ascii_punctuation()).flat_map(char::to_lowercase).collect();
    let words = kept.split_whitespace().filter(|word| !["a", "an", "the"].contains(word));
    words.map(str::to_owned).collect()
}

/// Whether `answer` is one of `gold` after normalisation.
fn exact_match(answer: &str, gold: &[String]) -> bool {
    let answer = normalised(answer);
    gold.iter().any(|gold| normalised(gold) == answer)
}

/// The harmonic mean of precision and recall of the answer's words, in [0, 1], against the known answer that it meets
/// best. Two answers without words are equal.
fn token_f1(answer: &str, gold: &[String]) -> f64 {
    let answer = normalised(answer);
    gold.iter().map(|gold| f1(&answer, &normalised(gold))).fold(0.0, f64::max)
}

fn f1(answer: &[String], gold: &[String]) -> f64 {
    if answer.is_empty() || gold.is_empty() {
        return if answer == gold { 1.0 } else { 0.0 };
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    for word in gold {
        *left.entry(word).or_default() += 1;
    }
    let mut common = 0_usize;
    for word in answer {
        if let Some(count) = left.get_mut(word.as_str()).filter(|count| **count > 0) {
            *count -= 1;
            common += 1;
        }
    }
    2.0 * common as f64 / (answer.len() + gold.len()) as f64
}

/// Whether the words of one of `gold` stand in `text` in a row, after normalisation: what a passage or a quotation that
/// holds the answer has.
pub fn holds(text: &str, gold: &[String]) -> bool {
    let text = normalised(text);
    gold.iter()
        .map(|gold| normalised(gold))
        .any(|gold| !gold.is_empty() && text.windows(gold.len()).any(|window| window == gold))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gold(answers: &[&str]) -> Vec<String> {
        answers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn answers_are_compared_as_squad_does() {
        let check = |answer: &str, known: &[&str], exact: bool, f1: f64| {
            let known = gold(known);
            assert_eq!(exact_match(answer, &known), exact, "{answer}");
            assert!((token_f1(answer, &known) - f1).abs() < 1e-9, "{answer}: {}", token_f1(answer, &known));
        };
        check("The  $12.", &["nearly $12", "$12"], true, 1.0);
        check("about 12 dollars", &["12"], false, 0.5);
        check("March", &["March 1974"], false, 2.0 / 3.0);
        check("the the cat", &["a cat cat"], false, 2.0 / 3.0);
        check("", &["x"], false, 0.0);
        check("the", &["a"], true, 1.0);
        check("x", &[], false, 0.0);
    }

    #[test]
    fn a_text_holds_an_answer_whole() {
        let check = |text: &str, known: &[&str], expected: bool| {
            assert_eq!(holds(text, &gold(known)), expected, "{text}");
        };
        check("It rose, by March 1974, to $12.", &["march, 1974"], true);
        check("It rose by March to 1974.", &["March 1974"], false);
        check("art", &["a"], false);
        check("", &["x"], false);
    }

    #[test]
    fn shares_are_of_what_was_asked() {
        assert_eq!(Tally::default().figures(), AnswerFigures::default());
        let mut tally = Tally::default();
        let known = gold(&["1974"]);
        let judged = |answer, gold, citations_right| Judged { answer, gold, citations_right };
        tally.add(&judged(Some("1974"), &known, &[true]));
        tally.add(&judged(Some("in March 1974"), &known, &[true, false]));
        tally.add(&judged(None, &known, &[]));
        tally.add(&judged(None, &[], &[]));
        tally.add(&judged(Some("no idea"), &[], &[false]));
        let figures = tally.figures();
        assert_eq!((figures.answerable, figures.impossible, figures.citations), (3, 2, 4));
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        near(figures.exact_match, 1.0 / 3.0);
        near(figures.f1, 0.5);
        near(figures.held, 2.0 / 3.0);
        near(figures.refused_answerable, 1.0 / 3.0);
        near(figures.refused_impossible, 0.5);
        near(figures.citation_precision, 0.5);
    }

    proptest! {
        #[test]
        fn f1_is_a_share_and_exact_is_whole(answer in "[a-d ,]{0,12}", known in "[a-d ,]{0,12}") {
            let known = vec![known];
            let f1 = token_f1(&answer, &known);
            prop_assert!((0.0..=1.0).contains(&f1));
            prop_assert_eq!(exact_match(&answer, &known) && f1 < 1.0, false);
            prop_assert!((f1 - token_f1(&known[0], &[answer])).abs() < 1e-12);
        }
    }
}
