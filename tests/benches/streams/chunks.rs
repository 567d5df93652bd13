//! CPU time for each chunk that is carried, by dialects and by how the chunks come.

use tests::bench::{Load, cpu_ns, median, quantile};

use crate::provider::{LONG, PACED};
use crate::{Both, CHAT, Carrier, Client, MESSAGES};

/// How often each is measured; the median is printed.
const ROUNDS: usize = 4;

/// How chunks come.
struct Way {
    said: &'static str,
    /// Models of the provider's two dialects.
    models: [&'static str; 2],
    /// Streams at once, and the chunks of each.
    streams: usize,
    chunks: usize,
}

const WAYS: [Way; 2] = [
    Way {
        said: "one by one, each its own write, a millisecond apart; 16 streams of 1,000 chunks at once",
        models: ["paced", "messages-paced"],
        streams: 16,
        chunks: PACED,
    },
    Way {
        said: "as fast as it goes; 8 streams of 2,000 chunks at once",
        models: ["flood", "messages-flood"],
        streams: 8,
        chunks: LONG,
    },
];

/// One thing to measure.
struct Case {
    name: &'static str,
    carrier: Carrier,
    client: Client,
    /// The place of the relay that carries what the provider sends in this case.
    relay: usize,
}

/// Measures and prints.
pub(crate) fn measure(load: &Load, both: &Both) {
    println!("\nCPU time of a chunk, {ROUNDS} rounds");
    let mut asked = 0;
    for way in &WAYS {
        let cases = cases(way, both);
        let mut figures = vec![Vec::new(); cases.len()];
        for round in 0..=ROUNDS {
            for (case, figures) in cases.iter().zip(&mut figures) {
                let (client, first) = (case.client, asked);
                asked += way.streams;
                let before = cpu_ns(case.carrier.process);
                let taken = load
                    .closed(case.carrier.port, way.streams, 1, move |number| client.question(first + number));
                let spent = cpu_ns(case.carrier.process) - before;
                case.client.expect_whole(&taken);
                // The first round warms connections up.
                if round > 0 {
                    figures.push(spent as f64 / 1e3 / (way.streams * way.chunks) as f64);
                }
            }
        }
        println!("\n{}", way.said);
        print(&cases, &figures);
    }
}

fn cases(way: &Way, both: &Both) -> [Case; 6] {
    let [chat, messages] = way.models;
    let from_chat = |model| Client { path: CHAT, model, end: "[DONE]" };
    let from_messages = |model| Client { path: MESSAGES, model, end: "message_stop" };
    let bare = |name, client, relay| Case { name, carrier: both.relay, client, relay };
    let ours = |name, client, relay| Case { name, carrier: both.gateway, client, relay };
    [
        bare("bare hyper relay, chat", from_chat(chat), 0),
        ours("gateway, chat to chat", from_chat(chat), 0),
        ours("gateway, messages to chat", from_messages(chat), 0),
        // The relay names the provider's own model.
        bare("bare hyper relay, messages", from_messages(chat), 3),
        ours("gateway, messages to messages", from_messages(messages), 3),
        ours("gateway, chat to messages", from_chat(messages), 3),
    ]
}

fn print(cases: &[Case], figures: &[Vec<f64>]) {
    println!("{:<34}{:>12}{:>10}{:>10}{:>14}", "", "CPU us", "lowest", "highest", "x relay");
    for (case, own) in cases.iter().zip(figures) {
        let mut ratios: Vec<f64> =
            own.iter().zip(&figures[case.relay]).map(|(figure, relay)| figure / relay).collect();
        let mut own = own.clone();
        println!(
            "{:<34}{:>12.2}{:>10.2}{:>10.2}{:>14.2}",
            case.name,
            median(&mut own),
            quantile(&mut own, 0.0),
            quantile(&mut own, 1.0),
            median(&mut ratios)
        );
    }
}
