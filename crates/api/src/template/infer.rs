//! From prompts of one task to their template: an alignment of all of them by what each has exactly once.
//!
//! Works on tokens: words, with the punctuation around them apart, so that quotation marks and tags around an input are
//! fixed text. A chunk with a digit in it stays whole: half a date is no fixed text. What is inferred is matched against
//! every prompt in the end, and given up where one does not fit.

use std::collections::HashMap;
use std::ops::Range;

use super::{INPUT, Piece, Template, part};

/// Common runs considered between common start and end: more make the search for their order slow.
const RUNS_MAX: usize = 256;
/// Words that a run within a line must have to be no accident.
const RUN_TOKENS: usize = 3;
/// Gaps within gaps.
const DEPTH_MAX: usize = 6;

/// A word or a mark.
#[derive(Clone, Copy, Debug)]
struct Token<'t> {
    text: &'t str,
    start: usize,
    gap: Gap,
}

/// What stands before a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    None,
    Blank,
    Line,
}

impl Token<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Equal as fixed text is: any white space is as good as other.
    fn same(&self, other: &Self) -> bool {
        self.text == other.text && (self.gap == Gap::None) == (other.gap == Gap::None)
    }
}

/// A stretch of fixed text: where it is, by tokens, in each of the texts.
#[derive(Clone, Debug)]
struct Run {
    starts: Vec<usize>,
    len: usize,
}

pub(super) fn common(texts: &[&str]) -> Option<Template> {
    let bodies: Vec<&str> = texts.iter().map(|text| text.trim()).collect();
    let tokens: Vec<Vec<Token<'_>>> = bodies.iter().map(|body| split(body)).collect();
    let mut runs = Vec::new();
    align(&tokens, tokens.iter().map(|tokens| 0..tokens.len()).collect(), 0, &mut runs);
    let runs = without_ends_of_sentences(&tokens, joined(runs));
    if runs.is_empty() {
        return None;
    }
    let template = written(&bodies, &tokens, &runs);
    // Written and read again, so that what holds of every template holds of this one.
    let template = Template::parse(&template.to_string()).ok()?;
    texts.iter().all(|text| template.matches(text).is_some()).then_some(template)
}

// === Tokens ===

fn split(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut gap = Gap::Line;
    let mut at = 0;
    for piece in text.split_inclusive(char::is_whitespace) {
        let chunk = piece.trim_end();
        if !chunk.is_empty() {
            chunk_tokens(chunk, at, gap, &mut tokens);
            gap = Gap::None;
        }
        at += piece.len();
        if piece.len() > chunk.len() && gap != Gap::Line {
            gap = if piece.ends_with('\n') { Gap::Line } else { Gap::Blank };
        }
    }
    tokens
}

/// The tokens of a chunk without white space: marks one by one, letters together.
fn chunk_tokens<'t>(chunk: &'t str, at: usize, mut gap: Gap, tokens: &mut Vec<Token<'t>>) {
    let mut push = |start: usize, end: usize| {
        if start < end {
            tokens.push(Token { text: &chunk[start..end], start: at + start, gap });
            gap = Gap::None;
        }
    };
    let word = |c: char| c.is_alphanumeric();
    let core_start = chunk.find(word).unwrap_or(chunk.len());
    let core_end = chunk
        .rfind(word)
        .map_or(chunk.len(), |last| last + chunk[last..].chars().next().map_or(0, char::len_utf8));
    for (start, mark) in chunk[..core_start].char_indices() {
        push(start, start + mark.len_utf8());
    }
    if core_start >= chunk.len() {
        return;
    }
    let core = &chunk[core_start..core_end];
    let splits =
        |c: char| "<>()[]{}\"=|".contains(c) || (c == ':' && !core.contains(|c: char| c.is_ascii_digit()));
    let mut from = core_start;
    for (offset, mark) in core.char_indices().filter(|(_, c)| splits(*c)) {
        let start = core_start + offset;
        push(from, start);
        push(start, start + mark.len_utf8());
        from = start + mark.len_utf8();
    }
    push(from, core_end);
    for (offset, mark) in chunk[core_end..].char_indices() {
        push(core_end + offset, core_end + offset + mark.len_utf8());
    }
}

// === Alignment ===

