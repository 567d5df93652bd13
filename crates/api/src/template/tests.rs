//! Templates as tables, and the laws that hold of all of them.

use proptest::prelude::*;

use super::*;

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

/// What is told of a wrong template; the written form of a right one.
fn check_parse(text: &str, expected: &str) {
    let told = Template::parse(text).map_or_else(|wrong| wrong, |template| template.to_string());
    assert!(told.contains(expected), "{text}: {told}");
}

#[test]
fn the_written_form_is_kept_and_its_mistakes_are_told_with_their_place() {
    for (text, expected) in [
        ("Classify.\nMessage: {input}\nLabel:", "Classify.\nMessage: {input}\nLabel:"),
        ("{input}", "{input}"),
        ("Answer as {{\"label\": \"x\"}}: {input}", "Answer as {{\"label\": \"x\"}}: {input}"),
        ("You label intents.", "You label intents."),
        ("Was sent on: {date}\n{input}", "Was sent on: {date}\n{input}"),
        ("Message: {input}\nLabel: }", "line 2, column 8: `}` stands alone; write `}}` for the sign itself"),
        ("Message: {input", "line 1, column 10: `{` stands alone"),
        ("Message: {In put}", "line 1, column 10: `{In put}` names no hole: a name has 1 to 32 lower-case"),
        ("Message: {}", "`{}` names no hole"),
        ("Message: {input} {input}", "column 18: the hole `{input}` is given twice"),
        ("Message: {a}{input}", "column 13: `{input}` follows another hole; text or a line break must stand"),
        ("Message: {a} {input}", "column 14: `{input}` follows another hole"),
        ("Hi: {input}", "at least 8 bytes of fixed text to tell its prompts from others, this one has 3"),
        ("{date}", "this one has 0; `{input}` alone is allowed"),
        ("", "this one has 0"),
        ("é}", "line 1, column 2: `}` stands alone"),
    ] {
        check_parse(text, expected);
    }
    let json = serde_json::to_string(&template("{{Message}}: {input}")).unwrap();
    assert_eq!(json, "\"{{Message}}: {input}\"");
    assert_eq!(serde_json::from_str::<Template>(&json).unwrap(), template("{{Message}}: {input}"));
    assert!(serde_json::from_str::<Template>("\"{\"").unwrap_err().to_string().contains("stands alone"));
}

fn check(written: &str, text: &str, expected: Option<&[(&str, &str)]>) {
    let template = template(written);
    let captures = template.matches(text);
    let got = captures.as_ref().map(|captures| captures.iter().collect::<Vec<_>>());
    assert_eq!(got.as_deref(), expected, "{written:?} in {text:?}");
    assert_eq!(template.input(text), captures.and_then(|captures| captures.input()));
}

#[test]
fn holes_are_found_and_white_space_does_not_matter() {
    let message = "Classify.\nMessage: {input}\nLabel:";
    check(message, "Classify.\nMessage: hi there\nLabel:", Some(&[("input", "hi there")]));
    check(message, "  Classify.\r\n\r\nMessage:\thi \n Label: \n", Some(&[("input", "hi")]));
    check(message, "Classify.\nMessage: \nLabel:", Some(&[("input", "")]));
    check(message, "Classify.\nMessage:\nLabel:", Some(&[("input", "")]));
    check(message, "Classify.\nMessage:hi\nLabel:", None);
    check(message, "Classify.\nMessage:Label:", None);
    check(message, "Classify.\nMessage: hi\nLabel: x", None);
    check(message, "So: Classify.\nMessage: hi\nLabel:", None);
    // An input may repeat the prompt.
    let sly = "Classify.\nMessage: Classify.\nMessage: a\nLabel: b\nLabel:";
    check(message, sly, Some(&[("input", "Classify.\nMessage: a\nLabel: b")]));
    check("{input}", "  anything \n", Some(&[("input", "anything")]));
    check("{input}", "", Some(&[("input", "")]));
    check("Message: {input}", "Message:", Some(&[("input", "")]));
    check("{input}\n\nIs this spam?", "Is this spam?", Some(&[("input", "")]));
    check("{input}\n\nIs this spam?", "Buy\n\nIs this spam?", Some(&[("input", "Buy")]));
    check("Say \"{input}\" louder", "Say \"a \"b\" c\" louder", Some(&[("input", "a \"b\" c")]));
    check("You label intents.", "You label\nintents. ", Some(&[]));
    check("You label intents.", "You label intents. Now.", None);
    check("You label {input}", "Ünïcode", None);
    check("Étiquette : {input} !", "Étiquette :\u{a0}où\u{2003}!", Some(&[("input", "où")]));
}

