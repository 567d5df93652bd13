//! The loaded file: weights, vocabulary, chat template, and what names them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use api::{Error, Fault};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;

use crate::adapter::Fitted;
use crate::errors::not_loaded;
use crate::options::Options;
use crate::template::{Segment, Template};

/// A model in memory, shared by its contexts.
pub(crate) struct Weights {
    /// llama.cpp's model.
    pub(crate) model: LlamaModel,
    /// The file's own name for itself.
    pub(crate) name: String,
    /// Tokens of one context: what was asked for, within what the model was trained for.
    pub(crate) context_tokens: u32,
    /// Names the file's content.
    pub(crate) fingerprint: String,
    /// By name.
    pub(crate) adapters: BTreeMap<String, Fitted>,
    template: Result<Template, String>,
}

impl Weights {
    /// Loads the file of `options`, and adapters on it. These cannot change afterwards: llama.cpp takes new ones only while
    /// nobody uses the model, so another set of them is another `Weights`.
    pub(crate) fn load(options: &Options, adapters: &BTreeMap<String, PathBuf>) -> Result<Self, Error> {
        let path = &options.path;
        check_processor(path)?;
        let fingerprint = fingerprint(path)?;
        let backend = backend(path)?;
        let mut model = LlamaModel::load_from_file(backend, path, &LlamaModelParams::default()).map_err(|error| {
            let what = "llama.cpp cannot read the in-process model's file: it is damaged, or of a kind that came later \
                        than this build; set RUST_LOG=llama-cpp-2=debug to see its reasons.";
            let mut failure = not_loaded(what, path);
            failure.detail = Some(format!("{}: {error}", path.display()));
            failure
        })?;
        let context_tokens = options.context_tokens.min(model.n_ctx_train()).max(1);
        check_memory(&model, options, context_tokens)?;
        let name = model.meta_val_str("general.name").unwrap_or_default();
        let template = template(&model);
        if let Err(why) = &template {
            tracing::warn!(model = %name, %why, "the model can complete text but not chat");
        }
        let mut fitted = BTreeMap::new();
        for (name, path) in adapters {
            fitted.insert(name.clone(), Fitted::load(&mut model, &fingerprint, name, path)?);
        }
        Ok(Self { model, name, context_tokens, fingerprint, adapters: fitted, template })
    }

    /// The tokens of a text in which control tokens are only letters.
    pub(crate) fn tokens_of_text(&self, text: &str) -> Vec<LlamaToken> {
        self.model.vocab().tokenize(text.as_bytes(), false, false)
    }

    /// The tokens of a raw prompt: text, after the token that the model wants before a text, if any. `None` where they
    /// are more than the context holds.
    pub(crate) fn tokens_of_prompt(&self, text: &str) -> Option<Vec<LlamaToken>> {
        self.may_fit(text).then(|| self.model.vocab().tokenize(text.as_bytes(), true, false))
    }

    /// The tokens of a rendered conversation. `None` where they are more than the context holds.
    pub(crate) fn tokens_of_chat(&self, segments: &[Segment]) -> Option<Vec<LlamaToken>> {
        let vocab = self.model.vocab();
        let mut tokens = Vec::new();
        for segment in segments {
            match segment {
                Segment::Markup(text) => vocab.tokenize_into(text.as_bytes(), &mut tokens, false, true),
                Segment::Content(text) if !self.may_fit(text) => return None,
                Segment::Content(text) => vocab.tokenize_into(text.as_bytes(), &mut tokens, false, false),
            }
        }
        if vocab.should_add_bos() && tokens.first() != Some(&vocab.bos()) {
            tokens.insert(0, vocab.bos());
        }
        Some(tokens)
    }

    /// Whether a text can fit in the context, told from its beginning, so that megabytes are refused for the price of
    /// what would fit.
    fn may_fit(&self, text: &str) -> bool {
        /// Twice what English needs.
        const BYTES_PER_TOKEN: usize = 8;
        /// A cut changes the tokens around it: more than this many it cannot add.
        const EDGE: usize = 64;
        let context_tokens = self.context_tokens as usize;
        let mut bytes = context_tokens.saturating_mul(BYTES_PER_TOKEN);
        while bytes < text.len() {
            let beginning = &text[..text.floor_char_boundary(bytes)];
            if self.tokens_of_text(beginning).len() > context_tokens.saturating_add(EDGE) {
                return false;
            }
            bytes = bytes.saturating_mul(4);
        }
        true
    }

    /// The chat template.
    pub(crate) fn template(&self) -> Result<&Template, Error> {
        self.template.as_ref().map_err(|why| {
            let message =
                "The in-process model has no chat template that works here; use it for completions only.";
            Error::new(Fault::Unprocessable, "no_chat_template", message).with_detail(why)
        })
    }

    /// What a token adds to the text; nothing for control tokens.
    pub(crate) fn piece(&self, token: LlamaToken) -> Vec<u8> {
        self.model.vocab().token_to_piece(token, false, None)
    }
}

