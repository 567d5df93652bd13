//! Names of people: where they are introduced, and where a given name stands before a surname in a text about somebody's
//! life.
//!
//! Owns what a name looks like in scripts with and without capitals, and how sure it is to be somebody's own. Refuses the
//! names of the famous: they are no secret.

use api::PrivateKind;

use super::Finding;
use super::given::{is_famous, is_given};
use super::markers::{Marked, Marker};
use super::subject::Subject;
use crate::view::{head, tail};
use crate::words::is_unspaced;

/// Words of a name at most.
const NAME_WORDS_MAX: usize = 5;

/// Small words inside names.
const PARTICLES: [&str; 24] = [
    "van", "von", "der", "den", "de", "del", "della", "di", "da", "dos", "das", "du", "la", "le", "el", "al",
    "bin", "ibn", "ben", "zu", "ter", "ten", "y", "af",
];

/// Words with capitals behind "Customer" or "Employee" that start titles, not names.
const NO_NAMES: [&str; 56] = [
    "the",
    "a",
    "an",
    "our",
    "your",
    "professor",
    "retention",
    "success",
    "service",
    "services",
    "support",
    "safety",
    "care",
    "relations",
    "experience",
    "satisfaction",
    "data",
    "portal",
    "handbook",
    "assistance",
    "program",
    "engagement",
    "loan",
    "union",
    "council",
    "journey",
    "feedback",
    "server",
    "side",
    "management",
    "school",
    "tax",
    "credit",
    "access",
    "rights",
    "records",
    "identification",
    "protection",
    "id",
    "number",
    "name",
    "address",
    "information",
    "details",
    "of",
    "lifetime",
    "acquisition",
    "stock",
    "benefits",
    "training",
    "resource",
    "resources",
    "i",
    "it",
    "zero",
    "bill",
];

/// Looks for names beside the markers and for given names everywhere.
pub(super) fn find(text: &str, marked: &[Marked], subject: Subject, findings: &mut Vec<Finding>) {
    for mark in marked {
        let found = match mark.marker {
            Marker::Introduction(one, two) => introduced(text, mark.end, one, two, subject),
            Marker::Title => titled(text, mark.end, subject),
            Marker::Called => called(text, mark.end),
            Marker::Honorific => honoured(text, mark.start),
            _ => None,
        };
        findings.extend(found);
    }
    given(text, subject, findings);
}

const fn person(start: usize, end: usize, strength: f32) -> Finding {
    Finding { kind: PrivateKind::Person, start, end, strength }
}

// === Scripts with capitals ===

/// A run of words with capitals.
struct Run<'a> {
    end: usize,
    /// Words with capitals, initials left out.
    words: usize,
    first: &'a str,
    last: &'a str,
    patronymic: bool,
}

/// The name that starts at `start`, with how sure it is for one word and for more.
fn introduced(text: &str, start: usize, one: f32, two: f32, subject: Subject) -> Option<Finding> {
    const SURE: f32 = 0.85;
    let run = run(text, start)?;
    let known = is_given(run.first);
    if !known && NO_NAMES.contains(&run.first.to_lowercase().as_str()) {
        return None;
    }
    let mut strength = match run.words {
        0 => 0.0,
        1 => one,
        _ if known && two > 0.0 => two.max(0.88),
        _ if subject.life && two >= 0.5 => two.max(SURE),
        _ => two,
    };
    if subject.public && strength < 0.9 || is_famous(run.last) {
        strength *= 0.45;
    }
    (strength > 0.0).then(|| person(start, run.end, strength))
}

/// The name behind "Mrs." or "Dr."; in a text about a life also `mr okonkwo`, as it is typed in a hurry.
fn titled(text: &str, start: usize, subject: Subject) -> Option<Finding> {
    const SMALL: f32 = 0.82;
    const SMALL_LETTERS_MIN: usize = 4;
    // Many who have a title are known for something.
    const ELSEWHERE: f32 = 0.45;
    if let Some(mut found) = introduced(text, start, 0.35, 0.78, subject) {
        if !subject.life {
            found.strength = found.strength.min(ELSEWHERE);
        }
        return Some(found);
    }
    let word = name_word(&text[start..]);
    let fits = word.len() >= SMALL_LETTERS_MIN && word.starts_with(char::is_lowercase);
    (fits && subject.life && !subject.public).then(|| person(start, start + word.len(), SMALL))
}

