//! The store: what goes in, how long it stays, how much of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its scene should fail")]

use std::time::Duration;

use api::{ChatRequest, Choice, Completion, Money, ReplyMessage, Tenant, Track, parse_object};
use cache::{Answers, Entry, Key, NotWhole, Origin, Scope, Stats};
use serde_json::{Value, json};

const TTL: Duration = Duration::from_secs(3600);

fn key(text: &str) -> Key {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": text}]}).to_string();
    let request = ChatRequest::from_body(parse_object(body.as_bytes()).unwrap()).unwrap();
    Key::exact(&Scope::of(&Tenant::open(), "p", "r"), &request).unwrap()
}

fn completion(text: &str, finish_reason: Option<&str>) -> Completion {
    let message = ReplyMessage { content: Some(text.to_owned()), ..ReplyMessage::default() };
    let finish_reason = finish_reason.map(str::to_owned);
    Completion {
        choices: vec![Choice { message, finish_reason, ..Choice::default() }],
        ..Completion::default()
    }
}

fn origin() -> Origin {
    Origin {
        track: Track::External,
        model: "m".to_owned(),
        provider: "p".to_owned(),
        cost: Money::from_nanos(5),
        reference_cost: Money::from_nanos(9),
        decision: "d".to_owned(),
    }
}

fn entry(text: &str, stored_at_ms: u64) -> Entry {
    Entry::whole(completion(text, Some("stop")), origin(), stored_at_ms).unwrap()
}

#[test]
fn only_whole_answers_can_be_entries() {
    for (finish_reason, expected) in [
        (Some("stop"), None),
        (Some("length"), None),
        (Some("tool_calls"), None),
        (Some("function_call"), None),
        (Some("content_filter"), Some(NotWhole::Unfinished)),
        (Some("error"), Some(NotWhole::Unfinished)),
        (Some(""), Some(NotWhole::Unfinished)),
        (None, Some(NotWhole::NoFinishReason)),
    ] {
        let got = Entry::whole(completion("a", finish_reason), origin(), 0).err();
        assert_eq!(got, expected, "{finish_reason:?}");
    }
    assert_eq!(Entry::whole(Completion::default(), origin(), 0).err(), Some(NotWhole::NoChoices));
    let mut second_is_cut = completion("a", Some("stop"));
    second_is_cut.choices.extend(completion("b", None).choices);
    assert_eq!(Entry::whole(second_is_cut, origin(), 0).err(), Some(NotWhole::NoFinishReason));
    let mut with_error = completion("a", Some("stop"));
    with_error.extra.insert("error".to_owned(), json!({"message": "x"}));
    assert_eq!(Entry::whole(with_error, origin(), 0).err(), Some(NotWhole::Error));
}

#[test]
fn a_hit_gives_back_what_was_put_with_its_age() {
    let answers = Answers::new(1 << 20, TTL);
    assert!(answers.get(&key("q"), 1_000).is_none());
    assert!(answers.put(key("q"), entry("a", 1_000)));
    let hit = answers.get(&key("q"), 4_500).unwrap();
    assert_eq!(*hit.entry, entry("a", 1_000));
    assert_eq!((hit.age, hit.ttl), (Duration::from_millis(3_500), TTL - Duration::from_millis(3_500)));
    let body: Value = serde_json::from_slice(hit.entry.body()).unwrap();
    assert_eq!(body, serde_json::to_value(hit.entry.completion()).unwrap());
    assert!(answers.get(&key("other"), 4_500).is_none());
    let stats = answers.stats();
    assert_eq!((stats.hits, stats.misses, stats.stored), (1, 2, 1));
}

#[test]
fn an_answer_is_given_until_its_time_is_over() {
    let answers = Answers::new(1 << 20, TTL);
    answers.put(key("q"), entry("a", 1_000));
    assert!(answers.get(&key("q"), 1_000 + 3_599_999).is_some());
    assert!(answers.get(&key("q"), 1_000 + 3_600_000).is_none());
    // A clock that went back makes an answer new, not an error.
    assert_eq!(answers.get(&key("q"), 0).unwrap().age, Duration::ZERO);
    answers.put(key("q"), entry("b", 9_000_000));
    assert_eq!(*answers.get(&key("q"), 9_000_000).unwrap().entry, entry("b", 9_000_000));
    answers.clear();
    assert!(answers.get(&key("q"), 9_000_000).is_none());
}

#[test]
fn the_store_stays_within_its_bytes() {
    const BYTES_MAX: u64 = 200_000;
    let answers = Answers::new(BYTES_MAX, TTL);
    let text = "x".repeat(1_000);
    for n in 0..2_000 {
        answers.put(key(&n.to_string()), entry(&text, 0));
    }
    // moka evicts in passing: entries above the bound are few, and gone after further use.
    let held = (0..2_000).filter(|n| answers.get(&key(&n.to_string()), 0).is_some()).count() as u64;
    let weight = entry(&text, 0).body().len() as u64 * 3 + 1024;
    assert!((1..=BYTES_MAX / weight + 64).contains(&held), "{held} entries of {weight} bytes");
    assert!(answers.stats().bytes <= BYTES_MAX + 64 * weight);
}

#[test]
fn what_can_never_fit_is_not_taken() {
    assert!(!Answers::new(10_000, TTL).put(key("q"), entry(&"x".repeat(10_000), 0)));
    for answers in [Answers::new(0, TTL), Answers::new(1 << 20, Duration::ZERO)] {
        assert!(!answers.put(key("q"), entry("a", 0)));
        assert!(answers.get(&key("q"), 0).is_none());
        assert_eq!(answers.stats(), Stats { misses: 1, ..Stats::default() });
    }
}
