//! Where a call goes below a provider's base URL.

use api::Error;

use crate::Wire;

impl Wire {
    /// The path of a call to the provider's model `model`, with its query (but for Azure's `api-version`), relative to the
    /// base URL.
    pub fn path(self, model: &str, stream: bool) -> String {
        match self {
            Self::Chat => "/chat/completions".to_owned(),
            Self::Azure => format!("/openai/deployments/{}/chat/completions", path_segment(model)),
            Self::Messages => "/messages".to_owned(),
            Self::Responses => "/responses".to_owned(),
            Self::Gemini => {
                let model = path_segment(model.strip_prefix("models/").unwrap_or(model));
                let call = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
                format!("/models/{model}:{call}")
            }
        }
    }

    /// The path of an embeddings request, as for [`Wire::path`].
    ///
    /// # Errors
    /// A 400 with the code `unsupported_by_target` that names `model`: this dialect has none.
    pub fn embeddings_path(self, model: &str) -> Result<String, Error> {
        match self {
            Self::Chat | Self::Responses => Ok("/embeddings".to_owned()),
            Self::Azure => Ok(format!("/openai/deployments/{}/embeddings", path_segment(model))),
            Self::Gemini => {
                let model = path_segment(model.strip_prefix("models/").unwrap_or(model));
                Ok(format!("/models/{model}:batchEmbedContents"))
            }
            Self::Messages => Err(self.lacks("embeddings")),
        }
    }

    /// The path of a rerank request, as for [`Wire::path`].
    ///
    /// # Errors
    /// As for [`Wire::embeddings_path`].
    pub fn rerank_path(self) -> Result<String, Error> {
        self.ranks()?;
        Ok("/rerank".to_owned())
    }
}

/// `text` as one segment of a path: everything is percent-encoded but letters, digits and `-._~`.
pub fn path_segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                segment.push(char::from(byte));
            }
            _ => {
                segment.push('%');
                segment.extend(
                    [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])),
                );
            }
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wire: Wire, model: &str, stream: bool, expected: &str) {
        assert_eq!(wire.path(model, stream), expected);
    }

    #[test]
    fn vectors_and_ranks_have_paths_of_their_own() {
        let embeddings = |wire: Wire| wire.embeddings_path("models/a b").map_err(|error| error.param);
        let named = || Some("model".to_owned());
        assert_eq!(embeddings(Wire::Chat), Ok("/embeddings".to_owned()));
        assert_eq!(embeddings(Wire::Responses), Ok("/embeddings".to_owned()));
        assert_eq!(embeddings(Wire::Azure), Ok("/openai/deployments/models%2Fa%20b/embeddings".to_owned()));
        assert_eq!(embeddings(Wire::Gemini), Ok("/models/a%20b:batchEmbedContents".to_owned()));
        assert_eq!(embeddings(Wire::Messages), Err(named()));
        for (wire, expected) in [
            (Wire::Chat, Ok("/rerank".to_owned())),
            (Wire::Responses, Ok("/rerank".to_owned())),
            (Wire::Azure, Err(named())),
            (Wire::Gemini, Err(named())),
            (Wire::Messages, Err(named())),
        ] {
            assert_eq!(wire.rerank_path().map_err(|error| error.param), expected);
        }
    }

    #[test]
    fn a_path_names_the_model_where_the_dialect_wants_it() {
        check(Wire::Chat, "any/thing", true, "/chat/completions");
        check(Wire::Responses, "any", true, "/responses");
        check(Wire::Gemini, "gemini-2.5-pro", false, "/models/gemini-2.5-pro:generateContent");
        check(Wire::Gemini, "models/g", true, "/models/g:streamGenerateContent?alt=sse");
        check(Wire::Gemini, "a/../b?k=é", false, "/models/a%2F..%2Fb%3Fk%3D%C3%A9:generateContent");
    }
}