/// Given names with a surname behind them.
fn given(text: &str, subject: Subject, findings: &mut Vec<Finding>) {
    let mut past = 0;
    let mut before = ' ';
    for (place, letter) in text.char_indices() {
        let starts =
            letter.is_uppercase() && !before.is_alphanumeric() && !matches!(before, '@' | '_' | '#' | '/');
        before = letter;
        if !starts || place < past {
            continue;
        }
        let Some(run) = run(text, place) else { continue };
        past = run.end;
        let cased = letter.is_ascii() || matches!(letter, '\u{80}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}');
        // Cyrillic, Greek and Armenian capitals start names and sentences only.
        let named = run.patronymic || if cased { is_given(run.first) } else { subject.life };
        if run.words < 2 || !named || is_famous(run.last) {
            continue;
        }
        let strength = match (subject.life || run.patronymic, subject.public) {
            (true, false) => 0.87,
            (true, true) => 0.3,
            (false, false) => 0.4,
            (false, true) => continue,
        };
        findings.push(person(place, run.end, strength));
    }
}

/// The words with capitals from `start` on, one space apart.
fn run(text: &str, start: usize) -> Option<Run<'_>> {
    let mut run = Run { end: start, words: 0, first: "", last: "", patronymic: false };
    let mut place = start;
    for _ in 0..NAME_WORDS_MAX {
        let word = name_word(&text[place..]);
        let next = place + word.len();
        if is_initial(word) && text[next..].starts_with('.') {
            place = next + 1;
        } else if is_capitalised(word) {
            if run.words == 0 {
                run.first = word;
            }
            run.words += 1;
            run.last = word;
            run.patronymic |= run.words > 1
                && ["ович", "евич", "овна", "евна", "ична"].iter().any(|ending| word.ends_with(ending));
            run.end = next;
            place = next;
        } else if run.words > 0 && PARTICLES.contains(&word) {
            place = next;
        } else {
            break;
        }
        let Some(space) = text[place..].chars().next().filter(|letter| matches!(letter, ' ' | '\u{a0}'))
        else {
            break;
        };
        place += space.len_utf8();
    }
    (run.words > 0).then_some(run)
}

/// Letters, with single hyphens and apostrophes between them.
fn name_word(text: &str) -> &str {
    const WORD_BYTES_MAX: usize = 60;
    let text = head(text, WORD_BYTES_MAX);
    let mut letters = text.char_indices().peekable();
    while let Some((place, letter)) = letters.next() {
        let joins = matches!(letter, '-' | '\'' | '’') && place > 0;
        let follows = letters.peek().is_some_and(|(_, next)| next.is_alphabetic());
        if !(letter.is_alphabetic() || joins && follows) {
            return &text[..place];
        }
    }
    text
}

fn is_initial(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(char::is_uppercase) && letters.next().is_none()
}

/// A capital and small letters; more capitals inside (McDonald, Osei-Tutu) are fine, abbreviations are not.
fn is_capitalised(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(char::is_uppercase)
        && letters.clone().any(char::is_lowercase)
        && letters.filter(|letter| letter.is_uppercase()).count() <= 2
}

// === Scripts without ===

/// Surnames of Chinese and Korean people, one character each.
const HAN_SURNAMES: &str = "王李张張刘劉陈陳杨楊赵趙黄黃周吴吳徐孙孫胡朱高林何郭马馬罗羅梁宋郑鄭谢謝韩韓唐冯馮于董萧蕭程曹袁邓鄧许許傅沈曾彭吕呂苏蘇卢盧蒋蔣蔡贾賈丁魏薛叶葉阎余潘杜戴夏钟鍾汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文";
const HANGUL_SURNAMES: &str = "김이박최정강조윤장임한오서신권황안송전홍유고문양손배백허남심노하곽성차주우구민나진지엄채원천방공현함변염";

