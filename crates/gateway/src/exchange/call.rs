//! The plan's targets in order, until one gives an answer that passes its checks. Retries end at the first chunk.

use std::sync::Arc;
use std::time::Instant;

use api::{BrokenStream, ChatRequest, Chunk, Chunks, Completion, Error, Fault, Gather, Reply, Source, Usage};
use futures_util::StreamExt;
use http::{HeaderName, HeaderValue};
use models::Failed;

use super::decide::Decided;
use super::ground::Grounded;
use super::{Step, Ticket, check, cite};
use crate::decider::Insight;
use crate::house::{Backend, now_s};
use crate::reader;
use crate::tasks::said;
use crate::tasks::tuned::lay_on;
use crate::tasks::{Case, Named, Opinion, Task, Writer, in_share, with_examples};

/// Chunks without a word that are read before an answer counts as begun.
const SILENT_CHUNKS_MAX: usize = 64;
/// Tokens of an answer that continues examples.
const SHOT_TOKENS_MAX: u64 = 64;

/// An exchange with an answer that has begun.
pub(crate) struct Called {
    pub(crate) decided: Decided,
    pub(crate) answer: Answer,
    /// The sources that end a streamed answer, and what is said of them.
    pub(crate) sources: Vec<api::Citation>,
}

/// An answer, whole or begun.
pub(crate) enum Answer {
    Whole(Box<Completion>),
    /// What has been read so far, of which the last chunk says something, and the rest.
    Stream {
        read: Vec<Chunk>,
        rest: Chunks,
    },
}

impl Grounded {
    /// Calls the targets of the plan, one after another, while there is reason to go on.
    pub(crate) async fn call(mut self) -> Step<Called> {
        if let Some(ground) = self.ground.as_ref().filter(|ground| !ground.covers()) {
            let answer = ground.not_covered(self.decided.ticket.id(), now_s());
            return Ok(self.not_covered(answer));
        }
        let plan = Arc::clone(&self.decided.plan);
        let mut targets = plan.targets.iter();
        let mut trouble = Error::internal("a plan without targets");
        let mut outgrown = 0;
        while let Some(target) = targets.next() {
            if self.context_tokens(&target.model) <= outgrown {
                // What was too long for the one before is too long for this one.
                continue;
            }
            let last = !targets.clone().any(|later| self.context_tokens(&later.model) > outgrown);
            match self.attempt(&target.model, last).await {
                Ok(answer) => {
                    let cites = self.ground.as_ref().filter(|_| target.model != policy::EXTRACTIVE);
                    let sources = cites.map(|ground| knowledge::cite(&ground.findings)).unwrap_or_default();
                    self.decided.ticket.stage("call");
                    return Ok(Called { decided: self.decided, answer, sources });
                }
                Err(error) => {
                    self.decided.ticket.failed_attempt();
                    let stop = last || !goes_on(&error) || Instant::now() >= self.decided.deadline();
                    if !stop {
                        tracing::info!(id = %self.decided.ticket.id(), model = %target.model, %error, "next target");
                    }
                    if error.code == "context_length_exceeded" {
                        outgrown = outgrown.max(self.context_tokens(&target.model));
                    }
                    trouble = error;
                    if stop {
                        break;
                    }
                }
            }
        }
        if let Some(ground) = self.ground.as_ref().filter(|_| cite::is_ungrounded(&trouble)) {
            let answer = ground.not_covered(self.decided.ticket.id(), now_s());
            return Ok(self.not_covered(answer));
        }
        Err(self.decided.ticket.refuse(&trouble))
    }

    /// When a target must have answered: all the time that is left, or half of it while others wait for their turn. A stream
    /// that the client reads has shown that it goes well once it is open.
    fn deadline(&self, alone: bool) -> Instant {
        let whole = self.decided.deadline();
        let left = whole.saturating_duration_since(Instant::now());
        if alone { whole } else { whole - left / 2 }
    }

