//! What has reached the provider, and what its clients have done.

use std::collections::HashSet;
use std::io::Read;
use std::net::TcpStream;
use std::sync::atomic::AtomicBool;
use std::sync::{Condvar, Mutex};

use serde_json::Value;

use super::incoming::{Incoming, header};
use super::reply::Script;
use crate::PATIENCE;

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
    pub(super) fn of(Incoming { body, headers, .. }: Incoming) -> Self {
        let model = body["model"].as_str().unwrap_or_default().to_owned();
        Self { model, body, headers }
    }

    /// A header's value, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        header(&self.headers, name)
    }
}

/// What the threads of one provider share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) closing: AtomicBool,
    pub(super) log: Mutex<Log>,
    pub(super) changed: Condvar,
    pub(super) script: Script,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) attempts: Vec<Attempt>,
    /// Models whose client closed the connection while they were answering.
    pub(super) left: Vec<String>,
    pub(super) open_gates: HashSet<String>,
}

impl Shared {
    /// Logs an attempt: how many of its model came before it.
    pub(super) fn note(&self, attempt: Attempt) -> usize {
        let mut log = self.log.lock().unwrap();
        let earlier = log.attempts.iter().filter(|earlier| earlier.model == attempt.model).count();
        log.attempts.push(attempt);
        drop(log);
        self.changed.notify_all();
        earlier
    }

    pub(super) fn wait(&self, what: &str, condition: impl Fn(&Log) -> bool) {
        let log = self.log.lock().unwrap();
        let waited = self.changed.wait_timeout_while(log, PATIENCE, |log| !condition(log)).unwrap().1;
        assert!(!waited.timed_out(), "never came true: {what}");
    }

    /// Waits for the client to close, and logs it.
    pub(super) fn wait_for_close(&self, stream: &mut TcpStream, model: &str) {
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let mut byte = [0];
        while matches!(stream.read(&mut byte), Ok(count) if count > 0) {}
        self.left(model);
    }

    /// Logs that the client of `model` has closed its connection.
    pub(super) fn left(&self, model: &str) {
        self.log.lock().unwrap().left.push(model.to_owned());
        self.changed.notify_all();
    }
}
