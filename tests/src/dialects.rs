//! A provider that speaks every dialect, each at its own path and with its own key's header.
//!
//! Owns what is answered to what was asked; `asked` reads the dialects, `said` writes them. Refuses with 400 a request
//! that is not the dialect's own form: a translation that is wrong shows there.
//!
//! What follows the last `-` of a model's name decides: `ok` answers, `e400`, `e429`, `e500` answer with that status,
//! `broken` ends a stream by an error after two events, `cut` ends its connection there, and all else is a 404.
//! What `ok` says follows from the request, see [`answer`].

mod asked;
mod said;

use std::fmt::Write as _;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use self::asked::Asked;
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

/// With how our tests call them, and where they are below the provider's address.
const DIALECTS: [(Dialect, &str, &str, &str); 5] = [
    (Dialect::OpenAi, "chat", "openai", "/chat/v1"),
    (Dialect::Azure, "azure", "azure", "/azure"),
    (Dialect::Responses, "responses", "openai-responses", "/responses/v1"),
    (Dialect::Anthropic, "anthropic", "anthropic", "/anthropic/v1"),
    (Dialect::Gemini, "gemini", "gemini", "/gemini/v1beta"),
];

const BEHAVIOURS: [&str; 6] = ["ok", "e400", "e429", "e500", "broken", "cut"];
const KEY: &str = "upstream-secret";

/// The provider, on a port of its own. Dropping it closes it.
#[derive(Debug)]
pub struct Dialects {
    address: SocketAddr,
    closing: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Dialects {
    /// Starts it.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let closing = Arc::new(AtomicBool::new(false));
        let for_accepting = Arc::clone(&closing);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if for_accepting.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(stream) = stream {
                    thread::spawn(move || serve(stream));
                }
            }
        });
        Self { address, closing, accepting: Some(accepting) }
    }

    /// `models.toml` with a model for each dialect and behaviour: `chat-ok`, `gemini-e429`. Each has a provider entry of
    /// its own, so that one that fails does not open the breaker of another.
    pub fn models_toml(&self) -> String {
        let mut text = String::new();
        for (dialect, short, name, path) in DIALECTS {
            let version = if dialect == Dialect::Azure { "api_version = \"2024-10-21\"\n" } else { "" };
            for behaviour in BEHAVIOURS.iter().chain(&["missing"]) {
                // By its name, Google's older form of thinking is meant.
                let id = if dialect == Dialect::Gemini { "gemini-2.5" } else { short };
                let _ = write!(
                    text,
                    "[provider.{short}-{behaviour}]\ndialect = {name:?}\nbase_url = \"http://{}{path}\"\n{version}\
                     api_key = {KEY:?}\nallow_private_addresses = true\nretries_max = 0\n\n\
                     [[model]]\nname = \"{short}-{behaviour}\"\nid = \"{id}-{behaviour}\"\nkind = \"provider\"\n\
                     provider = \"{short}-{behaviour}\"\nprices = {{ input = 1.0, cached_input = 0.5, output = 2.0 }}\n\
                     context_tokens = 100000\noutput_tokens_max = 1000\n\
                     supports = [\"tools\", \"json\", \"logprobs\", \"images\"]\nquality = {{ default = 0.9 }}\n\n",
                    self.address
                );
            }
        }
        text
    }
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

fn serve(stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    while let Some(incoming) = read_incoming(&mut reader) {
        if reply(reader.get_mut(), &incoming).is_none() {
            return;
        }
    }
}

/// Answers; `None` when the connection is of no further use.
fn reply(stream: &mut TcpStream, incoming: &Incoming) -> Option<()> {
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
    let behaviour = asked.model.rsplit('-').next().unwrap_or_default();
    if let Some(status) = behaviour.strip_prefix('e').and_then(|status| status.parse().ok()) {
        return refuse(stream, status, &format!("The provider says {status}"));
    }
    if !BEHAVIOURS.contains(&behaviour) {
        return refuse(stream, 404, "no such model");
    }
    let said = answer(&asked);
    if !asked.stream {
        return match behaviour {
            "ok" => send(stream, 200, "", &said::whole(dialect, &asked, &said)),
            _ => refuse(stream, 500, "The engine is on fire"),
        };
    }
    let mut events = said::events(dialect, &asked, &said);
    if behaviour != "ok" {
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
