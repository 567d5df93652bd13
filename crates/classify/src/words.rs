//! Text into words: the one tokenisation that features, cues, noise and token estimates share.
//!
//! Owns what a word is (folded to lower case without accents, so that `Übersetze` and `ubersetze` are one) and its
//! hash. Refuses dictionaries: meaning is the lexicon's.

/// Something about a word's letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape(u8);

impl Shape {
    pub(crate) const CAPITAL: Self = Self(1);
    pub(crate) const ALL_CAPITALS: Self = Self(2);
    pub(crate) const DIGITS: Self = Self(4);
    pub(crate) const MIXED_CASE: Self = Self(8);
    pub(crate) const REPEATED: Self = Self(16);
    pub(crate) const NO_VOWEL: Self = Self(32);
    /// One character of a script that writes no spaces.
    pub(crate) const UNSPACED: Self = Self(64);
    pub(crate) const NON_ASCII: Self = Self(128);

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// A word of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    /// Byte range in the text.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Of the folded letters.
    pub(crate) hash: u64,
    /// Characters.
    pub(crate) length: u16,
    pub(crate) shape: Shape,
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// One more character into an FNV-1a hash.
pub(crate) const fn mix(hash: u64, value: u32) -> u64 {
    (hash ^ value as u64).wrapping_mul(FNV_PRIME)
}

/// The hash of a sequence of folded characters.
pub(crate) fn hash_of(letters: impl IntoIterator<Item = char>) -> u64 {
    letters.into_iter().fold(FNV_START, |hash, letter| mix(hash, letter as u32))
}

/// Lower case without the accents of Latin letters.
pub(crate) fn fold(letter: char) -> char {
    /// U+00C0 to U+00FF without their accents.
    const LATIN_1: &[u8; 64] = b"aaaaaaaceeeeiiiidnooooo*ouuuuytsaaaaaaaceeeeiiiidnooooo/ouuuuyty";
    match letter {
        'A'..='Z' => letter.to_ascii_lowercase(),
        '\0'..='\u{7f}' => letter,
        '\u{c0}'..='\u{ff}' if !matches!(letter, '×' | '÷') => {
            char::from(LATIN_1[(letter as usize - 0xc0) & 63])
        }
        'ą' | 'Ą' | 'ă' | 'Ă' | 'ā' | 'Ā' => 'a',
        'ć' | 'Ć' | 'č' | 'Č' => 'c',
        'ę' | 'Ę' | 'ě' | 'Ě' | 'ē' | 'Ē' => 'e',
        'ğ' | 'Ğ' => 'g',
        'ı' | 'İ' | 'ī' | 'Ī' => 'i',
        'ł' | 'Ł' => 'l',
        'ń' | 'Ń' | 'ň' | 'Ň' => 'n',
        'ő' | 'Ő' => 'o',
        'ř' | 'Ř' => 'r',
        'ś' | 'Ś' | 'š' | 'Š' | 'ş' | 'Ş' => 's',
        'ť' | 'Ť' | 'ţ' | 'Ţ' => 't',
        'ű' | 'Ű' | 'ů' | 'Ů' => 'u',
        'ź' | 'Ź' | 'ż' | 'Ż' | 'ž' | 'Ž' => 'z',
        _ => letter.to_lowercase().next().unwrap_or(letter),
    }
}

/// Scripts that put no space between words; each of their characters is a word here.
pub(crate) fn is_unspaced(letter: char) -> bool {
    matches!(u32::from(letter),
        0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff
        | 0xf900..=0xfaff | 0x2_0000..=0x2_ffff)
}

/// The words of a text, in order. Apostrophes are dropped (`don't` is `dont`), other punctuation separates.
pub(crate) fn words(text: &str) -> Vec<Word> {
    let mut found = Vec::with_capacity(text.len() / 5);
    let mut letters = text.char_indices().peekable();
    while let Some((start, letter)) = letters.next() {
        if !letter.is_alphanumeric() {
            continue;
        }
        let mut word = Draft::new(start);
        word.push(start, letter);
        if !is_unspaced(letter) {
            while let Some(&(place, next)) = letters.peek() {
                if next.is_alphanumeric() && !is_unspaced(next) {
                    word.push(place, next);
                } else if !matches!(next, '\'' | '’') || !letter_follows(text, place + next.len_utf8()) {
                    break;
                }
                letters.next();
            }
        }
        // C++, C# and F# are names.
        let marks = text[word.word.end..].bytes().take_while(|byte| matches!(byte, b'+' | b'#')).count();
        if word.word.length == 1 && letter.is_ascii_alphabetic() && (1..=2).contains(&marks) {
            for _ in 0..marks {
                if let Some((place, mark)) = letters.next() {
                    word.push(place, mark);
                }
            }
        }
        found.push(word.finish(is_unspaced(letter)));
    }
    found
}

fn letter_follows(text: &str, place: usize) -> bool {
    text.get(place..).and_then(|rest| rest.chars().next()).is_some_and(char::is_alphabetic)
}

/// A word being read.
struct Draft {
    word: Word,
    capitals: u16,
    digits: u16,
    vowels: u16,
    last: char,
    run: u8,
    repeated: bool,
    first_capital: bool,
    ascii: bool,
}

impl Draft {
    const fn new(start: usize) -> Self {
        let word = Word { start, end: start, hash: FNV_START, length: 0, shape: Shape(0) };
        Self {
            word,
            capitals: 0,
            digits: 0,
            vowels: 0,
            last: '\0',
            run: 0,
            repeated: false,
            first_capital: false,
            ascii: true,
        }
    }

