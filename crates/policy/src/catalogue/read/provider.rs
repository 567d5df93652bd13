//! The providers of `models.toml`: where they are and what they need, with what is missing in the environment.

use std::sync::Arc;

use api::Secret;

use super::super::{Continues, Dialect, Endpoint, Hedge, HttpVersion, Provider};
use crate::file::{Entry, Env, Field, Place, Setting, Table, Unset};

const HOUR_MS: u64 = 3_600_000;

/// Reads every `[provider.NAME]`.
pub(super) fn all(root: &Table<'_>, env: &Env<'_>) -> Vec<Arc<Provider>> {
    let Some(table) = root.optional("provider").table() else { return Vec::new() };
    let read = |entry: Entry<'_>| {
        let table = entry.field.table()?;
        let provider = provider(entry.name, &table, env);
        table.finish();
        Some(Arc::new(provider))
    };
    table.entries().into_iter().filter_map(read).collect()
}

fn provider(name: &str, table: &Table<'_>, env: &Env<'_>) -> Provider {
    let allow_private_addresses = table.optional("allow_private_addresses").boolean().unwrap_or(false);
    let mut missing = Vec::new();
    let base_url = base_url(table, env, allow_private_addresses, &mut missing);
    let api_key = secret(&table.optional("api_key"), env, &mut missing);
    let headers = headers(table, env, &mut missing);
    let time = |key: &str| table.optional(key).duration_ms(1..=HOUR_MS);
    let count = |key: &str, low: u64, high: u64| {
        table.optional(key).integer(low..=high).and_then(|number| u32::try_from(number).ok())
    };
    let dialects = [
        ("openai", Dialect::OpenAi),
        ("openai-responses", Dialect::OpenAiResponses),
        ("azure", Dialect::Azure),
        ("anthropic", Dialect::Anthropic),
        ("gemini", Dialect::Gemini),
    ];
    let ways = [
        ("prefill", Continues::Prefill),
        ("prefix", Continues::Prefix),
        ("final_message", Continues::FinalMessage),
    ];
    let dialect = table.optional("dialect").one_of(&dialects).unwrap_or(Dialect::OpenAi);
    let endpoints = endpoints(table, env, allow_private_addresses, &mut missing);
    let versions = [("auto", HttpVersion::Auto), ("1", HttpVersion::Http1), ("2", HttpVersion::Http2)];
    Provider {
        name: Arc::from(name),
        dialect,
        api_version: api_version(table, dialect),
        endpoints,
        hedge: hedge(table),
        continues: table.optional("continues").one_of(&ways),
        base_url,
        api_key,
        headers,
        allow_private_addresses,
        ca_file: table.optional("ca_file").text().map(str::to_owned),
        http_version: table.optional("http_version").one_of(&versions).unwrap_or(HttpVersion::Auto),
        connect_timeout: time("connect_timeout_ms"),
        first_byte_timeout: time("first_byte_timeout_ms"),
        idle_timeout: time("idle_timeout_ms"),
        concurrency_max: count("concurrency_max", 1, 10_000),
        retries_max: count("retries_max", 0, 10),
        missing: (!missing.is_empty())
            .then(|| missing.iter().map(Unset::remedy).collect::<Vec<_>>().join(" and ")),
    }
}

/// Every `[[provider.NAME.endpoint]]`.
fn endpoints(table: &Table<'_>, env: &Env<'_>, private: bool, missing: &mut Vec<Unset>) -> Vec<Endpoint> {
    let mut read = |table: Table<'_>| {
        let base_url = base_url(&table, env, private, missing);
        let api_key = secret(&table.optional("api_key"), env, missing);
        table.finish();
        Some(Endpoint { base_url: base_url?, api_key })
    };
    table.optional("endpoint").tables().into_iter().filter_map(&mut read).collect()
}

fn api_version(table: &Table<'_>, dialect: Dialect) -> Option<String> {
    let field = table.optional("api_version");
    if field.is_given() && dialect != Dialect::Azure {
        field.wrong("only `dialect = \"azure\"` has an `api_version`; leave it out");
    }
    field.text().map(str::to_owned)
}

fn hedge(table: &Table<'_>) -> Option<Hedge> {
    let table = table.optional("hedge").table()?;
    let quantile = table.optional("after_quantile").number(0.5..=0.999).unwrap_or(0.95);
    let share_max = table.optional("share_max").number(0.001..=0.5).unwrap_or(0.05);
    table.finish();
    Some(Hedge { quantile, share_max })
}

/// The base URL: that of the variable which `base_url_env` names where it is set, else `base_url`.
fn base_url(table: &Table<'_>, env: &Env<'_>, private: bool, missing: &mut Vec<Unset>) -> Option<String> {
    let over = table.optional("base_url_env");
    let variable = over.text().map(|name| name.strip_prefix("env:").unwrap_or(name));
    let overriding =
        variable.and_then(|name| env(Place::Variable(name))).filter(|url| !url.trim().is_empty());
    let field = table.required("base_url");
    let (url, from) = match (overriding, field.setting(env)) {
        (Some(url), _) => (url, over),
        (None, Some(Setting::Value(url))) => (url, field),
        (None, Some(Setting::Unset(name))) => {
            missing.push(name);
            return None;
        }
        (None, None) => return None,
    };
    match url_fault(&url, private) {
        Some(fault) => {
            from.wrong(fault);
            None
        }
        None => Some(url.trim().trim_end_matches('/').to_owned()),
    }
}

/// What is wrong with a base URL. The URL itself is not repeated: it may hold a password.
fn url_fault(url: &str, private: bool) -> Option<&'static str> {
    let url = url.trim();
    let Some((scheme, rest)) = url.split_once("://") else {
        return Some("this is not a URL; give scheme, host and path: https://api.openai.com/v1");
    };
    let host = rest.split('/').next().unwrap_or("");
    if url.contains(['?', '#', ' ']) {
        return Some("the URL must end with its path: no `?`, no `#`, no space");
    }
    if host.contains('@') {
        return Some("the URL must not hold a user or a password; give the key as `api_key`");
    }
    if host.is_empty() || host.starts_with(':') {
        return Some("the URL names no host");
    }
    match scheme {
        "https" => None,
        "http" if private => None,
        "http" => Some(
            "plain http:// is for servers of your own: use https://, or set `allow_private_addresses = true`",
        ),
        _ => Some("the URL must begin with https://, or http:// for servers of your own"),
    }
}

fn secret(field: &Field<'_>, env: &Env<'_>, missing: &mut Vec<Unset>) -> Option<Secret> {
    match field.setting(env)? {
        Setting::Value(text) => Some(Secret::new(&text)),
        Setting::Unset(unset) => {
            missing.push(unset);
            None
        }
    }
}

fn headers(table: &Table<'_>, env: &Env<'_>, missing: &mut Vec<Unset>) -> Vec<(String, Secret)> {
    let Some(table) = table.optional("headers").table() else { return Vec::new() };
    let read = |entry: Entry<'_>| {
        let value = secret(&entry.field, env, missing)?;
        Some((entry.name.to_owned(), value))
    };
    table.entries().into_iter().filter_map(read).collect()
}
