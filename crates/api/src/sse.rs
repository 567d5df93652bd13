//! Server-sent events: bytes into events and back, whatever pieces the network cuts them into.
//!
//! Follows the WHATWG HTML standard, section 9.2.6: CR, LF and CRLF end a line, one space after the colon is dropped,
//! lines without a known field are passed over, a byte-order mark at the start is skipped, an event without data is none.

use bytes::Bytes;
use serde::Serialize;

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The `event:` field, empty where there is none.
    pub name: String,
    /// The `data:` lines, joined by newlines.
    pub data: String,
}

/// The stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// An event is longer than the decoder's cap.
    EventTooLarge,
    /// An event is not UTF-8.
    NotUtf8,
}

/// Gathers bytes until an event is whole.
#[derive(Debug)]
pub struct Decoder {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    after_cr: bool,
    at_start: bool,
    event_bytes_max: usize,
}

impl Decoder {
    /// A decoder that refuses events over `event_bytes_max` bytes.
    pub fn new(event_bytes_max: usize) -> Self {
        Self {
            line: Vec::new(),
            event: Event::default(),
            has_data: false,
            after_cr: false,
            at_start: true,
            event_bytes_max,
        }
    }

    /// Takes the next bytes and appends the events that they complete to `events`.
    ///
    /// # Errors
    /// The stream is over its cap or not UTF-8; the decoder is of no further use then.
    pub fn push(&mut self, mut bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            if bytes[0] == b'\n' {
                bytes = &bytes[1..];
            }
        }
        while let Some(end) = line_end(bytes) {
            self.keep(&bytes[..end])?;
            self.end_line(events)?;
            let crlf = bytes[end] == b'\r' && bytes.get(end + 1) == Some(&b'\n');
            self.after_cr = bytes[end] == b'\r' && end + 1 == bytes.len();
            bytes = &bytes[end + 1 + usize::from(crlf)..];
        }
        self.keep(bytes)
    }

    /// Whether bytes of an unfinished event are waiting: the stream was cut if it ends now.
    pub fn is_mid_event(&self) -> bool {
        self.has_data || !self.line.is_empty()
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        if self.line.len() + self.event.data.len() + bytes.len() > self.event_bytes_max {
            return Err(Broken::EventTooLarge);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<Event>) -> Result<(), Broken> {
        let mut line = std::str::from_utf8(&self.line).map_err(|_| Broken::NotUtf8)?;
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                events.push(event);
            }
        } else {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "data" => {
                    if std::mem::replace(&mut self.has_data, true) {
                        self.event.data.push('\n');
                    }
                    self.event.data.push_str(value);
                }
                "event" => value.clone_into(&mut self.event.name),
                _ => {}
            }
        }
        self.line.clear();
        Ok(())
    }
}

/// Where the first line ends.
fn line_end(bytes: &[u8]) -> Option<usize> {
    const TOGETHER: usize = 16;
    let ends = |byte: &u8| matches!(byte, b'\n' | b'\r');
    // Without a way out in the middle the compiler compares sixteen bytes at once.
    let none = |piece: &&[u8]| !piece.iter().fold(false, |found, byte| found | ends(byte));
    let passed = bytes.chunks_exact(TOGETHER).take_while(none).count() * TOGETHER;
    bytes[passed..].iter().position(ends).map(|place| passed + place)
}

/// The event that ends OpenAI's streams.
pub const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

/// A comment that keeps idle connections open.
pub const HEARTBEAT: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// One event with `value` as JSON.
///
/// # Errors
/// The value cannot be written as JSON.
pub fn data(value: &impl Serialize) -> Result<Bytes, serde_json::Error> {
    write(room(), value)
}

/// The same, of the type `name`.
///
/// # Errors
/// The value cannot be written as JSON.
pub fn named(name: &str, value: &impl Serialize) -> Result<Bytes, serde_json::Error> {
    let mut bytes = room();
    bytes.extend_from_slice(b"event: ");
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(b'\n');
    write(bytes, value)
}

/// Where most events fit, so that it need not grow.
fn room() -> Vec<u8> {
    Vec::with_capacity(512)
}

fn write(mut bytes: Vec<u8>, value: &impl Serialize) -> Result<Bytes, serde_json::Error> {
    bytes.extend_from_slice(b"data: ");
    serde_json::to_writer(&mut bytes, value)?;
    bytes.extend_from_slice(b"\n\n");
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(pieces: &[&[u8]]) -> Result<Vec<String>, Broken> {
        let mut decoder = Decoder::new(1000);
        let mut events = Vec::new();
        for piece in pieces {
            decoder.push(piece, &mut events)?;
        }
        Ok(events.into_iter().map(|event| format!("{}|{}", event.name, event.data)).collect())
    }

    #[test]
    fn a_stream_means_the_same_wherever_it_is_cut() {
        let stream = "\u{feff}: hi\r\ndata:{\"a\":\"é\"}\r\n\r\nevent: x\ndata: one\ndata: two\nid: 7\n\n\
                      retry: 5\n\ndata\n\ndata: [DONE]\r\r"
            .as_bytes();
        let expected = ["|{\"a\":\"é\"}", "x|one\ntwo", "|", "|[DONE]"];
        for cut in 0..=stream.len() {
            for second in [cut, (cut + stream.len()) / 2, stream.len()] {
                let pieces = [&stream[..cut], &stream[cut..second], &stream[second..]];
                assert_eq!(decode(&pieces).expect("a good stream"), expected, "cut at {cut}, {second}");
            }
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(decode(&bytes).expect("a good stream"), expected);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_bounded() {
        assert_eq!(decode(&[b"data: \xff\xfe\n\n"]), Err(Broken::NotUtf8));
        assert_eq!(decode(&[&[b'x'; 1001]]), Err(Broken::EventTooLarge));
        let long = [b"data: ".as_slice(), &[b'x'; 600], b"\n"].concat();
        assert_eq!(decode(&[&long, &long]), Err(Broken::EventTooLarge));
    }

    #[test]
    fn an_unfinished_event_is_seen() {
        let mut decoder = Decoder::new(100);
        let mut events = Vec::new();
        decoder.push(b"data: a\n\n", &mut events).expect("a good stream");
        assert!(!decoder.is_mid_event());
        decoder.push(b"data: b\n", &mut events).expect("a good stream");
        assert!(decoder.is_mid_event());
    }
}
