//! People in a text: e-mail addresses, names that are given as somebody's, postal addresses, birth dates, health.
//!
//! Owns heuristics of high precision: a name counts where it is introduced ("my name is", "patient", "Name:"), because the
//! names of the famous are no secret. Refuses to search names everywhere: that takes a model.

use api::PrivateKind;

use super::Finding;

/// Looks for people.
pub(super) fn find(text: &str, findings: &mut Vec<Finding>) {
    emails(text, findings);
    // ASCII lower case keeps every byte in its place.
    let lower = text.to_ascii_lowercase();
    names(text, &lower, findings);
    streets(text, &lower, findings);
    birth_dates(text, &lower, findings);
    health(&lower, findings);
}

// === E-mail ===

fn emails(text: &str, findings: &mut Vec<Finding>) {
    for (at, _) in text.match_indices('@') {
        let is_local = |byte: &u8| byte.is_ascii_alphanumeric() || b"._%+-".contains(byte);
        let local = text.as_bytes()[..at].iter().rev().take_while(|byte| is_local(byte)).count();
        let domain = text.as_bytes()[at + 1..]
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || b".-".contains(byte));
        let domain = &text[at + 1..at + 1 + domain.count()];
        let domain = domain.trim_end_matches(['.', '-']);
        let top = domain.rsplit('.').next().unwrap_or_default();
        let good_top =
            domain.contains('.') && top.len() >= 2 && top.bytes().all(|byte| byte.is_ascii_alphabetic());
        let local_text = &text[at - local..at];
        if local > 0 && good_top && !domain.contains("..") && local_text != "git" {
            let (start, end) = (at - local, at + 1 + domain.len());
            findings.push(Finding { kind: PrivateKind::Email, start, end, strength: 0.95 });
        }
    }
}

// === Names ===

/// `(words before a name, strength with one name, strength with two)`.
const INTRODUCTIONS: [(&str, f32, f32); 34] = [
    ("my name is ", 0.25, 0.6),
    ("my full name is ", 0.7, 0.9),
    ("mein name ist ", 0.25, 0.6),
    ("ich heiße ", 0.25, 0.6),
    ("je m'appelle ", 0.25, 0.6),
    ("me llamo ", 0.25, 0.6),
    ("mi chiamo ", 0.25, 0.6),
    ("meu nome é ", 0.25, 0.6),
    ("name: ", 0.3, 0.8),
    ("full name: ", 0.7, 0.9),
    ("patient name: ", 0.9, 0.95),
    ("patient: ", 0.4, 0.85),
    ("patient ", 0.0, 0.75),
    ("customer ", 0.0, 0.7),
    ("customer: ", 0.4, 0.8),
    ("client ", 0.0, 0.6),
    ("client: ", 0.4, 0.8),
    ("employee ", 0.0, 0.7),
    ("employee: ", 0.4, 0.8),
    ("applicant ", 0.0, 0.6),
    ("candidate ", 0.0, 0.5),
    ("my colleague ", 0.2, 0.6),
    ("my coworker ", 0.2, 0.6),
    ("my boss ", 0.2, 0.5),
    ("my neighbour ", 0.1, 0.5),
    ("my neighbor ", 0.1, 0.5),
    ("my wife ", 0.15, 0.5),
    ("my husband ", 0.15, 0.5),
    ("my son ", 0.15, 0.5),
    ("my daughter ", 0.15, 0.5),
    ("mr. ", 0.1, 0.3),
    ("mrs. ", 0.15, 0.35),
    ("herr ", 0.15, 0.3),
    ("frau ", 0.15, 0.3),
];

fn names(text: &str, lower: &str, findings: &mut Vec<Finding>) {
    for (introduction, one, two) in INTRODUCTIONS {
        for (place, _) in lower.match_indices(introduction) {
            let bounded = !lower[..place].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
            let start = place + introduction.len();
            let (end, words) = capitalised(text, start);
            let strength = if words >= 2 { two } else { one };
            if bounded && words > 0 && strength > 0.0 {
                findings.push(Finding { kind: PrivateKind::Person, start, end, strength });
            }
        }
    }
}

