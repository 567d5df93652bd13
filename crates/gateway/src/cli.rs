//! What the user can type. No decision is made here.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// A retrieval-augmented routing gateway for language-model traffic.
#[derive(Debug, Parser)]
#[command(name = "pointsman", version, about, max_term_width = 110)]
pub(crate) struct Cli {
    /// The gateway's own file; the policy, the models and everything else are found from it.
    #[arg(long, short, global = true, value_name = "FILE", default_value = "config/gateway.toml")]
    pub(crate) config: PathBuf,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve until SIGTERM or SIGINT; SIGHUP or a changed file reloads the configuration.
    Serve,
    /// Read every configuration file, tell all mistakes at once, and report the classifiers' cross-validated accuracy.
    Check {
        /// Only read the files: no models are loaded, nothing is trained.
        #[arg(long)]
        files_only: bool,
    },
    /// Train the classifier of requests from the exemplars, unless it is trained already. A gateway does so by itself; this
    /// is for images and for hosts that should start at once.
    Train,
    /// Tell what would happen to a prompt, and why, without calling anything; or what a past request was decided by.
    Explain {
        /// The prompt; `-`, or nothing, reads it from standard input.
        text: Option<String>,
        /// A decision of the past instead: the value of `x-pointsman-decision`, or the answer's id.
        #[arg(long, value_name = "ID", conflicts_with_all = ["text", "system", "model"])]
        decision: Option<String>,
        /// A system prompt that goes before it.
        #[arg(long)]
        system: Option<String>,
        /// The model that the request names.
        #[arg(long, default_value = "auto")]
        model: String,
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Build and ask the index.
    #[command(subcommand)]
    Index(IndexCommand),
    /// Train and list local models for closed tasks.
    #[command(subcommand)]
    Task(TaskCommand),
    /// Teach the estimates of quality from recorded outcomes.
    #[command(subcommand)]
    Outcomes(OutcomesCommand),
    /// Cost, tokens and latency by day, track and model, beside what the reference model would have cost.
    Report {
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Measure quality on a file of examples.
    #[command(subcommand)]
    Eval(EvalCommand),
}

/// What to do with the index.
#[derive(Debug, Subcommand)]
pub(crate) enum IndexCommand {
    /// Build the index from files and folders (Markdown, text, HTML, JSONL) and swap it in.
    Build {
        /// Files and folders; without any, `index.corpus` of the configuration.
        paths: Vec<PathBuf>,
    },
    /// Print the passages found for a question.
    Search {
        /// The question.
        question: String,
        /// How many passages.
        #[arg(long, default_value_t = 5)]
        passages: usize,
    },
    /// Print what the index holds.
    Stats,
}

/// What to do with tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// Train a head from a JSONL file of `{"text", "label"}` and serve it as `task/NAME`.
    Train {
        /// The task's name: letters, digits, `-` and `_`.
        name: String,
        /// The labelled examples.
        #[arg(long)]
        data: PathBuf,
    },
    /// Print the trained tasks.
    List,
    /// Print what a trained task says of a text.
    Ask {
        /// The task's name.
        name: String,
        /// The text.
        text: String,
    },
}

/// What to do with outcomes.
#[derive(Debug, Subcommand)]
pub(crate) enum OutcomesCommand {
    /// Take in a JSONL file of `{"id", "prompt", "group", "models": {NAME: {"score", "cost"}}}` (gzip where the name ends in
    /// .gz) and learn from all outcomes. A file of the same name takes the place of the earlier one.
    Import {
        /// The outcomes.
        file: PathBuf,
        /// The name of a model in the file, and its name in models.toml; may be given several times.
        #[arg(long = "as", value_name = "NAME=MODEL")]
        rename: Vec<String>,
    },
    /// Print what is known, and how well it foretells outcomes that were held out.
    List,
    /// Forget a source of outcomes, and learn anew from the others.
    Remove {
        /// The source's name, as `list` prints it.
        name: String,
    },
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum EvalCommand {
    /// Routing by recorded outcomes, on lines of `{"id", "prompt", "group", "models": {NAME: {"score", "cost"}}}` (gzip
    /// where the name ends in .gz), beside prompt length alone, no routing, and foreknowledge.
    Routing {
        /// The outcomes to judge on.
        #[arg(long)]
        data: PathBuf,
        /// Outcomes to learn from; without it, `data` is cross-validated.
        #[arg(long, conflicts_with_all = ["folds", "groups_out"])]
        train: Option<PathBuf>,
        /// Folds of the cross-validation.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=50))]
        folds: u8,
        /// Leave whole groups out in each fold.
        #[arg(long)]
        groups_out: bool,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// The signals, on lines of `{"text"|"messages", "labels": {signal: value}}`.
    Signals {
        /// The labelled prompts.
        #[arg(long)]
        data: PathBuf,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
}
