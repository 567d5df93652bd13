//! fastembed's own download of the model, for hosts that reach a model hub. What it brings is put where `make models`
//! would have put it, so that later starts need no hub and every vector comes from files with a fingerprint.
//!
//! Behind the cargo feature `hub`: its HTTP client is fifty crates that nobody else needs.

use std::path::Path;

use api::Error;
use ort::environment::Environment;

/// Brings the model's files into `folder`.
///
/// # Errors
/// The hub cannot be reached, or does not have a file; or this build has no `hub` feature.
#[cfg(feature = "hub")]
pub(crate) fn fetch(folder: &Path, environment: &Environment) -> Result<(), Error> {
    use crate::encoder::{MODEL_FILES, unavailable};
    use fastembed::{EmbeddingModel, TextEmbedding, TextInitOptions};

    let cache = folder.join("hub");
    let failed = |what: &dyn std::fmt::Display| {
        unavailable(
            "The encoder could not be downloaded from the model hub; `make models` fetches it otherwise.",
        )
        .with_detail(what)
    };
    let options = TextInitOptions::new(EmbeddingModel::AllMiniLML6V2)
        .with_cache_dir(cache.clone())
        .with_environment(environment.clone())
        .with_show_download_progress(true);
    TextEmbedding::try_new(options).map_err(|error| failed(&error))?;
    for name in MODEL_FILES {
        let from = find(&cache, name).ok_or_else(|| failed(&format_args!("the hub has no {name}")))?;
        std::fs::copy(&from, folder.join(name)).map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// The first file of this name below `folder`.
#[cfg(feature = "hub")]
fn find(folder: &Path, name: &str) -> Option<std::path::PathBuf> {
    let entries: Vec<_> = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    let here =
        entries.iter().find(|path| path.file_name().is_some_and(|file| file == name) && path.is_file());
    here.cloned().or_else(|| entries.iter().filter(|path| path.is_dir()).find_map(|path| find(path, name)))
}

/// As above, for a build without the feature.
///
/// # Errors
/// Always.
#[cfg(not(feature = "hub"))]
pub(crate) fn fetch(_folder: &Path, _environment: &Environment) -> Result<(), Error> {
    Err(crate::encoder::unavailable(
        "The encoder's files are missing and this build cannot download them: build with `--features hub`, or fetch them \
         with `make models`.",
    ))
}
