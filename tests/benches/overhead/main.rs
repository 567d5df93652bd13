//! `make bench`: what the gateway adds to a request, beside a bare hyper relay measured in the same run.
//!
//! Machines are noisy and differ, so the figure to look at is the ratio: each round measures the relay and the gateway
//! one after the other, and the median of the rounds' ratios is printed. CPU time is what the kernel has counted for all
//! threads of the process (`/proc/PID/task/*/schedstat`, nanoseconds), so a busy neighbour moves it little.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement that cannot go on has nothing to tell, and one that can prints it"
)]

mod setting;
mod training;

use std::time::Duration;

use setting::Shape;
use tests::Gateway;
use tests::bench::{
    Load, Process, Taken, cpu_ns, instant_provider, median, memory_mib, quantile, relay, stage_means_us,
};

/// Requests of one measurement.
const REQUESTS: usize = 2000;
/// Rounds; the median is printed.
const ROUNDS: usize = 7;
/// Connections of the closed-loop measurement.
const CONNECTIONS: usize = 4;
/// Numbers from here on are no text of the closed loop's.
const FAR: usize = 1_000_000;
/// Requests a second of the open-loop measurement, and how long it goes on.
const RATE: u32 = 100;
const OPEN_LOOP: Duration = Duration::from_secs(8);

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    match args.next().as_deref() {
        Some("provider") => instant_provider(),
        Some("relay") => relay(&args.next().expect("the relay needs an upstream address")),
        _ => measure(),
    }
}

/// One thing to measure.
struct Case {
    name: &'static str,
    port: u16,
    process: u32,
    shape: Shape,
}

fn measure() {
    let provider = Process::of_self(&["provider"]);
    let relay = Process::of_self(&["relay", &format!("127.0.0.1:{}", provider.port)]);
    let setup = setting::setup(provider.port);
    let gateway = Gateway::start(&setup);
    let bare = |name, shape| Case { name, port: relay.port, process: relay.id(), shape };
    let ours = |name, shape| Case { name, port: gateway.data.port(), process: gateway.id(), shape };
    let cases = [
        bare("bare hyper relay", Shape::Direct),
        ours("gateway, concrete model", Shape::Direct),
        ours("gateway, exact cache hit", Shape::Repeated),
        ours("gateway, auto, 60 tokens", Shape::Auto(60)),
        ours("gateway, auto, 500 tokens", Shape::Auto(500)),
        ours("gateway, auto, 2000 tokens", Shape::Auto(2000)),
        ours("no encoder, 60 tokens", Shape::Words(60)),
        ours("no encoder, 500 tokens", Shape::Words(500)),
        ours("no encoder, 2000 tokens", Shape::Words(2000)),
    ];
    let idle = memory_mib(gateway.id());
    let mut load = Load::new();
    println!("CPU time per request, {ROUNDS} rounds of {REQUESTS} requests on {CONNECTIONS} connections\n");
    println!("{:<28}{:>12}{:>10}{:>10}{:>14}", "", "CPU us", "lowest", "highest", "x relay");
    let mut figures: Vec<Vec<f64>> = vec![Vec::new(); cases.len()];
    for round in 0..=ROUNDS {
        for (case, figures) in cases.iter().zip(&mut figures) {
            // `auto` runs the encoder: few requests are enough, and the run stays short.
            let requests = match case.shape {
                Shape::Auto(_) => REQUESTS / 50,
                Shape::Words(_) => REQUESTS / 5,
                Shape::Direct | Shape::Repeated => REQUESTS,
            };
            let before = cpu_ns(case.process);
            let shape = case.shape;
            load.closed(case.port, CONNECTIONS, requests / CONNECTIONS, move |number| {
                shape.question(round * requests + number)
            });
            let spent = cpu_ns(case.process) - before;
            // The first round warms connections and caches up.
            if round > 0 {
                figures.push(spent as f64 / 1e3 / requests as f64);
            }
        }
    }
    let relay_figures = figures[0].clone();
    for (case, figures) in cases.iter().zip(&mut figures) {
        let mut ratios: Vec<f64> =
            figures.iter().zip(&relay_figures).map(|(figure, relay)| figure / relay).collect();
        println!(
            "{:<28}{:>12.1}{:>10.1}{:>10.1}{:>14.2}",
            case.name,
            median(figures),
            figures.first().copied().unwrap_or_default(),
            figures.last().copied().unwrap_or_default(),
            median(&mut ratios)
        );
    }
    stages(&gateway);
    open_loop(&mut load, &cases[..2]);
    training::measure(&mut load, gateway.data.port(), &setup);
    println!(
        "\nMemory of the gateway: idle {idle:.0} MiB, after the load {:.0} MiB",
        memory_mib(gateway.id())
    );
}

/// The time of each stage, from the gateway's own histogram.
fn stages(gateway: &Gateway) {
    println!("\nMean time of each stage over all requests of this run (the gateway's own clock)");
    for (stage, mean_us) in stage_means_us(gateway) {
        println!("  {stage:<10}{mean_us:>10.1} us");
    }
}

fn open_loop(load: &mut Load, cases: &[Case]) {
    println!(
        "\nLatency at {RATE} requests/s for {} s, answered at once by the provider",
        OPEN_LOOP.as_secs()
    );
    let mut quantiles = Vec::new();
    for case in cases {
        let [p50, p99] =
            latency(&load.open(case.port, RATE, OPEN_LOOP, |number| case.shape.question(FAR + number)));
        println!("  {:<26}p50 {p50:>7.3} ms   p99 {p99:>7.3} ms", case.name);
        quantiles.push((p50, p99));
    }
    if let [(relay50, relay99), (ours50, ours99)] = quantiles[..] {
        println!(
            "  {:<26}p50 {:>+7.3} ms   p99 {:>+7.3} ms",
            "added to the relay's",
            ours50 - relay50,
            ours99 - relay99
        );
    }
}

/// The median and the 99th percentile of the time to the whole answer, in milliseconds.
fn latency(taken: &Taken) -> [f64; 2] {
    let mut millis: Vec<f64> = taken.iter().map(|asked| asked.whole_ms()).collect();
    [0.5, 0.99].map(|share| quantile(&mut millis, share))
}