/// Finds what the texts have in common within `rests`, one range of tokens each, in order.
fn align(tokens: &[Vec<Token<'_>>], mut rests: Vec<Range<usize>>, depth: usize, runs: &mut Vec<Run>) {
    let shared = |rests: &[Range<usize>], at: &dyn Fn(&Range<usize>, usize) -> usize| {
        let shortest = rests.iter().map(ExactSizeIterator::len).min().unwrap_or(0);
        let same = |step: usize| {
            let token = |place: usize| &tokens[place][at(&rests[place], step)];
            (1..rests.len()).all(|place| token(place).same(token(0)))
        };
        (0..shortest).take_while(|step| same(*step)).count()
    };
    let head = shared(&rests, &|rest, step| rest.start + step);
    if head > 0 {
        runs.push(Run { starts: rests.iter().map(|rest| rest.start).collect(), len: head });
        rests.iter_mut().for_each(|rest| rest.start += head);
    }
    let tail = shared(&rests, &|rest, step| rest.end - 1 - step);
    rests.iter_mut().for_each(|rest| rest.end -= tail);
    if depth < DEPTH_MAX && rests.iter().all(|rest| !rest.is_empty()) {
        let anchors = in_order(&unique_runs(tokens, &rests));
        let mut from: Vec<usize> = rests.iter().map(|rest| rest.start).collect();
        for anchor in &anchors {
            let gap = from.iter().zip(&anchor.starts).map(|(from, start)| *from..*start).collect();
            align(tokens, gap, depth + 1, runs);
            runs.push(anchor.clone());
            from = anchor.starts.iter().map(|start| start + anchor.len).collect();
        }
        if !anchors.is_empty() {
            let gap = from.iter().zip(&rests).map(|(from, rest)| *from..rest.end).collect();
            align(tokens, gap, depth + 1, runs);
        }
    }
    if tail > 0 {
        runs.push(Run { starts: rests.iter().map(|rest| rest.end).collect(), len: tail });
    }
}

/// What every text has exactly once in its rest: runs of [`RUN_TOKENS`] tokens, and shorter lines.
fn unique_runs(tokens: &[Vec<Token<'_>>], rests: &[Range<usize>]) -> Vec<Run> {
    let maps: Vec<Units<'_>> = tokens.iter().zip(rests).map(|(tokens, rest)| units(tokens, rest)).collect();
    let Some((first, others)) = maps.split_first() else { return Vec::new() };
    let mut found: Vec<Run> = first
        .iter()
        .filter_map(|(unit, start)| {
            let elsewhere = others.iter().map(|map| map.get(unit).copied().flatten());
            let starts: Option<Vec<usize>> = std::iter::once(*start).chain(elsewhere).collect();
            Some(Run { starts: starts?, len: unit.len() })
        })
        .collect();
    found.sort_by(|a, b| a.starts.cmp(&b.starts).then(b.len.cmp(&a.len)));
    let mut runs: Vec<Run> = Vec::new();
    for run in found {
        let step = |last: &Run| run.starts.first().zip(last.starts.first()).map(|(own, last)| own - last);
        match runs.last_mut() {
            // The next of a row that goes on in the same way in every text.
            Some(last)
                if step(last).is_some_and(|step| {
                    step <= last.len
                        && run.starts.iter().zip(&last.starts).all(|(own, last)| *own == last + step)
                }) =>
            {
                last.len = last.len.max(step(last).unwrap_or(0) + run.len);
            }
            _ => runs.push(run),
        }
    }
    if runs.len() > RUNS_MAX {
        runs.sort_by_key(|run| std::cmp::Reverse(run.len));
        runs.truncate(RUNS_MAX);
        runs.sort_by(|a, b| a.starts.cmp(&b.starts));
    }
    runs
}

/// Words, each with whether white space stands before it, and where they are; `None` where more than once.
type Units<'t> = HashMap<Vec<(&'t str, bool)>, Option<usize>>;

/// What may be an anchor in a text.
fn units<'t>(tokens: &[Token<'t>], rest: &Range<usize>) -> Units<'t> {
    let mut units = HashMap::new();
    let mut note = |range: Range<usize>| {
        let unit = tokens[range.clone()].iter().map(|token| (token.text, token.gap != Gap::None)).collect();
        units.entry(unit).and_modify(|place| *place = None).or_insert(Some(range.start));
    };
    for start in rest.clone() {
        if start + RUN_TOKENS <= rest.end {
            note(start..start + RUN_TOKENS);
        }
        if tokens[start].gap != Gap::Line {
            continue;
        }
        for end in start + 1..(start + RUN_TOKENS).min(rest.end + 1) {
            let line_ends = tokens.get(end).is_none_or(|next| next.gap == Gap::Line);
            // A mark alone on its line is a bullet or a rule: not enough.
            let worded = tokens[start].text.starts_with(char::is_alphanumeric);
            if worded && (line_ends || tokens[end - 1].text == ":") {
                note(start..end);
            }
        }
    }
    units
}

/// The longest row, in tokens, of runs that follow each other in every text.
fn in_order(runs: &[Run]) -> Vec<Run> {
    let mut best: Vec<(usize, Option<usize>)> = Vec::with_capacity(runs.len());
    for (place, run) in runs.iter().enumerate() {
        let follows = |other: &Run| {
            other.starts.iter().zip(&run.starts).all(|(before, start)| before + other.len <= *start)
        };
        let before = (0..place).filter(|other| follows(&runs[*other])).max_by_key(|other| best[*other].0);
        best.push((before.map_or(0, |before| best[before].0) + run.len, before));
    }
    let mut next = (0..runs.len()).max_by_key(|place| best[*place].0);
    let mut chosen = Vec::new();
    while let Some(place) = next {
        chosen.push(runs[place].clone());
        next = best[place].1;
    }
    chosen.reverse();
    chosen
}

