//! Faults before an answer, and of whole ones.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::reply::Reply;
use crate::wire;

/// More than any reader may take: of a head, of an event, and of a whole body.
const HEAD_BYTES: usize = 4 << 20;
const EVENT_BYTES: usize = 6 << 20;
const BODY_BYTES: usize = 40 << 20;
/// How often what never ends goes on.
pub(super) const BEAT: Duration = Duration::from_millis(20);

impl Reply<'_> {
    /// Does what `name` says; `None` where it says nothing.
    pub(super) fn fault(&mut self, name: &str) -> Option<Option<()>> {
        Some(match name {
            "mute" => self.wait_for_close(),
            "stall" => self.wait_for_close(),
            "silent" => self.half(0).and_then(|()| self.wait_for_close()),
            "only-comments" | "words-then-comments" | "endless" => self.endless_body(),
            "error-in-stream" | "error-first" => self.status(500),
            "error-in-200" => self.json(
                200,
                "",
                &json!({"error": {"message": "The engine is on fire", "type": "server_error"}}),
            ),
            "too-long" => self.refuse(
                400,
                "This model's maximum context length is 8 tokens.",
                "context_length_exceeded",
            ),
            "filtered" => self.refuse(400, "The prompt was filtered.", "content_filter"),
            "spent" => self.refuse(429, "You exceeded your current quota.", "insufficient_quota"),
            "declines" => self.declines(),
            "e429-bare" => self.refuse(429, "Slow down.", "rate_limit_exceeded"),
            "reset" => {
                reset(self.stream);
                None
            }
            "garbage" => {
                self.body(200, "", "application/json", b"<html>502 Bad Gateway, dressed as 200</html>")
            }
            "garbage-head" => self.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n").and(None),
            "huge-head" => self.huge_head(),
            "truncated" | "half-event" | "no-end" | "only-done" => self.truncated(),
            "gzip" => self.compressed("content-encoding: gzip\r\n"),
            "gzip-unsaid" => self.compressed(""),
            "oversize" => self.oversize(true),
            "oversize-unsaid" => self.oversize(false),
            "loops" => {
                self.told(|body| body["choices"][0]["message"]["content"] = json!("and so on ".repeat(20)))
            }
            "unsure" => {
                let tokens =
                    json!({"content": [{"token": "Zug", "logprob": -4.0}, {"token": "!", "logprob": -3.0}]});
                self.told(|body| body["choices"][0]["logprobs"] = tokens)
            }
            "redirect" => self.json(302, "location: http://127.0.0.1:9/v1/chat/completions\r\n", &json!({})),
            _ => return None,
        })
    }

    pub(super) fn wait_for_close(&mut self) -> Option<()> {
        self.shared.wait_for_close(self.stream, self.model);
        None
    }

    pub(super) fn status(&mut self, status: u16) -> Option<()> {
        let retry_after = if status == 429 { "retry-after: 7\r\n" } else { "" };
        let said = format!("The provider says {status}");
        let code = if status == 400 { json!("invalid_value") } else { Value::Null };
        self.json(
            status,
            retry_after,
            &json!({"error": {"message": said, "code": code, "param": "messages"}}),
        )
    }

    fn refuse(&mut self, status: u16, message: &str, code: &str) -> Option<()> {
        self.json(status, "", &json!({"error": {"message": message, "code": code}}))
    }

    /// A whole answer with something about it changed.
    fn told(&mut self, change: impl FnOnce(&mut Value)) -> Option<()> {
        let mut body = wire::completion(self.model, true);
        change(&mut body);
        self.json(200, "", &body)
    }

    fn declines(&mut self) -> Option<()> {
        if !self.streamed {
            return self.told(|body| {
                body["choices"][0]["message"]["content"] = json!("");
                body["choices"][0]["finish_reason"] = json!("content_filter");
            });
        }
        self.start_stream()?;
        for event in wire::events_saying(self.model, "", wire::TOKENS, wire::Form::default()) {
            self.piece(event.replace("\"stop\"", "\"content_filter\"").as_bytes())?;
        }
        self.end_stream()
    }

    /// N bytes of a whole answer whose head promises all of it.
    pub(super) fn half(&mut self, bytes: usize) -> Option<()> {
        let whole = wire::completion(self.model, true).to_string();
        let length = whole.len();
        self.write(
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n")
                .as_bytes(),
        )?;
        self.write(&whole.as_bytes()[..bytes.min(length - 1)])
    }

    /// Half of the JSON, with a length that fits.
    fn truncated(&mut self) -> Option<()> {
        let whole = wire::completion(self.model, true).to_string();
        self.body(200, "", "application/json", &whole.as_bytes()[..whole.len() / 2])
    }

    fn huge_head(&mut self) -> Option<()> {
        self.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-much: ")?;
        self.fill(HEAD_BYTES)
    }

    fn compressed(&mut self, said: &str) -> Option<()> {
        let (kind, text) = if self.streamed {
            ("text/event-stream", wire::events(self.model, wire::Form::default()).concat())
        } else {
            ("application/json", wire::completion(self.model, true).to_string())
        };
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(text.as_bytes()).ok()?;
        self.body(200, said, kind, &gzip.finish().ok()?)
    }

    /// Begins like an answer and goes on with spaces, which JSON allows.
    fn oversize(&mut self, announced: bool) -> Option<()> {
        if self.streamed {
            self.start_stream()?;
            write!(self.stream, "{:x}\r\ndata: ", EVENT_BYTES + 6).ok()?;
            return self.fill(EVENT_BYTES);
        }
        let framing = if announced {
            format!("content-length: {BODY_BYTES}\r\n")
        } else {
            "connection: close\r\n".to_owned()
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{framing}\r\n");
        self.write(head.as_bytes())?;
        self.fill(BODY_BYTES)
    }

    /// So many spaces; the connection is of no further use.
    fn fill(&mut self, bytes: usize) -> Option<()> {
        let block = [b' '; 1 << 16];
        for _ in 0..bytes.div_ceil(block.len()) {
            self.write(&block)?;
        }
        None
    }

    /// A body that goes on and on, until the client has had enough.
    fn endless_body(&mut self) -> Option<()> {
        self.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n")?;
        loop {
            self.write(b" ")?;
            thread::sleep(BEAT);
        }
    }
}

/// Ends a connection by RST, which closing with a linger of zero sends.
pub(super) fn reset(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
