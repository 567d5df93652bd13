//! Prints what the crate costs: CPU time of features, rules and encoder at several lengths, and the token estimate's
//! error. `cargo run --release -p classify --example measure` from a clone with its models.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a measurement for people")]

#[path = "../tests/models/mod.rs"]
mod models;

use std::time::Instant;

use api::{Embed, Head, Kind, Linear, SignalSet, cosine};
use classify::{
    CHEAP_WIDTH, Classifier, Encoder, Features, NO, Rarity, Stage, TRAINED, View, YES, estimate_tokens,
    find_private,
};

const PARAGRAPH: &str = "The harbour was built in 1874 to shelter the herring fleet, and its two moles still carry the \
    lamps that the fishermen paid for themselves. When the railway came, the town turned its back on the sea; the warehouses \
    were let to a brewer, then to a maker of umbrellas, and in the end to nobody at all. ";

/// Milliseconds of one call: the best of several rounds, because the machine is shared.
fn milliseconds(rounds: u32, mut call: impl FnMut()) -> f64 {
    (0..rounds)
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed().as_secs_f64() * 1000.0
        })
        .fold(f64::INFINITY, f64::min)
}

fn main() {
    let encoder = Encoder::load(&models::options()).expect("the encoder");
    let golden = encoder
        .embed(&["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."])
        .expect("vectors");
    println!(
        "golden cosines {:.4} {:.4} {:.4} (published 0.6660 0.1046 0.1411)",
        cosine(&golden[0], &golden[1]),
        cosine(&golden[0], &golden[2]),
        cosine(&golden[1], &golden[2])
    );
    let query = "what is the fastest way to get from the old harbour to the station";
    println!("encoder, 14 words: {:.2} ms", milliseconds(200, || drop(encoder.embed(&[query]))));
    let head = |labels: &[&str]| Head {
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        weights: vec![vec![0.01; Kind::ALL.len() + TRAINED.len()]; labels.len()],
        bias: vec![0.0; labels.len()],
        temperature: 1.0,
    };
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    let trained = TRAINED.iter().map(|signal| (*signal, head(&[NO, YES]))).collect();
    let scores = kinds.len() + TRAINED.len();
    let linear = Linear::new(vec![0.0; scores], vec![0.01; CHEAP_WIDTH * scores]).expect("whole rows");
    let stage = Stage { linear, kind: head(&kinds), signals: trained };
    let classifier = Classifier::new(Rarity::of(&[]), stage, None).expect("a classifier");
    println!(
        "{:>8} {:>10} {:>10} {:>11} {:>10} {:>10}",
        "tokens", "features", "private", "all signals", "estimate", "encoder"
    );
    for tokens in [60, 500, 2000] {
        let mut text = String::from("Summarize the following text in three sentences.\n\n");
        while encoder.count_tokens(&text) < tokens {
            text.push_str(PARAGRAPH);
        }
        let text: String = text.split_inclusive(' ').take(tokens * 4 / 5).collect();
        let view = View::of(None, &text);
        println!(
            "{:>8} {:>7.3} ms {:>7.3} ms {:>8.3} ms {:>10} {:>7.2} ms",
            encoder.count_tokens(&text),
            milliseconds(200, || drop(Features::of(&view))),
            milliseconds(200, || drop(find_private(&text))),
            milliseconds(200, || drop(classifier.signals(&view, SignalSet::ALL))),
            estimate_tokens(&text),
            milliseconds(5, || drop(encoder.read(&view))),
        );
    }
}
