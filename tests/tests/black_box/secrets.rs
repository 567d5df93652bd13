//! Keys that change while the gateway runs, and are never seen.

use serde_json::json;
use tests::{Gateway, Provider, Request, Setup, eventually, question, run};

use crate::house::setup;

/// A gateway whose provider's key stands in a file.
fn with_key_file(provider: &Provider) -> Setup {
    setup(provider, &["ok"])
        .with_changed("models.toml", "env:TEST_UPSTREAM_KEY", "file:keys/upstream")
        .with_file("keys/upstream", "first-key\n")
}

fn ask(gateway: &Gateway, key: &str) -> u16 {
    let body = question("ok", json!({}));
    Request::post("/v1/chat/completions", &body).header("x-api-key", key).send(gateway.data).status
}

#[test]
fn a_providers_key_is_changed_without_a_restart() {
    let provider = Provider::start();
    let setup = with_key_file(&provider);
    let gateway = Gateway::start(&setup);
    let mut seed = 0;
    let mut sent = || {
        seed += 1;
        gateway.ask("ok", json!({"seed": seed})).expect(200);
        provider.last("ok").header("authorization").to_owned()
    };
    assert_eq!(sent(), "Bearer first-key");
    setup.write("keys/upstream", "second-key");
    eventually("the new key is sent", || sent() == "Bearer second-key");

    // A key that is gone takes its models away, and its return brings them back.
    std::fs::remove_file(setup.path("keys/upstream")).unwrap();
    let mut asked = 1000;
    let mut status = || {
        asked += 1;
        gateway.ask("ok", json!({"seed": asked}))
    };
    eventually("the model is away", || status().status == 503);
    let told = status().message();
    assert!(told.contains("keys/upstream") && !told.contains("second-key"), "{told}");
    setup.write("keys/upstream", "third-key");
    eventually("the model is back", || status().status == 200);
    let log = gateway.log();
    assert!(!["first-key", "second-key", "third-key"].iter().any(|key| log.contains(key)), "{log}");
}

#[test]
fn a_tenants_keys_overlap_while_they_change() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok"])
        .with("gateway.toml", "[[tenant]]\nname = \"ann\"\nkey = \"file:keys/ann\"\n")
        .with_file("keys/ann", "old-key\n");
    let gateway = Gateway::start(&setup);
    assert_eq!((ask(&gateway, "old-key"), ask(&gateway, "new-key")), (200, 401));
    setup.write("keys/ann", "old-key\nnew-key\n");
    eventually("the new key is taken", || ask(&gateway, "new-key") == 200);
    assert_eq!(ask(&gateway, "old-key"), 200);
    setup.write("keys/ann", "new-key\n");
    eventually("the old key has ended", || ask(&gateway, "old-key") == 401);
    assert_eq!(ask(&gateway, "new-key"), 200);

    // Without any key nobody could ask: what runs goes on.
    setup.write("keys/ann", "\n");
    gateway.wait_for_log("keys/ann");
    assert_eq!(ask(&gateway, "new-key"), 200);
}

#[test]
fn a_key_file_that_is_not_there_is_told() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok"])
        .with("gateway.toml", "[[tenant]]\nname = \"ann\"\nkey = \"file:keys/ann\"\n");
    let output = run(&setup, &["check", "--files-only"]);
    assert_eq!(output.code, Some(64), "{}", output.stderr);
    assert!(output.stderr.contains("tenant[0].key: the file `keys/ann` cannot be read"), "{}", output.stderr);
}