/// Neighbours with nothing between them in every text, made one.
fn joined(runs: Vec<Run>) -> Vec<Run> {
    let mut joined: Vec<Run> = Vec::new();
    for run in runs {
        match joined.last_mut() {
            Some(last)
                if last.starts.iter().zip(&run.starts).all(|(before, start)| before + last.len == *start) =>
            {
                last.len += run.len;
            }
            _ => joined.push(run),
        }
    }
    joined
}

/// The mark that ends every input, where nothing else of its line is fixed, belongs to the input: all questions end alike.
fn without_ends_of_sentences(tokens: &[Vec<Token<'_>>], mut runs: Vec<Run>) -> Vec<Run> {
    let Some(first) = tokens.first() else { return runs };
    let hole_first = runs.first().is_none_or(|run| run.starts.iter().any(|start| *start > 0));
    for (place, run) in runs.iter_mut().enumerate() {
        if place == 0 && !hole_first {
            continue;
        }
        let start = run.starts.first().copied().unwrap_or(0);
        let own = first.get(start..start + run.len).unwrap_or_default();
        let marks =
            own.iter().take_while(|token| token.gap == Gap::None && ends_sentence(token.text)).count();
        let line_ends = own.get(marks).map_or(start + marks == first.len(), |next| next.gap == Gap::Line);
        if marks > 0 && line_ends {
            run.starts.iter_mut().for_each(|start| *start += marks);
            run.len -= marks;
        }
    }
    runs.retain(|run| run.len > 0);
    runs
}

fn ends_sentence(text: &str) -> bool {
    matches!(text, "." | "?" | "!" | "…" | "。" | "？" | "！" | ";" | ",")
}

// === Writing ===

/// The runs as fixed text, with holes between them.
fn written(bodies: &[&str], tokens: &[Vec<Token<'_>>], runs: &[Run]) -> Template {
    let rooms = rooms(bodies, tokens, runs);
    let weights: Vec<usize> = rooms.iter().map(|room| weight(room)).collect();
    let weightiest = weights.iter().copied().max().filter(|weight| *weight > 0);
    let input = weights.iter().rposition(|weight| Some(*weight) == weightiest);
    let mut pieces = Vec::new();
    let mut fixed = String::new();
    let mut number = 0;
    for (place, room) in rooms.iter().enumerate() {
        if weights[place] > 0 {
            fixed.push_str(margin(room, |room| &room[..room.len() - room.trim_start().len()]));
            pieces.push(Piece::Fixed(std::mem::take(&mut fixed)));
            number += usize::from(Some(place) != input);
            pieces.push(Piece::Hole(if Some(place) == input { INPUT.to_owned() } else { part(number) }));
            fixed.push_str(margin(room, |room| &room[room.trim_end().len()..]));
        } else if let Some(room) = room.first() {
            fixed.push_str(room);
        }
        if let Some(run) = runs.get(place)
            && let (Some(body), Some(own), Some(start)) = (bodies.first(), tokens.first(), run.starts.first())
        {
            fixed.push_str(&body[own[*start].start..own[start + run.len - 1].end()]);
        }
    }
    pieces.push(Piece::Fixed(fixed));
    pieces.retain(|piece| !matches!(piece, Piece::Fixed(text) if text.is_empty()));
    Template { pieces }
}

/// What each text has before the first run, between the runs and behind the last.
fn rooms<'t>(bodies: &[&'t str], tokens: &[Vec<Token<'_>>], runs: &[Run]) -> Vec<Vec<&'t str>> {
    let edge = |run: usize, text: usize, end: bool| {
        let run = &runs[run];
        let first = run.starts[text];
        if end { tokens[text][first + run.len - 1].end() } else { tokens[text][first].start }
    };
    let room = |place: usize, text: usize| {
        let from = if place == 0 { 0 } else { edge(place - 1, text, true) };
        let to = if place == runs.len() { bodies[text].len() } else { edge(place, text, false) };
        bodies[text].get(from..to).unwrap_or_default()
    };
    (0..=runs.len()).map(|place| (0..bodies.len()).map(|text| room(place, text)).collect()).collect()
}

/// Bytes of all distinct contents of a hole: varied and long ones weigh most. 0 where it is empty in all texts.
fn weight(room: &[&str]) -> usize {
    let mut contents: Vec<&str> = room.iter().map(|content| content.trim()).collect();
    contents.sort_unstable();
    contents.dedup();
    contents.iter().map(|content| content.len()).sum()
}

/// The white space on one side of a hole, where every text that has something in the hole has some there.
fn margin<'t>(room: &[&'t str], side: impl Fn(&'t str) -> &'t str) -> &'t str {
    let mut margins = room.iter().filter(|content| !content.trim().is_empty()).map(|content| side(content));
    let first = margins.next().unwrap_or_default();
    if margins.all(|margin| !margin.is_empty()) { first } else { "" }
}
