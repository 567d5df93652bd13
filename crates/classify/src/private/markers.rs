//! The words beside which private data stands, found in one pass.
//!
//! Owns the list of words and what each announces. Refuses to read what follows: that is the finders' business.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

/// What a word announces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Marker {
    /// A name follows: how sure it is with one word of it, and with two.
    Introduction(f32, f32),
    /// A street's kind after its name, as in English: the number stands before the name.
    StreetAfter,
    /// A street's kind at the end of its name, as in German: the number follows.
    StreetEnd,
    /// A street's kind before its name, as in French.
    StreetBefore,
    /// A birth date follows.
    Birth(f32),
    /// Somebody's health is spoken of.
    Health(f32),
    /// A secret is assigned.
    Secret,
    /// A bearer token follows.
    Bearer,
    /// A key in PEM form.
    Pem,
}

/// A word found: what it announces, and its byte range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marked {
    pub(super) marker: Marker,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// `(what, words separated by |)`.
const TABLE: &[(Marker, &str)] = &[
    (
        Marker::Introduction(0.25, 0.6),
        "my name is |mein name ist |ich heiße |je m'appelle |me llamo |mi chiamo |meu nome é ",
    ),
    (Marker::Introduction(0.7, 0.9), "my full name is |full name: "),
    (Marker::Introduction(0.9, 0.95), "patient name: "),
    (Marker::Introduction(0.3, 0.8), "name: "),
    (Marker::Introduction(0.4, 0.85), "patient: "),
    (Marker::Introduction(0.4, 0.8), "customer: |client: |employee: "),
    (Marker::Introduction(0.0, 0.75), "patient "),
    (Marker::Introduction(0.0, 0.7), "customer |employee "),
    (Marker::Introduction(0.0, 0.6), "client |applicant "),
    (Marker::Introduction(0.0, 0.5), "candidate "),
    (Marker::Introduction(0.2, 0.6), "my colleague |my coworker "),
    (
        Marker::Introduction(0.15, 0.5),
        "my boss |my neighbour |my neighbor |my wife |my husband |my son |my daughter ",
    ),
    (Marker::Introduction(0.15, 0.35), "mr. |mrs. |herr |frau "),
    (
        Marker::StreetAfter,
        " street| st,| st.| avenue| ave| road| rd| lane| ln| drive| boulevard| blvd| court| ct,| terrace| crescent| close,| way,| square,",
    ),
    (Marker::StreetEnd, "straße |strasse |str. |weg |gasse |straat |laan "),
    (
        Marker::StreetBefore,
        " rue | avenue de| boulevard de| chemin |calle |avenida |via |viale |rua |ulica |ul. |piazza ",
    ),
    (
        Marker::Birth(0.9),
        "date of birth|birth date|birthdate|dob|d.o.b|geburtsdatum|geb. am|date de naissance|fecha de nacimiento|data di nascita|\
        data de nascimento|geboortedatum|出生日期|生年月日",
    ),
    (Marker::Birth(0.75), "my birthday is|i was born on"),
    (Marker::Birth(0.55), "born on|geboren am|né le|née le"),
    (Marker::Health(0.85), "mrn:|medical record number"),
    (Marker::Health(0.7), "i am hiv|i'm hiv|patient id"),
    (
        Marker::Health(0.6),
        "i was diagnosed with|i have been diagnosed with|i've been diagnosed with|my diagnosis|my medical history|my antidepressant|\
        my lab results|insurance number|我被诊断",
    ),
    (Marker::Health(0.45), "i'm pregnant|i am pregnant|my blood test|my prescription|bei mir wurde"),
    (Marker::Health(0.3), "my therapist"),
    (
        Marker::Secret,
        "password|passwd|passphrase|pwd|secret|token|api_key|apikey|api-key|api key|access_key|access key|private_key|\
        passwort|kennwort|mot de passe|contraseña|senha|wachtwoord|hasło|密码|口令|パスワード",
    ),
    (Marker::Bearer, "bearer "),
    (Marker::Pem, "-----begin "),
];

struct Search {
    /// What each pattern announces.
    markers: Vec<Marker>,
    automaton: Option<AhoCorasick>,
}

/// Every marker in a text, as whole words on their left side, in order.
pub(super) fn find(text: &str) -> Vec<Marked> {
    static SEARCH: LazyLock<Search> = LazyLock::new(|| {
        let all = || TABLE.iter().flat_map(|(marker, words)| words.split('|').map(|word| (*marker, word)));
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(all().map(|(_, word)| word));
        // The patterns are constants, of a size that always builds.
        Search { markers: all().map(|(marker, _)| marker).collect(), automaton: automaton.ok() }
    });
    let Some(automaton) = &SEARCH.automaton else { return Vec::new() };
    automaton
        .find_overlapping_iter(text)
        .map(|found| Marked {
            marker: SEARCH.markers[found.pattern().as_usize()],
            start: found.start(),
            end: found.end(),
        })
        .filter(|marked| starts_word(text, *marked))
        .collect()
}

/// Whether a word starts where a marker does; streets that end a name, and secrets in `DB_PASSWORD`, need none.
fn starts_word(text: &str, marked: Marked) -> bool {
    let spaced = text[marked.start..].starts_with(' ');
    let inside = matches!(marked.marker, Marker::StreetEnd | Marker::Secret);
    spaced
        || inside
        || !text[..marked.start].ends_with(|letter: char| letter.is_alphabetic() && letter.is_ascii())
}
