//! The fuzzing target of heads, over its corpus (`fuzz/corpus`), as a plain test.

use std::path::Path;

#[path = "../../../fuzz/src/head.rs"]
#[expect(unreachable_pub, reason = "the targets are public where they are fuzzed")]
mod head;

#[test]
fn the_corpus_of_heads_runs_through_its_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/headers");
    let files: Vec<_> = std::fs::read_dir(folder).expect("a corpus").flatten().collect();
    assert!(!files.is_empty());
    for file in files {
        head::heads(&std::fs::read(file.path()).expect("an input"));
    }
}
