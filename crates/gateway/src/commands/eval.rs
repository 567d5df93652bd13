//! `pointsman eval`: quality on a file of examples.

mod answers;
mod corpus;
mod coverage;
mod noise;
mod retrieval;
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
        EvalCommand::Retrieval { dir, foreign, index, learn, wrong_refusals_max, json } => {
            let subject = retrieval::Subject {
                dir: &dir,
                foreign: &foreign,
                index: index.as_deref(),
                learn: learn.as_deref().map(|file| coverage::Lesson { file, wrong_refusals_max }),
                json,
            };
            retrieval::retrieval(config, &subject)
        }
        EvalCommand::Answers { dir, model, questions, index, json } => {
            let subject = answers::Subject {
                dir: &dir,
                model: model.as_deref(),
                questions,
                index: index.as_deref(),
                json,
            };
            answers::answers(config, &subject)
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
