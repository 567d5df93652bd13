//! Faults of streams.

use std::thread;

use super::faults::BEAT;
use super::reply::Reply;
use crate::wire::{self, Form};

const ON_FIRE: &[u8] =
    b"data: {\"error\":{\"message\":\"The engine is on fire\",\"type\":\"server_error\"}}\n\n";

impl Reply<'_> {
    /// A stream with the fault `name`.
    pub(super) fn broken_stream(&mut self, name: &str) -> Option<()> {
        self.start_stream()?;
        match name {
            "silent" => self.wait_for_close(),
            "only-done" => {
                self.piece(b"data: [DONE]\n\n")?;
                self.end_stream()
            }
            "error-first" => {
                self.piece(ON_FIRE)?;
                self.end_stream()
            }
            "only-comments" => self.comments_for_ever(),
            "no-end" => self.no_end(),
            _ => {
                self.first_two_events()?;
                self.after_two_events(name)
            }
        }
    }

    fn after_two_events(&mut self, name: &str) -> Option<()> {
        match name {
            "stall" => self.wait_for_close(),
            "words-then-comments" => self.comments_for_ever(),
            "error-in-stream" => {
                self.piece(ON_FIRE)?;
                self.end_stream()
            }
            "half-event" => {
                let third = &wire::events(self.model, Form::default())[2];
                self.piece(&third.as_bytes()[..third.len() / 2])?;
                self.end_stream()
            }
            "endless" => {
                let word = wire::events(self.model, Form::default()).swap_remove(2);
                loop {
                    self.piece(word.as_bytes())?;
                    thread::sleep(BEAT);
                }
            }
            _ => self.gated(),
        }
    }

    fn comments_for_ever(&mut self) -> Option<()> {
        loop {
            self.piece(b": still thinking\n\n")?;
            thread::sleep(BEAT);
        }
    }

    /// Every word, and no end: what follows them are the finish reason, the usage and `[DONE]`.
    fn no_end(&mut self) -> Option<()> {
        let mut events = wire::events(self.model, Form::default());
        events.truncate(events.len() - 3);
        for event in events {
            self.piece(event.as_bytes())?;
        }
        self.end_stream()
    }

    pub(super) fn streamed_in_pieces(&mut self, seed: u64) -> Option<()> {
        if !self.streamed {
            return self.well(Form::default());
        }
        self.start_stream()?;
        let whole = wire::events(self.model, Form::default()).concat();
        for piece in wire::pieces(whole.as_bytes(), seed) {
            self.piece(piece)?;
        }
        self.end_stream()
    }

    pub(super) fn cut(&mut self, bytes: usize) -> Option<()> {
        if !self.streamed {
            return self.half(bytes).and(None);
        }
        self.start_stream()?;
        let whole = wire::events(self.model, Form::default()).concat();
        self.piece(&whole.as_bytes()[..bytes.min(whole.len())])?;
        None
    }

    fn first_two_events(&mut self) -> Option<()> {
        for event in &wire::events(self.model, Form::default())[..2] {
            self.piece(event.as_bytes())?;
        }
        Some(())
    }

    fn gated(&mut self) -> Option<()> {
        let model = self.model.to_owned();
        self.shared.wait(&format!("the gate of `{model}` opens"), |log| log.open_gates.contains(&model));
        for event in &wire::events(self.model, Form::default())[2..] {
            self.piece(event.as_bytes())?;
        }
        self.end_stream()
    }
}
