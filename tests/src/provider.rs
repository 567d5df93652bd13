//! A provider that speaks OpenAI's dialect and misbehaves on purpose, by the name of the model that is asked for.
//!
//! | model             | what it does                                                                     |
//! |-------------------|----------------------------------------------------------------------------------|
//! | `ok`              | answers, whole or streamed                                                       |
//! | `crlf`, `no-space`, `no-done`, `no-usage`, `usage-on-choice`, `comments` | streams in that form      |
//! | `pieces-SEED`     | streams in pieces cut anywhere; seed 0 cuts after every byte                      |
//! | `cut-N`           | streams N bytes, or sends N bytes of a whole answer, and closes                   |
//! | `stall`           | streams two events, or nothing of a whole answer, and then is silent              |
//! | `gated`           | streams two events, then waits until the test opens its gate                      |
//! | `error-in-stream` | streams two events and then an error                                              |
//! | `error-in-200`    | answers 200 with an error inside                                                  |
//! | `loops`           | answers whole, with a phrase repeated over and over                               |
//! | `unsure`          | answers whole, with improbable tokens where log-probabilities are asked for       |
//! | `e400`, `e401`, `e429`, `e500`, `e503` | answers with that status                                     |
//! | `flaky-N`         | fails N times with 500, then is `ok`                                              |
//! | `reset`           | resets the connection                                                             |
//! | `garbage`         | answers 200 with something that is no JSON                                        |
//! | `garbage-head`    | answers with something that is no HTTP                                            |
//! | `redirect`        | answers with a redirect to another server                                         |
//! | `continues`       | `ok`; continues the beginning of an answer that stands at the end of the messages |
//! | `scripted`        | answers what [`Provider::answering`] was given, with a usage of the texts' lengths |
//!
//! What follows a `+` in a model's name only makes it another model: `ok+1`.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::PATIENCE;
use crate::wire::{self, Form};

/// One request that reached the provider.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The model asked for.
    pub model: String,
    /// The body.
    pub body: Value,
    headers: Vec<(String, String)>,
}

impl Attempt {
    /// A header's value, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
    }
}

/// The provider, on a port of its own. Dropping it closes it.
#[derive(Debug)]
pub struct Provider {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    closing: AtomicBool,
    log: Mutex<Log>,
    changed: Condvar,
    script: Script,
}

/// What the model `scripted` answers to a body; `None` for what it has no answer to.
type Answers = dyn Fn(&Value) -> Option<String> + Send + Sync;

#[derive(Default)]
struct Script(Option<Box<Answers>>);

/// An answer of the script and its usage: (prompt, of these cached, completion) tokens.
struct Scripted {
    answer: String,
    tokens: (u64, u64, u64),
}

impl Script {
    fn answer(&self, body: &Value) -> Option<Scripted> {
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

#[derive(Debug, Default)]
struct Log {
    attempts: Vec<Attempt>,
    /// Models whose client closed the connection while they were answering.
    left: Vec<String>,
    open_gates: HashSet<String>,
}

impl Provider {
    /// Starts it.
    pub fn start() -> Self {
        Self::with(Script::default())
    }

    /// Starts it with answers for the model `scripted`, by the body of the request; 500 where there is none.
    pub fn answering(answers: impl Fn(&Value) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::with(Script(Some(Box::new(answers))))
    }

    fn with(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { script, ..Shared::default() });
        let for_accepting = Arc::clone(&shared);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if for_accepting.closing.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&for_accepting);
                if let Ok(stream) = stream {
                    thread::spawn(move || serve(stream, &shared));
                }
            }
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    /// The base URL for `models.toml`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// How many requests have reached it so far.
    pub fn calls(&self) -> usize {
        self.shared.log.lock().unwrap().attempts.len()
    }

    /// What has been asked of `model` so far.
    pub fn attempts(&self, model: &str) -> Vec<Attempt> {
        let log = self.shared.log.lock().unwrap();
        log.attempts.iter().filter(|attempt| attempt.model == model).cloned().collect()
    }

    /// The last request for `model`.
    ///
    /// # Panics
    /// There was none.
    pub fn last(&self, model: &str) -> Attempt {
        self.attempts(model).pop().unwrap_or_else(|| panic!("`{model}` was never called"))
    }

    /// Lets the model `gated` go on.
    pub fn open_gate(&self, model: &str) {
        self.shared.log.lock().unwrap().open_gates.insert(model.to_owned());
        self.shared.changed.notify_all();
    }

