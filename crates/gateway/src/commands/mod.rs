//! The commands besides `serve`. The only place that prints.

mod check;
mod eval;
mod explain;
mod index;
mod outcomes;
mod report;
mod task;
mod train;

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::Path;

pub(crate) use check::check;
pub(crate) use eval::eval;
pub(crate) use explain::{Subject, explain};
pub(crate) use index::index;
pub(crate) use outcomes::outcomes;
pub(crate) use report::report;
pub(crate) use task::task;
pub(crate) use train::train;

use crate::Failure;
use crate::house::in_words;
use crate::settings::Settings;
use crate::surroundings::Surroundings;

/// Prints to stdout. A reader that has closed its end (`| head`) is no error.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// Prints to stderr, as the last words of a command that failed.
pub(crate) fn say_error(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = writeln!(out, "pointsman: {text}");
}

/// Whether somebody watches: progress bars are for people.
pub(crate) fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

/// Reads `gateway.toml`.
///
/// # Errors
/// It cannot be read, or every mistake in it.
pub(crate) fn load_settings(config: &Path) -> Result<Settings, Failure> {
    let text = fs::read_to_string(config).map_err(|error| {
        Failure::Wrong(format!("{}: cannot be read ({error}); name the file with --config", config.display()))
    })?;
    let surroundings = Surroundings::of(config);
    Settings::parse(config, &text, &|place| surroundings.look_up(place))
        .map_err(|mistakes| Failure::Wrong(mistakes.to_string()))
}

/// What went wrong, as the end of a command.
#[expect(clippy::needless_pass_by_value, reason = "handed to `map_err`, which gives it away")]
pub(crate) fn failed(error: api::Error) -> Failure {
    Failure::Unavailable(in_words(&error))
}

/// A value as indented JSON.
pub(crate) fn pretty(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map_err(|error| Failure::Unavailable(format!("no JSON: {error}")))
}
