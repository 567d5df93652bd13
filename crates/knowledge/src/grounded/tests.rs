//! Answers beside two passages of a place that there is not.

use std::sync::atomic::{AtomicUsize, Ordering};

use api::{Passage, Vector};
use proptest::prelude::*;

use super::*;
use crate::testing::HashEmbed;

/// Counts what the encoder is asked.
#[derive(Default)]
struct Counting(HashEmbed, AtomicUsize);

impl Embed for Counting {
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vector>, Error> {
        self.1.fetch_add(texts.len(), Ordering::Relaxed);
        self.0.embed(texts)
    }
    fn dimensions(&self) -> usize {
        self.0.dimensions()
    }
    fn fingerprint(&self) -> &str {
        self.0.fingerprint()
    }
    fn count_tokens(&self, text: &str) -> usize {
        self.0.count_tokens(text)
    }
    fn window_tokens(&self) -> usize {
        self.0.window_tokens()
    }
}

const PASSAGES: &[&str] = &[
    "The harbour lights of Vell were first lit in 1871. The council had bought the old tower for 1,300 crowns from \
     the widow Amsel.",
    "To empty the queue, run `mill drain --all`. The command waits until every worker has stopped. It does not \
     delete finished jobs.",
];

fn findings() -> Findings {
    let passage = |text: &&str| Passage {
        file: String::from("a.md"),
        section: String::new(),
        span: (0, text.len()),
        text: text.to_string(),
        score: 1.0,
        bm25: 1.0,
        cosine: 1.0,
        highlights: Vec::new(),
        attributes: Default::default(),
    };
    Findings { passages: PASSAGES.iter().map(passage).collect(), coverage: 1.0 }
}

fn checked(answer: &str) -> Grounded {
    check(answer, &findings(), &HashEmbed::default()).unwrap()
}

#[test]
fn answers_are_supported_not_covered_or_unsupported() {
    let check = |answer: &str, expected: Outcome| {
        let grounded = checked(answer);
        assert_eq!(grounded.outcome, expected, "{answer}: {grounded:?}");
    };
    check("The harbour lights of Vell were first lit in 1871. [1]", Outcome::Supported);
    check(
        "According to the documents: the council bought the old tower for 1300 crowns [1].",
        Outcome::Supported,
    );
    check("1871 [1]", Outcome::Supported);
    check("The command waits until every worker has stopped.", Outcome::Supported);
    check("The passages do not cover it.", Outcome::NotCovered);
    check("I'm sorry, but the documents don’t mention a lighthouse keeper. [1]", Outcome::NotCovered);
    check("The lights were first lit in 1871 [1]. The passages do not say who lit them.", Outcome::Supported);
    check("The harbour lights of Vell were first lit in 1872. [1]", Outcome::Unsupported);
    check("The passages do not cover it. Napoleon crossed the Alps with elephants.", Outcome::Unsupported);
    check("According to the documents:", Outcome::Unsupported);
    check("", Outcome::Unsupported);
}

#[test]
fn what_is_not_supported_has_a_reason() {
    let check = |answer: &str, expected: Reason| {
        let grounded = checked(answer);
        let last = grounded.sentences.last().unwrap();
        assert_eq!(last.verdict, Verdict::Unsupported(expected), "{answer}");
    };
    check("The harbour lights of Vell were first lit in 1871. [3]", Reason::NoSuchPassage(vec![3]));
    check("The harbour lights of Vell were first lit in 1871. [2]", Reason::Elsewhere(1));
    check("The council sold 17 ships to the pirates of Tortuga.", Reason::Numbers(vec!["17".to_owned()]));
    check("Ships were sold to Tortuga.", Reason::Names(vec!["Tortuga".to_owned()]));
    check("Ships were sold to pirates.", Reason::Unlike);
}

#[test]
fn sentences_get_the_marks_that_they_lack() {
    let answer = "The command waits until every worker has stopped. The harbour lights of Vell were first lit in 1871 [1].";
    let grounded = checked(answer);
    assert_eq!(grounded.sentences[0].citations, [2]);
    assert!(!grounded.sentences[0].cited && grounded.sentences[1].cited);
    assert_eq!(
        grounded.marked(answer),
        "The command waits until every worker has stopped. [2] The harbour lights of Vell were first lit in 1871 [1]."
    );
}

#[test]
fn the_encoder_is_asked_only_where_words_do_not_settle() {
    let asked = |answer: &str| {
        let counting = Counting::default();
        check(answer, &findings(), &counting).unwrap();
        counting.1.into_inner()
    };
    assert_eq!(asked("The harbour lights of Vell were first lit in 1871. [1]"), 0);
    assert_eq!(asked("Napoleon crossed the Alps with 37 elephants. [1]"), 0);
    assert_eq!(asked("The passages do not cover it. [7]"), 0);
    let unsure = [
        "The council paid crowns for the harbour lights. [1]",
        "The widow Amsel sold the council an old tower. [1]",
        "Workers wait for the command. [2]",
        "The tower of Vell once belonged to Amsel. [1]",
    ];
    assert!(unsure.iter().any(|answer| asked(answer) == 2));
}

proptest! {
    #[test]
    fn any_answer_can_be_checked(answer in "(The|lights|[0-9]{1,3}|Vell|not|\\[[1-3]\\]|[.\n ]| ){0,20}") {
        let grounded = checked(&answer);
        prop_assert!((0.0..=1.0).contains(&grounded.probability));
        for sentence in &grounded.sentences {
            prop_assert!(answer.get(sentence.span.0..sentence.span.1).is_some());
            prop_assert!(sentence.citations.iter().all(|number| (1..=2).contains(number)));
        }
        prop_assert!(grounded.marked(&answer).len() >= answer.len());
    }
}
