//! A provider that speaks every dialect, each at its own path and with its own key's header.
//!
//! Owns what is answered to what was asked; `asked` reads the dialects, `said` writes them. Refuses with 400 a request
//! that is not the dialect's own form: a translation that is wrong shows there.
//!
//! What follows the last `-` of a model's name decides: `ok` answers, `e400`, `e429`, `e500`, `e503` answer with that status,
//! `broken` ends a stream by an error after two events, `cut` ends its connection there, `other` says [`AGAIN`] or continues
//! [`BRIEF`] where its beginning is given, `cut.N` and its like break at a byte, see `breaks`, and all else is a 404.
//! What `ok` says follows from the request, see [`answer`].

mod asked;
mod breaks;
mod said;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use self::asked::Asked;
use self::breaks::Break;
use self::said::{Call, Said, Stop};
use crate::ANSWER;
use crate::provider::{Incoming, read_incoming};

/// What a provider speaks, as `models.toml` calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    OpenAi,
    Azure,
    Responses,
    Anthropic,
    Gemini,
}

type Known = (Dialect, &'static str, &'static str, &'static str);

/// With how our tests call them, and where they are below the provider's address.
const DIALECTS: [Known; 5] = [
    (Dialect::OpenAi, "chat", "openai", "/chat/v1"),
    (Dialect::Azure, "azure", "azure", "/azure"),
    (Dialect::Responses, "responses", "openai-responses", "/responses/v1"),
    (Dialect::Anthropic, "anthropic", "anthropic", "/anthropic/v1"),
    (Dialect::Gemini, "gemini", "gemini", "/gemini/v1beta"),
];

const BEHAVIOURS: [&str; 7] = ["ok", "e400", "e429", "e500", "e503", "broken", "cut"];
const KEY: &str = "upstream-secret";

/// What a stream says that breaks at a byte. Short, so that each byte can be tried.
pub const BRIEF: &str = "Zug → 🚂.";
/// What the behaviour `other` says: not a word of it is in [`BRIEF`].
pub const AGAIN: &str = "Ask me again!";

/// How often each model was asked, by the provider's name for it.
type Log = Mutex<HashMap<String, usize>>;

/// The provider, on a port of its own. Dropping it closes it.
#[derive(Debug)]
pub struct Dialects {
    address: SocketAddr,
    closing: Arc<AtomicBool>,
    log: Arc<Log>,
    accepting: Option<JoinHandle<()>>,
}

impl Dialects {
    /// Starts it.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let closing = Arc::new(AtomicBool::new(false));
        let for_accepting = Arc::clone(&closing);
        let log = Arc::new(Log::default());
        let for_serving = Arc::clone(&log);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if for_accepting.load(Ordering::SeqCst) {
                    return;
                }
                let log = Arc::clone(&for_serving);
                if let Ok(stream) = stream {
                    thread::spawn(move || serve(stream, &log));
                }
            }
        });
        Self { address, closing, log, accepting: Some(accepting) }
    }

    /// `models.toml` with a model for each dialect and behaviour: `chat-ok`, `gemini-e429`. Each has a provider entry of
    /// its own, so that one that fails does not open the breaker of another.
    pub fn models_toml(&self) -> String {
        let behaviours = || BEHAVIOURS.iter().chain(&["missing"]);
        DIALECTS
            .iter()
            .flat_map(|dialect| behaviours().map(|behaviour| self.model(dialect, behaviour, "")))
            .collect()
    }

    /// The entry of one more model, `chat-cut.120`, with `more` settings of its provider.
    ///
    /// # Panics
    /// There is no such dialect.
    pub fn model_toml(&self, dialect: &str, behaviour: &str, more: &str) -> String {
        self.model(named(dialect), behaviour, more)
    }

    fn model(&self, (dialect, short, name, path): &Known, behaviour: &str, more: &str) -> String {
        let version = if *dialect == Dialect::Azure { "api_version = \"2024-10-21\"\n" } else { "" };
        let id = id(*dialect, short);
        let mut text = String::new();
        let _ = write!(
            text,
            "[provider.\"{short}-{behaviour}\"]\ndialect = {name:?}\nbase_url = \"http://{}{path}\"\n{version}\
             api_key = {KEY:?}\nallow_private_addresses = true\nretries_max = 0\n{more}\n\
             [[model]]\nname = \"{short}-{behaviour}\"\nid = \"{id}-{behaviour}\"\nkind = \"provider\"\n\
             provider = \"{short}-{behaviour}\"\nprices = {{ input = 1.0, cached_input = 0.5, output = 2.0 }}\n\
             context_tokens = 100000\noutput_tokens_max = 1000\n\
             supports = [\"tools\", \"json\", \"logprobs\", \"images\"]\nquality = {{ default = 0.9 }}\n\n",
            self.address
        );
        text
    }

    /// How often the model of this dialect and behaviour was asked.
    ///
    /// # Panics
    /// There is no such dialect.
    pub fn asked(&self, dialect: &str, behaviour: &str) -> usize {
        let (kind, short, ..) = named(dialect);
        let model = format!("{}-{behaviour}", id(*kind, short));
        self.log.lock().unwrap().get(&model).copied().unwrap_or_default()
    }

    /// How many bytes a stream has in this dialect that breaks at one of them.
    ///
    /// # Panics
    /// There is no such dialect.
    pub fn recorded_bytes(dialect: &str) -> usize {
        breaks::recording(named(dialect).0).len()
    }
}

