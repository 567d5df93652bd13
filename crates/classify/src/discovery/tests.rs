//! Traffic of every kind, made up from a seed: what is proposed of it, and what must not be.

use super::*;

/// Any spread will do, as long as it is the same every time (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % end as u64).unwrap()
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len())]
    }

    /// A message as people write them: an opening that many share, then this and that.
    fn message(&mut self) -> String {
        let openings =
            ["How do I", "I want to", "Why was", "Please", "Can you", "My", "Hi, I need to", "What if"];
        let words = [
            "card",
            "account",
            "top",
            "up",
            "the",
            "money",
            "lost",
            "transfer",
            "pin",
            "change",
            "stolen",
            "fee",
            "cash",
            "a",
            "rate",
            "exchange",
            "app",
            "verify",
            "identity",
            "refund",
            "pending",
            "abroad",
            "my",
            "salary",
            "to",
            "limit",
            "address",
            "phone",
            "virtual",
            "order",
            "today",
            "yesterday",
            "weekend",
            "atm",
            "charged",
            "twice",
        ];
        let mut said = vec![self.one(&openings)];
        for _ in 0..3 + self.below(12) {
            said.push(self.one(&words));
        }
        format!("{}{}", said.join(" "), self.one(&["?", ".", "", "!"]))
    }

    fn label(&mut self, labels: usize) -> String {
        format!("label_{}", self.below(labels))
    }
}

/// Something that sends requests: gives system prompt, message and answer.
type Source<'s> = &'s dyn Fn(&mut Dice) -> (Option<String>, String, String);