    /// Tokens that a model takes, prompt and answer together.
    fn context_tokens(&self, model: &str) -> u64 {
        let catalogue = self.decided.ticket.live.policies.catalogue();
        catalogue.get(model).map_or(u64::MAX, |model| model.context_tokens)
    }

    /// The honest answer where the passages do not bear out any other.
    fn not_covered(mut self, answer: Completion) -> Called {
        self.decided.ticket.attempt(policy::EXTRACTIVE);
        self.decided.ticket.failed_attempt();
        Called { decided: self.decided, answer: Answer::Whole(Box::new(answer)), sources: Vec::new() }
    }

    /// Whether a model's answer is checked against the passages.
    fn is_checked(&self, model: &str) -> bool {
        let checked = self.ground.as_ref().is_some_and(|ground| ground.grounding.checked);
        // Both quote: what they say stands in a passage.
        checked && model != policy::EXTRACTIVE && !self.decided.ticket.house.is_in_process(model)
    }

    async fn attempt(&mut self, model: &str, last: bool) -> Result<Answer, Error> {
        self.decided.ticket.attempt(model);
        // An answer that is to be checked is not given before it is whole.
        let checked = self.is_checked(model) || !last && check::holds_streams(&self.decided.plan.checks);
        let held = checked || self.decided.plan.on_broken_stream == BrokenStream::Hold;
        let streams = self.decided.request.stream && !held;
        let opened = self.open(model, last, self.deadline(last || streams)).await?;
        match (opened, streams) {
            (Answer::Stream { read, rest }, false) => {
                let whole = self.decided.ticket.waiting(gather(read, rest)).await?;
                self.accept(model, whole, last).await
            }
            (Answer::Whole(completion), _) => self.accept(model, *completion, last).await,
            (stream, true) => Ok(stream),
        }
    }

    /// Charges a whole answer and checks it; one that fails its check is paid for all the same.
    async fn accept(&mut self, model: &str, mut completion: Completion, last: bool) -> Result<Answer, Error> {
        let usage = completion.usage.clone();
        let usage = usage.unwrap_or_else(|| estimated(&self.decided, answer_bytes(&completion)));
        completion.usage = Some(usage.clone());
        if completion.created == 0 {
            // Not every dialect says when.
            completion.created = now_s();
        }
        self.decided.ticket.charge(&usage);
        if !last {
            check::check(&self.decided.plan.checks, &self.decided.request, &completion)?;
        }
        if !self.decided.request.sampling.logprobs {
            check::without_logprobs(&mut completion);
        }
        if self.is_checked(model) {
            completion = self.verified(completion).await?;
        } else if let Some(ground) = self.ground.as_ref().filter(|_| model != policy::EXTRACTIVE) {
            cite::unchecked(&mut completion, ground, &self.decided.request.contract);
        }
        Ok(Answer::Whole(Box::new(completion)))
    }

    /// Holds an answer against its passages.
    async fn verified(&mut self, completion: Completion) -> Result<Completion, Error> {
        let Some(ground) = self.ground.take() else { return Ok(completion) };
        let ground = Arc::new(ground);
        let (reading, contract) = (Arc::clone(&ground), self.decided.request.contract.clone());
        let encoder = Arc::clone(&self.decided.ticket.house.decider.encoder);
        let ticket = &mut self.decided.ticket;
        let verified =
            blocking(ticket, move || cite::checked(completion, &reading, &contract, &*encoder)).await;
        self.ground = Arc::into_inner(ground);
        verified
    }

