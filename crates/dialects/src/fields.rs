//! Taking fields out of a body until only what nobody knows is left.
//!
//! Owns the messages about a field of the wrong form, and the passing on of the rest. Refuses to guess: a field is what it should be, null, or an error.

use api::Error;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::foreign::is_reserved;

/// The field `key`, if there is one that is not null.
pub(crate) fn take(body: &mut Map<String, Value>, key: &str) -> Option<Value> {
    body.shift_remove(key).filter(|value| !value.is_null())
}

/// A text that must be there and say something.
pub(crate) fn take_text(body: &mut Map<String, Value>, key: &str) -> Result<String, Error> {
    match take(body, key) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        Some(_) => Err(Error::field(key, format!("`{key}` must be a non-empty string."))),
        None => Err(Error::field(key, format!("`{key}` is missing."))),
    }
}

/// A whole number from 1 to `most`.
pub(crate) fn take_count(body: &mut Map<String, Value>, key: &str, most: u32) -> Result<Option<u32>, Error> {
    let Some(value) = take(body, key) else { return Ok(None) };
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    match number.filter(|number| (1..=most).contains(number)) {
        Some(number) => Ok(Some(number)),
        None => Err(Error::field(key, format!("`{key}` must be a whole number from 1 to {most}."))),
    }
}

/// A yes or no.
pub(crate) fn take_flag(body: &mut Map<String, Value>, key: &str) -> Result<Option<bool>, Error> {
    match take(body, key) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(flag)),
        Some(_) => Err(Error::field(key, format!("`{key}` must be true or false."))),
    }
}

/// What came besides, without other dialects' keys: what is under them has been refused, or says nothing.
pub(crate) struct Others<'a>(pub(crate) &'a Map<String, Value>);

impl Serialize for Others<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().filter(|(key, _)| !is_reserved(key)))
    }
}
