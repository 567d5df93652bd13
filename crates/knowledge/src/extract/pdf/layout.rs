//! Characters on pages into lines, lines into paragraphs and headings.
//!
//! The order is the one in which the page draws, which is the order of reading in what type-setting programs and word
//! processors write; a new column begins with a line that stands higher.

use std::collections::HashMap;

use super::glyphs::Glyph;
use super::outline::Bookmark;
use crate::extract::{Cut, Extracted, Outline, one_line};

/// A gap of this share of the font's size parts words, where no space is drawn.
const WORD_GAP: f64 = 0.16;

/// A step down that is so much wider than the usual one parts paragraphs.
const PARAGRAPH_STEP: f64 = 1.35;

/// Type this much larger than the text's makes a short line a heading.
const HEADING_SIZE: f64 = 1.15;

const HEADING_CHARS_MAX: usize = 120;

/// Lines at the top and at the bottom of a page where running heads and page numbers stand.
const MARGIN_LINES: usize = 2;

/// A line in a margin is a running head if so many pages have it, their numbers left out.
const REPEATED_MIN: usize = 3;

/// Bookmarks that are looked for at a time: those before the one that is found were not.
const BOOKMARKS_AHEAD: usize = 8;

/// A line of text on a page.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) words: String,
    direction: (f64, f64),
    start: f64,
    end: f64,
    down: f64,
    size: f64,
}

/// The lines of a page in the order in which they are drawn.
pub(super) fn lines(glyphs: &[Glyph]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for glyph in glyphs {
        match lines.last_mut() {
            Some(line) if line.goes_on_with(glyph) => line.push(glyph),
            _ if glyph.text == " " => {}
            _ => lines.push(Line {
                words: glyph.text.clone(),
                direction: glyph.direction,
                start: glyph.start,
                end: glyph.end,
                down: glyph.down,
                size: glyph.size,
            }),
        }
    }
    for line in &mut lines {
        line.words = one_line(&line.words);
    }
    lines.retain(|line| !line.words.is_empty());
    lines
}

impl Line {
    fn goes_on_with(&self, glyph: &Glyph) -> bool {
        let size = self.size.max(glyph.size);
        let turn = self.direction.0 * glyph.direction.0 + self.direction.1 * glyph.direction.1;
        turn > 0.99 && (self.down - glyph.down).abs() < 0.5 * size && glyph.start > self.end - 0.8 * size
    }

    fn push(&mut self, glyph: &Glyph) {
        let gap = glyph.start - self.end;
        if gap > WORD_GAP * self.size.min(glyph.size) && !self.words.ends_with(' ') && glyph.text != " " {
            self.words.push(' ');
        }
        self.words.push_str(&glyph.text);
        self.end = self.end.max(glyph.end);
        // A small raised number must not make the line small.
        if glyph.size > self.size {
            self.size = glyph.size;
            self.down = glyph.down;
        }
    }
}

/// All pages as one document. `title` is what the file says, empty where nothing.
pub(super) fn document(title: &str, pages: &[Vec<Line>], bookmarks: &[Bookmark]) -> Extracted {
    let repeated = repeated(pages);
    let text_size = usual_size(pages);
    let mut writing = Writing {
        extracted: Extracted { title: title.to_owned(), ..Extracted::default() },
        outline: Outline::default(),
        bookmarks,
        heading_sizes: Vec::new(),
        text_size,
    };
    for (number, page) in pages.iter().enumerate() {
        let margins = margins(page);
        let kept = page.iter().enumerate().filter(|(place, line)| {
            !(margins.contains(place) && repeated.contains_key(&without_numbers(&line.words)))
        });
        let kept: Vec<&Line> = kept.map(|(_, line)| line).collect();
        let step = usual_step(&kept);
        let mut rest = kept.as_slice();
        while !rest.is_empty() {
            let (paragraph, after) = rest.split_at(paragraph_length(rest, step));
            writing.paragraph(paragraph, number + 1);
            rest = after;
        }
    }
    writing.extracted
}

struct Writing<'a> {
    extracted: Extracted,
    outline: Outline,
    /// Those that are still to come.
    bookmarks: &'a [Bookmark],
    /// Sizes of headings in the order in which they were met, where there are no bookmarks.
    heading_sizes: Vec<f64>,
    text_size: f64,
}

