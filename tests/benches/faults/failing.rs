//! A provider that is whole until it is told to fail, and then fails in every way in turn: a 503, a reset, a 200 with an
//! error inside, silence, and, for one second in five, a port that refuses connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// The last second of so many is one in which connections are refused.
const REFUSES_EVERY: u64 = 5;
/// How often the provider looks whether it is to refuse.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Silence is broken off after this long, should the client never give up.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// A request with a longer head or body is none of ours.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// The provider, on a port and a thread of its own, for as long as this process runs.
pub(crate) struct Failing {
    /// On the loopback.
    pub(crate) port: u16,
    state: Arc<State>,
}

struct State {
    failing: AtomicBool,
    attempts: AtomicUsize,
    began: Instant,
}

impl State {
    fn fails(&self) -> bool {
        self.failing.load(Ordering::SeqCst)
    }

    fn refuses(&self) -> bool {
        self.fails() && self.began.elapsed().as_secs() % REFUSES_EVERY == REFUSES_EVERY - 1
    }
}

impl Failing {
    /// A provider that does not fail yet.
    pub(crate) fn start() -> Self {
        let state = Arc::new(State {
            failing: AtomicBool::new(false),
            attempts: AtomicUsize::new(0),
            began: Instant::now(),
        });
        let (tell, told) = std::sync::mpsc::channel();
        let own = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                // Bound and never listening: the port stays ours while nothing listens on it.
                let keeper = socket(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
                let address = keeper.local_addr().expect("an address");
                tell.send(address.port()).expect("the bench");
                loop {
                    listen(address, &own).await.expect("a listener");
                    while own.refuses() {
                        tokio::time::sleep(LOOK_EVERY).await;
                    }
                }
            });
        });
        Self { port: told.recv().expect("a port"), state }
    }

    /// Fails from now on, or no longer.
    pub(crate) fn fail(&self, fail: bool) {
        self.state.failing.store(fail, Ordering::SeqCst);
    }

    /// Requests that have reached it.
    pub(crate) fn attempts(&self) -> usize {
        self.state.attempts.load(Ordering::SeqCst)
    }
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Serves until connections are to be refused.
async fn listen(address: SocketAddr, state: &Arc<State>) -> io::Result<()> {
    let listener: TcpListener = socket(address)?.listen(1024)?;
    while !state.refuses() {
        if let Ok(accepted) = tokio::time::timeout(LOOK_EVERY, listener.accept()).await {
            let (stream, _) = accepted?;
            stream.set_nodelay(true)?;
            // A client that goes away ends its connection; that is all there is to say about it.
            tokio::spawn(serve(stream, Arc::clone(state)));
        }
    }
    Ok(())
}

/// Answers the requests of a connection, until the first fault.
async fn serve(mut stream: TcpStream, state: Arc<State>) -> Option<()> {
    loop {
        let body = request(&mut stream).await?;
        let streamed = body["stream"] == true;
        let earlier = state.attempts.fetch_add(1, Ordering::SeqCst);
        if !state.fails() {
            stream.write_all(&answer(streamed)).await.ok()?;
            continue;
        }
        match earlier % 4 {
            0 => stream.write_all(&response(503, streamed, ERROR)).await.ok()?,
            // Closing with a linger of zero sends RST.
            1 => socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).ok()?,
            2 if streamed => {
                stream.write_all(&response(200, true, &format!("data: {ERROR}\n\n"))).await.ok()?;
            }
            2 => stream.write_all(&response(200, false, ERROR)).await.ok()?,
            _ => {
                let mut byte = [0];
                let _ = tokio::time::timeout(SILENCE_MAX, stream.read(&mut byte)).await;
            }
        }
        return None;
    }
}

const ERROR: &str = r#"{"error":{"message":"The engine is on fire","type":"server_error"}}"#;

fn answer(streamed: bool) -> Vec<u8> {
    let object = if streamed { "chat.completion.chunk" } else { "chat.completion" };
    let said = |name: &str, message: Value, reason: Value| {
        let mut choice = json!({"index": 0, "finish_reason": reason});
        choice[name] = message;
        let usage = json!({"prompt_tokens": 14, "completion_tokens": 1, "total_tokens": 15});
        json!({"id": "chatcmpl-bench", "object": object, "created": 1_700_000_000, "model": "bench",
               "choices": [choice], "usage": usage})
    };
    let message = json!({"role": "assistant", "content": "Paris."});
    if !streamed {
        return response(200, false, &said("message", message, json!("stop")).to_string());
    }
    let chunk = said("delta", message, json!("stop"));
    response(200, true, &format!("data: {chunk}\n\ndata: [DONE]\n\n"))
}

fn response(status: u16, streamed: bool, body: &str) -> Vec<u8> {
    let kind = if streamed && status == 200 { "text/event-stream" } else { "application/json" };
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// The body of the next request; `None` where the connection ends, or sends what we do not understand.
async fn request(stream: &mut TcpStream) -> Option<Value> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = std::str::from_utf8(&bytes[..end]).ok()?.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?;
            let whole = end + 4 + length.trim().parse::<usize>().ok()?;
            if bytes.len() >= whole {
                return serde_json::from_slice(&bytes[end + 4..whole]).ok();
            }
        }
        if bytes.len() > REQUEST_BYTES_MAX || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
