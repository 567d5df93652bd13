//! Images, sounds and files as Gemini takes them: inline as base64, or by address.

use api::Error;
use serde_json::{Map, Value, json};

use crate::foreign::unsupported;

/// What ends a file's name, and its media type.
const TYPES: [(&str, &str); 17] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("json", "application/json"),
    ("mp3", "audio/mp3"),
    ("wav", "audio/wav"),
    ("mp4", "video/mp4"),
    ("webm", "video/webm"),
];

/// A `data:`, `https:` or `gs:` URL.
pub(super) fn of_url(at: &str, url: &str) -> Result<Value, Error> {
    if let Some(data) = strip_scheme(url, "data:") {
        let inline = inline(data).ok_or_else(|| {
            Error::field(at, "A `data:` URL must have the form data:MEDIA/TYPE;base64,DATA.")
        })?;
        return Ok(json!({ "inlineData": inline }));
    }
    if strip_scheme(url, "https://").is_none() && strip_scheme(url, "gs://").is_none() {
        return Err(unsupported(at, "Gemini takes `data:`, `https:` and `gs:` URLs only."));
    }
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let mut data = Map::new();
    if let Some(kind) = type_of(path) {
        data.insert("mimeType".to_owned(), kind.into());
    }
    data.insert("fileUri".to_owned(), url.into());
    Ok(json!({ "fileData": data }))
}

/// A chat client's `file` part.
pub(super) fn of_file(at: &str, file: &Map<String, Value>) -> Result<Value, Error> {
    let text = |key: &str| file.get(key).and_then(Value::as_str);
    if let Some(key) = file.keys().find(|key| !["filename", "file_data", "file_id"].contains(&key.as_str())) {
        return Err(unsupported(
            format!("{at}.{key}"),
            format!("Gemini has no `{key}` of files: leave it out."),
        ));
    }
    match (text("file_data"), text("file_id")) {
        (Some(data), None) if strip_scheme(data, "data:").is_some() => {
            of_url(&format!("{at}.file_data"), data)
        }
        (Some(data), None) => match text("filename").and_then(type_of) {
            Some(kind) => Ok(json!({ "inlineData": { "mimeType": kind, "data": data } })),
            None => Err(Error::field(
                format!("{at}.file_data"),
                "The media type is not known: send `file_data` as data:MEDIA/TYPE;base64,DATA.",
            )),
        },
        (None, Some(id)) if id.contains("://") => of_url(&format!("{at}.file_id"), id),
        (None, Some(_)) => Err(unsupported(
            format!("{at}.file_id"),
            "Gemini does not know the ids of other providers' files: send `file_data`, or the file's URI as `file_id`.",
        )),
        _ => Err(Error::field(at, "`file` must have either `file_data` or `file_id`.")),
    }
}

/// A chat client's `input_audio` part.
pub(super) fn of_audio(at: &str, audio: &Map<String, Value>) -> Result<Value, Error> {
    let text = |key: &str| {
        let wrong = || Error::field(format!("{at}.{key}"), format!("`{key}` must be a string."));
        audio.get(key).and_then(Value::as_str).ok_or_else(wrong)
    };
    let (data, format) = (text("data")?, text("format")?);
    Ok(json!({ "inlineData": { "mimeType": format!("audio/{format}"), "data": data } }))
}

/// The URL of inline data, as chat clients take images.
pub(super) fn to_url(inline: &Value) -> Option<String> {
    let text = |key: &str| inline.get(key).and_then(Value::as_str);
    let (kind, data) = (text("mimeType")?, text("data")?);
    kind.starts_with("image/").then(|| format!("data:{kind};base64,{data}"))
}

fn inline(data: &str) -> Option<Value> {
    let (head, data) = data.split_once(',')?;
    let kind = head.strip_suffix(";base64")?.split(';').next()?;
    kind.contains('/').then(|| json!({ "mimeType": kind, "data": data }))
}

fn type_of(name: &str) -> Option<&'static str> {
    let (_, end) = name.rsplit_once('.')?;
    TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(end)).map(|(_, kind)| *kind)
}

fn strip_scheme<'u>(url: &'u str, scheme: &str) -> Option<&'u str> {
    let head = url.get(..scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then(|| &url[scheme.len()..])
}
