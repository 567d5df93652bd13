//! Long arrays of 16-bit numbers in files: base64 of little-endian bytes, half as long as decimal numbers and quicker to
//! read.
//!
//! Owns the form, for serde's `with`. Refuses odd bytes. Arrays of plain numbers, as older files have them, are read too.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserializer, Serializer};

/// Writes the array as one string.
pub(crate) fn serialize<S: Serializer>(values: &[i16], serializer: S) -> Result<S::Ok, S::Error> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    serializer.serialize_str(&STANDARD.encode(bytes))
}

/// Reads a string, or an array of numbers.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<i16>, D::Error> {
    deserializer.deserialize_any(Shorts)
}

struct Shorts;

impl<'de> Visitor<'de> for Shorts {
    type Value = Vec<i16>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("16-bit numbers, as base64 of their bytes or as an array")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let bytes = STANDARD.decode(text).map_err(E::custom)?;
        let (pairs, rest) = bytes.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(E::invalid_length(bytes.len(), &"an even number of bytes"));
        }
        Ok(pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element()? {
            values.push(value);
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct File {
        #[serde(with = "super")]
        values: Vec<i16>,
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(values in prop::collection::vec(any::<i16>(), 0..50)) {
            let file = File { values };
            let text = serde_json::to_string(&file).unwrap();
            prop_assert_eq!(serde_json::from_str::<File>(&text).unwrap(), file);
        }
    }

    #[test]
    fn older_files_are_read_and_broken_ones_refused() {
        let read = |text: &str| serde_json::from_str::<File>(text);
        assert_eq!(read(r#"{"values":[1,-2]}"#).unwrap().values, [1, -2]);
        for (text, said) in [
            (r#"{"values":"AQ=="}"#, "even number of bytes"),
            (r#"{"values":"*"}"#, "Invalid"),
            (r#"{"values":[70000]}"#, "70000"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
