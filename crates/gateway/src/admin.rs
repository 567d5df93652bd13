//! The admin plane: health, metrics, what runs. On an address of its own; neither probe calls an upstream.

use std::sync::Arc;

use api::{Error, Fault};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use crate::body::{Body, whole};
use crate::data::json_response;
use crate::decisions::Told;
use crate::exchange::refusal;
use crate::explain;
use crate::house::House;
use crate::metrics::TaskNameLabels;
use crate::tasks::{told, undeclared};

/// Decisions that are shown where nobody says how many, and at most.
const DECISIONS_SHOWN: usize = 50;
const DECISIONS_MAX: usize = 1000;

/// Answers one request on the admin port.
pub(crate) async fn answer(house: Arc<House>, request: Request<Incoming>) -> Response<Body> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return refusal(&Error::new(
            Fault::MethodNotAllowed,
            "method_not_allowed",
            "The admin port takes GET.",
        ));
    }
    match request.uri().path() {
        "/livez" => text("ok\n", "text/plain; charset=utf-8"),
        "/readyz" => ready(&house),
        "/metrics" => {
            observe_tasks(&house);
            text(house.metrics.exposition(), "application/openmetrics-text; version=1.0.0; charset=utf-8")
        }
        "/api/config" => config(&house),
        "/api/tasks" => tasks(house).await,
        "/api/decisions" => latest_decisions(house, request.uri().query()).await,
        path if path.starts_with("/api/decisions/") => {
            let id = path.trim_start_matches("/api/decisions/").to_owned();
            one_decision(house, id).await
        }
        _ => refusal(&Error::new(
            Fault::NotFound,
            "unknown_path",
            "This port serves GET /livez, /readyz, /metrics, /api/config, /api/tasks, /api/decisions and /api/decisions/ID.",
        )),
    }
}

/// Ready while requests can be taken: not during the drain.
fn ready(house: &House) -> Response<Body> {
    if house.stop.is_cancelled() {
        let mut response = text("draining\n", "text/plain; charset=utf-8");
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return response;
    }
    text("ok\n", "text/plain; charset=utf-8")
}

/// What runs, and why the last change was refused, where it was.
fn config(house: &House) -> Response<Body> {
    let live = house.decider.live.load();
    json_response(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": live.revision,
        "file": house.decider.settings.file.display().to_string(),
        "policies": live.policies.all().iter().map(|policy| policy.name()).collect::<Vec<_>>(),
        "models": house.decider.models(&live).into_iter().map(|(id, _)| id).collect::<Vec<_>>(),
        "refused": house.refused_change(),
    }))
}

/// Sets the gauges of the tasks, which nobody keeps up to date between two looks.
fn observe_tasks(house: &House) {
    for task in house.decider.tasks.load().iter() {
        let labels = TaskNameLabels { task: task.name.clone() };
        let serving = task.served().serving.as_ref().map_or(0, |version| i64::from(version.number));
        house.metrics.task_serving.get_or_create(&labels).set(serving);
        let count = i64::try_from(task.label_count()).unwrap_or(i64::MAX);
        house.metrics.task_labels.get_or_create(&labels).set(count);
    }
}

/// The tasks, and the prompts that look like tasks.
async fn tasks(house: Arc<House>) -> Response<Body> {
    let work = move || {
        let decider = &house.decider;
        let tasks: Vec<serde_json::Value> =
            decider.tasks.load().iter().map(|task| told::json(task)).collect();
        let proposals = undeclared(house.clerk.proposals(), &decider.live.load().tasks);
        let proposals: Vec<serde_json::Value> = proposals.iter().map(told::proposal).collect();
        json!({ "tasks": tasks, "proposals": proposals })
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(told) => json_response(&told),
        Err(error) => refusal(&Error::internal(error)),
    }
}

/// The latest decisions in short, newest first: `?limit=` of them.
async fn latest_decisions(house: Arc<House>, query: Option<&str>) -> Response<Body> {
    let limit = match query.map(|query| query.split_once('=')) {
        None => Some(DECISIONS_SHOWN),
        Some(Some(("limit", number))) => {
            number.parse().ok().filter(|limit| (1..=DECISIONS_MAX).contains(limit))
        }
        Some(_) => None,
    };
    let Some(limit) = limit else {
        return refusal(&Error::field(
            "limit",
            format!("The only parameter is `limit`, a number from 1 to {DECISIONS_MAX}."),
        ));
    };
    let work = move || house.decisions.latest(limit);
    match tokio::task::spawn_blocking(work)
        .await
        .map_err(Error::internal)
        .and_then(|read| read.map_err(Error::internal))
    {
        Ok(entries) => {
            let short: Vec<serde_json::Value> = entries
                .iter()
                .map(|entry| {
                    let kind = match &entry.told {
                        Told::Decided(_) => "decided",
                        Told::Cached(_) => "cached",
                        Told::Shadow(_) => "shadow",
                    };
                    json!({ "kind": kind, "record": explain::record(&entry.record) })
                })
                .collect();
            json_response(&json!({ "decisions": short }))
        }
        Err(error) => refusal(&error),
    }
}

/// One decision with all its reasons.
async fn one_decision(house: Arc<House>, id: String) -> Response<Body> {
    let missing = format!(
        "There is no decision `{}`: it is older than `decisions.bytes_max` lets the log go back, or was refused before \
         a decision.",
        id.chars().take(100).collect::<String>()
    );
    let work = move || -> Result<Option<serde_json::Value>, Error> {
        let entry = house.decisions.find(&id).map_err(Error::internal)?;
        Ok(entry.map(|entry| explain::past_json(&house.decider, &entry)))
    };
    match tokio::task::spawn_blocking(work).await.map_err(Error::internal).and_then(|told| told) {
        Ok(Some(told)) => json_response(&told),
        Ok(None) => refusal(&Error::new(Fault::NotFound, "decision_not_found", missing)),
        Err(error) => refusal(&error),
    }
}

fn text(body: impl Into<bytes::Bytes>, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(whole(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
