//! The form of a text as numbers from 0 to 1: its length, lines, digits, symbols, quotations, scripts.
//!
//! Owns one fixed list of measurements. Refuses words: those are the lexicon's and the hashed features'.

use crate::features::{flag, scaled};
use crate::outline::{Outline, sentences};
use crate::words::Shape;

/// How many numbers [`structure`] writes.
pub(crate) const STRUCTURE: usize = 58;

/// Characters of a text, by what they are.
#[derive(Default)]
struct Characters {
    all: usize,
    letters: usize,
    digits: usize,
    mathematics: usize,
    brackets: usize,
    code: usize,
    questions: usize,
    exclamations: usize,
    blanks_to_fill: usize,
    emoji: usize,
    ideographs: usize,
    kana: usize,
    cyrillic: usize,
    arabic: usize,
    devanagari: usize,
    hangul: usize,
    accented: usize,
    asterisks: usize,
    pipes: usize,
    slashes: usize,
    ellipses: usize,
}

impl Characters {
    fn of(text: &str) -> Self {
        let mut counts = Self::default();
        for letter in text.chars() {
            counts.all += 1;
            counts.letters += usize::from(letter.is_alphabetic());
            let counted = match letter {
                '0'..='9' => &mut counts.digits,
                '+' | '=' | '^' | '√' | '∑' | '∫' | '≤' | '≥' | '≠' | '×' | '÷' | '±' | 'π' | '%' | '<'
                | '>' | '∀' | '∃' | '→' => &mut counts.mathematics,
                '(' | ')' | '[' | ']' => &mut counts.brackets,
                '{' | '}' | ';' | '`' | '\\' | '$' | '#' | '&' | '@' => &mut counts.code,
                '?' | '？' | '؟' => &mut counts.questions,
                '!' | '！' => &mut counts.exclamations,
                '_' => &mut counts.blanks_to_fill,
                '*' => &mut counts.asterisks,
                '|' => &mut counts.pipes,
                '/' => &mut counts.slashes,
                '…' => &mut counts.ellipses,
                '\u{1f300}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' => &mut counts.emoji,
                '\u{4e00}'..='\u{9fff}' => &mut counts.ideographs,
                '\u{3040}'..='\u{30ff}' => &mut counts.kana,
                '\u{0400}'..='\u{04ff}' => &mut counts.cyrillic,
                '\u{0600}'..='\u{06ff}' => &mut counts.arabic,
                '\u{0900}'..='\u{097f}' => &mut counts.devanagari,
                '\u{ac00}'..='\u{d7af}' => &mut counts.hangul,
                '\u{00c0}'..='\u{017f}' => &mut counts.accented,
                _ => continue,
            };
            *counted += 1;
        }
        counts
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of characters and words")]
fn share(part: usize, whole: usize) -> f32 {
    part as f32 / whole.max(1) as f32
}

/// `A) ... B) ...` or `(A) ... (B) ...`: answers to choose from.
fn has_choices(text: &str) -> bool {
    [("A)", "B)"), ("A.", "B."), ("a)", "b)"), ("1)", "2)")]
        .iter()
        .any(|(first, second)| text.find(first).is_some_and(|place| text[place..].contains(second)))
}

/// Two calculations at least, or mathematics as TeX writes it.
pub(crate) fn has_formulas(text: &str) -> bool {
    has_tex(text) || calculations(text) >= 2
}

fn has_tex(text: &str) -> bool {
    ["\\frac", "\\[", "\\(", "\\sqrt", "$$"].iter().any(|mark| text.contains(mark))
}

/// How often a mark of arithmetic stands between two digits or letters of a formula.
fn calculations(text: &str) -> usize {
    let bytes: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    let operand = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'x' | b'y' | b'n' | b'(' | b')');
    bytes
        .windows(3)
        .filter(|three| operand(three[0]) && b"+-*/^=".contains(&three[1]) && operand(three[2]))
        .filter(|three| three[0].is_ascii_digit() || three[2].is_ascii_digit())
        .count()
}

/// Writes the measurements of a text.
pub(crate) fn structure(outline: &Outline<'_>, values: &mut [f32]) {
    let counts = Characters::of(outline.text);
    let words = outline.words.len();
    let spoken = outline.instruction_words();
    let shape = |shape: Shape| outline.words.iter().filter(|word| word.shape.has(shape)).count();
    let lines = |test: fn(&&crate::lines::Line) -> bool| outline.lines.iter().filter(test).count();
    let filled = lines(|line| line.past > line.first);
    let labels = lines(|line| line.colon.is_some());
    let text = outline.text.trim();
    let last_line = text.rsplit('\n').next().unwrap_or_default().trim();
    let sentences = sentences(outline.text).len();
    let measured = [
        scaled(words, 2000.0),
        scaled(spoken, 400.0),
        scaled(words - spoken, 2000.0),
        share(words - spoken, words),
        flag(words <= 3),
        flag(words <= 8),
        flag(words > 60),
        flag(words > 300),
        scaled(filled, 60.0),
        flag(filled > 1),
        scaled(sentences, 60.0),
        scaled(labels, 12.0),
        flag(labels >= 2),
        flag(last_line.ends_with([':', '：'])),
        scaled(lines(|line| line.numbered), 12.0),
        scaled(lines(|line| line.bulleted), 12.0),
        scaled(outline.quotations, 6.0),
        flag(outline.quotations == 1),
        flag(outline.quotations == 2),
        share(outline.quoted, words),
        flag(outline.fences > 0),
        scaled(outline.fences, 4.0),
        flag(text.ends_with(['?', '？', '؟'])),
        scaled(counts.questions, 5.0),
        scaled(counts.exclamations, 5.0),
        (share(counts.digits, counts.all) * 6.0).min(1.0),
        scaled(shape(Shape::DIGITS), 20.0),
        (share(counts.mathematics, counts.all) * 20.0).min(1.0),
        (share(counts.code, counts.all) * 20.0).min(1.0),
        (share(counts.brackets, counts.all) * 20.0).min(1.0),
        flag(text.starts_with(['{', '[', '<'])),
        flag(counts.blanks_to_fill >= 2),
        flag(counts.asterisks >= 2),
        flag(counts.pipes >= 2),
        flag(counts.slashes >= 1),
        flag(counts.emoji > 0),
        flag(text.contains("...") || counts.ellipses > 0),
        share(counts.ideographs, counts.letters),
        share(counts.kana, counts.letters),
        share(counts.cyrillic, counts.letters),
        share(counts.arabic, counts.letters),
        share(counts.devanagari, counts.letters),
        share(counts.hangul, counts.letters),
        (share(counts.accented, counts.letters) * 10.0).min(1.0),
        flag(text.starts_with(|letter: char| letter.is_lowercase())),
        (share(shape(Shape::CAPITAL), words) * 2.0).min(1.0),
        share(shape(Shape::ALL_CAPITALS), words),
        flag(text.contains("->") || text.contains("=>") || text.contains('→')),
        flag(has_choices(text)),
        flag(has_tex(text) || text.matches('$').count() >= 2),
        scaled(calculations(text), 6.0),
        scaled(lines(|line| line.code), 12.0),
        flag(lines(|line| line.code) >= 2),
        scaled(lines(|line| line.spoken), 8.0),
        flag(lines(|line| line.spoken) >= 2),
        flag(lines(|line| line.past - line.first > 45) > 0),
        flag(last_line.ends_with(['?', '？', '؟']) && filled > 1),
        flag(
            text.ends_with('=') || text.ends_with("A:") || text.ends_with("Answer:") || text.ends_with("is"),
        ),
    ];
    let measured: &[f32; STRUCTURE] = &measured;
    values.copy_from_slice(measured);
}