    /// Opens an answer: whole, or with its first words at hand.
    async fn open(&mut self, model: &str, last: bool, deadline: Instant) -> Result<Answer, Error> {
        let ticket = &mut self.decided.ticket;
        let id = format!("chatcmpl-{}", ticket.id());
        let house = Arc::clone(&ticket.house);
        let request = match &self.ground {
            Some(ground) if model != policy::EXTRACTIVE => &ground.request(&self.decided.request)?,
            _ => &self.decided.request,
        };
        let shown = ticket.live.is_external(model).then(|| shown(&self.decided.insight, request)).flatten();
        self.decided.with_examples = shown.as_ref().map(Shown::has_examples);
        let request = match &shown {
            Some(Shown::With(request)) => &**request,
            Some(Shown::Without) | None => request,
        };
        let supports =
            ticket.live.policies.catalogue().get(model).is_some_and(|model| model.supports.logprobs);
        let checked = check::with_logprobs(&self.decided.plan.checks, request).filter(|_| supports && !last);
        let request = checked.as_ref().unwrap_or(request);
        let backend = house.backend(model)?;
        let reply = match &*backend {
            Backend::Task => {
                let name = model.trim_start_matches(policy::TASK_PREFIX);
                let task = house.decider.tasks.load().get(name)?;
                // Who names the task wants its answer, whatever its certificate says; nobody else gets it uncovered.
                let must = self.decided.request.model == model;
                let call = TaskCall { task, request: request.clone(), id, must };
                let case = &mut self.decided.insight.case;
                Reply::Whole(Box::new(call.answer(ticket, case, deadline).await?))
            }
            Backend::Extractive => {
                let Some(ground) = self.ground.take() else {
                    return Err(Error::new(
                        Fault::Unprocessable,
                        "nothing_to_read",
                        "The extractive reader only quotes from the index: send this with `model: \"auto\"`.",
                    ));
                };
                let ground = Arc::new(ground);
                let reading = Arc::clone(&ground);
                let answer = blocking(ticket, move || reading.quote(&house, &id, now_s())).await;
                self.ground = Arc::into_inner(ground);
                Reply::Whole(Box::new(answer?))
            }
            Backend::Llama(local) => match &self.ground {
                Some(ground) => {
                    let read = ticket.waiting(reader::read(local, ground, deadline)).await?;
                    Reply::Whole(Box::new(read.completion(ground, &id)))
                }
                None => match self.decided.insight.case.as_ref().filter(|case| !case.shots.is_empty()) {
                    Some(case) => {
                        let written = continue_shots(local, case, request, &id, model, deadline);
                        Reply::Whole(Box::new(ticket.waiting(written).await?))
                    }
                    None => {
                        if self.decided.plan.on_broken_stream == BrokenStream::Resume && request.stream {
                            self.decided.sent = Some(Box::new(request.clone()));
                        }
                        Reply::Stream(local.chat(request, &id, now_s(), model, deadline)?)
                    }
                },
            },
            Backend::Upstream { upstream, id: model_id } => {
                if self.decided.plan.on_broken_stream == BrokenStream::Resume && request.stream {
                    self.decided.sent = Some(Box::new(request.clone()));
                }
                let trace = trace_headers(ticket);
                let called = upstream.chat(model_id, request, deadline, &trace);
                let answered = match ticket.waiting(called).await {
                    Ok(answered) => answered,
                    Err(Failed { error, attempts }) => {
                        ticket.attempted(attempts);
                        return Err(error);
                    }
                };
                ticket.attempted(answered.attempts);
                if answered.hedged {
                    ticket.charge_hedge();
                }
                answered.reply
            }
            Backend::Missing(why) => {
                return Err(Error::new(Fault::Unavailable, "target_unavailable", why.clone()));
            }
        };
        match reply {
            Reply::Whole(completion) => Ok(Answer::Whole(completion)),
            Reply::Stream(rest) => begin(ticket, rest).await,
        }
    }
}

/// A prompt for a large model that examples of its task could help.
enum Shown {
    With(Box<ChatRequest>),
    /// Left as it came, to see what examples do.
    Without,
}

impl Shown {
    fn has_examples(&self) -> bool {
        matches!(self, Self::With(_))
    }
}

