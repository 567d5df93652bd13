//! A candidate's calls of functions, whole and in pieces.
//!
//! Owns the one call that is open. Vertex AI sends a call in pieces where it is asked to (`toolConfig.
//! functionCallingConfig.streamFunctionCallArguments`): its name with `willContinue`, then values by their places
//! (`partialArgs`), then a call that says nothing. Its places are not the order of a text, so the call is told once it is
//! whole. Refuses a call that is still open when another begins or the answer ends, and places other than names and
//! numbers (`$.days[0].port`).

use serde_json::{Map, Value, json};

use super::answer::carried;
use crate::Trouble;

/// The most that names and numbers of a place may be.
const DEPTH_MAX: usize = 64;

/// What has come of a candidate's calls.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// How many there are, the open one included.
    pub(super) count: usize,
    open: Option<Open>,
}

/// A call that comes in pieces.
#[derive(Debug)]
struct Open {
    id: String,
    name: String,
    arguments: Value,
    seal: Option<String>,
}

impl Calls {
    /// Nothing is missing of any call.
    pub(super) fn are_whole(&self) -> bool {
        self.open.is_none()
    }

    /// Reads a call or a piece of one; the call of chat, where it is whole now. `id` makes an id for a call's place.
    pub(super) fn read(
        &mut self,
        call: &Map<String, Value>,
        seal: Option<String>,
        id: impl Fn(usize) -> String,
    ) -> Result<Option<Value>, Trouble> {
        let name = call.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let goes_on = call.get("willContinue") == Some(&Value::Bool(true));
        let given = call.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
        if self.open.is_none() {
            // The end of a call whose last piece has said so already.
            if call.is_empty() && self.count > 0 {
                return Ok(None);
            }
            let Some(name) = name else { return Err(Trouble::garbage("a function call without a name")) };
            let id = given.map_or_else(|| id(self.count), str::to_owned);
            let arguments = match call.get("args") {
                None | Some(Value::Null) => json!({}),
                Some(arguments @ Value::Object(_)) => arguments.clone(),
                Some(_) => return Err(Trouble::garbage("`args` is no object")),
            };
            self.count += 1;
            self.open = Some(Open { id, name: name.to_owned(), arguments, seal: None });
        } else if name.is_some() && self.open.as_ref().map(|open| open.name.as_str()) != name {
            return Err(Trouble::garbage("a function call inside another"));
        }
        let Some(open) = &mut self.open else { return Ok(None) };
        open.seal = open.seal.take().or(seal);
        match call.get("partialArgs") {
            None | Some(Value::Null) => {}
            Some(Value::Array(pieces)) => pieces.iter().try_for_each(|piece| open.put(piece))?,
            Some(_) => return Err(Trouble::garbage("`partialArgs` is no array")),
        }
        let done = self.open.take_if(|_| !goes_on);
        Ok(done.map(|open| open.into_chat(self.count.saturating_sub(1))))
    }
}

impl Open {
    fn put(&mut self, piece: &Value) -> Result<(), Trouble> {
        let path = piece.get("jsonPath").and_then(Value::as_str).unwrap_or_default();
        let steps = steps(path).ok_or_else(|| Trouble::garbage(format!("an argument at `{path}`")))?;
        let place = steps.iter().try_fold(&mut self.arguments, |value, step| step.within(value));
        let Some(place) = place else {
            return Err(Trouble::garbage(format!("an argument at `{path}` inside another kind of value")));
        };
        let value = |key: &str| piece.get(key).filter(|value| !value.is_null());
        if let Some(more) = value("stringValue").and_then(Value::as_str) {
            match place {
                Value::String(text) => text.push_str(more),
                _ => *place = more.into(),
            }
        } else if let Some(value) = value("numberValue").filter(|value| value.is_number()) {
            *place = whole(value);
        } else if let Some(value) = value("boolValue").filter(|value| value.is_boolean()) {
            *place = value.clone();
        }
        // Null, an empty text that goes on, or nothing yet: the place alone was told.
        Ok(())
    }

    fn into_chat(self, place: usize) -> Value {
        let mut made = json!({
            "index": place,
            "id": self.id,
            "type": "function",
            "function": { "name": self.name, "arguments": self.arguments.to_string() },
        });
        if let (Some(seal), Some(made)) = (self.seal, made.as_object_mut()) {
            made.insert("extra_content".to_owned(), carried(&seal));
        }
        made
    }
}

