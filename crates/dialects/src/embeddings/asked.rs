//! An embeddings request as providers read it.

use api::Error;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{EmbeddingsRequest, Input};
use crate::fields::Others;
use crate::foreign::{foreign, is_reserved, unsupported};

/// Requests in one of Gemini's batches; its own limit.
const GEMINI_INPUTS_MAX: usize = 100;

/// OpenAI's, with what nobody here knows passed on.
pub(super) fn openai(request: &EmbeddingsRequest, model: &str) -> Result<Bytes, Error> {
    foreign(&request.extra, "")?;
    let inputs = Inputs(&request.inputs);
    let extra = Others(&request.extra);
    written(&OpenAi {
        model,
        input: inputs,
        dimensions: request.dimensions,
        encoding_format: "base64",
        extra,
    })
}

#[derive(Serialize)]
struct OpenAi<'a> {
    model: &'a str,
    input: Inputs<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
    encoding_format: &'static str,
    #[serde(flatten)]
    extra: Others<'a>,
}

struct Inputs<'a>(&'a [Input]);

impl Serialize for Inputs<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0)
    }
}

impl Serialize for Input {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Tokens(tokens) => serializer.collect_seq(tokens),
        }
    }
}

/// Gemini's, a request for each text.
pub(super) fn gemini(request: &EmbeddingsRequest, model: &str) -> Result<Bytes, Error> {
    foreign(&request.extra, "gemini")?;
    let unknown = request.extra.iter().find(|(key, value)| {
        !value.is_null()
            && !is_reserved(key)
            && *key != "user"
            && !super::NUMBERS.iter().any(|(k, _)| k == key)
    });
    if let Some((key, _)) = unknown {
        let message = format!(
            "Gemini has no `{key}` for embeddings. Leave it out; its own fields (taskType, title) come under `gemini`."
        );
        return Err(unsupported(key, message));
    }
    if request.inputs.len() > GEMINI_INPUTS_MAX {
        let message = format!("Gemini takes at most {GEMINI_INPUTS_MAX} inputs at once; send fewer.");
        return Err(unsupported("input", message));
    }
    let none = Map::new();
    let own = match request.extra.get("gemini") {
        None | Some(Value::Null) => &none,
        Some(Value::Object(own)) => own,
        Some(_) => return Err(Error::field("gemini", "`gemini` must be an object.")),
    };
    if let Some(key) = ["model", "content", "outputDimensionality"].iter().find(|key| own.contains_key(**key))
    {
        let message = format!("`gemini.{key}` is said by `model`, `input` and `dimensions` already.");
        return Err(Error::field(format!("gemini.{key}"), message));
    }
    let model = format!("models/{}", model.strip_prefix("models/").unwrap_or(model));
    let requests: Result<Vec<GeminiText<'_>>, Error> = request
        .inputs
        .iter()
        .enumerate()
        .map(|(place, input)| match input {
            Input::Text(text) => Ok(GeminiText {
                model: &model,
                content: GeminiContent { parts: [GeminiPart { text }] },
                output_dimensionality: request.dimensions,
                own,
            }),
            Input::Tokens(_) => {
                let message = "Gemini takes texts: tokens of another model mean nothing to it.";
                Err(unsupported(format!("input[{place}]"), message))
            }
        })
        .collect();
    written(&GeminiBatch { requests: requests? })
}

#[derive(Serialize)]
struct GeminiBatch<'a> {
    requests: Vec<GeminiText<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GeminiText<'a> {
    model: &'a str,
    content: GeminiContent<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u32>,
    #[serde(flatten)]
    own: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct GeminiContent<'a> {
    parts: [GeminiPart<'a>; 1],
}

#[derive(Serialize)]
struct GeminiPart<'a> {
    text: &'a str,
}

fn written(body: &impl Serialize) -> Result<Bytes, Error> {
    serde_json::to_vec(body).map(Bytes::from).map_err(Error::internal)
}
