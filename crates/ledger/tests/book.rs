//! The book on disk: what was acknowledged is there after any crash, and damage is told, never passed over.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its scene should fail")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use api::Money;
use ledger::{Book, Options, Record, read};
use proptest::prelude::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn record(n: u64) -> Record {
    Record {
        id: format!("r{n}"),
        at_ms: 1_000 + n,
        tenant: "t".to_owned(),
        cost: Money::from_nanos(1),
        status: 200,
        ..Record::default()
    }
}

fn write(dir: &Path, numbers: impl IntoIterator<Item = u64>) -> ledger::Recovered {
    let (book, recovered) = Book::open(dir).unwrap();
    for n in numbers {
        book.append(record(n)).unwrap();
    }
    book.flush(PATIENCE).unwrap();
    recovered
}

/// The ids in the book, damage as `!OFFSET`.
fn contents(dir: &Path) -> Vec<String> {
    let told = read(dir, None).unwrap().map(|item| match item {
        Ok(record) => record.id,
        Err(damage) => format!("!{}", damage.offset),
    });
    told.collect()
}

fn ids(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|n| format!("r{n}")).collect()
}

#[test]
fn what_is_flushed_can_be_read_while_the_book_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let (book, recovered) = Book::open(dir.path()).unwrap();
    assert_eq!(recovered, ledger::Recovered::default());
    book.flush(PATIENCE).unwrap();
    for n in 0..5 {
        book.append(record(n)).unwrap();
    }
    book.flush(PATIENCE).unwrap();
    assert_eq!(contents(dir.path()), ids(0..5));
    let counts = book.counts();
    assert_eq!((counts.accepted, counts.committed, counts.refused, counts.lost), (5, 5, 0, 0));
    book.append(record(5)).unwrap();
    drop(book);
    assert_eq!(contents(dir.path()), ids(0..6), "closing writes what is waiting");
}

#[test]
fn only_one_process_keeps_the_book() {
    let dir = tempfile::tempdir().unwrap();
    let (book, _) = Book::open(dir.path()).unwrap();
    assert_eq!(Book::open(dir.path()).unwrap_err().code, "book_in_use");
    drop(book);
    assert!(Book::open(dir.path()).is_ok());
}

#[test]
fn there_is_a_sentence_for_every_folder_that_cannot_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    assert_eq!(Book::open(&file).unwrap_err().code, "book_unusable");
    let missing = read(&dir.path().join("none"), None).unwrap_err();
    assert_eq!(missing.code, "book_unreadable");
    assert!(missing.message.contains("no book yet"));
}

#[test]
fn segments_follow_each_other_and_old_ones_can_be_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes_max: 1_000, ..Options::default() };
    let (book, _) = Book::open_with(dir.path(), options).unwrap();
    for n in 0..20 {
        book.append(record(n)).unwrap();
        book.flush(PATIENCE).unwrap();
    }
    let segments = fs::read_dir(dir.path()).unwrap().count() - 1;
    assert!(segments > 3, "{segments} segments");
    assert_eq!(contents(dir.path()), ids(0..20));
    // All of these records are older than any segment, so the newest one is still looked through.
    assert_eq!(read(dir.path(), Some(1_015)).unwrap().count(), 5);
    assert_eq!(read(dir.path(), Some(u64::MAX)).unwrap().count(), 0);
}

#[test]
fn a_full_queue_refuses_and_counts() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { queue_records_max: 0, ..Options::default() };
    let (book, _) = Book::open_with(dir.path(), options).unwrap();
    assert_eq!(book.append(record(0)).unwrap_err().code, "book_full");
    assert_eq!(book.counts().refused, 1);
}

#[test]
fn a_failing_disk_is_told_and_the_records_are_written_when_it_heals() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("book");
    let options = Options { segment_bytes_max: 1, ..Options::default() };
    let (book, _) = Book::open_with(&state, options).unwrap();
    book.append(record(0)).unwrap();
    book.flush(PATIENCE).unwrap();
    // Every record begins a segment here, so an obstacle under the next name fails the next write.
    let obstacle = state.join("book-2.log");
    fs::create_dir(&obstacle).unwrap();
    book.append(record(1)).unwrap();
    assert!(book.flush(PATIENCE).unwrap_err().detail.unwrap().contains("could not be written"));
    assert!(book.failure().is_some());
    fs::remove_dir(&obstacle).unwrap();
    while book.flush(PATIENCE).is_err() {}
    assert_eq!(contents(&state), ids(0..2));
    let counts = book.counts();
    assert!(counts.failures >= 1 && counts.committed == 2 && counts.lost == 0);
}