const fn is_han(letter: char) -> bool {
    matches!(letter, '\u{3400}'..='\u{9fff}')
}

const fn is_hangul(letter: char) -> bool {
    matches!(letter, '\u{ac00}'..='\u{d7a3}')
}

/// The name behind a word like "patient" or "my name is".
fn called(text: &str, place: usize) -> Option<Finding> {
    const STRENGTH: f32 = 0.84;
    let rest = text[place..].trim_start_matches([' ', '：', ':', '是', 'は', '의', '「', '“', '"']);
    let start = text.len() - rest.len();
    let first = rest.chars().next()?;
    if is_han(first) || is_hangul(first) {
        let surname =
            if is_han(first) { HAN_SURNAMES.contains(first) } else { HANGUL_SURNAMES.contains(first) };
        let same = |letter: char| if is_han(first) { is_han(letter) } else { is_hangul(letter) };
        let stops = |letter: &char| !same(*letter) || "女男的因在于於有今年为是和与님씨".contains(*letter);
        let letters: Vec<char> = rest.chars().take(5).take_while(|letter| !stops(letter)).collect();
        let length: usize = letters.iter().take(3).map(|letter| letter.len_utf8()).sum();
        return (surname && (2..=4).contains(&letters.len()))
            .then(|| person(start, start + length, STRENGTH));
    }
    // Arabic and Indic names: two words that are no article, preposition or question.
    if first.is_ascii() || is_unspaced(first) || first.is_lowercase() || first.is_uppercase() {
        return None;
    }
    let mut words = head(rest, 80).split(' ');
    let (one, two) = (words.next()?, words.next()?.trim_end_matches(['،', '.', '؟', '।', ',', '?']));
    let small =
        ["ال", "في", "من", "على", "هل", "ما", "لا", "عن", "إلى", "क्या", "के", "को", "की", "का", "है", "में", "से"];
    let wordy =
        |word: &str| word.chars().count() >= 2 && !word.chars().any(|letter| letter.is_ascii_alphanumeric());
    let arabic = matches!(first, '\u{600}'..='\u{6ff}');
    let fits = wordy(one) && wordy(two) && !small.contains(&one) && !(arabic && one.starts_with("ال"));
    let end = start + one.len() + 1 + two.len();
    fits.then(|| person(start, end, STRENGTH))
}

/// The name before an honorific: 山田花子様, 王秀英女士, 김민준 님.
fn honoured(text: &str, place: usize) -> Option<Finding> {
    const BEFORE_BYTES: usize = 16;
    let before = tail(&text[..place], BEFORE_BYTES);
    let name = before.trim_end_matches(' ');
    let letters: Vec<char> =
        name.chars().rev().take_while(|letter| is_han(*letter) || is_hangul(*letter)).take(5).collect();
    let last = *letters.first()?;
    let bytes = |count: usize| letters.iter().take(count).map(|letter| letter.len_utf8()).sum::<usize>();
    let end = place - (before.len() - name.len());
    // 取引先様 and the like are firms and groups.
    let group = "先者客店社方皆各位生".contains(last);
    let hangul = is_hangul(last);
    let surname = |letter: &char| HANGUL_SURNAMES.contains(*letter) || HAN_SURNAMES.contains(*letter);
    let honorific = text[place..].chars().next()?;
    let length = match letters.len() {
        3 | 2 if letters.last().is_some_and(surname) && (hangul || letters.len() == 3) => letters.len(),
        3..=5 if !hangul && matches!(honorific, '様' | '氏' | 'さ') => letters.len().min(4),
        4..=5 if letters.get(2).is_some_and(surname) => 3,
        _ => return None,
    };
    (!group).then(|| person(end - bytes(length), end, 0.84))
}
