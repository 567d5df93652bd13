//! A provider that does what a script says, byte by byte, and keeps a log of what it was asked.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What is done after a request has been read.
#[derive(Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// End the connection in good order.
    Close,
    /// End it with a reset.
    Reset,
    /// Say nothing more until the client leaves.
    Hang,
}

/// The answer to one request; the connection is kept for the next where the script does not end it.
pub(crate) type Script = Vec<Step>;

/// What one request said.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) struct Provider {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    scripts: Mutex<VecDeque<Script>>,
    log: Mutex<Vec<Seen>>,
    connections: Mutex<usize>,
    left: Notify,
}

impl Provider {
    /// The nth request gets the nth script; the last one stays.
    pub(crate) async fn start(scripts: impl IntoIterator<Item = Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            scripts: Mutex::new(scripts.into_iter().collect()),
            log: Mutex::default(),
            connections: Mutex::default(),
            left: Notify::new(),
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                *serving.connections.lock().unwrap() += 1;
                tokio::spawn(serve(socket, Arc::clone(&serving)));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn log(&self) -> Vec<Seen> {
        self.shared.log.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }

    /// Waits until a client has left a hanging answer.
    pub(crate) async fn client_left(&self) {
        self.shared.left.notified().await;
    }
}

async fn serve(mut socket: TcpStream, shared: Arc<Shared>) {
    socket.set_nodelay(true).unwrap();
    let mut unread = Vec::new();
    while let Some(seen) = read_request(&mut socket, &mut unread).await {
        shared.log.lock().unwrap().push(seen);
        let script = {
            let mut scripts = shared.scripts.lock().unwrap();
            if scripts.len() > 1 { scripts.pop_front().unwrap() } else { scripts[0].clone() }
        };
        for step in script {
            match step {
                Step::Send(bytes) => {
                    if socket.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Step::Close => return,
                Step::Reset => {
                    socket.set_zero_linger().unwrap();
                    return;
                }
                Step::Hang => {
                    let mut rest = [0; 1024];
                    while socket.read(&mut rest).await.is_ok_and(|read| read > 0) {}
                    shared.left.notify_one();
                    return;
                }
            }
        }
    }
}

async fn read_request(socket: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Seen> {
    let head_end = loop {
        if let Some(at) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(socket, unread).await?;
    };
    let head = String::from_utf8(unread[..head_end].to_vec()).unwrap();
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok()
        })
        .unwrap_or(0);
    while unread.len() < head_end + length {
        read_more(socket, unread).await?;
    }
    let body = String::from_utf8(unread[head_end..head_end + length].to_vec()).unwrap();
    unread.drain(..head_end + length);
    Some(Seen { head, body })
}

async fn read_more(socket: &mut TcpStream, unread: &mut Vec<u8>) -> Option<()> {
    let read = socket.read_buf(unread).await.ok()?;
    (read > 0).then_some(())
}

/// A whole response with a length.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> Script {
    let length = body.len();
    vec![Step::Send(
        format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}")
            .into_bytes(),
    )]
}

pub(crate) const COMPLETION: &str = r#"{"id":"c1","object":"chat.completion","created":5,"model":"m-1","system_fingerprint":"fp","choices":[{"index":0,"message":{"role":"assistant","content":"Hi!","refusal":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,"prompt_tokens_details":{"cached_tokens":4}}}"#;

/// A good whole answer.
pub(crate) fn good() -> Script {
    answer(200, "x-request-id: req-7\r\n", COMPLETION)
}

/// The head of a chunked event stream.
pub(crate) const STREAM_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nx-request-id: req-8\r\ntransfer-encoding: chunked\r\n\r\n";

/// `bytes` as one piece of a chunked body.
pub(crate) fn piece(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

pub(crate) const LAST_PIECE: &[u8] = b"0\r\n\r\n";

/// The beginning of a stream: head and `events`, with the body still open.
pub(crate) fn begun(events: &str) -> Script {
    vec![Step::Send([STREAM_HEAD, &piece(events.as_bytes())].concat())]
}

/// A whole stream of `events`.
pub(crate) fn streamed(events: &str) -> Script {
    vec![Step::Send([STREAM_HEAD, &piece(events.as_bytes()), LAST_PIECE].concat())]
}

/// `first` and then `step`.
pub(crate) fn then(mut first: Script, step: Step) -> Script {
    first.push(step);
    first
}

/// A stream as OpenAI sends it, written for these tests.
pub(crate) const EVENTS: &str = concat!(
    r#"data: {"id":"c2","object":"chat.completion.chunk","created":5,"model":"m-1","system_fingerprint":"fp","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"c2","object":"chat.completion.chunk","created":5,"model":"m-1","choices":[{"index":0,"delta":{"content":"Grüß"},"finish_reason":null}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"c2","object":"chat.completion.chunk","created":5,"model":"m-1","choices":[{"index":0,"delta":{"content":" Gott"},"finish_reason":null}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"c2","object":"chat.completion.chunk","created":5,"model":"m-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"c2","object":"chat.completion.chunk","created":5,"model":"m-1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}"#,
    "\n\n",
    "data: [DONE]\n\n",
);

/// The beginning of [`EVENTS`], up to some text.
pub(crate) fn opening() -> &'static str {
    let second = EVENTS.match_indices("\n\n").nth(1).unwrap().0;
    &EVENTS[..second + 2]
}