/// What is found after `requests` requests of these sources in turns, each given with its weight.
fn discover(sources: &[(usize, Source<'_>)], requests: usize) -> Discovery {
    let mut discovery = Discovery::default();
    let mut dice = Dice(7);
    let total: usize = sources.iter().map(|(weight, _)| weight).sum();
    for _ in 0..requests {
        let mut drawn = dice.below(total);
        let source = sources.iter().find(|(weight, _)| {
            let here = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            here
        });
        let (system, user, answer) = source.unwrap().1(&mut dice);
        let seen =
            Seen { tenant: "t", system: system.as_deref(), user: &user, answer: &answer, model: "big" };
        discovery.observe(seen);
    }
    discovery
}

/// Each proposal in a line: templates, how many labels, shape.
fn check(sources: &[(usize, Source<'_>)], requests: usize, expected: &[&str]) {
    let discovery = discover(sources, requests);
    let told = |proposal: &Proposal| {
        let template =
            |template: &Option<Template>| template.as_ref().map_or("-".to_owned(), ToString::to_string);
        let (system, user) = (template(&proposal.system), template(&proposal.user));
        format!("{system} | {user} | {} {:?}", proposal.labels.len(), proposal.shape)
    };
    let mut got: Vec<String> = discovery.proposals().iter().map(told).collect();
    got.sort();
    assert_eq!(got, expected, "{:#?}", discovery.proposals());
    assert!(discovery.bytes() <= Discovery::BYTES_MAX);
}

fn intents(dice: &mut Dice) -> (Option<String>, String, String) {
    (
        Some("You label the intent of a customer's message. Answer with a label.".into()),
        dice.message(),
        dice.label(10),
    )
}

fn chat(dice: &mut Dice) -> (Option<String>, String, String) {
    let answer = format!("{} {}", dice.message(), dice.message());
    let short = dice.one(&["Sure.", "Yes", "No", "I see.", "You are welcome!"]).to_owned();
    let answer = if dice.below(3) == 0 { short } else { answer };
    (Some("You are a friendly and helpful assistant.".into()), dice.message(), answer)
}

fn code(dice: &mut Dice) -> (Option<String>, String, String) {
    let what = dice.message();
    (
        None,
        format!("Write a function in Rust that does this: {what}"),
        format!("fn f() {{\n    // {what}\n}}"),
    )
}

fn summaries(dice: &mut Dice) -> (Option<String>, String, String) {
    let text = format!("{} {} {}", dice.message(), dice.message(), dice.message());
    (Some("Summarise the text in one short sentence.".into()), text, dice.message())
}

#[test]
fn a_system_prompt_with_few_answers_is_a_task() {
    let prompt = "You label the intent of a customer's message. Answer with a label.";
    check(&[(1, &intents)], 29, &[]);
    check(&[(1, &intents)], 200, &[&format!("{prompt} | - | 10 Bare")]);
    // 77 labels show themselves as a closed set only when each of them had its turns.
    let many = |dice: &mut Dice| (Some(prompt.to_owned()), dice.message(), dice.label(77));
    check(&[(1, &many)], 400, &[]);
    check(&[(1, &many)], 1000, &[&format!("{prompt} | - | 77 Bare")]);
    let proposal = &discover(&[(1, &intents)], 200).proposals()[0];
    assert_eq!((proposal.requests, proposal.models.as_slice()), (198, &["big".to_owned()][..]));
    assert_eq!((proposal.id.len(), proposal.samples.len(), proposal.tenant.as_str()), (12, 5, "t"));
    assert!(proposal.labels.windows(2).all(|pair| pair[0].1 >= pair[1].1));
}

#[test]
fn a_task_is_found_in_other_traffic() {
    let prompt = "You label the intent of a customer's message. Answer with a label.";
    let expected = format!("{prompt} | - | 10 Bare");
    check(&[(1, &intents), (8, &chat), (8, &code), (8, &summaries)], 4000, &[&expected]);
    // One request in a hundred, between prompts of which none comes twice.
    let noise = |dice: &mut Dice| (Some(dice.message() + &dice.message()), dice.message(), dice.message());
    check(&[(1, &intents), (99, &noise)], 20_000, &[&expected]);
}

#[test]
fn parts_of_a_prompt_may_vary() {
    let dated = |dice: &mut Dice| {
        let (day, name) = (1 + dice.below(28), dice.one(&["Ann", "Bob", "Cy", "Di Lu", "Em"]).to_owned());
        let system = format!(
            "Today is 2026-11-{day:02}. You help {name} with the post. Say for each mail: urgent, normal or junk."
        );
        (Some(system), dice.message(), dice.one(&["urgent", "normal", "junk", "Junk."]).to_owned())
    };
    let template = "Today is {part2}. You help {part1} with the post. Say for each mail: urgent, normal or junk. | - | 3 Bare";
    check(&[(1, &dated)], 600, &[template]);
    check(&[(1, &dated), (3, &chat)], 3000, &[template]);
}

#[test]
fn the_whole_prompt_may_be_in_the_message() {
    let form = |input: &str| {
        format!(
            "Is this message about a card, a transfer or an account?\n\nMessage: \"{input}\"\n\nAnswer in JSON: "
        )
    };
    let asked = |dice: &mut Dice| {
        let label = dice.one(&["card", "transfer", "account"]);
        let answer = dice.one(&["{\"topic\": \"X\"}", "```json\n{\"topic\": \"X\", \"sure\": 0.9}\n```"]);
        (None, form(&dice.message()), answer.replace('X', label))
    };
    let template = form("{input}").trim().to_owned();
    check(&[(1, &asked), (2, &code)], 900, &[&format!("- | {template} | 3 JsonKey(\"topic\")")]);
    let shots = |dice: &mut Dice| {
        let text = format!(
            "Labels: good, bad\n\nText: fine work\nLabel: good\n\nText: what a mess\nLabel: bad\n\nText: {}\nLabel:",
            dice.message()
        );
        (None, text, dice.one(&["good", "bad", " Good"]).to_owned())
    };
    let few = "Labels: good, bad\n\nText: fine work\nLabel: good\n\nText: what a mess\nLabel: bad\n\nText: {input}\nLabel:";
    check(&[(1, &shots)], 300, &[&format!("- | {few} | 2 Bare")]);
    let behind = |dice: &mut Dice| {
        let text = format!("{}\n\nIs the text above spam? Say yes or no.", dice.message());
        (None, text, dice.one(&["yes", "no"]).to_owned())
    };
    check(&[(1, &behind)], 300, &["- | {input}\n\nIs the text above spam? Say yes or no. | 2 Bare"]);
}

#[test]
fn tasks_with_much_in_common_stay_apart() {
    let moods = |dice: &mut Dice| {
        let text = format!("Classify the sentiment of the message.\nMessage: {}\nAnswer:", dice.message());
        (None, text, dice.one(&["positive", "negative"]).to_owned())
    };
    let topics = |dice: &mut Dice| {
        let text = format!("Classify the topic of the message.\nMessage: {}\nAnswer:", dice.message());
        (None, text, dice.one(&["card", "cash", "other"]).to_owned())
    };
    let expected = [
        "- | Classify the sentiment of the message.\nMessage: {input}\nAnswer: | 2 Bare",
        "- | Classify the topic of the message.\nMessage: {input}\nAnswer: | 3 Bare",
    ];
    check(&[(1, &moods), (1, &topics)], 800, &expected);
    // Under one system prompt, which on its own would look like one task with five labels.
    let under = |source: Source<'_>, dice: &mut Dice| {
        let (_, user, answer) = source(dice);
        (Some("You are a precise annotator of short texts.".to_owned()), user, answer)
    };
    let (moods, topics) = (|dice: &mut Dice| under(&moods, dice), |dice: &mut Dice| under(&topics, dice));
    let expected = expected.map(|line| line.replacen('-', "You are a precise annotator of short texts.", 1));
    check(&[(1, &moods), (1, &topics)], 800, &expected.each_ref().map(String::as_str));
}

#[test]
fn open_traffic_is_no_task() {
    check(&[(1, &chat)], 1000, &[]);
    check(&[(1, &code)], 1000, &[]);
    check(&[(1, &summaries)], 1000, &[]);
    check(&[(1, &chat), (1, &code), (1, &summaries)], 3000, &[]);
    let system = || Some("Answer the question in one word, please.".to_owned());
    // Short answers that go on being new.
    let names = |dice: &mut Dice| (system(), dice.message(), format!("name{}", dice.below(400)));
    check(&[(1, &names)], 1500, &[]);
    // The same answer to everything, and the same question again and again.
    let constant = |dice: &mut Dice| (system(), dice.message(), "ok".to_owned());
    check(&[(1, &constant)], 500, &[]);
    let repeated = |dice: &mut Dice| (system(), "Is it up and running?".to_owned(), dice.label(2));
    check(&[(1, &repeated)], 500, &[]);
    // Short questions of a chat that happen to be answered with yes or no.
    let short = |dice: &mut Dice| (None, dice.message(), dice.one(&["Yes", "No"]).to_owned());
    check(&[(1, &short)], 1000, &[]);
    let objects = |dice: &mut Dice| {
        (system(), dice.message(), format!("{{\"a\": \"x\", \"b\": \"{}\"}}", dice.label(3)))
    };
    check(&[(1, &objects)], 500, &[]);
}

#[test]
fn what_was_open_yesterday_may_be_closed_today() {
    let mut discovery = Discovery::default();
    let mut dice = Dice(3);
    for number in 0..400 {
        let label = if number < 200 { dice.label(2) } else { dice.label(4) };
        let message = dice.message();
        let system = Some("You label the intent of a message.");
        discovery.observe(Seen { tenant: "t", system, user: &message, answer: &label, model: "m" });
        let labels = discovery.proposals().first().map(|proposal| proposal.labels.len());
        match number {
            150 => assert_eq!(labels, Some(2)),
            // Two new labels among the last 30: the set is not known yet.
            210 => assert_eq!(labels, None),
            399 => assert_eq!(labels, Some(4)),
            _ => {}
        }
    }
}

#[test]
fn tenants_share_nothing() {
    let mut discovery = Discovery::default();
    let mut dice = Dice(5);
    for number in 0..120 {
        let (system, message, label) = intents(&mut dice);
        let tenant = if number % 4 == 0 { "a" } else { "b" };
        let seen = Seen { tenant, system: system.as_deref(), user: &message, answer: &label, model: "m" };
        discovery.observe(seen);
    }
    let found: Vec<(String, u64)> =
        discovery.proposals().into_iter().map(|proposal| (proposal.tenant, proposal.requests)).collect();
    assert_eq!(found, [("b".to_owned(), 88)]);
}

#[test]
fn it_goes_on_after_a_restart() {
    let before = discover(&[(1, &intents), (1, &chat)], 300);
    let kept = serde_json::to_string(&before).unwrap();
    let mut after: Discovery = serde_json::from_str(&kept).unwrap();
    assert_eq!(after.proposals(), before.proposals());
    let (id, requests) = (after.proposals()[0].id.clone(), after.proposals()[0].requests);
    let mut dice = Dice(9);
    for _ in 0..50 {
        let (system, message, label) = intents(&mut dice);
        after.observe(Seen {
            tenant: "t",
            system: system.as_deref(),
            user: &message,
            answer: &label,
            model: "m",
        });
    }
    assert_eq!((&after.proposals()[0].id, after.proposals()[0].requests), (&id, requests + 50));
}

#[test]
fn memory_has_a_bound() {
    // Long prompts with long labels under more keys than there are groups.
    let long = |dice: &mut Dice| {
        let number = dice.below(400);
        let filler = format!("prompt number{} says ", char::from(b'a' + (number % 26) as u8)).repeat(300);
        let system = format!("{}{filler}{}", "x".repeat(1 + number / 26), "{".repeat(2000));
        (Some(system), dice.message().repeat(60), format!("{}{}", "l".repeat(55), dice.below(190)))
    };
    let discovery = discover(&[(1, &long)], 8000);
    assert!(discovery.groups.len() == GROUPS_MAX, "{}", discovery.groups.len());
    assert!(discovery.bytes() <= Discovery::BYTES_MAX, "{}", discovery.bytes());
    let huge = |dice: &mut Dice| (Some("x y z ".repeat(4000)), dice.message(), dice.label(2));
    assert!(discover(&[(1, &huge)], 100).groups.is_empty());
}

#[test]
fn answers_give_their_labels() {
    let bare = |text: &str| Some((Shape::Bare, text.to_owned()));
    let under = |key: &str, text: &str| Some((Shape::JsonKey(key.to_owned()), text.to_owned()));
    for (answer, expected) in [
        (" Positive.\n", bare("Positive")),
        ("\"lost  card\"", bare("lost card")),
        ("**yes**", bare("yes")),
        ("3.5", bare("3.5")),
        ("{\"label\": \"x\"}", under("label", "x")),
        ("{\"label\": \"x\", \"confidence\": 0.8, \"ok\": true}", under("label", "x")),
        ("```json\n{\"label\": \"x\"}\n```", under("label", "x")),
        ("```\nyes\n```", bare("yes")),
        ("{\"a\": \"x\", \"b\": \"y\"}", None),
        ("{\"a\": \"x\", \"b\": [1]}", None),
        ("{\"a\": 1}", None),
        ("{\"a\": ", None),
        ("a\nb", None),
        ("one two three four five six seven eight nine", None),
        (&"x".repeat(65), None),
        ("...", None),
        ("", None),
    ] {
        assert_eq!(answers::label(answer), expected, "{answer}");
    }
}
