//! The wording of a request as a sparse input: words, pairs of words, parts of words, and what stands at its edges.
//!
//! Owns the cut and the buckets that terms fall into by their hash (Weinberger et al. 2009, feature hashing). Refuses to
//! read the material: what is quoted, fenced or stands in the middle of many lines is asked about, not asking. On
//! exemplars alone these terms tell the kinds better than a sentence encoder's vector does, at a hundredth of its time.

use api::Cell;

use crate::outline::read_part;
use crate::view::{View, head, tail};

/// How many buckets. With half as many macro-F1 fell by 0.006, with twice as many it did not rise.
pub(crate) const BUCKETS: usize = 1 << 17;
/// Only so much of the first and of the last of several lines is read.
const LINE_BYTES: usize = 320;
/// Only so much of the start and of the end of a long line is read.
const EDGE_BYTES: usize = 260;
/// Only so much of the application's instructions is read.
const SYSTEM_BYTES: usize = 320;
/// A quotation of so many bytes is material.
const QUOTE_BYTES_MIN: usize = 30;
/// Terms of fewer exemplars than this say nothing that holds for others.
const EXEMPLARS_MIN: u32 = 2;

const SORTS: usize = 3;

/// The terms of one request: bucket and weight, by sort.
#[derive(Clone, Debug, Default)]
pub struct Terms([Vec<Cell>; SORTS]);

impl Terms {
    /// The terms of a request.
    pub fn of(view: &View) -> Self {
        let system = if is_boilerplate(&view.system) { "" } else { head(&view.system, SYSTEM_BYTES) };
        let user = instruction(&view.user);
        let before = if view.follows_up() { instruction(&view.earlier_user) } else { String::new() };
        let said = format!("{before} {user}");
        let all = format!("{system} {said}");
        let mut edges = Vec::new();
        edge_terms("s", system, &mut edges);
        edge_terms("u", &said, &mut edges);
        layout_terms(view, system, &mut edges);
        Self([counted(word_terms(&all)), counted(part_terms(&all)), counted(edges)])
    }

    fn buckets(&self) -> impl Iterator<Item = u32> {
        self.0.iter().flatten().map(|(bucket, _)| *bucket)
    }
}

/// How rare each bucket is among the exemplars: the logarithm of the inverse share of exemplars that have it, 0 where next
/// to none has.
#[derive(Clone, Debug, PartialEq)]
pub struct Rarity(Vec<f32>);

impl Rarity {
    /// Counts the terms of the exemplars.
    #[expect(clippy::cast_precision_loss, reason = "counts of exemplars")]
    pub fn of(exemplars: &[Terms]) -> Self {
        let mut counts = vec![0_u32; BUCKETS];
        for terms in exemplars {
            let mut buckets: Vec<u32> = terms.buckets().collect();
            buckets.sort_unstable();
            buckets.dedup();
            for bucket in buckets {
                counts[bucket as usize] += 1;
            }
        }
        let all = exemplars.len() as f32 + 1.0;
        let rarity = |count: u32| match count {
            count if count < EXEMPLARS_MIN => 0.0,
            count => (all / (count as f32 + 1.0)).ln() + 1.0,
        };
        Self(counts.into_iter().map(rarity).collect())
    }

    /// As it was kept; `None` where it has another length than this build's.
    pub fn from_kept(values: Vec<f32>) -> Option<Self> {
        (values.len() == BUCKETS).then_some(Self(values))
    }

    /// To be kept: one number a bucket.
    pub fn values(&self) -> &[f32] {
        &self.0
    }

    /// The weighted terms of a request, each sort of unit length; terms that no exemplar has are left out.
    pub(crate) fn weigh(&self, terms: &Terms) -> Vec<Cell> {
        let mut cells = Vec::with_capacity(terms.0.iter().map(Vec::len).sum());
        for sort in &terms.0 {
            let first = cells.len();
            let rarity = |bucket: u32| self.0.get(bucket as usize).copied().unwrap_or(0.0);
            let weighed = sort.iter().map(|(bucket, weight)| (*bucket, weight * rarity(*bucket)));
            cells.extend(weighed.filter(|(_, weight)| *weight > 0.0));
            let length = cells[first..].iter().map(|(_, weight)| weight * weight).sum::<f32>().sqrt();
            cells[first..].iter_mut().for_each(|(_, weight)| *weight /= length.max(f32::MIN_POSITIVE));
        }
        cells
    }
}

/// Instructions that say nothing: "You are a helpful assistant."
pub(crate) fn is_boilerplate(system: &str) -> bool {
    const WORDS_MAX: usize = 12;
    let mut words = 0;
    let mut helpful = false;
    for word in system.split_whitespace() {
        words += 1;
        helpful |= word.eq_ignore_ascii_case("helpful");
        if words > WORDS_MAX {
            return false;
        }
    }
    helpful
}