/// The end of up to four capitalised words that start here, and how many they are.
fn capitalised(text: &str, start: usize) -> (usize, usize) {
    const NAME_WORDS_MAX: usize = 4;
    let (mut end, mut count) = (start, 0);
    for word in text[start..].split_inclusive(' ').take(NAME_WORDS_MAX) {
        let bare = word.trim_end_matches(|letter: char| !letter.is_alphabetic());
        let mut letters = bare.chars();
        let capital = letters.next().is_some_and(char::is_uppercase);
        let small = letters.clone().count() > 0
            && letters.all(|letter| letter.is_lowercase() || "-'’.".contains(letter));
        if !capital || !small {
            break;
        }
        count += 1;
        end = start + (word.as_ptr() as usize - text[start..].as_ptr() as usize) + bare.len();
        // A mark behind the word ends the name.
        if word[bare.len()..].starts_with([',', '.', ';', ':', '!', '?', ')', '\n']) && bare.len() > 2 {
            break;
        }
    }
    (end, count)
}

// === Postal addresses ===

const STREETS_AFTER: [&str; 26] = [
    " street",
    " st,",
    " st.",
    " avenue",
    " ave",
    " road",
    " rd",
    " lane",
    " ln",
    " drive",
    " boulevard",
    " blvd",
    " court",
    " ct,",
    " terrace",
    " crescent",
    " close,",
    " way,",
    " square,",
    "straße ",
    "strasse ",
    "str. ",
    "weg ",
    "gasse ",
    "straat ",
    "laan ",
];
const STREETS_BEFORE: [&str; 12] = [
    " rue ",
    " avenue de",
    " boulevard de",
    " chemin ",
    "calle ",
    "avenida ",
    "via ",
    "viale ",
    "rua ",
    "ulica ",
    "ul. ",
    "piazza ",
];

fn streets(text: &str, lower: &str, findings: &mut Vec<Finding>) {
    for kind in STREETS_AFTER {
        for (place, _) in lower.match_indices(kind) {
            let end = place + kind.trim_end().len();
            let number_after = kind.ends_with(' ') && starts_with_number(&lower[end..]);
            let found = if kind.ends_with(' ') {
                number_after.then(|| word_start(text, place)).filter(|start| starts_capital(&text[*start..]))
            } else {
                let whole = !lower[end..].starts_with(|letter: char| letter.is_alphabetic());
                number_before(text, place).filter(|_| whole)
            };
            if let Some(start) = found {
                findings.push(Finding { kind: PrivateKind::Address, start, end, strength: 0.8 });
            }
        }
    }
    for kind in STREETS_BEFORE {
        for (place, _) in lower.match_indices(kind) {
            let bounded = kind.starts_with(' ') || !lower[..place].ends_with(char::is_alphanumeric);
            let name = place + kind.len();
            let before = lower[..place].trim_end_matches([',', ' ']).ends_with(|c: char| c.is_ascii_digit());
            let (end, words) = capitalised(text, name);
            let after = starts_with_number(lower[end..].trim_start_matches([',', ' ']));
            if bounded && words > 0 && ((before && kind.starts_with(' ')) || after) {
                findings.push(Finding { kind: PrivateKind::Address, start: place, end, strength: 0.8 });
            }
        }
    }
    postcodes(text, findings);
}

fn starts_with_number(text: &str) -> bool {
    let text = text.trim_start();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (1..=4).contains(&digits) && !text[digits..].starts_with(['%', '.'])
}

fn starts_capital(text: &str) -> bool {
    text.starts_with(char::is_uppercase)
}

fn word_start(text: &str, place: usize) -> usize {
    text[..place].rfind(|letter: char| letter.is_whitespace()).map_or(0, |space| space + 1)
}

/// The house number before up to three capitalised words that end at `place`.
fn number_before(text: &str, place: usize) -> Option<usize> {
    const STREET_WORDS_MAX: usize = 3;
    let mut start = place;
    for _ in 0..=STREET_WORDS_MAX {
        let before = text[..start].trim_end();
        let word = word_start(text, before.len());
        let piece = &before[word..];
        if piece.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
            && piece.len() <= 6
            && start != place
        {
            let ordinal = piece.ends_with("th")
                || piece.ends_with("st")
                || piece.ends_with("nd")
                || piece.ends_with("rd");
            if !ordinal {
                return Some(word);
            }
        } else if !starts_capital(piece) {
            return None;
        }
        if word == 0 {
            return None;
        }
        start = word;
    }
    None
}

