//! How fast an index is built, opened, asked and changed, and what it takes in memory.
//!
//! `cargo bench -p knowledge --bench knowledge -- --docs 100000 [--dir BEIR_DIR]...`: documents of about fifty words, made of
//! titles and sentences of the corpora in those folders (or of a made-up language) in an order that is always the same, and
//! asked the folders' questions. Vectors are drawn: their scan costs what it costs, and what is near says nothing. Times are
//! processor time beside the clock's, since machines that run benchmarks are seldom idle.
#![allow(clippy::print_stdout, reason = "a benchmark is read on the terminal")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may stop")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use api::{Embed, Error, Vector};
use knowledge::beir::Beir;
use knowledge::{Corpus, Embedded, Feed, FeedReport, Opened, Ranking, SearchOptions, Store, Upload};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value, json};

/// As all-MiniLM-L6-v2 has it.
const DIMENSIONS: usize = 384;

/// Passages of 100 tokens that the encoder makes vectors of in a second of one core.
const ENCODER_PASSAGES_PER_S: f64 = 55.0;

const WORDS_OF_DOCUMENT: usize = 50;

const QUESTIONS_MAX: usize = 1_500;

/// Words by which a text is known to be English.
const ENGLISH: &[&str] = &["the", "of", "and", "in", "to", "is", "for", "that"];

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

/// What documents and questions are made of.
struct Matter {
    titles: Vec<String>,
    sentences: Vec<String>,
    questions: Vec<String>,
}

impl Matter {
    /// Titles, sentences and questions of folders in BEIR's layout.
    fn of(dirs: &[PathBuf]) -> Self {
        let mut matter = Self { titles: Vec::new(), sentences: Vec::new(), questions: Vec::new() };
        for dir in dirs {
            let beir = Beir::read(dir).unwrap();
            let unpacked = tempfile::tempdir().unwrap();
            let corpus = File::open(beir.unpacked(unpacked.path()).unwrap()).unwrap();
            for line in BufReader::new(corpus).lines() {
                let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
                matter.titles.extend(line["title"].as_str().map(str::to_owned));
                let parts = line["text"].as_str().unwrap_or_default().split_inclusive(". ");
                let parts = parts.filter(|part| part.split(' ').count() > 3);
                matter.sentences.extend(parts.map(|part| part.trim().to_owned()));
            }
            matter.questions.extend(beir.questions.into_iter().map(|question| question.text));
        }
        matter
    }

    /// A made-up language with the function words of `own`: by them, and by them alone, it is known or unknown.
    fn made_up(own: &[&str]) -> Self {
        let mut draws = Draws(1);
        let syllables =
            ["ba", "ke", "li", "mo", "nu", "ra", "se", "ti", "vo", "zu", "pre", "sta", "ing", "ed"];
        // Short words come often, as in a language.
        let word = |draws: &mut Draws| {
            let rank = draws.below(20_000).min(draws.below(20_000)).min(draws.below(20_000));
            if let Some(own) = own.get(rank / 200) {
                return own.to_string();
            }
            let mut syllable = Draws(rank as u64);
            (0..=1 + rank / 5_000).map(|_| syllables[syllable.below(syllables.len())]).collect::<String>()
        };
        let mut line = |words: usize| (0..words).map(|_| word(&mut draws)).collect::<Vec<_>>().join(" ");
        Self {
            titles: (0..5_000).map(|_| line(3)).collect(),
            sentences: (0..20_000).map(|_| line(12) + ".").collect(),
            questions: (0..QUESTIONS_MAX).map(|_| line(8)).collect(),
        }
    }
}

/// Writes a corpus of `count` short documents.
fn write_corpus(path: &Path, count: usize, matter: &Matter) {
    let mut draws = Draws(2);
    let mut out = BufWriter::new(File::create(path).unwrap());
    for number in 0..count {
        let mut text = String::new();
        while text.split(' ').count() < WORDS_OF_DOCUMENT {
            text.push_str(&matter.sentences[draws.below(matter.sentences.len())]);
            text.push(' ');
        }
        let words: Vec<&str> = text.split(' ').take(WORDS_OF_DOCUMENT).collect();
        let title = &matter.titles[draws.below(matter.titles.len())];
        let line =
            json!({"id": format!("{}/{number}", number % 100), "title": title, "text": words.join(" ")});
        writeln!(out, "{line}").unwrap();
    }
    out.into_inner().unwrap().sync_all().unwrap();
}

/// Seconds of the clock and of the processor.
fn timed<T>(run: impl FnOnce() -> T) -> (T, f64, f64) {
    let (clock, processor) = (Instant::now(), processor_s(ClockId::ProcessCPUTime));
    let result = run();
    (result, clock.elapsed().as_secs_f64(), processor_s(ClockId::ProcessCPUTime) - processor)
}