/// What asks in a text: without what is quoted or fenced; of several lines the first and the last, of a long one its start
/// and its end.
fn instruction(text: &str) -> String {
    let text = read_part(text);
    let text = without_material(&text);
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let (first, last) = (lines.next(), lines.next_back());
    match (first, last) {
        (Some(first), Some(last)) if lines.next().is_some() => {
            format!("{} \n {}", head(first, LINE_BYTES), tail(last, LINE_BYTES))
        }
        _ if text.len() > 2 * EDGE_BYTES => {
            format!("{} \n {}", head(&text, EDGE_BYTES), tail(&text, EDGE_BYTES))
        }
        _ => text,
    }
}

/// Puts a word in the place of each fenced block and each longer quotation.
fn without_material(text: &str) -> String {
    const MARKS: [(&str, &str, &str, usize); 5] = [
        ("```", "```", " CODEBLOCK ", 0),
        ("\"", "\"", " QUOTE ", QUOTE_BYTES_MIN),
        ("\u{201c}", "\u{201d}", " QUOTE ", QUOTE_BYTES_MIN),
        ("\u{ab}", "\u{bb}", " QUOTE ", QUOTE_BYTES_MIN),
        ("\u{201e}", "\u{201c}", " QUOTE ", QUOTE_BYTES_MIN),
    ];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    'text: while let Some(at) = rest.find(['`', '"', '\u{201c}', '\u{ab}', '\u{201e}']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        for (open, close, instead, least) in MARKS {
            let Some(inside) = rest.strip_prefix(open) else { continue };
            let end = inside.find(close);
            let past = match end {
                Some(end) => open.len() + end + close.len(),
                // A fence that nobody closes runs to the end; a lone quotation mark is no quotation.
                None if open == "```" => rest.len(),
                None => break,
            };
            out.push_str(if end.is_some_and(|end| end < least) { &rest[..past] } else { instead });
            rest = &rest[past..];
            continue 'text;
        }
        let mark = rest.chars().next().map_or(1, char::len_utf8);
        out.push_str(&rest[..mark]);
        rest = &rest[mark..];
    }
    out.push_str(rest);
    out
}

/// A running hash (FNV-1a), finished by a mix so that its low bits are good.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    fn new(salt: u64) -> Self {
        Self(0xcbf2_9ce4_8422_2325 ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn text(self, text: &str) -> Self {
        text.bytes()
            .fold(self, |Self(hash), byte| Self((hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
    }

    fn letter(self, letter: char) -> Self {
        Self((self.0 ^ u64::from(u32::from(letter))).wrapping_mul(0x0100_0000_01b3))
    }

    #[expect(clippy::cast_possible_truncation, reason = "a bucket is below 2^17")]
    fn bucket(self) -> u32 {
        let mixed = (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 32)) & (BUCKETS as u64 - 1)) as u32
    }
}

/// Lower case, and all digits alike.
fn plain(letter: char) -> impl Iterator<Item = char> {
    let digit = letter.is_numeric().then_some('0');
    digit.into_iter().chain(letter.to_lowercase().filter(move |_| digit.is_none()))
}

/// Words and single marks.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    for letter in text.chars() {
        if letter.is_alphanumeric() || letter == '\'' {
            word.extend(plain(letter));
            continue;
        }
        if !word.is_empty() {
            tokens.push(std::mem::take(&mut word));
        }
        if !letter.is_whitespace() {
            tokens.push(letter.to_string());
        }
    }
    if !word.is_empty() {
        tokens.push(word);
    }
    tokens
}

/// Words and pairs of words.
fn word_terms(text: &str) -> Vec<u32> {
    let tokens = tokens(text);
    let singles = tokens.iter().map(|token| Hash::new(1).text(token).bucket());
    let pairs = tokens.windows(2).map(|pair| Hash::new(2).text(&pair[0]).text(" ").text(&pair[1]).bucket());
    singles.chain(pairs).collect()
}

/// Parts of two to five letters of each word, its edges included: most of them survive a slip of the finger, and they are
/// all there is to languages that write without blanks.
fn part_terms(text: &str) -> Vec<u32> {
    const SHORTEST: usize = 2;
    const LONGEST: usize = 5;
    let mut terms = Vec::new();
    let mut letters: Vec<char> = Vec::new();
    for word in text.split_whitespace() {
        letters.clear();
        letters.push(' ');
        letters.extend(word.chars().flat_map(plain));
        letters.push(' ');
        for start in 0..letters.len() {
            let mut hash = Hash::new(3);
            for (length, letter) in letters[start..].iter().take(LONGEST).enumerate() {
                hash = hash.letter(*letter);
                if length + 1 >= SHORTEST {
                    terms.push(hash.bucket());
                }
            }
        }
    }
    terms
}

