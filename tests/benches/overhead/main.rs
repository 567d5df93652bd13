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

mod load;
mod peers;
mod processes;
mod training;

use std::time::Duration;

use load::{Load, Shape};
use processes::{Process, gateway};

/// Requests of one measurement.
const REQUESTS: usize = 2000;
/// Rounds; the median is printed.
const ROUNDS: usize = 7;
/// Connections of the closed-loop measurement.
const CONNECTIONS: usize = 4;
/// Requests a second of the open-loop measurement, and how long it goes on.
const RATE: u32 = 100;
const OPEN_LOOP: Duration = Duration::from_secs(8);

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    match args.next().as_deref() {
        Some("provider") => peers::provider(),
        Some("relay") => peers::relay(&args.next().expect("the relay needs an upstream address")),
        _ => measure(),
    }
}

/// One thing to measure.
struct Case {
    name: &'static str,
    port: u16,
    process: usize,
    shape: Shape,
}

fn measure() {
    let provider = Process::of_self(&["provider"]);
    let relay = Process::of_self(&["relay", &format!("127.0.0.1:{}", provider.port)]);
    let gateway = gateway(provider.port);
    let processes = [relay, gateway];
    let (relay_port, gateway_port) = (processes[0].port, processes[1].port);
    let cases = [
        Case { name: "bare hyper relay", port: relay_port, process: 0, shape: Shape::Direct },
        Case { name: "gateway, concrete model", port: gateway_port, process: 1, shape: Shape::Direct },
        Case { name: "gateway, exact cache hit", port: gateway_port, process: 1, shape: Shape::Repeated },
        Case { name: "gateway, auto, 60 tokens", port: gateway_port, process: 1, shape: Shape::Auto(60) },
        Case { name: "gateway, auto, 500 tokens", port: gateway_port, process: 1, shape: Shape::Auto(500) },
        Case { name: "gateway, auto, 2000 tokens", port: gateway_port, process: 1, shape: Shape::Auto(2000) },
        Case { name: "no encoder, 60 tokens", port: gateway_port, process: 1, shape: Shape::Words(60) },
        Case { name: "no encoder, 500 tokens", port: gateway_port, process: 1, shape: Shape::Words(500) },
        Case { name: "no encoder, 2000 tokens", port: gateway_port, process: 1, shape: Shape::Words(2000) },
    ];
    let idle = processes[1].memory_mib();
    let load = Load::new();
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
            let before = processes[case.process].cpu_ns();
            load.closed(case.port, case.shape, requests, CONNECTIONS, round);
            let spent = processes[case.process].cpu_ns() - before;
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
    stages(&processes[1]);
    open_loop(&load, &cases[..2]);
    training::measure(&load, gateway_port, processes[1].folder());
    println!(
        "\nMemory of the gateway: idle {idle:.0} MiB, after the load {:.0} MiB",
        processes[1].memory_mib()
    );
}

/// The time of each stage, from the gateway's own histogram.
fn stages(gateway: &Process) {
    println!("\nMean time of each stage over all requests of this run (the gateway's own clock)");
    for (stage, mean_us) in gateway.stage_means_us() {
        println!("  {stage:<10}{mean_us:>10.1} us");
    }
}

fn open_loop(load: &Load, cases: &[Case]) {
    println!(
        "\nLatency at {RATE} requests/s for {} s, answered at once by the provider",
        OPEN_LOOP.as_secs()
    );
    let mut quantiles = Vec::new();
    for case in cases {
        let mut millis = load.open(case.port, case.shape, RATE, OPEN_LOOP);
        millis.sort_by(f64::total_cmp);
        let at = |share: f64| millis[((millis.len() - 1) as f64 * share) as usize];
        println!("  {:<26}p50 {:>7.3} ms   p99 {:>7.3} ms", case.name, at(0.5), at(0.99));
        quantiles.push((at(0.5), at(0.99)));
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

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
