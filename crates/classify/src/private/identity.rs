//! Identity numbers of states: social security, tax, registers, passports, licences.
//!
//! Owns which number belongs to which register by its form, its check digits and the words beside it. Refuses bare
//! numbers: without a form or a word that says so, a number is nobody's.

use super::checksums as sums;
use super::context_has;
use super::registers as more;

/// Words beside a number that is then somebody's, with or without a mistyped digit.
const WORDS: &[&str] = &[
    "ssn",
    "social security",
    "social-security",
    "national insurance",
    "nino",
    "ni number",
    "national id",
    "identity card",
    "id card",
    "id number",
    "id no",
    "passport",
    "driver's licen",
    "drivers licen",
    "driving licen",
    "license no",
    "licence no",
    "tax id",
    "tin:",
    "itin",
    "tfn",
    "medicare",
    "nhs n",
    "social insurance",
    "my sin",
    "sin:",
    "sin number",
    "bsn",
    "sofi",
    "burgerservice",
    "pesel",
    "personnummer",
    "fødselsnummer",
    "cpr-n",
    "cpr n",
    "henkilötunnus",
    "cpf",
    "curp",
    "rfc:",
    "aadhaar",
    "aadhar",
    "uidai",
    "pan card",
    "pan:",
    "pan no",
    "pan number",
    "voter id",
    "codice fiscale",
    "dni",
    "nie:",
    "nie ",
    "documento de identidad",
    "cédula",
    "rut ",
    "run ",
    "cuil",
    "cuit",
    "steuer-id",
    "steuer id",
    "steueridentifikationsnummer",
    "sozialversicherungsnummer",
    "svnr",
    "ausweisnummer",
    "personalausweis",
    "reisepass",
    "führerschein",
    "numéro de sécu",
    "sécurité sociale",
    "securite sociale",
    "passeport",
    "registre national",
    "rijksregister",
    "carte d'identité",
    "pasaporte",
    "passaporto",
    "passaporte",
    "carta d'identità",
    "paspoort",
    "paszport",
    "dowód osobisty",
    "ahv",
    "avs",
    "kimlik",
    "cnp",
    "oib",
    "egn",
    "егн",
    "jmbg",
    "rodné číslo",
    "αφμ",
    "αμκα",
    "снилс",
    "инн",
    "паспорт",
    "身份证",
    "护照",
    "護照",
    "マイナンバー",
    "個人番号",
    "パスポート",
    "주민등록번호",
    "여권",
    "nric",
    "hkid",
    "ktp",
    "nik ",
    "cccd",
    "cmnd",
    "رقم الهوية",
    "جواز",
    "तहसील",
    "आधार",
    "my number",
];

/// How sure it is that a run of digits is somebody's identity number.
pub(super) fn of_digits(text: &str, start: usize, end: usize, run: &str, digits: &str) -> Option<f32> {
    const CHECKED: f32 = 0.95;
    const SAID: f32 = 0.86;
    if by_form(text, end, run, digits) {
        return Some(CHECKED);
    }
    let near = |words: &[&str]| context_has(text, start, end, words);
    if !(6..=18).contains(&digits.len()) || !near(WORDS) {
        return None;
    }
    // A number that its register's arithmetic knows is sure, another may be mistyped and is somebody's still.
    Some(if is_known(digits) { CHECKED } else { SAID })
}

/// Numbers whose way of being written tells them from others, with right check digits.
fn by_form(text: &str, end: usize, run: &str, digits: &str) -> bool {
    let form = |form: &str| has_form(run, form);
    match digits.len() {
        8 | 9 if form("dd.ddd.ddd-d") || form("d.ddd.ddd-d") => more::cl_rut(digits),
        9 => form("ddd-dd-dddd") && sums::us_ssn(digits),
        10 => {
            (form("dddddd-dddd") && sums::se_personnummer(digits))
                || (form("dddddd/dddd") && more::cz_rodne(digits))
        }
        11 => {
            (form("ddd.ddd.ddd-dd") && sums::br_cpf(digits))
                || (form("dd.dd.dd-ddd.dd") && more::be_register(digits))
        }
        12 => {
            (form("dddd dddd dddd") && sums::in_aadhaar(digits))
                || (form("dddddddd-dddd") && sums::se_personnummer(digits))
        }
        13 => {
            (form("ddd.dddd.dddd.dd") && more::ch_ahv(digits))
                || (form("dddddd-ddddddd") && more::kr_rrn(digits))
        }
        15 => form("d dd dd dd ddd ddd dd") && sums::fr_nir(digits),
        17 | 18 => {
            let whole = format!("{digits}{}", text[end..].chars().next().unwrap_or(' ').to_ascii_uppercase());
            sums::cn_identity(digits) || sums::cn_identity(&whole)
        }
        _ => false,
    }
}

/// Whether some register's check digits are right.
fn is_known(digits: &str) -> bool {
    const TESTS: [fn(&str) -> bool; 15] = [
        sums::us_ssn,
        sums::nl_bsn,
        sums::uk_nhs,
        sums::se_personnummer,
        sums::pl_pesel,
        sums::de_steuer_id,
        sums::br_cpf,
        sums::in_aadhaar,
        sums::fr_nir,
        more::ch_ahv,
        more::be_register,
        more::tr_kimlik,
        more::no_fodselsnummer,
        more::ro_cnp,
        more::au_tfn,
    ];
    TESTS.iter().any(|test| test(digits)) || more::za_identity(digits)
}

/// How sure it is that a word of letters and digits is somebody's identity number; `text[start..end]` is the word.
pub(super) fn of_code(text: &str, start: usize, end: usize) -> Option<f32> {
    let code = text[start..end].to_ascii_uppercase();
    let plain: String = code.chars().filter(|letter| *letter != '-').collect();
    let checked = sums::uk_nino(&plain)
        || (plain.ends_with(|letter: char| letter.is_ascii_alphabetic()) && sums::es_dni(&plain))
        || sums::it_codice_fiscale(&plain)
        || sums::fi_hetu(&code)
        || more::sg_nric(&plain)
        || (code.contains('-') && more::cl_rut(&plain))
        || mx_curp(&plain);
    if checked {
        return Some(0.96);
    }
    let digits = plain.bytes().filter(u8::is_ascii_digit).count();
    let said = digits >= 4 && (7..=18).contains(&plain.len()) && context_has(text, start, end, WORDS);
    said.then_some(0.85)
}

/// A Mexican CURP: four letters, a date, a sex, a state, three consonants and two more.
fn mx_curp(code: &str) -> bool {
    let shape = b"LLLLDDDDDDLLLLLL";
    let fits = |(byte, kind): (u8, &u8)| {
        if *kind == b'L' { byte.is_ascii_uppercase() } else { byte.is_ascii_digit() }
    };
    code.len() == 18
        && code.bytes().zip(shape).all(fits)
        && matches!(code.as_bytes()[10], b'H' | b'M' | b'X')
        && code.as_bytes()[17].is_ascii_digit()
}

/// Whether a run is written as `form`, with `d` for a digit.
pub(super) fn has_form(run: &str, form: &str) -> bool {
    run.len() == form.len()
        && run
            .bytes()
            .zip(form.bytes())
            .all(|(byte, want)| if want == b'd' { byte.is_ascii_digit() } else { byte == want })
}