/// llama.cpp's process-wide state, made once and never torn down.
pub(crate) fn backend(path: &Path) -> Result<&'static LlamaBackend, Error> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    let made = BACKEND.get_or_init(|| {
        let mut backend = LlamaBackend::init().map_err(|error| error.to_string())?;
        // It reports every tensor as information and half-empty contexts as warnings: only for those who ask.
        if tracing::enabled!(target: "llama-cpp-2", tracing::Level::DEBUG) {
            llama_cpp_2::send_logs_to_tracing(llama_cpp_2::LogOptions::default());
        } else {
            backend.void_logs();
        }
        Ok(backend)
    });
    made.as_ref().map_err(|why| not_loaded(format!("llama.cpp did not start: {why}."), path))
}

/// Refuses a processor that the build's instructions would kill the process on.
fn check_processor(path: &Path) -> Result<(), Error> {
    #[cfg(target_arch = "x86_64")]
    {
        let able = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("bmi2");
        if !able {
            let what =
                "The in-process model needs a processor with AVX2, FMA, F16C and BMI2; use a model by URL.";
            return Err(not_loaded(what, path));
        }
    }
    let _ = path;
    Ok(())
}

/// Names the content of a GGUF file: a hash of its size, its first 4 MiB (all metadata of usual files) and 16 samples of
/// 64 KiB, so that a file of many gigabytes costs milliseconds.
fn fingerprint(path: &Path) -> Result<String, Error> {
    const HEAD: u64 = 4 << 20;
    const SAMPLE: u64 = 64 << 10;
    const SAMPLES: u64 = 16;
    let missing =
        "The in-process model's file cannot be read; fetch it with `make models` or correct its path.";
    let unreadable = |error: std::io::Error| {
        let mut failure = not_loaded(missing, path);
        failure.detail = Some(format!("{}: {error}", path.display()));
        failure
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let mut head = Vec::new();
    file.by_ref().take(HEAD).read_to_end(&mut head).map_err(unreadable)?;
    if !head.starts_with(b"GGUF") {
        let what = "The in-process model's file is not a GGUF file; give the path of one, or fetch the default with \
                    `make models`.";
        return Err(not_loaded(what, path));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&size.to_le_bytes()).update(&head);
    let mut sample = Vec::new();
    for part in 1..=SAMPLES {
        let from = (size / SAMPLES * part).saturating_sub(SAMPLE);
        file.seek(SeekFrom::Start(from)).map_err(unreadable)?;
        sample.clear();
        file.by_ref().take(SAMPLE).read_to_end(&mut sample).map_err(unreadable)?;
        hasher.update(&sample);
    }
    Ok(format!("gguf-{}", &hasher.finalize().to_hex()[..32]))
}

/// Refuses contexts that do not fit in memory beside the weights: llama.cpp would be killed while it answers.
fn check_memory(model: &LlamaModel, options: &Options, context_tokens: u32) -> Result<(), Error> {
    let Some(available) = available_bytes() else { return Ok(()) };
    let width = u64::from(model.n_embd().unsigned_abs()) * u64::from(model.n_head_kv())
        / u64::from(model.n_head().max(1));
    // Keys and values of every layer, two bytes each.
    let per_token = width * u64::from(model.n_layer()) * 4;
    let needed = (options.contexts as u64)
        .saturating_mul(per_token.saturating_mul(u64::from(context_tokens)))
        .saturating_add(model.size());
    if needed <= available {
        return Ok(());
    }
    let what = format!(
        "The in-process model needs about {} MB with {} contexts of {context_tokens} tokens and {} MB are free; lower \
         `contexts` or `context_tokens`.",
        needed >> 20,
        options.contexts,
        available >> 20
    );
    Err(not_loaded(what, &options.path))
}

/// Memory that can be had without swapping, where the system tells.
fn available_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The file's own chat template, compiled, or why there is none.
fn template(model: &LlamaModel) -> Result<Template, String> {
    let source = model.chat_template(None).map_err(|error| error.to_string())?;
    let source = source.to_string().map_err(|error| error.to_string())?;
    let vocab = model.vocab();
    let text = |token: LlamaToken| {
        let text = if token.0 < 0 { None } else { vocab.text(token) };
        text.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
    };
    Template::new(source, text(vocab.bos()), text(vocab.eos())).map_err(|error| format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `pointsman-tune` names a base in the same way; see `crates/tune/tests/agreement.rs`.
    #[test]
    fn files_have_these_fingerprints() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("base.gguf");
        for (bytes, expected) in [
            (6_000_000, "gguf-9aedbf31d0ea08f4e0256fe625bee1b6"),
            (100, "gguf-81c5121327f90cf3b344edd92da75bdf"),
        ] {
            let content: Vec<u8> =
                b"GGUF".iter().copied().chain((0..bytes).map(|place| (place % 251) as u8)).collect();
            std::fs::write(&path, content).unwrap();
            assert_eq!(fingerprint(&path).unwrap(), expected);
        }
    }
}
