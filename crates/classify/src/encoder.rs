//! The sentence encoder: the one home of fastembed and of the ONNX Runtime under it.
//!
//! Owns a pool of sessions with one thread each, the windows that long texts are read through, and the fingerprint
//! of what makes the vectors. Refuses downloads: every file comes from a path, and one that is missing, old or broken
//! is an [`Error`] in one sentence, never a panic.

mod pool;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use api::{Embed, Error, Fault, Vector};
use fastembed::{InitOptionsUserDefined, Pooling, TextEmbedding, TokenizerFiles, UserDefinedEmbeddingModel};
use ort::environment::Environment;

use self::pool::Pool;
use crate::hub;
use crate::library;
use crate::reading::{Draft, Reading, Script, States, add, normalise};
use crate::view::View;

/// Tokens that one pass of the encoder reads, without the two special ones. MiniLM was trained on 256 in all: beyond
/// that its vectors drift, although its positions go to 512.
const WINDOW_TOKENS: usize = 254;
/// Tokens that neighbouring windows share, so that no sentence is cut in both.
const OVERLAP_TOKENS: usize = 32;
/// The output halfway through the model, as our export names it, that readings are made of.
const INNER_STATE: &str = "layer3.state";
/// The model's proper output.
const LAST_STATE: &str = "last_hidden_state";
/// Of how many vectors of equal length a description consists; see [`Encoder::describe`].
pub const DESCRIBED_PARTS: usize = 3;
/// A change in how texts become vectors that no file shows: part of the fingerprint.
const SCHEME: &str = "mean-254-32-v1";

/// Where the encoder's files are and how many sessions to keep.
#[derive(Clone, Debug)]
pub struct EncoderOptions {
    /// A folder with `model.onnx`, `tokenizer.json`, `config.json`, `special_tokens_map.json` and
    /// `tokenizer_config.json`.
    pub model_dir: PathBuf,
    /// Missing files are downloaded from a model hub by fastembed, where this build has the `hub` feature.
    pub hub: bool,
    /// ONNX Runtime's shared library, 1.24 or newer.
    pub runtime: PathBuf,
    /// Sessions side by side, at least 1: each has one thread and its own copy of the weights (about 40 MB).
    pub sessions: usize,
}

/// A sentence encoder that many threads share. [`Embed::embed`] blocks while all sessions are busy.
pub struct Encoder {
    pool: Pool<TextEmbedding>,
    counter: Counter,
    dimensions: usize,
    fingerprint: String,
}

impl Encoder {
    /// Loads the runtime (once per process) and the model.
    ///
    /// # Errors
    /// A file is missing, unreadable, too old or not what its name says; the message tells which and what to do,
    /// the detail has the path and the library's own words.
    pub fn load(options: &EncoderOptions) -> Result<Self, Error> {
        let environment = environment(&options.runtime)?;
        if options.hub && !MODEL_FILES.iter().all(|name| options.model_dir.join(name).is_file()) {
            hub::fetch(&options.model_dir, &environment)?;
        }
        let files = ModelFiles::read(&options.model_dir)?;
        let fingerprint = files.fingerprint(&options.runtime)?;
        let sessions = options.sessions.max(1);
        let mut idle = Vec::with_capacity(sessions);
        for _ in 0..sessions {
            idle.push(files.session(environment.clone())?);
        }
        let counter = Counter::of(&idle[0])?;
        let probe = idle[0].embed(["probe"], None).map_err(|error| broken("model.onnx", &error))?;
        let dimensions = probe.first().map_or(0, Vec::len);
        if dimensions == 0 {
            return Err(broken("model.onnx", &"it gave no vector for a word"));
        }
        Ok(Self { pool: Pool::new(idle), counter, dimensions, fingerprint })
    }

    /// Reads a request as its signals need it: at most two windows, whatever its length (see [`crate::Reading`]). Blocks
    /// while all sessions are busy, then about 6 ms for 60 tokens and 30 ms for 2,000.
    ///
    /// # Errors
    /// The runtime failed.
    pub fn read(&self, view: &View) -> Result<Reading, Error> {
        let script = Script::of(view);
        let windows = script.windows(|text| self.counter.offsets(text))?;
        let whole = windows.len() == 1;
        let mut draft = Draft::new(self.dimensions);
        let mut loan = self.pool.take()?;
        let session = loan.session()?;
        for (start, end) in windows {
            let window = script.text.get(start..end).unwrap_or_default();
            // Cut anew: at a window's edge a word may fall into other tokens than in the whole text.
            let tokens = self.counter.offsets(window)?;
            states(session, window, self.dimensions, |states| draft.add(&script, start, &tokens, &states))?;
        }
        drop(loan);
        Ok(draft.finish(whole))
    }

