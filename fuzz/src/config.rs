//! What holds for any file of an operator's: nothing panics, and a refused file says why.

use policy::file::Mistakes;
use policy::tasks::TaskSpecs;
use policy::{Catalogue, Policies};

const MODELS: &str = include_str!("../../config/models.toml");

/// A file, read as each of those that the gateway reloads while it runs.
pub fn files(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    check(Catalogue::parse("models.toml", text, &|_| None));
    let Ok(catalogue) = Catalogue::parse("models.toml", MODELS, &|_| None) else { return };
    check(Policies::parse("policy.toml", text, &catalogue));
    check(TaskSpecs::parse(&[("task.toml".to_owned(), text.to_owned())], &catalogue));
}

fn check<T>(read: Result<T, Mistakes>) {
    if let Err(mistakes) = read {
        assert!(!mistakes.to_string().is_empty());
    }
}
