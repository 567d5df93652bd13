//! A provider that streams by the clock: what it sends, in which pieces and when, follows from the model that is asked for.
//!
//! Owns its sockets, so that one write of its is one write: a library would gather chunks that are ready together.

#![expect(clippy::print_stdout, reason = "it tells its port to whoever started it")]

use std::time::Duration;

use serde_json::{Value, json};
use tests::bench::{Spread, end_with_parent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Words of a long stream; each is a chunk.
pub(crate) const LONG: usize = 2000;
/// Of one whose chunks come one by one.
pub(crate) const PACED: usize = 1000;
/// Of a short one.
pub(crate) const SHORT: usize = 30;
/// Bytes of one write where there is no pace.
const WRITE_BYTES: usize = 16 << 10;
/// A request with a longer head or body is none of ours.
const REQUEST_BYTES_MAX: usize = 64 << 10;

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const WORDS: [&str; 8] = [" the", " harbour", " of", " an", " old", " town", " in", " winter"];

/// How a stream goes.
#[derive(Clone, Copy)]
enum Pace {
    /// The first word at once, the others 20 to 40 ms apart.
    Talking,
    /// A millisecond between two chunks.
    Quick,
    /// As fast as it goes.
    Flood,
}

/// Serves for ever.
pub(crate) fn serve() {
    end_with_parent();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address").port());
        for seed in 0.. {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("TCP_NODELAY");
            // A client that goes away ends its connection; that is all there is to say about it.
            tokio::spawn(connection(stream, Spread::new(seed)));
        }
    });
}

async fn connection(mut stream: TcpStream, mut spread: Spread) -> Option<()> {
    loop {
        let (path, body) = request(&mut stream).await?;
        let (count, pace) = match body["model"].as_str()? {
            "brief" => (SHORT, Pace::Talking),
            "paced" => (PACED, Pace::Quick),
            "flood" => (LONG, Pace::Flood),
            _ => return None,
        };
        // What opens a message comes together with its first word, as from most servers.
        let (opening, events) =
            if path.ends_with("/messages") { (3, messages(count)) } else { (2, chat(count)) };
        let pieces: Vec<Vec<u8>> = events
            .iter()
            .map(|event| [format!("{:x}\r\n", event.len()).as_bytes(), event.as_bytes(), b"\r\n"].concat())
            .chain([b"0\r\n\r\n".to_vec()])
            .collect();
        stream.write_all(HEAD).await.ok()?;
        if let Pace::Flood = pace {
            for bytes in pieces.concat().chunks(WRITE_BYTES) {
                stream.write_all(bytes).await.ok()?;
            }
            continue;
        }
        let (opening, rest) = pieces.split_at(opening);
        stream.write_all(&opening.concat()).await.ok()?;
        for piece in rest {
            let pause = match pace {
                Pace::Talking => Duration::from_secs_f64(0.020 + 0.020 * spread.next_share()),
                Pace::Quick | Pace::Flood => Duration::from_millis(1),
            };
            tokio::time::sleep(pause).await;
            stream.write_all(piece).await.ok()?;
        }
    }
}

/// The path and the body of the next request; `None` where the connection ends, or sends what we do not understand.
async fn request(stream: &mut TcpStream) -> Option<(String, Value)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = std::str::from_utf8(&bytes[..end]).ok()?.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?;
            let whole = end + 4 + length.trim().parse::<usize>().ok()?;
            if bytes.len() >= whole {
                let path = head.split(' ').nth(1)?.to_owned();
                return Some((path, serde_json::from_slice(&bytes[end + 4..whole]).ok()?));
            }
        }
        if bytes.len() > REQUEST_BYTES_MAX || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// OpenAI's chat: chunks as its servers send them today, with the usage in one of its own.
fn chat(count: usize) -> Vec<String> {
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({
            "id": "chatcmpl-CVyx7Ii2f7zCwA1yLQSxZ0Hn8ePfK",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": "bench-2026-09-01",
            "service_tier": "default",
            "system_fingerprint": "fp_50906f2aac",
            "choices": choices,
            "usage": usage,
        });
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value, reason: Value| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason});
        chunk(json!([choice]), Value::Null)
    };
    let mut events = vec![delta(json!({"role": "assistant", "content": "", "refusal": null}), Value::Null)];
    events.extend((0..count).map(|place| delta(json!({"content": word(place)}), Value::Null)));
    events.push(delta(json!({}), json!("stop")));
    let usage = json!({"prompt_tokens": 14, "completion_tokens": count, "total_tokens": count + 14});
    events.push(chunk(json!([]), usage));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// Anthropic's messages.
fn messages(count: usize) -> Vec<String> {
    let event =
        |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default());
    let message = json!({
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": "bench-2026-09-01",
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": {"input_tokens": 14, "output_tokens": 1},
    });
    let block = json!({"type": "text", "text": ""});
    let mut events = vec![
        event(json!({"type": "message_start", "message": message})),
        event(json!({"type": "content_block_start", "index": 0, "content_block": block})),
    ];
    events.extend((0..count).map(|place| {
        let delta = json!({"type": "text_delta", "text": word(place)});
        event(json!({"type": "content_block_delta", "index": 0, "delta": delta}))
    }));
    events.push(event(json!({"type": "content_block_stop", "index": 0})));
    let delta = json!({"stop_reason": "end_turn", "stop_sequence": null});
    events.push(event(json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": count}})));
    events.push(event(json!({"type": "message_stop"})));
    events
}

fn word(place: usize) -> &'static str {
    WORDS[place % WORDS.len()]
}
