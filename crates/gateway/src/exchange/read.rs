//! The body, within its cap and its deadline, becomes a checked request for something that exists.

use api::{ChatRequest, Error, Fault, parse_object};
use bytes::Bytes;
use dialects::Client;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::admit::Admitted;
use super::{Step, Ticket};
use crate::settings::Limits;
use crate::wishes::Wishes;

/// A request that has been read and names something that exists.
pub(crate) struct Asked {
    pub(crate) ticket: Ticket,
    pub(crate) wishes: Wishes,
    pub(crate) request: ChatRequest,
    /// How its answer is written.
    pub(crate) client: Client,
}

impl Admitted {
    /// Reads and checks the body.
    pub(crate) async fn read(mut self) -> Step<Asked> {
        let bytes =
            match read_json(&self.headers, self.body, &self.ticket.house.decider.settings.limits).await {
                Ok(bytes) => bytes,
                Err(error) => return Err(self.ticket.refuse(&error)),
            };
        match parse_object(&bytes).and_then(|body| self.face.read(body)) {
            Ok((request, client)) => {
                self.ticket.stage("read");
                self.ticket.record.requested_model.clone_from(&request.model);
                self.ticket.record.streamed = request.stream;
                Ok(Asked { ticket: self.ticket, wishes: self.wishes, request, client })
            }
            Err(error) => Err(self.ticket.refuse(&error)),
        }
    }
}

/// Reads a JSON body within the limits.
pub(crate) async fn read_json(headers: &HeaderMap, body: Incoming, limits: &Limits) -> Result<Bytes, Error> {
    check_type(headers)?;
    read_bytes(headers, body, limits).await
}

/// Reads a body of any type within the limits.
pub(crate) async fn read_bytes(headers: &HeaderMap, body: Incoming, limits: &Limits) -> Result<Bytes, Error> {
    check_encoding(headers)?;
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.body_bytes_max as u64) {
        return Err(too_large(limits));
    }
    let reading = Limited::new(body, limits.body_bytes_max).collect();
    match tokio::time::timeout(limits.body_deadline, reading).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(limits)),
        Ok(Err(error)) => {
            let said = "The body broke off before its end.";
            Err(Error::new(Fault::BadRequest, "body_incomplete", said).with_detail(error))
        }
        Err(_) => Err(Error::new(
            Fault::RequestTimeout,
            "body_timeout",
            format!("The body did not arrive within {} ms.", limits.body_deadline.as_millis()),
        )),
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Error> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if essence != "application/json" && !essence.ends_with("+json") {
        return Err(Error::new(
            Fault::UnsupportedMedia,
            "unsupported_media_type",
            "Send the body with `content-type: application/json`.",
        )
        .with_param("content-type"));
    }
    Ok(())
}

fn check_encoding(headers: &HeaderMap) -> Result<(), Error> {
    match headers.get(CONTENT_ENCODING).map(http::HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(()),
        Some(_) => Err(Error::new(
            Fault::UnsupportedMedia,
            "unsupported_content_encoding",
            "Send the body uncompressed, without `content-encoding`.",
        )
        .with_param("content-encoding")),
    }
}

fn too_large(limits: &Limits) -> Error {
    Error::new(
        Fault::BodyTooLarge,
        "body_too_large",
        format!("The body is over {} bytes, the cap of this gateway.", limits.body_bytes_max),
    )
}
