//! The frozen model: a GGUF file of the Llama architecture, its weights as 32-bit floats.
//!
//! Refuses whatever the forward pass here would silently do differently from llama.cpp (other architectures, scaled
//! positions, tensors it does not know), naming it.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::gguf_file::Content;
use candle_core::{Device, Tensor};

use crate::error::{Error, sentence};
use crate::metadata::{maybe_whole, number, text, whole};
use crate::tokens::Tokens;

/// The sizes of a model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sizes {
    /// Layers.
    pub(crate) layers: usize,
    /// Numbers of one token's state.
    pub(crate) width: usize,
    /// Query heads.
    pub(crate) heads: usize,
    /// Key and value heads, each shared by `heads / key_heads` query heads.
    pub(crate) key_heads: usize,
    /// Numbers of one head.
    pub(crate) head_width: usize,
    /// Tokens that the model was trained for.
    pub(crate) context: usize,
    /// Added to the mean square before its root.
    pub(crate) epsilon: f32,
    /// The base of the positions' wavelengths.
    pub(crate) wavelength_base: f32,
}

/// One layer's weights, each `[out, in]`; the norms `[width]`.
pub(crate) struct Layer {
    /// Before attention.
    pub(crate) attention_norm: Arc<Vec<f32>>,
    /// In the order of [`crate::adapter::PLACES`].
    pub(crate) weights: [Tensor; 7],
    /// Before the feed-forward part.
    pub(crate) forward_norm: Arc<Vec<f32>>,
}

/// A model in memory.
pub struct Base {
    /// The file's own name for itself, empty where it has none.
    pub name: String,
    /// Names the file's content, in the same way as the gateway's in-process model does.
    pub fingerprint: String,
    /// Its tokenizer.
    pub tokens: Tokens,
    pub(crate) sizes: Sizes,
    /// `[vocabulary, width]`.
    pub(crate) embedding: Tensor,
    pub(crate) layers: Vec<Layer>,
    /// Before the scores.
    pub(crate) norm: Arc<Vec<f32>>,
    /// Scores of the next token, `[vocabulary, width]`.
    pub(crate) head: Tensor,
}

impl Base {
    /// Reads a GGUF file. Takes four bytes of memory per weight.
    ///
    /// # Errors
    /// The file is missing, damaged or of a kind that cannot be trained on.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let unreadable = |error: std::io::Error| {
            Error::Input(format!("the base {} cannot be read: {error}", path.display()))
        };
        let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
        let damaged = |error: candle_core::Error| {
            let why = sentence(&error);
            Error::Input(format!("the base {} is not a GGUF file that can be read: {why}", path.display()))
        };
        let fingerprint = fingerprint(file.get_mut()).map_err(unreadable)?;
        file.rewind().map_err(unreadable)?;
        let content = Content::read(&mut file).map_err(damaged)?;
        let sizes = sizes(&content)?;
        check_tensors(&content, &sizes)?;
        let tokens = Tokens::of(&content)?;
        let mut tensor = |name: &str| -> Result<Tensor, Error> {
            let stored = content.tensor(&mut file, name, &Device::Cpu).map_err(damaged)?;
            stored.dequantize(&Device::Cpu).map_err(damaged)
        };
        let embedding = tensor("token_embd.weight")?;
        let head = if content.tensor_infos.contains_key("output.weight") {
            tensor("output.weight")?
        } else {
            embedding.clone()
        };
        let layers =
            (0..sizes.layers).map(|number| layer(&mut tensor, number)).collect::<Result<Vec<_>, _>>()?;
        let norm = Arc::new(tensor("output_norm.weight")?.flatten_all()?.to_vec1()?);
        let name = text(&content, "general.name").unwrap_or_default().to_owned();
        let base = Self { name, fingerprint, tokens, sizes, embedding, layers, norm, head };
        base.check_shapes()?;
        Ok(base)
    }

    fn check_shapes(&self) -> Result<(), Error> {
        let Sizes { width, heads, key_heads, head_width, .. } = self.sizes;
        let wrong = |name: String| Error::Input(format!("the base's `{name}` has a shape that does not fit"));
        let narrow = key_heads * head_width;
        for (number, layer) in self.layers.iter().enumerate() {
            let inner = layer.weights[4].dims().first().copied().unwrap_or_default();
            let shapes = [
                [heads * head_width, width],
                [narrow, width],
                [narrow, width],
                [width, heads * head_width],
                [inner, width],
                [inner, width],
                [width, inner],
            ];
            for ((weight, shape), place) in layer.weights.iter().zip(shapes).zip(crate::adapter::PLACES) {
                if weight.dims() != shape {
                    return Err(wrong(format!("blk.{number}.{place}.weight")));
                }
            }
            if layer.attention_norm.len() != width || layer.forward_norm.len() != width {
                return Err(wrong(format!("blk.{number}.attn_norm.weight` or its `ffn_norm.weight")));
            }
        }
        let rows = self.embedding.dims().first().copied().unwrap_or_default();
        if self.embedding.dims() != [rows, width] || self.head.dims() != [rows, width] {
            return Err(wrong("token_embd.weight` or its `output.weight".to_owned()));
        }
        if self.norm.len() != width { Err(wrong("output_norm.weight".to_owned())) } else { Ok(()) }
    }
}

