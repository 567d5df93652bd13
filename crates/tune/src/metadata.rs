//! Values out of a GGUF file's header, or one sentence about what is missing.

use candle_core::quantized::gguf_file::{Content, Value};

use crate::error::Error;

/// A text.
pub(crate) fn text<'a>(content: &'a Content, key: &str) -> Result<&'a str, Error> {
    let found = content.metadata.get(key).and_then(|value| value.to_string().ok());
    found.map(String::as_str).ok_or_else(|| Error::Input(format!("the base has no `{key}`, a text")))
}

/// A whole number, where the key is there.
pub(crate) fn maybe_whole(content: &Content, key: &str) -> Result<Option<u32>, Error> {
    let Some(value) = content.metadata.get(key) else { return Ok(None) };
    let number = match value {
        Value::I32(number) => u32::try_from(*number).ok(),
        Value::I64(number) => u32::try_from(*number).ok(),
        other => other.to_u64().ok().and_then(|number| u32::try_from(number).ok()),
    };
    let wrong = || Error::Input(format!("the base's `{key}` is not a whole number"));
    number.map(Some).ok_or_else(wrong)
}

/// A whole number.
pub(crate) fn whole(content: &Content, key: &str) -> Result<u32, Error> {
    let missing = || Error::Input(format!("the base has no `{key}`, a whole number"));
    maybe_whole(content, key)?.ok_or_else(missing)
}

/// A number.
pub(crate) fn number(content: &Content, key: &str) -> Result<f32, Error> {
    let found = content.metadata.get(key).and_then(|value| value.to_f32().ok());
    found
        .filter(|number| number.is_finite())
        .ok_or_else(|| Error::Input(format!("the base has no `{key}`, a number")))
}
