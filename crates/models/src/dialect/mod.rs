//! The dialects that providers speak, each in its own file: how a request is written, how an answer is read.
//!
//! A dialect owns the bytes and nothing else: no sockets, no time, no retries. There is one so far, [`openai`].

pub(crate) mod openai;