#[test]
fn a_cut_anywhere_is_trimmed_and_writing_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 0..3);
    let path = dir.path().join("book-1.log");
    let whole = fs::read(&path).unwrap();
    for end in 0..whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        let before = contents(dir.path());
        let recovered = write(dir.path(), [9]);
        assert!(recovered.damage.is_empty() && before.len() < 3, "cut at {end}");
        assert_eq!(before, ids(0..before.len() as u64), "cut at {end}");
        assert_eq!(contents(dir.path()), [before, vec!["r9".to_owned()]].concat(), "cut at {end}");
    }
}

#[test]
fn damage_in_the_middle_is_told_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 0..3);
    let path = dir.path().join("book-1.log");
    let mut bytes = fs::read(&path).unwrap();
    let frame = (bytes.len() - 16) / 3;
    bytes[16 + frame + 40] ^= 0x10;
    fs::write(&path, &bytes).unwrap();
    let place = format!("!{}", 16 + frame);
    assert_eq!(contents(dir.path()), ["r0", &place, "r2"]);
    let recovered = write(dir.path(), [7]);
    assert_eq!((recovered.records, recovered.trimmed_bytes, recovered.damage.len()), (2, 0, 1));
    assert_eq!(recovered.damage[0].offset, (16 + frame) as u64);
    assert_eq!(contents(dir.path()), ["r0", &place, "r2", "r7"]);
    assert_eq!(fs::read(&path).unwrap(), bytes, "evidence stays as it is");
    let report = ledger::report(read(dir.path(), None).unwrap());
    assert!(report.to_string().contains("book-1.log at byte"));
}

#[test]
fn a_foreign_file_is_damage_and_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("book-4.log");
    fs::write(&path, "something else altogether").unwrap();
    assert_eq!(write(dir.path(), [1]).damage.len(), 1);
    assert_eq!(contents(dir.path()), ["!0", "r1"]);
    assert_eq!(fs::read(&path).unwrap(), b"something else altogether");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_flip_goes_unnoticed(place in 0.0..1.0_f64, bit in 0..8_u32) {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 0..4);
        let path = dir.path().join("book-1.log");
        let mut bytes = fs::read(&path).unwrap();
        let place = (bytes.len() as f64 * place) as usize;
        bytes[place] ^= 1 << bit;
        fs::write(&path, &bytes).unwrap();
        let before = contents(dir.path());
        let recovered = write(dir.path(), [4]);
        let after = contents(dir.path());
        prop_assert!(after.iter().filter(|id| !id.starts_with('!')).all(|id| ids(0..5).contains(id)));
        // The time of creation is the one field of the header that no checksum guards: it only lets reports pass over files.
        prop_assert!((8..16).contains(&place) || !recovered.damage.is_empty() || recovered.trimmed_bytes > 0);
        prop_assert!(before.iter().filter(|id| id.starts_with('r')).count() >= 3);
    }
}

/// The child of the test below: appends, and says on its output what was acknowledged. Does nothing in a usual run.
#[test]
fn child_that_is_killed() {
    let Some(dir) = std::env::var_os("POINTSMAN_TEST_BOOK") else { return };
    let first: u64 = std::env::var("POINTSMAN_TEST_FIRST").unwrap().parse().unwrap();
    let (book, _) = Book::open_with(Path::new(&dir), small_segments()).unwrap();
    let mut out = std::io::stdout();
    for n in first.. {
        book.append(record(n)).unwrap();
        if n % 3 == 0 {
            book.flush(PATIENCE).unwrap();
            writeln!(out, "acknowledged {n}").unwrap();
        }
    }
}

fn small_segments() -> Options {
    Options { segment_bytes_max: 20_000, ..Options::default() }
}

#[test]
fn no_acknowledged_record_is_lost_by_kill_nine() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = 0;
    let mut acknowledged: Vec<u64> = Vec::new();
    for round in 0..30_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child_that_is_killed", "--exact", "--nocapture", "--test-threads=1"])
            .env("POINTSMAN_TEST_BOOK", dir.path())
            .env("POINTSMAN_TEST_FIRST", first.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The child goes on writing between its word and the signal, so the moment is random without a clock.
        let enough = 1 + (round * 7) % 23;
        let mut heard = Vec::new();
        while (heard.len() as u64) < enough {
            let line = lines.next().expect("the child ended by itself").unwrap();
            heard.extend(line.strip_prefix("acknowledged ").and_then(|n| n.parse::<u64>().ok()));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let rest = lines.map_while(Result::ok);
        heard.extend(rest.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok()));
        let last = *heard.last().unwrap();
        acknowledged.push(last);
        first = last + 1_000;
    }
    let found: Vec<u64> =
        read(dir.path(), None).unwrap().map(|item| item.unwrap().id[1..].parse().unwrap()).collect();
    assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "in order and none twice");
    let mut start = 0;
    for last in acknowledged {
        let expected: Vec<u64> = (start..=last).collect();
        let got: Vec<u64> = found.iter().copied().filter(|n| (start..=last).contains(n)).collect();
        assert_eq!(got, expected);
        start = last + 1_000;
    }
}
