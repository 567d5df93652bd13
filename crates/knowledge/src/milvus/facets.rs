//! Attributes as tokens that can be compared for equality: a hash of key, kind and value.
//!
//! Milvus compares values inside JSON by rules of its own, and treats what is missing in its own way. A list of hashes has no such
//! corners. Whole and broken numbers are equal where their floating-point values are, as in an embedded index: a whole
//! number has one token for itself and one for that value.

use serde_json::{Map, Value};

use api::filter::Scalar;

/// Bytes of a token in hexadecimal digits.
pub(super) const FACET_BYTES: usize = 32;

/// The tokens of a document's attributes.
pub(super) fn held(attributes: &Map<String, Value>) -> Vec<String> {
    let scalars = attributes.iter().filter_map(|(key, value)| Some((key, Scalar::of(value)?)));
    scalars.flat_map(|(key, scalar)| tokens(key, &scalar, Place::Held)).collect()
}

/// The tokens of which a document has one if its `key` equals `value`.
pub(super) fn asked(key: &str, value: &Scalar) -> Vec<String> {
    tokens(key, value, Place::Asked)
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Held,
    Asked,
}

fn tokens(key: &str, value: &Scalar, place: Place) -> Vec<String> {
    let token = |kind: &str, value: &str| {
        let mut hasher = blake3::Hasher::new();
        for part in [key, kind, value] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().to_hex()[..FACET_BYTES].to_owned()
    };
    // Minus nought equals nought.
    let real = |kind, number: f64| token(kind, &(number + 0.0).to_bits().to_string());
    match (value, place) {
        (Scalar::Text(text), _) => vec![token("text", text)],
        (Scalar::Truth(truth), _) => vec![token("truth", &truth.to_string())],
        (Scalar::Whole(number), Place::Held) => {
            vec![token("whole", &number.to_string()), real("near", *number as f64)]
        }
        (Scalar::Whole(number), Place::Asked) => {
            vec![token("whole", &number.to_string()), real("real", *number as f64)]
        }
        (Scalar::Real(number), Place::Held) => vec![real("real", *number)],
        (Scalar::Real(number), Place::Asked) => vec![real("real", *number), real("near", *number)],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use api::filter::Filter;

    #[test]
    fn tokens_are_equal_where_values_are() {
        let values = [
            json!(0),
            json!(-0.0),
            json!(1),
            json!(1.0),
            json!(1.5),
            json!("1"),
            json!(""),
            json!(true),
            json!(false),
            json!(9_007_199_254_740_993_i64),
            json!(9_007_199_254_740_992.0),
            json!(u64::MAX),
        ];
        for held_value in &values {
            let attributes =
                Map::from_iter([("k".to_owned(), held_value.clone()), ("l".to_owned(), json!([1]))]);
            for asked_value in &values {
                let filter = json!({"type": "eq", "key": "k", "value": asked_value});
                let expected = Filter::parse(&filter, "f").unwrap().admits(&attributes);
                let held = held(&attributes);
                let asked = asked("k", &Scalar::of(asked_value).unwrap());
                assert_eq!(
                    asked.iter().any(|token| held.contains(token)),
                    expected,
                    "{held_value} {asked_value}"
                );
            }
        }
    }
}
