//! A low-rank adapter: what is trained, and the file that it becomes.
//!
//! Owns the order of the adapted places, their names in GGUF, and the keys by which the gateway checks an adapter before it
//! serves it.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor, Var};

use crate::base::Base;
use crate::dice::Dice;
use crate::error::Error;

/// The maps of a layer that are adapted: all that multiply.
pub(crate) const PLACES: [&str; 7] =
    ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];

/// A correction of one map.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    /// `[rank, in]`.
    pub(crate) a: Tensor,
    /// `[out, rank]`.
    pub(crate) b: Tensor,
}

/// The corrections of the uppermost layers.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// The lowest adapted layer.
    pub(crate) first: usize,
    /// From `first` upwards, in the order of [`PLACES`].
    pub(crate) layers: Vec<[Pair; 7]>,
    /// What is trained: the numbers of `layers`, pair by pair.
    pub(crate) variables: Vec<Var>,
    rank: usize,
}

/// What an adapter's file tells about its making.
#[derive(Clone, Debug, PartialEq)]
pub struct Passport {
    /// The base's fingerprint.
    pub base: String,
    /// The layout, with `{input}`.
    pub prompt: String,
    /// Names the examples' content.
    pub data: String,
    /// Examples that it was trained on.
    pub examples: u32,
    /// What it was measured on, as JSON.
    pub held_out: String,
    /// The seed of the training.
    pub seed: u64,
}

impl Adapter {
    /// An adapter that changes nothing yet: `A` uniform within one over the root of its width, as is usual, `B` zero.
    pub(crate) fn new(base: &Base, rank: usize, layers: usize, dice: &mut Dice) -> Result<Self, Error> {
        let first = base.layers.len().saturating_sub(layers);
        let mut variables = Vec::new();
        let mut pair = |weight: &Tensor| -> Result<Pair, Error> {
            let (out, width) = weight.dims2()?;
            let bound = (width as f32).sqrt().recip();
            let numbers = (0..rank * width).map(|_| (dice.uniform() * 2.0 - 1.0) * bound).collect();
            let a = Tensor::from_vec::<_, f32>(numbers, (rank, width), &Device::Cpu)?;
            let b = Tensor::zeros((out, rank), DType::F32, &Device::Cpu)?;
            let (a, b) = (Var::from_tensor(&a)?, Var::from_tensor(&b)?);
            let pair = Pair { a: a.as_tensor().clone(), b: b.as_tensor().clone() };
            variables.extend([a, b]);
            Ok(pair)
        };
        let mut adapted = Vec::new();
        for layer in &base.layers[first..] {
            let [q, k, v, o, gate, up, down] = &layer.weights;
            adapted.push([pair(q)?, pair(k)?, pair(v)?, pair(o)?, pair(gate)?, pair(up)?, pair(down)?]);
        }
        Ok(Self { first, layers: adapted, variables, rank })
    }

    /// What the corrections are multiplied with: 2, whatever the rank.
    pub(crate) fn scale(&self) -> f32 {
        2.0
    }

    /// The same numbers, but nothing is trained: running it keeps nothing for a gradient.
    pub(crate) fn frozen(&self) -> Self {
        let still = |pair: &Pair| Pair { a: pair.a.detach(), b: pair.b.detach() };
        let layers = self.layers.iter().map(|pairs| pairs.each_ref().map(still)).collect();
        Self { first: self.first, layers, variables: Vec::new(), rank: self.rank }
    }

    /// Copies of all numbers, to return to.
    pub(crate) fn snapshot(&self) -> Result<Vec<Tensor>, Error> {
        self.variables.iter().map(|variable| Ok(variable.as_detached_tensor().copy()?)).collect()
    }

    /// Returns to a snapshot of this adapter.
    pub(crate) fn restore(&self, snapshot: &[Tensor]) -> Result<(), Error> {
        self.variables.iter().zip(snapshot).try_for_each(|(variable, numbers)| Ok(variable.set(numbers)?))
    }

    /// Writes a GGUF file that llama.cpp reads into a place made before the training.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub fn write(&self, place: Place, passport: &Passport) -> Result<(), Error> {
        let Place { file, path, folder } = place;
        let unwritable = |error: &dyn std::fmt::Display| unwritable(&path, error);
        let mut writer = BufWriter::new(file);
        self.encode(&mut writer, passport)?;
        writer.flush().map_err(|error| unwritable(&error))?;
        let file = writer.into_inner().map_err(|error| unwritable(&error))?;
        file.as_file().sync_all().map_err(|error| unwritable(&error))?;
        readable(file.as_file()).map_err(|error| unwritable(&error))?;
        file.persist(&path).map_err(|error| unwritable(&error))?;
        std::fs::File::open(&folder).and_then(|folder| folder.sync_all()).map_err(|error| unwritable(&error))
    }

    fn encode(&self, writer: &mut (impl Write + std::io::Seek), passport: &Passport) -> Result<(), Error> {
        let text = |text: &str| Value::String(text.to_owned());
        let metadata = [
            ("general.type", text("adapter")),
            ("general.architecture", text("llama")),
            ("general.name", text("pointsman adapter")),
            ("adapter.type", text("lora")),
            ("adapter.lora.alpha", Value::F32(self.scale() * self.rank as f32)),
            ("pointsman.format", Value::U32(1)),
            ("pointsman.base", text(&passport.base)),
            ("pointsman.prompt", text(&passport.prompt)),
            ("pointsman.data", text(&passport.data)),
            ("pointsman.examples", Value::U32(passport.examples)),
            ("pointsman.held_out", text(&passport.held_out)),
            ("pointsman.seed", Value::U64(passport.seed)),
        ];
        let mut tensors = Vec::new();
        for (number, layer) in (self.first..).zip(&self.layers) {
            for (pair, place) in layer.iter().zip(PLACES) {
                for (numbers, part) in [(&pair.a, "lora_a"), (&pair.b, "lora_b")] {
                    let stored = QTensor::quantize(&numbers.detach(), GgmlDType::F32)?;
                    tensors.push((format!("blk.{number}.{place}.weight.{part}"), stored));
                }
            }
        }
        let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (*key, value)).collect();
        let tensors: Vec<(&str, &QTensor)> =
            tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        Ok(gguf_file::write(writer, &metadata, &tensors)?)
    }
}

/// Where an adapter will be: a file beside it, which takes its name once it is whole. So there is never half a file of that
/// name, whenever the process ends, and a folder that cannot be written is told before the training.
#[derive(Debug)]
pub struct Place {
    file: tempfile::NamedTempFile,
    path: PathBuf,
    folder: PathBuf,
}

impl Place {
    /// Makes the place for a file at `path`.
    ///
    /// # Errors
    /// Its folder is missing or cannot be written.
    pub fn at(path: &Path) -> Result<Self, Error> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file =
            tempfile::NamedTempFile::new_in(folder).map_err(|error| unwritable(path, &error.kind()))?;
        Ok(Self { file, path: path.to_owned(), folder: folder.to_owned() })
    }
}

fn unwritable(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Input(format!("{} cannot be written: {error}", path.display()))
}

/// A temporary file is its owner's alone; the gateway may be another user.
fn readable(file: &std::fs::File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    let _ = file;
    Ok(())
}
