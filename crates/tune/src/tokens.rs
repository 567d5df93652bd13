//! Text to token ids, as llama.cpp does it for the same file.
//!
//! Owns the byte-level BPE tokenizers whose splitting rules are known to agree; refuses others by name, because an adapter
//! trained on other tokens than it is served with learns nothing. Control tokens in a text are only letters.

use candle_core::quantized::gguf_file::{Content, Value};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{PreTokenizerWrapper, Tokenizer};

use crate::error::Error;
use crate::metadata::{self, text};

/// The tokenizer of a GGUF file.
pub struct Tokens {
    tokenizer: Tokenizer,
    first: Option<u32>,
}

impl Tokens {
    /// Builds it from the file's vocabulary and merges.
    pub(crate) fn of(content: &Content) -> Result<Self, Error> {
        let kind = text(content, "tokenizer.ggml.model")?;
        if kind != "gpt2" {
            let said =
                format!("the base's tokenizer is `{kind}`; only byte-level BPE (`gpt2`) can be trained on");
            return Err(Error::Input(said));
        }
        let vocabulary: Vocab = strings(content, "tokenizer.ggml.tokens")?
            .into_iter()
            .zip(0_u32..)
            .map(|(token, id)| (token.clone(), id))
            .collect();
        let pair = |merge: &String| {
            let (left, right) = merge.split_once(' ')?;
            Some((left.to_owned(), right.to_owned()))
        };
        let merges = strings(content, "tokenizer.ggml.merges")?.into_iter().map(pair);
        let merges: Vec<(String, String)> = merges
            .collect::<Option<_>>()
            .ok_or_else(|| Error::Input("the base's `tokenizer.ggml.merges` holds no pairs".to_owned()))?;
        let unusable =
            |error| Error::Input(format!("the base's vocabulary does not make a tokenizer: {error}"));
        let model = BPE::builder().vocab_and_merges(vocabulary, merges).build().map_err(unusable)?;
        let mut tokenizer = Tokenizer::new(model);
        tokenizer.with_pre_tokenizer(Some(splitting(text(content, "tokenizer.ggml.pre")?)?));
        let wants_first =
            matches!(content.metadata.get("tokenizer.ggml.add_bos_token"), Some(Value::Bool(true)));
        let first =
            if wants_first { Some(metadata::whole(content, "tokenizer.ggml.bos_token_id")?) } else { None };
        Ok(Self { tokenizer, first })
    }

    /// The ids of a text, without the token that the model may want before it.
    ///
    /// # Errors
    /// The tokenizer fails, which it does on no text that is known.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoding = self.tokenizer.encode_fast(text, false);
        let encoding = encoding.map_err(|error| Error::Failed(format!("the tokenizer failed: {error}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The ids of a prompt: after the token that the model wants before a text, if any.
    ///
    /// # Errors
    /// As [`Tokens::ids`].
    pub fn prompt(&self, text: &str) -> Result<Vec<u32>, Error> {
        let mut ids: Vec<u32> = self.first.into_iter().collect();
        ids.extend(self.ids(text)?);
        Ok(ids)
    }
}

/// How a text is cut before the merges, by llama.cpp's name for it.
fn splitting(name: &str) -> Result<PreTokenizerWrapper, Error> {
    // No space before the first word, and GPT-2's pattern.
    let words = ByteLevel::new(false, true, true);
    match name {
        "gpt-2" => Ok(words.into()),
        "smollm" => Ok(Sequence::new(vec![Digits::new(true).into(), words.into()]).into()),
        other => {
            let said =
                format!("the base's text splitting is `{other}`; `smollm` and `gpt-2` can be trained on");
            Err(Error::Input(said))
        }
    }
}

fn strings<'a>(content: &'a Content, key: &str) -> Result<Vec<&'a String>, Error> {
    let missing = || Error::Input(format!("the base has no `{key}`, a list of texts"));
    let values = content.metadata.get(key).and_then(|value| value.to_vec().ok()).ok_or_else(missing)?;
    values.iter().map(|value| value.to_string().map_err(|_| missing())).collect()
}
