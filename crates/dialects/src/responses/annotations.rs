//! What a text rests on: flat in this dialect, under its own type in chat's, and by its place in all of the text there.
//!
//! Owns the two forms and the places. Refuses nothing: an annotation of any type passes.

use serde_json::{Map, Value};

/// Chat's form of an annotation whose text begins `base` characters into the whole.
pub(super) fn to_chat(annotation: &Value, base: u64) -> Value {
    let Value::Object(flat) = annotation else { return annotation.clone() };
    let Some(kind) = flat.get("type").and_then(Value::as_str) else { return annotation.clone() };
    let mut inner = flat.clone();
    inner.shift_remove("type");
    shift(&mut inner, |place| place.saturating_add(base));
    let mut outer = Map::new();
    outer.insert("type".to_owned(), kind.into());
    outer.insert(kind.to_owned(), Value::Object(inner));
    Value::Object(outer)
}

/// This dialect's form, for a text that begins `base` characters into the whole.
pub(super) fn from_chat(annotation: &Value, base: u64) -> Value {
    let Value::Object(outer) = annotation else { return annotation.clone() };
    let Some(kind) = outer.get("type").and_then(Value::as_str) else { return annotation.clone() };
    let mut flat = Map::new();
    flat.insert("type".to_owned(), kind.into());
    for (key, value) in outer {
        match value {
            Value::Object(inner) if key == kind => flat.extend(inner.clone()),
            _ => {
                flat.insert(key.clone(), value.clone());
            }
        }
    }
    shift(&mut flat, |place| place.saturating_sub(base));
    Value::Object(flat)
}

fn shift(annotation: &mut Map<String, Value>, moved: impl Fn(u64) -> u64) {
    for key in ["start_index", "end_index"] {
        if let Some(place) = annotation.get_mut(key)
            && let Some(number) = place.as_u64()
        {
            *place = moved(number).into();
        }
    }
}

/// Characters of a text, as annotations count them.
pub(super) fn length(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}
