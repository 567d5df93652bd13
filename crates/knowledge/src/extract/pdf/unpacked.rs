//! How much a PDF's streams unpack to, counted before anything keeps them: its reader has no bound of its own.

use flate2::{Decompress, FlushDecompress, Status};
use hayro_interpret::hayro_syntax::Pdf;
use hayro_interpret::hayro_syntax::object::{Array, Dict, Name, Object, Stream};

/// What all streams together may unpack to.
const UNPACKED_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// LZW can unpack to two thousand times its size, and is too old to be met in large streams of text.
const UNUSUAL_BYTES_MAX: usize = 256 * 1024;

const BUFFER_BYTES: usize = 64 * 1024;

/// Counts what every stream of the file unpacks to that deflate can read, encrypted ones left out.
///
/// # Errors
/// It is too much.
pub(super) fn check_bytes(bytes: &[u8]) -> Result<(), String> {
    let mut left = UNPACKED_BYTES_MAX;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut place = 0;
    while let Some(found) = find(&bytes[place..], b"stream") {
        place += found + b"stream".len();
        let skipped = match bytes.get(place..) {
            Some([b'\r', b'\n', ..]) => 2,
            Some([b'\n' | b'\r', ..]) => 1,
            _ => continue,
        };
        place += skipped;
        place += inflated(&bytes[place..], &mut buffer, &mut left)?;
    }
    Ok(())
}

/// Counts what the streams of an open file unpack to, decrypted where it was encrypted.
///
/// # Errors
/// It is too much, or streams are packed more than once.
pub(super) fn check_streams(pdf: &Pdf) -> Result<(), String> {
    let mut left = UNPACKED_BYTES_MAX;
    let mut buffer = vec![0; BUFFER_BYTES];
    for object in pdf.objects() {
        let Object::Stream(stream) = object else { continue };
        if !is_image(&stream) {
            check_stream(&stream, &mut buffer, &mut left)?;
        }
    }
    Ok(())
}

/// Images are never unpacked.
fn is_image(stream: &Stream<'_>) -> bool {
    stream.dict().get::<Name<'_>>(b"Subtype").is_some_and(|name| name.as_ref() == b"Image")
}

fn check_stream(stream: &Stream<'_>, buffer: &mut [u8], left: &mut u64) -> Result<(), String> {
    let filters = filters(stream.dict());
    let packs: Vec<usize> =
        filters.iter().enumerate().filter(|(_, filter)| unpacks(filter)).map(|(place, _)| place).collect();
    match packs.as_slice() {
        [] => Ok(()),
        [0] if is_deflate(&filters[0]) => inflated(&stream.raw_data(), buffer, left).map(|_| ()),
        // Behind another filter, or of another kind: bounded by what it could become at worst.
        [_] if stream.raw_data().len() <= UNUSUAL_BYTES_MAX => Ok(()),
        [_] => Err(format!(
            "has a stream of more than {UNUSUAL_BYTES_MAX} bytes that is packed in an unusual way"
        )),
        _ => Err(String::from("has a stream that is packed more than once")),
    }
}

/// The names of a stream's filters in the order in which they are undone.
fn filters(stream: &Dict<'_>) -> Vec<Vec<u8>> {
    let all = [b"Filter".as_slice(), b"F"].into_iter().flat_map(|key| {
        let one = stream.get::<Name<'_>>(key).into_iter().map(|name| name.as_ref().to_vec());
        let several = stream.get::<Array<'_>>(key);
        let several = several.iter().flat_map(|names| names.iter::<Name<'_>>());
        one.chain(several.map(|name| name.as_ref().to_vec())).collect::<Vec<_>>()
    });
    all.collect()
}

fn unpacks(filter: &[u8]) -> bool {
    is_deflate(filter) || [b"LZWDecode".as_slice(), b"LZW", b"RunLengthDecode", b"RL"].contains(&filter)
}

fn is_deflate(filter: &[u8]) -> bool {
    [b"FlateDecode".as_slice(), b"Fl"].contains(&filter)
}

/// Unpacks to nowhere, taking what comes out off `left`; the bytes that were read, 0 where this is no such stream.
fn inflated(bytes: &[u8], buffer: &mut [u8], left: &mut u64) -> Result<usize, String> {
    let is_zlib = matches!(bytes, [method, flags, ..]
        if method & 0x0f == 8 && (u16::from(*method) << 8 | u16::from(*flags)).is_multiple_of(31));
    let mut inflater = Decompress::new(is_zlib);
    loop {
        let (read, written) = (inflater.total_in(), inflater.total_out());
        let rest = bytes.get(usize::try_from(read).unwrap_or(usize::MAX)..).unwrap_or_default();
        let status = inflater.decompress(rest, buffer, FlushDecompress::None);
        *left = left
            .checked_sub(inflater.total_out() - written)
            .ok_or_else(|| format!("unpacks to more than {UNPACKED_BYTES_MAX} bytes"))?;
        let stands_still = inflater.total_in() == read && inflater.total_out() == written;
        if stands_still || !matches!(status, Ok(Status::Ok)) {
            let whole = matches!(status, Ok(Status::StreamEnd));
            return Ok(if whole { usize::try_from(inflater.total_in()).unwrap_or(0) } else { 0 });
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