    /// Waits until the client of `model` has closed its connection in the middle of an answer.
    ///
    /// # Panics
    /// It does not within [`PATIENCE`].
    pub fn wait_until_left(&self, model: &str) {
        self.shared
            .wait(&format!("the client of `{model}` leaves"), |log| log.left.iter().any(|own| own == model));
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Shared {
    fn wait(&self, what: &str, condition: impl Fn(&Log) -> bool) {
        let log = self.log.lock().unwrap();
        let waited = self.changed.wait_timeout_while(log, PATIENCE, |log| !condition(log)).unwrap().1;
        assert!(!waited.timed_out(), "never came true: {what}");
    }

    /// Waits for the client to close, and logs it.
    fn wait_for_close(&self, stream: &mut TcpStream, model: &str) {
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let mut byte = [0];
        while matches!(stream.read(&mut byte), Ok(count) if count > 0) {}
        self.log.lock().unwrap().left.push(model.to_owned());
        self.changed.notify_all();
    }
}

fn serve(stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    while let Some(attempt) = read_request(&mut reader) {
        let model = attempt.model.clone();
        let streamed = attempt.body["stream"] == true;
        let scripted = if model.split('+').next() == Some("scripted") {
            shared.script.answer(&attempt.body)
        } else {
            None
        };
        let last = attempt.body["messages"].as_array().and_then(|messages| messages.last());
        let begun = last.filter(|last| last["role"] == "assistant" && last["prefix"] == true);
        let begun = begun.and_then(|last| last["content"].as_str()).unwrap_or_default().to_owned();
        let earlier = {
            let mut log = shared.log.lock().unwrap();
            let earlier = log.attempts.iter().filter(|attempt| attempt.model == model).count();
            log.attempts.push(attempt);
            earlier
        };
        shared.changed.notify_all();
        let mut reply = Reply { stream: reader.get_mut(), shared, model: &model, streamed, scripted, begun };
        if reply.behave(earlier).is_none() {
            return;
        }
    }
}

/// One request, with its path and query.
pub(crate) struct Incoming {
    pub(crate) path: String,
    pub(crate) body: Value,
    headers: Vec<(String, String)>,
}

impl Incoming {
    /// A header's value, empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Attempt> {
    let Incoming { body, headers, .. } = read_incoming(reader)?;
    let model = body["model"].as_str().unwrap_or_default().to_owned();
    Some(Attempt { model, body, headers })
}

/// Reads a request; `None` at the end of the connection.
pub(crate) fn read_incoming(reader: &mut BufReader<TcpStream>) -> Option<Incoming> {
    let mut headers = Vec::new();
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|size| *size > 0)?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|size| *size > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).ok()?;
    Some(Incoming { path, body, headers })
}

struct Reply<'a> {
    stream: &'a mut TcpStream,
    shared: &'a Shared,
    model: &'a str,
    streamed: bool,
    /// What the script has to say.
    scripted: Option<Scripted>,
    /// The beginning of an answer that is to be continued.
    begun: String,
}

