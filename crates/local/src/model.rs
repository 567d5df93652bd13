//! The model as the rest of the house sees it: load it, ask it, drop it.

mod wardrobe;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Instant;

use api::{ChatRequest, Chunks, Contract, Error, Part};
use llama_cpp_2::token::LlamaToken;
use tokio::sync::mpsc;

use crate::adapter::Wanted;
use crate::errors::{self, cannot};
use crate::layout::ANSWER_END;
use crate::options::{Occupancy, Options};
use crate::queue::{Queue, Refused};
use crate::seat::{self, Choosing, Job};
use crate::short::{Choices, Question, ShortAnswer};
use crate::stream::{ChatStream, Continuation, Events, Head, choice, continuation};
use crate::weights::{Weights, backend};

/// A generative model in this process. Clones share it; dropping the last one waits for its threads, which end within a
/// block of tokens.
#[derive(Clone)]
pub struct Model {
    inner: Arc<Inner>,
}

struct Inner {
    /// The weights with their adapters. Replaced as a whole; name, fingerprint and size of the context stay.
    current: Arc<RwLock<Arc<Weights>>>,
    /// Which adapters are wanted, by name. Held while they change.
    adapters: Mutex<BTreeMap<String, PathBuf>>,
    options: Options,
    name: String,
    fingerprint: String,
    context_tokens: usize,
    queue: Arc<Queue<Job>>,
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
        let weights = Weights::load(options, &BTreeMap::new())?;
        let backend = backend(&options.path)?;
        let contexts = options.contexts.max(1);
        let queue = Arc::new(Queue::new(options.queue_max));
        // From here on, dropping ends what was started.
        let inner = Inner {
            name: weights.name.clone(),
            fingerprint: weights.fingerprint.clone(),
            context_tokens: weights.context_tokens as usize,
            current: Arc::new(RwLock::new(Arc::new(weights))),
            adapters: Mutex::default(),
            options: Options { contexts, ..options.clone() },
            queue,
            threads: Mutex::default(),
        };
        let (ready, told) = sync_channel(contexts);
        for number in 0..contexts {
            let (current, queue, ready) =
                (Arc::clone(&inner.current), Arc::clone(&inner.queue), ready.clone());
            let thread = std::thread::Builder::new()
                .name(format!("llama-{number}"))
                .spawn(move || seat::serve(&current, backend, &queue, &ready))
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
        &self.inner.name
    }

    /// Tokens of prompt and answer together that one context holds.
    pub fn context_tokens(&self) -> usize {
        self.inner.context_tokens
    }

    /// Names the file's content: equal files have equal ones, wherever they lie.
    pub fn fingerprint(&self) -> &str {
        &self.inner.fingerprint
    }

    /// How many tokens `text` makes, without those that a template adds.
    pub fn count_tokens(&self, text: &str) -> usize {
        self.weights().tokens_of_text(text).len()
    }

    /// The ids of the tokens of `text`, without those that a template adds.
    pub fn token_ids(&self, text: &str) -> Vec<i32> {
        self.weights().tokens_of_text(text).into_iter().map(|token| token.0).collect()
    }

    /// How busy the contexts are.
    pub fn occupancy(&self) -> Occupancy {
        let (waiting, idle) = self.inner.queue.counts();
        let contexts = self.inner.options.contexts;
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
        self.chat_from(request, "", id, created, model, deadline)
    }

    /// As [`Model::chat`], with an answer that begins with `said`, which is not said again. The usage counts `said` as part
    /// of the prompt.
    ///
    /// # Errors
    /// As [`Model::chat`].
    pub fn chat_from(
        &self,
        request: &ChatRequest,
        said: &str,
        id: &str,
        created: u64,
        model: &str,
        deadline: Instant,
    ) -> Result<Chunks, Error> {
        check_able(request)?;
        let mut prompt = self.prompt_of(request)?;
        prompt.extend(self.weights().tokens_of_text(said));
        let sampling = &request.sampling;
        let choosing = Choosing {
            temperature: sampling.temperature.unwrap_or(self.inner.options.temperature),
            top_p: sampling.top_p.unwrap_or(self.inner.options.top_p),
            seed: sampling.seed.unwrap_or_else(|| RandomState::new().hash_one(0)),
            frequency_penalty: penalty(request, "frequency_penalty")?,
            presence_penalty: penalty(request, "presence_penalty")?,
        };
        let likelihoods = sampling.logprobs.then_some(usize::from(sampling.top_logprobs));
        let most = self.inner.options.output_tokens_max;
        let tokens_max = sampling.max_tokens.map_or(most, |wanted| wanted.min(most));
        let ask = Ask { tokens_max, stops: &sampling.stop, choosing, likelihoods, ..Ask::of(prompt) };
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
        let prompt = self.tokens_of_prompt(prompt, PARAM)?;
        let ask = Ask { tokens_max: max_tokens, stops: stop, likelihoods: Some(0), ..Ask::of(prompt) };
        let events = self.submit(ask, PARAM, deadline)?;
        continuation(events).await.map(|(continuation, _)| continuation)
    }

