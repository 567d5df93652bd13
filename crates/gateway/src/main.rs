//! Pointsman: each request goes down the cheapest track that will get it there.
//!
//! This package is the process: it listens, carries each exchange through its life, reloads, drains, and is the command
//! line. What it knows of deciding, finding, calling and paying is in its sibling crates.

mod admin;
mod admission;
mod answered;
mod body;
mod cli;
mod commands;
#[cfg(test)]
mod corpus;
mod data;
mod decider;
mod decisions;
mod exchange;
mod explain;
mod framing;
mod house;
mod journal;
mod latencies;
mod listener;
mod live;
mod metrics;
mod opinions;
mod outcomes;
mod reader;
mod reload;
mod renew;
mod serve;
mod settings;
mod stated;
mod stores;
mod surroundings;
mod tasks;
mod training;
mod vector_stores;
mod wishes;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use commands::Subject;

/// Why a command ended without doing its work, as an exit status of `sysexits.h`.
pub(crate) enum Failure {
    /// The operator's files or arguments are wrong: 64.
    Wrong(String),
    /// Something that should be there is not: a model file, a free port: 69.
    Unavailable(String),
    /// Some of the data could not be read; the rest was: 65.
    Partly(String),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Serve => serve::serve(&cli.config),
        Command::Check { files_only } => commands::check(&cli.config, files_only),
        Command::Train => commands::train(&cli.config),
        Command::Explain { text, decision, system, model, json } => {
            let subject = match (&decision, &text) {
                (Some(id), _) => Subject::Decision(id),
                (None, text) => Subject::Prompt {
                    text: text.as_deref().unwrap_or("-"),
                    system: system.as_deref(),
                    model: &model,
                },
            };
            commands::explain(&cli.config, &subject, json)
        }
        Command::Index(command) => commands::index(&cli.config, command),
        Command::Task(command) => commands::task(&cli.config, command),
        Command::Outcomes(command) => commands::outcomes(&cli.config, command),
        Command::Report { json } => commands::report(&cli.config, json),
        Command::Eval(command) => commands::eval(&cli.config, command),
    };
    let (status, said) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Wrong(said)) => (64, said),
        Err(Failure::Partly(said)) => (65, said),
        Err(Failure::Unavailable(said)) => (69, said),
    };
    commands::say_error(&said);
    ExitCode::from(status)
}
