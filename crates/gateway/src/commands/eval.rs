//! `pointsman eval`: quality on a file of examples.

mod noise;
mod routing;
mod signals;

use std::path::Path;

use crate::Failure;
use crate::cli::EvalCommand;

/// Measures what the user asked for.
pub(crate) fn eval(config: &Path, command: EvalCommand) -> Result<(), Failure> {
    match command {
        EvalCommand::Signals { data, json } => signals::signals(config, &data, json),
        EvalCommand::Routing { data, train, folds, groups_out, json } => {
            let task = routing::Task {
                data: &data,
                train: train.as_deref(),
                folds: usize::from(folds),
                groups_out,
                json,
            };
            routing::routing(config, &task)
        }
    }
}
