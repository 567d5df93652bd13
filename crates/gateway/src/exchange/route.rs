//! `POST /v1/route`: the decision without the call.

use http::Response;

use super::decide::{case, decide};
use super::relay::json_response;
use super::{Arrived, Step};
use crate::body::Body;
use crate::explain;

/// Decides a request and tells the plan, the signals and the reasons, calling nothing.
pub(crate) async fn route(arrived: Arrived) -> Response<Body> {
    route_or_refuse(arrived).await.unwrap_or_else(|refusal| *refusal)
}

async fn route_or_refuse(arrived: Arrived) -> Step<Response<Body>> {
    let asked = arrived.admit()?.read().await?;
    let mut ticket = asked.ticket;
    let insight =
        match ticket.house.decider.measure(&ticket.live, &asked.request, &asked.wishes, &ticket.tenant).await
        {
            Ok(insight) => insight,
            Err(error) => return Err(ticket.refuse(&error)),
        };
    match decide(&ticket, &asked.request, &asked.wishes, &insight) {
        Ok(plan) => {
            let mut told = explain::json(&plan, &insight.signals);
            let change =
                ticket.house.decider.nearest_change(&case(&ticket, &asked.request, &asked.wishes, &insight));
            told["nearest_change"] = serde_json::json!(change);
            let mut response = json_response(&told);
            ticket.record.status = 200;
            ticket.decorate(response.headers_mut());
            ticket.settle();
            Ok(response)
        }
        Err(error) => Err(ticket.refuse(&error)),
    }
}