    /// What tasks are learnt from: [`DESCRIBED_PARTS`] unit vectors of each text one after another, its meaning as
    /// [`Embed::embed`] gives it, the mean inner state of all its tokens and that of its first two. The inner states know how
    /// something is asked: with them a classifier of question types (TREC) is right for 93 of 100 instead of 90. The price is
    /// that of the meaning alone. Blocks like `embed`.
    ///
    /// # Errors
    /// The runtime failed.
    pub fn describe(&self, texts: &[&str]) -> Result<Vec<Vector>, Error> {
        let mut described = Vec::with_capacity(texts.len());
        for text in texts {
            let mut loan = self.pool.take()?;
            let session = loan.session()?;
            let mut sums = vec![vec![0.0_f32; self.dimensions]; DESCRIBED_PARTS];
            for (place, (start, end)) in self.windows(text)?.into_iter().enumerate() {
                states(session, &text[start..end], self.dimensions, |states| {
                    // A window counts by its length, as in `embed`.
                    #[expect(
                        clippy::cast_precision_loss,
                        reason = "a window has at most some thousand bytes"
                    )]
                    let weight = (end - start).max(1) as f32;
                    describe_window(&mut sums, &states, weight, place == 0);
                })?;
            }
            sums.iter_mut().for_each(|sum| normalise(sum));
            described.push(sums.concat());
        }
        Ok(described)
    }

    /// The windows that a text is read through, as byte ranges; one for a short text, which is then not tokenised.
    fn windows(&self, text: &str) -> Result<Vec<(usize, usize)>, Error> {
        // A token takes at least one byte, so so short a text always fits.
        if text.len() <= WINDOW_TOKENS {
            return Ok(vec![(0, text.len())]);
        }
        let offsets = self.counter.offsets(text)?;
        Ok(spans(&offsets, text.len()).filter(|&(start, end)| text.get(start..end).is_some()).collect())
    }
}

/// Adds a window to the parts of a description.
fn describe_window(sums: &mut [Vec<f32>], states: &States<'_>, weight: f32, first: bool) {
    const START_TOKENS: usize = 2;
    let [meaning, all, start] = sums else { return };
    let width = meaning.len();
    let mut mean = vec![0.0; width];
    states.last.chunks_exact(width).for_each(|row| add(&mut mean, row));
    normalise(&mut mean);
    meaning.iter_mut().zip(mean).for_each(|(sum, value)| *sum += weight * value);
    for (place, row) in states.inner.chunks_exact(width).enumerate() {
        add(all, row);
        if first && place < START_TOKENS {
            add(start, row);
        }
    }
}

/// Cuts a text of these token offsets into overlapping windows; the first starts and the last ends with the text.
fn spans(offsets: &[(usize, usize)], text_bytes: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
    let step = WINDOW_TOKENS - OVERLAP_TOKENS;
    let count = offsets.len().saturating_sub(OVERLAP_TOKENS).div_ceil(step).max(1);
    (0..count).map(move |window| {
        let first = window * step;
        let past = (first + WINDOW_TOKENS).min(offsets.len());
        let start = if window == 0 { 0 } else { offsets[first].0 };
        let end = if window + 1 == count { text_bytes } else { offsets[past - 1].1 };
        (start, end)
    })
}

impl Embed for Encoder {
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vector>, Error> {
        let windows: Result<Vec<_>, Error> = texts.iter().map(|text| self.windows(text)).collect();
        let windows = windows?;
        let mut sums = vec![vec![0.0_f32; self.dimensions]; texts.len()];
        for ((text, windows), sum) in texts.iter().zip(windows).zip(&mut sums) {
            for (start, end) in windows {
                // One window a pass: eight took a fifth more processor time, by padding and by outgrowing the caches.
                // For each pass anew: nobody waits longer than for one.
                let vector = embed(self.pool.take()?.session()?, &text[start..end])?;
                // A window counts by its length: the last one may hold only a few words.
                #[expect(clippy::cast_precision_loss, reason = "a window has at most some thousand bytes")]
                let weight = (end - start).max(1) as f32;
                sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += weight * value);
            }
        }
        sums.iter_mut().for_each(|sum| normalise(sum));
        Ok(sums)
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn count_tokens(&self, text: &str) -> usize {
        // The tokenizer takes any text; should it ever refuse one, four bytes a token is close.
        self.counter.offsets(text).map_or(text.len() / 4, |offsets| offsets.len())
    }

