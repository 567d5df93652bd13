//! 2,000 sockets that are silent, or drip a head or a body byte by byte, beside healthy requests: what these notice, and
//! whether each of those is closed by its deadline.

#![expect(clippy::print_stdout, reason = "a child tells what became of its sockets")]

use std::io::BufRead;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use tests::bench::{Load, Process, Question, median, quantile};
use tests::{Gateway, Setup};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Verdict;

/// Sockets at once.
const SOCKETS: usize = 2000;
/// Between two bytes of one that drips.
const DRIP: Duration = Duration::from_millis(500);
/// A socket that is still open after this long is given up.
const GIVE_UP: Duration = Duration::from_secs(60);
/// Deadlines of the gateway for a head and for a body, and how much later a close may be seen: on a machine that compiles
/// on all cores besides, accepting 2,000 connections alone was seen to take 1.7 s.
pub(crate) const DEADLINE: Duration = Duration::from_secs(6);
const SLACK: Duration = Duration::from_secs(3);

/// Healthy requests a second; how long a turn is, and how much of its beginning is not counted.
const RATE: u32 = 100;
const TURN: Duration = Duration::from_millis(4500);
const RAMP: Duration = Duration::from_millis(500);
const TURNS: usize = 3;
/// The goal.
const RATIO_MAX: f64 = 1.5;

// === The child that opens them ===

/// What a socket does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Silent,
    Head,
    Body,
}

const KINDS: [(Kind, &str); 3] =
    [(Kind::Silent, "silent"), (Kind::Head, "head byte by byte"), (Kind::Body, "body byte by byte")];

/// Opens the sockets at each line of its input and says so, and at the next line how long each kind was left open.
pub(crate) fn child(gateway: &str) {
    let gateway: SocketAddr = gateway.parse().expect("an address");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    println!("0");
    let mut lines = std::io::stdin().lock().lines();
    while let Some(Ok(_)) = lines.next() {
        let mut sockets = runtime.block_on(open(gateway));
        println!("{}", sockets.len());
        if lines.next().is_none() {
            return;
        }
        let closed = runtime.block_on(async {
            let mut closed = [(0_usize, Duration::ZERO); 3];
            while let Some(socket) = sockets.join_next().await {
                let (kind, took) = socket.expect("a socket");
                let place = KINDS.iter().position(|(own, _)| *own == kind).expect("a kind");
                closed[place].0 += usize::from(took < GIVE_UP);
                closed[place].1 = closed[place].1.max(took);
            }
            closed
        });
        let told = closed.map(|(count, longest)| format!("{count} {}", longest.as_millis()));
        println!("{}", told.join(" "));
    }
}

async fn open(gateway: SocketAddr) -> JoinSet<(Kind, Duration)> {
    let mut sockets = JoinSet::new();
    for place in 0..SOCKETS {
        let stream = TcpStream::connect(gateway).await.expect("a connection");
        let opened = Instant::now();
        let kind = KINDS[place % KINDS.len()].0;
        sockets.spawn(async move {
            // It fails only because the other side has closed.
            let _ = tokio::time::timeout(GIVE_UP, linger(stream, kind)).await;
            (kind, opened.elapsed())
        });
    }
    sockets
}

/// Behaves as `kind` does until the other side closes.
async fn linger(mut stream: TcpStream, kind: Kind) -> std::io::Result<()> {
    const HEAD: &str = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let (mut reader, mut writer) = stream.split();
    if kind == Kind::Body {
        writer.write_all(format!("{HEAD}content-length: 1000\r\n\r\n").as_bytes()).await?;
    }
    let mut dripping = match kind {
        Kind::Silent => "",
        Kind::Head => HEAD,
        Kind::Body => "{\"model\": \"healthy\", \"messages\": [",
    }
    .bytes()
    .chain(std::iter::repeat(b' '));
    let mut drip = tokio::time::interval(DRIP);
    let mut answer = [0; 1024];
    loop {
        tokio::select! {
            read = reader.read(&mut answer) => if read? == 0 { return Ok(()) },
            _ = drip.tick(), if kind != Kind::Silent => {
                let byte = dripping.next().unwrap_or(b' ');
                writer.write_all(&[byte]).await?;
            }
        }
    }
}

