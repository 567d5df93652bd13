//! The index: built by command, set aside when it is damaged, and built again from the corpus.

use std::fs;
use std::path::Path;

use serde_json::json;
use tests::{Gateway, Provider, Setup, eventually, run};

use crate::house::setup;

/// A small corpus about a railway that nobody has heard of.
pub(crate) const DOCUMENTS: &[(&str, &str)] = &[
    (
        "docs/harbour.md",
        "# Harbour line\n\n## Lamps\n\nAt night the signal lamp of the harbour line is violet, by day it is covered.\n\n\
         ## Speed\n\nTrains on the harbour line may run at 37 kilometres per hour.\n",
    ),
    (
        "docs/depot.md",
        "# Depot\n\nThe depot in Velm keeps eleven shunting engines. The depot opens at five in the morning.\n",
    ),
    (
        "docs/staff.txt",
        "The stationmaster of Orrin is called Petra Halvorsen. She has kept the station since 1987.\n",
    ),
];

fn with_documents(provider: &Provider) -> Setup {
    let setup = setup(provider, &["ok"]);
    for (name, text) in DOCUMENTS {
        setup.write(name, text);
    }
    let built = run(&setup, &["index", "build"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    setup
}

fn knows(gateway: &Gateway) -> bool {
    let question = "How many shunting engines does the depot in Velm keep?";
    let answer = gateway.chat(&json!({"model": "read", "messages": [{"role": "user", "content": question}]}));
    answer.status == 200 && answer.content().contains("eleven")
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn a_built_index_can_be_searched_and_read_from() {
    let provider = Provider::start();
    let setup = with_documents(&provider);
    let found = run(&setup, &["index", "search", "Who is the stationmaster of Orrin?"]);
    assert!(found.stdout.contains("staff.txt") && found.stdout.contains("Halvorsen"), "{}", found.stdout);
    let gateway = Gateway::start(&setup);
    assert!(knows(&gateway));
    assert!(provider.attempts("ok").is_empty(), "the extractive reader calls nobody");
}

#[test]
fn without_an_index_the_retrieval_track_says_what_to_do() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok"]);
    let gateway = Gateway::start(&setup);
    let answer = gateway.ask("read", json!({})).expect(503);
    assert!(answer.message().contains("index build"), "{}", answer.message());
}

#[test]
fn a_damaged_index_is_set_aside_and_built_again() {
    let provider = Provider::start();
    let setup = with_documents(&provider);
    let built = setup.path("built");
    for file in files_below(&built) {
        let mut bytes = fs::read(&file).unwrap();
        for byte in &mut bytes {
            *byte ^= 0x55;
        }
        fs::write(&file, bytes).unwrap();
    }
    let gateway = Gateway::start(&setup);
    gateway.wait_for_log("set aside");
    eventually("the index is built again", || knows(&gateway));
}

#[test]
fn an_index_built_while_serving_is_taken_up() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok"]);
    let gateway = Gateway::start(&setup);
    assert!(!knows(&gateway));
    for (name, text) in DOCUMENTS {
        setup.write(name, text);
    }
    assert_eq!(run(&setup, &["index", "build"]).code, Some(0));
    eventually("the new index is in use", || knows(&gateway));
}
