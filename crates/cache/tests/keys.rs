//! When requests share a key: exactly when they are the same request in the same scope.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its scene should fail")]

use std::sync::Arc;

use api::{ChatRequest, Tenant, parse_object};
use cache::{Key, Scope};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn tenant(name: &str) -> Tenant {
    Tenant { name: Arc::from(name), ..Tenant::open() }
}

fn scope() -> Scope {
    Scope::of(&tenant("t"), "default", "r1")
}

fn request(body: &str) -> ChatRequest {
    ChatRequest::from_body(parse_object(body.as_bytes()).unwrap()).unwrap()
}

/// The key of a small request with `more` members, as JSON text.
fn key(more: &str) -> Option<Key> {
    let comma = if more.is_empty() { "" } else { "," };
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{comma}{more}}}"#);
    Key::exact(&scope(), &request(&body))
}

#[test]
fn what_does_not_change_the_answer_does_not_change_the_key() {
    for more in [
        r#""stream":true"#,
        r#""stream":true,"stream_options":{"include_usage":true}"#,
        r#""user":"u1","safety_identifier":"s","metadata":{"a":"b"},"store":true"#,
        r#""prompt_cache_key":"k","request_id":"x""#,
        r#""temperature":null,"tools":null,"vendor":null"#,
    ] {
        assert_eq!(key(more), key(""), "{more}");
    }
    assert_eq!(key(r#""temperature":1.0"#), key(r#""temperature":1"#));
    assert_eq!(key(r#""x":{"a":1,"b":[-0.0,2e3]}"#), key(r#""x":{"b":[0,2000],"a":1.0}"#));
    let ordered = r#"{"messages":[{"content":"hi","role":"user"}],"model":"m"}"#;
    assert_eq!(Key::exact(&scope(), &request(ordered)), key(""));
}

#[test]
fn what_may_change_the_answer_changes_the_key() {
    let bodies = [
        "",
        r#""temperature":0"#,
        r#""temperature":0.5"#,
        r#""temperature":1"#,
        r#""max_tokens":5"#,
        r#""max_completion_tokens":5"#,
        r#""seed":1"#,
        r#""vendor_seed":"1""#,
        r#""vendor_seed":1"#,
        r#""tools":[{"type":"function","function":{"name":"f"}}]"#,
        r#""response_format":{"type":"json_object"}"#,
        r#""vendor":{"a":null}"#,
        r#""vendor":{}"#,
        r#""vendor":[[1],2]"#,
        r#""vendor":[[1,2]]"#,
        r#""vendor":"12""#,
        r#""vendor":9007199254740993"#,
        r#""vendor":9007199254740992"#,
        r#""n":1"#,
    ];
    let keys: std::collections::HashSet<Key> = bodies.iter().map(|more| key(more).unwrap()).collect();
    assert_eq!(keys.len(), bodies.len());
}

#[test]
fn answers_that_should_differ_have_no_key() {
    for (more, cacheable) in [
        (r#""n":2"#, false),
        (r#""n":2,"temperature":0.1"#, false),
        (r#""n":2,"temperature":0"#, true),
        (r#""web_search_options":{}"#, false),
        (r#""web_search_options":null"#, true),
        (r#""temperature":1.5"#, true),
    ] {
        assert_eq!(key(more).is_some(), cacheable, "{more}");
    }
}

#[test]
fn scopes_never_meet() {
    let hi = request(r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#);
    let base = scope();
    let scopes = [
        base,
        Scope::of(&tenant("u"), "default", "r1"),
        Scope::of(&tenant("t"), "defaultr", "1"),
        Scope::of(&tenant("td"), "efault", "r1"),
        Scope::of(&tenant("t"), "default", "r2"),
        base.narrowed("privacy", "local"),
        base.narrowed("privac", "ylocal"),
        base.narrowed("privacy", "local").narrowed("task", "a"),
    ];
    let keys: std::collections::HashSet<Key> =
        scopes.iter().map(|scope| Key::exact(scope, &hi).unwrap()).collect();
    assert_eq!(keys.len(), scopes.len());
    assert_eq!(base, scope());
    assert_eq!(base.narrowed("a", "b"), scope().narrowed("a", "b"));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..3_i64).prop_map(Value::from),
        prop_oneof![Just(0.5), Just(-0.5), Just(1.0)].prop_map(Value::from),
        "[ab]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[ab]{1,2}", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What the key should tell apart, by the plain route: sort all members, drop what is volatile, write numbers in one way.
fn canonical(body: &Map<String, Value>) -> String {
    fn tidy(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut members: Vec<_> = map.iter().map(|(k, v)| (k.clone(), tidy(v))).collect();
                members.sort_by(|a, b| a.0.cmp(&b.0));
                Value::Object(members.into_iter().collect())
            }
            Value::Array(items) => items.iter().map(tidy).collect(),
            Value::Number(number) => json!(number.as_f64().unwrap()),
            other => other.clone(),
        }
    }
    let volatile = ["stream", "user", "metadata"];
    let kept = body.iter().filter(|(field, value)| !value.is_null() && !volatile.contains(&field.as_str()));
    tidy(&Value::Object(kept.map(|(field, value)| (field.clone(), value.clone())).collect())).to_string()
}

fn any_request() -> impl Strategy<Value = ChatRequest> {
    let fields = prop::collection::hash_map(
        prop_oneof![Just("x"), Just("y"), Just("user"), Just("metadata")],
        any_value(),
        0..4,
    );
    ("[ab]{1,2}", fields, any::<bool>(), any::<bool>()).prop_map(|(text, fields, stream, model_first)| {
        let messages = json!([{"role": "user", "content": text}]);
        let mut body = Map::new();
        if model_first {
            body.insert("model".to_owned(), json!("m"));
        }
        for (field, value) in fields {
            body.insert(field.to_owned(), value);
        }
        body.insert("stream".to_owned(), json!(stream));
        body.insert("messages".to_owned(), messages);
        body.insert("model".to_owned(), json!("m"));
        ChatRequest::from_body(body).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_are_equal_exactly_when_the_canonical_requests_are(a in any_request(), b in any_request()) {
        let keys_equal = Key::exact(&scope(), &a) == Key::exact(&scope(), &b);
        prop_assert_eq!(keys_equal, canonical(&a.body) == canonical(&b.body));
    }

    #[test]
    fn the_order_of_members_does_not_matter(a in any_request(), seed in any::<u64>()) {
        fn shuffled(value: &Value, seed: u64) -> Value {
            match value {
                Value::Object(map) => {
                    let mut members: Vec<_> = map.iter().map(|(k, v)| (k.clone(), shuffled(v, seed))).collect();
                    let turn = usize::try_from(seed % 7).unwrap() % members.len().max(1);
                    members.rotate_left(turn);
                    if seed.is_multiple_of(2) { members.reverse(); }
                    Value::Object(members.into_iter().collect())
                }
                Value::Array(items) => items.iter().map(|item| shuffled(item, seed)).collect(),
                other => other.clone(),
            }
        }
        let Value::Object(body) = shuffled(&Value::Object(a.body.clone()), seed) else { unreachable!() };
        let b = ChatRequest::from_body(body).unwrap();
        prop_assert_eq!(Key::exact(&scope(), &a), Key::exact(&scope(), &b));
    }
}
