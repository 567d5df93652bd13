//! Between an answer's text and what it says: a label, several, a number.
//!
//! Owns both ways. An answer that is not of the task's form says nothing; it is no label.

use api::{ChatRequest, Completion, Contract};
use learn::task::{Kind, Truth};
use serde_json::{Map, Value, json};

/// Longer answers are no labels.
const ANSWER_BYTES_MAX: usize = 2048;
/// Longer texts are no label, and no set has more.
const LABEL_BYTES_MAX: usize = 128;
const LABELS_MAX: usize = 64;

/// What an answer must say to be one of the task's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form<'a> {
    pub(crate) kind: Kind,
    /// The only labels there are; empty where any is taken.
    pub(crate) labels: &'a [String],
    /// The lowest and the highest number.
    pub(crate) scale: Option<(f32, f32)>,
}

impl Form<'_> {
    /// What `text` says; `None` where it is no answer of this form.
    pub(crate) fn read(&self, text: &str) -> Option<Truth> {
        if text.len() > ANSWER_BYTES_MAX {
            return None;
        }
        let value = serde_json::from_str::<Value>(text.trim()).ok();
        match (value, self.kind) {
            (Some(Value::Object(object)), _) => self.read_object(&object),
            (Some(value), _) => self.read_value(&value).or_else(|| self.read_text(text)),
            (None, _) => self.read_text(text),
        }
    }

    /// The one property that says something of this form.
    fn read_object(&self, object: &Map<String, Value>) -> Option<Truth> {
        let mut said = object.values().filter_map(|value| self.read_value(value));
        let first = said.next()?;
        said.next().is_none().then_some(first)
    }

    fn read_value(&self, value: &Value) -> Option<Truth> {
        match (self.kind, value) {
            (Kind::Single, Value::String(text)) => self.label(text).map(Truth::One),
            (Kind::Several, Value::Array(items)) => {
                let labels: Option<Vec<String>> =
                    items.iter().map(|item| item.as_str().and_then(|text| self.label(text))).collect();
                labels.and_then(set)
            }
            #[expect(clippy::cast_possible_truncation, reason = "scales need no more digits than f32 has")]
            (Kind::Number, Value::Number(number)) => self.number(number.as_f64()? as f32),
            _ => None,
        }
    }

    fn read_text(&self, text: &str) -> Option<Truth> {
        let text = text.trim().trim_matches(['"', '\'', '`', '*']).trim();
        match self.kind {
            Kind::Single => self.label(text).map(Truth::One),
            Kind::Several => {
                let items = text.split([',', '\n', ';']).map(str::trim).filter(|item| !item.is_empty());
                items.map(|item| self.label(item)).collect::<Option<Vec<String>>>().and_then(set)
            }
            Kind::Number => self.number(text.trim_end_matches('.').parse().ok()?),
        }
    }

    /// The label that a text names, spelt as the set spells it; a full stop after it does no harm.
    fn label(&self, text: &str) -> Option<String> {
        let text = text.trim();
        let named = |text: &str| self.labels.iter().find(|label| label.eq_ignore_ascii_case(text));
        if !self.labels.is_empty() {
            return named(text).or_else(|| named(text.trim_end_matches('.'))).cloned();
        }
        let text = text.trim_end_matches('.').trim();
        let plain = !text.is_empty() && text.len() <= LABEL_BYTES_MAX && !text.contains('\n');
        plain.then(|| text.to_owned())
    }

    fn number(&self, number: f32) -> Option<Truth> {
        let inside = self.scale.is_none_or(|(low, high)| (low..=high).contains(&number));
        (number.is_finite() && inside).then_some(Truth::Number(number))
    }
}

fn set(mut labels: Vec<String>) -> Option<Truth> {
    labels.sort();
    labels.dedup();
    (labels.len() <= LABELS_MAX).then_some(Truth::Many(labels))
}

/// The text of a whole, unhindered, single answer.
pub(crate) fn single_text(completion: &Completion) -> Option<&str> {
    let [choice] = completion.choices.as_slice() else { return None };
    let whole = choice.finish_reason.as_deref().is_none_or(|reason| reason == "stop");
    let tools = choice.message.extra.contains_key("tool_calls");
    choice.message.content.as_deref().filter(|text| whole && !tools && text.len() <= ANSWER_BYTES_MAX)
}

/// The logarithm of the probability that the model gave its own answer: the sum over its tokens, where it told them.
pub(crate) fn logprob(completion: &Completion) -> Option<f64> {
    let tokens = completion.choices.first()?.extra.get("logprobs")?.get("content")?.as_array()?;
    tokens.iter().map(|token| token.get("logprob")?.as_f64()).sum()
}

