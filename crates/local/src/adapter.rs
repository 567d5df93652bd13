//! Adapters on the loaded model: low-rank corrections for one task each, from GGUF files.
//!
//! Owns the checks that a file fits the base that it is laid on; refuses what does not with one sentence.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use api::Error;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::gguf::GgufContext;
use llama_cpp_2::model::{LlamaLoraAdapter, LlamaModel};

use crate::errors::adapter_unfit;
use crate::layout::{self, Layout};

/// A bigger file is no adapter for a model that runs inside the gateway.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// What an adapter's file tells about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// Names the file's content.
    pub fingerprint: String,
    /// The text around an input, with `{input}` where it goes: the file's own, or a plain one where it names none.
    pub layout: String,
    /// Examples that it was trained on, where it tells.
    pub examples: Option<u32>,
    /// Names the examples' content, where it tells.
    pub data: Option<String>,
    /// What its trainer measured on examples that it had kept aside, as JSON, where it tells.
    pub held_out: Option<String>,
}

/// Which adapter a question was put to: the name alone may be another one's by the time that it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) fingerprint: String,
}

/// An adapter on a model.
pub(crate) struct Fitted {
    pub(crate) adapter: Adapter,
    pub(crate) layout: Layout,
    /// llama.cpp's, which lives as long as the model. It is only read, but its binding asks for more.
    native: Mutex<LlamaLoraAdapter>,
}

impl Fitted {
    /// Reads the file at `path` onto `model`, whose file is named by `base`.
    pub(crate) fn load(model: &mut LlamaModel, base: &str, name: &str, path: &Path) -> Result<Self, Error> {
        let unfit = |why: &str| adapter_unfit(name, why, path);
        let unreadable = |error: std::io::Error| {
            let why = "its file cannot be read; correct its path or train it again";
            adapter_unfit(name, why, path).with_detail(format!("{}: {error}", path.display()))
        };
        let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(unfit("its file is over 1 GiB"));
        }
        let hash = blake3::hash(&std::fs::read(path).map_err(unreadable)?);
        let file = GgufContext::from_file(path)
            .ok_or_else(|| unfit("its file is not GGUF, or damaged; train or convert it again"))?;
        let kind = (text(&file, "general.type"), text(&file, "adapter.type"));
        if (kind.0.as_deref(), kind.1.as_deref()) != (Some("adapter"), Some("lora")) {
            return Err(unfit("its file is GGUF but not a low-rank adapter"));
        }
        // llama.cpp ends the process over a value of another type.
        if text(&file, "general.architecture").is_none() || !is_fraction(&file, "adapter.lora.alpha") {
            return Err(unfit("its `general.architecture` or its `adapter.lora.alpha` is missing"));
        }
        if text(&file, "pointsman.base").is_some_and(|made_for| made_for != base) {
            let why = "it was trained on another base model than the one that is loaded; train it again on this one";
            return Err(unfit(why));
        }
        let told = text(&file, "pointsman.prompt").unwrap_or_else(|| layout::DEFAULT.to_owned());
        let layout = Layout::new(&told)
            .ok_or_else(|| unfit("its `pointsman.prompt` must have {input} in it exactly once"))?;
        let adapter = Adapter {
            fingerprint: format!("lora-{}", &hash.to_hex()[..32]),
            layout: told,
            examples: count(&file, "pointsman.examples"),
            data: text(&file, "pointsman.data"),
            held_out: text(&file, "pointsman.held_out"),
        };
        let native = model.lora_adapter_init(path).map_err(|error| {
            let why = "llama.cpp does not lay it on this model: its architecture or its shapes are not the model's, or \
                       the file is damaged";
            unfit(why).with_detail(format!("{}: {error}", path.display()))
        })?;
        Ok(Self { adapter, layout, native: Mutex::new(native) })
    }

    /// Lays it on a context, in place of any other.
    pub(crate) fn attach(&self, context: &mut LlamaContext<'_>) -> Result<(), Error> {
        let mut native = self.native.lock().unwrap_or_else(PoisonError::into_inner);
        context.lora_adapter_set(&mut native, 1.0).map_err(Error::internal)
    }

    /// Takes whatever lies on a context off it.
    pub(crate) fn detach(&self, context: &mut LlamaContext<'_>) -> Result<(), Error> {
        let mut native = self.native.lock().unwrap_or_else(PoisonError::into_inner);
        context.lora_adapter_remove(&mut native).map_err(Error::internal)
    }
}

/// A text of the file's header. The type is looked at first: llama.cpp ends the process over a wrong one.
fn text(file: &GgufContext, key: &str) -> Option<String> {
    /// GGUF's number for texts.
    const TEXT: u32 = 8;
    let place = file.find_key(key);
    let is_text = place >= 0 && file.kv_type(place) == TEXT;
    if is_text { file.val_str(place).map(str::to_owned) } else { None }
}

/// Whether a value of the file's header is a 32-bit float.
fn is_fraction(file: &GgufContext, key: &str) -> bool {
    /// GGUF's number for them.
    const F32: u32 = 6;
    let place = file.find_key(key);
    place >= 0 && file.kv_type(place) == F32
}

/// A whole number of the file's header.
fn count(file: &GgufContext, key: &str) -> Option<u32> {
    /// GGUF's number for unsigned numbers of 32 bits.
    const U32: u32 = 4;
    let place = file.find_key(key);
    (place >= 0 && file.kv_type(place) == U32).then(|| file.val_u32(place))
}