    /// Answers a question shortly: with the likeliest of its choices, or with the most likely line. The prompt is the
    /// adapter's layout around the input, and control tokens in it are only letters. Dropping the future frees the context.
    ///
    /// # Errors
    /// No such adapter, choices that are empty or too many, a prompt over the context, `local_queue_full`, the deadline.
    pub async fn short_answer(
        &self,
        question: &Question<'_>,
        deadline: Instant,
    ) -> Result<ShortAnswer, Error> {
        const PARAM: &str = "input";
        let weights = self.weights();
        let prompt = question.prompt(&weights)?;
        let prompt = self.tokens_of_prompt(&prompt, PARAM)?;
        let adapter = question.wanted(&weights)?;
        let made_by = adapter.as_ref().map(|wanted| wanted.fingerprint.clone());
        let Some(choices) = question.choices else {
            let stops = [ANSWER_END.to_owned()];
            let tokens_max = question.tokens_max;
            let ask = Ask { adapter, tokens_max, stops: &stops, likelihoods: Some(0), ..Ask::of(prompt) };
            let (written, logprob) = continuation(self.submit(ask, PARAM, deadline)?).await?;
            return Ok(ShortAnswer::written(&written, logprob, made_by));
        };
        let choices = Choices::new(&weights, choices)?;
        let tokens_max = choices.longest() as u64;
        let ask = Ask { adapter, tokens_max, choices: choices.tokens.clone(), ..Ask::of(prompt) };
        if ask.prompt.len() + choices.longest() > self.context_tokens() {
            let tokens = ask.prompt.len() + choices.longest();
            return Err(errors::too_long(tokens, self.context_tokens(), PARAM));
        }
        let (choice, usage) = choice(self.submit(ask, PARAM, deadline)?).await?;
        choices.answer(&choice, usage, made_by)
    }

    fn weights(&self) -> Arc<Weights> {
        Arc::clone(&self.inner.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The tokens of a raw prompt that comes by the field `param`.
    fn tokens_of_prompt(&self, prompt: &str, param: &str) -> Result<Vec<LlamaToken>, Error> {
        let prompt = self.weights().tokens_of_prompt(prompt).ok_or_else(|| self.far_too_long(param))?;
        if prompt.is_empty() {
            return Err(Error::field(param, format!("`{param}` must not be empty.")));
        }
        Ok(prompt)
    }

    fn prompt_of(&self, request: &ChatRequest) -> Result<Vec<LlamaToken>, Error> {
        let weights = self.weights();
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
        let tokens_max = usize::try_from(ask.tokens_max).unwrap_or(usize::MAX).clamp(1, room);
        let (sender, receiver) = mpsc::channel(Job::events_max(tokens_max));
        let job = Job {
            adapter: ask.adapter,
            choices: ask.choices,
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
    adapter: Option<Wanted>,
    choices: Vec<Vec<LlamaToken>>,
    prompt: Vec<LlamaToken>,
    tokens_max: u64,
    stops: &'a [String],
    choosing: Choosing,
    likelihoods: Option<usize>,
}

impl Ask<'_> {
    /// The likeliest continuation of `prompt` by the base alone.
    fn of(prompt: Vec<LlamaToken>) -> Self {
        let choosing =
            Choosing { temperature: 0.0, top_p: 1.0, seed: 0, frequency_penalty: 0.0, presence_penalty: 0.0 };
        Self {
            adapter: None,
            choices: Vec::new(),
            prompt,
            tokens_max: u64::MAX,
            stops: &[],
            choosing,
            likelihoods: None,
        }
    }
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
