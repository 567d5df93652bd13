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

/// Questions about plants by their place in `PLANTS`, and questions about anything else.
fn lesson(setup: &Setup) {
    const PLANTS: [&str; 24] = [
        "teasel",
        "madder",
        "woad",
        "weld",
        "indigo",
        "saffron",
        "dyer's broom",
        "alkanet",
        "safflower",
        "henna",
        "walnut",
        "oak gall",
        "sumac",
        "lichen",
        "birch",
        "alder",
        "tansy",
        "yarrow",
        "nettle",
        "onion",
        "elder",
        "privet",
        "buckthorn",
        "barberry",
    ];
    const OTHERS: [&str; 8] = [
        "train to the coast",
        "capital of Peru",
        "tax on wine",
        "price of a bicycle",
        "goalkeeper",
        "moon landing",
        "my invoice",
        "a password",
    ];
    let write = |folder: &str, question: &dyn Fn(usize) -> String| {
        let documents = PLANTS.iter().enumerate().map(|(place, plant)| {
            json!({"_id": format!("d{place}"), "title": plant, "text": format!("Cloth is dyed with {plant} in the vat of hall {place}.")})
        });
        let queries = (0..48).map(|place| json!({"_id": format!("q{place}"), "text": question(place)}));
        let lines = |values: Vec<serde_json::Value>| {
            values.iter().map(|value| format!("{value}\n")).collect::<String>()
        };
        setup.write(&format!("{folder}/corpus.jsonl"), &lines(documents.collect()));
        setup.write(&format!("{folder}/queries.jsonl"), &lines(queries.collect()));
        let judged: String = (0..48).map(|place| format!("q{place}\td{}\t1\n", place % 24)).collect();
        setup.write(&format!("{folder}/qrels/test.tsv"), &format!("query-id\tcorpus-id\tscore\n{judged}"));
    };
    write("own", &|place| match place / 24 {
        0 => format!("In which hall is cloth dyed with {}?", PLANTS[place]),
        _ => format!("What is dyed with {}?", PLANTS[place - 24]),
    });
    write("foreign", &|place| format!("What about the {} number {place}?", OTHERS[place % OTHERS.len()]));
}

#[test]
fn what_a_store_covers_is_learnt_from_questions() {
    let provider = Provider::start();
    let setup = with_documents(&provider);
    lesson(&setup);
    let at = |name: &str| setup.path(name).display().to_string();
    let command = [
        "eval",
        "retrieval",
        "--dir",
        &at("own"),
        "--foreign",
        &at("foreign"),
        "--learn",
        &at("learnt.json"),
        "--json",
    ];
    let output = run(&setup, &command);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let told: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert!(told["learnt"]["auroc"].as_f64().unwrap() > 0.95, "{told}");
    assert!(told["learnt"]["refused"].as_f64().unwrap() < 0.3, "{told}");

    let learnt = setup.with_changed(
        "gateway.toml",
        "path = \"built\"\n",
        "path = \"built\"\ncoverage = \"learnt.json\"\n",
    );
    let gateway = Gateway::start(&learnt);
    assert!(knows(&gateway));
    gateway.stop();
    // A line that nothing reaches is obeyed: the number is the file's.
    let mut file: serde_json::Value = serde_json::from_str(&learnt.read("learnt.json")).unwrap();
    file["coverage_min"] = json!(1.0);
    learnt.write("learnt.json", &file.to_string());
    assert!(!knows(&Gateway::start(&learnt)));
    learnt.write("learnt.json", "{\"version\": 1}");
    let refused = run(&learnt, &["check", "--files-only"]);
    assert_eq!(refused.code, Some(64), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("index.coverage: ") && refused.stderr.contains("learnt.json"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_fresh_build_embeds_what_has_not_changed() {
    let provider = Provider::start();
    let setup = with_documents(&provider);
    for (command, embedded) in [
        (&["index", "build"][..], "0 passages embedded"),
        (&["index", "build", "--fresh"], "4 passages embedded"),
    ] {
        let output = run(&setup, command);
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        assert!(output.stdout.contains(embedded), "{command:?}: {}", output.stdout);
    }
}
