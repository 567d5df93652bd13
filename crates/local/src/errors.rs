//! Every failure of the model in the process, in words.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use api::{Error, Fault, Source};

/// The model cannot be loaded; `what` says why and what to do, the log also gets the path.
pub(crate) fn not_loaded(what: impl Into<String>, path: &Path) -> Error {
    Error::new(Fault::Unavailable, "local_model_not_loaded", what).with_detail(path.display())
}

/// An adapter cannot be laid on the model; `why` says so and what to do, the log also gets the path.
pub(crate) fn adapter_unfit(name: &str, why: &str, path: &Path) -> Error {
    let message = format!("The adapter `{name}` cannot be loaded: {why}.");
    Error::new(Fault::Unavailable, "adapter_not_loaded", message).with_detail(path.display())
}

/// No adapter of that name is on the model.
pub(crate) fn no_adapter(name: &str) -> Error {
    let message = format!("The in-process model has no adapter `{name}` now; train or load it first.");
    Error::new(Fault::Unavailable, "adapter_not_found", message)
}

/// Every context is taken and the queue is full.
pub(crate) fn queue_full(queue_max: usize) -> Error {
    let message = format!(
        "The in-process model is busy and {queue_max} requests wait for it already; try again later or elsewhere."
    );
    Error::new(Fault::Unavailable, "local_queue_full", message)
        .with_retry_after(Duration::from_secs(1))
        .retryable()
}

/// The model is going away while requests are under way.
pub(crate) fn closing() -> Error {
    let message = "The in-process model is being shut down; try again.";
    Error::new(Fault::Unavailable, "local_model_closing", message)
        .with_retry_after(Duration::from_secs(1))
        .retryable()
}

/// The deadline passed first.
pub(crate) fn too_slow() -> Error {
    let message = "The in-process model had not finished when the request's time ran out; \
                   allow it more time or fewer tokens (`max_completion_tokens`).";
    let mut error = Error::new(Fault::UpstreamTimeout, "local_timeout", message);
    error.source = Source::Gateway;
    error
}

/// The prompt leaves no room for an answer.
pub(crate) fn too_long(tokens: impl Display, limit: usize, param: &str) -> Error {
    let message = format!(
        "The prompt is {tokens} tokens long and the in-process model's context holds {limit}, answer included; \
         shorten the prompt or use another model."
    );
    Error::new(Fault::Unprocessable, "context_length_exceeded", message).with_param(param)
}

/// The model cannot do what a field asks for.
pub(crate) fn cannot(code: &'static str, param: impl Into<String>, message: impl Into<String>) -> Error {
    Error::new(Fault::Unprocessable, code, message).with_param(param)
}
