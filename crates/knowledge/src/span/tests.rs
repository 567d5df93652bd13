//! Short answers in one made-up passage.

use api::Passage;
use proptest::prelude::*;

use super::weighing::MONTHS;
use super::*;

fn findings(text: &str) -> Findings {
    let passage = Passage {
        file: String::from("a.md"),
        section: String::new(),
        span: (0, text.len()),
        text: text.to_owned(),
        score: 1.0,
        bm25: 1.0,
        cosine: 1.0,
        highlights: Vec::new(),
        attributes: Default::default(),
    };
    Findings { passages: vec![passage], coverage: 1.0 }
}

fn read(question: &str, text: &str) -> Option<Short> {
    let quote = Quote { passage: 0, span: 0..text.len(), cosine: 0.5, score: 1.0 };
    shortest(question, &findings(text), &[quote])
}

#[test]
fn lists_are_in_order() {
    assert!(MONTHS.is_sorted() && IDLE.is_sorted());
}

#[test]
fn questions_ask_for_kinds_of_things() {
    let check = |question: &str, expected: Asked, focus: Option<&str>| {
        let question = Question::of(&mut analyzer(Language::English), question);
        assert_eq!((question.asked, question.focus.as_deref()), (expected, focus));
    };
    check("Who built it?", Asked::Who, None);
    check("In what year was it built?", Asked::When, Some("year"));
    check("When was it built, and by whom?", Asked::When, None);
    check("Which city has it?", Asked::Where, Some("citi"));
    check("How many towers are there?", Asked::HowMany, None);
    check("What is it?", Asked::What, None);
    check("Why was it built?", Asked::How, None);
    check("", Asked::What, None);
}

#[test]
fn short_answers_fit_their_questions() {
    let text = "The old tower was built by Anna Berg in 1871, and it cost the council of Vell 300 crowns.";
    let check = |question: &str, expected: &str| {
        let short = read(question, text).unwrap();
        assert_eq!(short.text, expected, "{question}");
        assert_eq!(&text[short.span.0..short.span.1], expected);
    };
    check("Who built the old tower?", "Anna Berg");
    check("When was the old tower built?", "1871");
    check("How many crowns did it cost the council?", "300");
    assert_eq!(read("Who?", "of the"), None);
    assert_eq!(read("Who?", ""), None);
}

proptest! {
    #[test]
    fn a_short_answer_is_a_stretch_of_its_passage(text in "([A-Za-zé,()\"$%0-9]{0,6}[ \n.]){0,30}", question in "(who|what|how many)? ?[a-z ]{0,20}") {
        if let Some(short) = read(&question, &text) {
            let words = text.get(short.span.0..short.span.1).unwrap();
            prop_assert_eq!(words.split_whitespace().collect::<Vec<_>>().join(" "), short.text);
            prop_assert!((0.0..=1.0).contains(&short.probability));
        }
    }
}
