//! The check digits of identifiers: what tells a card or an identity number from any other number.
//!
//! Owns the arithmetic of each scheme, over digits or upper-case letters without separators. Refuses formats: where a
//! candidate stands in a text is the scanner's business.

/// Digits of an ASCII text, `None` where there is anything else.
fn digits(text: &str) -> Option<Vec<u32>> {
    text.chars().map(|letter| letter.to_digit(10)).collect()
}

/// Sum of digits times weights.
fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// ISO/IEC 7812: payment cards, Swedish and Canadian numbers.
pub(super) fn luhn(text: &str) -> bool {
    let Some(digits) = digits(text) else { return false };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| if place % 2 == 1 { digit * 2 / 10 + digit * 2 % 10 } else { *digit })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != digits[0])
}

/// A payment card: a known issuer's prefix, its length, and Luhn.
pub(super) fn card(text: &str) -> bool {
    let prefix = |length: usize| text.get(..length).and_then(|start| start.parse::<u32>().ok()).unwrap_or(0);
    let issuer = match text.len() {
        13 | 19 => prefix(1) == 4 || prefix(2) == 62,
        14 => matches!(prefix(3), 300..=305) || matches!(prefix(2), 36 | 38 | 39),
        15 => matches!(prefix(2), 34 | 37),
        16 => {
            prefix(1) == 4
                || matches!(prefix(2), 51..=55 | 62 | 65)
                || matches!(prefix(4), 2221..=2720 | 3528..=3589 | 6011)
                || matches!(prefix(3), 644..=649)
        }
        _ => false,
    };
    issuer && luhn(text)
}

/// ISO 13616: the country's length, and the number read with its head behind it leaves 1 modulo 97.
pub(super) fn iban(text: &str) -> bool {
    const LENGTHS: [(&str, usize); 44] = [
        ("AD", 24),
        ("AE", 23),
        ("AT", 20),
        ("BE", 16),
        ("BG", 22),
        ("BR", 29),
        ("CH", 21),
        ("CY", 28),
        ("CZ", 24),
        ("DE", 22),
        ("DK", 18),
        ("EE", 20),
        ("ES", 24),
        ("FI", 18),
        ("FR", 27),
        ("GB", 22),
        ("GI", 23),
        ("GR", 27),
        ("HR", 21),
        ("HU", 28),
        ("IE", 22),
        ("IL", 23),
        ("IS", 26),
        ("IT", 27),
        ("KW", 30),
        ("LI", 21),
        ("LT", 20),
        ("LU", 20),
        ("LV", 21),
        ("MC", 27),
        ("MT", 31),
        ("NL", 18),
        ("NO", 15),
        ("PL", 28),
        ("PT", 25),
        ("QA", 29),
        ("RO", 24),
        ("RS", 22),
        ("SA", 24),
        ("SE", 24),
        ("SI", 19),
        ("SK", 24),
        ("TR", 26),
        ("UA", 29),
    ];
    let Some(country) = text.get(..2) else { return false };
    if !LENGTHS.contains(&(country, text.len())) {
        return false;
    }
    let rest = text[4..].chars().chain(text[..4].chars()).try_fold(0_u32, |rest, letter| {
        let value = letter.to_digit(36)?;
        Some(if value < 10 { (rest * 10 + value) % 97 } else { (rest * 100 + value) % 97 })
    });
    rest == Some(1)
}

/// A United States social security number as `AAA-GG-SSSS`'s nine digits: no area 000, 666 or 9xx, no zero parts.
pub(super) fn us_ssn(text: &str) -> bool {
    let part = |range: std::ops::Range<usize>| text.get(range).and_then(|part| part.parse::<u32>().ok());
    let (Some(area), Some(group), Some(serial)) = (part(0..3), part(3..5), part(5..9)) else { return false };
    // 078-05-1120 and 123-45-6789 are printed in every manual; the second stands in many real-looking examples.
    text.len() == 9
        && area != 0
        && area != 666
        && area < 900
        && group != 0
        && serial != 0
        && text != "078051120"
}

/// A United Kingdom national insurance number: two letters that are issued, six digits, A to D.
pub(super) fn uk_nino(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 9
        && bytes[..2].iter().all(|byte| byte.is_ascii_uppercase() && !b"DFIQUV".contains(byte))
        && bytes[1] != b'O'
        && !matches!(&bytes[..2], b"BG" | b"GB" | b"NK" | b"KN" | b"TN" | b"NT" | b"ZZ")
        && bytes[2..8].iter().all(u8::is_ascii_digit)
        && (b'A'..=b'D').contains(&bytes[8])
}

