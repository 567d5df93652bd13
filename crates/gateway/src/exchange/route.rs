//! `POST /v1/route`: the decision without the call.

use std::sync::Arc;

use classify::View;
use http::Response;
use serde_json::json;

use super::decide::{case, decide};
use super::{Arrived, Step};
use crate::body::Body;
use crate::explain;
use crate::stated::Stated;

/// Decides a request and tells the plan, the signals and the reasons, calling nothing.
pub(crate) async fn route(arrived: Arrived) -> Response<Body> {
    route_or_refuse(arrived).await.unwrap_or_else(|refusal| *refusal)
}

async fn route_or_refuse(arrived: Arrived) -> Step<Response<Body>> {
    let asked = arrived.admit()?.read().await?;
    let mut ticket = asked.ticket;
    ticket.keep_off_the_book();
    let stated = Arc::new(Stated::of(&asked.request, &asked.wishes, &ticket.tenant));
    let decider = Arc::clone(&ticket.house.decider);
    let insight = match decider
        .measure(&ticket.live, &asked.request, &stated, &ticket.tenant, &asked.wishes.reach)
        .await
    {
        Ok(insight) => insight,
        Err(error) => return Err(ticket.refuse(&error)),
    };
    match decide(&ticket, &stated, &insight) {
        Ok(plan) => {
            let mut told = explain::json(&plan, &insight.signals);
            let near = ticket.live.trained.nearest(&View::from(&asked.request), explain::NEAR);
            told["nearest_exemplars"] = json!(near);
            told["nearest_change"] = json!(decider.nearest_change(&case(&ticket, &stated, &insight)));
            Ok(ticket.answer(&told))
        }
        Err(error) => Err(ticket.refuse(&error)),
    }
}
