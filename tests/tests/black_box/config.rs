//! Wrong files: every mistake at once, with file, line, key and what is allowed, and exit 64.

use tests::{Provider, Setup, run};

use crate::house::setup;

/// Every part must be in what `check` and `serve` say before they exit with 64.
fn refused(setup: &Setup, parts: &[&str]) {
    for command in [&["check", "--files-only"][..], &["serve"][..]] {
        let output = run(setup, command);
        assert_eq!(output.code, Some(64), "{command:?}: {}", output.stderr);
        for part in parts {
            assert!(output.stderr.contains(part), "{command:?} lacks `{part}`:\n{}", output.stderr);
        }
        assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    }
}

#[test]
fn good_files_pass() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok"]);
    let output = run(&setup, &["check", "--files-only"]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
}

#[test]
fn the_gateways_file_tells_all_its_mistakes() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok"])
        .with(
            "gateway.toml",
            "[limits]\nbody_bytes_max = 1\nbody_bites_max = 5\n\n[cache]\nttl_s = \"long\"\n",
        )
        .with("gateway.toml", "[[tenant]]\nname = \"a\"\nkey = \"env:NOT_SET_ANYWHERE\"\n")
        .with_changed("gateway.toml", "data = \"127.0.0.1:0\"", "data = \"here\"");
    let line = |needle: &str| {
        let text = setup.read("gateway.toml");
        let line = text.lines().position(|line| line.starts_with(needle)).unwrap() + 1;
        format!("gateway.toml:{line}: ")
    };
    refused(
        &setup,
        &[
            &format!("{}listen.data: `here`", line("data")),
            &format!("{}limits.body_bytes_max", line("body_bytes_max")),
            &format!("{}limits.body_bites_max", line("body_bites_max")),
            &format!("{}cache.ttl_s", line("ttl_s")),
            "NOT_SET_ANYWHERE",
        ],
    );
}

#[test]
fn the_models_file_tells_all_its_mistakes() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok"]).with(
        "models.toml",
        "[[model]]\nname = \"auto\"\nkind = \"provider\"\nprovider = \"nobody\"\ncontext_tokens = 10\n\
         prices = { input = -1.0, output = 1.0 }\nquality = { default = 3.0 }\ncolour = \"red\"\n",
    );
    refused(
        &setup,
        &["models.toml:", "`auto`", "nobody", "context_tokens", "prices.input", "quality.default", "colour"],
    );
}

#[test]
fn the_policy_file_tells_all_its_mistakes() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok"]).with(
        "policy.toml",
        "[policy.bad]\nquality_floor = 7\ntargets.external = [\"okk\"]\ndedline_ms = 5\n\n\
         [[policy.bad.question]]\nid = \"a\"\nask = \"?\"\nwhen = \"reasonin > 0.5\"\nyes = \"nowhere\"\nno = \"external\"\n",
    );
    refused(
        &setup,
        &[
            "policy.toml:",
            "quality_floor",
            "`okk`",
            "`ok`",
            "dedline_ms",
            "deadline_ms",
            "reasonin",
            "nowhere",
        ],
    );
}

#[test]
fn files_that_are_not_toml_or_not_there_are_named() {
    let provider = Provider::start();
    let broken = setup(&provider, &["ok"]).with_file("models.toml", "[[model]\nname=");
    refused(&broken, &["models.toml:1"]);
    let missing = setup(&provider, &["ok"]);
    std::fs::remove_file(missing.path("policy.toml")).unwrap();
    refused(&missing, &["policy.toml", "files.policy"]);
    std::fs::remove_file(missing.path("gateway.toml")).unwrap();
    refused(&missing, &["gateway.toml", "--config"]);
}
