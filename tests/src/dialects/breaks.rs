//! Streams that break at a byte: how much comes, and how it ends there.
//!
//! A model named `cut.120` sends 120 bytes of [`recording`] and closes; `reset.120` resets the connection; `stall.120` is
//! silent from there on; `end.120` ends the body there as HTTP wants it, so that only the dialect can tell that more
//! was to come; `split.120` sends all of it, in two writes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::asked::Asked;
use super::said::{self, Said};
use super::{BRIEF, Dialect};
use crate::PATIENCE;

/// How a stream breaks, and after how many bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Break {
    how: How,
    at: usize,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Cut,
    Reset,
    Stall,
    End,
    Split,
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
/// Between the two writes of a split stream, so that they arrive as two.
const APART: Duration = Duration::from_millis(1);

impl Break {
    /// What the behaviour of this name is; `None` where it is another.
    pub(super) fn named(behaviour: &str) -> Option<Self> {
        let (how, at) = behaviour.split_once('.')?;
        let how = match how {
            "cut" => How::Cut,
            "reset" => How::Reset,
            "stall" => How::Stall,
            "end" => How::End,
            "split" => How::Split,
            _ => return None,
        };
        Some(Self { how, at: at.parse().ok()? })
    }

    /// Streams the recording as far as it goes; `None` when the connection is of no further use.
    pub(super) fn stream(self, stream: &mut TcpStream, dialect: Dialect) -> Option<()> {
        let whole = recording(dialect);
        let (before, after) = whole.as_bytes().split_at(self.at.min(whole.len()));
        stream.write_all(&[HEAD.as_bytes(), &chunk(before)].concat()).ok()?;
        match self.how {
            How::Cut => None,
            How::Reset => {
                // Closing with a linger of zero sends RST.
                let _ = socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
                None
            }
            How::Stall => {
                let _ = stream.set_read_timeout(Some(PATIENCE));
                let mut byte = [0];
                while matches!(stream.read(&mut byte), Ok(count) if count > 0) {}
                None
            }
            How::End => stream.write_all(b"0\r\n\r\n").ok(),
            How::Split => {
                thread::sleep(APART);
                stream.write_all(&[&chunk(after), &b"0\r\n\r\n"[..]].concat()).ok()
            }
        }
    }
}

/// One chunk of a body; nothing for no bytes, which would end it.
fn chunk(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return Vec::new();
    }
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// The stream that breaks: [`BRIEF`], the same whatever was asked for.
pub(super) fn recording(dialect: Dialect) -> String {
    let asked = Asked::of_stream("recorded");
    let said = Said { text: BRIEF.to_owned(), ..Said::default() };
    said::events(dialect, &asked, &said).concat()
}
