//! The journey as a picture: three panels over the requests, drawn by hand into a PNG, so that no machine needs a font.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use font8x8::{BASIC_FONTS, UnicodeFonts as _};

use crate::account::{Happened, Served, Sums};

const WIDTH: usize = 1280;
const HEIGHT: usize = 1040;
const LEFT: usize = 96;
const RIGHT: usize = 40;
const PANEL: usize = 250;
const PANEL_GAP: usize = 62;
const TOP: usize = 56;
/// Requests of one point of a line.
const WINDOW: usize = 250;

const WHITE: Ink = [255, 255, 255];
const GREY: Ink = [222, 222, 222];
const DARK: Ink = [60, 60, 60];
const BLUE: Ink = [31, 97, 178];
const RED: Ink = [200, 52, 44];
const GREEN: Ink = [36, 138, 72];
const AMBER: Ink = [214, 139, 22];

type Ink = [u8; 3];

/// The picture as the bytes of a PNG.
pub(crate) fn journey(served: &[Served], happened: &[Happened], change_at: usize) -> Vec<u8> {
    let mut canvas = Canvas::new();
    canvas.text(LEFT, 16, 2, DARK, "BANKING77 from zero labels, through the real port");
    let served_all = served.len().max(1);
    let windows = |value: &dyn Fn(&[Served]) -> Option<f64>| -> Vec<(f64, f64)> {
        let points = served.chunks(WINDOW).enumerate();
        let at = |place: usize, len: usize| (place * WINDOW + len / 2) as f64 / served_all as f64;
        points.filter_map(|(place, window)| Some((at(place, window.len()), value(window)?))).collect()
    };
    let local = |window: &[Served]| {
        Some(window.iter().filter(|served| served.local).count() as f64 / window.len() as f64)
    };
    let agreement = |window: &[Served], local_only: bool| {
        Sums::of(window.iter().filter(|served| served.local || !local_only)).agreement()
    };
    let unseen_wrong = |window: &[Served]| {
        let unseen: Vec<&Served> = window.iter().filter(|served| served.asked.unseen).collect();
        let wrong = unseen.iter().filter(|served| served.local && !served.right).count();
        (!unseen.is_empty()).then(|| wrong as f64 / unseen.len() as f64)
    };
    let external = Sums::of(served.iter().filter(|served| !served.local));
    let each = external.usd / external.count.max(1) as f64;
    let whole = each * served_all as f64;
    let mut spent = 0.0;
    let costs: Vec<(f64, f64)> = served
        .iter()
        .enumerate()
        .map(|(number, served)| {
            spent += served.usd;
            ((number + 1) as f64 / served_all as f64, spent / whole.max(f64::MIN_POSITIVE))
        })
        .collect();

    let shares = Panel { place: 0, low: 0.0, high: 1.0, title: "share of requests" };
    shares.frame(&mut canvas, served_all);
    shares.line(&mut canvas, &windows(&local), BLUE, "served locally", 0);
    shares.line(&mut canvas, &windows(&unseen_wrong), RED, "of unseen intents: wrongly served locally", 1);
    let truth = Panel { place: 1, low: 0.8, high: 1.0, title: "agreement with the truth" };
    truth.frame(&mut canvas, served_all);
    truth.line(&mut canvas, &windows(&|window| agreement(window, true)), BLUE, "served locally", 0);
    truth.line(&mut canvas, &windows(&|window| agreement(window, false)), GREEN, "all answers", 1);
    let cost = Panel { place: 2, low: 0.0, high: 1.0, title: "cost, in parts of the large model for all" };
    cost.frame(&mut canvas, served_all);
    cost.line(&mut canvas, &[(0.0, 0.0), (1.0, 1.0)], AMBER, "the large model for all", 0);
    cost.line(&mut canvas, &costs, BLUE, "the gateway", 1);
    marks(&mut canvas, happened, change_at, served_all);
    canvas.png()
}

/// The change of the traffic and what happened to the task, across all panels.
fn marks(canvas: &mut Canvas, happened: &[Happened], change_at: usize, count: usize) {
    let bottom = Panel::top(2) + PANEL;
    let mut mark = |after: usize, ink: Ink, label: Option<(&str, usize)>| {
        let x = across(after as f64 / count as f64);
        for y in (TOP..bottom).filter(|y| y % 6 < 3) {
            canvas.dot(x, y, ink);
        }
        if let Some((label, row)) = label {
            canvas.text(x + 4, bottom + 22 + row * 12, 1, ink, label);
        }
    };
    if change_at < count {
        mark(change_at, RED, Some(("unseen intents begin", 0)));
    }
    for event in happened {
        match event.what.as_str() {
            "demoted" => mark(event.after, RED, Some(("demoted", 1))),
            "serving" | "promoted" => mark(event.after, GREEN, None),
            _ => {}
        }
    }
    canvas.text(
        LEFT,
        bottom + 44,
        1,
        DARK,
        "green: a version begins to serve   red: the change, and demotions",
    );
}

