//! Hashes that requests of one prompt have in common, and which of them came often enough.

use super::Seen;
use super::group::Face;

/// How many words at the start and the end make a key, the most telling first.
const WIDTHS: [usize; 4] = [24, 12, 6, 3];
const NARROW: usize = 3;
const CELLS: usize = 8192;
pub(super) const DOORKEEPER_BYTES: usize = CELLS * size_of::<Cell>();

/// The keys of one face of a request.
pub(super) struct Keys {
    /// The most telling first.
    pub(super) wide: Vec<u64>,
    /// By the first and the last few words: groups of one task have one of them in common.
    pub(super) narrow: [u64; 2],
    /// The request as a whole: keys count different ones.
    pub(super) request: u64,
}

impl Keys {
    /// `None` where the face has too few words to tell anything.
    pub(super) fn of(face: Face, seen: &Seen<'_>) -> Option<Self> {
        let text = match face {
            Face::System => seen.system?,
            Face::User => seen.user,
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.len() <= NARROW {
            return None;
        }
        // The same message under instructions for something else is something else.
        let scope = match face {
            Face::System => 0,
            Face::User => seen.system.map_or(1, |system| hash(&[], system.split_whitespace().take(NARROW))),
        };
        let seed = |kind: &str| [seen.tenant.to_owned(), kind.to_owned(), scope.to_string()];
        let first = |width: usize| hash(&seed("first"), words.iter().copied().take(width));
        let last = |width: usize| hash(&seed("last"), words.iter().rev().copied().take(width));
        let whole = (face == Face::System).then(|| hash(&seed("whole"), words.iter().copied()));
        let widths = WIDTHS.into_iter().filter(|width| *width < words.len());
        let ends = widths.flat_map(|width| [first(width), last(width)]);
        let of_face = |key: u64| if face == Face::System { key } else { !key };
        let wide = whole.into_iter().chain(ends).map(of_face).collect();
        let request = hash(&[seen.system.unwrap_or_default().to_owned()], std::iter::once(seen.user));
        Some(Self { wide, narrow: [first(NARROW), last(NARROW)].map(of_face), request })
    }
}

/// A hash of words in which all digits are alike: prompts with a date in them come again the next day.
fn hash<'t>(seed: &[String], words: impl Iterator<Item = &'t str>) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for part in seed {
        hasher.update(part.as_bytes()).update(&[0]);
    }
    for word in words {
        if word.bytes().any(|byte| byte.is_ascii_digit()) {
            let even: String = word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
            hasher.update(even.as_bytes());
        } else {
            hasher.update(word.as_bytes());
        }
        hasher.update(b" ");
    }
    short(&hasher.finalize())
}

fn short(hash: &blake3::Hash) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The hash of an input.
pub(super) fn of_input(input: &str) -> u64 {
    short(&blake3::hash(input.as_bytes()))
}

/// Counts keys in a table of fixed size, so that what comes once takes no room: a key that finds its cell taken wears the
/// other's count down first.
#[derive(Clone, Debug, Default)]
pub(super) struct Doorkeeper {
    /// Empty until the first key is met.
    cells: Vec<Cell>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    key: u64,
    /// The request that was counted last: the same one again says nothing new.
    last: u64,
    count: u8,
}

impl Doorkeeper {
    /// Counts a key, and says how often it was met with another request than the time before.
    pub(super) fn meet(&mut self, key: u64, request: u64) -> u8 {
        if self.cells.is_empty() {
            self.cells.resize(CELLS, Cell::default());
        }
        let place = usize::try_from(key % CELLS as u64).unwrap_or(0);
        let cell = &mut self.cells[place];
        if cell.count > 0 && cell.key != key {
            cell.count -= 1;
            return 0;
        }
        if cell.count == 0 {
            *cell = Cell { key, last: request, count: 1 };
        } else if cell.last != request {
            cell.last = request;
            cell.count = cell.count.saturating_add(1);
        }
        cell.count
    }

    pub(super) fn bytes(&self) -> usize {
        self.cells.len() * size_of::<Cell>()
    }
}