/// Time on a processor, of this process with all its threads or of this thread alone.
fn processor_s(clock: ClockId) -> f64 {
    let now = clock_gettime(clock);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
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
    questions: Vec<String>,
    embed: Precomputed,
}

impl Bench {
    fn open(&self, name: &str, embedder: Option<&str>) -> (Embedded, Opened) {
        Embedded::open(&self.folder.path().join(name), embedder).unwrap()
    }

    fn build(&self, name: &str, embedder: Option<&str>) {
        let (store, _) = self.open(name, embedder);
        let (report, clock, processor) = timed(|| feed(&store, &Feed::Build(&self.corpus), &self.embed));
        let documents = report.documents as f64;
        println!(
            "{name}: build {documents} documents, {} passages: {:.0} documents/s of the clock, {:.0} of processor time; resident \
             {:.0} MiB",
            report.passages,
            documents / clock,
            documents / processor,
            resident_mib()
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

    fn open_and_ask(&self, name: &str, embedder: Option<&str>) {
        let before = resident_mib();
        let ((store, opened), clock, processor) = timed(|| self.open(name, embedder));
        assert_eq!(opened, Opened::Ready);
        let bytes = store.stats().unwrap().file_bytes.unwrap_or_default() as f64;
        println!(
            "  open {:.1} MiB of files in {clock:.3} s of the clock, {processor:.3} of processor time; resident {before:.0} MiB \
             before, {:.0} after",
            bytes / 1_048_576.0,
            resident_mib()
        );
        let rankings: &[(&str, Ranking)] = match embedder {
            None => &[("BM25", Ranking::Words)],
            Some(_) => {
                &[("BM25", Ranking::Words), ("vectors", Ranking::Vectors), ("hybrid", Ranking::Hybrid)]
            }
        };
        for (what, ranking) in rankings {
            self.ask(&store, what, *ranking);
        }
        println!("  resident {:.0} MiB", resident_mib());
    }

    /// Asks everything twice, and tells the times of the second round.
    fn ask(&self, store: &Embedded, what: &str, ranking: Ranking) {
        let options = SearchOptions { passages_max: 10, ranking, ..SearchOptions::default() };
        let mut times = Vec::new();
        for _ in 0..2 {
            times.clear();
            for question in &self.questions {
                let vector = self.embed.embed(&[question.as_str()]).unwrap().remove(0);
                let vector = (ranking != Ranking::Words).then_some(vector);
                let began = processor_s(ClockId::ThreadCPUTime);
                store.search(question, vector.as_deref(), &options).unwrap();
                times.push(processor_s(ClockId::ThreadCPUTime) - began);
            }
        }
        times.sort_unstable_by(f64::total_cmp);
        let quantile = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize] * 1e3;
        println!(
            "  {what:<8} best 10, {} questions: p50 {:.3} ms, p99 {:.3} ms of processor time",
            times.len(),
            quantile(0.5),
            quantile(0.99)
        );
    }

    fn change(&self, name: &str, embedder: Option<&str>) {
        let (store, _) = self.open(name, embedder);
        let uploads = [Upload {
            name: String::from("new.md"),
            bytes: b"One more document.".to_vec(),
            attributes: Map::new(),
        }];
        let removed = [String::from("7/107")];
        let changes = [
            ("nothing", Feed::Renew(None)),
            ("one upload", Feed::Upload(&uploads)),
            ("one removal", Feed::Remove(&removed)),
        ];
        for (change, asked) in changes {
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
    let values = |name: &str| {
        let places = (0..arguments.len()).filter(|place| arguments[*place] == name);
        places.filter_map(|place| arguments.get(place + 1).cloned()).collect::<Vec<_>>()
    };
    let count = values("--docs").first().map_or(100_000, |count| count.parse().unwrap());
    let dirs: Vec<PathBuf> = values("--dir").into_iter().map(PathBuf::from).collect();
    let mut draws = Draws(3);
    let vectors: Vec<Vector> = (0..4_096).map(|_| draws.unit_vector()).collect();
    let bench = |matter: Matter| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("corpus.jsonl");
        write_corpus(&path, count, &matter);
        let step = matter.questions.len().div_ceil(QUESTIONS_MAX).max(1);
        let questions = matter.questions.into_iter().step_by(step).collect();
        Bench { folder, corpus: Corpus::new(vec![path]), questions, embed: Precomputed(vectors.clone()) }
    };
    let english = bench(if dirs.is_empty() { Matter::made_up(ENGLISH) } else { Matter::of(&dirs) });
    english.build("words", None);
    english.open_and_ask("words", None);
    english.change("words", None);
    english.build("words and vectors", Some("precomputed"));
    english.open_and_ask("words and vectors", Some("precomputed"));
    english.change("words and vectors", Some("precomputed"));
    drop(english);
    if dirs.is_empty() {
        // Of every document it has to be asked which language that is.
        bench(Matter::made_up(&[])).build("unknown language", None);
    }
}
