//! `/v1/files`: where a file waits until it is put into a store.
//!
//! Each tenant's own, on disk, for a day at most and within a cap: what is in a store does not need it any more.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::{Error, Fault};
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::naming::{missing, named};
use super::upload::{boundary, read_form};
use super::{Asker, blocking, file_id, page};
use crate::exchange::read_bytes;
use crate::journal::write_whole;

/// How long a file waits.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// What waits of one tenant.
const BYTES_MAX: u64 = 1 << 30;
/// The longest name, so that its id is a file's name.
const NAME_BYTES_MAX: usize = 180;

impl Asker {
    /// `POST /v1/files`.
    pub(super) async fn stage(self, headers: &HeaderMap, body: Incoming) -> Result<Value, Error> {
        let bytes = read_bytes(headers, body, &self.house.decider.settings.limits).await?;
        let Some(boundary) = boundary(headers) else {
            let message = "Send the file as `multipart/form-data` with the fields `file` and `purpose`.";
            return Err(Error::new(Fault::UnsupportedMedia, "unsupported_media_type", message));
        };
        let brought = read_form(bytes, boundary).await?;
        if brought.name.len() > NAME_BYTES_MAX {
            return Err(Error::field("file", format!("The filename is over {NAME_BYTES_MAX} bytes.")));
        }
        let folder = self.folder();
        blocking(move || {
            let id = file_id(&brought.name);
            stage(&folder, &id, &brought.bytes).map_err(|error| failed(&error))?;
            look(&folder, &id)
        })
        .await
    }

    /// `GET /v1/files`.
    pub(super) async fn staged_files(self) -> Result<Value, Error> {
        let folder = self.folder();
        blocking(move || {
            let ids = waiting(&folder).map_err(|error| failed(&error))?;
            let files: Result<Vec<Value>, Error> = ids.iter().map(|(id, ..)| look(&folder, id)).collect();
            Ok(page(&files?, false))
        })
        .await
    }

    /// `GET /v1/files/{id}`.
    pub(super) async fn staged_file(self, id: &str) -> Result<Value, Error> {
        let (folder, id) = (self.folder(), id.to_owned());
        blocking(move || look(&folder, &id)).await
    }

    /// `DELETE /v1/files/{id}`.
    pub(super) async fn unstage(self, id: &str) -> Result<Value, Error> {
        let (folder, id) = (self.folder(), id.to_owned());
        blocking(move || {
            let path = place(&folder, &id)?;
            fs::remove_file(path).map_err(|error| unread(&id, &error))?;
            Ok(json!({ "id": id, "object": "file", "deleted": true }))
        })
        .await
    }

    /// What a file holds.
    pub(super) async fn staged_bytes(&self, id: &str) -> Result<Bytes, Error> {
        let (folder, id) = (self.folder(), id.to_owned());
        blocking(move || {
            let path = place(&folder, &id)?;
            fs::read(path).map(Bytes::from).map_err(|error| unread(&id, &error))
        })
        .await
    }

    /// Where the files of this tenant wait: its name may be no name of a folder.
    fn folder(&self) -> PathBuf {
        let tenant = blake3::hash(self.tenant.name.as_bytes()).to_hex();
        self.house.decider.settings.files.state.join("files").join(&tenant[..16])
    }
}

/// A file's path; an id that we have not given leads nowhere.
fn place(folder: &Path, id: &str) -> Result<PathBuf, Error> {
    let name = named(id)?;
    if name.len() > NAME_BYTES_MAX {
        return Err(missing(id));
    }
    // Made anew: several texts may decode to one name, and none of them may be a path.
    Ok(folder.join(file_id(&name)))
}

fn stage(folder: &Path, id: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut left = BYTES_MAX;
    for (id, size, came) in waiting(folder)? {
        if came.elapsed().is_ok_and(|age| age > KEPT) {
            fs::remove_file(folder.join(&id))?;
        } else {
            left = left.saturating_sub(size);
        }
    }
    if bytes.len() as u64 > left {
        return Err(io::Error::from(io::ErrorKind::QuotaExceeded));
    }
    write_whole(&folder.join(id), |file| file.write_all(bytes))
}

/// The files that wait, by id, with their size and when they came.
fn waiting(folder: &Path) -> io::Result<Vec<(String, u64, SystemTime)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let (name, metadata) = (entry.file_name().to_string_lossy().into_owned(), entry.metadata()?);
        if named(&name).is_ok() {
            files.push((name, metadata.len(), metadata.modified()?));
        }
    }
    files.sort();
    Ok(files)
}

/// A file as OpenAI's clients read it.
fn look(folder: &Path, id: &str) -> Result<Value, Error> {
    let metadata = fs::metadata(place(folder, id)?).map_err(|error| unread(id, &error))?;
    let came = metadata.modified().ok().and_then(|came| came.duration_since(UNIX_EPOCH).ok());
    Ok(json!({
        "id": id,
        "object": "file",
        "bytes": metadata.len(),
        "created_at": came.unwrap_or_default().as_secs(),
        "filename": named(id)?,
        "purpose": "assistants",
        "status": "processed",
    }))
}

fn unread(id: &str, error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound { missing(id) } else { failed(error) }
}

fn failed(error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::QuotaExceeded {
        let message =
            format!("Files that wait for a store may take {BYTES_MAX} bytes; delete some or attach them.");
        return Error::new(Fault::BodyTooLarge, "files_full", message);
    }
    Error::new(Fault::Unavailable, "files_unavailable", "The files cannot be kept; the log says why.")
        .with_detail(error)
}
