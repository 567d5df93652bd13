//! One gateway for all tests that change nothing in it: starting one costs a second.

use std::sync::OnceLock;

use tests::{Gateway, Provider, Setup, run};

/// A gateway and the provider behind it.
pub(crate) struct House {
    pub(crate) provider: Provider,
    pub(crate) gateway: Gateway,
    /// Its folder lives as long as the process.
    _setup: Setup,
}

/// Models of the shared gateway; each has its own provider entry, and no two tests make one fail.
const MODELS: &[&str] = &[
    "ok",
    "ok+cached",
    "ok+forward",
    "ok+usage",
    "crlf",
    "no-space",
    "no-done",
    "no-usage",
    "usage-on-choice",
    "comments",
    "pieces-0",
    "pieces-1",
    "pieces-2",
    "pieces-3",
    "e400",
    "e400+words",
    "e401",
    "e429",
    "e429+timed",
    "e500",
    "e503",
    "flaky-1",
    "reset",
    "garbage",
    "garbage-head",
    "redirect",
    "error-in-200",
    "error-in-stream",
    "stall",
    "stall+whole",
    "stall+left",
    "stall+gone",
    "gated",
    "cut-0",
    "cut-1",
    "cut-150",
    "cut-400",
    "cut-1200",
    "cut-1500",
    "cut-60",
];

/// The body cap of the shared gateway.
pub(crate) const BODY_BYTES_MAX: usize = 65_536;

/// The shared gateway.
pub(crate) fn shared() -> &'static House {
    static HOUSE: OnceLock<House> = OnceLock::new();
    HOUSE.get_or_init(|| {
        let provider = Provider::start();
        let limits = format!(
            "[limits]\nbody_bytes_max = {BODY_BYTES_MAX}\nheader_deadline_ms = 2000\nbody_deadline_ms = 2000\n"
        );
        let base_url = provider.base_url();
        let setup = setup(&provider, MODELS)
            .with("gateway.toml", &limits)
            .with("models.toml", &near(&base_url))
            .with("models.toml", &in_process(0.2));
        let setup = setup.with_changed("models.toml", "name = \"flaky-1\"", "name = \"flaky\"\nid = \"flaky-1\"");
        let setup = setup.with_changed(
            "models.toml",
            "[provider.\"flaky-1\"]",
            "[provider.\"flaky-1\"]\nheaders = { x-vendor = \"v1\" }",
        );
        let setup = retrying(setup);
        for (name, text) in crate::index::DOCUMENTS {
            setup.write(name, text);
        }
        let built = run(&setup, &["index", "build"]);
        assert_eq!(built.code, Some(0), "{}", built.stderr);
        let gateway = Gateway::start(&setup);
        House { provider, gateway, _setup: setup }
    })
}

/// The files of a gateway for one test.
pub(crate) fn setup(provider: &Provider, models: &[&str]) -> Setup {
    Setup::new(provider, models).with_env("TEST_UPSTREAM_KEY", "upstream-secret")
}

/// Lets the model `flaky` be tried twice.
fn retrying(setup: Setup) -> Setup {
    let text = setup.read("models.toml");
    let (before, after) = text.split_once("[provider.\"flaky-1\"]").unwrap();
    let after = after.replacen("retries_max = 0", "retries_max = 2", 1);
    let text = format!("{before}[provider.\"flaky-1\"]{after}");
    setup.with_file("models.toml", &text)
}

/// A model on a server of the operator's own.
fn near(base_url: &str) -> String {
    format!(
        "[provider.rack]\nbase_url = {base_url:?}\nallow_private_addresses = true\n\n[[model]]\nname = \"near\"\n\
         id = \"ok\"\nkind = \"provider\"\nprovider = \"rack\"\ntrack = \"local\"\ncontext_tokens = 4096\n\
         quality = {{ default = 0.5 }}\n"
    )
}

/// The small model in the process, with the operator's guess of its quality.
pub(crate) fn in_process(quality: f32) -> String {
    let path = tests::model_file("smollm2-135m-instruct/model.gguf");
    format!(
        "[[model]]\nname = \"small\"\nkind = \"llama\"\npath = {path:?}\ncontext_tokens = 512\noutput_tokens_max = 64\n\
         quality = {{ default = {quality} }}\n"
    )
}