/// A United Kingdom NHS number: weights 10 to 2, modulo 11.
pub(super) fn uk_nhs(text: &str) -> bool {
    let Some(digits) = digits(text).filter(|digits| digits.len() == 10) else { return false };
    let check = 11 - weighted(&digits[..9], &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    check % 11 == digits[9] && check != 10
}

/// A French NIR: thirteen digits and 97 minus their remainder; a sex and a month that exist.
pub(super) fn fr_nir(text: &str) -> bool {
    let (Some(number), Some(key)) = (
        text.get(..13).and_then(|part| part.parse::<u64>().ok()),
        text.get(13..).and_then(|part| part.parse::<u64>().ok()),
    ) else {
        return false;
    };
    text.len() == 15 && matches!(text.as_bytes()[0], b'1' | b'2') && key == 97 - number % 97
}

/// A Spanish DNI or NIE: eight digits, or X, Y, Z and seven, and the letter of their remainder modulo 23.
pub(super) fn es_dni(text: &str) -> bool {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    if text.len() != 9 || !text.is_ascii() {
        return false;
    }
    let body = match text.as_bytes()[0] {
        b'X' => format!("0{}", &text[1..8]),
        b'Y' => format!("1{}", &text[1..8]),
        b'Z' => format!("2{}", &text[1..8]),
        _ => text[..8].to_owned(),
    };
    let letter = text.as_bytes()[8];
    body.parse::<usize>().is_ok_and(|number| LETTERS[number % 23] == letter)
}

/// An Italian codice fiscale: its sixteenth letter over odd and even places.
pub(super) fn it_codice_fiscale(text: &str) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let bytes = text.as_bytes();
    let shape = b"LLLLLLDDLDDLDDDL";
    let fits = |(byte, kind): (&u8, &u8)| {
        if *kind == b'L' { byte.is_ascii_uppercase() } else { byte.is_ascii_digit() }
    };
    if bytes.len() != 16 || !bytes.iter().zip(shape).all(fits) {
        return false;
    }
    let value = |byte: u8| u32::from(if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' });
    let sum: u32 = bytes[..15]
        .iter()
        .enumerate()
        .map(|(place, byte)| if place % 2 == 0 { ODD[value(*byte) as usize] } else { value(*byte) })
        .sum();
    sum % 26 == value(bytes[15])
}

/// A German tax number (Steuer-ID): ISO 7064, modulo 11, 10.
pub(super) fn de_steuer_id(text: &str) -> bool {
    let Some(digits) = digits(text).filter(|digits| digits.len() == 11 && digits[0] != 0) else {
        return false;
    };
    let product = digits[..10].iter().fold(10, |product, digit| {
        let sum = (digit + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == digits[10]
}

/// A Dutch BSN: weights 9 to 2 and minus 1, modulo 11.
pub(super) fn nl_bsn(text: &str) -> bool {
    let Some(digits) = digits(text).filter(|digits| digits.len() == 9) else { return false };
    let sum = weighted(&digits[..8], &[9, 8, 7, 6, 5, 4, 3, 2]);
    sum > 0 && sum % 11 == digits[8] % 11
}

/// A Polish PESEL: weights 1, 3, 7, 9, and a month that exists in its century.
pub(super) fn pl_pesel(text: &str) -> bool {
    let Some(digits) = digits(text).filter(|digits| digits.len() == 11) else { return false };
    let month = (digits[2] * 10 + digits[3]) % 20;
    let day = digits[4] * 10 + digits[5];
    let sum = weighted(&digits[..10], &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]);
    (1..=12).contains(&month) && (1..=31).contains(&day) && (10 - sum % 10) % 10 == digits[10]
}

/// A Brazilian CPF: two check digits modulo 11.
pub(super) fn br_cpf(text: &str) -> bool {
    let Some(digits) = digits(text).filter(|digits| digits.len() == 11) else { return false };
    let check = |count: usize| {
        let sum: u32 = (0..count).map(|place| digits[place] * (count as u32 + 1 - place as u32)).sum();
        sum * 10 % 11 % 10 == digits[count]
    };
    digits.iter().any(|digit| *digit != digits[0]) && check(9) && check(10)
}

/// A Chinese identity number: a birth date that exists, and ISO 7064, modulo 11, 2.
pub(super) fn cn_identity(text: &str) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let Some(digits) = text.get(..17).and_then(digits) else { return false };
    let year = digits[6] * 1000 + digits[7] * 100 + digits[8] * 10 + digits[9];
    let (month, day) = (digits[10] * 10 + digits[11], digits[12] * 10 + digits[13]);
    let check = b"10X98765432"[(weighted(&digits, &WEIGHTS) % 11) as usize];
    text.len() == 18
        && (1900..=2100).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && text.as_bytes()[17] == check
}

/// An Indian Aadhaar: Verhoeff's scheme over the dihedral group of order ten.
pub(super) fn in_aadhaar(text: &str) -> bool {
    let Some(digits) = digits(text).filter(|digits| digits.len() == 12 && digits[0] >= 2) else {
        return false;
    };
    let check = digits
        .iter()
        .rev()
        .enumerate()
        .fold(0, |check, (place, digit)| dihedral(check, verhoeff(place, *digit)));
    check == 0
}

/// The product in the dihedral group of order ten: rotations 0 to 4, reflections 5 to 9.
const fn dihedral(a: u32, b: u32) -> u32 {
    match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a - 5 + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    }
}

/// Verhoeff's permutation, applied as often as the digit's place says.
fn verhoeff(place: usize, digit: u32) -> u32 {
    const ONCE: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    (0..place % 8).fold(digit, |digit, _| ONCE[digit as usize])
}

/// A Finnish identity code: `DDMMYYcNNNx`, the last by the remainder of the digits modulo 31.
pub(super) fn fi_hetu(text: &str) -> bool {
    const LETTERS: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    if text.len() != 11 || !text.is_ascii() || !b"+-ABCDEFYXWVU".contains(&text.as_bytes()[6]) {
        return false;
    }
    let number = format!("{}{}", &text[..6], &text[7..10]).parse::<usize>();
    let date = text[..2].parse::<u32>().is_ok_and(|day| (1..=31).contains(&day))
        && text[2..4].parse::<u32>().is_ok_and(|month| (1..=12).contains(&month));
    date && number.is_ok_and(|number| LETTERS[number % 31] == text.as_bytes()[10])
}

/// A Swedish personnummer: a date and Luhn over its last ten digits.
pub(super) fn se_personnummer(text: &str) -> bool {
    let Some(ten) = text.len().checked_sub(10).and_then(|start| text.get(start..)) else { return false };
    let month = ten.get(2..4).and_then(|part| part.parse::<u32>().ok()).unwrap_or(0);
    let day = ten.get(4..6).and_then(|part| part.parse::<u32>().ok()).unwrap_or(0);
    (1..=12).contains(&month) && ((1..=31).contains(&day) || (61..=91).contains(&day)) && luhn(ten)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::private) fn check(test: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(test(text), "{text} is good");
        }
        for text in bad {
            assert!(!test(text), "{text} is bad");
        }
    }

    #[test]
    fn published_examples_pass_and_their_neighbours_do_not() {
        check(
            card,
            &["4111111111111111", "378282246310005", "5555555555554444"],
            &["4111111111111112", "1234567812345670", ""],
        );
        check(
            iban,
            &["DE89370400440532013000", "GB29NWBK60161331926819", "NL91ABNA0417164300"],
            &["DE89370400440532013001", "XX00", "DE"],
        );
        check(
            us_ssn,
            &["219099999", "123456789"],
            &["000123456", "666123456", "900123456", "123006789", "078051120"],
        );
        check(uk_nino, &["AB123456C"], &["QQ123456C", "AB123456E", "GB123456A"]);
        check(uk_nhs, &["9434765919"], &["9434765918"]);
        check(fr_nir, &["255081416802538"], &["255081416802539"]);
        check(es_dni, &["12345678Z", "X1234567L"], &["12345678A", "ÄÄÄÄZ"]);
        check(it_codice_fiscale, &["RSSMRA85T10A562S"], &["RSSMRA85T10A562T"]);
        check(de_steuer_id, &["86095742719"], &["86095742718"]);
        check(nl_bsn, &["111222333"], &["111222334", "000000000"]);
        check(pl_pesel, &["44051401359"], &["44051401358"]);
        check(br_cpf, &["52998224725"], &["52998224724", "11111111111"]);
        check(cn_identity, &["11010519491231002X"], &["110105194912310021"]);
        check(in_aadhaar, &["234123412346"], &["234123412347"]);
        check(fi_hetu, &["131052-308T"], &["131052-308U"]);
        check(se_personnummer, &["8112189876", "198112189876"], &["8112189875"]);
    }

    proptest! {
        /// Luhn sees every change of one digit.
        #[test]
        fn luhn_sees_one_wrong_digit(body in "[0-9]{8,18}", place in 0_usize..8, add in 1_u32..10) {
            let good = (0..10).map(|last| format!("{body}{last}")).find(|text| luhn(text));
            prop_assume!(good.is_some());
            let mut bytes = good.unwrap().into_bytes();
            bytes[place] = b'0' + ((u32::from(bytes[place] - b'0') + add) % 10) as u8;
            prop_assert!(!luhn(std::str::from_utf8(&bytes).unwrap()));
        }

        /// No text makes a scheme panic.
        #[test]
        fn any_text_is_answered(text in ".{0,24}") {
            for test in [luhn, card, iban, us_ssn, uk_nino, uk_nhs, fr_nir, es_dni, it_codice_fiscale, de_steuer_id,
                nl_bsn, pl_pesel, br_cpf, cn_identity, in_aadhaar, fi_hetu, se_personnummer] {
                test(&text);
            }
        }
    }
}