/// What a task says, in the form that the request asks for: bare, or as the first property of a JSON object that may hold it.
pub(crate) fn in_contract(said: &Truth, request: &ChatRequest) -> String {
    let value = match said {
        Truth::One(label) => json!(label),
        Truth::Many(labels) => json!(labels),
        Truth::Number(number) => json!(number),
    };
    let bare = match said {
        Truth::One(label) => label.clone(),
        Truth::Many(labels) => labels.join(", "),
        Truth::Number(number) => number.to_string(),
    };
    match &request.contract {
        Contract::Free | Contract::Labels(_) => bare,
        Contract::JsonObject => json!({ "label": value }).to_string(),
        Contract::JsonSchema(schema) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let key = properties.and_then(|properties| {
                properties
                    .iter()
                    .find(|(_, property)| may_hold(property, &value))
                    .map(|(key, _)| key.as_str())
            });
            json!({ key.unwrap_or("label"): value }).to_string()
        }
    }
}

/// Whether a property of a JSON schema may have this value, as far as `enum` and `type` say.
fn may_hold(property: &Value, value: &Value) -> bool {
    if let Some(allowed) = property.get("enum").and_then(Value::as_array) {
        return allowed.contains(value);
    }
    let kind = property.get("type").and_then(Value::as_str);
    match value {
        Value::String(_) => kind == Some("string"),
        Value::Array(_) => kind == Some("array"),
        Value::Number(_) => matches!(kind, Some("number" | "integer")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(label: &str) -> Option<Truth> {
        Some(Truth::One(label.to_owned()))
    }

    #[test]
    fn answers_say_what_their_form_allows() {
        let moods = ["Good".to_owned(), "Bad news".to_owned()];
        let closed = Form { kind: Kind::Single, labels: &moods, scale: None };
        let open = Form { labels: &[], ..closed };
        let several = Form { kind: Kind::Several, ..closed };
        let stars = Form { kind: Kind::Number, labels: &[], scale: Some((1.0, 5.0)) };
        let many = |labels: &[&str]| Some(Truth::Many(labels.iter().map(|&l| l.to_owned()).collect()));
        for (form, text, expected) in [
            (closed, "good", one("Good")),
            (closed, " **Bad news.** ", one("Bad news")),
            (closed, "\"Bad news\"", one("Bad news")),
            (closed, "bad news.", one("Bad news")),
            (closed, r#"{"mood": "good", "why": "it shines"}"#, one("Good")),
            (closed, r#"{"a": "good", "b": "good"}"#, None),
            (closed, "I think it is good", None),
            (open, "Refund", one("Refund")),
            (open, "two\nlines", None),
            (open, "", None),
            (several, "bad news, good", many(&["Bad news", "Good"])),
            (several, "[]", many(&[])),
            (several, r#"{"labels": ["good"]}"#, many(&["Good"])),
            (several, "good, great", None),
            (stars, "4.5", Some(Truth::Number(4.5))),
            (stars, r#"{"score": 3}"#, Some(Truth::Number(3.0))),
            (stars, "9", None),
            (stars, "NaN", None),
        ] {
            assert_eq!(form.read(text), expected, "{text}");
        }
    }

    #[test]
    fn a_label_takes_the_form_that_is_asked_for() {
        let schema = |text: &str| Contract::JsonSchema(serde_json::from_str(text).expect("a schema"));
        let pos = Truth::One("pos".to_owned());
        for (said, contract, expected) in [
            (&pos, Contract::Free, "pos"),
            (&pos, Contract::JsonObject, r#"{"label":"pos"}"#),
            (
                &pos,
                schema(r#"{"properties":{"why":{"enum":["x"]},"sentiment":{"enum":["pos","neg"]}}}"#),
                r#"{"sentiment":"pos"}"#,
            ),
            (
                &pos,
                schema(r#"{"properties":{"n":{"type":"number"},"verdict":{"type":"string"}}}"#),
                r#"{"verdict":"pos"}"#,
            ),
            (&pos, schema("{}"), r#"{"label":"pos"}"#),
            (&Truth::Number(2.5), schema(r#"{"properties":{"n":{"type":"number"}}}"#), r#"{"n":2.5}"#),
            (&Truth::Many(vec!["a".to_owned(), "b".to_owned()]), Contract::Free, "a, b"),
        ] {
            let Value::Object(mut body) =
                json!({"model": "m", "messages": [{"role": "user", "content": "x"}]})
            else {
                panic!("an object")
            };
            body.shift_remove("response_format");
            let mut request = ChatRequest::from_body(body).expect("a request");
            request.contract = contract;
            assert_eq!(in_contract(said, &request), expected);
        }
    }
}
