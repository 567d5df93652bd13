//! The model as the rest of the house sees it: load it, ask it, drop it.

use std::hash::{BuildHasher, RandomState};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use api::{ChatRequest, Chunks, Contract, Error, Part};
use llama_cpp_2::token::LlamaToken;
use tokio::sync::mpsc;

use crate::errors::{self, cannot};
use crate::options::{Occupancy, Options};
use crate::queue::{Queue, Refused};
use crate::seat::{self, Choosing, Job};
use crate::stream::{ChatStream, Continuation, Events, Head, continuation};
use crate::weights::{Weights, backend};

/// A generative model in this process. Clones share it; dropping the last one waits for its threads, which end within a
/// block of tokens.
#[derive(Clone)]
pub struct Model {
    inner: Arc<Inner>,
}

struct Inner {
    weights: Arc<Weights>,
    queue: Arc<Queue<Job>>,
    contexts: usize,
    output_tokens_max: u64,
    /// Where a request names none.
    temperature: f32,
    top_p: f32,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // At most one block of tokens away; leaving them would run native code while the process ends.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("name", &self.name()).field("occupancy", &self.occupancy()).finish()
    }
}

impl Model {
    /// Loads a GGUF file and makes its contexts. Blocks for a second or so.
    ///
    /// # Errors
    /// One sentence: the file is missing, not GGUF, not readable by this build; the processor or the memory is too
    /// small. The path is in the detail.
    pub fn load(options: &Options) -> Result<Self, Error> {
        let weights = Arc::new(Weights::load(options)?);
        let backend = backend(&options.path)?;
        let contexts = options.contexts.max(1);
        let queue = Arc::new(Queue::new(options.queue_max));
        // From here on, dropping ends what was started.
        let inner = Inner {
            weights,
            queue,
            contexts,
            output_tokens_max: options.output_tokens_max,
            temperature: options.temperature,
            top_p: options.top_p,
            threads: Mutex::default(),
        };
        let (ready, told) = sync_channel(contexts);
        for number in 0..contexts {
            let (weights, queue, ready) =
                (Arc::clone(&inner.weights), Arc::clone(&inner.queue), ready.clone());
            let thread = std::thread::Builder::new()
                .name(format!("llama-{number}"))
                .spawn(move || seat::serve(&weights, backend, &queue, &ready))
                .map_err(|error| no_context(options, &error.to_string()))?;
            inner.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        drop(ready);
        for _ in 0..contexts {
            let made = told.recv().unwrap_or_else(|_| Err("its thread ended".to_owned()));
            made.map_err(|why| no_context(options, &why))?;
        }
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The file's own name for itself, empty where it has none.
    pub fn name(&self) -> &str {
        &self.inner.weights.name
    }

    /// Tokens of prompt and answer together that one context holds.
    pub fn context_tokens(&self) -> usize {
        self.inner.weights.context_tokens as usize
    }

    /// Names the file's content: equal files have equal ones, wherever they lie.
    pub fn fingerprint(&self) -> &str {
        &self.inner.weights.fingerprint
    }

    /// How many tokens `text` makes, without those that a template adds.
    pub fn count_tokens(&self, text: &str) -> usize {
        self.inner.weights.tokens_of_text(text).len()
    }

    /// How busy the contexts are.
    pub fn occupancy(&self) -> Occupancy {
        let (waiting, idle) = self.inner.queue.counts();
        let contexts = self.inner.contexts;
        Occupancy { running: contexts.saturating_sub(idle), waiting, contexts }
    }

    /// Starts an answer to a conversation: chunks with `id`, `created` and `model`, the last one carrying the usage.
    /// Dropping the stream frees the context within a block of tokens; `deadline` ends it in any case.
    ///
    /// Read from the request: messages, `temperature`, `top_p`, `seed`, `stop`, the token limit, `logprobs`,
    /// `frequency_penalty`, `presence_penalty`. Log-probabilities are the model's own, before temperature.
    ///
    /// # Errors
    /// What the model cannot do (several answers, images, tools, JSON by contract, a prompt over its context), naming
    /// the field; `local_queue_full` with when to come back. Later failures come in the stream.
    pub fn chat(
        &self,
        request: &ChatRequest,
        id: &str,
        created: u64,
        model: &str,
        deadline: Instant,
    ) -> Result<Chunks, Error> {
        check_able(request)?;
        let prompt = self.prompt_of(request)?;
        let sampling = &request.sampling;
        let choosing = Choosing {
            temperature: sampling.temperature.unwrap_or(self.inner.temperature),
            top_p: sampling.top_p.unwrap_or(self.inner.top_p),
            seed: sampling.seed.unwrap_or_else(|| RandomState::new().hash_one(0)),
            frequency_penalty: penalty(request, "frequency_penalty")?,
            presence_penalty: penalty(request, "presence_penalty")?,
        };
        let likelihoods = sampling.logprobs.then_some(usize::from(sampling.top_logprobs));
        let most = self.inner.output_tokens_max;
        let tokens_max = Some(sampling.max_tokens.map_or(most, |wanted| wanted.min(most)));
        let ask = Ask { prompt, tokens_max, stops: &sampling.stop, choosing, likelihoods };
        let events = self.submit(ask, "messages", deadline)?;
        let head = Head { id: id.to_owned(), created, model: model.to_owned() };
        Ok(Box::pin(ChatStream::new(events, head, sampling.logprobs)))
    }

    /// Continues `prompt` with the most likely tokens, up to `max_tokens` or one of `stop`. No template is applied, and
    /// control tokens in the prompt are only letters. Dropping the future frees the context.
    ///
    /// # Errors
    /// A prompt that is empty or over the context, `local_queue_full`, the deadline.
    pub async fn complete(
        &self,
        prompt: &str,
        max_tokens: u64,
        stop: &[String],
        deadline: Instant,
    ) -> Result<Continuation, Error> {
        const PARAM: &str = "prompt";
        let tokens = self.inner.weights.tokens_of_prompt(prompt);
        let prompt = tokens.ok_or_else(|| self.far_too_long(PARAM))?;
        if prompt.is_empty() {
            return Err(Error::field(PARAM, "`prompt` must not be empty."));
        }
        let choosing =
            Choosing { temperature: 0.0, top_p: 1.0, seed: 0, frequency_penalty: 0.0, presence_penalty: 0.0 };
        let ask = Ask { prompt, tokens_max: Some(max_tokens), stops: stop, choosing, likelihoods: Some(0) };
        let events = self.submit(ask, PARAM, deadline)?;
        continuation(events).await
    }

    fn prompt_of(&self, request: &ChatRequest) -> Result<Vec<LlamaToken>, Error> {
        let weights = &self.inner.weights;
        let segments = weights.template()?.render(request)?;
        let prompt = weights.tokens_of_chat(&segments).ok_or_else(|| self.far_too_long("messages"))?;
        if prompt.is_empty() {
            return Err(Error::internal("the chat template makes an empty prompt"));
        }
        Ok(prompt)
    }

    fn far_too_long(&self, param: &str) -> Error {
        let context_tokens = self.context_tokens();
        errors::too_long(format!("over {context_tokens}"), context_tokens, param)
    }

    fn submit(&self, ask: Ask<'_>, param: &str, deadline: Instant) -> Result<Events, Error> {
        let context_tokens = self.context_tokens();
        let room = context_tokens.saturating_sub(ask.prompt.len());
        if room == 0 {
            return Err(errors::too_long(ask.prompt.len(), context_tokens, param));
        }
        let wanted = ask.tokens_max.map_or(room, |tokens| usize::try_from(tokens).unwrap_or(usize::MAX));
        let tokens_max = wanted.clamp(1, room);
        let (sender, receiver) = mpsc::channel(Job::events_max(tokens_max));
        let job = Job {
            prompt: ask.prompt,
            tokens_max,
            stops: ask.stops.to_vec(),
            choosing: ask.choosing,
            likelihoods: ask.likelihoods,
            events: sender,
            deadline,
        };
        match self.inner.queue.push(job, Job::is_over) {
            Ok(()) => Ok(Events::new(receiver, deadline)),
            Err(Refused::Full) => Err(errors::queue_full(self.inner.queue.waiting_max())),
            Err(Refused::Closed) => Err(errors::closing()),
        }
    }
}

/// What is asked of a context, before it is known to fit.
struct Ask<'a> {
    prompt: Vec<LlamaToken>,
    tokens_max: Option<u64>,
    stops: &'a [String],
    choosing: Choosing,
    likelihoods: Option<usize>,
}

fn no_context(options: &Options, why: &str) -> Error {
    let message = format!(
        "The in-process model's {} contexts of {} tokens could not be made ({why}); lower `contexts` or \
         `context_tokens`.",
        options.contexts, options.context_tokens
    );
    errors::not_loaded(message, &options.path)
}

/// Refuses what a small text model would only pretend to do.
fn check_able(request: &ChatRequest) -> Result<(), Error> {
    if request.sampling.n != 1 {
        let message = "`n` must be 1: the in-process model gives one answer.";
        return Err(Error::field("n", message));
    }
    if request.tools && request.body.get("tool_choice").and_then(|choice| choice.as_str()) != Some("none") {
        let message = "The in-process model calls no tools; leave out `tools` or use another model.";
        return Err(cannot("tools_unsupported", "tools", message));
    }
    if request.contract != Contract::Free {
        let message = "The in-process model answers with free text only; leave out `response_format` or use another \
                       model.";
        return Err(cannot("response_format_unsupported", "response_format", message));
    }
    if request.has_part(|part| !matches!(part, Part::Text(_))) {
        let message = "The in-process model reads text only; leave out the other parts or use another model.";
        return Err(cannot("content_unsupported", "messages", message));
    }
    Ok(())
}

/// One of OpenAI's two penalties, 0 where there is none.
fn penalty(request: &ChatRequest, key: &str) -> Result<f32, Error> {
    let Some(value) = request.body.get(key).filter(|value| !value.is_null()) else { return Ok(0.0) };
    match value.as_f64() {
        #[expect(clippy::cast_possible_truncation, reason = "from -2 to 2")]
        Some(number) if (-2.0..=2.0).contains(&number) => Ok(number as f32),
        _ => Err(Error::field(key, format!("`{key}` must be a number from -2 to 2."))),
    }
}
