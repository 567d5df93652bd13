//! From the bytes of tokens to text that may be shown: whole characters, and nothing of a stop string.
//!
//! Tokens end inside characters and stop strings begin inside tokens. Both parts here hold back what is not decided
//! yet and give the same text however the input is cut.

/// Gathers bytes until characters are whole.
#[derive(Debug, Default)]
pub(crate) struct Characters {
    held: Vec<u8>,
}

impl Characters {
    /// Takes the next bytes; gives the characters that they complete, U+FFFD in place of bytes that are none.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let mut text = String::new();
        let mut read = 0;
        while let Some(rest) = self.held.get(read..).filter(|rest| !rest.is_empty()) {
            match std::str::from_utf8(rest) {
                Ok(whole) => {
                    text.push_str(whole);
                    read = self.held.len();
                }
                Err(error) => {
                    text.push_str(&String::from_utf8_lossy(&rest[..error.valid_up_to()]));
                    read += error.valid_up_to();
                    // Without a length the last character is unfinished, not wrong.
                    let Some(wrong) = error.error_len() else { break };
                    text.push(char::REPLACEMENT_CHARACTER);
                    read += wrong;
                }
            }
        }
        self.held.drain(..read);
        text
    }
}

/// Looks for stop strings in a text that comes in pieces.
#[derive(Debug)]
pub(crate) struct Stops {
    stops: Vec<String>,
    held: String,
}

/// What a piece of text leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// This much can no longer become part of a stop string.
    Clear(String),
    /// A stop string is whole; this much came before it.
    Stopped(String),
}

impl Stops {
    /// A scanner for `stops`; empty ones are passed over.
    pub(crate) fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self { stops, held: String::new() }
    }

    /// Takes the next piece. The stop string that is whole first ends the text; of two that end together, the longer.
    pub(crate) fn push(&mut self, piece: &str) -> Scan {
        self.held.push_str(piece);
        let found = self
            .stops
            .iter()
            .filter_map(|stop| self.held.find(stop.as_str()).map(|start| (start + stop.len(), start)))
            .min();
        if let Some((_, start)) = found {
            self.held.truncate(start);
            return Scan::Stopped(std::mem::take(&mut self.held));
        }
        let undecided = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - undecided);
        Scan::Clear(std::mem::replace(&mut self.held, rest))
    }

    /// What was held back, once no more text comes.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Bytes of the longest end of `text` that `stop` begins with.
fn overlap(text: &str, stop: &str) -> usize {
    let longest = text.len().min(stop.len().saturating_sub(1));
    let ends = (1..=longest).rev().find(|&bytes| text.as_bytes().ends_with(&stop.as_bytes()[..bytes]));
    ends.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let stops: Vec<String> = stops.iter().map(|&stop| stop.to_owned()).collect();
        let mut scanner = Stops::new(&stops);
        let mut shown = String::new();
        for piece in pieces {
            match scanner.push(piece) {
                Scan::Clear(text) => shown.push_str(&text),
                Scan::Stopped(text) => {
                    shown.push_str(&text);
                    return (shown, true);
                }
            }
        }
        shown.push_str(&scanner.finish());
        (shown, false)
    }

    #[test]
    fn a_stop_string_ends_the_text_wherever_it_is_cut() {
        for (stops, pieces, shown, stopped) in [
            (&["END"][..], &["one E", "N", "D two"][..], "one ", true),
            (&["END"], &["one E", "N", "EMY"], "one ENEMY", false),
            (&["aab"], &["aa", "ab", "x"], "a", true),
            (&["\n\n"], &["a\n", "b\n", "\nc"], "a\nb", true),
            (&["é!"], &["caf", "é", "?é", "!"], "café?", true),
            (&["abc", "b"], &["a", "b", "c"], "a", true),
            (&["", "x"], &["a", "x"], "a", true),
            (&[], &["a", "b"], "ab", false),
        ] {
            assert_eq!(scan(stops, pieces), (shown.to_owned(), stopped), "{stops:?} in {pieces:?}");
        }
    }

    #[test]
    fn characters_appear_whole() {
        for (pieces, expected) in [
            (&[&b"a"[..], &b"b"[..]][..], &["a", "b"][..]),
            (&[b"\xf0\x9f", b"\x99", b"\x82!"], &["", "", "🙂!"]),
            (&[b"\xc3", b"x"], &["", "\u{fffd}x"]),
            (&[b"ok\xff\xfe", b"\xe2\x82"], &["ok\u{fffd}\u{fffd}", ""]),
        ] {
            let mut characters = Characters::default();
            let got: Vec<String> = pieces.iter().map(|piece| characters.push(piece)).collect();
            assert_eq!(got, expected, "{pieces:?}");
        }
    }

    proptest! {
        #[test]
        fn the_cut_does_not_matter(text in "[ab€]{0,24}", stops in prop::collection::vec("[ab€]{1,4}", 0..3),
                                   cuts in prop::collection::vec(0..80_usize, 0..6)) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
            places.extend([0, text.len()]);
            places.sort_unstable();
            let mut characters = Characters::default();
            let pieces: Vec<String> =
                places.windows(2).map(|cut| characters.push(&text.as_bytes()[cut[0]..cut[1]])).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let whole = scan(&stops, &[&text]);
            prop_assert_eq!(&scan(&stops, &pieces), &whole);
            prop_assert!(stops.iter().all(|stop| !whole.0.contains(stop)));
        }
    }
}
