//! One exchange with one endpoint: a request, and the head of its answer.
//!
//! Owns what is sent and which heads are those of an answer. Refuses a head of another type, a compressed body and a
//! redirect.

use std::sync::Arc;

use api::Error;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::arrival::Arrival;
use crate::call::{Begun, Call};
use crate::clock::Clock;
use crate::connect::Client;
use crate::endpoints::{Chosen, Endpoint};
use crate::failure::Failure;
use crate::question::{Form, Question};
use crate::secret::Redactor;
use crate::upstream::Inner;
use crate::whole;

/// What an upstream says about its failure is read this far.
const ERROR_BYTES_MAX: usize = 16 << 10;

impl Inner {
    /// Sends the request to the chosen endpoint and reads the answer. Its attempt is settled, unless it gives a stream,
    /// which settles itself.
    pub(crate) async fn exchange<Q: Question>(
        &self,
        call: &Call<'_, Q>,
        chosen: Chosen<'_>,
    ) -> Result<Begun<Q::Given>, Failure> {
        let Chosen { endpoint, attempt } = chosen;
        let mut clock = Clock::start(call.limits, call.form == Form::Stream);
        let client = if attempt.is_probe() { self.pool.fresh() } else { self.pool.client() };
        let response = match self.head(call, endpoint, &client, &mut clock).await {
            Ok(response) => response,
            Err(failure) => {
                attempt.failed(&failure);
                return Err(failure);
            }
        };
        let id = request_id(response.headers());
        let arrival = Arrival {
            wire: self.options.wire,
            body: response.into_body(),
            bytes_max: self.options.body_bytes_max,
            clock,
            attempt,
            redactor: Arc::clone(&endpoint.redactor),
            request_id: id.clone(),
        };
        Ok((call.question.read(arrival).await?, id))
    }

    /// Sends the request; an answer comes back only if its head is that of what was asked for.
    async fn head<Q>(
        &self,
        call: &Call<'_, Q>,
        endpoint: &Endpoint,
        client: &Client,
        clock: &mut Clock,
    ) -> Result<Response<Incoming>, Failure> {
        let request = self.written(call, endpoint).map_err(Failure::unsupported)?;
        let response = clock.guard(client.request(request)).await?;
        let response = response.map_err(|error| Failure::exchange(&error, &endpoint.redactor))?;
        let stream = call.form == Form::Stream;
        let wanted = if stream { "text/event-stream" } else { "application/json" };
        let (status, headers) = (response.status(), response.headers());
        let id = request_id(headers);
        let failure = if !status.is_success() {
            let (head, body) = response.into_parts();
            let said = clock.guard(whole::beginning(body, ERROR_BYTES_MAX)).await.unwrap_or_default();
            Failure::status(status, &head.headers, &said, &endpoint.redactor)
        } else if is_encoded(headers) {
            Failure::garbage("a compressed answer, which was not asked for")
        } else if is_type(headers, wanted) || (!stream && !is_type(headers, "text/event-stream")) {
            return Ok(response);
        } else {
            of_other_type(response, clock, &endpoint.redactor).await
        };
        Err(failure.of_request(id.as_deref()))
    }

    /// The request as the endpoint gets it.
    fn written<Q>(
        &self,
        call: &Call<'_, Q>,
        endpoint: &Endpoint,
    ) -> Result<Request<Full<bytes::Bytes>>, Error> {
        let options = &self.options;
        let uri = endpoint.site.uri(options.wire, &call.path, &options.api_version)?;
        let mut headers = endpoint.site.headers.clone();
        for (name, value) in &call.headers {
            if !endpoint.site.headers.contains_key(name) {
                headers.append(name, value.clone());
            }
        }
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// A 200 of the wrong type: often an error in JSON where a stream was asked for.
async fn of_other_type(response: Response<Incoming>, clock: &mut Clock, redactor: &Redactor) -> Failure {
    let (head, body) = response.into_parts();
    let said = clock.guard(whole::beginning(body, ERROR_BYTES_MAX)).await.unwrap_or_default();
    let error = serde_json::from_slice::<serde_json::Value>(&said)
        .ok()
        .and_then(|mut value| value.get_mut("error").map(serde_json::Value::take))
        .filter(|error| !error.is_null());
    match error {
        Some(error) => Failure::in_band(&error, redactor),
        None => Failure::garbage(format!("an answer of type {:?}", head.headers.get(CONTENT_TYPE))),
    }
}

fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    let given = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let essence = given.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(wanted.as_bytes())
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The upstream's name for the request, as providers give it.
fn request_id(headers: &HeaderMap) -> Option<String> {
    const ID_BYTES_MAX: usize = 200;
    let value = ["x-request-id", "request-id"].iter().find_map(|name| headers.get(*name))?;
    value.to_str().ok().filter(|id| id.len() <= ID_BYTES_MAX).map(str::to_owned)
}
