//! `/v1/vector_stores` and `/v1/files`: the stores over HTTP, as OpenAI's clients know them.
//!
//! Stores are the operator's, so they are declared in `gateway.toml` and never made here. A file is a document: its id says
//! its name, a document of the same name is replaced, and what is answered is on disk. A tenant with a scope sees and writes
//! only inside it.

mod files;
mod listing;
mod naming;
mod search;
mod upload;

use std::sync::Arc;

use api::{Error, Fault};
use http::{Method, Response};
use serde_json::Value;

pub(crate) use naming::file_id;

use crate::body::Body;
use crate::data::wrong_method;
use crate::exchange::{Arrived, Step};

const STORES: &str = "/v1/vector_stores";
const FILES: &str = "/v1/files";

/// Whether a path is one of this face.
pub(crate) fn serves(path: &str) -> bool {
    let below =
        |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    below(STORES) || below(FILES)
}

/// What a path means.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Stores,
    Store(String),
    Search(String),
    Documents(String),
    Document(String, String),
    Files,
    File(String),
    Nothing,
}

impl Place {
    fn of(path: &str) -> Self {
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        // The examples of a task are the store `task/NAME`.
        let (store, rest) = match parts.as_slice() {
            ["vector_stores", "task", name, rest @ ..] => (format!("task/{name}"), rest),
            ["vector_stores", name, rest @ ..] => ((*name).to_owned(), rest),
            ["vector_stores"] => return Self::Stores,
            ["files"] => return Self::Files,
            ["files", id] => return Self::File((*id).to_owned()),
            _ => return Self::Nothing,
        };
        match rest {
            [] => Self::Store(store),
            ["search"] => Self::Search(store),
            ["files"] => Self::Documents(store),
            ["files", id] => Self::Document(store, (*id).to_owned()),
            _ => Self::Nothing,
        }
    }

    /// What may be done there.
    fn methods(&self) -> &'static [Method] {
        match self {
            Self::Stores | Self::Store(_) => &[Method::GET],
            Self::Search(_) => &[Method::POST],
            Self::Documents(_) | Self::Files => &[Method::GET, Method::POST],
            Self::Document(..) | Self::File(_) => &[Method::GET, Method::DELETE],
            Self::Nothing => &[],
        }
    }
}

/// Answers one request of this face.
pub(crate) async fn answer(arrived: Arrived) -> Response<Body> {
    let path = arrived.parts.uri.path().to_owned();
    let place = Place::of(&path);
    let Some(first) = place.methods().first() else {
        let shown: String = path.chars().take(100).collect();
        let message = format!(
            "There is nothing at `{shown}`. Stores serve GET {STORES}, {STORES}/NAME, {STORES}/NAME/files and \
             POST {STORES}/NAME/search, {STORES}/NAME/files."
        );
        return crate::exchange::refusal(&Error::new(Fault::NotFound, "unknown_path", message));
    };
    if !place.methods().contains(&arrived.parts.method) {
        return wrong_method(dialects::Face::Chat, &path, first);
    }
    answer_or_refuse(arrived, place).await.unwrap_or_else(|refusal| *refusal)
}

async fn answer_or_refuse(arrived: Arrived, place: Place) -> Step<Response<Body>> {
    let method = arrived.parts.method.clone();
    let query = arrived.parts.uri.query().unwrap_or_default().to_owned();
    let admitted = arrived.admit()?;
    let mut ticket = admitted.ticket;
    ticket.keep_off_the_book();
    let asker = Asker {
        house: Arc::clone(&ticket.house),
        tenant: Arc::clone(&ticket.tenant),
        reach: admitted.wishes.reach,
    };
    let posts = method == Method::POST;
    let deletes = method == Method::DELETE;
    let told = match place {
        Place::Stores => asker.stores().await,
        Place::Store(name) => asker.store(&name).await,
        Place::Search(name) => asker.search(&name, &admitted.headers, admitted.body).await,
        Place::Documents(name) if posts => asker.attach(&name, &admitted.headers, admitted.body).await,
        Place::Documents(name) => asker.documents(&name, &query).await,
        Place::Document(name, id) if deletes => asker.detach(&name, &id).await,
        Place::Document(name, id) => asker.document(&name, &id).await,
        Place::Files if posts => asker.stage(&admitted.headers, admitted.body).await,
        Place::Files => asker.staged_files().await,
        Place::File(id) if deletes => asker.unstage(&id).await,
        Place::File(id) => asker.staged_file(&id).await,
        Place::Nothing => Err(Error::internal("a path without methods")),
    };
    match told {
        Ok(told) => Ok(ticket.answer(&told)),
        Err(error) => Err(ticket.refuse(&error)),
    }
}

/// Who asks, and what may be shown.
struct Asker {
    house: Arc<crate::house::House>,
    tenant: Arc<api::Tenant>,
    reach: crate::wishes::Reach,
}

/// Does blocking work off the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

/// A list as OpenAI's clients page through it.
fn page(data: &[Value], has_more: bool) -> Value {
    let id = |item: Option<&Value>| item.and_then(|item| item.get("id")).cloned().unwrap_or_default();
    serde_json::json!({
        "object": "list",
        "first_id": id(data.first()),
        "last_id": id(data.last()),
        "has_more": has_more,
        "data": data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_places() {
        let s = |text: &str| text.to_owned();
        for (path, expected) in [
            ("/v1/vector_stores", Place::Stores),
            ("/v1/vector_stores/notes", Place::Store(s("notes"))),
            ("/v1/vector_stores/notes/search", Place::Search(s("notes"))),
            ("/v1/vector_stores/task/sst/search", Place::Search(s("task/sst"))),
            ("/v1/vector_stores/notes/files", Place::Documents(s("notes"))),
            ("/v1/vector_stores/notes/files/file-x", Place::Document(s("notes"), s("file-x"))),
            ("/v1/files", Place::Files),
            ("/v1/files/file-x", Place::File(s("file-x"))),
            ("/v1/files/file-x/content", Place::Nothing),
            ("/v1/vector_stores/notes/x", Place::Nothing),
        ] {
            assert_eq!(Place::of(path), expected, "{path}");
        }
        assert!(serves("/v1/files/x") && !serves("/v1/filesystem") && !serves("/v1/chat/completions"));
    }
}
