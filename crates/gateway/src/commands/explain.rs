//! `pointsman explain`: what would happen to a prompt, or has happened to a request, and why.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use api::{ChatRequest, Tenant};
use classify::View;
use serde_json::{Map, Value, json};

use crate::commands::{load_settings, pretty, say};
use crate::decider::{Case, Decider};
use crate::decisions::{Entry, Told};
use crate::house::in_words;
use crate::stated::Stated;
use crate::wishes::{Reach, Wishes};
use crate::{Failure, decisions, explain as told};

/// What is to be explained.
pub(crate) enum Subject<'a> {
    /// A prompt, as it would be decided now.
    Prompt { text: &'a str, system: Option<&'a str>, model: &'a str },
    /// A decision of the past, by its id.
    Decision(&'a str),
}

/// Prints a decision and its reasons.
pub(crate) fn explain(config: &Path, subject: &Subject<'_>, as_json: bool) -> Result<(), Failure> {
    match *subject {
        Subject::Prompt { text, system, model } => prompt(config, text, system, model, as_json),
        Subject::Decision(id) => decision(config, id, as_json),
    }
}

/// Decides a prompt as the gateway would.
fn prompt(
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
    let (live, tenant) = (decider.live.load_full(), Arc::new(Tenant::open()));
    let stated = Arc::new(Stated::of(&request, &Wishes::default(), &tenant));
    let insight = runtime
        .block_on(decider.measure(&live, &request, &stated, &tenant, &Reach::default()))
        .map_err(|error| Failure::Wrong(in_words(&error)))?;
    let case = Case {
        live: &live,
        stated: &stated,
        tenant: &tenant,
        signals: &insight.signals,
        opinions: &insight.opinions,
        funds_remaining: None,
    };
    let plan = decider.plan(&case).map_err(|error| Failure::Wrong(in_words(&error)))?;
    let change = decider.nearest_change(&case);
    let near = live.trained.nearest(&View::from(&request), told::NEAR);
    if as_json {
        let mut told = told::json(&plan, &insight.signals);
        told["nearest_change"] = json!(change);
        told["nearest_exemplars"] = json!(near);
        say(&pretty(&told)?);
    } else {
        let near: Vec<String> = near.iter().map(ToString::to_string).collect();
        let change = change.map(|change| format!("\nit would be otherwise {change}")).unwrap_or_default();
        let told = policy::explain(&plan, &insight.signals);
        say(&format!("{told}worded like: {}{change}", near.join(", ")));
    }
    Ok(())
}

/// Tells a decision of the past from the log.
fn decision(config: &Path, id: &str, as_json: bool) -> Result<(), Failure> {
    let settings = load_settings(config)?;
    let folder = decisions::folder(&settings.files.state);
    let unreadable =
        |error: std::io::Error| Failure::Unavailable(format!("{} cannot be read: {error}", folder.display()));
    let mut id = id.strip_prefix("chatcmpl-").unwrap_or(id).to_owned();
    let mut entry = decisions::find(&folder, &id).map_err(unreadable)?;
    if let Some(Entry { told: Told::Cached(origin), .. }) = &entry {
        say(&format!("{id} was answered from the cache, with the answer to {origin}:\n"));
        id.clone_from(origin);
        entry = decisions::find(&folder, &id).map_err(unreadable)?;
    }
    let Some(entry) = entry else {
        return Err(Failure::Wrong(format!(
            "{}: no decision `{id}`: it is older than `decisions.bytes_max` lets the log go back, or was refused before a \
             decision",
            folder.display()
        )));
    };
    let decider = Decider::load(settings)?;
    say(&if as_json {
        pretty(&told::past_json(&decider, &entry))?
    } else {
        told::past_text(&decider, &entry)
    });
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
