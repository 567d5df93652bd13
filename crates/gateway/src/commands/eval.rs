//! `pointsman eval`: quality on a file of examples.

mod noise;
mod signals;

use std::path::Path;

use crate::Failure;
use crate::cli::EvalCommand;

/// Measures what the user asked for.
pub(crate) fn eval(config: &Path, command: EvalCommand) -> Result<(), Failure> {
    match command {
        EvalCommand::Signals { data, json } => signals::signals(config, &data, json),
    }
}
