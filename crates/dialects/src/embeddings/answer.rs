//! Vectors as providers give them.
//!
//! Owns the check that there is one for each input. Refuses numbers that 32 bits do not hold.

use std::fmt;

use api::{Usage, Vector};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Embedded;
use crate::{Trouble, counted};

/// Some servers leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// OpenAI's list.
pub(super) fn openai(body: &[u8], count: usize) -> Result<Embedded, Trouble> {
    #[derive(Deserialize)]
    struct List {
        #[serde(default)]
        data: Vec<Item>,
        usage: Option<Value>,
        error: Option<Value>,
    }
    #[derive(Deserialize)]
    struct Item {
        index: usize,
        embedding: Numbers,
    }
    let list: List = serde_json::from_slice(body).map_err(|problem| counted::no_answer(body, &problem))?;
    if let Some(error) = list.error {
        return Err(Trouble::InBand(error));
    }
    let mut vectors: Vec<Option<Vector>> = vec![None; count];
    for Item { index, embedding } in list.data {
        let place = vectors.get_mut(index);
        let place = place.ok_or_else(|| Trouble::garbage(format!("a vector {index} of {count}")))?;
        if place.replace(embedding.0).is_some() {
            return Err(Trouble::garbage(format!("the vector {index} twice")));
        }
    }
    let given = vectors.iter().flatten().count();
    let vectors: Option<Vec<Vector>> = vectors.into_iter().collect();
    let vectors = vectors.ok_or_else(|| Trouble::garbage(format!("{given} vectors of {count}")))?;
    even(vectors, counted::usage(list.usage.as_ref()))
}

/// Gemini's list, which is in the order of what was asked.
pub(super) fn gemini(body: &[u8], count: usize) -> Result<Embedded, Trouble> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Batch {
        #[serde(default)]
        embeddings: Vec<Values>,
        #[serde(default)]
        usage_metadata: Value,
        error: Option<Value>,
    }
    #[derive(Deserialize)]
    struct Values {
        values: Numbers,
    }
    let batch: Batch = serde_json::from_slice(body).map_err(|problem| counted::no_answer(body, &problem))?;
    if let Some(error) = batch.error {
        return Err(Trouble::InBand(error));
    }
    let given = batch.embeddings.len();
    if given != count {
        return Err(Trouble::garbage(format!("{given} vectors of {count}")));
    }
    let usage = batch.usage_metadata.get("promptTokenCount").and_then(Value::as_u64);
    let vectors = batch.embeddings.into_iter().map(|one| one.values.0).collect();
    even(vectors, usage.map(|tokens| Usage::exact(tokens, 0)))
}

/// The vectors, if all of them have one length.
fn even(vectors: Vec<Vector>, usage: Option<Usage>) -> Result<Embedded, Trouble> {
    let length = vectors.first().map_or(0, Vec::len);
    if length == 0 || vectors.iter().any(|vector| vector.len() != length) {
        return Err(Trouble::garbage("vectors of no length or of different lengths"));
    }
    Ok(Embedded { vectors, usage })
}

/// The numbers of one vector, written as an array or in base64.
struct Numbers(Vector);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumbersVisitor).map(Self)
    }
}

struct NumbersVisitor;

impl<'de> Visitor<'de> for NumbersVisitor {
    type Value = Vector;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vector: an array of numbers, or base64 of numbers of 32 bits")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vector, A::Error> {
        let mut vector = Vector::new();
        while let Some(number) = items.next_element::<f64>()? {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a number too large becomes infinite and is refused"
            )]
            let number = number as f32;
            vector.push(finite(number)?);
        }
        Ok(vector)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vector, E> {
        let bytes = BASE64.decode(text).map_err(|_| E::custom("a vector that is not base64"))?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(E::custom("a vector that ends inside a number"));
        }
        numbers.iter().map(|number| finite(f32::from_le_bytes(*number))).collect()
    }
}

fn finite<E: serde::de::Error>(number: f32) -> Result<f32, E> {
    if number.is_finite() { Ok(number) } else { Err(E::custom("a number that is not finite")) }
}
