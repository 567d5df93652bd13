//! One context on one thread: reads a prompt, writes an answer, and keeps what it has read for the next prompt that
//! begins the same way.
//!
//! Prompts are read in blocks of a fixed size that begin at multiples of it, and only whole blocks are kept. So every
//! kept value was computed in the same way as it would be now, and an answer does not depend, to the last bit, on what
//! the context did before.

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use api::{Error, Usage};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use tokio::sync::mpsc;

use crate::adapter::{Fitted, Wanted};
use crate::answer::{Ending, Event, Told, Writer};
use crate::choice::{Choice, Search};
use crate::errors;
use crate::likelihood::{log_total, measure};
use crate::queue::{Next, Queue};
use crate::weights::Weights;

/// Tokens read at a time. Whether the reader is still there is looked at between blocks: about a sixth of a second.
const BLOCK: usize = 64;

/// How tokens are chosen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choosing {
    /// 0: always the most likely.
    pub(crate) temperature: f32,
    /// The share of probability that is drawn from.
    pub(crate) top_p: f32,
    /// For repeatable draws.
    pub(crate) seed: u64,
    /// Taken from a token's score for each time it was written.
    pub(crate) frequency_penalty: f32,
    /// Taken from the score of a token that was written at all.
    pub(crate) presence_penalty: f32,
}

/// One answer to write.
pub(crate) struct Job {
    /// The adapter that reads it; none: the base alone.
    pub(crate) adapter: Option<Wanted>,
    /// Answers to choose from, of at least one token each, no one the beginning of another, within the context beside the
    /// prompt. None: the answer is written freely.
    pub(crate) choices: Vec<Vec<LlamaToken>>,
    /// What to read, never empty, shorter than the context.
    pub(crate) prompt: Vec<LlamaToken>,
    /// The most tokens to write, at least 1, within the context.
    pub(crate) tokens_max: usize,
    /// Strings that end the answer.
    pub(crate) stops: Vec<String>,
    /// How tokens are chosen.
    pub(crate) choosing: Choosing,
    /// Likelihoods are wanted, with this many alternatives.
    pub(crate) likelihoods: Option<usize>,
    /// Where the answer goes: room for every event of it, so that a reader who stalls holds up nobody.
    pub(crate) events: mpsc::Sender<Event>,
    /// When to give up.
    pub(crate) deadline: Instant,
}

impl Job {
    /// Whether nobody waits for it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.events.is_closed() || Instant::now() >= self.deadline
    }

    /// Events of an answer of `tokens_max` tokens: one each, what was held back, and the end.
    pub(crate) fn events_max(tokens_max: usize) -> usize {
        tokens_max.saturating_add(2)
    }

    fn send(&self, event: Event) {
        // Full cannot be: see `events`. Closed means that nobody reads.
        let _ = self.events.try_send(event);
    }
}

/// Why an answer was not finished.
enum Broken {
    /// The reader left, or the model is being unloaded.
    Abandoned,
    /// Something to tell the reader.
    Failed(Box<Error>),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Failed(Box::new(error))
    }
}

/// Serves the queue until it is closed, always with the `current` weights. Tells `ready` first whether the context could be
/// made.
pub(crate) fn serve(
    current: &RwLock<Arc<Weights>>,
    backend: &'static LlamaBackend,
    queue: &Queue<Job>,
    ready: &SyncSender<Result<(), String>>,
) {
    let mut ready = Some(ready);
    loop {
        // In this order: weights that are newer than their edition are only looked at once more.
        let edition = queue.edition();
        let weights = Arc::clone(&current.read().unwrap_or_else(PoisonError::into_inner));
        let mut seat = match (Seat::new(&weights, backend), ready.take()) {
            (Ok(seat), told) => {
                told.map(|told| told.send(Ok(())));
                seat
            }
            (Err(why), Some(told)) => {
                let _ = told.send(Err(why));
                return;
            }
            (Err(why), None) => {
                tracing::error!(%why, "a context of the in-process model could not be made anew; its requests fail");
                match queue.take(edition) {
                    Next::Item(job) => job.send(Event::Failed(Error::internal(why))),
                    Next::Stale => {}
                    Next::Closed => return,
                }
                continue;
            }
        };
        if !seat.serve(queue, edition) {
            return;
        }
    }
}

impl Seat<'_> {
    /// Serves the queue. Returns whether it goes on, with newer weights.
    fn serve(&mut self, queue: &Queue<Job>, edition: u64) -> bool {
        loop {
            match queue.take(edition) {
                Next::Item(job) => self.serve_one(&job, queue),
                Next::Stale => return true,
                Next::Closed => return false,
            }
        }
    }

    fn serve_one(&mut self, job: &Job, queue: &Queue<Job>) {
        // A thread lost to a failed assertion would leave its share of the queue waiting for ever.
        let done = catch_unwind(AssertUnwindSafe(|| {
            if job.choices.is_empty() {
                return self.answer(job, queue).map(Event::End);
            }
            self.choose(job, queue).map(|(choice, usage)| Event::Chosen(choice, usage))
        }));
        match done {
            Ok(Ok(event)) => job.send(event),
            Ok(Err(Broken::Abandoned)) => {}
            Ok(Err(Broken::Failed(error))) => job.send(Event::Failed(*error)),
            Err(_) => {
                self.forget();
                job.send(Event::Failed(Error::internal("the in-process model panicked")));
            }
        }
    }
}