fn layer(tensor: &mut impl FnMut(&str) -> Result<Tensor, Error>, number: usize) -> Result<Layer, Error> {
    let mut named = |name: &str| tensor(&format!("blk.{number}.{name}.weight"));
    let [q, k, v, o, gate, up, down] = crate::adapter::PLACES;
    Ok(Layer {
        attention_norm: Arc::new(named("attn_norm")?.flatten_all()?.to_vec1()?),
        weights: [named(q)?, named(k)?, named(v)?, named(o)?, named(gate)?, named(up)?, named(down)?],
        forward_norm: Arc::new(named("ffn_norm")?.flatten_all()?.to_vec1()?),
    })
}

fn sizes(content: &Content) -> Result<Sizes, Error> {
    let architecture = text(content, "general.architecture")?;
    if architecture != "llama" {
        let said = format!("the base's architecture is `{architecture}`; only `llama` can be trained here");
        return Err(Error::Input(said));
    }
    let positive = |key: &str| -> Result<usize, Error> {
        let value = whole(content, key)? as usize;
        if value == 0 { Err(Error::Input(format!("the base's `{key}` is 0"))) } else { Ok(value) }
    };
    let heads = positive("llama.attention.head_count")?;
    let width = positive("llama.embedding_length")?;
    let key_heads = match maybe_whole(content, "llama.attention.head_count_kv")? {
        Some(0) | None => heads,
        Some(count) => count as usize,
    };
    let head_width = width / heads;
    let sizes = Sizes {
        layers: positive("llama.block_count")?,
        width,
        heads,
        key_heads,
        head_width,
        context: positive("llama.context_length")?,
        epsilon: number(content, "llama.attention.layer_norm_rms_epsilon")?,
        wavelength_base: number(content, "llama.rope.freq_base").unwrap_or(10_000.0),
    };
    let turned =
        maybe_whole(content, "llama.rope.dimension_count")?.map_or(head_width, |count| count as usize);
    if head_width * heads != width || heads % key_heads != 0 || head_width % 2 != 0 || turned != head_width {
        return Err(Error::Input("the base's heads do not divide its width as Llama's do".to_owned()));
    }
    Ok(sizes)
}

/// Every tensor and setting must be one that the forward pass heeds.
fn check_tensors(content: &Content, sizes: &Sizes) -> Result<(), Error> {
    for key in ["llama.rope.scaling.type", "llama.expert_count", "llama.attention.key_length"] {
        let harmless = match key {
            "llama.attention.key_length" => {
                maybe_whole(content, key)?.is_none_or(|value| value as usize == sizes.head_width)
            }
            "llama.expert_count" => maybe_whole(content, key)?.is_none_or(|value| value == 0),
            _ => text(content, key).is_err() || text(content, key) == Ok("none"),
        };
        if !harmless {
            return Err(Error::Input(format!("the base sets `{key}`, which cannot be trained with here")));
        }
    }
    let known = |name: &str| {
        let part = match name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) {
            Some((_, part)) => part,
            None => return ["token_embd.weight", "output.weight", "output_norm.weight"].contains(&name),
        };
        part.strip_suffix(".weight").is_some_and(|place| {
            crate::adapter::PLACES.contains(&place) || ["attn_norm", "ffn_norm"].contains(&place)
        })
    };
    let mut unknown: Vec<&String> = content.tensor_infos.keys().filter(|name| !known(name)).collect();
    unknown.sort();
    match unknown.first() {
        None => Ok(()),
        Some(name) => Err(Error::Input(format!("the base has a tensor `{name}` that is not known here"))),
    }
}

/// Names the content of a GGUF file, in the gateway's way, which checks an adapter's base by it: a hash of the file's size,
/// its first 4 MiB and 16 samples of 64 KiB.
pub fn fingerprint(file: &mut (impl Read + Seek)) -> std::io::Result<String> {
    const HEAD: u64 = 4 << 20;
    const SAMPLE: u64 = 64 << 10;
    const SAMPLES: u64 = 16;
    let size = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut part = Vec::new();
    file.by_ref().take(HEAD).read_to_end(&mut part)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&size.to_le_bytes()).update(&part);
    for number in 1..=SAMPLES {
        file.seek(SeekFrom::Start((size / SAMPLES * number).saturating_sub(SAMPLE)))?;
        part.clear();
        file.by_ref().take(SAMPLE).read_to_end(&mut part)?;
        hasher.update(&part);
    }
    Ok(format!("gguf-{}", &hasher.finalize().to_hex()[..32]))
}