/// The column of a share of the way.
fn across(share: f64) -> usize {
    LEFT + (share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT) as f64).round() as usize
}

/// One of the three panels, from `low` to `high`.
struct Panel {
    place: usize,
    low: f64,
    high: f64,
    title: &'static str,
}

impl Panel {
    fn top(place: usize) -> usize {
        TOP + 22 + place * (PANEL + PANEL_GAP)
    }

    fn row(&self, value: f64) -> usize {
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        Self::top(self.place) + ((1.0 - share) * PANEL as f64).round() as usize
    }

    fn frame(&self, canvas: &mut Canvas, count: usize) {
        let top = Self::top(self.place);
        canvas.text(LEFT, top - 20, 2, DARK, self.title);
        for step in 0..=5 {
            let value = self.low + (self.high - self.low) * f64::from(step) / 5.0;
            let y = self.row(value);
            (LEFT..=WIDTH - RIGHT).for_each(|x| canvas.dot(x, y, GREY));
            canvas.text(LEFT - 74, y - 8, 2, DARK, &format!("{value:.2}"));
        }
        let every = if count > 5000 { 2000 } else { 500 };
        for tick in (0..=count).step_by(every) {
            let x = across(tick as f64 / count as f64);
            (top..=top + PANEL).for_each(|y| canvas.dot(x, y, GREY));
            canvas.text(x.saturating_sub(8), top + PANEL + 8, 1, DARK, &tick.to_string());
        }
        (top..=top + PANEL).for_each(|y| canvas.dot(LEFT, y, DARK));
        (LEFT..=WIDTH - RIGHT).for_each(|x| canvas.dot(x, top + PANEL, DARK));
    }

    /// Points are a share of the way and a value; the legend's entry stands in the row of the title.
    fn line(&self, canvas: &mut Canvas, points: &[(f64, f64)], ink: Ink, name: &str, entry: usize) {
        let place = |(share, value): &(f64, f64)| (across(*share), self.row(*value));
        for pair in points.windows(2) {
            canvas.stroke(place(&pair[0]), place(&pair[1]), ink);
        }
        let x = WIDTH - RIGHT - 380;
        let y = Self::top(self.place) - 24 + entry * 12;
        canvas.stroke((x, y + 4), (x + 24, y + 4), ink);
        canvas.text(x + 32, y, 1, DARK, name);
    }
}

struct Canvas {
    dots: Vec<u8>,
}

impl Canvas {
    fn new() -> Self {
        Self { dots: WHITE.repeat(WIDTH * HEIGHT) }
    }

    fn dot(&mut self, x: usize, y: usize, ink: Ink) {
        if x < WIDTH && y < HEIGHT {
            let at = (y * WIDTH + x) * 3;
            self.dots[at..at + 3].copy_from_slice(&ink);
        }
    }

    /// A line two dots thick.
    fn stroke(&mut self, from: (usize, usize), to: (usize, usize), ink: Ink) {
        let steps = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1)).max(1);
        let between = |from: usize, to: usize, step: usize| {
            (from as f64 + (to as f64 - from as f64) * step as f64 / steps as f64).round() as usize
        };
        for step in 0..=steps {
            let (x, y) = (between(from.0, to.0, step), between(from.1, to.1, step));
            for (right, down) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                self.dot(x + right, y + down, ink);
            }
        }
    }

    fn text(&mut self, x: usize, y: usize, scale: usize, ink: Ink, text: &str) {
        for (place, letter) in text.chars().enumerate() {
            let rows = BASIC_FONTS.get(letter).unwrap_or_default();
            for (down, row) in rows.into_iter().enumerate() {
                for right in (0..8).filter(|right| row >> right & 1 == 1) {
                    let (x, y) = (x + (place * 8 + right) * scale, y + down * scale);
                    (0..scale * scale).for_each(|dot| self.dot(x + dot % scale, y + dot / scale, ink));
                }
            }
        }
    }

    /// PNG (W3C, third edition): signature, header, one stream of unfiltered rows, end.
    fn png(&self) -> Vec<u8> {
        let mut rows = ZlibEncoder::new(Vec::new(), Compression::best());
        for row in self.dots.chunks(WIDTH * 3) {
            rows.write_all(&[0]).and_then(|()| rows.write_all(row)).expect("writing into memory");
        }
        let size = |pixels: usize| u32::try_from(pixels).expect("a small picture").to_be_bytes();
        // Eight bits a channel, red green blue, no interlacing.
        let header = [&size(WIDTH)[..], &size(HEIGHT)[..], &[8, 2, 0, 0, 0]].concat();
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        chunk(&mut png, b"IHDR", &header);
        chunk(&mut png, b"IDAT", &rows.finish().expect("writing into memory"));
        chunk(&mut png, b"IEND", &[]);
        png
    }
}

fn chunk(png: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    png.extend(u32::try_from(data.len()).expect("a small picture").to_be_bytes());
    let start = png.len();
    png.extend(name);
    png.extend(data);
    let sum = crc32fast::hash(&png[start..]);
    png.extend(sum.to_be_bytes());
}
