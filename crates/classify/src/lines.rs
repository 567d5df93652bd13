//! The lines of a text and what their form says: labels, lists, programs, speakers.
//!
//! Owns judging one line alone. Refuses zones: what a line means beside others is the outline's.

use crate::view::head;
use crate::words::Word;

/// A line of a text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Line {
    /// Byte range without the newline.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Places of its words.
    pub(crate) first: usize,
    pub(crate) past: usize,
    /// Byte after a colon that makes the words before it a label.
    pub(crate) colon: Option<usize>,
    pub(crate) numbered: bool,
    pub(crate) bulleted: bool,
    pub(crate) fenced: bool,
    /// It looks like a line of a program.
    pub(crate) code: bool,
    /// It starts with a speaker: `A:`, `User:`.
    pub(crate) spoken: bool,
}

/// A line that opens or closes a block of code.
pub(crate) fn is_fence(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("```") || line.starts_with("~~~")
}

/// The lines of a text.
pub(crate) fn lines(text: &str, words: &[Word]) -> Vec<Line> {
    let mut found = Vec::new();
    let (mut start, mut fenced) = (0, false);
    for piece in text.split('\n') {
        let end = start + piece.len();
        let fence = is_fence(piece);
        let trimmed = piece.trim_start();
        found.push(Line {
            start,
            end,
            first: words.partition_point(|word| word.start < start),
            past: words.partition_point(|word| word.start < end),
            colon: label_end(piece).map(|place| start + place),
            numbered: is_numbered(trimmed),
            bulleted: trimmed.starts_with("- ") || trimmed.starts_with("* ") || trimmed.starts_with("• "),
            fenced: fenced || fence,
            code: is_code(trimmed),
            spoken: is_speech(trimmed),
        });
        fenced ^= fence;
        start = end + 1;
    }
    found
}

/// Lines that end or start as programs' lines do.
fn is_code(line: &str) -> bool {
    const STARTS: [&str; 22] = [
        "def ",
        "class ",
        "import ",
        "from ",
        "return ",
        "return;",
        "#include",
        "public ",
        "private ",
        "const ",
        "let ",
        "var ",
        "function ",
        "fn ",
        "if (",
        "for (",
        "while (",
        "SELECT ",
        "CREATE TABLE",
        "</",
        "<div",
        "$ ",
    ];
    let line = line.trim_end();
    line.ends_with([';', '{', '}']) && line.len() <= 160
        || line.ends_with("):")
        || STARTS.iter().any(|start| line.starts_with(start))
            && line.contains(['(', '=', '<', '{', ';', '*', '.'])
}

/// A line of a conversation.
fn is_speech(line: &str) -> bool {
    const SPEAKERS: [&str; 14] = [
        "a:",
        "b:",
        "user:",
        "assistant:",
        "bot:",
        "me:",
        "you:",
        "agent:",
        "customer:",
        "human:",
        "ai:",
        "person a:",
        "person b:",
        "q:",
    ];
    let lower = head(line, 12).to_ascii_lowercase();
    SPEAKERS.iter().any(|speaker| lower.starts_with(speaker))
}

/// `1.`, `2)`, `(3)`, `a)`.
fn is_numbered(line: &str) -> bool {
    let inner = line.strip_prefix('(').unwrap_or(line);
    let digits = inner.bytes().take_while(u8::is_ascii_digit).count();
    let letters = usize::from(digits == 0 && inner.starts_with(|letter: char| letter.is_ascii_alphabetic()));
    let after = inner.as_bytes().get(digits + letters);
    (1..=2).contains(&(digits + letters)) && matches!(after, Some(b'.' | b')'))
}

/// The byte after a colon that ends a label of at most 16 words and is neither a time nor an address.
fn label_end(line: &str) -> Option<usize> {
    const LABEL_WORDS_MAX: usize = 16;
    let mut past = None;
    for (place, letter) in line.char_indices() {
        let after = place + letter.len_utf8();
        let ends = match letter {
            ':' => line[after..].is_empty() || line[after..].starts_with([' ', '"', '\r', '\t']),
            '：' => true,
            _ => false,
        };
        if ends && place > 0 {
            past = Some(after);
            break;
        }
    }
    let past = past?;
    (line[..past].split_whitespace().count() <= LABEL_WORDS_MAX).then_some(past)
}
