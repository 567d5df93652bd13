//! What a page draws, as far as it is text: characters with their places.

use std::fmt;
use std::time::Instant;

use hayro_interpret::font::{Glyph as Drawn, GlyphRun};
use hayro_interpret::hayro_cmap::BfString;
use hayro_interpret::kurbo::{Affine, BezPath, Point, Rect, Vec2};
use hayro_interpret::{BlendMode, ClipPath, Device, DrawMode, DrawProps, Image, ImageDrawProps, SoftMask};

/// Glyphs of a whole file: fifty novels.
const GLYPHS_MAX: usize = 30_000_000;

/// Glyphs of one page.
const PAGE_GLYPHS_MAX: usize = 1_000_000;

/// The clock is asked once in so many drawings.
const DRAWINGS_PER_LOOK: u32 = 64;

/// hayro's glyphs are drawn in thousandths of an em.
const EM: f64 = 1_000.0;

/// Why reading was given up.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    Time,
    Glyphs,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time => write!(f, "takes longer than {} s to read", super::TIME_MAX.as_secs()),
            Self::Glyphs => {
                write!(f, "draws more than {GLYPHS_MAX} characters, or {PAGE_GLYPHS_MAX} on one page")
            }
        }
    }
}

/// A character on a page, seen along the line that it stands in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Glyph {
    pub(super) text: String,
    /// The direction of writing, of length one.
    pub(super) direction: (f64, f64),
    /// Where it begins and ends along its line, and how far down its line is, in points.
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) down: f64,
    /// The size of its font in points.
    pub(super) size: f64,
}

/// Gathers the glyphs of one page after the other.
pub(super) struct Collector {
    deadline: Instant,
    drawings: u32,
    page: Vec<Glyph>,
    /// Where the last run of glyphs begins in `page`.
    last_run: usize,
    known: usize,
    unknown: usize,
}

impl Collector {
    pub(super) fn new(deadline: Instant) -> Self {
        Self { deadline, drawings: 0, page: Vec::new(), last_run: 0, known: 0, unknown: 0 }
    }

    /// # Errors
    /// A limit is reached.
    pub(super) fn check(&self) -> Result<(), String> {
        self.reached().map_or(Ok(()), |limit| Err(limit.to_string()))
    }

    /// The glyphs of the page that was drawn; the next one begins.
    pub(super) fn take_page(&mut self) -> Vec<Glyph> {
        self.last_run = 0;
        std::mem::take(&mut self.page)
    }

    /// Whether most glyphs came without their characters.
    pub(super) fn is_unreadable(&self) -> bool {
        self.unknown > self.known
    }

    fn reached(&self) -> Option<Limit> {
        if self.known + self.unknown > GLYPHS_MAX || self.page.len() > PAGE_GLYPHS_MAX {
            return Some(Limit::Glyphs);
        }
        (Instant::now() > self.deadline).then_some(Limit::Time)
    }

    /// Called for everything that is drawn. The interpreter cannot be told to stop, so a page that reaches a limit is left
    /// by unwinding: no hook runs, and `extract` takes the reason from the thread.
    fn look_up(&mut self) {
        self.drawings = self.drawings.wrapping_add(1);
        if self.drawings.is_multiple_of(DRAWINGS_PER_LOOK)
            && let Some(limit) = self.reached()
        {
            std::panic::resume_unwind(Box::new(limit));
        }
    }

    fn push_run(&mut self, run: &GlyphRun<'_, '_>, transform: Affine) {
        let start = self.page.len();
        for drawn in run.glyphs() {
            match characters(drawn) {
                Some(text) if text.is_empty() => {}
                Some(text) => {
                    self.known += 1;
                    self.page.extend(placed(text, drawn, transform * drawn.transform()));
                }
                None => self.unknown += 1,
            }
        }
        // Fake bold type is the same words drawn again, a hair beside.
        let (before, run) = self.page[self.last_run..].split_at(start - self.last_run);
        let is_again = !run.is_empty()
            && before.len() == run.len()
            && before.iter().zip(run).all(|(one, other)| {
                let near = 0.1 * one.size;
                one.text == other.text
                    && (one.start - other.start).abs() < near
                    && (one.down - other.down).abs() < near
            });
        if is_again {
            self.page.truncate(start);
        } else {
            self.last_run = start;
        }
    }
}

/// The characters of a glyph without ligatures; `None` where nobody says.
fn characters(drawn: &Drawn<'_>) -> Option<String> {
    let text = match drawn.as_unicode()? {
        BfString::Char(c) => c.to_string(),
        BfString::String(text) => text,
    };
    let is_private = |c: char| matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fffd}');
    if text.chars().any(is_private) {
        return None;
    }
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{fb00}' => plain.push_str("ff"),
            '\u{fb01}' => plain.push_str("fi"),
            '\u{fb02}' => plain.push_str("fl"),
            '\u{fb03}' => plain.push_str("ffi"),
            '\u{fb04}' => plain.push_str("ffl"),
            '\u{fb05}' | '\u{fb06}' => plain.push_str("st"),
            c if c.is_whitespace() => plain.push(' '),
            // A soft hyphen that is drawn stands at the end of a line.
            '\u{ad}' => plain.push('-'),
            c if c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{feff}') => {}
            c => plain.push(c),
        }
    }
    Some(plain)
}

fn placed(text: String, drawn: &Drawn<'_>, transform: Affine) -> Option<Glyph> {
    let origin = transform * Point::ZERO;
    let along = transform * Point::new(EM, 0.0) - origin;
    let up = transform * Point::new(0.0, EM) - origin;
    let length = along.hypot();
    let width = match drawn {
        Drawn::Outline(glyph) => glyph.advance_width(),
        Drawn::Type3(glyph) => glyph.advance_width(),
    };
    let width = length * f64::from(width.unwrap_or(500.0)) / EM;
    let direction = along / length;
    let down = Vec2::new(direction.y, -direction.x);
    let start = origin.to_vec2().dot(direction);
    let glyph = Glyph {
        text,
        direction: (direction.x, direction.y),
        start,
        end: start + width,
        down: origin.to_vec2().dot(down),
        size: up.hypot(),
    };
    let is_somewhere =
        [glyph.start, glyph.end, glyph.down, glyph.size, direction.x].iter().all(|x| x.is_finite());
    (is_somewhere && glyph.size > 0.0).then_some(glyph)
}

impl<'a> Device<'a> for Collector {
    fn draw_path(&mut self, _: &BezPath, _: DrawProps<'a>, _: &DrawMode) {
        self.look_up();
    }
    fn push_clip_path(&mut self, _: &ClipPath) {
        self.look_up();
    }
    fn push_clip_rect(&mut self, _: &Rect) {
        self.look_up();
    }
    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'a>>, _: BlendMode) {
        self.look_up();
    }
    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, 'a>, props: DrawProps<'a>, _: &DrawMode) {
        self.look_up();
        self.push_run(run, props.transform);
    }
    fn draw_image(&mut self, _: Image<'a, '_>, _: ImageDrawProps<'a>) {
        self.look_up();
    }
    fn draw_rect(&mut self, _: &Rect, _: DrawProps<'a>, _: &DrawMode) {
        self.look_up();
    }
    fn pop_clip(&mut self) {}
    fn pop_transparency_group(&mut self) {}
}