/// The first words by their places, the first and the last ones without, and those that begin the last line.
fn edge_terms(part: &str, text: &str, terms: &mut Vec<u32>) {
    let tokens = tokens(text);
    let mut add =
        |edge: &str, token: &str| terms.push(Hash::new(4).text(part).text(edge).text(token).bucket());
    for (place, token) in tokens.iter().take(5).enumerate() {
        add(["b0", "b1", "b2", "b3", "b4"][place], token);
    }
    tokens.iter().take(8).for_each(|token| add("B", token));
    tokens.iter().rev().take(6).for_each(|token| add("e", token));
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("");
    self::tokens(last).iter().take(4).for_each(|token| add("L", token));
}

/// The layout of the whole text, in a few words of our own.
fn layout_terms(view: &View, system: &str, terms: &mut Vec<u32>) {
    let user = read_part(&view.user);
    let mut add = |name: &str, count: usize| {
        let shown = char::from_digit(u32::try_from(count).unwrap_or(u32::MAX).min(35), 36).unwrap_or('z');
        terms.push(Hash::new(5).text(name).letter(shown).bucket());
    };
    add("asks", usize::from(user.trim_end().ends_with(['?', '？', '؟'])));
    add("fence", usize::from(user.contains("```")));
    add("length", view.user.len().max(1).ilog2() as usize);
    add("lines", user.lines().count().min(8));
    add("quotes", without_material(&user).matches(" QUOTE ").count().min(4));
    add("system", usize::from(!system.is_empty()));
}

/// Each bucket once, weighted by one more than the logarithm of its count.
#[expect(clippy::cast_precision_loss, reason = "counts of terms of one text")]
fn counted(mut buckets: Vec<u32>) -> Vec<Cell> {
    buckets.sort_unstable();
    buckets.chunk_by(|a, b| a == b).map(|same| (same[0], 1.0 + (same.len() as f32).ln())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn material_is_left_out_of_the_instruction() {
        for (text, expected) in [
            ("Say it plainly.", "Say it plainly."),
            ("fix \"teh\" in here", "fix \"teh\" in here"),
            ("Translate \"I would like to have the day off tomorrow\" please", "Translate  QUOTE  please"),
            ("Explain\n```rust\nfn main() {}\n```", "Explain\n CODEBLOCK "),
            ("Explain ```fn main() {", "Explain  CODEBLOCK "),
            ("5\" of snow", "5\" of snow"),
            ("First line\nsecond\nthird line", "First line \n third line"),
            ("one\ntwo", "one\ntwo"),
        ] {
            assert_eq!(instruction(text), expected);
        }
    }

    fn likeness(rarity: &Rarity, a: &str, b: &str) -> f32 {
        let weigh = |text: &str| rarity.weigh(&Terms::of(&View::of(None, text)));
        let (a, b) = (weigh(a), weigh(b));
        let value = |(bucket, weight): &Cell| {
            b.iter().filter(|(other, _)| other == bucket).map(|(_, other)| weight * other).sum::<f32>()
        };
        a.iter().map(value).sum()
    }

    #[test]
    fn slips_and_case_keep_a_request_near_itself() {
        let texts = [
            "Please summarize the following article in three sentences",
            "pleese sumarize teh folowing artcle IN three sentences",
            "What is the capital of Mongolia and who founded it",
        ];
        let rarity = Rarity(vec![1.0; BUCKETS]);
        let near = likeness(&rarity, texts[0], texts[1]);
        assert!(near > 2.0 * likeness(&rarity, texts[0], texts[2]), "{near}");
    }

    #[test]
    fn what_no_exemplar_has_counts_nothing() {
        let terms = |text: &str| Terms::of(&View::of(None, text));
        let rarity = Rarity::of(&[terms("translate this"), terms("translate that"), terms("sum it up")]);
        assert!(!rarity.weigh(&terms("translate")).is_empty());
        assert!(rarity.weigh(&terms("шесть")).len() < terms("шесть").buckets().count());
        assert_eq!(Rarity::from_kept(rarity.values().to_vec()), Some(rarity));
        assert_eq!(Rarity::from_kept(vec![0.0; 3]), None);
    }

    proptest! {
        /// Any text has terms in their buckets, each sort of unit length or empty.
        #[test]
        fn terms_are_bounded(system in ".{0,60}", text in "(.|\n){0,400}") {
            let terms = Terms::of(&View::of(Some(&system), &text));
            let cells = Rarity(vec![1.0; BUCKETS]).weigh(&terms);
            prop_assert!(cells.iter().all(|(bucket, weight)| (*bucket as usize) < BUCKETS && weight.is_finite()));
            let length: f32 = cells.iter().map(|(_, weight)| weight * weight).sum();
            prop_assert!(length < SORTS as f32 + 0.01, "{length}");
        }
    }
}