    fn window_tokens(&self) -> usize {
        WINDOW_TOKENS
    }
}

// === Files ===

/// What a model's folder holds.
pub(crate) const MODEL_FILES: [&str; 5] =
    ["model.onnx", "tokenizer.json", "config.json", "special_tokens_map.json", "tokenizer_config.json"];

/// Everything that makes a session, read whole.
struct ModelFiles {
    onnx: Vec<u8>,
    tokenizer: TokenizerFiles,
}

impl ModelFiles {
    fn read(folder: &Path) -> Result<Self, Error> {
        let read = |name: &str| {
            fs::read(folder.join(name)).map_err(|error| {
                unavailable(format!("The encoder's file `{name}` cannot be read; `make models` fetches it."))
                    .with_detail(format_args!("{}: {error}", folder.join(name).display()))
            })
        };
        Ok(Self {
            onnx: read("model.onnx")?,
            tokenizer: TokenizerFiles {
                tokenizer_file: read("tokenizer.json")?,
                config_file: read("config.json")?,
                special_tokens_map_file: read("special_tokens_map.json")?,
                tokenizer_config_file: read("tokenizer_config.json")?,
            },
        })
    }

    /// Vectors differ between models, tokenizers, ONNX Runtime builds and ways of windowing.
    fn fingerprint(&self, runtime: &Path) -> Result<String, Error> {
        let runtime = fs::read(runtime).map_err(|error| {
            unavailable("The ONNX Runtime library cannot be read; `make models` fetches it.")
                .with_detail(format_args!("{}: {error}", runtime.display()))
        })?;
        let parts: [&[u8]; 5] = [
            &self.onnx,
            &self.tokenizer.tokenizer_file,
            &self.tokenizer.tokenizer_config_file,
            &runtime,
            SCHEME.as_bytes(),
        ];
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(blake3::hash(part).as_bytes());
        }
        Ok(hasher.finalize().to_hex()[..32].to_owned())
    }

    fn session(&self, environment: Environment) -> Result<TextEmbedding, Error> {
        let model = UserDefinedEmbeddingModel::new(with_inner_state(&self.onnx), self.tokenizer.clone())
            .with_pooling(Pooling::Mean);
        let options = InitOptionsUserDefined::new()
            .with_environment(environment)
            .with_intra_threads(1)
            .with_max_length(WINDOW_TOKENS + 2);
        TextEmbedding::try_new_from_user_defined(model, options)
            .map_err(|error| broken("model.onnx or its tokenizer", &error))
    }
}

/// A model that also gives out its [`INNER_STATE`], where it has one: messages of protocol buffers that follow one another
/// are merged when read, so an output is declared by appending it.
fn with_inner_state(onnx: &[u8]) -> Vec<u8> {
    /// `ModelProto.graph`, `GraphProto.output`, `ValueInfoProto.name`, and a `type` that says tensor of floats.
    const GRAPH: u8 = 0x3a;
    const OUTPUT: u8 = 0x62;
    const NAME: u8 = 0x0a;
    const FLOATS: [u8; 6] = [0x12, 0x04, 0x0a, 0x02, 0x08, 0x01];
    #[expect(clippy::cast_possible_truncation, reason = "a name of a few letters")]
    let named = |tag: u8, content: &[u8]| [&[tag, content.len() as u8], content].concat();
    let name = named(NAME, INNER_STATE.as_bytes());
    let mut model = onnx.to_vec();
    if onnx.windows(name.len()).any(|window| window[1..] == name[1..]) {
        model.extend(named(GRAPH, &named(OUTPUT, &[name.as_slice(), &FLOATS].concat())));
    }
    model
}

fn broken(what: &str, error: &dyn std::fmt::Display) -> Error {
    unavailable(format!("The encoder's {what} is not usable; `make models` fetches it anew."))
        .with_detail(error)
}

pub(crate) fn unavailable(message: impl Into<String>) -> Error {
    Error::new(Fault::Unavailable, "encoder_unavailable", message)
}

// === The runtime ===