/// The request with the nearest labelled examples of its task; `None` where there are none to be shown.
fn shown(insight: &Insight, request: &ChatRequest) -> Option<Shown> {
    let case = insight.case.as_ref().filter(|case| !case.shots.is_empty())?;
    let spec = case.task.spec();
    let told = with_examples(request, &spec, &case.shots)?;
    // Salted, so that the same requests do not also share a canary.
    let without = in_share(&format!("without {}", case.input), spec.few.without_share);
    Some(if without { Shown::Without } else { Shown::With(Box::new(told)) })
}

/// A request to a task's model.
struct TaskCall {
    task: Arc<Task>,
    request: ChatRequest,
    id: String,
    /// It answers even what its certificate does not cover.
    must: bool,
}

impl TaskCall {
    /// Answers. What a version writes only now is noted in `case`, for whoever looks back at it.
    async fn answer(
        self,
        ticket: &mut Ticket,
        case: &mut Option<Case>,
        deadline: Instant,
    ) -> Result<Completion, Error> {
        let own = case.as_mut().filter(|case| Arc::ptr_eq(&case.task, &self.task));
        let input = match &own {
            Some(case) => case.input.clone(),
            None => self.input(),
        };
        let (known, writer) = match &own {
            Some(case) => (case.opinion.clone(), case.writer.clone()),
            None => (None, None),
        };
        let opinion = match (known, writer) {
            (Some(opinion), _) => opinion,
            (None, Some(writer)) => self.write(ticket, &writer, &input, deadline).await?,
            (None, None) => {
                let (task, house) = (Arc::clone(&self.task), Arc::clone(&ticket.house));
                let (asked, vector) = (input.clone(), own.as_ref().and_then(|case| case.vector.clone()));
                match blocking(ticket, move || task.ask(&asked, vector, &house.decider.encoder)).await? {
                    Named::Says(opinion) => *opinion,
                    Named::Writes(writer) => self.write(ticket, &writer, &input, deadline).await?,
                }
            }
        };
        if let Some(case) = own {
            case.opinion = Some(opinion.clone());
        }
        if !opinion.accepted && !self.must {
            let said = format!("The certificate of task/{} does not cover this request.", self.task.name);
            return Err(Error::new(Fault::Unprocessable, "task_unsure", said));
        }
        let encoder = &*ticket.house.decider.encoder;
        Ok(opinion.completion(&self.task.name, &input, &self.request, encoder, &self.id, now_s()))
    }

    fn input(&self) -> String {
        let (system, user) = (self.request.system_text(), self.request.last_user_text());
        self.task.spec().input(&system, &user).unwrap_or(&user).to_owned()
    }

    /// Asks a version that writes, on the model in the process that its adapter belongs to.
    async fn write(
        &self,
        ticket: &mut Ticket,
        writer: &Writer,
        input: &str,
        deadline: Instant,
    ) -> Result<Opinion, Error> {
        let base = writer.version.adapter().map(|adapted| adapted.base.clone()).unwrap_or_default();
        let backend = ticket.house.backend(&base)?;
        let Backend::Llama(local) = &*backend else {
            let message =
                format!("The model `{base}`, which task/{} is an adapter of, is not loaded.", self.task.name);
            return Err(Error::new(Fault::Unavailable, "target_unavailable", message));
        };
        let (name, wanted) = (self.task.adapter_name(&writer.version), ticket.house.adapters(&base));
        let model = local.clone();
        blocking(ticket, move || lay_on(&model, &name, &wanted)).await?;
        ticket.waiting(writer.write(&self.task, local, input, deadline)).await
    }
}

/// A task's answer by a small model in the process, which continues a list of examples far better than it follows
/// instructions (27 of 30 against 14 on sentiment).
async fn continue_shots(
    local: &local::Model,
    case: &Case,
    request: &ChatRequest,
    id: &str,
    model: &str,
    deadline: Instant,
) -> Result<Completion, Error> {
    let shots: Vec<(String, String)> =
        case.shots.iter().map(|shot| (shot.input.clone(), said::in_contract(&shot.truth, request))).collect();
    let labels = case.task.choices();
    let question = local::Question {
        adapter: None,
        layout: None,
        shots: &shots,
        input: &case.input,
        choices: Some(labels.as_slice()).filter(|labels| !labels.is_empty()),
        tokens_max: request.sampling.max_tokens.unwrap_or(SHOT_TOKENS_MAX).min(SHOT_TOKENS_MAX),
    };
    let answer = local.short_answer(&question, deadline).await?;
    Ok(Completion::of_text(id, now_s(), model, answer.text, answer.usage))
}

