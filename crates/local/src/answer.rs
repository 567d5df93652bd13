//! An answer while it is written: tokens in, text that may be shown out, each token's likelihood with its text.

use std::collections::VecDeque;

use api::{Error, Usage};

use crate::choice::Choice;
use crate::stops::{Characters, Scan, Stops};

/// A token and how likely the model found it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    /// The token's bytes, maybe not whole characters.
    pub(crate) bytes: Vec<u8>,
    /// The natural logarithm of its probability.
    pub(crate) logprob: f32,
    /// The most likely tokens in its place, best first, with theirs.
    pub(crate) best: Vec<(Vec<u8>, f32)>,
}

/// More of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Piece {
    /// Whole characters; may be empty.
    pub(crate) text: String,
    /// The tokens whose text begins in what was shown up to here, where likelihoods were asked for.
    pub(crate) tokens: Vec<Told>,
}

/// What a context sends about one answer. Any but `Piece` is the last.
#[derive(Debug)]
pub(crate) enum Event {
    /// More of it.
    Piece(Piece),
    /// It is whole.
    End(Ending),
    /// It is one of a set.
    Chosen(Choice, Usage),
    /// It cannot be finished.
    Failed(Error),
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ending {
    /// `stop` or `length`.
    pub(crate) reason: &'static str,
    /// Tokens read and written.
    pub(crate) usage: Usage,
    /// The sum of the natural logarithms of the probabilities of all its tokens, those that ended it included; 0 where
    /// likelihoods were not asked for.
    pub(crate) logprob: f64,
}

/// Gathers tokens into pieces.
#[derive(Debug)]
pub(crate) struct Writer {
    characters: Characters,
    stops: Stops,
    held: VecDeque<(usize, Told)>,
    read_bytes: usize,
    shown_bytes: usize,
}

impl Writer {
    /// A writer that ends at the first of `stops`.
    pub(crate) fn new(stops: &[String]) -> Self {
        Self {
            characters: Characters::default(),
            stops: Stops::new(stops),
            held: VecDeque::new(),
            read_bytes: 0,
            shown_bytes: 0,
        }
    }

    /// Takes the next token's bytes. Gives what may be shown now, and whether a stop string has ended the answer.
    pub(crate) fn push(&mut self, bytes: &[u8], told: Option<Told>) -> (Piece, bool) {
        if let Some(told) = told {
            self.held.push_back((self.read_bytes, told));
        }
        let text = self.characters.push(bytes);
        self.read_bytes += text.len();
        match self.stops.push(&text) {
            Scan::Clear(text) => (self.show(text), false),
            Scan::Stopped(text) => (self.show(text), true),
        }
    }

    /// Gives what was held back, when the answer ends without a stop string. Half a character is dropped.
    pub(crate) fn finish(&mut self) -> Piece {
        let text = self.stops.finish();
        let mut piece = self.show(text);
        piece.tokens.extend(self.held.drain(..).map(|(_, told)| told));
        piece
    }

    fn show(&mut self, text: String) -> Piece {
        self.shown_bytes += text.len();
        let shown = self.held.partition_point(|(start, _)| *start < self.shown_bytes);
        let tokens = self.held.drain(..shown).map(|(_, told)| told).collect();
        Piece { text, tokens }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8]) -> Option<Told> {
        Some(Told { bytes: bytes.to_vec(), logprob: -1.0, best: Vec::new() })
    }

    fn check(stops: &[&str], tokens: &[&[u8]], expected: &[(&str, usize)]) {
        let stops: Vec<String> = stops.iter().map(|&stop| stop.to_owned()).collect();
        let mut writer = Writer::new(&stops);
        let mut got = Vec::new();
        let mut stopped = false;
        for token in tokens {
            let (piece, end) = writer.push(token, told(token));
            got.push((piece.text, piece.tokens.len()));
            stopped = end;
        }
        if !stopped {
            let piece = writer.finish();
            got.push((piece.text, piece.tokens.len()));
        }
        let got: Vec<(&str, usize)> = got.iter().map(|(text, count)| (text.as_str(), *count)).collect();
        assert_eq!(got, expected, "{tokens:?}");
    }

    #[test]
    fn tokens_come_with_their_text() {
        check(&[], &[b"a", b"bc"], &[("a", 1), ("bc", 1), ("", 0)]);
        check(&[], &[b"\xc3", b"\xa9x"], &[("", 0), ("éx", 2), ("", 0)]);
        check(&["STOP"], &[b"a S", b"TO", b"P b"], &[("a ", 1), ("", 0), ("", 0)]);
        check(&["STOP"], &[b"a S", b"TO"], &[("a ", 1), ("", 0), ("STO", 1)]);
        check(&[], &[b"a", b"\xf0\x9f"], &[("a", 1), ("", 0), ("", 1)]);
    }
}