#[test]
fn parts_that_vary_stand_beside_the_input() {
    let dated = "Today is {date}. You help {user}.\nMessage: {input}\nDate: {sent}\nLabel:";
    let text = "Today is Nov. 3. You help Al.\nMessage: Date: now\nDate: May 1\nLabel:";
    let parts = [("date", "Nov. 3"), ("user", "Al"), ("input", "Date: now"), ("sent", "May 1")];
    check(dated, text, Some(&parts));
    check(dated, &text.replace("You help", "You aid"), None);
    check(
        dated,
        &text.replace("Today is Nov. 3.", "Today is ."),
        Some(&[("date", ""), parts[1], parts[2], parts[3]]),
    );
    check("Was sent on: {date}\n{input}", "Was sent on: 5 May a b", None);
    check(
        "Date of it: {date}\n{input}",
        "Date of it: 5 May\na\nb",
        Some(&[("date", "5 May"), ("input", "a\nb")]),
    );
    check("{input}\n{name}\nWhat is it?", "a\nb\nc\nWhat is it?", Some(&[("input", "a\nb"), ("name", "c")]));
    check(
        "{a} could mean {input}?{b}",
        "x could mean y could mean z?",
        Some(&[("a", "x"), ("input", "y could mean z"), ("b", "")]),
    );
    check("{a}\nMessage: {input}", "Message: hi", Some(&[("a", ""), ("input", "hi")]));
    check("{a}\nMessage: {input}", "x\nMessage:", Some(&[("a", "x"), ("input", "")]));
}

#[test]
fn long_texts_of_fixed_words_take_no_long_time() {
    let template =
        template(&format!("{}{{a}}{}b{{input}}{}", "a ".repeat(300), "a ".repeat(300), " a".repeat(300)));
    let text = "a ".repeat(500_000);
    assert!(template.matches(&text).is_none());
}

#[test]
fn another_input_takes_the_place_of_the_first() {
    for (written, like, input, expected) in [
        ("Message: {input}\nLabel:", "Message:  a b \n\nLabel:", "c", "Message:  c \n\nLabel:"),
        ("Message: {input}\nLabel:", "Message:\nLabel:", "c", "Message: c\nLabel:"),
        ("Message: {input}", "Message:", "c", "Message: c"),
        ("On {day}: {input} is what?", "On May 1: a is what?", "is what?", "On May 1: is what? is what?"),
        ("{input}", " a ", "b", " b "),
    ] {
        assert_eq!(template(written).fill(like, input).as_deref(), Some(expected), "{written}");
    }
    assert_eq!(template("You label intents.").fill("You label intents.", "x"), None);
    assert_eq!(template("Message: {input}").fill("Massage: a", "x"), None);
}

#[test]
fn a_template_may_lose_its_input() {
    assert_eq!(
        template("Hello {part1}, label {input}").without_input().to_string(),
        "Hello {part1}, label {part2}"
    );
    assert_eq!(template("You label intents.").without_input().to_string(), "You label intents.");
}

fn check_common(texts: &[&str], expected: Option<&str>) {
    let got = Template::common(texts).map(|template| template.to_string());
    assert_eq!(got.as_deref(), expected, "{texts:#?}");
}

#[test]
fn prompts_show_their_template() {
    check_common(
        &[
            "You help Ann. It is 2026-11-23.",
            "You help Bob. It is 2026-11-24.",
            "You help Cy. It is 2026-12-01.",
        ],
        Some("You help {part1}. It is {input}"),
    );
    let prompt =
        |input: &str| format!("Label the message with one of: card, loan.\n\nMessage: {input}\nLabel:");
    let inputs = ["Where is my card?", "How much is a loan?", "I lost it!", "why?"];
    let texts = inputs.map(prompt);
    check_common(&texts.each_ref().map(String::as_str), Some(&prompt("{input}")));
    // All are questions: the mark is theirs.
    check_common(&texts.each_ref().map(String::as_str)[..2].repeat(2), Some(&prompt("{input}")));
    let shots = |input: &str| {
        format!("Is it positive?\nText: good\nAnswer: yes\nText: bad\nAnswer: no\nText: {input}\nAnswer:")
    };
    let texts = ["a fine film", "no good", "Text: boring\nAnswer: no idea"].map(shots);
    check_common(&texts.each_ref().map(String::as_str), Some(&shots("{input}")));
    check_common(
        &["<m>a b</m>\nIs this spam?", "<m>c</m>\nIs this spam?", "<m>d e f</m>\nIs this spam?"],
        Some("<m>{input}</m>\nIs this spam?"),
    );
    let two = |from: &str, body: &str| format!("From: {from}\nBody: {body}\nUrgent or not?");
    let texts = [two("ann", "the house is on fire"), two("bob", "lunch is at one"), two("cy", "hello")];
    check_common(&texts.each_ref().map(String::as_str), Some("From: {part1}\nBody: {input}\nUrgent or not?"));
    check_common(&["You label intents."; 3], Some("You label intents."));
}