/// The process's one ONNX Runtime environment and the library that it came from: `ort` allows no second one.
static RUNTIME: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// Loads the library at `path`, or hands out the environment that it gave before.
fn environment(path: &Path) -> Result<Environment, Error> {
    let path = fs::canonicalize(path).map_err(|error| {
        unavailable("The ONNX Runtime library is missing; `make models` fetches it.")
            .with_detail(format_args!("{}: {error}", path.display()))
    })?;
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((loaded, environment)) = runtime.as_ref() {
        if *loaded == path {
            return Ok(environment.clone());
        }
        return Err(unavailable("Another ONNX Runtime library is loaded already; restart to change it.")
            .with_detail(format_args!("loaded {}, asked for {}", loaded.display(), path.display())));
    }
    library::check_whole(&path).map_err(|wrong| {
        unavailable("The ONNX Runtime library is broken; `make models` fetches it anew.")
            .with_detail(format_args!("{}: {wrong}", path.display()))
    })?;
    // First of all `ort` calls: any other one would look for a library by itself and panic without one.
    let builder = ort::init_from(&path).map_err(|error| {
        unavailable(
            "The ONNX Runtime library cannot be used: it must be version 1.24 or newer, for this processor; \
             `make models` fetches it.",
        )
        .with_detail(error)
    })?;
    let environment = builder
        .build()
        .map_err(|error| unavailable("ONNX Runtime did not start; see the log.").with_detail(error))?;
    *runtime = Some((path, environment.clone()));
    Ok(environment)
}

// === Counting tokens ===

/// From a text to the byte range of each of its tokens.
type Offsets = dyn Fn(&str) -> Result<Vec<(usize, usize)>, Error> + Send + Sync;

/// The tokenizer without padding and truncation. A closure, because `tokenizers` is fastembed's own dependency and
/// its types have no name here.
struct Counter(Box<Offsets>);

impl Counter {
    fn of(session: &TextEmbedding) -> Result<Self, Error> {
        let mut tokenizer = session.tokenizer.clone();
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| broken("tokenizer.json", &error))?;
        Ok(Self(Box::new(move |text| {
            let encoding = tokenizer.encode(text, false).map_err(Error::internal)?;
            Ok(encoding.get_offsets().to_vec())
        })))
    }

    /// The byte range of every token, in order.
    fn offsets(&self, text: &str) -> Result<Vec<(usize, usize)>, Error> {
        (self.0)(text)
    }
}

fn embed(session: &mut TextEmbedding, text: &str) -> Result<Vector, Error> {
    let vector = session.embed([text], None).map_err(Error::internal)?.pop();
    vector.ok_or_else(|| Error::internal("the encoder gave no vector"))
}

/// Hands out the states of a text's tokens. Of a model without an [`INNER_STATE`] the last state stands for it.
fn states(
    session: &mut TextEmbedding,
    text: &str,
    width: usize,
    take: impl FnOnce(States<'_>),
) -> Result<(), Error> {
    let output = session.transform([text], None).map_err(Error::internal)?.into_raw();
    let outputs = output.first().map(|batch| batch.outputs.as_slice()).unwrap_or_default();
    let named = |name: &str| outputs.iter().find(|(known, _)| known == name);
    let last = named(LAST_STATE).or(outputs.first());
    let last = last.ok_or_else(|| Error::internal("the encoder gave no output"))?;
    let inner = named(INNER_STATE).unwrap_or(last);
    let (_, last) = last.1.try_extract_tensor::<f32>().map_err(Error::internal)?;
    let (_, inner) = inner.1.try_extract_tensor::<f32>().map_err(Error::internal)?;
    // The first and the last row are the special tokens'.
    let body = |states: &[f32]| width..states.len().saturating_sub(width).max(width);
    take(States { last, inner: inner.get(body(inner)).unwrap_or_default() });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_every_token_and_overlap() {
        for tokens in [1_usize, 254, 255, 476, 477, 1000, 5000] {
            let offsets: Vec<(usize, usize)> = (0..tokens).map(|n| (n * 3, n * 3 + 2)).collect();
            let cut: Vec<(usize, usize)> = spans(&offsets, tokens * 3).collect();
            assert_eq!(cut.first().map(|span| span.0), Some(0));
            assert_eq!(cut.last().map(|span| span.1), Some(tokens * 3));
            for pair in cut.windows(2) {
                assert_eq!((pair[0].1 + 1 - pair[1].0) / 3, OVERLAP_TOKENS, "{tokens}");
            }
            for (start, end) in cut {
                assert!((end - start).div_ceil(3) <= WINDOW_TOKENS, "{tokens}: {start}..{end}");
            }
        }
    }
}
