//! `cargo bench -p tests --bench faults`: what must hold while everything fails, and beside clients that mean ill.
//!
//! It ends with 1 where a limit does not hold that has nothing to do with the speed of the machine; a latency that is over
//! its goal is only told.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement that cannot go on has nothing to tell, and one that can prints it"
)]

mod failing;
mod slow;
mod storm;

use std::process::ExitCode;
use std::time::Duration;

use failing::Failing;
use tests::Setup;
use tests::bench::{Process, instant_provider};

/// How long all targets fail, where no argument says otherwise.
const FAILS_FOR: Duration = Duration::from_secs(60);
/// Files that a process must be able to open.
const FILES_MIN: usize = 5000;

const POLICY: &str = r#"
default = "plain"

[policy.plain]
track = "external"
reference_model = "primary"
targets.external = ["primary", "secondary"]
deadline_ms = 5000
"#;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let mut fails_for = FAILS_FOR;
    match args.next().as_deref() {
        Some("provider") => {
            instant_provider();
            return ExitCode::SUCCESS;
        }
        Some("slow") => {
            slow::child(&args.next().expect("the gateway's address"));
            return ExitCode::SUCCESS;
        }
        Some("--seconds") => {
            let seconds = args.next().and_then(|seconds| seconds.parse().ok()).filter(|seconds| *seconds > 0);
            fails_for = Duration::from_secs(seconds.expect("--seconds needs a number from 1 on"));
        }
        None => {}
        Some(other) => panic!("{other} is not known; allowed: --seconds N"),
    }
    measure(fails_for)
}

fn measure(fails_for: Duration) -> ExitCode {
    assert!(files_max() >= FILES_MIN, "{FILES_MIN} open files are needed: `ulimit -n {FILES_MIN}`");
    let (primary, secondary) = (Failing::start(), Failing::start());
    let healthy = Process::of_self(&["provider"]);
    let models = include_str!("models.toml")
        .replace("PRIMARY", &primary.port.to_string())
        .replace("SECONDARY", &secondary.port.to_string())
        .replace("HEALTHY", &healthy.port.to_string());
    let setup = Setup::of(&models).with_file("policy.toml", POLICY);
    let mut verdict = Verdict::default();
    let setup = setup.with_env("RUST_LOG", "info,models=debug");
    storm::measure(&setup, [&primary, &secondary], fails_for, &mut verdict);
    let deadline = slow::DEADLINE.as_millis();
    let limits = format!("[limits]\nheader_deadline_ms = {deadline}\nbody_deadline_ms = {deadline}\n");
    let setup = Setup::of(&models).with_file("policy.toml", POLICY).with("gateway.toml", &limits);
    slow::measure(&setup, &mut verdict);
    verdict.told()
}

/// Open files that the system allows this process.
fn files_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("this process's limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("the limit of files");
    line.split_whitespace().nth(3).map_or(0, |soft| soft.parse().unwrap_or(usize::MAX))
}

/// What did not hold.
#[derive(Default)]
struct Verdict(Vec<String>);

impl Verdict {
    fn check(&mut self, holds: bool, what: &str) {
        if !holds {
            self.0.push(what.to_owned());
        }
    }

    fn told(&self) -> ExitCode {
        for what in &self.0 {
            println!("\nDOES NOT HOLD: {what}");
        }
        if self.0.is_empty() {
            println!("\nAll limits hold.");
            return ExitCode::SUCCESS;
        }
        ExitCode::FAILURE
    }
}