impl Reply<'_> {
    /// Answers; `None` when the connection is of no further use.
    fn behave(&mut self, earlier: usize) -> Option<()> {
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
        let form = Form::default();
        match plain {
            "ok" => self.well(form),
            "crlf" => self.well(Form { crlf: true, ..form }),
            "no-space" => self.well(Form { no_space: true, ..form }),
            "no-done" => self.well(Form { no_done: true, ..form }),
            "no-usage" => self.well(Form { no_usage: true, ..form }),
            "usage-on-choice" => self.well(Form { usage_on_choice: true, ..form }),
            "comments" => self.well(Form { comments: true, ..form }),
            "stall" => self.stall(),
            "gated" => self.gated(),
            "error-in-stream" => self.error_in_stream(),
            "error-in-200" => self.json(
                200,
                "",
                &json!({"error": {"message": "The engine is on fire", "type": "server_error"}}),
            ),
            "reset" => self.reset(),
            "garbage" => {
                self.body(200, "", "application/json", b"<html>502 Bad Gateway, dressed as 200</html>")
            }
            "garbage-head" => self.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n").and(None),
            "loops" => {
                self.told(|body| body["choices"][0]["message"]["content"] = json!("and so on ".repeat(20)))
            }
            "unsure" => {
                let tokens =
                    json!({"content": [{"token": "Zug", "logprob": -4.0}, {"token": "!", "logprob": -3.0}]});
                self.told(|body| body["choices"][0]["logprobs"] = tokens)
            }
            "continues" => {
                let answer = wire::ANSWER.strip_prefix(&self.begun).unwrap_or("This is not how I began.");
                let scripted = Scripted { answer: answer.to_owned(), tokens: wire::TOKENS };
                self.scripted(&scripted)
            }
            "scripted" => match self.scripted.take() {
                Some(scripted) => self.scripted(&scripted),
                None => self.status(500),
            },
            "redirect" => self.json(302, "location: http://127.0.0.1:9/v1/chat/completions\r\n", &json!({})),
            _ => {
                self.json(404, "", &json!({"error": {"message": "no such model", "code": "model_not_found"}}))
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.write_all(bytes).ok()
    }

    fn body(&mut self, status: u16, more_headers: &str, content_type: &str, body: &[u8]) -> Option<()> {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} As Asked\r\ncontent-type: {content_type}\r\n{more_headers}content-length: {length}\r\n\r\n"
        );
        self.write(&[head.as_bytes(), body].concat())
    }

    fn json(&mut self, status: u16, more_headers: &str, body: &Value) -> Option<()> {
        self.body(status, more_headers, "application/json", body.to_string().as_bytes())
    }

    fn status(&mut self, status: u16) -> Option<()> {
        let retry_after = if status == 429 { "retry-after: 7\r\n" } else { "" };
        let said = format!("The provider says {status}");
        let code = if status == 400 { json!("invalid_value") } else { Value::Null };
        self.json(
            status,
            retry_after,
            &json!({"error": {"message": said, "code": code, "param": "messages"}}),
        )
    }

    /// A right answer, in the given form if it is streamed.
    fn well(&mut self, form: Form) -> Option<()> {
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
        self.write(b"0\r\n\r\n")
    }

    fn scripted(&mut self, Scripted { answer, tokens }: &Scripted) -> Option<()> {
        if !self.streamed {
            return self.json(200, "", &wire::saying(self.model, answer, Some(*tokens)));
        }
        self.start_stream()?;
        for event in wire::events_saying(self.model, answer, *tokens, Form::default()) {
            self.piece(event.as_bytes())?;
        }
        self.write(b"0\r\n\r\n")
    }

    /// A whole answer with something about it changed.
    fn told(&mut self, change: impl FnOnce(&mut Value)) -> Option<()> {
        let mut body = wire::completion(self.model, true);
        change(&mut body);
        self.json(200, "", &body)
    }

    fn start_stream(&mut self) -> Option<()> {
        self.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
        )
    }

    /// One HTTP chunk, in one write.
    fn piece(&mut self, bytes: &[u8]) -> Option<()> {
        let size = format!("{:x}\r\n", bytes.len());
        self.write(&[size.as_bytes(), bytes, b"\r\n"].concat())
    }

    fn streamed_in_pieces(&mut self, seed: u64) -> Option<()> {
        if !self.streamed {
            return self.well(Form::default());
        }
        self.start_stream()?;
        let whole = wire::events(self.model, Form::default()).concat();
        for piece in wire::pieces(whole.as_bytes(), seed) {
            self.piece(piece)?;
        }
        self.write(b"0\r\n\r\n")
    }

    fn cut(&mut self, bytes: usize) -> Option<()> {
        if self.streamed {
            self.start_stream()?;
            let whole = wire::events(self.model, Form::default()).concat();
            self.piece(&whole.as_bytes()[..bytes.min(whole.len())])?;
            return None;
        }
        let whole = wire::completion(self.model, true).to_string();
        let length = whole.len();
        self.write(
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n")
                .as_bytes(),
        )?;
        self.write(&whole.as_bytes()[..bytes.min(length - 1)])?;
        None
    }

    fn first_two_events(&mut self) -> Option<()> {
        self.start_stream()?;
        for event in &wire::events(self.model, Form::default())[..2] {
            self.piece(event.as_bytes())?;
        }
        Some(())
    }

    fn stall(&mut self) -> Option<()> {
        if self.streamed {
            self.first_two_events()?;
        }
        self.shared.wait_for_close(self.stream, self.model);
        None
    }

    fn gated(&mut self) -> Option<()> {
        self.first_two_events()?;
        let model = self.model.to_owned();
        self.shared.wait(&format!("the gate of `{model}` opens"), |log| log.open_gates.contains(&model));
        for event in &wire::events(self.model, Form::default())[2..] {
            self.piece(event.as_bytes())?;
        }
        self.write(b"0\r\n\r\n")
    }

    fn error_in_stream(&mut self) -> Option<()> {
        if self.streamed {
            self.first_two_events()?;
            self.piece(
                b"data: {\"error\":{\"message\":\"The engine is on fire\",\"type\":\"server_error\"}}\n\n",
            )?;
            return self.write(b"0\r\n\r\n");
        }
        self.status(500)
    }

    fn reset(&mut self) -> Option<()> {
        // Closing with a linger of zero sends RST.
        let _ = socket2::SockRef::from(&*self.stream).set_linger(Some(Duration::ZERO));
        None
    }
}
