//! Texts into vectors: OpenAI's embeddings, from a client to a provider and back.
//!
//! Owns the reading of a request, what each dialect makes of it, the reading of the vectors and the answer to the client.
//! Refuses by name what a provider has no words for, and refuses vectors that are not one for each input, not of one
//! length or not of finite numbers: whoever compares them later could not tell.
//!
//! **Asked for in base64.** OpenAI's own clients ask for base64 unless they are told otherwise, so what calls itself
//! compatible takes it or passes over it; a number in JSON takes about twice as many bytes. Both forms are read. What a
//! client may ask of some servers, and that would change what the bytes mean (half precision, another order of bytes,
//! packed bits), is refused by name: a vector here is numbers of 32 bits.
//!
//! **Gemini** (`batchEmbedContents`) takes texts alone, a hundred at most. What only it has (`taskType`, `title`) comes
//! under the body's key `gemini` and goes with every text. Left out, because it changes no vector: `user`.

mod answer;
mod asked;

use api::{Error, Usage, Vector};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::fields::{take, take_count, take_text};
use crate::{Trouble, Wire, counted};

/// Inputs of one request; OpenAI's own limit.
const INPUTS_MAX: usize = 2_048;
/// Far above what any model has.
const DIMENSIONS_MAX: u32 = 65_536;

/// A checked embeddings request.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingsRequest {
    /// A model or an alias.
    pub model: String,
    /// What is to be turned into vectors: 1 to 2,048, none empty, all texts or all tokens.
    pub inputs: Vec<Input>,
    /// How many numbers each vector should have; `None` leaves it to the model.
    pub dimensions: Option<u32>,
    /// The client wants its vectors in base64: numbers of 32 bits, the lowest byte first.
    pub base64: bool,
    /// Whatever else came, in its order: `user`, `input_type`.
    pub extra: Map<String, Value>,
}

/// One thing to be turned into a vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A text.
    Text(String),
    /// The model's own tokens.
    Tokens(Vec<u32>),
}

/// Vectors as a provider gave them.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// One for each input, in their order, all of one length, of finite numbers.
    pub vectors: Vec<Vector>,
    /// What the provider counted.
    pub usage: Option<Usage>,
}

impl EmbeddingsRequest {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// A 400 naming the first field that is not what it should be and what is allowed.
    pub fn from_body(mut body: Map<String, Value>) -> Result<Self, Error> {
        let model = take_text(&mut body, "model")?;
        let inputs = match take(&mut body, "input") {
            Some(input) => inputs(input)?,
            None => return Err(Error::field("input", "`input` is missing.")),
        };
        let dimensions = take_count(&mut body, "dimensions", DIMENSIONS_MAX)?;
        let base64 = match take(&mut body, "encoding_format") {
            None => false,
            Some(Value::String(format)) if format == "float" => false,
            Some(Value::String(format)) if format == "base64" => true,
            Some(_) => {
                return Err(Error::field("encoding_format", "`encoding_format` must be float or base64."));
            }
        };
        refuse_other_numbers(&body)?;
        Ok(Self { model, inputs, dimensions, base64, extra: body })
    }
}

/// How some servers are asked for other numbers, and what stands for those that are given here.
const NUMBERS: [(&str, &str); 5] = [
    ("output_dtype", "float"),
    ("embed_dtype", "float32"),
    ("embedding_type", "float"),
    ("embedding_types", "float"),
    ("endianness", "little"),
];

fn refuse_other_numbers(body: &Map<String, Value>) -> Result<(), Error> {
    for (key, allowed) in NUMBERS {
        let same = |value: &Value| value.is_null() || value == allowed || *value == json!([allowed]);
        if body.get(key).is_some_and(|value| !same(value)) {
            let message =
                format!("`{key}` must be {allowed} or left out: vectors are given as numbers of 32 bits.");
            return Err(Error::field(key, message));
        }
    }
    Ok(())
}

const INPUT: &str = "`input` must be a non-empty string, an array of 1 to 2048 of them, an array of token ids, or an \
                     array of 1 to 2048 arrays of token ids.";

