//! The check digits of more national registers.
//!
//! Owns the arithmetic of each, over digits or upper-case letters without separators. Refuses formats, as `checksums` does.

use super::checksums::luhn;

fn digits(text: &str, length: usize) -> Option<Vec<u32>> {
    let digits: Option<Vec<u32>> = text.chars().map(|letter| letter.to_digit(10)).collect();
    digits.filter(|digits| digits.len() == length)
}

fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// Whether a month and a day exist.
fn is_day(month: u32, day: u32) -> bool {
    (1..=12).contains(&month) && (1..=31).contains(&day)
}

/// A Swiss AHV number: 756 and an EAN-13 check digit.
pub(super) fn ch_ahv(text: &str) -> bool {
    let Some(digits) = digits(text, 13) else { return false };
    let sum = weighted(&digits[..12], &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3]);
    text.starts_with("756") && (10 - sum % 10) % 10 == digits[12]
}

/// A Belgian national register number: nine digits, a 2 before them from 2000 on, and 97 minus their remainder.
pub(super) fn be_register(text: &str) -> bool {
    if digits(text, 11).is_none() {
        return false;
    }
    let (Ok(body), Ok(key)) = (text[..9].parse::<u64>(), text[9..].parse::<u64>()) else { return false };
    key == 97 - body % 97 || key == 97 - (2_000_000_000 + body) % 97
}

/// A Turkish identity number: its tenth and eleventh digits.
pub(super) fn tr_kimlik(text: &str) -> bool {
    let Some(digits) = digits(text, 11).filter(|digits| digits[0] != 0) else { return false };
    let odd: u32 = digits[..9].iter().step_by(2).sum();
    let even: u32 = digits[1..8].iter().step_by(2).sum();
    // Ten times the largest even sum keeps the difference above zero.
    (odd * 7 + 40 - even) % 10 == digits[9] && digits[..10].iter().sum::<u32>() % 10 == digits[10]
}

/// A Norwegian birth number: two check digits modulo 11.
pub(super) fn no_fodselsnummer(text: &str) -> bool {
    let Some(digits) = digits(text, 11) else { return false };
    let check = |sum: u32| (11 - sum % 11) % 11;
    check(weighted(&digits[..9], &[3, 7, 6, 1, 8, 9, 4, 5, 2])) == digits[9]
        && check(weighted(&digits[..10], &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2])) == digits[10]
}

/// A Romanian CNP: a sex, a date and a sum modulo 11.
pub(super) fn ro_cnp(text: &str) -> bool {
    let Some(digits) = digits(text, 13) else { return false };
    let rest = weighted(&digits[..12], &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    let day = is_day(digits[3] * 10 + digits[4], digits[5] * 10 + digits[6]);
    digits[0] != 0 && day && (if rest == 10 { 1 } else { rest }) == digits[12]
}

/// A Korean resident registration number: a date, a sex and, for older ones, a sum modulo 11.
pub(super) fn kr_rrn(text: &str) -> bool {
    let Some(digits) = digits(text, 13) else { return false };
    is_day(digits[2] * 10 + digits[3], digits[4] * 10 + digits[5]) && (1..=8).contains(&digits[6])
}

/// A South African identity number: a date and Luhn.
pub(super) fn za_identity(text: &str) -> bool {
    let Some(digits) = digits(text, 13) else { return false };
    is_day(digits[2] * 10 + digits[3], digits[4] * 10 + digits[5]) && digits[10] <= 1 && luhn(text)
}

/// A Singaporean NRIC or FIN: a letter, seven digits, a letter by their sum modulo 11.
pub(super) fn sg_nric(text: &str) -> bool {
    let (Some(first), Some(last)) = (text.chars().next(), text.chars().last()) else { return false };
    let Some(digits) = text.get(1..8).and_then(|body| digits(body, 7)).filter(|_| text.len() == 9) else {
        return false;
    };
    let later = if matches!(first, 'T' | 'G') { 4 } else { 0 };
    let letters: &[u8; 11] = match first {
        'S' | 'T' => b"JZIHGFEDCBA",
        'F' | 'G' => b"XWUTRQPNMLK",
        _ => return false,
    };
    let place = (weighted(&digits, &[2, 7, 6, 5, 4, 3, 2]) + later) % 11;
    letters.get(place as usize).is_some_and(|letter| char::from(*letter) == last)
}

/// A Chilean RUT: digits and their sum with weights 2 to 7 from the right, modulo 11; `K` is ten.
pub(super) fn cl_rut(text: &str) -> bool {
    let Some((body, last)) = text.len().checked_sub(1).and_then(|end| text.split_at_checked(end)) else {
        return false;
    };
    let Some(digits) = digits(body, body.len()).filter(|digits| (7..=8).contains(&digits.len())) else {
        return false;
    };
    let sum: u32 =
        digits.iter().rev().zip([2, 3, 4, 5, 6, 7, 2, 3]).map(|(digit, weight)| digit * weight).sum();
    match 11 - sum % 11 {
        11 => last == "0",
        10 => last.eq_ignore_ascii_case("k"),
        check => last.parse() == Ok(check),
    }
}

/// An Australian tax file number: nine weights, modulo 11.
pub(super) fn au_tfn(text: &str) -> bool {
    digits(text, 9).is_some_and(|digits| {
        let sum = weighted(&digits, &[1, 4, 3, 7, 5, 8, 6, 9, 10]);
        sum > 0 && sum.is_multiple_of(11)
    })
}

/// A Czech or Slovak birth number: a date with 50 or 20 added for some, divisible by 11.
pub(super) fn cz_rodne(text: &str) -> bool {
    let Some(digits) = digits(text, 10) else { return false };
    let month = (digits[2] * 10 + digits[3]) % 50 % 20;
    let whole = digits.iter().fold(0, |rest, digit| (rest * 10 + digit) % 11);
    is_day(month, digits[4] * 10 + digits[5]) && whole == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private::checksums::tests::check;
    use proptest::prelude::*;

    #[test]
    fn good_numbers_pass_and_their_neighbours_do_not() {
        check(ch_ahv, &["7569217076985"], &["7569217076984", "1234567890128"]);
        check(be_register, &["85073003328"], &["85073003329", "x"]);
        check(tr_kimlik, &["10000000146"], &["10000000147", "00000000000"]);
        check(no_fodselsnummer, &["01010750160"], &["01010750161"]);
        check(ro_cnp, &["1800101221144"], &["1800101221145", "1801301221144"]);
        check(kr_rrn, &["8802141045235"], &["8813141045235"]);
        check(za_identity, &["8001015009087"], &["8001015009086"]);
        check(sg_nric, &["S1234567D"], &["S1234567A", "A1234567D", ""]);
        check(cl_rut, &["123456785"], &["123456784", ""]);
        check(au_tfn, &["123456782"], &["123456783"]);
        check(cz_rodne, &["7103192745"], &["7103192746"]);
    }

    proptest! {
        /// No text makes a scheme panic.
        #[test]
        fn any_text_is_answered(text in ".{0,16}") {
            for test in [ch_ahv, be_register, tr_kimlik, no_fodselsnummer, ro_cnp, kr_rrn, za_identity, sg_nric, cl_rut,
                au_tfn, cz_rodne] {
                test(&text);
            }
        }
    }
}
