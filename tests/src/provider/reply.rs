//! What a model's name means, and how an answer is put on the wire.

use std::io::Write;
use std::net::TcpStream;

use serde_json::{Value, json};

use super::log::Shared;
use crate::wire::{self, Form};

/// What the model `scripted` answers to a body; `None` for what it has no answer to.
pub(super) type Answers = dyn Fn(&Value) -> Option<String> + Send + Sync;

#[derive(Default)]
pub(super) struct Script(pub(super) Option<Box<Answers>>);

/// An answer of the script and its usage: (prompt, of these cached, completion) tokens.
pub(super) struct Scripted {
    answer: String,
    tokens: (u64, u64, u64),
}

impl Script {
    pub(super) fn answer(&self, body: &Value) -> Option<Scripted> {
        let answer = self.0.as_ref()?(body)?;
        let messages = body["messages"].as_array()?;
        let prompt: usize =
            messages.iter().filter_map(|message| Some(message["content"].as_str()?.len())).sum();
        // About four bytes a token, in English.
        let tokens = |bytes: usize| bytes as u64 / 4 + 1;
        let tokens = (tokens(prompt), 0, tokens(answer.len()));
        Some(Scripted { answer, tokens })
    }
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Script").field(&self.0.is_some()).finish()
    }
}

/// One answer to one request.
pub(super) struct Reply<'a> {
    pub(super) stream: &'a mut TcpStream,
    pub(super) shared: &'a Shared,
    pub(super) model: &'a str,
    pub(super) streamed: bool,
    /// What the script has to say.
    pub(super) scripted: Option<Scripted>,
    /// The beginning of an answer that is to be continued.
    pub(super) begun: String,
}

impl Reply<'_> {
    /// Answers; `None` when the connection is of no further use.
    pub(super) fn behave(&mut self, earlier: usize) -> Option<()> {
        let plain = self.model.split('+').next().unwrap_or_default();
        let number = |prefix: &str| plain.strip_prefix(prefix)?.parse::<u64>().ok();
        if let Some(seed) = number("pieces-") {
            return self.streamed_in_pieces(seed);
        }
        if let Some(bytes) = number("cut-") {
            return self.cut(usize::try_from(bytes).ok()?);
        }
        if let Some(failures) = number("flaky-") {
            let fails = (earlier as u64) < failures;
            return if fails { self.status(500) } else { self.well(Form::default()) };
        }
        if let Some(status) = number("e") {
            return self.status(u16::try_from(status).ok()?);
        }
        if let Some(form) = form(plain) {
            return self.well(form);
        }
        match plain {
            "other" => self.saying(wire::OTHER),
            "continues" => {
                let rest = wire::ANSWER.strip_prefix(&self.begun).unwrap_or("This is not how I began.");
                let rest = rest.to_owned();
                self.saying(&rest)
            }
            "scripted" => match self.scripted.take() {
                Some(scripted) => self.scripted(&scripted),
                None => self.status(500),
            },
            "no-end"
            | "only-done"
            | "half-event"
            | "silent"
            | "stall"
            | "endless"
            | "only-comments"
            | "words-then-comments"
            | "gated"
            | "error-in-stream"
            | "error-first"
                if self.streamed =>
            {
                self.broken_stream(plain)
            }
            _ => self.fault(plain).unwrap_or_else(|| {
                self.json(404, "", &json!({"error": {"message": "no such model", "code": "model_not_found"}}))
            }),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.write_all(bytes).ok()
    }

    pub(super) fn body(
        &mut self,
        status: u16,
        more_headers: &str,
        content_type: &str,
        body: &[u8],
    ) -> Option<()> {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} As Asked\r\ncontent-type: {content_type}\r\n{more_headers}content-length: {length}\r\n\r\n"
        );
        self.write(&[head.as_bytes(), body].concat())
    }

    pub(super) fn json(&mut self, status: u16, more_headers: &str, body: &Value) -> Option<()> {
        self.body(status, more_headers, "application/json", body.to_string().as_bytes())
    }

    /// A right answer, in the given form if it is streamed.
    pub(super) fn well(&mut self, form: Form) -> Option<()> {
        if !self.streamed {
            return self.json(
                200,
                "x-request-id: req-upstream\r\n",
                &wire::completion(self.model, !form.no_usage),
            );
        }
        self.start_stream()?;
        for event in wire::events(self.model, form) {
            self.piece(event.as_bytes())?;
        }
        self.end_stream()
    }

    fn saying(&mut self, answer: &str) -> Option<()> {
        self.scripted(&Scripted { answer: answer.to_owned(), tokens: wire::TOKENS })
    }

    fn scripted(&mut self, Scripted { answer, tokens }: &Scripted) -> Option<()> {
        if !self.streamed {
            return self.json(200, "", &wire::saying(self.model, answer, Some(*tokens)));
        }
        self.start_stream()?;
        for event in wire::events_saying(self.model, answer, *tokens, Form::default()) {
            self.piece(event.as_bytes())?;
        }
        self.end_stream()
    }

    pub(super) fn start_stream(&mut self) -> Option<()> {
        self.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
        )
    }

    /// One HTTP chunk, in one write.
    pub(super) fn piece(&mut self, bytes: &[u8]) -> Option<()> {
        let size = format!("{:x}\r\n", bytes.len());
        self.write(&[size.as_bytes(), bytes, b"\r\n"].concat())
    }

    pub(super) fn end_stream(&mut self) -> Option<()> {
        self.write(b"0\r\n\r\n")
    }
}

/// A right answer's form, by its name.
fn form(name: &str) -> Option<Form> {
    let form = Form::default();
    Some(match name {
        "ok" => form,
        "crlf" => Form { crlf: true, ..form },
        "no-space" => Form { no_space: true, ..form },
        "no-done" => Form { no_done: true, ..form },
        "no-usage" => Form { no_usage: true, ..form },
        "usage-on-choice" => Form { usage_on_choice: true, ..form },
        "comments" => Form { comments: true, ..form },
        "multi-line" => Form { multi_line: true, ..form },
        "bom" => Form { bom: true, ..form },
        _ => return None,
    })
}
