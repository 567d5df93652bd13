//! Bytes into text: UTF-8, UTF-16 with a mark, what the document says that it is, or what it looks like.
//!
//! Owns the refusal of binary files. The tables of legacy encodings are encoding_rs's and the guess is chardetng's, both as
//! browsers do it.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::Encoding;

/// Where a page or an XML file says its encoding: HTML asks for the first 1,024 bytes.
const DECLARATION_BYTES: usize = 1_024;

/// One control character in so many bytes is a stray form feed; more is no text.
const BYTES_PER_CONTROL: usize = 100;

/// Decodes a file. `declared` finds the name of an encoding in the first bytes; it is asked where there is no mark and the
/// bytes are not UTF-8.
///
/// # Errors
/// The file is binary, or not text in its encoding.
pub(crate) fn decode(bytes: Vec<u8>, declared: impl Fn(&[u8]) -> Option<String>) -> Result<String, String> {
    if let Some((encoding, mark)) = Encoding::for_bom(&bytes) {
        return decoded(encoding, &bytes[mark..]);
    }
    if bytes.contains(&0) {
        return Err(String::from("is binary: it has zero bytes"));
    }
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return text_only(text),
        Err(error) => error.into_bytes(),
    };
    let head = &bytes[..bytes.len().min(DECLARATION_BYTES)];
    let declared = declared(head).and_then(|name| Encoding::for_label(name.trim().as_bytes()));
    if let Some(encoding) = declared
        && encoding != encoding_rs::UTF_8
    {
        return decoded(encoding, &bytes);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(&bytes, true);
    decoded(detector.guess(None, Utf8Detection::Deny), &bytes)
}

fn decoded(encoding: &'static Encoding, bytes: &[u8]) -> Result<String, String> {
    let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
    if had_errors {
        return Err(format!("is not UTF-8, and not text in {} either", encoding.name()));
    }
    text_only(text.into_owned())
}

/// Refuses what has more control characters than any text.
fn text_only(text: String) -> Result<String, String> {
    let is_odd = |c: &char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}' | '\u{1b}');
    let controls = text.chars().filter(is_odd).count();
    if controls > 1 + text.len() / BYTES_PER_CONTROL {
        return Err(String::from("is binary: it is full of control characters"));
    }
    Ok(text)
}

/// A line of a JSON Lines file, which is UTF-8 by its standard.
///
/// # Errors
/// It is not.
pub(crate) fn utf8(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.contains(&0) {
        return Err(String::from("is binary: it has zero bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| String::from("is not UTF-8"))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// What stands after `charset=` in a page's first tags.
pub(crate) fn declared_in_html(head: &[u8]) -> Option<String> {
    named_after(head, "charset=")
}

/// What stands after `encoding=` in an XML declaration.
pub(crate) fn declared_in_xml(head: &[u8]) -> Option<String> {
    head.starts_with(b"<?xml").then(|| named_after(head, "encoding=")).flatten()
}

fn named_after(head: &[u8], key: &str) -> Option<String> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = head[head.find(key)? + key.len()..].trim_start_matches(['"', '\'', ' ']);
    let end = value.find(|c: char| !(c.is_ascii_alphanumeric() || "-_:.".contains(c))).unwrap_or(value.len());
    Some(value[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Result<&str, &str>) {
        match (decode(bytes.to_vec(), declared_in_html), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn text_is_decoded_and_binary_is_refused() {
        check("naïve".as_bytes(), Ok("naïve"));
        check(b"\xef\xbb\xbfmarked", Ok("marked"));
        check(b"\xff\xfeh\0i\0", Ok("hi"));
        check(b"\xfe\xff\0h\0i", Ok("hi"));
        check(b"caf\xe9 cr\xe8me", Ok("café crème"));
        check(
            b"<meta charset='windows-1251'>\xcf\xf0\xe8\xe2\xe5\xf2",
            Ok("<meta charset='windows-1251'>Привет"),
        );
        let japanese = encoding_rs::SHIFT_JIS.encode("これは日本語の文章です。漢字も書きます。").0;
        check(&japanese, Ok("これは日本語の文章です。漢字も書きます。"));
        check(b"<meta charset=euc-jp>\xff\xff", Err("not text in EUC-JP"));
        check(b"a\0b", Err("zero bytes"));
        check(b"\x01\x02\x03\x04\x05", Err("control"));
        check(b"\xff\xfe\x00", Err("UTF-16LE"));
        check(b"", Ok(""));
    }
}