fn named(dialect: &str) -> &'static Known {
    DIALECTS.iter().find(|(_, short, ..)| *short == dialect).expect("a dialect")
}

/// The beginning of the provider's names for models of a dialect. By its name, Google's older form of thinking is meant.
fn id(dialect: Dialect, short: &'static str) -> &'static str {
    if dialect == Dialect::Gemini { "gemini-2.5" } else { short }
}

impl Drop for Dialects {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn serve(stream: TcpStream, log: &Log) {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    while let Some(incoming) = read_incoming(&mut reader) {
        if reply(reader.get_mut(), &incoming, log).is_none() {
            return;
        }
    }
}

/// Answers; `None` when the connection is of no further use.
fn reply(stream: &mut TcpStream, incoming: &Incoming, log: &Log) -> Option<()> {
    let Some(dialect) = dialect_of(&incoming.path) else {
        return send(stream, 404, "", &json!({"error": {"message": "no such path"}}));
    };
    let refuse = |stream: &mut TcpStream, status: u16, message: &str| {
        let headers = if status == 429 { "retry-after: 7\r\n" } else { "" };
        send(stream, status, headers, &said::refusal(dialect, status, message))
    };
    let (header, value) = match dialect {
        Dialect::OpenAi | Dialect::Responses => ("authorization", format!("Bearer {KEY}")),
        Dialect::Azure => ("api-key", KEY.to_owned()),
        Dialect::Anthropic => ("x-api-key", KEY.to_owned()),
        Dialect::Gemini => ("x-goog-api-key", KEY.to_owned()),
    };
    if incoming.header(header) != value {
        return refuse(stream, 401, "the provider's key is not right");
    }
    let asked = match Asked::read(dialect, incoming) {
        Ok(asked) => asked,
        Err(wrong) => return refuse(stream, 400, &wrong),
    };
    *log.lock().unwrap().entry(asked.model.clone()).or_default() += 1;
    let behaviour = asked.model.rsplit('-').next().unwrap_or_default();
    if let Some(fault) = Break::named(behaviour) {
        return fault.stream(stream, dialect);
    }
    if let Some(status) = behaviour.strip_prefix('e').and_then(|status| status.parse().ok()) {
        return refuse(stream, status, &format!("The provider says {status}"));
    }
    if !BEHAVIOURS.contains(&behaviour) && behaviour != "other" {
        return refuse(stream, 404, "no such model");
    }
    let said = if behaviour == "other" { other(&asked) } else { answer(&asked) };
    if !asked.stream {
        return match behaviour {
            "ok" | "other" => send(stream, 200, "", &said::whole(dialect, &asked, &said)),
            _ => refuse(stream, 500, "The engine is on fire"),
        };
    }
    let mut events = said::events(dialect, &asked, &said);
    if !matches!(behaviour, "ok" | "other") {
        events.truncate(said::BEGINNING);
    }
    if behaviour == "broken" {
        events.push(said::broken(dialect));
    }
    stream
        .write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .ok()?;
    for event in events {
        write!(stream, "{:x}\r\n{event}\r\n", event.len()).ok()?;
    }
    if behaviour == "cut" {
        return None;
    }
    stream.write_all(b"0\r\n\r\n").ok()
}

fn dialect_of(path: &str) -> Option<Dialect> {
    let found = DIALECTS.iter().find(|(_, _, _, base)| path.starts_with(&format!("{base}/")))?;
    let below = &path[found.3.len()..];
    let right = match found.0 {
        Dialect::OpenAi => below == "/chat/completions",
        Dialect::Azure => below.ends_with("/chat/completions?api-version=2024-10-21"),
        Dialect::Responses => below == "/responses",
        Dialect::Anthropic => below == "/messages",
        Dialect::Gemini => {
            below.ends_with(":generateContent") || below.ends_with(":streamGenerateContent?alt=sse")
        }
    };
    right.then_some(found.0)
}

fn send(stream: &mut TcpStream, status: u16, headers: &str, body: &Value) -> Option<()> {
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} As Asked\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
    .ok()
}

/// What somebody else says: the rest of [`BRIEF`] after its beginning, and otherwise nothing of it.
fn other(asked: &Asked) -> Said {
    let text = match asked.begun.as_str() {
        "" => AGAIN,
        begun => BRIEF.strip_prefix(begun).unwrap_or("This is not how I began."),
    };
    Said { text: text.to_owned(), ..Said::default() }
}

/// What is said to what was asked. Everything that a request carries comes back in some answer, so that a client sees
/// what has arrived.
fn answer(asked: &Asked) -> Said {
    let text = |text: String| Said { text, ..Said::default() };
    if !asked.results.is_empty() {
        let results = asked.results.iter().map(|(call, result)| format!("{call} is {result}"));
        return text(results.collect::<Vec<_>>().join("; "));
    }
    if let Some(tool) = asked.tools.first().filter(|_| asked.text.contains("weather")) {
        let call = |id: &str, city: &str| Call {
            id: id.to_owned(),
            name: tool.clone(),
            arguments: json!({ "city": city }),
        };
        let calls = vec![call("call_oslo", "Oslo"), call("call_rome", "Rome")];
        return Said { text: "I look.".to_owned(), calls, stop: Stop::Calls, ..Said::default() };
    }
    if let Some(schema) = &asked.schema {
        let named = schema["properties"].as_object().and_then(|properties| properties.keys().next());
        return text(json!({ named.map_or("nothing", String::as_str): "Oslo" }).to_string());
    }
    if !asked.images.is_empty() {
        return text(asked.images.join("; "));
    }
    if asked.text.contains("who are you") {
        return text(asked.system.clone());
    }
    match asked.text.as_str() {
        "think" => Said { thoughts: "Let me see. ".to_owned(), ..text(ANSWER.to_owned()) },
        "too long" => Said { stop: Stop::Length, ..text(ANSWER.to_owned()) },
        "filtered" => Said { stop: Stop::Filter, ..text(ANSWER.to_owned()) },
        "stop at" => {
            let sequence = asked.stops.first().cloned().unwrap_or_default();
            Said { stop: Stop::Sequence(sequence), ..text("Zug ".to_owned()) }
        }
        "sampling" => text(asked.sampling.clone()),
        _ => text(ANSWER.to_owned()),
    }
}
