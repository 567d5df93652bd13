//! Whether a training in the background is felt by live traffic: latencies with and without one, in turns.

use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};

use tests::bench::{Load, median};
use tests::{Setup, binary};

use crate::setting::Shape;
use crate::{FAR, OPEN_LOOP, RATE, latency};

/// Measurements with a training under way, and as many without.
const TURNS: usize = 3;
/// Labels and texts of each: enough that one training outlasts one measurement.
const LABELS: usize = 60;
const TEXTS: usize = 250;

/// Measures and prints.
pub(crate) fn measure(load: &mut Load, port: u16, setup: &Setup) {
    setup.write("training.jsonl", &examples());
    let mut next = FAR;
    let mut quantiles = || {
        next += FAR;
        latency(&load.open(port, RATE, OPEN_LOOP, |number| Shape::Direct.question(next + number)))
    };
    let mut calm: Vec<[f64; 2]> = Vec::new();
    let mut busy: Vec<[f64; 2]> = Vec::new();
    for turn in 0..TURNS {
        calm.push(quantiles());
        let mut training = train(setup, turn);
        busy.push(quantiles());
        let still = training.try_wait().expect("the training").is_none();
        let _ = training.kill();
        let _ = training.wait();
        assert!(still, "the training was over before the measurement");
    }
    println!(
        "\nLatency of a concrete model at {RATE} requests/s, with a training in the background and without, {TURNS} turns"
    );
    let at = |turns: &[[f64; 2]], place: usize| {
        median(&mut turns.iter().map(|turn| turn[place]).collect::<Vec<_>>())
    };
    for (name, turns) in [("without", &calm), ("with", &busy)] {
        println!("  {name:<26}p50 {:>7.3} ms   p99 {:>7.3} ms", at(turns, 0), at(turns, 1));
    }
    let ratio = |place: usize| {
        median(&mut calm.iter().zip(&busy).map(|(calm, busy)| busy[place] / calm[place]).collect::<Vec<_>>())
    };
    println!("  {:<26}p50 {:>7.2}      p99 {:>7.2}", "ratio", ratio(0), ratio(1));
}

/// Starts a training as the gateway does; each of a task of its own, so that none finds its vectors known.
fn train(setup: &Setup, turn: usize) -> Child {
    Command::new(binary())
        .arg("--config")
        .arg(setup.path("gateway.toml"))
        .args(["task", "train", &format!("load-{turn}"), "--background", "--data"])
        .arg(setup.path("training.jsonl"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a training")
}

fn examples() -> String {
    let mut lines = String::new();
    for text in 0..TEXTS {
        for label in 0..LABELS {
            let _ = writeln!(
                lines,
                "{{\"text\": \"Please look at parcel {text} of depot {label}, it was sent on day {}\", \"label\": \"depot-{label}\"}}",
                (text * 7 + label) % 365
            );
        }
    }
    lines
}
