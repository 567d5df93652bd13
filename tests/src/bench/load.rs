//! The load: as fast as the answers come, or at a rate whatever comes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::SendRequest;
use hyper::header::HeaderMap;
use tokio::runtime::{Builder, Runtime};

use super::Spread;
use super::peers::connect;

/// The timer of the load works in milliseconds. A request that goes out later than this after it was due was held up, and
/// its time counts from when it was due; one inside of it counts from when it went out, so that the timer is not measured.
const TIMER: Duration = Duration::from_millis(2);
/// How much of the end of an answer is kept.
const TAIL_BYTES: usize = 256;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Of the endpoint.
    pub path: &'static str,
    /// JSON.
    pub body: Bytes,
}

/// What a request that was answered took.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its place in the load, from 0.
    pub number: usize,
    /// When it went out, or was due.
    pub sent: Instant,
    /// To the first byte of the body.
    pub first: Duration,
    /// To its last.
    pub whole: Duration,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body's last bytes.
    pub tail: Vec<u8>,
}

/// The answers to a load, those to the requests that were sent first in front.
pub type Taken = Vec<Asked>;

impl Asked {
    /// To the first byte, in milliseconds.
    pub fn first_ms(&self) -> f64 {
        self.first.as_secs_f64() * 1e3
    }

    /// To the last byte, in milliseconds.
    pub fn whole_ms(&self) -> f64 {
        self.whole.as_secs_f64() * 1e3
    }

    /// A header's value, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// # Panics
    /// The answer is no success.
    fn expect_success(self) -> Self {
        let Self { status, .. } = self;
        assert!((200..300).contains(&status), "{status}: {}", String::from_utf8_lossy(&self.tail));
        self
    }
}

/// Connections that are kept between loads.
#[derive(Clone, Debug)]
pub struct Pool {
    address: SocketAddr,
    idle: Arc<Mutex<Vec<SendRequest<Full<Bytes>>>>>,
}

impl Pool {
    /// None yet, to this port of the loopback.
    pub fn new(port: u16) -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)), idle: Arc::default() }
    }

    async fn take(&self) -> SendRequest<Full<Bytes>> {
        loop {
            let kept = self.idle.lock().unwrap().pop();
            match kept {
                Some(mut kept) => {
                    if kept.ready().await.is_ok() {
                        return kept;
                    }
                }
                None => return connect(self.address).await,
            }
        }
    }

    fn put(&self, kept: SendRequest<Full<Bytes>>) {
        self.idle.lock().unwrap().push(kept);
    }
}

/// A load generator with one thread of its own.
#[derive(Debug)]
pub struct Load {
    runtime: Runtime,
    pools: HashMap<u16, Pool>,
}

impl Load {
    /// With no connection yet.
    pub fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, pools: HashMap::new() }
    }

    fn pool(&mut self, port: u16) -> Pool {
        self.pools.entry(port).or_insert_with(|| Pool::new(port)).clone()
    }

    /// Sends `each` requests over each of `connections` new connections, each waiting for its answer before the next. All must succeed.
    pub fn closed<F>(&self, port: u16, connections: usize, each: usize, question: F) -> Taken
    where
        F: Fn(usize) -> Question + Clone + Send + 'static,
    {
        self.runtime.block_on(async {
            let mut workers = Vec::new();
            for worker in 0..connections {
                let mut sender = connect(SocketAddr::from(([127, 0, 0, 1], port))).await;
                let question = question.clone();
                workers.push(tokio::spawn(async move {
                    let mut taken = Vec::with_capacity(each);
                    for turn in 0..each {
                        let number = worker * each + turn;
                        sender.ready().await.expect("a connection");
                        let asked = ask(&mut sender, number, question(number), Instant::now()).await;
                        taken.push(asked.expect_success());
                    }
                    taken
                }));
            }
            let mut taken = Vec::new();
            for worker in workers {
                taken.extend(worker.await.expect("a worker"));
            }
            taken
        })
    }

    /// Sends `rate` requests a second for `time`, each at some moment of its own slot and whatever became of the others, and
    /// waits for all answers. All must succeed.
    pub fn open<F>(&mut self, port: u16, rate: u32, time: Duration, question: F) -> Taken
    where
        F: Fn(usize) -> Question,
    {
        let taken = self.open_to_whatever(port, rate, time, question);
        taken.into_iter().map(Asked::expect_success).collect()
    }

    /// The same, whatever the statuses are.
    pub fn open_to_whatever<F>(&mut self, port: u16, rate: u32, time: Duration, question: F) -> Taken
    where
        F: Fn(usize) -> Question,
    {
        let pool = self.pool(port);
        self.runtime.block_on(async {
            let total = (time.as_secs_f64() * f64::from(rate)) as usize;
            let begin = Instant::now() + Duration::from_millis(20);
            // The same moments in every load, and no pattern that timers elsewhere could fall in with.
            let mut moments = Spread::new(u64::from(rate));
            let mut asking = Vec::with_capacity(total);
            for number in 0..total {
                let slots = number as f64 + moments.next_share();
                let due = begin + Duration::from_secs_f64(slots / f64::from(rate));
                tokio::time::sleep_until(due.into()).await;
                let (pool, question) = (pool.clone(), question(number));
                asking.push(tokio::spawn(async move {
                    let mut sender = pool.take().await;
                    let now = Instant::now();
                    let sent = if now > due + TIMER { due } else { now };
                    let asked = ask(&mut sender, number, question, sent).await;
                    pool.put(sender);
                    asked
                }));
            }
            let mut taken = Vec::with_capacity(total);
            for asked in asking {
                taken.push(asked.await.expect("an answer"));
            }
            taken
        })
    }
}

impl Default for Load {
    fn default() -> Self {
        Self::new()
    }
}

async fn ask(
    sender: &mut SendRequest<Full<Bytes>>,
    number: usize,
    question: Question,
    sent: Instant,
) -> Asked {
    let request = Request::post(question.path)
        .header("host", "127.0.0.1")
        .header("content-type", "application/json")
        .body(Full::new(question.body))
        .expect("a request");
    let (head, mut body) = sender.send_request(request).await.expect("an answer").into_parts();
    let (mut first, mut tail) = (None, Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame.expect("a body").into_data() else { continue };
        if !bytes.is_empty() {
            first.get_or_insert_with(|| sent.elapsed());
        }
        tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
        tail.drain(..tail.len().saturating_sub(TAIL_BYTES));
    }
    let whole = sent.elapsed();
    let (status, headers) = (head.status.as_u16(), head.headers);
    Asked { number, sent, first: first.unwrap_or(whole), whole, status, headers, tail }
}
