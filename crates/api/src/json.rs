//! Reading JSON strictly: `serde_json` keeps the last of two equal keys, which lets two readers of one body disagree.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

use crate::{Error, Fault};

/// Parses a body that must be one JSON object, refusing equal keys at any depth.
///
/// # Errors
/// A 400 that names line and column.
pub fn parse_object(body: &[u8]) -> Result<Map<String, Value>, Error> {
    match serde_json::from_slice::<Strict>(body) {
        Ok(Strict(Value::Object(map))) => Ok(map),
        Ok(_) => Err(Error::new(Fault::BadRequest, "invalid_json", "The body must be a JSON object.")),
        Err(error) => Err(Error::new(
            Fault::BadRequest,
            "invalid_json",
            format!("The body is not the JSON that this endpoint takes: {error}."),
        )),
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> DeserializeSeed<'de> for StrictVisitor {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated keys")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(StrictVisitor)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key \"{key}\" is given twice")));
            }
            let value = entries.next_value_seed(StrictVisitor)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Result<&str, &str>) {
        let got = parse_object(body.as_bytes());
        match (got, expected) {
            (Ok(map), Ok(text)) => assert_eq!(Value::Object(map).to_string(), text),
            (Err(error), Err(part)) => {
                assert!(error.message.contains(part), "{} lacks {part}", error.message);
            }
            (got, expected) => panic!("{body}: got {got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn repeated_keys_and_other_shapes_are_refused_with_their_place() {
        check(r#"{"a":1,"b":[1.5,null,"x"]}"#, Ok(r#"{"a":1,"b":[1.5,null,"x"]}"#));
        check(r#"{"b":1,"a":2}"#, Ok(r#"{"b":1,"a":2}"#));
        check(r#"{"a":1,"a":2}"#, Err("\"a\" is given twice at line 1 column 10"));
        check(r#"{"o":{"k":1,"k":1}}"#, Err("\"k\" is given twice"));
        check("[1]", Err("must be a JSON object"));
        check("{\"a\":\n 1,}", Err("line 2 column 4"));
        check("", Err("line 1 column 0"));
        check(&format!("{}{}", "[".repeat(400), "]".repeat(400)), Err("recursion limit"));
    }
}
