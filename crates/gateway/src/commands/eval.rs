//! `pointsman eval`: quality on a file of examples.

mod noise;
mod routing;
mod signals;
mod task;

use std::path::Path;

use learn::task::Kind;

use crate::Failure;
use crate::cli::EvalCommand;

/// Measures what the user asked for.
pub(crate) fn eval(config: &Path, command: EvalCommand) -> Result<(), Failure> {
    match command {
        EvalCommand::Task { train, test, ood, kind, tolerance, no_words, splits, json } => {
            let subject = task::Subject {
                train: &train,
                test: test.as_deref(),
                ood: ood.as_deref(),
                kind: match kind.as_str() {
                    "multi_label" => Kind::Several,
                    "regression" => Kind::Number,
                    _ => Kind::Single,
                },
                tolerance,
                words: !no_words,
                splits,
                json,
            };
            task::task(config, &subject)
        }
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
