//! The unmodified official client, against the shipped policy: each track by a request that deserves it.

use std::path::Path;
use std::process::Command;

use tests::{Gateway, Provider, model_file, run};

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

/// Runs a script of the folder `clients` with the package that `make test` installs.
fn check(script: &str, gateway: &Gateway) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = root.parent().unwrap().join(".tools/clients");
    assert!(packages.is_dir(), "the client is not installed; `make test` does it");
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let done = Command::new(python)
        .arg(root.join("clients").join(script))
        .arg(format!("http://{}/v1", gateway.data))
        .env("PYTHONPATH", packages)
        .output()
        .unwrap();
    let (said, trouble) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{said}\n{trouble}\n{}", gateway.log());
}

/// The policy as it is shipped, with the provider of the tests as the large model.
fn shipped_policy(root: &Path) -> String {
    let text = std::fs::read_to_string(root.parent().unwrap().join("config/policy.toml")).unwrap();
    text.replace("\"gpt-4.1-mini\", \"gpt-4.1\"", "\"ok\"")
        .replace("\"gpt-4.1-mini\"", "\"ok\"")
        .replace("reference_model = \"gpt-4.1\"", "reference_model = \"ok\"")
}