#[test]
fn what_has_little_in_common_has_no_template() {
    check_common(&["Where is my card?", "How much is a loan?", "I lost it!"], None);
    check_common(&["the cat", "the dog", "the cow"], None);
    check_common(&["You label intents."; 2], None);
    check_common(&["", "", ""], None);
    check_common(&["a"; 3], None);
}

/// Words that no fixed text of these tests has, so that the inputs have nothing in common by chance.
fn inputs() -> impl Strategy<Value = Vec<String>> {
    let input = proptest::collection::vec("[b-y]{2,9}", 1..12).prop_map(|words| words.join(" "));
    proptest::collection::vec(input, 3..12).prop_filter("varied", |inputs| {
        let words = |input: &String| input.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let all: Vec<Vec<String>> = inputs.iter().map(words).collect();
        all.iter().any(|one| one.first() != all[0].first())
            && all.iter().any(|one| one.last() != all[0].last())
    })
}

fn fixed_text() -> impl Strategy<Value = String> {
    proptest::collection::vec("[A-Z]{3,9}[:.]?|\\{|\\}|\n", 3..14)
        .prop_map(|words| format!("START {}", words.join(" ")))
}

proptest! {
    #[test]
    fn what_is_filled_in_is_found_again(
        before in "[ab {}\n]{0,12}", middle in "[ab\n]{0,2}[ab][ab\n]{0,3}", after in "[ab \n]{0,12}",
        first in "[ab \n]{0,12}", second in "[ab \n]{0,12}", other in "[ab \n]{0,12}",
        input_first in any::<bool>(),
    ) {
        let escape = |text: &str| text.replace('{', "{{").replace('}', "}}");
        let (one, two) = if input_first { ("{input}", "{part}") } else { ("{part}", "{input}") };
        let written = format!("{}{one}{middle}{two}{after} the end of it", escape(&before));
        let template = Template::parse(&written);
        prop_assert!(template.is_ok(), "{:?}", template);
        let template = template.unwrap();
        prop_assert_eq!(&template.to_string(), &written);
        let text = format!("{before}{first}{middle}{second}{after} the end of it");
        let filled = template.fill(&text, &other);
        prop_assert!(filled.is_some(), "{:?} does not match {:?}", written, text);
        let filled = filled.unwrap();
        prop_assert_eq!(template.input(&filled), Some(other.trim()));
        let again = template.fill(&filled, template.input(&text).unwrap()).unwrap();
        prop_assert_eq!(template.input(&again), template.input(&text));
    }

    #[test]
    fn nothing_breaks_a_match(written in "\\PC{0,40}", text in "\\PC{0,60}") {
        if let Ok(template) = Template::parse(&written) {
            let _ = (template.matches(&text), template.fill(&text, "x"));
        }
        let _ = Template::common(&[&written, &text, &text]);
    }

    #[test]
    fn the_template_of_prompts_is_found_again(
        before in fixed_text(), after in fixed_text(), inputs in inputs(),
    ) {
        let texts: Vec<String> = inputs.iter().map(|input| format!("{before} {input}\n{after}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let template = Template::common(&texts).unwrap();
        for (text, input) in texts.iter().zip(&inputs) {
            prop_assert_eq!(template.input(text), Some(input.as_str()), "{}", template);
        }
    }

    #[test]
    fn parts_that_vary_do_not_hide_the_input(
        before in fixed_text(), after in fixed_text(), days in proptest::collection::vec(1..1000_u32, 12), inputs in inputs(),
    ) {
        let long = |input: &str| format!("{input} {input} {input}");
        prop_assume!(days[..inputs.len()].iter().any(|day| *day != days[0]));
        let text = |(input, day): (&String, &u32)| format!("On 2026-{day} it is.\n{before} {}\n{after}", long(input));
        let texts: Vec<String> = inputs.iter().zip(&days).map(text).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let template = Template::common(&texts).unwrap();
        for (text, input) in texts.iter().zip(&inputs) {
            let input = long(input);
            prop_assert_eq!(template.input(text), Some(input.as_str()), "{}", template);
        }
    }
}
