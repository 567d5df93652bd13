//! The faults and what must come of them, as data.

use std::fmt;

use self::Meets::{Broken, Refused, Second, Told, Whole};

/// What a client meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meets {
    /// The whole answer of the target that was asked first.
    Whole,
    /// The whole answer of the second target.
    Second,
    /// That the provider declined, as an answer has it.
    Told,
    /// An error with this status and code, before any word.
    Refused(u16, &'static str),
    /// A stream whose last event is this error.
    Broken(&'static str),
}

impl fmt::Display for Meets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("whole"),
            Self::Second => f.write_str("second answers"),
            Self::Told => f.write_str("`content_filter`"),
            Self::Refused(status, code) => write!(f, "{status} `{code}`"),
            Self::Broken(code) => write!(f, "in-band `{code}`"),
        }
    }
}

/// One fault.
pub(crate) struct Row {
    /// The model of the test provider, without what follows a `+`.
    pub(crate) fault: &'static str,
    /// In words.
    pub(crate) does: &'static str,
    /// Without a second target: whole, and streamed.
    pub(crate) alone: [Meets; 2],
    /// With one.
    pub(crate) pair: [Meets; 2],
    /// Attempts at a target that may be tried three times, whole.
    pub(crate) tries: usize,
}

impl Row {
    /// What is met where streams are held until they are whole, with a second target: it rescues what has time left.
    pub(crate) fn held(&self) -> Meets {
        match self.pair[1] {
            Broken("upstream_timeout") => LATE,
            Broken(_) => Second,
            met => met,
        }
    }
}

const fn row(
    fault: &'static str,
    does: &'static str,
    alone: [Meets; 2],
    pair: [Meets; 2],
    tries: usize,
) -> Row {
    Row { fault, does, alone, pair, tries }
}

/// The same whole and streamed, and rescued by a second target.
const fn rescued(fault: &'static str, does: &'static str, alone: Meets, tries: usize) -> Row {
    row(fault, does, [alone, alone], [Second, Second], tries)
}

/// Nothing that a client would see.
const fn harmless(fault: &'static str, does: &'static str) -> Row {
    row(fault, does, [Whole, Whole], [Whole, Whole], 1)
}

const FAILED: Meets = Refused(502, "upstream_failed");
const CUT: Meets = Refused(502, "upstream_cut");
const GARBAGE: Meets = Refused(502, "upstream_garbage");
const LATE: Meets = Refused(504, "upstream_timeout");
const LIMITED: Meets = Refused(429, "upstream_rate_limited");

/// All of them.
pub(crate) const ROWS: &[Row] = &[
    rescued("e429", "429 with `Retry-After: 7`", LIMITED, 1),
    rescued("e429-bare", "429 without `Retry-After`", LIMITED, 3),
    rescued("e401", "401", Refused(424, "upstream_key_refused"), 1),
    row("e400", "400", [Refused(424, "upstream_refused"); 2], [Refused(424, "upstream_refused"); 2], 1),
    rescued("e500", "500", FAILED, 3),
    rescued("e502", "502", FAILED, 3),
    rescued("e503", "503", FAILED, 3),
    rescued("e529", "529", FAILED, 3),
    rescued("unreachable", "a closed port", Refused(502, "upstream_unreachable"), 3),
    rescued("reset", "a reset before the head", CUT, 3),
    rescued("garbage-head", "a head that is no HTTP", GARBAGE, 3),
    rescued("huge-head", "a head of 4 MiB", GARBAGE, 3),
    row("mute", "no head in time", [LATE, LATE], [LATE, Second], 1),
    row("silent", "a head, and nothing more", [LATE, LATE], [LATE, Second], 1),
    rescued("redirect", "a redirect", Refused(502, "upstream_redirected"), 1),
    rescued("error-in-200", "200 with an error inside", FAILED, 3),
    rescued("error-first", "an error as the first event", FAILED, 3),
    rescued("too-long", "the context is too long for it", Refused(424, "context_length_exceeded"), 1),
    row(
        "filtered",
        "400, content refused",
        [Refused(424, "content_filter"); 2],
        [Refused(424, "content_filter"); 2],
        1,
    ),
    row("declines", "200, content filtered", [Told, Told], [Told, Told], 1),
    rescued("garbage", "a body that is no JSON", GARBAGE, 3),
    row("truncated", "half of the JSON, with a length that fits", [GARBAGE, GARBAGE], [Second, Second], 3),
    rescued("gzip", "a compressed body", GARBAGE, 3),
    rescued("gzip-unsaid", "a compressed body that is not called so", GARBAGE, 3),
    rescued("oversize", "more than 32 MiB, or an event of 6 MiB", GARBAGE, 1),
    rescued("oversize-unsaid", "the same, without its length", GARBAGE, 1),
    rescued("cut-0", "the end of the connection after the head", CUT, 3),
    rescued("cut-100", "the end of the connection inside the first event", CUT, 3),
    row(
        "cut-400",
        "the end of the connection after a word",
        [CUT, Broken("upstream_cut")],
        [Second, Broken("upstream_cut")],
        3,
    ),
    row(
        "half-event",
        "half of the JSON or of an event, ended in order",
        [GARBAGE, Broken("upstream_cut")],
        [Second, Broken("upstream_cut")],
        3,
    ),
    row(
        "no-end",
        "half of the JSON; every word, and no end of the stream",
        [GARBAGE, Broken("upstream_cut")],
        [Second, Broken("upstream_cut")],
        3,
    ),
    row("only-done", "half of the JSON; `[DONE]` without a word", [GARBAGE, GARBAGE], [Second, Second], 3),
    row(
        "stall",
        "silence after a word",
        [LATE, Broken("upstream_stalled")],
        [LATE, Broken("upstream_stalled")],
        1,
    ),
    row(
        "error-in-stream",
        "an error after a word",
        [FAILED, Broken("upstream_failed")],
        [Second, Broken("upstream_failed")],
        3,
    ),
    row(
        "endless",
        "words for ever",
        [LATE, Broken("upstream_timeout")],
        [LATE, Broken("upstream_timeout")],
        1,
    ),
    row("only-comments", "comments for ever", [LATE, LATE], [LATE, Second], 1),
    row(
        "words-then-comments",
        "comments for ever after a word",
        [LATE, Broken("upstream_timeout")],
        [LATE, Broken("upstream_timeout")],
        1,
    ),
    harmless("ok", "nothing wrong"),
    harmless("crlf", "CRLF"),
    harmless("no-space", "no space after `data:`"),
    harmless("comments", "comments between events"),
    harmless("multi-line", "events of several lines"),
    harmless("bom", "a byte order mark"),
    harmless("pieces-0", "a piece for every byte"),
    harmless("no-done", "a finish reason and no `[DONE]`"),
    harmless("no-usage", "no usage"),
    harmless("usage-on-choice", "usage beside a choice"),
];
