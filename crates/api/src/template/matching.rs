//! Where the holes of a template are in a text.
//!
//! The first and the last fixed piece are compared in place. Only for pieces between holes is the text copied with every
//! run of white space as one blank, and searched with a linear search: from the left up to the input, from the right
//! behind it, which finds a match wherever there is one.

use std::ops::Range;

use super::{INPUT, Piece};

/// What a hole takes of a text, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// All that is between the words of the fixed text, white space included.
    pub(super) room: Range<usize>,
    /// The same without white space around it.
    pub(super) content: Range<usize>,
}

/// The holes of `text`, in order; `None` where it is not made from these pieces.
pub(super) fn spans(pieces: &[Piece], text: &str) -> Option<Vec<Span>> {
    let start = text.len() - text.trim_start().len();
    let body = text.trim();
    let (mut left, mut right) = (0, body.len());
    let mut inner = pieces;
    let (mut head_blank, mut tail_blank) = (false, false);
    if let Some((Piece::Fixed(head), rest)) = inner.split_first() {
        let core = head.trim_start();
        if rest.is_empty() {
            return (eat(core.trim_end().chars(), body.chars())? == body.len()).then(Vec::new);
        }
        left = eat(core.trim_end().chars(), body.chars())?;
        head_blank = core.ends_with(char::is_whitespace);
        inner = rest;
    }
    if let Some((Piece::Fixed(tail), rest)) = inner.split_last() {
        let core = tail.trim_end();
        right = body.len() - eat(core.trim_start().chars().rev(), body.chars().rev())?;
        tail_blank = core.starts_with(char::is_whitespace);
        inner = rest;
    }
    let room = body.get(left..right)?;
    let edges = Edges { start: left == 0, end: right == body.len() };
    if !margins_fit(room, head_blank, tail_blank, &edges) {
        return None;
    }
    // One hole, as most templates have it, needs no search and so no copy.
    let one = inner.len() == 1;
    let rooms = if one { std::iter::once(0..room.len()).collect() } else { between(inner, room, &edges)? };
    Some(
        rooms
            .into_iter()
            .map(|room| span(text, start + left + room.start..start + left + room.end))
            .collect(),
    )
}

/// Which ends of the text a room touches: white space there was cut off.
struct Edges {
    start: bool,
    end: bool,
}

/// Where the template has white space beside a hole the text has it, too. Around nothing one run serves both sides.
fn margins_fit(room: &str, before: bool, after: bool, edges: &Edges) -> bool {
    if room.trim().is_empty() {
        return !room.is_empty() || (!before && !after) || edges.start || edges.end;
    }
    (!before || edges.start || room.starts_with(char::is_whitespace))
        && (!after || edges.end || room.ends_with(char::is_whitespace))
}

fn span(text: &str, room: Range<usize>) -> Span {
    let inside = &text[room.clone()];
    let content = room.start + (inside.len() - inside.trim_start().len());
    let content = content..content + inside.trim().len();
    // Nothing but white space: the content is nothing, at the start.
    let content = if inside.trim().is_empty() { room.start..room.start } else { content };
    Span { room, content }
}

/// How many bytes of `text` the fixed characters take; white space takes a run of it.
fn eat(fixed: impl Iterator<Item = char>, text: impl Iterator<Item = char>) -> Option<usize> {
    let mut text = text.peekable();
    let mut eaten = 0;
    let mut in_blank = false;
    for wanted in fixed {
        if !wanted.is_whitespace() {
            let got = text.next_if_eq(&wanted)?;
            eaten += got.len_utf8();
            in_blank = false;
            continue;
        }
        if in_blank {
            continue;
        }
        in_blank = true;
        let before = eaten;
        while let Some(blank) = text.next_if(|c| c.is_whitespace()) {
            eaten += blank.len_utf8();
        }
        if eaten == before {
            return None;
        }
    }
    Some(eaten)
}