    fn push(&mut self, place: usize, letter: char) {
        let folded = fold(letter);
        let capital = letter.is_uppercase();
        self.first_capital |= capital && self.word.length == 0;
        self.capitals = self.capitals.saturating_add(u16::from(capital));
        self.digits = self.digits.saturating_add(u16::from(letter.is_numeric()));
        let vowel = matches!(folded, 'a' | 'e' | 'i' | 'o' | 'u' | 'y') || !folded.is_ascii();
        self.vowels = self.vowels.saturating_add(u16::from(vowel));
        self.run = if folded == self.last { self.run.saturating_add(1) } else { 1 };
        self.repeated |= self.run >= 3 && folded.is_alphabetic();
        self.last = folded;
        self.ascii &= letter.is_ascii();
        self.word.hash = mix(self.word.hash, folded as u32);
        self.word.length = self.word.length.saturating_add(1);
        self.word.end = place + letter.len_utf8();
    }

    fn finish(self, unspaced: bool) -> Word {
        let mut word = self.word;
        let shape = &mut word.shape;
        let letters = word.length - self.digits.min(word.length);
        for (test, bit) in [
            (self.first_capital, Shape::CAPITAL),
            (letters > 1 && self.capitals == letters, Shape::ALL_CAPITALS),
            (self.digits > 0, Shape::DIGITS),
            (self.capitals > u16::from(self.first_capital) && self.capitals < letters, Shape::MIXED_CASE),
            (self.repeated, Shape::REPEATED),
            (self.vowels == 0 && self.digits == 0, Shape::NO_VOWEL),
            (unspaced, Shape::UNSPACED),
            (!self.ascii, Shape::NON_ASCII),
        ] {
            if test {
                shape.add(bit);
            }
        }
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let got: Vec<String> =
            words(text).iter().map(|word| text[word.start..word.end].chars().map(fold).collect()).collect();
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn words_are_folded_runs_of_letters_and_digits() {
        check("Übersetze, bitte: don't STOP!", &["ubersetze", "bitte", "don't", "stop"]);
        check("3,5 km/h", &["3", "5", "km", "h"]);
        check("翻译 this", &["翻", "译", "this"]);
        check("C++ or c# or C, F#.", &["c++", "or", "c#", "or", "c", "f#"]);
        check("a+b #tag a +++", &["a+", "b", "tag", "a"]);
        check("", &[]);
        check("'quoted' ends'", &["quoted", "ends"]);
        assert_eq!(words("dont")[0].hash, words("DON’T")[0].hash);
    }

    #[test]
    fn shapes() {
        let shape = |text: &str| words(text)[0].shape;
        assert!(shape("Hello").has(Shape::CAPITAL) && !shape("Hello").has(Shape::MIXED_CASE));
        assert!(shape("HELLO").has(Shape::ALL_CAPITALS));
        assert!(shape("hElLo").has(Shape::MIXED_CASE));
        assert!(shape("sooo").has(Shape::REPEATED) && !shape("soon").has(Shape::REPEATED));
        assert!(shape("pls").has(Shape::NO_VOWEL) && shape("a1").has(Shape::DIGITS));
    }
}
