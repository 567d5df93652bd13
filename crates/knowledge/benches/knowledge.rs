//! How fast an index is built, opened and changed, and what it takes in memory.
//!
//! `cargo bench -p knowledge --bench knowledge -- --docs 100000 [--dir BEIR_DIR]`: documents of about fifty words, made of
//! sentences of the corpus in `BEIR_DIR` (or of a made-up language) in an order that is always the same. Times are this process's
//! processor time beside the clock's, since machines that run benchmarks are seldom idle.
#![allow(clippy::print_stdout, reason = "a benchmark is read on the terminal")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may stop")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use api::{Embed, Error, Vector};
use knowledge::{Corpus, Embedded, Feed, FeedReport, Opened, Store, Upload};
use serde_json::{Map, Value, json};

/// As all-MiniLM-L6-v2 has it.
const DIMENSIONS: usize = 384;

/// Passages of 100 tokens that the encoder makes vectors of in a second of one core.
const ENCODER_PASSAGES_PER_S: f64 = 55.0;

const WORDS_OF_DOCUMENT: usize = 50;

/// Numbers that look random and are always the same (SplitMix64).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn unit_vector(&mut self) -> Vector {
        let numbers = (0..DIMENSIONS).map(|_| (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0);
        let vector: Vector = numbers.collect();
        let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
        vector.iter().map(|number| number / length).collect()
    }
}

/// An encoder that has its vectors already.
struct Precomputed(Vec<Vector>);

impl Embed for Precomputed {
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vector>, Error> {
        let place = |text: &str| {
            text.bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
        };
        Ok(texts.iter().map(|text| self.0[place(text) % self.0.len()].clone()).collect())
    }
    fn dimensions(&self) -> usize {
        DIMENSIONS
    }
    fn fingerprint(&self) -> &str {
        "precomputed"
    }
    fn count_tokens(&self, text: &str) -> usize {
        text.len().div_ceil(5)
    }
    fn window_tokens(&self) -> usize {
        256
    }
}

/// Sentences to make documents of.
fn sentences(dir: Option<&Path>) -> Vec<String> {
    let Some(dir) = dir else {
        let mut draws = Draws(1);
        let syllables =
            ["ba", "ke", "li", "mo", "nu", "ra", "se", "ti", "vo", "zu", "pre", "sta", "ing", "ed"];
        // Short words come often, as in a language.
        let word = |draws: &mut Draws| {
            let rank = draws.below(20_000).min(draws.below(20_000)).min(draws.below(20_000));
            let mut own = Draws(rank as u64);
            (0..=1 + rank / 5_000).map(|_| syllables[own.below(syllables.len())]).collect::<String>()
        };
        return (0..20_000)
            .map(|_| (0..12).map(|_| word(&mut draws)).collect::<Vec<_>>().join(" ") + ".")
            .collect();
    };
    let lines = BufReader::new(File::open(dir.join("corpus.jsonl")).unwrap()).lines();
    let texts = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let texts = texts.filter_map(|line| line["text"].as_str().map(str::to_owned));
    let split = texts
        .flat_map(|text| text.split_inclusive(". ").map(|part| part.trim().to_owned()).collect::<Vec<_>>());
    split.filter(|sentence| sentence.split(' ').count() > 3).collect()
}

/// Writes a corpus of `count` short documents.
fn write_corpus(path: &Path, count: usize, sentences: &[String]) {
    let mut draws = Draws(2);
    let mut out = BufWriter::new(File::create(path).unwrap());
    for number in 0..count {
        let mut text = String::new();
        while text.split(' ').count() < WORDS_OF_DOCUMENT {
            text.push_str(&sentences[draws.below(sentences.len())]);
            text.push(' ');
        }
        let words: Vec<&str> = text.split(' ').take(WORDS_OF_DOCUMENT).collect();
        let line = json!({"id": format!("{}/{number}", number % 100), "text": words.join(" ")});
        writeln!(out, "{line}").unwrap();
    }
    out.into_inner().unwrap().sync_all().unwrap();
}