impl Writing<'_> {
    fn paragraph(&mut self, lines: &[&Line], page: usize) {
        let mut from = 0;
        if !self.bookmarks.is_empty() {
            // A bookmark's heading may stand in one paragraph with the text below it.
            while from < lines.len() {
                let Some((used, level)) = self.bookmarked(&lines[from..]) else { break };
                self.heading(level, &joined(&lines[from..from + used]));
                from += used;
            }
        } else if let Some(level) = self.heading_by_size(lines) {
            return self.heading(level, &joined(lines));
        }
        let path = self.outline.path();
        let section = if path.is_empty() { format!("Page {page}") } else { format!("{path} > Page {page}") };
        self.extracted.push(Cut::Prose, &joined(&lines[from..]), &section.into(), false);
    }

    fn heading(&mut self, level: usize, heading: &str) {
        if self.extracted.title.is_empty() {
            heading.clone_into(&mut self.extracted.title);
        }
        self.outline.enter(level, heading);
        self.extracted.push_heading(heading);
    }

    /// How many lines are the heading of one of the next bookmarks, and its level.
    fn bookmarked(&mut self, lines: &[&Line]) -> Option<(usize, usize)> {
        for used in 1..=lines.len().min(3) {
            let words = letters(&joined(&lines[..used]));
            if words.is_empty() || lines[..used].iter().any(|line| line.size < 0.9 * self.text_size) {
                return None;
            }
            let ahead = self.bookmarks.iter().take(BOOKMARKS_AHEAD);
            let found = ahead.enumerate().find(|(_, bookmark)| {
                let title = letters(&bookmark.title);
                // The number of a chapter may stand in the page or in the bookmark alone.
                title == words || unnumbered(&title) == unnumbered(&words)
            });
            if let Some((place, bookmark)) = found {
                self.bookmarks = &self.bookmarks[place + 1..];
                return Some((used, bookmark.level));
            }
        }
        None
    }

    fn heading_by_size(&mut self, lines: &[&Line]) -> Option<usize> {
        let size = lines.iter().map(|line| line.size).fold(f64::INFINITY, f64::min);
        let words = joined(lines);
        let is_short = lines.len() <= 3 && words.chars().count() <= HEADING_CHARS_MAX;
        if size < HEADING_SIZE * self.text_size || !is_short || !words.contains(char::is_alphabetic) {
            return None;
        }
        let is_same = |known: &f64| (known - size).abs() < 0.06 * size;
        if !self.heading_sizes.iter().any(is_same) {
            self.heading_sizes.push(size);
            self.heading_sizes.sort_by(|a, b| b.total_cmp(a));
        }
        self.heading_sizes.iter().position(is_same).map(|place| place + 1)
    }
}

/// How many of `lines`, which are not empty, make the first paragraph.
fn paragraph_length(lines: &[&Line], usual_step: f64) -> usize {
    let left = lines.iter().take(2).map(|line| line.start).fold(f64::INFINITY, f64::min);
    let ends = |pair: &[&Line]| {
        let (above, below) = (pair[0], pair[1]);
        let step = below.down - above.down;
        let turns = above.direction != below.direction;
        let resized = (above.size - below.size).abs() > 0.1 * above.size;
        let says_more = !ends_sentence(&above.words) && below.words.starts_with(char::is_lowercase);
        let is_new_column = step < 0.0;
        let is_far = step > PARAGRAPH_STEP * usual_step.max(above.size);
        let is_indented = below.start > left + 0.8 * below.size && ends_sentence(&above.words);
        turns || resized || (is_new_column && !says_more) || is_far || is_indented
    };
    lines.windows(2).position(ends).map_or(lines.len(), |place| place + 1)
}

fn ends_sentence(words: &str) -> bool {
    words.trim_end_matches(['"', '\'', ')', '”', '’']).ends_with(['.', '!', '?', ':', '。'])
}

/// Lines as running text: a word that was parted at the end of a line is one again.
fn joined(lines: &[&Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let goes_on = line.words.starts_with(char::is_lowercase);
        match text.strip_suffix('-').filter(|before| goes_on && before.ends_with(char::is_alphabetic)) {
            Some(before) => text.truncate(before.len()),
            None if text.is_empty() => {}
            None => text.push(' '),
        }
        text.push_str(&line.words);
    }
    text
}

/// The places of a page's uppermost and lowermost lines.
fn margins(page: &[Line]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..page.len()).collect();
    places.sort_by(|&a, &b| page[a].down.total_cmp(&page[b].down));
    let last = places.iter().rev().take(MARGIN_LINES).copied();
    places.iter().take(MARGIN_LINES).copied().chain(last).collect()
}

/// Running heads and feet, their numbers left out.
fn repeated(pages: &[Vec<Line>]) -> HashMap<String, usize> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for page in pages {
        let mut heads: Vec<String> =
            margins(page).into_iter().map(|place| without_numbers(&page[place].words)).collect();
        heads.sort_unstable();
        heads.dedup();
        for head in heads {
            *counts.entry(head).or_default() += 1;
        }
    }
    counts.retain(|_, count| *count >= REPEATED_MIN);
    counts
}

fn without_numbers(words: &str) -> String {
    let mut text = String::with_capacity(words.len());
    for c in words.chars() {
        if !c.is_numeric() {
            text.extend(c.to_lowercase());
        } else if !text.ends_with('#') {
            text.push('#');
        }
    }
    text
}

fn letters(words: &str) -> String {
    words.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn unnumbered(letters: &str) -> &str {
    let bare = letters.trim_start_matches(char::is_numeric);
    if bare.is_empty() { letters } else { bare }
}

/// The size that most characters have.
fn usual_size(pages: &[Vec<Line>]) -> f64 {
    let mut counts: HashMap<i64, usize> = HashMap::new();
    for line in pages.iter().flatten() {
        *counts.entry(half_points(line.size)).or_default() += line.words.len();
    }
    let most = counts.into_iter().max_by_key(|&(size, count)| (count, -size)).map_or(0, |(size, _)| size);
    most as f64 / 2.0
}

fn half_points(size: f64) -> i64 {
    (size.min(10_000.0) * 2.0).round() as i64
}

/// The usual step from one line down to the next. Steps between paragraphs are many on a page of headings and short
/// paragraphs, and all wider: so a low quantile.
fn usual_step(lines: &[&Line]) -> f64 {
    let steps = lines.windows(2).map(|pair| (pair[1].down - pair[0].down, pair[1].size));
    let mut steps: Vec<f64> = steps.filter(|&(step, size)| step > 0.5 * size).map(|(step, _)| step).collect();
    steps.sort_by(f64::total_cmp);
    steps.get(steps.len().saturating_sub(1) / 3).copied().unwrap_or(0.0)
}