/// British postcodes (`SW1A 1AA`) and American ones behind a state (`CA 94043`).
fn postcodes(text: &str, findings: &mut Vec<Finding>) {
    let pieces: Vec<&str> = text.split([' ', '\n', ',']).collect();
    for pair in pieces.windows(2) {
        let (outward, inward) = (pair[0], pair[1].trim_end_matches(['.', ';', '?', '!', ')', '"']));
        if is_british(outward, inward) {
            let start = outward.as_ptr() as usize - text.as_ptr() as usize;
            let end = inward.as_ptr() as usize - text.as_ptr() as usize + inward.len();
            findings.push(Finding { kind: PrivateKind::Address, start, end, strength: 0.65 });
        }
    }
}

fn is_british(outward: &str, inward: &str) -> bool {
    let (outward, inward) = (outward.as_bytes(), inward.as_bytes());
    let letters = outward.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    (2..=4).contains(&outward.len())
        && (1..=2).contains(&letters)
        && outward.get(letters).is_some_and(u8::is_ascii_digit)
        && outward[letters..].iter().all(u8::is_ascii_alphanumeric)
        && inward.len() == 3
        && inward[0].is_ascii_digit()
        && inward[1..].iter().all(u8::is_ascii_uppercase)
}

// === Birth dates ===

/// `(words before a date, strength)`.
const BIRTHS: [(&str, f32); 20] = [
    ("date of birth", 0.9),
    ("birth date", 0.85),
    ("birthdate", 0.85),
    ("dob", 0.9),
    ("d.o.b", 0.9),
    ("my birthday is", 0.75),
    ("i was born on", 0.75),
    ("born on", 0.5),
    ("geburtsdatum", 0.9),
    ("geb. am", 0.9),
    ("geboren am", 0.55),
    ("né le", 0.55),
    ("née le", 0.55),
    ("date de naissance", 0.9),
    ("fecha de nacimiento", 0.9),
    ("data di nascita", 0.9),
    ("data de nascimento", 0.9),
    ("geboortedatum", 0.9),
    ("出生日期", 0.9),
    ("生年月日", 0.9),
];

fn birth_dates(text: &str, lower: &str, findings: &mut Vec<Finding>) {
    const BETWEEN_BYTES_MAX: usize = 24;
    for (words, strength) in BIRTHS {
        for (place, _) in lower.match_indices(words) {
            let bounded =
                !words.is_ascii() || !lower[..place].ends_with(|letter: char| letter.is_alphanumeric());
            let after = place + words.len();
            let window = crate::view::head(&text[after..], BETWEEN_BYTES_MAX);
            let Some(digit) = window.find(|letter: char| letter.is_ascii_digit()).filter(|_| bounded) else {
                continue;
            };
            let start = after + digit;
            let end = start
                + text[start..]
                    .find(|c: char| !c.is_alphanumeric() && !" ./-,".contains(c))
                    .unwrap_or(text.len() - start);
            let date = crate::view::head(&text[start..end], 20).trim_end();
            // A day and a year or two more numbers.
            let numbers = date.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).count();
            if numbers >= 2 || (numbers == 1 && date.len() >= 4) {
                findings.push(Finding {
                    kind: PrivateKind::BirthDate,
                    start,
                    end: start + date.len(),
                    strength,
                });
            }
        }
    }
}

// === Health ===

/// Phrases about somebody's health, and how private they are.
const HEALTH: [(&str, f32); 22] = [
    ("i was diagnosed with", 0.6),
    ("i have been diagnosed with", 0.6),
    ("i've been diagnosed with", 0.6),
    ("my diagnosis", 0.55),
    ("my medical history", 0.6),
    ("my prescription", 0.4),
    ("my antidepressant", 0.6),
    ("my therapist", 0.3),
    ("i am hiv", 0.7),
    ("i'm hiv", 0.7),
    ("i'm pregnant", 0.45),
    ("i am pregnant", 0.45),
    ("my blood test", 0.5),
    ("my lab results", 0.6),
    ("medical record number", 0.8),
    ("mrn:", 0.85),
    ("mrn ", 0.6),
    ("patient id", 0.7),
    ("insurance number", 0.6),
    ("patientin ", 0.4),
    ("bei mir wurde", 0.5),
    ("我被诊断", 0.6),
];

fn health(lower: &str, findings: &mut Vec<Finding>) {
    for (phrase, strength) in HEALTH {
        for (start, _) in lower.match_indices(phrase) {
            let bounded = !lower[..start].ends_with(|letter: char| letter.is_ascii_alphanumeric());
            if bounded {
                findings.push(Finding {
                    kind: PrivateKind::Health,
                    start,
                    end: start + phrase.len(),
                    strength,
                });
            }
        }
    }
}
