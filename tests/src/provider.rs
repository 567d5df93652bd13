//! A provider that speaks OpenAI's dialect and misbehaves on purpose, by the name of the model that is asked for.
//!
//! Owns its port and who is served; `log` keeps what has reached it, `reply` reads a model's name, `faults` are the faults
//! before an answer and of whole ones, `streams` those of streams. Refuses nothing: an unknown name is a 404.
//!
//! | model             | what it does                                                                     |
//! |-------------------|----------------------------------------------------------------------------------|
//! | `ok`              | answers, whole or streamed                                                       |
//! | `other`           | answers in other words, so that two answers glued together would show            |
//! | `continues`       | `ok`; continues the beginning of an answer that stands at the end of the messages |
//! | `scripted`        | answers what [`Provider::answering`] was given, with a usage of the texts' lengths |
//! | `loops`           | answers whole, with a phrase repeated over and over                               |
//! | `unsure`          | answers whole, with improbable tokens where log-probabilities are asked for       |
//! | `crlf`, `no-space`, `multi-line`, `bom`, `comments`, `no-done`, `no-usage`, `usage-on-choice` | streams in that form |
//! | `pieces-SEED`     | streams in pieces cut anywhere; seed 0 cuts after every byte                      |
//! | `gated`           | streams two events, then waits until the test opens its gate                      |
//! | `flaky-N`         | fails N times with 500, then is `ok`                                              |
//! | `e400`, `e401`, `e429`, `e500`, `e503`, ... | answers with that status; 429 with `retry-after: 7`     |
//! | `e429-bare`       | answers 429 without `retry-after`                                                 |
//! | `too-long`, `filtered`, `spent` | refuses: the request is too long, its content filtered, the account spent |
//! | `declines`        | answers 200: the content was filtered                                             |
//! | `redirect`        | answers with a redirect to another server                                         |
//! | `reset`, `mute`   | resets the connection, or says nothing                                            |
//! | `garbage-head`, `huge-head` | answers with something that is no HTTP, or with a head of 4 MiB         |
//! | `error-in-200`, `error-first` | answers 200 with an error inside, in JSON or as a stream's first event |
//! | `garbage`         | answers 200 with something that is no JSON                                        |
//! | `truncated`       | answers with half of the JSON and a length that fits; `half-event` as well, unless it streams |
//! | `gzip`, `gzip-unsaid` | answers compressed, though nobody asked for it, and says so or does not       |
//! | `oversize`, `oversize-unsaid` | answers 40 MiB, announced or not; an event of 6 MiB if it streams     |
//! | `cut-N`           | streams N bytes, or sends N bytes of a whole answer, and closes                   |
//! | `silent`, `stall` | streams nothing after the head, or two events, and then is silent                 |
//! | `half-event`      | streams two events and half of the third, and ends properly                       |
//! | `error-in-stream` | streams two events and then an error                                              |
//! | `no-end`, `only-done` | streams every word and ends without saying so; says so without a word         |
//! | `endless`, `only-comments`, `words-then-comments` | streams words, or comments, for ever              |
//!
//! What follows a `+` in a model's name only makes it another model: `ok+1`.

mod faults;
mod incoming;
mod log;
mod reply;
mod streams;

use std::io::BufReader;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use serde_json::Value;

pub(crate) use self::incoming::{Incoming, read_incoming};
pub use self::log::Attempt;
use self::log::Shared;
use self::reply::{Reply, Script};

/// The provider, on a port of its own. Dropping it closes it.
#[derive(Debug)]
pub struct Provider {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
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
    /// It does not within [`crate::PATIENCE`].
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

fn serve(stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    while let Some(incoming) = read_incoming(&mut reader) {
        let attempt = Attempt::of(incoming);
        let model = attempt.model.clone();
        let streamed = attempt.body["stream"] == true;
        let scripted = if model.split('+').next() == Some("scripted") {
            shared.script.answer(&attempt.body)
        } else {
            None
        };
        let begun = begun(&attempt.body).to_owned();
        let earlier = shared.note(attempt);
        let mut reply = Reply { stream: reader.get_mut(), shared, model: &model, streamed, scripted, begun };
        if reply.behave(earlier).is_none() {
            return;
        }
    }
}

/// The beginning of an answer that is to be continued; empty where there is none.
pub(crate) fn begun(body: &Value) -> &str {
    let last = body["messages"].as_array().and_then(|messages| messages.last());
    let begun = last.filter(|last| last["role"] == "assistant" && last["prefix"] == true);
    begun.and_then(|last| last["content"].as_str()).unwrap_or_default()
}
