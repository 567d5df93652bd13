//! The unmodified official clients: one against the shipped policy, each track by a request that deserves it, and all of
//! them at every endpoint that they know, with a provider of every dialect behind it.

use std::path::{Path, PathBuf};
use std::process::Command;

use tests::{Dialects, Gateway, Provider, Setup, model_file, run};

use crate::house::setup;
use crate::index::DOCUMENTS;
use crate::tracks::moods;

#[test]
fn the_openai_package_works_by_its_base_url_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let provider = Provider::start();
    let local = format!(
        "[[model]]\nname = \"smollm2\"\nkind = \"llama\"\npath = {:?}\ncontext_tokens = 512\n\
         output_tokens_max = 64\nsupports = [\"logprobs\"]\nquality = {{ default = 0.2 }}\n",
        model_file("smollm2-135m-instruct/model.gguf")
    );
    let setup =
        setup(&provider, &["ok"]).with("models.toml", &local).with_file("policy.toml", &shipped_policy(root));
    for (name, text) in DOCUMENTS {
        setup.write(name, text);
    }
    setup.write("moods.jsonl", &moods());
    // Eighty examples prove no more.
    setup.write("tasks/mood.toml", "[certificate]\nlevel = 0.2\n");
    let data = setup.path("moods.jsonl").display().to_string();
    for arguments in [vec!["index", "build"], vec!["task", "train", "mood", "--data", &data]] {
        let done = run(&setup, &arguments);
        assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.stderr);
    }
    check("openai_chat.py", &Gateway::start(&setup));
}

#[test]
fn the_openai_package_uploads_and_searches() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok"]).with("gateway.toml", "[store.notes]\nuploads = true\n");
    check("openai_stores.py", &Gateway::start(&setup));
}

#[test]
fn openai_for_python_meets_every_dialect() {
    check_pairs("openai_pairs.py");
}

#[test]
fn anthropic_for_python_meets_every_dialect() {
    check_pairs("anthropic_pairs.py");
}

#[test]
fn openai_for_node_meets_every_dialect() {
    check_pairs("openai_pairs.mjs");
}

#[test]
fn anthropic_for_node_meets_every_dialect() {
    check_pairs("anthropic_pairs.mjs");
}

/// Runs a client's script, every case of which must pass, with a provider of every dialect behind the gateway.
fn check_pairs(script: &str) {
    let provider = Dialects::start();
    let tenant = "[[tenant]]\nname = \"client\"\nkey = \"env:CLIENT_KEY\"\n";
    let policy = "default = \"plain\"\n\n[policy.plain]\ntrack = \"external\"\nreference_model = \"chat-ok\"\n\
                  targets.external = [\"chat-ok\"]\nwhen_unavailable.external = \"refuse\"\n";
    let setup = Setup::of(&provider.models_toml())
        .with("gateway.toml", tenant)
        .with_file("policy.toml", policy)
        .with_env("CLIENT_KEY", "client-secret");
    check(script, &Gateway::start(&setup));
}

/// Runs a script of the folder `clients` with the packages that `make test` installs.
#[expect(clippy::print_stdout, reason = "the lines that `clients/table.py` makes a table of")]
fn check(script: &str, gateway: &Gateway) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let mut command = if script.ends_with(".mjs") { node() } else { python() };
    let done = command.arg(folder.join(script)).arg(format!("http://{}/v1", gateway.data)).output().unwrap();
    let (said, trouble) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    print!("{said}");
    assert!(done.status.success(), "{said}\n{trouble}\n{}", gateway.log());
}

fn python() -> Command {
    let packages = tool("clients");
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut command = Command::new(python);
    command.env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// The node of this machine, or the one that `make test` has fetched.
fn node() -> Command {
    let fetched = tool("node").join("bin/node");
    let mut command = Command::new(if fetched.is_file() { fetched } else { PathBuf::from("node") });
    // An import by name looks for its package from the script's folder upwards, and so the scripts are told.
    command.env("CLIENTS_MODULES", tool("node").join("node_modules"));
    command
}

fn tool(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.parent().unwrap().join(".tools").join(name);
    assert!(folder.is_dir(), "{} is missing; `make test` installs it", folder.display());
    folder
}

/// The policy as it is shipped, with the provider of the tests as the large model.
fn shipped_policy(root: &Path) -> String {
    let text = std::fs::read_to_string(root.parent().unwrap().join("config/policy.toml")).unwrap();
    text.replace("\"gpt-4.1-mini\", \"gpt-4.1\"", "\"ok\"")
        .replace("\"gpt-4.1-mini\"", "\"ok\"")
        .replace("reference_model = \"gpt-4.1\"", "reference_model = \"ok\"")
}
