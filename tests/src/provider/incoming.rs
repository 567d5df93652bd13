//! Requests as the test providers read them.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;

use serde_json::Value;

/// One request, with its path and query.
pub(crate) struct Incoming {
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(super) headers: Vec<(String, String)>,
}

impl Incoming {
    /// A header's value, empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        header(&self.headers, name)
    }
}

pub(super) fn header<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
    headers.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
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