/// A number as JSON would have it: the format has doubles only.
fn whole(value: &Value) -> Value {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    match value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() <= EXACT_MAX) {
        #[expect(clippy::cast_possible_truncation, reason = "whole numbers in this range are exact")]
        Some(number) => (number as i64).into(),
        None => value.clone(),
    }
}

/// One step into a value.
#[derive(Debug, PartialEq)]
enum Step<'p> {
    Name(&'p str),
    Place(usize),
}

impl Step<'_> {
    /// The value at this step, made where it is not there yet; `None` where `value` is of another kind, or the step would
    /// leave out places before it.
    fn within<'v>(&self, value: &'v mut Value) -> Option<&'v mut Value> {
        match self {
            Self::Name(name) => {
                if value.is_null() {
                    *value = json!({});
                }
                Some(value.as_object_mut()?.entry(*name).or_insert(Value::Null))
            }
            Self::Place(place) => {
                if value.is_null() {
                    *value = json!([]);
                }
                let list = value.as_array_mut()?;
                if list.len() == *place {
                    list.push(Value::Null);
                }
                list.get_mut(*place)
            }
        }
    }
}

/// The steps of a path like `$.days[0]['port']`; `None` for any other.
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let step;
        if let Some(named) = rest.strip_prefix('.') {
            let end = named.find(['.', '[']).unwrap_or(named.len());
            (step, rest) = (Step::Name(&named[..end]), &named[end..]);
        } else {
            let inner = rest.strip_prefix('[')?;
            let quote = inner.chars().next().filter(|quote| ['\'', '"'].contains(quote));
            if let Some(quote) = quote {
                let (name, after) = inner.get(1..)?.split_once(quote)?;
                (step, rest) = (Step::Name(name), after.strip_prefix(']')?);
                // Escapes are for names that no function has.
                if name.contains('\\') {
                    return None;
                }
            } else {
                let (place, after) = inner.split_once(']')?;
                (step, rest) = (Step::Place(place.parse().ok()?), after);
            }
        }
        if step == Step::Name("") || steps.len() == DEPTH_MAX {
            return None;
        }
        steps.push(step);
    }
    (!steps.is_empty()).then_some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arguments of a call `f` of which `pieces` come, each with its place and value, or `None` where they make none.
    fn check(pieces: &[Value], expected: Option<&str>) {
        let mut calls = Calls::default();
        let object = |value: Value| value.as_object().cloned().unwrap_or_default();
        let mut events = vec![json!({"name": "f", "willContinue": true})];
        events.extend(pieces.iter().map(|piece| json!({"partialArgs": [piece], "willContinue": true})));
        events.push(json!({}));
        let read: Result<Vec<_>, _> =
            events.into_iter().map(|event| calls.read(&object(event), None, |n| format!("id_{n}"))).collect();
        let got = read.ok().map(|read| {
            assert!(calls.are_whole() && read.iter().rev().skip(1).all(Option::is_none));
            let call = read.last().cloned().flatten().expect("a call");
            assert_eq!((&call["id"], &call["function"]["name"]), (&json!("id_0"), &json!("f")));
            call["function"]["arguments"].as_str().unwrap_or_default().to_owned()
        });
        assert_eq!(got.as_deref(), expected, "{pieces:?}");
    }

    #[test]
    fn pieces_of_a_call_are_put_in_their_places() {
        let text =
            |path: &str, text: &str| json!({"jsonPath": path, "stringValue": text, "willContinue": true});
        let number = |path: &str, number: f64| json!({"jsonPath": path, "numberValue": number});
        check(&[], Some("{}"));
        check(
            &[text("$.port", "Br"), text("$.port", "est"), json!({"jsonPath": "$.port"})],
            Some(r#"{"port":"Brest"}"#),
        );
        check(
            &[
                number("$.days[0].n", 2.0),
                number("$.days[1].n", 2.5),
                json!({"jsonPath": "$['a b']", "boolValue": true}),
            ],
            Some(r#"{"days":[{"n":2},{"n":2.5}],"a b":true}"#),
        );
        check(&[json!({"jsonPath": "$.x", "nullValue": "NULL_VALUE"})], Some(r#"{"x":null}"#));
        for path in
            ["", "$", "port", "$.", "$..x", "$[*]", "$[9]", "$.x[1]", "$['a", "$['a\\'b']", "$.x[0:1]"]
        {
            check(&[text(path, "x")], None);
        }
        check(&[text("$.x", "x"), text("$.x.y", "x")], None);
        check(&[text(&"$.x".replace(".x", &".x".repeat(DEPTH_MAX + 1)), "x")], None);
    }
}