// === The measurement ===

/// Measures, prints and judges.
pub(crate) fn measure(setup: &Setup, verdict: &mut Verdict) {
    let gateway = Gateway::start(setup);
    let mut slow = Process::of_self(&["slow", &gateway.data.to_string()]);
    let mut load = Load::new();
    let mut number = 0;
    let mut healthy = || {
        number += 1_000_000;
        let taken = load.open(gateway.data.port(), RATE, TURN, |place| question(number + place));
        let begun = taken.first().expect("an answer").sent;
        let counted = taken.iter().filter(|asked| asked.sent - begun >= RAMP);
        counted.map(|asked| asked.whole_ms()).collect::<Vec<f64>>()
    };
    healthy();
    let (mut calm, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut closed = [(0, Duration::ZERO); 3];
    for _ in 0..TURNS {
        let mut without = healthy();
        slow.tell("open");
        let opened: usize = slow.line().parse().expect("a number of sockets");
        assert_eq!(opened, SOCKETS, "not all sockets could be opened");
        let mut with = healthy();
        slow.tell("report");
        let told: Vec<u64> = slow.line().split(' ').filter_map(|word| word.parse().ok()).collect();
        for (sum, own) in closed.iter_mut().zip(told.chunks(2)) {
            *sum = (sum.0 + own[0], sum.1.max(Duration::from_millis(own[1])));
        }
        ratios.push([0.5, 0.99].map(|share| quantile(&mut with, share) / quantile(&mut without, share)));
        calm.extend(without);
        beside.extend(with);
    }
    println!(
        "\nHealthy requests at {RATE}/s beside {SOCKETS} slow or silent sockets and without, {TURNS} turns\n"
    );
    println!("{:<34}{:>10}{:>12}{:>12}", "", "requests", "p50 ms", "p99 ms");
    let [calm, beside] = [("without", &mut calm), ("with", &mut beside)].map(|(name, millis)| {
        let both = [0.5, 0.99].map(|share| quantile(millis, share));
        println!("{name:<34}{:>10}{:>12.3}{:>12.3}", millis.len(), both[0], both[1]);
        both
    });
    println!("{:<44}{:>12.2}{:>12.2}", "ratio, of all requests", beside[0] / calm[0], beside[1] / calm[1]);
    let of_turns =
        [0, 1].map(|place| median(&mut ratios.iter().map(|turn| turn[place]).collect::<Vec<f64>>()));
    println!("{:<44}{:>12.2}{:>12.2}", "ratio, median of the turns", of_turns[0], of_turns[1]);
    let met = beside[1] / calm[1] <= RATIO_MAX || of_turns[1] <= RATIO_MAX;
    println!("{:<44}{:>24}", "goal: p99 within 1.5 times", if met { "met" } else { "missed" });
    deadlines(&closed, verdict);
    gateway.stop();
}

fn deadlines(closed: &[(u64, Duration); 3], verdict: &mut Verdict) {
    println!("\nClosed by the gateway, whose deadlines are {} s\n", DEADLINE.as_secs());
    println!("{:<34}{:>10}{:>12}", "", "closed", "at most s");
    for (place, ((_, name), (count, longest))) in KINDS.iter().zip(closed).enumerate() {
        let opened = (SOCKETS - place).div_ceil(KINDS.len()) * TURNS;
        println!("{name:<34}{count:>10}{:>12.2}", longest.as_secs_f64());
        verdict.check(*count == opened as u64, &format!("{name}: {count} of {opened} closed"));
        verdict.check(*longest <= DEADLINE + SLACK, &format!("{name}: closed after {longest:?}"));
    }
}

fn question(number: usize) -> Question {
    let text = format!("What is the capital of country number {number}?");
    let body = json!({"model": "healthy", "messages": [{"role": "user", "content": text}]});
    Question { path: "/v1/chat/completions", body: Bytes::from(body.to_string()) }
}