/// Waits for the first words: a target that fails before them can still be replaced.
async fn begin(ticket: &mut Ticket, mut rest: Chunks) -> Result<Answer, Error> {
    let mut read = Vec::with_capacity(2);
    let mut first_ms = None;
    while read.len() < SILENT_CHUNKS_MAX {
        match ticket.waiting(rest.next()).await {
            Some(chunk) => read.push(chunk?),
            None if read.is_empty() => return Err(empty()),
            None => break,
        }
        first_ms.get_or_insert(ticket.elapsed().as_secs_f64() * 1e3);
        if read.last().is_some_and(Chunk::says_something) {
            break;
        }
    }
    ticket.record.first_token_ms = first_ms;
    Ok(Answer::Stream { read, rest })
}

/// A reply as a whole answer.
pub(super) async fn gather_reply(reply: Reply) -> Result<Completion, Error> {
    match reply {
        Reply::Whole(completion) => Ok(*completion),
        Reply::Stream(mut chunks) => match chunks.next().await {
            Some(first) => gather(vec![first?], chunks).await,
            None => Err(empty()),
        },
    }
}

fn empty() -> Error {
    Error::new(Fault::UpstreamFailed, "upstream_empty", "The model ended its answer before it began.")
}

async fn gather(read: Vec<Chunk>, mut rest: Chunks) -> Result<Completion, Error> {
    let mut gather = Gather::new();
    read.iter().for_each(|chunk| gather.push(chunk));
    while let Some(chunk) = rest.next().await {
        gather.push(&chunk?);
    }
    Ok(gather.finish())
}

async fn blocking<T: Send + 'static>(
    ticket: &mut Ticket,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    ticket.waiting(tokio::task::spawn_blocking(work)).await.map_err(Error::internal)?
}

/// Whether another target may fare better: the trouble is the target's, not the request's.
fn goes_on(error: &Error) -> bool {
    match error.fault {
        // The upstream says that the request is wrong: so will the next one, unless the request was too long for it, or
        // what it refused is the operator's: the key, the account, the model's name.
        Fault::UpstreamRefused => error.retry_safe || error.code == "context_length_exceeded",
        Fault::Unprocessable => true,
        _ => error.source != Source::Client || error.fault == Fault::RateLimited,
    }
}

fn answer_bytes(completion: &Completion) -> usize {
    completion.choices.iter().filter_map(|choice| choice.message.content.as_ref()).map(String::len).sum()
}

/// A usage for a target that gave none: four bytes a token, the usual rule of thumb for English.
pub(crate) fn estimated(decided: &Decided, answer_bytes: usize) -> Usage {
    Usage::estimated(decided.insight.signals.tokens_in, answer_bytes.div_ceil(4) as u64)
}

/// The usage that an answer tells, or an estimate by the same rule.
pub(super) fn usage_of(completion: &Completion, request: &ChatRequest) -> Usage {
    let prompt: usize = request.messages.iter().map(|message| message.content.text().len()).sum();
    completion.usage.clone().unwrap_or_else(|| {
        Usage::estimated(prompt.div_ceil(4) as u64, answer_bytes(completion).div_ceil(4) as u64)
    })
}

/// The id under which our log and the upstream's can be joined.
pub(super) fn trace_headers(ticket: &Ticket) -> Vec<(HeaderName, HeaderValue)> {
    let id = ticket.request_id().clone();
    vec![(HeaderName::from_static("x-request-id"), id)]
}
