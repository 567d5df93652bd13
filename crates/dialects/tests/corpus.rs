//! The fuzzing targets of the dialects, over their corpus (`fuzz/corpus`), as plain tests.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

use std::path::Path;

#[path = "../../../fuzz/src/dialects.rs"]
#[allow(unreachable_pub, reason = "the targets are public where they are fuzzed")]
mod targets;

fn check(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files = std::fs::read_dir(folder).expect("a corpus").flatten();
    let ran = files.map(|file| run(&std::fs::read(file.path()).expect("an input"))).count();
    assert!(ran > 0, "{target} has no corpus");
}

#[test]
fn the_corpus_runs_through_every_target() {
    check("sse", targets::sse);
    check("chat_body", targets::chat_bodies);
    check("messages_body", targets::messages_bodies);
    check("responses_body", targets::responses_bodies);
    check("answers", targets::answers);
}
