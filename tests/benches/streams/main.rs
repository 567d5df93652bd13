//! `cargo bench -p tests --bench streams`: what the gateway adds to streamed answers, beside a bare hyper relay in the same
//! run: the time to the first byte while many streams are alive, and CPU time for each chunk.
//!
//! Relay and gateway take turns of a few seconds, so that whatever else the machine does meets both. The first second of a
//! turn, in which connections are made and streams pile up, is not counted.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement that cannot go on has nothing to tell, and one that can prints it"
)]

mod chunks;
mod provider;

use std::time::Duration;

use bytes::Bytes;
use provider::SHORT;
use serde_json::json;
use tests::bench::{Load, Process, Question, Taken, median, quantile, relay};
use tests::{Gateway, Setup};

/// Streams opened a second.
const RATE: u32 = 100;
/// How long a turn is, and how much of its beginning is not counted.
const TURN: Duration = Duration::from_secs(4);
const RAMP: Duration = Duration::from_secs(1);
/// Turns of each without an argument.
const TURNS: usize = 6;

const POLICY: &str = r#"
default = "plain"

[policy.plain]
track = "external"
reference_model = "brief"
targets.external = ["brief"]
"#;

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    match args.next().as_deref() {
        Some("provider") => provider::serve(),
        Some("relay") => relay(&args.next().expect("the relay needs an upstream address")),
        Some("--turns") => {
            let turns = args.next().and_then(|turns| turns.parse().ok());
            measure(turns.filter(|turns| *turns > 0).expect("--turns needs a number from 1 on"));
        }
        None => measure(TURNS),
        Some(other) => panic!("{other} is not known; allowed: --turns N"),
    }
}

fn measure(turns: usize) {
    let provider = Process::of_self(&["provider"]);
    let relay = Process::of_self(&["relay", &format!("127.0.0.1:{}", provider.port)]);
    let setup = Setup::of(&include_str!("models.toml").replace("PORT", &provider.port.to_string()))
        .with_file("policy.toml", POLICY);
    let gateway = Gateway::start(&setup);
    let both = Both {
        relay: Carrier { port: relay.port, process: relay.id() },
        gateway: Carrier { port: gateway.data.port(), process: gateway.id() },
    };
    let mut load = Load::new();
    first_byte(&mut load, &both, turns);
    chunks::measure(&load, &both);
}

/// Who carries a stream.
#[derive(Clone, Copy)]
struct Carrier {
    port: u16,
    process: u32,
}

struct Both {
    relay: Carrier,
    gateway: Carrier,
}

/// The time to the first byte, in turns.
fn first_byte(load: &mut Load, both: &Both, turns: usize) {
    println!(
        "Time to the first byte at {RATE} streams/s of {SHORT} chunks 20 to 40 ms apart, {turns} turns of {} s each\n",
        (TURN - RAMP).as_secs()
    );
    let client = Client { path: CHAT, model: "brief", end: "[DONE]" };
    let mut asked = 0;
    let mut turn = |carrier: Carrier| {
        let taken = load.open(carrier.port, RATE, TURN, |number| client.question(asked + number));
        asked += taken.len();
        client.expect_whole(&taken);
        let begun = taken.first().expect("an answer").sent;
        let counted = taken.iter().filter(|asked| asked.sent - begun >= RAMP);
        counted.map(|asked| asked.first_ms()).collect::<Vec<f64>>()
    };
    let (mut bare, mut ours, mut added) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..turns {
        let mut before = turn(both.relay);
        let mut after = turn(both.gateway);
        added.push([0.5, 0.99].map(|share| quantile(&mut after, share) - quantile(&mut before, share)));
        bare.extend(before);
        ours.extend(after);
    }
    println!("{:<34}{:>10}{:>12}{:>12}", "", "streams", "p50 ms", "p99 ms");
    let quantiles = [("bare hyper relay", &mut bare), ("gateway", &mut ours)].map(|(name, millis)| {
        let both = [0.5, 0.99].map(|share| quantile(millis, share));
        println!("{name:<34}{:>10}{:>12.3}{:>12.3}", millis.len(), both[0], both[1]);
        both
    });
    let [bare, ours] = quantiles;
    println!("{:<44}{:>+12.3}{:>+12.3}", "added, of all streams", ours[0] - bare[0], ours[1] - bare[1]);
    let of_turns = [0, 1].map(|place| median(&mut added.iter().map(|turn| turn[place]).collect::<Vec<_>>()));
    println!("{:<44}{:>+12.3}{:>+12.3}", "added, median of the turns", of_turns[0], of_turns[1]);
}

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

/// A client of one dialect that asks one model.
#[derive(Clone, Copy)]
struct Client {
    path: &'static str,
    model: &'static str,
    /// What the end of a whole answer has in it.
    end: &'static str,
}

impl Client {
    /// The request of this number; each text is a new one, so that no cache answers.
    fn question(&self, number: usize) -> Question {
        let content = format!("Tell me of harbour number {number}.");
        let mut body = json!({
            "model": self.model,
            "stream": true,
            "messages": [{"role": "user", "content": content}],
        });
        if self.path == MESSAGES {
            body["max_tokens"] = json!(4000);
        }
        Question { path: self.path, body: Bytes::from(body.to_string()) }
    }

    fn expect_whole(&self, taken: &Taken) {
        for asked in taken {
            let tail = String::from_utf8_lossy(&asked.tail);
            assert!(tail.contains(self.end), "a stream is not whole: {tail}");
        }
    }
}