/// The rooms of more than one hole. `pieces` begins and ends with a hole.
fn between(pieces: &[Piece], room: &str, edges: &Edges) -> Option<Vec<Range<usize>>> {
    let even = Even::padded(room, edges);
    let needles: Vec<Needle> = pieces.iter().filter_map(Needle::of).collect();
    let holes = pieces.iter().filter_map(|piece| match piece {
        Piece::Hole(name) => Some(name.as_str()),
        Piece::Fixed(_) => None,
    });
    // The input stands behind this many needles.
    let input = holes.clone().position(|name| name == INPUT).unwrap_or(needles.len());
    let mut found: Vec<Range<usize>> = vec![0..0; needles.len()];
    let mut from = 0;
    for (needle, found) in needles.iter().zip(&mut found).take(input) {
        *found = needle.first(&even, from)?;
        from = needle.after(found);
    }
    let mut to = even.text.len();
    for (needle, found) in needles.iter().zip(&mut found).skip(input).rev() {
        *found = needle.last(&even, from, to)?;
        to = needle.before(found);
    }
    let cores = needles.iter().zip(&found).map(|(needle, found)| needle.core(found));
    let cores: Vec<Range<usize>> = cores.map(|core| even.origin(core.start)..even.origin(core.end)).collect();
    let starts = std::iter::once(0).chain(cores.iter().map(|core| core.end));
    let ends = cores.iter().map(|core| core.start).chain(std::iter::once(room.len()));
    Some(starts.zip(ends).map(|(start, end)| start..end.max(start)).collect())
}

/// A fixed piece between two holes, every run of white space as one blank.
struct Needle {
    text: String,
    /// Nothing but a line break: only that one will do.
    line_break: bool,
}

impl Needle {
    fn of(piece: &Piece) -> Option<Self> {
        let Piece::Fixed(fixed) = piece else { return None };
        Some(Self { text: Even::of(fixed).text, line_break: fixed.trim().is_empty() })
    }

    fn first(&self, even: &Even<'_>, from: usize) -> Option<Range<usize>> {
        if !self.line_break {
            let at = from + even.text.get(from..)?.find(&self.text)?;
            return Some(at..at + self.text.len());
        }
        // What follows the fixed text before the hole is its margin.
        let from = from + usize::from(even.text.get(from..)?.starts_with(' '));
        let at = even.breaks().find(|at| *at >= from)?;
        Some(at..at + 1)
    }

    fn last(&self, even: &Even<'_>, from: usize, to: usize) -> Option<Range<usize>> {
        if !self.line_break {
            let at = from + even.text.get(from..to)?.rfind(&self.text)?;
            return Some(at..at + self.text.len());
        }
        let to = to - usize::from(even.text.get(from..to)?.ends_with(' '));
        let at = even.breaks().rfind(|at| (from..to).contains(at))?;
        Some(at..at + 1)
    }

    /// Where the search goes on behind `found`: its last blank may be the next one's first.
    fn after(&self, found: &Range<usize>) -> usize {
        found.end - usize::from(self.text.ends_with(' ') && !self.line_break)
    }

    fn before(&self, found: &Range<usize>) -> usize {
        found.start + usize::from(self.text.starts_with(' ') && !self.line_break)
    }

    /// Without the blanks on both sides, which are margins.
    fn core(&self, found: &Range<usize>) -> Range<usize> {
        if self.line_break {
            return found.clone();
        }
        let (start, end) = (self.text.starts_with(' '), self.text.ends_with(' '));
        found.start + usize::from(start)..found.end - usize::from(end)
    }
}

/// A text with every run of white space as one blank, and the way back.
struct Even<'t> {
    text: String,
    /// Where each blank is in `text`, and the run that it stands for.
    blanks: Vec<(usize, Range<usize>)>,
    original: &'t str,
}

impl<'t> Even<'t> {
    fn of(original: &'t str) -> Self {
        Self::padded(original, &Edges { start: false, end: false })
    }

    /// With a blank where white space was cut off.
    fn padded(original: &'t str, edges: &Edges) -> Self {
        let mut even = Self { text: String::with_capacity(original.len() + 2), blanks: Vec::new(), original };
        if edges.start {
            even.blank(0..0);
        }
        for (at, c) in original.char_indices() {
            let end = at + c.len_utf8();
            match even.blanks.last_mut() {
                _ if !c.is_whitespace() => even.text.push(c),
                Some((_, run)) if run.end == at => run.end = end,
                _ => even.blank(at..end),
            }
        }
        if edges.end {
            even.blank(original.len()..original.len());
        }
        even
    }

    fn blank(&mut self, run: Range<usize>) {
        self.blanks.push((self.text.len(), run));
        self.text.push(' ');
    }

    /// The byte of the original that a byte of `text` comes from.
    fn origin(&self, at: usize) -> usize {
        let behind = self.blanks.partition_point(|(blank, _)| *blank < at);
        let last = behind.checked_sub(1).and_then(|last| self.blanks.get(last));
        last.map_or(at, |(blank, run)| run.end + (at - blank - 1))
    }

    /// The blanks that stand for a line break, in order.
    fn breaks(&self) -> impl DoubleEndedIterator<Item = usize> {
        let broken = |run: &Range<usize>| self.original[run.clone()].contains('\n');
        self.blanks.iter().filter(move |(_, run)| broken(run)).map(|(at, _)| *at)
    }
}