fn inputs(input: Value) -> Result<Vec<Input>, Error> {
    let list = match input {
        Value::String(text) if !text.is_empty() => return Ok(vec![Input::Text(text)]),
        Value::Array(list) if !list.is_empty() => list,
        _ => return Err(Error::field("input", INPUT)),
    };
    if list.first().is_some_and(Value::is_number) {
        return Ok(vec![Input::Tokens(tokens(&list, "input")?)]);
    }
    if list.len() > INPUTS_MAX {
        return Err(Error::field("input", INPUT));
    }
    let texts = list.first().is_some_and(Value::is_string);
    list.into_iter().enumerate().map(|(place, item)| one_input(place, item, texts)).collect()
}

fn one_input(place: usize, item: Value, texts: bool) -> Result<Input, Error> {
    let at = format!("input[{place}]");
    match item {
        Value::String(text) if texts && !text.is_empty() => Ok(Input::Text(text)),
        Value::Array(list) if !texts && !list.is_empty() => Ok(Input::Tokens(tokens(&list, &at)?)),
        _ if texts => Err(Error::field(at, "It must be a non-empty string, as the first one is.")),
        _ => Err(Error::field(at, INPUT)),
    }
}

fn tokens(list: &[Value], at: &str) -> Result<Vec<u32>, Error> {
    let token = |(place, value): (usize, &Value)| {
        let token = value.as_u64().and_then(|token| u32::try_from(token).ok());
        token.ok_or_else(|| {
            Error::field(format!("{at}[{place}]"), "A token must be a whole number from 0 to 4294967295.")
        })
    };
    list.iter().enumerate().map(token).collect()
}

impl Embedded {
    /// The same, if its vectors have the `dimensions` that were asked for.
    ///
    /// # Errors
    /// The server passed over them: its vectors fit nothing that the client has.
    pub fn of_length(self, dimensions: Option<u32>) -> Result<Self, Trouble> {
        let given = self.vectors.first().map_or(0, Vec::len);
        match dimensions {
            Some(wanted) if usize::try_from(wanted).ok() != Some(given) => {
                Err(Trouble::garbage(format!("vectors of {given} numbers where {wanted} were asked for")))
            }
            _ => Ok(self),
        }
    }

    /// The answer as OpenAI's clients read it, from `model`, with vectors in base64 or as arrays.
    pub fn body(&self, model: &str, base64: bool) -> Value {
        let data: Vec<Value> = self
            .vectors
            .iter()
            .enumerate()
            .map(|(index, vector)| {
                let embedding = if base64 { packed(vector) } else { vector.iter().map(number).collect() };
                json!({ "object": "embedding", "index": index, "embedding": embedding })
            })
            .collect();
        let mut body = json!({ "object": "list", "data": data, "model": model });
        if let Some(usage) = &self.usage {
            body["usage"] = counted::told(usage);
        }
        body
    }
}

fn packed(vector: &[f32]) -> Value {
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    Value::String(STANDARD.encode(bytes))
}

/// A number in its shortest form: 0.1, and not the 0.10000000149011612 that 32 bits make of it in 64.
fn number(value: &f32) -> Value {
    json!(value.to_string().parse::<f64>().unwrap_or_else(|_| f64::from(*value)))
}

impl Wire {
    /// The body of an embeddings request for the provider's model `model`.
    ///
    /// # Errors
    /// A 400 naming the first field that this dialect has no words for (`model` where it has no embeddings at all), with
    /// the code `unsupported_by_target`.
    pub fn embeddings_body(self, request: &EmbeddingsRequest, model: &str) -> Result<Bytes, Error> {
        match self {
            Self::Chat | Self::Azure | Self::Responses => asked::openai(request, model),
            Self::Gemini => asked::gemini(request, model),
            Self::Messages => Err(self.lacks("embeddings")),
        }
    }

    /// Reads the answer to a request of `count` inputs.
    ///
    /// # Errors
    /// It is an error, or not one vector for each input, all of one length and of finite numbers.
    pub fn embedded(self, body: &[u8], count: usize) -> Result<Embedded, Trouble> {
        match self {
            Self::Chat | Self::Azure | Self::Responses => answer::openai(body, count),
            Self::Gemini => answer::gemini(body, count),
            Self::Messages => Err(Trouble::garbage("this dialect has no embeddings")),
        }
    }
}
