//! What the user can type. No decision is made here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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
    /// Feed and ask a store of documents.
    Index(IndexArgs),
    /// Closed tasks: their labels, and the local models that are trained from them.
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

/// Which store, and what to do with it.
#[derive(Debug, Args)]
pub(crate) struct IndexArgs {
    /// The store: NAME of a section `store.NAME` in gateway.toml; without it the section `index`.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) store: Option<String>,

    #[command(subcommand)]
    pub(crate) command: IndexCommand,
}

/// What to do with a store.
#[derive(Debug, Subcommand)]
pub(crate) enum IndexCommand {
    /// Take over what has changed in the store's corpus: what is new or changed is embedded, what is gone is taken out; what was
    /// added, uploaded and removed stays so. Ends with 65 where a file could not be read; the others are indexed.
    Build {
        /// The files and folders that the store is to hold instead of all that it held, uploads included.
        paths: Vec<PathBuf>,
        /// Embed every document anew, also what has not changed; what was added and uploaded before is forgotten.
        #[arg(long)]
        fresh: bool,
    },
    /// Add files and folders to what the store holds, for good.
    Add {
        /// Files and folders; documents of the same name are replaced.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Take documents out. They stay out until they are added or uploaded again, or the store is built of other paths.
    Remove {
        /// Names of documents, as `list` prints them, or of folders.
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Print the passages found for a question, with its words marked.
    Search {
        /// The question.
        question: String,
        /// How many passages.
        #[arg(long, default_value_t = 5)]
        passages: usize,
        /// Only in this folder or document.
        #[arg(long)]
        scope: Option<String>,
        /// Only documents with such attributes: {"type": "eq", "key": "year", "value": 2024}.
        #[arg(long, value_name = "JSON")]
        filter: Option<String>,
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Print the documents that the store holds, with the number of their passages.
    List {
        /// Print JSON lines instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Print how much the store holds.
    Stats {
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
    },
}

/// What to do with tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// Train a version from the task's labels, and let it serve as far as its certificate allows.
    Train {
        /// The task's name: letters, digits, `-` and `_`. A task that no file declares has all defaults.
        name: String,
        /// Take in a JSONL file of `{"text", "label"}` first.
        #[arg(long)]
        data: Option<PathBuf>,
        /// Give everything else on this machine precedence.
        #[arg(long)]
        background: bool,
    },
    /// Print the tasks, and the prompts that look like tasks which nobody has declared.
    List {
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Print a task's labels, versions, certificate, watch and events.
    Show {
        /// The task's name.
        name: String,
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Print what a task's model says of a text.
    Ask {
        /// The task's name.
        name: String,
        /// The text: what the requests of this task bring, without their instructions.
        text: String,
    },
    /// Label a text by hand; it outranks what files and models say.
    Label {
        /// The task's name.
        name: String,
        /// The text.
        #[arg(long)]
        text: String,
        /// Its label, as the task's answers are written: a label, several with commas between, a number.
        #[arg(long)]
        label: String,
        /// The tenant whose request it was; without it the label is for everybody.
        #[arg(long, default_value = "")]
        tenant: String,
    },
    /// Print the labels as JSONL, with who said each, when, and for whom.
    Export {
        /// The task's name.
        name: String,
    },
    /// Erase labels for good. Versions that were trained from them stay: train again, or roll back.
    Erase {
        /// The task's name.
        name: String,
        /// Only those of this tenant.
        #[arg(long)]
        tenant: Option<String>,
        /// Only those from before this moment, in milliseconds since 1970.
        #[arg(long, value_name = "MS")]
        before: Option<u64>,
        /// Only those of texts that hold this.
        #[arg(long)]
        text: Option<String>,
        /// Only those that this source has said: model, import, human.
        #[arg(long, value_parser = ["model", "import", "human"])]
        by: Option<String>,
        /// All of them.
        #[arg(long, conflicts_with_all = ["tenant", "before", "text", "by"])]
        all: bool,
    },
    /// Let this version answer, whatever its certificate says of how much.
    Promote {
        /// The task's name.
        name: String,
        /// The version's number.
        version: u32,
    },
    /// Go back to the version that answered before.
    Rollback {
        /// The task's name.
        name: String,
    },
    /// Declare a proposed task: writes its file into the folder of tasks, where it can be edited.
    Adopt {
        /// The proposal, as `list` prints it.
        id: String,
        /// The task's name; without it one is made from the proposal's.
        #[arg(long = "as", value_name = "NAME")]
        name: Option<String>,
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
    /// Search, on a folder in the layout of BEIR (corpus.jsonl, queries.jsonl, qrels/*.tsv; gzip where the name ends in .gz):
    /// BM25, vectors and both; quality and time; with other questions, whether coverage tells them apart.
    Retrieval {
        /// The folder.
        #[arg(long)]
        dir: PathBuf,
        /// A folder of the same layout whose questions this corpus does not cover.
        #[arg(long)]
        foreign: Vec<PathBuf>,
        /// Where the index is kept for the next time; without it, it is built for this one run.
        #[arg(long)]
        index: Option<PathBuf>,
        /// Learn from the questions how coverage is estimated, and write it to this file: `coverage` of a store in
        /// gateway.toml.
        #[arg(long, requires = "foreign")]
        learn: Option<PathBuf>,
        /// The share of the questions of this corpus that what is learnt may refuse.
        #[arg(long, default_value_t = 0.05, requires = "learn")]
        wrong_refusals_max: f32,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Answers from passages, on a folder in the layout of BEIR whose queries carry `answers` or `impossible`: exact match, F1,
    /// citations and refusals; with the passage that holds the answer, and end to end.
    Answers {
        /// The folder.
        #[arg(long)]
        dir: PathBuf,
        /// A model of the process in models.toml that reads as well: without passages, and with them.
        #[arg(long)]
        model: Option<String>,
        /// The most questions, taken at even distances.
        #[arg(long, default_value_t = 500)]
        questions: usize,
        /// Where the index is kept for the next time; without it, it is built for this one run.
        #[arg(long)]
        index: Option<PathBuf>,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// The local model of a closed task, on lines of `{"text", "label"}`.
    Task {
        /// What it is trained from.
        #[arg(long)]
        train: PathBuf,
        /// What it is measured on; without it, by cross-validation.
        #[arg(long)]
        test: Option<PathBuf>,
        /// Texts that belong to no label.
        #[arg(long)]
        ood: Option<PathBuf>,
        /// What the labels are.
        #[arg(long, value_parser = ["classification", "multi_label", "regression"], default_value = "classification")]
        kind: String,
        /// How far a number may be from the truth and still agree with it.
        #[arg(long, default_value_t = 0.5)]
        tolerance: f32,
        /// Without the words of the texts, by their vectors alone.
        #[arg(long)]
        no_words: bool,
        /// Also certify on so many random halves and count how often the promise breaks on the other half.
        #[arg(long, value_name = "N", default_value_t = 0)]
        splits: usize,
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
