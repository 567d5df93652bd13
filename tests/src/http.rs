//! A plain HTTP/1.1 client: one request a connection, and nothing tidied up, so that tests see what is on the wire.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use crate::PATIENCE;

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A GET.
    pub fn get(path: &str) -> Self {
        Self { method: "GET".to_owned(), path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// A POST of JSON.
    pub fn post(path: &str, body: &Value) -> Self {
        Self::post_bytes(path, body.to_string().into_bytes())
    }

    /// A POST of bytes that claim to be JSON.
    pub fn post_bytes(path: &str, body: impl Into<Vec<u8>>) -> Self {
        let request = Self { method: "POST".to_owned(), body: body.into(), ..Self::get(path) };
        request.header("content-type", "application/json")
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same without the headers of this name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(own, _)| own != name);
        self
    }

    /// The same with another method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    fn bytes(&self, host: SocketAddr) -> Vec<u8> {
        let Self { method, path, .. } = self;
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() || method == "POST" {
            head += &format!("content-length: {}\r\n", self.body.len());
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }

    /// Sends it and reads the head of the answer.
    pub fn open(&self, to: SocketAddr) -> Events {
        let mut stream = connect(to);
        // A server may answer and close before it has read everything: that is for the reader to see.
        let _ = stream.write_all(&self.bytes(to));
        Events::read_head(stream).expect("no HTTP response")
    }

    /// Sends it, waits for `until`, and closes the connection.
    pub fn send_and_leave(&self, to: SocketAddr, until: impl FnOnce()) {
        let mut stream = connect(to);
        stream.write_all(&self.bytes(to)).unwrap();
        until();
        stream.shutdown(Shutdown::Both).unwrap();
    }

    /// Sends it to a server that may die at any moment: the status, or `None` where none came.
    pub fn try_send(&self, to: SocketAddr) -> Option<u16> {
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(&self.bytes(to)).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        read_head(&mut answer.as_slice()).map(|head| head.status)
    }

    /// Sends it and reads the whole answer.
    pub fn send(&self, to: SocketAddr) -> Answer {
        self.open(to).whole()
    }
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&to, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends bytes as they are and returns the status of every response that comes back until the connection is closed;
/// an empty list where it is closed without a word. The sending side stays open.
pub fn raw(to: SocketAddr, bytes: &[u8]) -> Vec<u16> {
    let mut stream = connect(to);
    let _ = stream.write_all(bytes);
    let mut reader = BufReader::new(stream);
    let mut statuses = Vec::new();
    while let Some(head) = read_head(&mut reader) {
        let length = head.get("content-length").map(|text| text.parse::<u64>().unwrap());
        statuses.push(head.status);
        let read = std::io::copy(&mut (&mut reader).take(length.unwrap_or(0)), &mut std::io::sink());
        if read.is_err() || length.is_none() {
            break;
        }
    }
    statuses
}

#[derive(Debug)]
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// `None` where the connection ends before a head.
fn read_head(reader: &mut impl BufRead) -> Option<Head> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the connection was left open");
            }
            Err(_) => return None,
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let status = lines.first()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines[1..].iter().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    Some(Head { status, headers: headers.collect() })
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The text of the first choice.
    pub fn content(&self) -> String {
        let body = self.json();
        let content = body["choices"][0]["message"]["content"].as_str();
        content.unwrap_or_else(|| panic!("no content in {body}")).to_owned()
    }

    /// `error.code`.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// `error.message`.
    pub fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
    }

    /// Fails unless the answer has this status.
    #[expect(clippy::return_self_not_must_use, reason = "often the status is all that a test asks for")]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

/// An answer whose body is still coming.
pub struct Events {
    head: Head,
    body: Body,
}

impl Events {
    fn read_head(stream: TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let head = read_head(&mut reader)?;
        let chunked =
            head.get("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        let left = head.get("content-length").map(|text| text.parse().unwrap());
        Some(Self { head, body: Body { reader, chunked, left, ended: false, broken: false } })
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// A header's value, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.head.get(name).unwrap_or("")
    }

    /// The data of the next event, comments left out; `None` at the end of the body.
    pub fn next_event(&mut self) -> Option<String> {
        let mut data = Vec::new();
        loop {
            let line = self.body.line()?;
            match line.strip_prefix("data:") {
                Some(text) => data.push(text.strip_prefix(' ').unwrap_or(text).to_owned()),
                None if line.is_empty() && !data.is_empty() => return Some(data.join("\n")),
                None => {}
            }
        }
    }

    /// All events to come.
    pub fn events(mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next_event()).collect()
    }

    /// Reads the rest.
    pub fn whole(mut self) -> Answer {
        let mut body = Vec::new();
        while let Some(byte) = self.body.byte() {
            body.push(byte);
        }
        Answer { status: self.head.status, headers: self.head.headers, body }
    }

    /// Closes the connection from this side.
    pub fn leave(self) {
        let _ = self.body.reader.get_ref().shutdown(Shutdown::Both);
    }
}

struct Body {
    reader: BufReader<TcpStream>,
    chunked: bool,
    /// Of the body, or of the current chunk.
    left: Option<u64>,
    ended: bool,
    broken: bool,
}

impl Body {
    fn byte(&mut self) -> Option<u8> {
        if self.chunked && self.left.unwrap_or(0) == 0 && !self.ended {
            self.next_chunk();
        }
        if self.ended || self.left == Some(0) {
            return None;
        }
        let mut byte = [0];
        match self.reader.read(&mut byte) {
            Ok(1) => {
                self.left = self.left.map(|left| left - 1);
                if self.chunked && self.left == Some(0) {
                    let mut end = String::new();
                    let _ = self.reader.read_line(&mut end);
                }
                Some(byte[0])
            }
            _ => {
                self.ended = true;
                self.broken = self.left.is_some();
                None
            }
        }
    }

    fn next_chunk(&mut self) {
        let mut line = String::new();
        let size =
            self.reader.read_line(&mut line).ok().and_then(|_| u64::from_str_radix(line.trim(), 16).ok());
        match size {
            Some(size) if size > 0 => self.left = Some(size),
            other => {
                self.ended = true;
                self.broken = other.is_none();
            }
        }
    }

    /// A line without its end; `None` at the end of the body.
    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        loop {
            match self.byte() {
                Some(b'\n') => break,
                Some(b'\r') => {}
                Some(byte) => line.push(byte),
                None if line.is_empty() => return None,
                None => break,
            }
        }
        assert!(!self.broken, "the gateway broke its own body off");
        Some(String::from_utf8(line).expect("events are UTF-8"))
    }
}