/// Seconds of the clock and of the processor.
fn timed<T>(run: impl FnOnce() -> T) -> (T, f64, f64) {
    let (clock, processor) = (Instant::now(), processor_s());
    let result = run();
    (result, clock.elapsed().as_secs_f64(), processor_s() - processor)
}

/// User and system time of this process, in hundredths of a second as Linux tells it.
fn processor_s() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

fn resident_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().split(' ').next().and_then(|number| number.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}

fn feed(store: &Embedded, feed: &Feed<'_>, embed: &dyn Embed) -> FeedReport {
    store.feed(feed, embed, &|_| ()).unwrap()
}

struct Bench {
    folder: tempfile::TempDir,
    corpus: Corpus,
    embed: Precomputed,
}

impl Bench {
    fn build(&self, what: &str, name: &str, embedder: Option<&str>) {
        let (store, _) = Embedded::open(&self.folder.path().join(name), embedder).unwrap();
        let (report, clock, processor) = timed(|| feed(&store, &Feed::Build(&self.corpus), &self.embed));
        let documents = report.documents as f64;
        println!(
            "build {what:<14} {documents} documents, {} passages: {:.0} documents/s of the clock, {:.0} of processor time",
            report.passages,
            documents / clock,
            documents / processor
        );
        if report.embedded > 0 {
            let outside = (processor - report.embedding.as_secs_f64()) / report.passages as f64;
            println!(
                "  outside the encoder {:.0} us a passage: {:.1} % of its time at {ENCODER_PASSAGES_PER_S} passages/s",
                outside * 1e6,
                outside * ENCODER_PASSAGES_PER_S * 100.0
            );
        }
    }

    fn open_and_change(&self, what: &str, name: &str, embedder: Option<&str>) {
        let before = resident_mib();
        let ((store, opened), clock, processor) =
            timed(|| Embedded::open(&self.folder.path().join(name), embedder).unwrap());
        assert_eq!(opened, Opened::Ready);
        let bytes = store.stats().unwrap().file_bytes.unwrap_or_default() as f64;
        println!(
            "open  {what:<14} {:.1} MiB of files in {clock:.3} s of the clock, {processor:.3} of processor time; resident \
             {before:.0} MiB before, {:.0} after",
            bytes / 1_048_576.0,
            resident_mib()
        );
        let uploads = [Upload {
            name: String::from("new.md"),
            bytes: b"One more document.".to_vec(),
            attributes: Map::new(),
        }];
        let changes = [
            ("nothing", Feed::Renew(None)),
            ("one upload", Feed::Upload(&uploads)),
            ("one removal", Feed::Remove(&[])),
        ];
        let removed = [String::from("7/107")];
        for (change, asked) in changes {
            let asked = if let Feed::Remove(_) = asked { Feed::Remove(&removed) } else { asked };
            let (_, clock, processor) = timed(|| feed(&store, &asked, &self.embed));
            println!("  {change:<12} {clock:.2} s of the clock, {processor:.2} of processor time");
        }
        println!(
            "  {} segments; resident {:.0} MiB",
            store.stats().unwrap().segments.unwrap_or(0),
            resident_mib()
        );
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    let count = value("--docs").map_or(100_000, |count| count.parse().unwrap());
    let dir = value("--dir").map(PathBuf::from);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corpus.jsonl");
    write_corpus(&path, count, &sentences(dir.as_deref()));
    let mut draws = Draws(3);
    let embed = Precomputed((0..4_096).map(|_| draws.unit_vector()).collect());
    let bench = Bench { folder, corpus: Corpus::new(vec![path]), embed };
    bench.build("without vectors", "words", None);
    bench.open_and_change("without vectors", "words", None);
    bench.build("with vectors", "vectors", Some("precomputed"));
    bench.open_and_change("with vectors", "vectors", Some("precomputed"));
}
