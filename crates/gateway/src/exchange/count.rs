//! `POST /v1/messages/count_tokens`: how long a prompt is, before anybody is asked.
//!
//! The count is the gateway's own estimate, the one that its plans rest on: which model will answer, and with which
//! tokenizer, is not decided yet.

use api::parse_object;
use classify::View;
use http::Response;
use serde_json::json;

use super::read::read_json;
use super::{Arrived, Step};
use crate::body::Body;

/// Counts the tokens of one request in Anthropic's dialect.
pub(crate) async fn count_tokens(arrived: Arrived) -> Response<Body> {
    count_or_refuse(arrived).await.unwrap_or_else(|refusal| *refusal)
}

async fn count_or_refuse(arrived: Arrived) -> Step<Response<Body>> {
    let admitted = arrived.admit()?;
    let mut ticket = admitted.ticket;
    ticket.keep_off_the_book();
    let read = read_json(&admitted.headers, admitted.body, &ticket.house.decider.settings.limits).await;
    match read.and_then(|bytes| parse_object(&bytes)).and_then(dialects::read_for_count) {
        Ok(request) => {
            let tokens = classify::tokens_in(&View::from(&request));
            Ok(ticket.answer(&json!({ "input_tokens": tokens })))
        }
        Err(error) => Err(ticket.refuse(&error)),
    }
}
