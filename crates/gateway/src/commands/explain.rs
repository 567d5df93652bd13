//! `pointsman explain`: what would happen to a prompt, and why.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use api::{ChatRequest, Tenant};
use serde_json::{Map, Value, json};

use crate::commands::{load_settings, pretty, say};
use crate::decider::{Case, Decider};
use crate::house::in_words;
use crate::wishes::Wishes;
use crate::{Failure, explain as told};

/// Decides a prompt as the gateway would, and prints the decision.
pub(crate) fn explain(
    config: &Path,
    text: &str,
    system: Option<&str>,
    model: &str,
    as_json: bool,
) -> Result<(), Failure> {
    let text = if text == "-" { read_stdin()? } else { text.to_owned() };
    let decider = Arc::new(Decider::load(load_settings(config)?)?);
    let request = ChatRequest::from_body(body(&text, system, model))
        .map_err(|error| Failure::Wrong(in_words(&error)))?;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::Unavailable(format!("no runtime: {error}")))?;
    let (live, tenant, wishes) = (decider.live.load_full(), Tenant::open(), Wishes::default());
    let insight = runtime
        .block_on(decider.measure(&live, &request, &wishes, &tenant))
        .map_err(|error| Failure::Wrong(in_words(&error)))?;
    let case = Case {
        live: &live,
        request: &request,
        wishes: &wishes,
        tenant: &tenant,
        signals: &insight.signals,
        funds_remaining: None,
    };
    let plan = decider.plan(&case).map_err(|error| Failure::Wrong(in_words(&error)))?;
    let change = decider.nearest_change(&case);
    if as_json {
        let mut told = told::json(&plan, &insight.signals);
        told["nearest_change"] = json!(change);
        say(&pretty(&told)?);
    } else {
        let change = change.map(|change| format!("it would be otherwise {change}")).unwrap_or_default();
        say(&format!("{}{change}", policy::explain(&plan, &insight.signals)));
    }
    Ok(())
}

fn body(text: &str, system: Option<&str>, model: &str) -> Map<String, Value> {
    let mut messages = Vec::new();
    if let Some(system) = system {
        messages.push(json!({ "role": "system", "content": system }));
    }
    messages.push(json!({ "role": "user", "content": text }));
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(model));
    body.insert("messages".to_owned(), Value::Array(messages));
    body
}

fn read_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failure::Wrong(format!("standard input cannot be read: {error}")))?;
    Ok(text)
}