struct Seat<'a> {
    weights: &'a Weights,
    context: LlamaContext<'a>,
    batch: LlamaBatch<'static>,
    /// What lies on the context.
    adapter: Option<&'a Fitted>,
    /// The tokens of the whole blocks whose keys and values the context holds, as the adapter made them.
    kept: Vec<LlamaToken>,
}

impl<'a> Seat<'a> {
    fn new(weights: &'a Weights, backend: &'static LlamaBackend) -> Result<Self, String> {
        // Making contexts of one model at the same time is unsound in llama.cpp.
        static MAKING: Mutex<()> = Mutex::new(());
        let _alone = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(weights.context_tokens))
            .with_n_batch(BLOCK as u32)
            .with_n_ubatch(BLOCK as u32)
            .with_n_seq_max(1)
            // More threads spin on a busy machine; two contexts of one thread do more than one of two.
            .with_n_threads(1)
            .with_n_threads_batch(1)
            .with_no_perf(true);
        let context = weights.model.new_context(backend, params).map_err(|error| error.to_string())?;
        Ok(Self { weights, context, batch: LlamaBatch::new(BLOCK, 1), adapter: None, kept: Vec::new() })
    }

    fn answer(&mut self, job: &Job, queue: &Queue<Job>) -> Result<Ending, Broken> {
        let reused = self.read(job, queue)?;
        let mut sampler = self.sampler(&job.choosing);
        let mut writer = Writer::new(&job.stops);
        let mut written = 0;
        let mut logprob = 0.0;
        let reason = loop {
            let token = sampler.sample(&self.context, self.batch.n_tokens() - 1);
            let bytes = self.weights.piece(token);
            let told = job.likelihoods.map(|count| self.told(token, &bytes, count));
            logprob += told.as_ref().map_or(0.0, |told| f64::from(told.logprob));
            if self.weights.model.vocab().is_eog(token) {
                break "stop";
            }
            written += 1;
            let (piece, stopped) = writer.push(&bytes, told);
            if !piece.text.is_empty() || !piece.tokens.is_empty() {
                job.send(Event::Piece(piece));
            }
            if stopped {
                break "stop";
            }
            if written == job.tokens_max {
                break "length";
            }
            go_on(job, queue)?;
            self.decode(&[token], job.prompt.len() + written - 1)?;
        };
        let rest = writer.finish();
        if !rest.text.is_empty() || !rest.tokens.is_empty() {
            job.send(Event::Piece(rest));
        }
        Ok(Ending { reason, usage: usage(job, written, reused), logprob })
    }

    /// Finds the likeliest of the job's choices.
    fn choose(&mut self, job: &Job, queue: &Queue<Job>) -> Result<(Choice, Usage), Broken> {
        let reused = self.read(job, queue)?;
        let mut search = Search::new(&job.choices);
        let mut path: Vec<LlamaToken> = Vec::new();
        while let Some(node) = search.next() {
            let same = path.iter().zip(&node.path).take_while(|(held, wanted)| held == wanted).count();
            if same < path.len() {
                let from = u32::try_from(job.prompt.len() + same).map_err(Error::internal)?;
                if !matches!(self.context.clear_kv_cache_seq(Some(0), Some(from), None), Ok(true)) {
                    self.forget();
                    return Err(Error::internal("the in-process model cannot go back in its context").into());
                }
            }
            // One at a time, so that the numbers do not depend on which answers were looked at before.
            for (depth, &token) in node.path.iter().enumerate().skip(same) {
                go_on(job, queue)?;
                self.decode(&[token], job.prompt.len() + depth)?;
            }
            path.clone_from(&node.path);
            let scores = self.context.get_logits_ith(self.batch.n_tokens() - 1);
            let total = log_total(scores);
            search.extend(&node, |token| {
                let score = usize::try_from(token.0).ok().and_then(|place| scores.get(place));
                score.map_or(f64::NEG_INFINITY, |score| f64::from(score - total))
            });
        }
        let choice = search.choice().ok_or_else(|| Error::internal("there was nothing to choose from"))?;
        let written = job.choices.get(choice.place).map_or(0, Vec::len);
        Ok((choice, usage(job, written, reused)))
    }

    /// Lays on what the job asks for.
    fn dress(&mut self, job: &Job) -> Result<(), Broken> {
        let wanted = match &job.adapter {
            Some(Wanted { name, fingerprint }) => {
                let fitted = self.weights.adapters.get(name);
                let same = fitted.filter(|fitted| fitted.adapter.fingerprint == *fingerprint);
                Some(same.ok_or_else(|| errors::no_adapter(name).retryable())?)
            }
            None => None,
        };
        let same = match (self.adapter, wanted) {
            (Some(worn), Some(wanted)) => std::ptr::eq(worn, wanted),
            (None, None) => true,
            _ => false,
        };
        if same {
            return Ok(());
        }
        // Keys and values are the adapter's: another one's must not be gone on from.
        self.forget();
        match (wanted, self.adapter) {
            (Some(wanted), _) => wanted.attach(&mut self.context)?,
            (None, Some(worn)) => worn.detach(&mut self.context)?,
            (None, None) => {}
        }
        self.adapter = wanted;
        Ok(())
    }

    /// Reads the prompt, but for what the context has read before. Returns how much that was.
    fn read(&mut self, job: &Job, queue: &Queue<Job>) -> Result<usize, Broken> {
        self.dress(job)?;
        let same = self.kept.iter().zip(&job.prompt).take_while(|(kept, asked)| kept == asked).count();
        // The last token is always read: its scores choose the first token of the answer.
        let mut reused = same.min(job.prompt.len() - 1) / BLOCK * BLOCK;
        let from = u32::try_from(reused).map_err(Error::internal)?;
        if !matches!(self.context.clear_kv_cache_seq(Some(0), Some(from), None), Ok(true)) {
            self.context.clear_kv_cache();
            reused = 0;
        }
        self.kept.truncate(reused);
        let mut place = reused;
        for block in job.prompt[reused..].chunks(BLOCK) {
            go_on(job, queue)?;
            self.decode(block, place)?;
            place += block.len();
            if block.len() == BLOCK {
                self.kept.extend_from_slice(block);
            }
        }
        Ok(reused)
    }

    /// Runs the model over at most a block of tokens; the scores after the last one can be read then.
    fn decode(&mut self, tokens: &[LlamaToken], place: usize) -> Result<(), Broken> {
        self.batch.clear();
        for (offset, &token) in tokens.iter().enumerate() {
            let position = i32::try_from(place + offset).map_err(Error::internal)?;
            self.batch.add(token, position, &[0], offset + 1 == tokens.len()).map_err(Error::internal)?;
        }
        self.context.decode(&mut self.batch).map_err(|error| {
            self.forget();
            Broken::from(Error::internal(format!("llama.cpp: {error}")))
        })
    }

    fn forget(&mut self) {
        self.kept.clear();
        self.context.clear_kv_cache();
    }

    fn told(&self, token: LlamaToken, bytes: &[u8], count: usize) -> Told {
        let scores = self.context.get_logits_ith(self.batch.n_tokens() - 1);
        let chosen = usize::try_from(token.0).unwrap_or(usize::MAX);
        let likelihood = measure(scores, chosen, count);
        let piece = |place: usize| self.weights.piece(LlamaToken(i32::try_from(place).unwrap_or_default()));
        Told {
            bytes: bytes.to_vec(),
            logprob: likelihood.chosen,
            best: likelihood.best.into_iter().map(|(place, logprob)| (piece(place), logprob)).collect(),
        }
    }

    fn sampler(&self, choosing: &Choosing) -> LlamaSampler {
        let mut chain = Vec::new();
        if choosing.frequency_penalty != 0.0 || choosing.presence_penalty != 0.0 {
            chain.push(LlamaSampler::penalties(
                self.weights.model.n_vocab(),
                i32::try_from(self.weights.context_tokens).unwrap_or(i32::MAX),
                1.0,
                choosing.frequency_penalty,
                choosing.presence_penalty,
            ));
        }
        if choosing.temperature <= 0.0 {
            chain.push(LlamaSampler::greedy());
        } else {
            chain.push(LlamaSampler::temp(choosing.temperature));
            chain.push(LlamaSampler::top_p(choosing.top_p, 1));
            chain.push(LlamaSampler::dist(folded(choosing.seed)));
        }
        LlamaSampler::chain_simple(chain)
    }
}

/// What a job read and wrote.
fn usage(job: &Job, written: usize, reused: usize) -> Usage {
    let usage = Usage::exact(job.prompt.len() as u64, written as u64);
    if reused > 0 { usage.with_cached(reused as u64) } else { usage }
}

/// A seed as llama.cpp takes it, whose highest value means a random one.
fn folded(seed: u64) -> u32 {
    let folded = (seed >> 32) ^ (seed & u64::from(u32::MAX));
    u32::try_from(folded).unwrap_or_default().min(u32::MAX - 1)
}

/// Whether to write on.
fn go_on(job: &Job, queue: &Queue<Job>) -> Result<(), Broken> {
    if job.events.is_closed() {
        return Err(Broken::Abandoned);
    }
    if queue.is_closed() {
        return Err(errors::closing().into());
    }
    if Instant::now() >= job.deadline {
        return Err(errors::too_slow().into());
    }
    Ok(())
}
