//! The files of a gateway under test, in a folder of their own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::gateway::{binary, run};
use crate::provider::Provider;

/// The files of one gateway. The folder goes when this is dropped.
#[derive(Debug)]
pub struct Setup {
    dir: TempDir,
    environment: Vec<(String, String)>,
}

/// The policy of most tests. The tests of deciding are elsewhere: here every track is one word away.
const POLICY: &str = include_str!("policy.toml");

impl Setup {
    /// A gateway on ports of the system's choice, whose models are all served by `provider`. Each has a provider entry of
    /// its own in `models.toml`, so that one that fails does not open the breaker of another.
    pub fn new(provider: &Provider, models: &[&str]) -> Self {
        Self::of(&models_toml(&provider.base_url(), models))
    }

    /// A gateway on ports of the system's choice with this `models.toml`.
    pub fn of(models: &str) -> Self {
        let setup = Self::cold(models);
        let trained = trained_classifier();
        let state = setup.path("var");
        fs::create_dir_all(&state).unwrap();
        for entry in fs::read_dir(trained).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_string_lossy().starts_with("classifier-") {
                let own = state.join(entry.file_name());
                // Nobody writes into a trained classifier, and a copy for each test would be gigabytes.
                if fs::hard_link(entry.path(), &own).is_err() {
                    fs::copy(entry.path(), own).unwrap();
                }
            }
        }
        setup
    }

    fn cold(models: &str) -> Self {
        let setup = Self { dir: TempDir::new().unwrap(), environment: Vec::new() };
        let exemplars = repository().join("config/exemplars");
        let gateway = format!(
            "[listen]\ndata = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\n\
             [files]\npolicy = \"policy.toml\"\nmodels = \"models.toml\"\nexemplars = {exemplars:?}\nstate = \"var\"\n\n\
             [encoder]\nmodel = {minilm:?}\nruntime = {runtime:?}\nsessions = 1\n\n\
             [index]\npath = \"built\"\ncorpus = [\"docs\"]\n",
            minilm = model_file("minilm"),
            runtime = model_file("onnxruntime/libonnxruntime.so"),
        );
        setup.write("gateway.toml", &gateway);
        setup.write("models.toml", models);
        setup.write("policy.toml", POLICY);
        setup
    }

    /// Where a file of this gateway is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file's text.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The same with more at the end of a file.
    #[must_use]
    pub fn with(self, name: &str, more: &str) -> Self {
        self.write(name, &format!("{}\n{more}", self.read(name)));
        self
    }

    /// The same with `old` replaced in a file.
    #[must_use]
    pub fn with_changed(self, name: &str, old: &str, new: &str) -> Self {
        let text = self.read(name);
        assert!(text.contains(old), "{name} has no `{old}`:\n{text}");
        self.write(name, &text.replace(old, new));
        self
    }

    /// The same with another file.
    #[must_use]
    pub fn with_file(self, name: &str, text: &str) -> Self {
        self.write(name, text);
        self
    }

    /// The same with an environment variable.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn environment(&self) -> &[(String, String)] {
        &self.environment
    }
}

/// The root of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A file that `make models` fetches.
pub fn model_file(name: &str) -> PathBuf {
    repository().join(".models").join(name)
}

/// `models.toml` for models that are all behind one address. Prices are round, so that sums can be read: 1, 0.5 and
/// 2 USD for a million prompt, cached and completion tokens.
fn models_toml(base_url: &str, models: &[&str]) -> String {
    let mut text = String::new();
    for model in models {
        text += &format!(
            "[provider.{model:?}]\nbase_url = {base_url:?}\napi_key = \"env:TEST_UPSTREAM_KEY\"\n\
             allow_private_addresses = true\nfirst_byte_timeout_ms = 2000\nidle_timeout_ms = 2000\nretries_max = 0\n\n\
             [[model]]\nname = {model:?}\nkind = \"provider\"\nprovider = {model:?}\n\
             prices = {{ input = 1.0, cached_input = 0.5, output = 2.0 }}\n\
             context_tokens = 100000\noutput_tokens_max = 1000\nsupports = [\"tools\", \"json\", \"logprobs\", \"images\"]\n\
             quality = {{ default = 0.9 }}\n\n"
        );
    }
    text
}

/// A folder with the classifier that a first start trains, so that only one of them has to.
fn trained_classifier() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = binary().parent().unwrap().join("pointsman-tests");
        fs::create_dir_all(&folder).unwrap();
        let lock = File::create(folder.join("lock")).unwrap();
        lock.lock().unwrap();
        let setup =
            Setup::cold(&models_toml("http://127.0.0.1:9/v1", &["ok"])).with_env("TEST_UPSTREAM_KEY", "k");
        let setup = setup.with_changed("gateway.toml", "state = \"var\"", &format!("state = {folder:?}"));
        let output = run(&setup, &["explain", "Good morning"]);
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        folder
    })
}
