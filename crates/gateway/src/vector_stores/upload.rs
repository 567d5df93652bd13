//! Files into stores, and out of them.

use api::{Error, Fault, parse_object};
use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use hyper::body::Incoming;
use knowledge::{FeedReport, Listed, Upload};
use serde_json::{Map, Value, json};

use super::listing::told;
use super::naming::{named, own_name};
use super::{Asker, file_id};
use crate::exchange::read_bytes;

/// A file as it came.
pub(super) struct Brought {
    pub(super) name: String,
    pub(super) bytes: Bytes,
    attributes: Map<String, Value>,
}

impl Asker {
    /// `POST /v1/vector_stores/{name}/files`: a file that was sent to `/v1/files` before, by its id, or the file itself as
    /// `multipart/form-data`. Answers when it can be found.
    pub(super) async fn attach(
        self,
        store: &str,
        headers: &HeaderMap,
        body: Incoming,
    ) -> Result<Value, Error> {
        let limits = &self.house.decider.settings.limits;
        let bytes = read_bytes(headers, body, limits).await?;
        let brought = match boundary(headers) {
            Some(boundary) => read_form(bytes, boundary).await?,
            None => self.staged_by(&parse_object(&bytes)?).await?,
        };
        let name = own_name(&self.tenant, &brought.name)?;
        let kept = self.writable(store)?;
        let upload =
            Upload { name: name.clone(), bytes: brought.bytes.to_vec(), attributes: brought.attributes };
        let report = kept.feeder.upload(upload).await?;
        refuse_skipped(&report)?;
        let id = file_id(&name);
        match self.find(store, &id).await {
            Ok(listed) => Ok(told(store, &listed)),
            // A file of many documents, as JSON Lines are, is none itself.
            Err(error) if error.fault == Fault::NotFound => {
                let listed =
                    Listed { name, hash: String::new(), passages: report.passages, attributes: Map::new() };
                Ok(told(store, &listed))
            }
            Err(error) => Err(error),
        }
    }

    /// `DELETE /v1/vector_stores/{name}/files/{id}`.
    pub(super) async fn detach(self, store: &str, id: &str) -> Result<Value, Error> {
        let listed = self.find(store, id).await?;
        self.writable(store)?.feeder.remove(listed.name).await?;
        Ok(json!({ "id": id, "object": "vector_store.file.deleted", "deleted": true }))
    }

    /// The store, where files may be sent to it.
    fn writable(&self, name: &str) -> Result<&crate::stores::Kept, Error> {
        let read_only = |message: String| Err(Error::new(Fault::Forbidden, "store_read_only", message));
        if name.starts_with(policy::TASK_PREFIX) {
            return read_only(String::from(
                "Examples of a task come from answers, verdicts (POST /v1/feedback) and `pointsman task label`.",
            ));
        }
        let kept = self.house.decider.stores.get(name, &self.tenant)?;
        if kept.settings.uploads {
            return Ok(kept);
        }
        let section =
            if name == api::DEFAULT_STORE { "[index]".to_owned() } else { format!("[store.{name}]") };
        read_only(format!(
            "The store `{name}` takes no files: set `uploads = true` in {section} of gateway.toml."
        ))
    }

    async fn staged_by(&self, body: &Map<String, Value>) -> Result<Brought, Error> {
        const KNOWN: [&str; 3] = ["file_id", "attributes", "chunking_strategy"];
        if let Some(unknown) = body.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            let allowed = format!("`{unknown}` is not known; allowed: {}.", KNOWN.join(", "));
            return Err(Error::field(unknown, allowed));
        }
        let Some(id) = body.get("file_id").and_then(Value::as_str) else {
            let allowed = "`file_id` must be the id of a file that was sent to /v1/files; or send the file itself as \
                           multipart/form-data.";
            return Err(Error::field("file_id", allowed));
        };
        let strategy = body.get("chunking_strategy");
        let strategy = strategy.and_then(|strategy| strategy.get("type")).and_then(Value::as_str);
        if strategy.is_some_and(|strategy| strategy != "auto") {
            let allowed = "`chunking_strategy.type` may be `auto`: files are cut by their structure.";
            return Err(Error::field("chunking_strategy.type", allowed));
        }
        let attributes = match body.get("attributes") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(attributes)) => attributes.clone(),
            Some(_) => return Err(Error::field("attributes", "`attributes` must be an object.")),
        };
        let bytes = self.staged_bytes(id).await?;
        Ok(Brought { name: named(id)?, bytes, attributes })
    }
}

/// The boundary of a form, where the body is one.
pub(super) fn boundary(headers: &HeaderMap) -> Option<String> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok())?;
    multer::parse_boundary(content_type).ok()
}

/// Reads a form with one `file`, and `attributes` as JSON where it has some.
pub(super) async fn read_form(body: Bytes, boundary: String) -> Result<Brought, Error> {
    let broken = |error: multer::Error| {
        Error::new(Fault::BadRequest, "bad_form", format!("The form cannot be read: {error}."))
    };
    let whole = stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let mut form = multer::Multipart::new(whole, boundary);
    let (mut file, mut attributes) = (None, Map::new());
    while let Some(field) = form.next_field().await.map_err(broken)? {
        match field.name().unwrap_or_default() {
            "file" => {
                let name = field.file_name().map(str::to_owned);
                let name = name.filter(|name| !name.is_empty()).ok_or_else(|| {
                    Error::field("file", "`file` needs a filename: its ending says what it is.")
                })?;
                file = Some((name, field.bytes().await.map_err(broken)?));
            }
            "attributes" => {
                attributes = parse_object(&field.bytes().await.map_err(broken)?)
                    .map_err(|error| error.with_param("attributes"))?;
            }
            // What a file is for says nothing here.
            "purpose" => {}
            other => {
                let shown: String = other.chars().take(100).collect();
                let allowed = format!("`{shown}` is not known; allowed: file, attributes, purpose.");
                return Err(Error::field(&shown, allowed));
            }
        }
    }
    let (name, bytes) = file.ok_or_else(|| Error::field("file", "The form has no `file`."))?;
    Ok(Brought { name, bytes, attributes })
}

/// A file that could not be indexed is not there, so its sender must hear it.
fn refuse_skipped(report: &FeedReport) -> Result<(), Error> {
    match report.skipped.first() {
        Some(skipped) if report.written == 0 => {
            let message = format!("The file was not taken: it {}.", skipped.why);
            Err(Error::new(Fault::Unprocessable, "file_not_indexed", message).with_param("file"))
        }
        _ => Ok(()),
    }
}
