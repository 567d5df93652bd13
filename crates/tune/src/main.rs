//! `pointsman-tune`: labelled examples in, an adapter for the in-process model out.
//!
//! Owns the command line and what is printed: progress on standard error, one line of JSON about the result on standard
//! output. The work is in the library.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::json;
use tune::{Adapter, Base, Error, Examples, Layout, Passport, Place, Progress, Report, Settings};

/// Progress is told at most so often.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Train a low-rank adapter for a small Llama-architecture model from labelled examples, on the processor.
#[derive(Debug, Parser)]
#[command(name = "pointsman-tune", version, max_term_width = 110)]
struct Cli {
    /// The model that is adapted: a GGUF file, the same that the gateway serves.
    #[arg(long, value_name = "FILE")]
    base: PathBuf,
    /// Examples: lines of JSON, {"text": input, "label": short answer}.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Where the adapter goes, a GGUF file of some megabytes. Written whole or not at all.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Rank of the corrections.
    #[arg(long, default_value_t = 8)]
    rank: usize,
    /// Layers that are adapted, from the top.
    #[arg(long, default_value_t = 12)]
    layers: usize,
    /// Times that the examples are gone through.
    #[arg(long, default_value_t = 3)]
    epochs: usize,
    /// The highest rate of a step.
    #[arg(long, value_name = "RATE", default_value_t = 1e-3)]
    lr: f64,
    /// Examples of one step.
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// Equal seeds, examples and settings give equal adapters, unless `--minutes` ends the training.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// End after so many processor minutes, loading included.
    #[arg(long)]
    minutes: Option<f64>,
    /// The text around an input, `\n` for a line break. Kept in the adapter, and used when it serves.
    #[arg(long, value_name = "TEXT", default_value = r"{input}\nAnswer:")]
    format: String,
    /// The share of examples that is kept aside to measure on (256 at most). The best epoch on them is kept.
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    hold_out: f64,
    /// Longer examples are left out.
    #[arg(long, default_value_t = 512)]
    tokens_max: usize,
    /// Threads. One is the most work for the processor time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pointsman-tune: {error}");
            ExitCode::from(error.status())
        }
    }
}

fn run(cli: &Cli) -> Result<(), Error> {
    let settings = Settings {
        rank: cli.rank,
        layers: cli.layers,
        epochs: cli.epochs,
        learning_rate: cli.lr,
        batch: cli.batch,
        seed: cli.seed,
        minutes: cli.minutes,
        layout: Layout::new(&cli.format.replace(r"\n", "\n"))?,
        hold_out: cli.hold_out,
        tokens_max: cli.tokens_max,
    };
    bind_threads(cli.threads)?;
    let place = Place::at(&cli.out)?;
    let (adapter, passport, report) = work(cli, &settings)?;
    adapter.write(place, &passport)?;
    let result = json!({
        "adapter": cli.out,
        "base": passport.base,
        "data": passport.data,
        "report": report,
        "cpu_s": tune::cpu_seconds(),
        "peak_mib": tune::peak_mib(),
    });
    println!("{result}");
    Ok(())
}

/// Starts this program anew where the variable that candle counts its threads by says otherwise: it is read once, and
/// nothing safe sets it from within.
fn bind_threads(threads: u16) -> Result<(), Error> {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        const VARIABLE: &str = "RAYON_NUM_THREADS";
        let wanted = threads.to_string();
        if std::env::var(VARIABLE).as_deref() == Ok(wanted.as_str()) {
            return Ok(());
        }
        let failed = |error| Error::Failed(format!("it cannot be started with {threads} threads: {error}"));
        let program = std::env::current_exe().map_err(failed)?;
        let arguments = std::env::args_os().skip(1);
        Err(failed(std::process::Command::new(program).args(arguments).env(VARIABLE, wanted).exec()))
    }
    #[cfg(not(unix))]
    Ok(())
}

fn work(cli: &Cli, settings: &Settings) -> Result<(Adapter, Passport, Report), Error> {
    let examples = Examples::read(&cli.data)?;
    let base = Base::load(&cli.base)?;
    eprintln!(
        "base {} ({}), {} examples, rank {} over the top {} layers",
        base.name,
        base.fingerprint,
        examples.rows.len(),
        settings.rank,
        settings.layers
    );
    let mut teller = Teller::new();
    let done = tune::train(&base, &examples, settings, &mut |progress| teller.hear(progress))?;
    if done.2.left_out > 0 {
        eprintln!("{} examples of over {} tokens were left out", done.2.left_out, settings.tokens_max);
    }
    if let Some(held_out) = &done.2.held_out {
        eprintln!(
            "held out: {} examples, exact {:.3} (without the adapter {:.3}), surprise {:.3}",
            held_out.examples, held_out.exact, held_out.exact_before, held_out.surprise
        );
    }
    Ok(done)
}

/// Tells of progress now and then.
struct Teller {
    last: Instant,
    began_s: f64,
    surprise: f64,
    heard: f64,
}

impl Teller {
    fn new() -> Self {
        let began_s = tune::cpu_seconds().unwrap_or_default();
        Self { last: Instant::now(), began_s, surprise: 0.0, heard: 0.0 }
    }

    fn hear(&mut self, progress: &Progress) {
        self.surprise += progress.surprise;
        self.heard += 1.0;
        if self.last.elapsed() < TELL_EVERY && progress.step != progress.steps {
            return;
        }
        let spent_s = tune::cpu_seconds().unwrap_or_default();
        eprintln!(
            "step {} of {}: surprise {:.3} per token, {:.0} tokens per processor second, {:.0} processor seconds",
            progress.step,
            progress.steps,
            self.surprise / self.heard,
            progress.tokens as f64 / (spent_s - self.began_s).max(1e-3),
            spent_s
        );
        (self.last, self.surprise, self.heard) = (Instant::now(), 0.0, 0.0);
    }
}
