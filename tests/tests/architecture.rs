//! The direction of imports, as ARCHITECTURE.md has it: `gateway` knows every room, rooms know `api`, nobody knows a
//! neighbour.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

const GATEWAY: &str = "pointsman";
const WORDS: &str = "api";
/// The black-box tests know the binary only.
const TESTS: &str = "tests";

#[test]
fn rooms_meet_only_in_the_gateway() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    assert!(ours.contains(GATEWAY) && ours.contains(WORDS), "{ours:?}");
    let mut sideways = Vec::new();
    for package in packages {
        let from = name(package);
        // Dependencies of every kind: one for tests or the build is a neighbour too.
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let to = name(dependency);
            let allowed = match from.as_str() {
                GATEWAY => to != TESTS,
                WORDS | TESTS => false,
                // Both sides of the house translate: clients meet the gateway, providers the models.
                "models" => to == WORDS || to == "dialects",
                _ => to == WORDS,
            };
            if ours.contains(&to) && !allowed {
                sideways.push(format!("{from} -> {to}"));
            }
        }
    }
    assert!(sideways.is_empty(), "these edges go sideways: {sideways:?}");
}
