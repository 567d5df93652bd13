//! Trouble with files and with Tantivy, told as the gateway tells it: what to do for the caller, the path for the log.

use std::io;
use std::path::Path;

use api::{Error, Fault};
use tantivy::TantivyError;

/// The index cannot be read, and nobody can say whether its bytes are good.
pub(crate) fn unreadable(path: &Path, error: impl std::fmt::Display) -> Error {
    let message = "The index cannot be read; the log names the file. Check its owner and permissions.";
    Error::new(Fault::Unavailable, "index_unreadable", message)
        .with_detail(format!("{}: {error}", path.display()))
}

/// The index cannot be written.
pub(crate) fn unwritable(path: &Path, error: impl std::fmt::Display) -> Error {
    let message =
        "The index cannot be written; the log names the file. Check its permissions and the free space.";
    Error::new(Fault::Unavailable, "index_unwritable", message)
        .with_detail(format!("{}: {error}", path.display()))
}

/// A build failed inside Tantivy.
pub(crate) fn not_built(path: &Path, error: TantivyError) -> Error {
    match error {
        TantivyError::IoError(error) => unwritable(path, error),
        error => Error::internal(format!("building {}: {error}", path.display())),
    }
}

/// A search failed. The bytes were checked when the index was opened, so this is our own mistake or a failing disk.
pub(crate) fn not_searched(error: &TantivyError) -> Error {
    Error::internal(format!("searching the index: {error}"))
}

/// The corpus cannot be read as it was named.
pub(crate) fn corpus(message: impl Into<String>, path: &Path, error: Option<io::Error>) -> Error {
    let detail =
        error.map_or_else(|| path.display().to_string(), |error| format!("{}: {error}", path.display()));
    Error::new(Fault::Unprocessable, "corpus_unreadable", message).with_detail(detail)
}
