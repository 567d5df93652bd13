//! A process whose ONNX Runtime is missing or wrong is told so, and a good one works afterwards.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests may; the lint sees only functions marked so"
)]

mod models;

use std::fs;

use classify::{Encoder, EncoderOptions};

/// One test, because a process loads one runtime: the order matters.
#[test]
fn a_missing_or_wrong_runtime_is_an_error_and_no_panic() {
    let good = models::options();
    let folder = tempfile::tempdir().unwrap();
    let refuse = |name: &str, content: Option<&[u8]>, told: &str| {
        let runtime = folder.path().join(name);
        if let Some(content) = content {
            fs::write(&runtime, content).unwrap();
        }
        let error = Encoder::load(&EncoderOptions { runtime, ..good.clone() }).err().expect("a refusal");
        assert!(error.message.contains(told), "{name}: {error}");
        assert_eq!(error.code, "encoder_unavailable");
    };
    refuse("missing.so", None, "is missing");
    refuse("text.so", Some(b"not a library"), "is broken");
    let start = &fs::read(&good.runtime).unwrap()[..100_000];
    refuse("cut.so", Some(start), "is broken");
    // A whole library, but of something else.
    let own = fs::read(std::env::current_exe().unwrap()).unwrap();
    refuse("other.so", Some(&own), "cannot be used");
    Encoder::load(&good).expect("a good runtime after bad ones");
    refuse("text.so", None, "Another ONNX Runtime library is loaded already");
}
